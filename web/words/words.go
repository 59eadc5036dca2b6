// Package words holds what the pages say in languages other than English.
//
// The English text is the key. It stands where it is used: in the templates, and in Go as a
// [Word] or a [Text]. A language is one JSON file that gives each English text its
// translation (see [Read]); [Messages] and [Translate] cut the templates into such texts, so
// that nothing in a template has to be marked and nothing in it can be forgotten.
//
// Invariants: what a language lacks, or has wrong, is said in English, never left out. A
// translation can move and repeat the places of a message, and cannot add markup: all that
// it says is escaped. What people wrote is never translated, nor what programs read. A
// template is the same tree in English as if this package did not exist.
package words

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

// maxFile is the largest file that is read, in bytes: all the pages say is a tenth of it.
const maxFile = 4 << 20

// Word is an English text of the pages without places.
type Word string

// Text is an English text with places, {1} to {9}, and what goes there: a Word, a Text, a
// number, or a string, which is never translated.
type Text struct {
	Source string
	Args   []any
	one    string // beside Source, the form for one; Args[0] is the number
}

// Say makes a text.
func Say(source string, args ...any) Text { return Text{Source: source, Args: args} }

// Plural is "1 file" or "3 files".
func Plural(n int, one, many string) Text { return Text{Source: many, one: one, Args: []any{n}} }

// String is the English text.
func (t Text) String() string { return (*Language)(nil).Text(t) }

// Language is what one file says. Nil is English.
type Language struct {
	Tag      language.Tag
	Name     string // in the language itself
	messages map[string]forms
	make     func(source string) string // of a made language
}

// forms are the translations of a message by CLDR's plural form; other stands for all that is missing.
type forms map[string]string

// UnmarshalJSON takes a text, or one text for each plural form.
func (f *forms) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*f = forms{"other": one}
		return nil
	}
	return json.Unmarshal(text, (*map[string]string)(f))
}

// Read reads a language:
//
//	{"language": "de", "name": "Deutsch", "messages": {
//	  "Sign out": "Abmelden",
//	  "patch set {1} on {2}": "Patchset {1} auf {2}",
//	  "file|files": {"one": "{n} Datei", "other": "{n} Dateien"}}}
//
// {1} is a place, <1>…</1> words that a link or an emphasis holds. Plural forms are CLDR's:
// zero, one, two, few, many, other.
func Read(text []byte) (*Language, error) {
	var file struct {
		Language, Name string
		Messages       map[string]forms
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("words: the file is larger than %d bytes", maxFile)
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("words: %w", err)
	}
	tag, err := language.Parse(file.Language)
	if err != nil {
		return nil, fmt.Errorf("words: language %q: %w", file.Language, err)
	}
	if file.Name == "" {
		file.Name = tag.String()
	}
	for source, all := range file.Messages {
		for form, text := range all {
			if err := fits(source, text); err != nil {
				return nil, fmt.Errorf("words: %q (%s): %w", source, form, err)
			}
		}
	}
	return &Language{Tag: tag, Name: file.Name, messages: file.Messages}, nil
}

// Made is a language whose texts are made of the English ones.
func Made(tag language.Tag, name string, make func(source string) string) *Language {
	return &Language{Tag: tag, Name: name, make: make}
}

// String is the language's tag, as in the attribute lang.
func (l *Language) String() string {
	if l == nil {
		return "en"
	}
	return l.Tag.String()
}

// find is the translation of a message that has no number.
func (l *Language) find(source string) (string, bool) {
	switch {
	case l == nil:
		return "", false
	case l.make != nil:
		return l.make(source), true
	}
	text, ok := l.messages[source]["other"]
	return text, ok
}

// Word translates a text without places.
func (l *Language) Word(source string) string {
	if text, ok := l.find(source); ok {
		return text
	}
	return source
}

