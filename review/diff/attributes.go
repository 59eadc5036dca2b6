package diff

import (
	"path"
	"strings"
)

const (
	// maxAttributes bounds the lines that are read of one file of attributes, maxPattern a
	// pattern in bytes and maxParts in parts: people write far less.
	maxAttributes = 2000
	maxPattern    = 400
	maxParts      = 32
)

// Attributes are the lines of a .gitattributes file that say which files are generated or
// vendored (linguist-generated, linguist-vendored), as code hosts read them. Others, diff and
// binary among them, are not heeded: they could hide a change from review.
type Attributes struct{ rules []attributeRule }

type attributeRule struct {
	pattern []string // split at slashes; one part matches a file's last name
	why     string   // "" takes an earlier line back
}

// ParseAttributes reads a .gitattributes file; what it cannot read it leaves out, as git does.
func ParseAttributes(text string) Attributes {
	var a Attributes
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || strings.HasPrefix(line, "[attr]") {
			continue
		}
		pattern, rest, ok := attributePattern(line)
		if !ok || len(a.rules) == maxAttributes {
			continue
		}
		for _, word := range strings.Fields(rest) {
			if why, known := attributeWord(word); known {
				a.rules = append(a.rules, attributeRule{pattern, why})
			}
		}
	}
	return a
}

func attributePattern(line string) (parts []string, rest string, ok bool) {
	pattern := line
	if line[0] == '"' {
		if pattern, rest, ok = unquote(line); !ok {
			return nil, "", false
		}
	} else if at := strings.IndexAny(line, " \t"); at >= 0 {
		pattern, rest = line[:at], line[at:]
	}
	if pattern == "" || len(pattern) > maxPattern || pattern[0] == '!' || strings.HasSuffix(pattern, "/") {
		return nil, "", false // git takes no negative patterns here, and attributes of folders mean nothing
	}
	anchored := strings.Contains(pattern, "/")
	parts = strings.Split(strings.TrimPrefix(pattern, "/"), "/")
	if !anchored {
		parts = append([]string{"**"}, parts...)
	}
	for _, part := range parts {
		if _, err := path.Match(part, ""); err != nil {
			return nil, "", false
		}
	}
	return parts, rest, len(parts) <= maxParts
}

// attributeWord reads "linguist-generated", "-linguist-generated" or "linguist-generated=true".
func attributeWord(word string) (why string, known bool) {
	name, value, has := strings.Cut(word, "=")
	off := strings.HasPrefix(name, "-") || strings.HasPrefix(name, "!") || has && value != "true" && value != "1"
	switch strings.TrimLeft(name, "-!") {
	case "linguist-generated":
		why = "generated, .gitattributes says"
	case "linguist-vendored":
		why = "code of others, .gitattributes says"
	default:
		return "", false
	}
	if off {
		return "", true
	}
	return why, true
}

// Why is what the attributes say of a file; the path is relative to the folder of the
// .gitattributes file. said is false when no line is about it. The last line wins.
func (a Attributes) Why(name string) (why string, said bool) {
	parts := strings.Split(name, "/")
	for _, rule := range a.rules {
		if matchParts(rule.pattern, parts) {
			why, said = rule.why, true
		}
	}
	return why, said
}

// matchParts matches a path with a pattern whose part "**" stands for any number of folders.
// It keeps, for each part of the pattern, how much of the path may be behind it, so that no
// pattern makes it work more than the product of both.
func matchParts(pattern, name []string) bool {
	at := make([]bool, len(name)+1)
	at[0] = true
	for _, part := range pattern {
		next := make([]bool, len(name)+1)
		for i, here := range at {
			switch {
			case !here:
			case part == "**":
				for k := i; k <= len(name); k++ {
					next[k] = true
				}
			case i < len(name):
				ok, err := path.Match(part, name[i])
				next[i+1] = next[i+1] || ok && err == nil
			}
		}
		at = next
	}
	return at[len(name)]
}
