package web

import (
	"path/filepath"
	"strings"
	"sync"

	"github.com/alecthomas/chroma/v2"
	"github.com/alecthomas/chroma/v2/lexers"
)

// lexerFor finds the lexer for a file by its name, nil when there is none. The registry
// compares a name with every pattern of every language, which takes as long as colouring a
// page of code; nearly all patterns are "*.ext", so what is after a name's first dot decides,
// and is remembered.
func lexerFor(base string) chroma.Lexer {
	_, ending, has := strings.Cut(base, ".")
	key := "." + ending
	if !has || oddNames().matches(base) {
		key = base
	}
	if lexer, known := namedLexers.get(key); known {
		return lexer
	}
	lexer := lexers.Match(base)
	if lexer == nil {
		lexer = lexers.Match(strings.ToLower(base))
	}
	namedLexers.put(key, 1, lexer)
	return lexer
}

var namedLexers = lru[chroma.Lexer]{most: maxLanguages}

// odd are the patterns of file names that are not of the form "*.ext".
type odd struct {
	names map[string]bool
	globs []string
}

// oddNames collects them once.
var oddNames = sync.OnceValue(func() odd {
	o := odd{names: map[string]bool{}}
	for _, lexer := range lexers.GlobalLexerRegistry.Lexers {
		config := lexer.Config()
		for _, patterns := range [][]string{config.Filenames, config.AliasFilenames} {
			for _, p := range patterns {
				ending, simple := strings.CutPrefix(p, "*.")
				switch {
				case !strings.ContainsAny(p, `*?[\`):
					o.names[strings.ToLower(p)] = true
				case !simple || strings.ContainsAny(ending, `*?[\`):
					o.globs = append(o.globs, p)
				}
			}
		}
	}
	return o
})

func (o odd) matches(base string) bool {
	if o.names[strings.ToLower(base)] {
		return true
	}
	for _, g := range o.globs {
		for _, name := range [...]string{base, strings.ToLower(base)} {
			if ok, err := filepath.Match(g, name); ok && err == nil {
				return true
			}
		}
	}
	return false
}
