package notify

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxWord bounds a word that is quoted back.
const maxWord = 40

// invisible reports whether a reader could not see r, or would see its neighbours reordered.
func invisible(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co) || r == 0x115f || r == 0x1160 || r == 0x3164 || r == 0xffa0
}

// clean is text of other people for a place without markup: line ends and tabs stay, what a
// reader could not see stands as its code point.
func clean(text string) string {
	var b strings.Builder
	text = strings.ReplaceAll(text, "\r\n", "\n")
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `[\x%02X]`, text[i])
		case r == '\n', r == '\t':
			b.WriteRune(r)
		case invisible(r):
			fmt.Fprintf(&b, "[U+%04X]", r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// oneLine is text for a header, a subject or a row of a list: one line of at most so many characters.
func oneLine(text string, most int) string {
	text = clean(strings.Join(strings.Fields(text), " "))
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	runes := []rune(text)
	return strings.TrimSpace(string(runes[:most-1])) + "…"
}

// clip shortens a text of several lines.
func clip(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return strings.TrimSpace(string([]rune(text)[:most])) + "…"
}

// plural counts things.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
