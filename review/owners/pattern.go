package owners

import (
	"regexp"
	"strings"
)

// maxPattern is the longest pattern in bytes.
const maxPattern = 1024

// pattern is what a rule matches: a text that is compared, or an expression.
type pattern struct {
	exact  string // a path, or with inside a folder
	inside bool   // also what is below it
	re     *regexp.Regexp
}

func (p pattern) matches(path string) bool {
	if p.re != nil {
		return p.re.MatchString(path)
	}
	return path == p.exact && p.exact != "" || p.inside && (p.exact == "" || strings.HasPrefix(path, p.exact) && len(path) > len(p.exact) && path[len(p.exact)] == '/')
}

// compile makes a pattern ready; why says what is wrong with it.
func compile(text string, gitlab bool) (p pattern, why string) {
	switch {
	case text == "" || text == "/":
		return p, "there is no pattern"
	case len(text) > maxPattern:
		return p, "the pattern is too long"
	case !gitlab && strings.HasPrefix(text, "!"):
		return p, "GitHub's kind of file does not know ! (a section makes it GitLab's)"
	case !gitlab && strings.ContainsAny(unescaped(text), "[]"):
		return p, "patterns do not know [ ]"
	}
	folder := strings.HasSuffix(text, "/")
	body, rooted := strings.CutPrefix(strings.TrimSuffix(text, "/"), "/")
	if !rooted && !gitlab {
		rooted = strings.Contains(body, "/")
	}
	// GitHub: a folder's name stands for all below it, but dir/* for the files right in it.
	inside := folder || !gitlab && body != "*" && !strings.HasSuffix(body, "/*")
	if rooted && !strings.ContainsAny(body, `*?[\`) && !folder {
		return pattern{exact: body, inside: inside}, ""
	}
	var re strings.Builder
	re.WriteString(`^`)
	if !rooted {
		re.WriteString(`(?:.*/)?`)
	}
	parts := strings.Split(body, "/")
	for i, part := range parts {
		last := i == len(parts)-1
		switch {
		case part == "**" && last:
			re.WriteString(`.*`)
		case part == "**":
			re.WriteString(`(?:.*/)?`)
		default:
			segment(&re, part)
			if !last {
				re.WriteString(`/`)
			}
		}
	}
	switch {
	case folder:
		re.WriteString(`/.*`)
	case inside:
		re.WriteString(`(?:/.*)?`)
	}
	re.WriteString(`$`)
	compiled, err := regexp.Compile(`(?s)` + re.String())
	if err != nil {
		return p, "the pattern cannot be read"
	}
	return pattern{re: compiled}, ""
}

// segment writes what stands between two slashes.
func segment(re *strings.Builder, part string) {
	for i := 0; i < len(part); i++ {
		switch c := part[i]; c {
		case '*':
			for i+1 < len(part) && part[i+1] == '*' {
				i++
			}
			re.WriteString(`[^/]*`)
		case '?':
			re.WriteString(`[^/]`)
		case '\\':
			if i+1 < len(part) {
				i++
				re.WriteString(regexp.QuoteMeta(part[i : i+1]))
			}
		default:
			if c < 0x80 {
				re.WriteString(regexp.QuoteMeta(part[i : i+1]))
			} else {
				re.WriteByte(c) // a part of a character that means nothing special
			}
		}
	}
}

// unescaped leaves out the characters that a backslash protects.
func unescaped(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' {
			i++
			continue
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
