package syntax

import (
	"strings"
)

// Span is a stretch of a line: up to End (bytes from the line's start), in the style Class of
// the style sheet, "" for ordinary text.
type Span struct {
	End   int
	Class string
}

// The classes, as the style sheet names them.
const (
	comment  = "c"
	keyword  = "k"
	typeName = "kt"
	function = "nf"
	class    = "nc"
	builtin  = "nb"
	tag      = "nt"
	mark     = "na" // annotations and decorators
	str      = "s"
	number   = "m"
)

// maxInside bounds how deep code stands in strings that stand in code: `${`${…}`}`. What is
// deeper is coloured as the string around it.
const maxInside = 32

// dots is "..." as the byte that was read last: what follows is no member.
const dots = 'd'

// Colour gives the stretches of each line of text, in the language that the name of its file
// says. known is false when that is none of those that this package knows.
func Colour(name, text string) (lines [][]Span, known bool) {
	l := byName(name)
	if l == nil {
		return nil, false
	}
	return l.colour(text), true
}

// ColourAs does the same for a language by its name, such as a fence in Markdown gives.
func ColourAs(language, text string) (lines [][]Span, known bool) {
	l := byLanguage[strings.ToLower(language)]
	if l == nil {
		return nil, false
	}
	return l.colour(text), true
}

func (l *language) colour(text string) [][]Span {
	s := scanner{sink: newSink(text), lang: l}
	for s.at < len(text) {
		s.step()
	}
	return s.lines()
}

// scanner walks through a text.
type scanner struct {
	sink
	lang   *language
	at     int
	inside []frame        // the strings that the code here stands in
	next   string         // the class of the next name: what stands after "def" is a function's
	dry    map[*quote]int // up to where it is known that no such string ends
	last   byte           // what was read last, space and comments aside: 'x' a value, 'k' a keyword, or the byte
	here   []document     // those whose text begins with the next line
	astray int            // here-documents that did not end
}

// frame is a string with code inside it.
type frame struct {
	quote *quote
	depth int // of brackets opened within the code
}

// step takes one token.
func (s *scanner) step() {
	c := s.text[s.at]
	switch {
	case c == '\n':
		s.at++
		if len(s.here) > 0 {
			s.documents()
		}
	case c == ' ' || c == '\t' || c == '\r':
		s.at++
	case s.lang.hook != nil && s.lang.hook(s):
	case s.comment():
	case s.quoted():
	case c >= '0' && c <= '9' || c == '.' && s.digitAt(s.at+1):
		s.number()
	case s.lang.letter(c):
		s.name()
	case s.bracket(c):
	default:
		s.at++
		if s.next = ""; c == '.' && (s.last == '.' || s.last == dots) {
			c = dots
		}
		s.last = c
	}
}

// take colours everything up to end.
func (s *scanner) take(end int, class string) {
	s.emit(s.at, end, class)
	s.at = end
	if class != comment {
		s.last, s.next = 'x', ""
	}
}

// rest is the text from here on.
func (s *scanner) rest() string { return s.text[s.at:] }

func (s *scanner) digitAt(i int) bool { return i < len(s.text) && s.text[i] >= '0' && s.text[i] <= '9' }

// lineEnd is where the line ends that i stands in.
func (s *scanner) lineEnd(i int) int {
	if n := strings.IndexByte(s.text[i:], '\n'); n >= 0 {
		return i + n
	}
	return len(s.text)
}

func (s *scanner) comment() bool {
	rest := s.rest()
	for _, open := range s.lang.line {
		if strings.HasPrefix(rest, open) {
			s.take(s.lineEnd(s.at), comment)
			return true
		}
	}
	if s.lang.open == "" || !strings.HasPrefix(rest, s.lang.open) {
		return false
	}
	s.take(s.blockEnd(), comment)
	return true
}

// blockEnd is where the block comment ends that begins here.
func (s *scanner) blockEnd() int {
	i, depth := s.at+len(s.lang.open), 1
	for {
		n := strings.Index(s.text[i:], s.lang.close)
		if n < 0 {
			return len(s.text)
		}
		if s.lang.nested {
			depth += strings.Count(s.text[i:i+n], s.lang.open)
		}
		i += n + len(s.lang.close)
		if depth--; depth == 0 {
			return i
		}
	}
}

// number takes digits with what belongs to them: bases, separators, exponents, suffixes.
func (s *scanner) number() {
	i, hex := s.at, strings.HasPrefix(s.rest(), "0x") || strings.HasPrefix(s.rest(), "0X")
	for i < len(s.text) {
		c := s.text[i]
		switch {
		case c == '_' || isAlnum(c):
		case c == '.' && !s.dotEnds(i):
		case (c == '+' || c == '-') && exponent(s.text[i-1], hex) && s.digitAt(i+1):
		case c == '\'' && s.lang.ticks && i+1 < len(s.text) && isAlnum(s.text[i+1]):
		default:
			s.take(i, number)
			return
		}
		i++
	}
	s.take(i, number)
}

// dotEnds reports whether a number is over before a dot: in a range ("1..9") and before a
// method ("1.max(2)").
func (s *scanner) dotEnds(i int) bool {
	if i+1 == len(s.text) {
		return false
	}
	next := s.text[i+1]
	return next == '.' || next == '_' || isAlpha(next) && next|0x20 != 'e' && i+2 < len(s.text) && s.lang.inWord(s.text[i+2])
}

func exponent(c byte, hex bool) bool {
	return !hex && c|0x20 == 'e' || c|0x20 == 'p'
}

// name takes a word: a keyword, a type, the name of a function, or nothing in particular.
func (s *scanner) name() {
	i := s.at + 1
	for i < len(s.text) && s.lang.inWord(s.text[i]) {
		i++
	}
	word := s.text[s.at:i]
	key := word
	if s.lang.fold {
		key = strings.ToLower(word)
	}
	kind, known := s.lang.words[key]
	switch {
	case !known:
	case s.last == '.' && s.lang.members, kind == builtin && s.lang.functions && !s.calledAt(i):
		kind, known = "", false // a field, a variable: it may be called so
	}
	next := s.lang.declares[key]
	if !known {
		switch {
		case s.next != "":
			kind = s.next
		case s.lang.calls && s.calledAt(i):
			kind = function
		}
	}
	s.emit(s.at, i, kind)
	s.at, s.next, s.last = i, next, 'x'
	if known && kind == keyword {
		s.last = 'k'
	}
}

// calledAt reports whether an opening parenthesis follows.
func (s *scanner) calledAt(i int) bool {
	for i < len(s.text) && s.text[i] == ' ' {
		i++
	}
	return i < len(s.text) && s.text[i] == '('
}

// bracket counts the brackets of code inside a string, and goes back to the string at its end.
func (s *scanner) bracket(c byte) bool {
	if len(s.inside) == 0 {
		return false
	}
	f := &s.inside[len(s.inside)-1]
	switch c {
	case f.quote.inside[len(f.quote.inside)-1]:
		f.depth++
	case f.quote.outside:
		if f.depth--; f.depth == 0 {
			s.inside = s.inside[:len(s.inside)-1]
			depth := len(s.inside)
			end, _ := s.body(f.quote, s.at+1)
			s.string(end, str, depth)
			return true
		}
	}
	return false
}

func isAlpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isAlnum(c byte) bool { return isAlpha(c) || c >= '0' && c <= '9' }
