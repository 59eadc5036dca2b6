package gitserver

import (
	"strings"
	"unicode/utf8"
)

// maxReason bounds the reason in a report line: git shows it in brackets on one line.
const maxReason = 400

// cleanLine makes text safe for somebody's terminal: one line, valid UTF-8, without control
// characters (ESC starts a terminal's own commands, CVE-2025-64494) and without the
// characters that reorder text.
func cleanLine(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unsafeRune(r):
			return -1
		default:
			return r
		}
	}, strings.ToValidUTF8(text, string(utf8.RuneError)))
}

// cleanProgress is cleanLine for what a git child prints, where CR and LF move the cursor
// and TAB aligns.
func cleanProgress(text []byte) []byte {
	return []byte(strings.Map(func(r rune) rune {
		if r != '\n' && r != '\r' && r != '\t' && unsafeRune(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(text), "?")))
}

// unsafeRune reports control characters (C0, DEL, C1) and the bidirectional marks,
// embeddings, overrides and isolates of Unicode Standard Annex #9.
func unsafeRune(r rune) bool {
	return r < 0x20 || (r >= 0x7f && r <= 0x9f) || r == 0x061c || r == 0x200e || r == 0x200f ||
		(r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069)
}

// cleanReason is a report line's reason: one short clean line.
func cleanReason(text string) string {
	return clip(cleanLine(strings.TrimSpace(text)), maxReason)
}

// clip cuts text to at most max bytes at a character's border and says so.
func clip(text string, max int) string {
	if len(text) <= max {
		return text
	}
	cut := max - len("…")
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
