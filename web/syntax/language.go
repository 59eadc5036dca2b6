package syntax

import (
	"maps"
	"path"
	"strings"
)

// language is what the scanner has to know of one.
type language struct {
	line        []string // what begins a comment to the end of the line
	open, close string   // around a comment, "" for none
	nested      bool     // comments stand in comments
	quotes      []quote
	words       map[string]string // their classes
	declares    map[string]string // after this word, the class of the next name
	extra       string            // what a word may hold besides letters, digits and _
	fold        bool              // words are the same in capitals
	calls       bool              // the name before a parenthesis is a function's
	functions   bool              // a built-in name is one only where it is called
	members     bool              // what follows a dot is a name even if it reads like a keyword
	keys        bool              // a string before a colon is a key
	ticks       bool              // 1'000
	hook        func(*scanner) bool

	quoting [256]bool // what a string may begin with
	letters [256]bool // what a word may begin with
	inside  [256]bool // what it may go on with
}

func (l *language) letter(c byte) bool { return l.letters[c] }
func (l *language) inWord(c byte) bool { return l.inside[c] }

// ready fills the tables.
func (l *language) ready() *language {
	for _, q := range l.quotes {
		l.quoting[q.open[0]] = true
	}
	for c := range 256 {
		b := byte(c)
		l.letters[c] = isAlpha(b) || b == '_' || b >= 0x80 || strings.IndexByte(l.extra, b) >= 0
		l.inside[c] = l.letters[c] || b >= '0' && b <= '9'
	}
	return l
}

// words puts lists of words, separated by spaces, into one table: class, list, class, list, …
func words(pairs ...string) map[string]string {
	all := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		for _, word := range strings.Fields(pairs[i+1]) {
			all[word] = pairs[i]
		}
	}
	return all
}

func and(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// byLanguage are the languages by the names that Markdown's fences give them.
var byLanguage = func() map[string]*language {
	all := map[string]*language{}
	for _, e := range languages {
		e.is.ready()
		for _, name := range strings.Fields(e.names) {
			all[name] = e.is
		}
	}
	return all
}()

// byEnding are the languages by the ends of file names.
var byEnding = func() map[string]*language {
	all := map[string]*language{}
	for _, e := range languages {
		for _, ending := range strings.Fields(e.endings) {
			all[ending] = e.is
		}
	}
	return all
}()

// byName is the language of a file, nil when its name does not say one of these.
func byName(name string) *language {
	return byEnding[strings.ToLower(path.Ext(name))]
}
