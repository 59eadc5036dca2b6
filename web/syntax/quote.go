package syntax

import "strings"

// quote is a way to write a string.
type quote struct {
	open, close string
	escape      bool   // a backslash takes the next byte with it
	doubled     bool   // the end written twice stands for itself
	lines       bool   // it may go on over the end of a line
	inside      string // begins code within it, "" for none; the last byte is the bracket
	outside     byte   // ends that code
}

// quoted takes a string. One that must end on its line and does not is no string: an
// apostrophe in the text of a page, say.
func (s *scanner) quoted() bool {
	if !s.lang.quoting[s.text[s.at]] {
		return false
	}
	rest := s.rest()
	for i := range s.lang.quotes {
		q := &s.lang.quotes[i]
		if !strings.HasPrefix(rest, q.open) || s.at < s.dry[q] {
			continue
		}
		depth := len(s.inside)
		end, whole := s.body(q, s.at+len(q.open))
		if !whole {
			if s.dry == nil {
				s.dry = map[*quote]int{}
			}
			s.dry[q] = end
			continue
		}
		kind := str
		if s.lang.keys && depth == len(s.inside) && s.colonAt(end) {
			kind = tag
		}
		s.string(end, kind, depth)
		return true
	}
	return false
}

// string takes a string up to its end, or up to the code in it, when it went deeper than depth.
func (s *scanner) string(end int, kind string, depth int) {
	if s.take(end, kind); depth < len(s.inside) {
		s.last = '('
	}
}

// body looks for the end of a string from i on, or for the code that begins within it. whole is
// false when the line ended first.
func (s *scanner) body(q *quote, i int) (end int, whole bool) {
	for i < len(s.text) {
		c := s.text[i]
		switch {
		case c == '\\' && q.escape:
			i++ // and what it stands before
		case c == '\n' && !q.lines:
			return i, false
		case c == q.close[0] && strings.HasPrefix(s.text[i:], q.close):
			if i += len(q.close); !q.doubled || !strings.HasPrefix(s.text[i:], q.close) {
				return i, true
			}
			i += len(q.close) - 1
		case q.inside != "" && c == q.inside[0] && strings.HasPrefix(s.text[i:], q.inside) && len(s.inside) < maxInside:
			s.inside = append(s.inside, frame{q, 1})
			return i + len(q.inside), true
		}
		i++
	}
	return len(s.text), q.lines
}

func (s *scanner) colonAt(i int) bool {
	return strings.HasPrefix(strings.TrimLeft(s.text[i:min(i+8, len(s.text))], " "), ":")
}

// document is a here-document of a shell that has been announced.
type document struct {
	end  string // the line that ends it
	tabs bool   // which tabs may stand before
}

// maxAstray is how many here-documents may be looked for in vain in one text: each takes a look
// at all of it.
const maxAstray = 8

// documents takes the here-documents that begin on this line.
func (s *scanner) documents() {
	here := s.here
	s.here = nil
	for _, d := range here {
		end := s.documentEnd(d)
		if end < 0 {
			s.astray++
			return // an arithmetic shift, probably
		}
		s.take(end, str)
	}
}

func (s *scanner) documentEnd(d document) int {
	for i := s.at; i < len(s.text); {
		end := s.lineEnd(i)
		line := s.text[i:end]
		if d.tabs {
			line = strings.TrimLeft(line, "\t")
		}
		if line == d.end {
			return end
		}
		i = end + 1
	}
	return -1
}
