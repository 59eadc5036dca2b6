package diff

import (
	"errors"
	"strings"
)

// header is what git says about a file before its lines.
type header struct {
	git              string // what follows "diff --git ", both names in one
	minus, plus      string // what follows "--- " and "+++ "
	from, to         string // of a rename or a copy, still quoted
	oldMode, newMode string
	status           byte // 0: modified
	binary           bool
}

// take reads one extended header line and reports whether it was one.
func (h *header) take(line string) bool {
	for _, known := range [...]struct {
		prefix string
		set    func(value string)
	}{
		{"old mode ", func(v string) { h.oldMode = v }},
		{"new mode ", func(v string) { h.newMode = v }},
		{"deleted file mode ", func(v string) { h.oldMode, h.status = v, 'D' }},
		{"new file mode ", func(v string) { h.newMode, h.status = v, 'A' }},
		{"copy from ", func(v string) { h.from, h.status = v, 'C' }},
		{"copy to ", func(v string) { h.to = v }},
		{"rename from ", func(v string) { h.from, h.status = v, 'R' }},
		{"rename to ", func(v string) { h.to = v }},
		{"similarity index ", func(string) {}},
		{"dissimilarity index ", func(string) {}},
		{"index ", h.index},
	} {
		if value, ok := strings.CutPrefix(line, known.prefix); ok {
			known.set(value)
			return true
		}
	}
	return false
}

// index reads "OLD..NEW MODE"; the mode is there when it did not change.
func (h *header) index(value string) {
	if _, mode, ok := strings.Cut(value, " "); ok {
		h.oldMode, h.newMode = mode, mode
	}
}

var errNames = errors.New("cannot tell the file's name")

// file is what the header says, with names unquoted.
func (h *header) file() (File, error) {
	f := File{Status: h.status, OldMode: h.oldMode, NewMode: h.newMode, Binary: h.binary}
	if f.Status == 0 {
		f.Status = 'M'
	}
	var ok bool
	switch {
	case h.from != "" || h.to != "":
		var okFrom, okTo bool
		f.OldPath, okFrom = name(h.from, "")
		f.NewPath, okTo = name(h.to, "")
		ok = okFrom && okTo
	case h.plus != "" && h.plus != "/dev/null":
		f.NewPath, ok = name(h.plus, "b/")
		f.OldPath = f.NewPath
	case h.minus != "" && h.minus != "/dev/null":
		f.OldPath, ok = name(h.minus, "a/")
		f.NewPath = f.OldPath
	default:
		f.OldPath, ok = sameName(h.git)
		f.NewPath = f.OldPath
	}
	if !ok {
		return File{}, errNames
	}
	if f.Status == 'M' && kindOfMode(f.OldMode) != kindOfMode(f.NewMode) {
		f.Status = 'T'
	}
	return f, nil
}

// kindOfMode is the part of a mode that says file, link or submodule.
func kindOfMode(mode string) string {
	const digits = 3
	if len(mode) < digits {
		return mode
	}
	return mode[:digits]
}

// name unquotes a name and takes its prefix off. git ends an unquoted name that holds a
// space with a tab, so that patch programs find its end.
func name(s, prefix string) (string, bool) {
	if strings.HasPrefix(s, `"`) {
		text, rest, ok := unquote(s)
		if !ok || (rest != "" && rest != "\t") {
			return "", false
		}
		s = text
	} else {
		s = strings.TrimSuffix(s, "\t")
	}
	s, ok := strings.CutPrefix(s, prefix)
	return s, ok && s != ""
}

// sameName finds the name in "a/NAME b/NAME": the only place that has it when a file was
// added or deleted empty, is binary, or changed its mode alone.
func sameName(s string) (string, bool) {
	if strings.HasPrefix(s, `"`) {
		first, rest, ok := unquote(s)
		if !ok {
			return "", false
		}
		second, ok := name(strings.TrimPrefix(rest, " "), "b/")
		return second, ok && strings.TrimPrefix(first, "a/") == second
	}
	half := len(s) / 2
	if len(s)%2 == 0 || s[half] != ' ' {
		return "", false
	}
	first, okFirst := strings.CutPrefix(s[:half], "a/")
	second, okSecond := strings.CutPrefix(s[half+1:], "b/")
	return first, okFirst && okSecond && first == second && first != ""
}

// unquote reads a name that git wrote in C style (quote.c): "a\tb\303\244". rest is what
// follows the closing quote.
func unquote(s string) (text, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			i++
			if i == len(s) {
				return "", "", false
			}
			c, width, ok := escape(s[i:])
			if !ok {
				return "", "", false
			}
			b.WriteByte(c)
			i += width - 1
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}

// escape reads what follows a backslash: one letter, or three octal digits.
func escape(s string) (c byte, width int, ok bool) {
	if at := strings.IndexByte(`abtnvfr"\`, s[0]); at >= 0 {
		return "\a\b\t\n\v\f\r\"\\"[at], 1, true
	}
	const digits = 3
	if len(s) < digits {
		return 0, 0, false
	}
	value := 0
	for _, d := range []byte(s[:digits]) {
		if d < '0' || d > '7' {
			return 0, 0, false
		}
		value = value*8 + int(d-'0')
	}
	return byte(value), digits, value < 256
}