// Plural is "1 file" or "3 files".
func (l *Language) Plural(n int, one, many string) string {
	english := strconv.Itoa(n) + " " + many
	if n == 1 {
		english = "1 " + one
	}
	switch {
	case l == nil:
		return english
	case l.make != nil:
		return strconv.Itoa(n) + " " + l.make(english[strings.IndexByte(english, ' ')+1:])
	}
	all, ok := l.messages[one+"|"+many]
	if !ok {
		return english
	}
	text, ok := all[formNames[plural.Cardinal.MatchPlural(l.Tag, max(n, -n), 0, 0, 0, 0)]]
	if !ok {
		text = all["other"]
	}
	return strings.ReplaceAll(text, "{n}", strconv.Itoa(n))
}

var formNames = map[plural.Form]string{
	plural.Other: "other", plural.Zero: "zero", plural.One: "one", plural.Two: "two", plural.Few: "few", plural.Many: "many",
}

// Text translates a text and what is in its places.
func (l *Language) Text(t Text) string {
	if t.one != "" {
		n, _ := t.Args[0].(int)
		return l.Plural(n, t.one, t.Source)
	}
	text := l.Word(t.Source)
	if len(t.Args) == 0 {
		return text
	}
	return place.ReplaceAllStringFunc(text, func(found string) string {
		n := int(found[1] - '0')
		if len(found) != 3 || n < 1 || n > len(t.Args) {
			return found
		}
		return fmt.Sprint(l.Say(t.Args[n-1]))
	})
}

// Say translates what this package can translate, and gives back everything else as it is.
func (l *Language) Say(v any) any {
	switch v := v.(type) {
	case Word:
		return l.Word(string(v))
	case Text:
		return l.Text(v)
	}
	return v
}

// SayBare is [Language.Say] that also looks up a string: what a template prints between tags
// without naming it as somebody else's is the pages' own.
func (l *Language) SayBare(v any) any {
	if s, ok := v.(string); ok {
		return l.Word(s)
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.String && r.Type().PkgPath() != safePackage {
		return l.Word(r.String()) // a state of a room below
	}
	return l.Say(v)
}

// safePackage has the string types that are no words: HTML, addresses.
const safePackage = "html/template"

// place is what a message has beside words: {1}, <1> or </1>.
var place = regexp.MustCompile(`\{[1-9][0-9]?\}|</?[1-9][0-9]?>`)

// fits reports whether a translation has the places of its message: each at least once, each
// pair of tags once and well nested.
func fits(source, text string) error {
	if strings.Contains(source, "|") { // a plural: its place is {n}
		return nil
	}
	want, got := map[string]int{}, map[string]int{}
	for _, p := range place.FindAllString(source, -1) {
		want[p]++
	}
	var open []string
	for _, p := range place.FindAllString(text, -1) {
		got[p]++
		switch {
		case want[p] == 0:
			return fmt.Errorf("%s is no place of the message", p)
		case strings.HasPrefix(p, "</"):
			if len(open) == 0 || open[len(open)-1] != p[2:] {
				return fmt.Errorf("%s closes what is not open", p)
			}
			open = open[:len(open)-1]
		case p[0] == '<':
			open = append(open, p[1:])
			if got[p] > 1 {
				return fmt.Errorf("%s is there twice", p)
			}
		}
	}
	for p := range want {
		if got[p] == 0 {
			return fmt.Errorf("%s is missing", p)
		}
	}
	return nil
}

// ReadAll reads every language in a folder, *.json. A file that cannot be read is left out,
// and named in the error beside the languages that can.
func ReadAll(folder fs.FS) ([]*Language, error) {
	names, err := fs.Glob(folder, "*.json")
	if err != nil {
		return nil, err
	}
	var all []*Language
	var wrong []error
	for _, name := range names {
		text, err := fs.ReadFile(folder, name)
		if err == nil {
			var l *Language
			if l, err = Read(text); err == nil {
				all = append(all, l)
				continue
			}
		}
		wrong = append(wrong, fmt.Errorf("%s: %w", name, err))
	}
	return all, errors.Join(wrong...)
}
