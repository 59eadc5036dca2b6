package main

import (
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"
)

// tameLog passes a log on without what would move a terminal's cursor, set its title or fill
// its clipboard: of all control sequences (ECMA-48) only colours and the like (SGR) stay, of
// control characters line feeds, tabs and carriage returns. What would reorder letters is named.
type tameLog struct {
	w      io.Writer
	state  tameState
	held   []byte // a sequence that may be one of SGR
	letter []byte // the beginning of a character of several bytes
}

// maxHeld is how long a sequence of SGR may be; longer ones are dropped.
const maxHeld = 64

type tameState int

// Where the filter is.
const (
	inText   tameState = iota
	inEscape           // after ESC
	inCSI              // in a control sequence
	inString           // in a string that BEL or ST ends
	inEnd              // after ESC in such a string
)

// Write passes on what is harmless of p.
func (t *tameLog) Write(p []byte) (int, error) {
	out := make([]byte, 0, len(p))
	for _, b := range p {
		out = t.next(out, b)
	}
	if _, err := t.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (t *tameLog) next(out []byte, b byte) []byte {
	if len(t.letter) > 0 || t.state == inText && b >= utf8.RuneSelf {
		return t.inLetter(out, b)
	}
	switch t.state {
	case inText:
		switch {
		case b == 0x1b:
			t.state = inEscape
		case b == '\n' || b == '\t' || b == '\r' || b >= 0x20 && b != 0x7f:
			out = append(out, b)
		}
	case inEscape:
		switch b {
		case '[':
			t.state, t.held = inCSI, append(t.held[:0], 0x1b, '[')
		case ']', 'P', 'X', '^', '_':
			t.state = inString
		case 0x1b:
		default:
			t.state = inText // one character, or the first of two; neither prints
		}
	case inCSI:
		t.held = append(t.held, b)
		switch {
		case b == 0x1b:
			t.state = inEscape
		case b >= 0x40 && b <= 0x7e:
			t.state = inText
			if b == 'm' && len(t.held) <= maxHeld {
				out = append(out, t.held...)
			}
		case b < 0x20 || len(t.held) > 4*maxHeld:
			t.state = inText
		}
	case inString:
		switch b {
		case 0x07, '\n': // a string without an end does not swallow the log
			t.state = inText
		case 0x1b:
			t.state = inEnd
		}
	case inEnd:
		t.state = inText
		if b != '\\' {
			t.state = inEscape
			return t.next(out, b)
		}
	}
	return out
}

// inLetter gathers the bytes of a character. What is none becomes a question mark.
func (t *tameLog) inLetter(out []byte, b byte) []byte {
	if b < utf8.RuneSelf { // cut short
		t.letter = t.letter[:0]
		return t.next(append(out, '?'), b)
	}
	t.letter = append(t.letter, b)
	if !utf8.FullRune(t.letter) {
		return out
	}
	r, n := utf8.DecodeRune(t.letter)
	rest := append([]byte(nil), t.letter[n:]...)
	t.letter = t.letter[:0]
	switch {
	case r == utf8.RuneError:
		out = append(out, '?')
	case unicode.IsControl(r): // U+009B begins a control sequence too
	case unicode.Is(unicode.Bidi_Control, r):
		out = fmt.Appendf(out, "<%U>", r)
	default:
		out = utf8.AppendRune(out, r)
	}
	for _, b := range rest {
		out = t.next(out, b)
	}
	return out
}
