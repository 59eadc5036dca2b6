package main

import (
	"bytes"
	"strings"
	"testing"
)

// Logs are written by whoever pushed: a terminal that shows one must not obey it.
func TestLogsAreTame(t *testing.T) {
	for _, c := range []struct{ name, log, want string }{
		{"text", "a\tb\r\nc\n", "a\tb\r\nc\n"},
		{"colours", "\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"},
		{"clear", "\x1b[2J\x1b[Hgone", "gone"},
		{"title", "\x1b]0;evil\x07text", "text"},
		{"clipboard", "\x1b]52;c;ZXZpbA==\x1b\\text", "text"},
		{"device control", "\x1bP$q\x1b\\text", "text"},
		{"a string without end", "\x1b]0;evil\ntext", "text"},
		{"answer back", "\x1b[c\x05\x1bZtext", "text"},
		{"backspace", "good\b\b\b\bevil\x7f", "goodevil"},
		{"an endless sequence", "\x1b[" + strings.Repeat("1;", 1000) + "mtext", strings.Repeat("1;", 1000)[4*maxHeld-1:] + "mtext"},
		{"two escapes", "\x1b\x1b[2Jtext", "text"},
		{"cut", "text\x1b[3", "text"},
		{"sequences of one character", "\u009b2Jtext", "2Jtext"},
		{"reordered", "user\u202enimda\u202c", "user<U+202E>nimda<U+202C>"},
		{"no UTF-8", "a\xffb\xe4\xb8c\xc3", "a?b?c"},
		{"letters", "héllo 世界", "héllo 世界"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var whole, pieces bytes.Buffer
			all := &tameLog{w: &whole}
			if _, err := all.Write([]byte(c.log)); err != nil {
				t.Fatal(err)
			}
			each := &tameLog{w: &pieces}
			for _, b := range []byte(c.log) { // cut anywhere
				if _, err := each.Write([]byte{b}); err != nil {
					t.Fatal(err)
				}
			}
			if whole.String() != c.want || pieces.String() != c.want {
				t.Errorf("%q and %q, want %q", whole.String(), pieces.String(), c.want)
			}
		})
	}
}
