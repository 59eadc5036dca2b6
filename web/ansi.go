package web

import (
	"html"
	"strconv"
	"strings"

	"gatehouse/gatekeeper/annotate"
)

// maxLogLine is where a line of a log is cut on the page; the raw log has all of it.
const maxLogLine = 4_000

// terminal turns what a stage wrote into lines of HTML: colours become classes, what a
// terminal would have overwritten is left out, and every other control sequence is dropped.
type terminal struct {
	b     strings.Builder
	line  int      // number of the last line that was written
	first int      // the first line that tells of a failure, 0 for none
	lit   lineSpan // lines that the address names
	begin int      // the line that the address "#first" means, 0 for none
	stamp string   // when the next line was begun, as HTML; "" when times are not shown
	keep  string   // what the addresses of lines carry on
	group bool     // the line belongs to a group that a command began
	color string   // class of the foreground, "" for the usual one
	bold  bool
	dim   bool
	under bool
}

// writeLine adds one line, without its line feed.
func (t *terminal) writeLine(text string) {
	text = strings.TrimSuffix(text, "\r")
	if at := strings.LastIndexByte(text, '\r'); at >= 0 {
		text = text[at+1:] // a progress bar: only its last state stood there in the end
	}
	bad := failing([]byte(text))
	if len(text) > maxLogLine {
		text = strings.ToValidUTF8(text[:maxLogLine], "") + " … (cut; the raw log has the whole line)"
	}
	t.line++
	var classes []string
	if bad {
		classes = append(classes, "bad")
		if t.first == 0 {
			t.first = t.line
		}
	}
	if t.lit.has(t.line) {
		classes = append(classes, "lit")
	}
	if strings.Contains(text, "::") {
		text, classes = t.command(text, classes)
	} else if t.group {
		classes = append(classes, "in")
	}
	n := strconv.Itoa(t.line)
	class := ""
	if len(classes) > 0 {
		class = ` class="` + strings.Join(classes, " ") + `"`
	}
	t.b.WriteString(`<li id="L` + n + `"` + class + `><a href="?at=` + n + html.EscapeString(t.keep) + `#L` + n + `">` + n + `</a>` + t.stamp)
	if t.line == t.begin {
		t.b.WriteString(`<i id="first"></i>`)
	}
	t.pieces(text)
	t.b.WriteString("</li>\n")
}

// command shows a command in the log as what it means: groups that fold, and findings.
func (t *terminal) command(text string, classes []string) (string, []string) {
	inside := t.group
	c, ok := annotate.ParseCommand(string(shownText([]byte(text))))
	if ok {
		switch c.Name {
		case "group":
			t.group, inside = true, false
			return c.Text, append(classes, "group")
		case "endgroup":
			t.group = false
			return c.Text, append(classes, "in", "over")
		case "error", "warning", "notice":
			place := c.Properties["file"]
			if line := c.Properties["line"]; place != "" && line != "" {
				place += ":" + line
			}
			if place != "" {
				place += ": "
			}
			classes = append(classes, c.Name)
			text = c.Name + ": " + place + strings.ReplaceAll(c.Text, "\n", " ")
		}
	}
	if inside {
		classes = append(classes, "in")
	}
	return text, classes
}

// pieces writes the text between escape sequences, each in its style.
func (t *terminal) pieces(text string) {
	for {
		at := strings.IndexByte(text, 0x1b)
		if at < 0 {
			t.piece(text)
			return
		}
		t.piece(text[:at])
		text = t.escape(text[at+1:])
	}
}

func (t *terminal) piece(text string) {
	if text == "" {
		return
	}
	var classes []string
	if t.color != "" {
		classes = append(classes, t.color)
	}
	if t.bold {
		classes = append(classes, "b")
	}
	if t.dim {
		classes = append(classes, "dim")
	}
	if t.under {
		classes = append(classes, "u")
	}
	if len(classes) == 0 {
		writeVisible(&t.b, text)
		return
	}
	t.b.WriteString(`<span class="` + strings.Join(classes, " ") + `">`)
	writeVisible(&t.b, text)
	t.b.WriteString("</span>")
}

// escape reads one escape sequence (ECMA-48) and returns what follows it.
func (t *terminal) escape(text string) string {
	if text == "" {
		return ""
	}
	switch text[0] {
	case '[': // CSI: parameters, intermediates, one final byte
		end := 1
		for end < len(text) && text[end] >= 0x20 && text[end] < 0x40 {
			end++
		}
		if end == len(text) {
			return ""
		}
		if text[end] == 'm' {
			t.style(text[1:end])
		}
		return text[end+1:]
	case ']', 'P', '^', '_', 'X': // strings: to BEL or ST
		for i := 1; i < len(text); i++ {
			if text[i] == 0x07 {
				return text[i+1:]
			}
			if text[i] == 0x1b && i+1 < len(text) && text[i+1] == '\\' {
				return text[i+2:]
			}
		}
		return ""
	}
	return text[1:]
}

// style applies the numbers of "select graphic rendition".
func (t *terminal) style(params string) {
	if strings.Trim(params, "0123456789;") != "" {
		return // a private sequence, or colours in a form that the page has no classes for
	}
	numbers := strings.Split(params, ";")
	for i := 0; i < len(numbers); i++ {
		n, err := strconv.Atoi("0" + numbers[i])
		if err != nil {
			return
		}
		switch {
		case n == 0:
			t.color, t.bold, t.dim, t.under = "", false, false, false
		case n == 1:
			t.bold = true
		case n == 2:
			t.dim = true
		case n == 4:
			t.under = true
		case n == 22:
			t.bold, t.dim = false, false
		case n == 24:
			t.under = false
		case n >= 30 && n <= 37:
			t.color = "f" + strconv.Itoa(n-30)
		case n >= 90 && n <= 97:
			t.color = "f" + strconv.Itoa(n-90)
		case n == 39:
			t.color = ""
		case n == 38 || n == 48: // 256 colours or RGB: skipped with their arguments
			if i+1 < len(numbers) && numbers[i+1] == "2" {
				i += 4
			} else {
				i += 2
			}
		}
	}
}
