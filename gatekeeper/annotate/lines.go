package annotate

import (
	"bytes"
	"regexp"
	"strings"
)

// maxScanned is how much of a line of output is looked at; a longer one is no message of a tool.
const maxScanned = 16 << 10

// Scanner finds annotations in the output of a stage, as it is written.
type Scanner struct {
	*Collector
	Tree Tree
	// Commands are looked for: ::error, ::warning and ::notice at the start of a line.
	Commands bool
	// Lines are looked for: file:line: message, as compilers write.
	Lines bool

	held []byte
	cut  bool // the line is longer than what is held
}

// Write takes in more of the output. It never fails.
func (s *Scanner) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		line, rest, whole := bytes.Cut(p, []byte("\n"))
		if room := maxScanned - len(s.held); len(line) > room {
			s.cut = true
			line = line[:room]
		}
		s.held = append(s.held, line...)
		p = rest
		if whole {
			s.Close()
		}
	}
	return n, nil
}

// Close takes what is held for a whole line.
func (s *Scanner) Close() {
	if !s.cut && len(s.held) > 0 {
		s.line(string(s.held))
	}
	s.held, s.cut = s.held[:0], false
}

// colors are the sequences by which tools colour their output.
var colors = regexp.MustCompile("\x1b\\[[0-9;]*[mK]")

func (s *Scanner) line(text string) {
	text = strings.TrimRight(colors.ReplaceAllString(text, ""), "\r")
	if s.Commands {
		if c, ok := ParseCommand(text); ok {
			if a, ok := c.annotation(s.Tree); ok {
				_ = s.add(a) // when there are enough, the rest is only counted
			}
			return
		}
	}
	if s.Lines {
		if a, ok := compilerLine(text, s.Tree); ok {
			_ = s.add(a)
		}
	}
}

// Command is a workflow command in a log: ::name key=value,key=value::text. See "Workflow
// commands" in the documentation of GitHub Actions, whose form other systems read too.
type Command struct {
	Name       string
	Properties map[string]string
	Text       string
}

// maxProperties is how many properties a command has; there are six.
const maxProperties = 16

// ParseCommand reads a line of a log that is a command.
func ParseCommand(line string) (Command, bool) {
	rest, ok := strings.CutPrefix(strings.TrimLeft(line, " \t"), "::")
	if !ok {
		return Command{}, false
	}
	head, text, ok := strings.Cut(rest, "::")
	if !ok {
		return Command{}, false
	}
	name, properties, _ := strings.Cut(head, " ")
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz-") != "" {
		return Command{}, false
	}
	c := Command{Name: name, Text: unescapedCommand(text), Properties: map[string]string{}}
	for _, property := range strings.SplitN(properties, ",", maxProperties) {
		if key, value, ok := strings.Cut(strings.TrimSpace(property), "="); ok {
			c.Properties[key] = strings.NewReplacer("%3A", ":", "%2C", ",").Replace(unescapedCommand(value))
		}
	}
	return c, true
}

func unescapedCommand(text string) string {
	return strings.NewReplacer("%0D", "\r", "%0A", "\n", "%25", "%").Replace(text)
}

func (c Command) annotation(tree Tree) (Annotation, bool) {
	a := Annotation{Path: tree.Path(c.Properties["file"]), Line: decimal(c.Properties["line"]), EndLine: decimal(c.Properties["endLine"]),
		Column: decimal(c.Properties["col"]), Rule: c.Properties["title"], Message: c.Text}
	switch c.Name {
	case "error":
		a.Severity = Error
	case "warning":
		a.Severity = Warning
	case "notice":
		a.Severity = Notice
	default:
		return Annotation{}, false
	}
	return a, true
}

// compiled is a message of a compiler or a linter: file:line: or file:line:column:, a word for
// how bad it is, and what is wrong.
var compiled = regexp.MustCompile(`^(?:vet: )?((?:[A-Za-z]:[\\/])?[^\s:"'(<>|][^:"'<>|]{0,500}):([0-9]{1,7})(?::([0-9]{1,7}))?:\s*(?:(fatal error|error|warning|note|info|remark|hint)\s*:\s*)?(\S.*)$`)

// compilerLine reads a line such as "web/a.go:12:3: x declared and not used".
func compilerLine(text string, tree Tree) (Annotation, bool) {
	m := compiled.FindStringSubmatch(text)
	if m == nil || !strings.ContainsAny(m[1], "./") || strings.Contains(m[1], "  ") {
		return Annotation{}, false
	}
	a := Annotation{Path: tree.Path(strings.TrimSpace(m[1])), Line: decimal(m[2]), Column: decimal(m[3]), Message: m[5], Severity: Warning}
	if !tree.has(a.Path) || a.Line == 0 {
		return Annotation{}, false
	}
	switch m[4] {
	case "fatal error", "error":
		a.Severity = Error
	case "note", "info", "remark", "hint":
		a.Severity = Notice
	}
	// "message [rule]", as clang-tidy, mypy and many others end a line
	if at := strings.LastIndex(a.Message, " ["); at > 0 && strings.HasSuffix(a.Message, "]") {
		a.Rule, a.Message = a.Message[at+2:len(a.Message)-1], a.Message[:at]
	}
	return a, true
}
