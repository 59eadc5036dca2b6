package syntax

import (
	"regexp"
	"strings"
)

// A hook takes what only one language has, before anything else is tried. It reports whether
// it took something.

// annotated takes "@Override" and "@app.route".
func annotated(s *scanner) bool {
	if s.text[s.at] != '@' {
		return false
	}
	i := s.at + 1
	for i < len(s.text) && (s.lang.inWord(s.text[i]) || s.text[i] == '.') {
		i++
	}
	if i == s.at+1 {
		return false
	}
	s.take(i, mark)
	return true
}

// directive takes the "#include <stdio.h>" of C: the word, and the file.
func directive(s *scanner) bool {
	if s.text[s.at] != '#' || !s.first() {
		return false
	}
	i := s.at + 1
	for i < len(s.text) && (s.text[i] == ' ' || s.text[i] == '\t') {
		i++
	}
	word := i
	for i < len(s.text) && isAlpha(s.text[i]) {
		i++
	}
	file := strings.HasPrefix(s.text[word:i], "include")
	s.take(i, keyword)
	for i < len(s.text) && s.text[i] == ' ' {
		i++
	}
	if file && i < len(s.text) && s.text[i] == '<' {
		if end := strings.IndexByte(s.text[i:s.lineEnd(i)], '>'); end > 0 {
			s.emit(i, i+end+1, str)
			s.at = i + end + 1
		}
	}
	return true
}

// first reports whether nothing but white space stands before this on its line.
func (s *scanner) first() bool {
	i := s.at
	for i > 0 && (s.text[i-1] == ' ' || s.text[i-1] == '\t') {
		i--
	}
	return i == 0 || s.text[i-1] == '\n'
}

// maxDelimiter is the longest delimiter of a raw string in C++ (C++17, lex.string).
const maxDelimiter = 16

// rawC takes R"x(…)x" as well as directives.
func rawC(s *scanner) bool {
	rest := s.rest()
	if !strings.HasPrefix(rest, `R"`) {
		return directive(s)
	}
	n := strings.IndexByte(rest[:min(len(rest), 3+maxDelimiter)], '(')
	if n < 0 || strings.ContainsAny(rest[2:n], "\" \\)\n") {
		return false
	}
	end := strings.Index(rest[n:], ")"+rest[2:n]+`"`)
	if end < 0 {
		s.take(len(s.text), str)
		return true
	}
	s.take(s.at+n+end+n, str) // ")", the delimiter and the quote are as long as R"x(, one less
	return true
}

const (
	// maxHashes is how many # a raw string of Rust may have (the language's own bound).
	maxHashes = 255
	// maxAttribute and maxRegexp bound the look for the end of what may be something else: longer
	// ones stay without colour.
	maxAttribute = 300
	maxRegexp    = 300
)

// rust takes raw strings, lifetimes, attributes and the names of macros.
func rust(s *scanner) bool {
	rest := s.rest()
	switch c := rest[0]; {
	case c == 'r' || c == 'b':
		return s.rawRust(strings.TrimPrefix(rest, "b"))
	case c == '\'':
		n := 1
		for n < len(rest) && s.lang.inWord(rest[n]) {
			n++
		}
		if n == 1 || n < len(rest) && rest[n] == '\'' {
			return false
		}
		s.take(s.at+n, mark)
		return true
	case c == '#' && (strings.HasPrefix(rest, "#[") || strings.HasPrefix(rest, "#![")):
		depth := 0
		for i := s.at; i < min(len(s.text), s.at+maxAttribute) && s.text[i] != '\n'; i++ {
			switch s.text[i] {
			case '[':
				depth++
			case ']':
				if depth--; depth == 0 {
					s.take(i+1, mark)
					return true
				}
			}
		}
	case isAlpha(c) || c == '_':
		n := 1
		for n < len(rest) && s.lang.inWord(rest[n]) {
			n++
		}
		if n+1 < len(rest) && rest[n] == '!' && strings.IndexByte("([{ ", rest[n+1]) >= 0 {
			s.take(s.at+n+1, function)
			return true
		}
	}
	return false
}

// rawRust takes r"…" and br##"…"##; raw begins with the r.
func (s *scanner) rawRust(raw string) bool {
	if !strings.HasPrefix(raw, "r") {
		return false
	}
	hashes := len(raw[1:min(len(raw), maxHashes)]) - len(strings.TrimLeft(raw[1:min(len(raw), maxHashes)], "#"))
	if !strings.HasPrefix(raw[1+hashes:], `"`) {
		return false
	}
	from := len(s.text) - len(raw) + hashes + 2
	end := strings.Index(s.text[from:], `"`+strings.Repeat("#", hashes))
	if end < 0 {
		s.take(len(s.text), str)
		return true
	}
	s.take(from+end+1+hashes, str)
	return true
}

// beforeRegexp are the bytes after which "/" begins a regular expression and divides nothing.
const beforeRegexp = "(,=:[!&|?{;+-*%>~^kd\x00"

// script takes regular expressions, and what is annotated.
func script(s *scanner) bool {
	rest := s.rest()
	if rest[0] != '/' || len(rest) < 2 || rest[1] == '/' || rest[1] == '*' || strings.IndexByte(beforeRegexp, s.last) < 0 {
		return annotated(s)
	}
	set := false
	for i := 1; i < min(len(rest), maxRegexp) && rest[i] != '\n'; i++ {
		switch c := rest[i]; {
		case c == '\\':
			i++
		case c == '[':
			set = true
		case c == ']':
			set = false
		case c == '/' && !set:
			for i++; i < len(rest) && isAlpha(rest[i]); i++ {
			}
			s.take(s.at+i, str)
			return true
		}
	}
	return false
}

var hereDocument = regexp.MustCompile(`^<<(-?)[ \t]*(?:\\?([A-Za-z_][A-Za-z0-9_]*)|'([^'\n]{1,80})'|"([^"\n]{1,80})")`)

// shell takes comments, which begin a word, what is escaped, and notes here-documents.
func shell(s *scanner) bool {
	switch s.text[s.at] {
	case '\\':
		s.at = min(s.at+2, len(s.text))
		s.last = 'x'
		return true
	case '#':
		if s.at > 0 && strings.IndexByte(" \t\n;|&()`", s.text[s.at-1]) < 0 {
			return false
		}
		s.take(s.lineEnd(s.at), comment)
		return true
	case '<':
		rest := s.rest()
		if strings.HasPrefix(rest, "<<<") {
			s.at += 3
			return true
		}
		m := hereDocument.FindStringSubmatch(rest[:min(len(rest), 120)])
		if m == nil {
			return false
		}
		if s.astray < maxAstray {
			s.here = append(s.here, document{end: m[2] + m[3] + m[4], tabs: m[1] != ""})
		}
		s.at += len(m[0])
		s.last = 'x'
		return true
	}
	return false
}
