package web

import (
	"fmt"
	"html"
	"html/template"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Names, messages, file contents and logs come from people who may wish to show one thing
// and mean another: right-to-left overrides, zero-width letters, control bytes. Whatever such
// text is shown through one of the functions below, which keep it inert (escaped) and put the
// code point in place of every character that a reader could not see.

// hidden reports whether r would be invisible or reorder its neighbours. Tab and line feed
// are layout and stay.
func hidden(r rune) bool {
	switch {
	case r == '\t', r == '\n':
		return false
	case r < 0x20, r >= 0x7f && r < 0xa0:
		return true
	case r == 0x00ad, r == 0x034f, r == 0x061c, r == 0x115f, r == 0x1160, r == 0x17b4, r == 0x17b5, r == 0x180e, r == 0x3164, r == 0xffa0:
		return true
	case r >= 0x200b && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f:
		return true
	case r == 0xfeff, r >= 0xfff0 && r <= 0xfffb, r >= 0xe0000 && r <= 0xe0fff:
		return true
	}
	return unicode.Is(unicode.Co, r)
}

// allPlain reports whether s holds nothing that must be escaped or marked: the common case.
func allPlain(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c >= 0x7f || c < 0x20 && c != '\t' && c != '\n' || c == '<' || c == '>' || c == '&' || c == '"' || c == '\'' {
			return false
		}
	}
	return true
}

// mark is what stands in place of a hidden character: "U+202E", or "\xE9" for a byte that is
// no UTF-8.
func mark(r rune, raw string) string {
	if r == utf8.RuneError && len(raw) == 1 {
		return fmt.Sprintf(`\x%02X`, raw[0])
	}
	return fmt.Sprintf("U+%04X", r)
}

// writeVisible writes s as HTML text with hidden characters marked.
func writeVisible(b *strings.Builder, s string) {
	if allPlain(s) {
		b.WriteString(s)
		return
	}
	start := 0
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		bad := r == utf8.RuneError && n == 1
		if bad || hidden(r) {
			b.WriteString(html.EscapeString(s[start:i]))
			b.WriteString(`<span class="hid" title="hidden character">`)
			b.WriteString(mark(r, s[i:i+n]))
			b.WriteString(`</span>`)
			start = i + n
		}
		i += n
	}
	b.WriteString(html.EscapeString(s[start:]))
}

// visible is s as HTML text: the way every name, subject and message reaches a page.
func visible(s string) template.HTML {
	var b strings.Builder
	writeVisible(&b, s)
	return template.HTML(b.String()) //nolint:gosec // escaped by writeVisible
}

// plain is s for places that hold no markup (titles, attributes, text for a Markdown parser):
// hidden characters become their code point in brackets.
func plain(s string) string {
	if allPlain(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || hidden(r) {
			b.WriteString("[" + mark(r, s[i:i+n]) + "]")
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// message is a commit message as HTML: hidden characters marked, web addresses linked.
func message(s string) template.HTML {
	var b strings.Builder
	for s != "" {
		at := nextURL(s)
		if at < 0 {
			break
		}
		end := at + urlLength(s[at:])
		writeVisible(&b, s[:at])
		address := s[at:end]
		b.WriteString(`<a rel="nofollow noopener" href="` + html.EscapeString(address) + `">`)
		writeVisible(&b, address)
		b.WriteString(`</a>`)
		s = s[end:]
	}
	writeVisible(&b, s)
	return template.HTML(b.String()) //nolint:gosec // escaped piece by piece
}

func nextURL(s string) int {
	http, https := strings.Index(s, "http://"), strings.Index(s, "https://")
	switch {
	case http < 0:
		return https
	case https < 0:
		return http
	}
	return min(http, https)
}

// urlLength is how far the address at the start of s reaches: visible ASCII without quotes
// and brackets, and without the punctuation that ends a sentence.
func urlLength(s string) int {
	n := strings.IndexFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune("<>\"'`()[]{}|\\^", r)
	})
	if n < 0 {
		n = len(s)
	}
	return len(strings.TrimRight(s[:n], ".,;:!?"))
}
