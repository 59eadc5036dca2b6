package web

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/alecthomas/chroma/v2"
	"github.com/alecthomas/chroma/v2/lexers"

	"gatehouse/review/diff"
	"gatehouse/web/syntax"
)

const (
	// maxHighlight is the largest text that is coloured: beyond it the colours cost more
	// time than a reader would wait.
	maxHighlight = 512 << 10
	// maxHighlightMixed is the same for a language inside another one (PHP, templates): their
	// lexers work in one go, where highlightBudget cannot stop them.
	maxHighlightMixed = 64 << 10
	// maxHighlightLine is the longest line in a text that is coloured: longer ones are
	// generated or minified, and slow in the lexers' regular expressions.
	maxHighlightLine = 2000
	// highlightBudget bounds one text. Lexers backtrack; what they did not reach in time
	// stays without colours.
	highlightBudget = 400 * time.Millisecond
	// colorBudget bounds all files of a diff together; those after it stay plain, and are
	// coloured on the next visit from what this one left in the cache.
	colorBudget = 2 * time.Second
	// maxLanguage is the longest name of a language; maxLanguages is how many are remembered.
	maxLanguage  = 40
	maxLanguages = 500
	// maxColorCache is how many bytes of source the cache of coloured texts may stand for.
	maxColorCache = 16 << 20
)

// span is a stretch of a line in one style.
type span = syntax.Span

// colored is a text's lines as stretches of style, nil for a line without any.
type colored [][]span

// line gives the stretches of line n (from 1), nil when there are none or they do not fit text.
func (c colored) line(n int, text string) []span {
	if n < 1 || n > len(c) || len(c[n-1]) == 0 || c[n-1][len(c[n-1])-1].End != len(text) {
		return nil
	}
	return c[n-1]
}

// highlight colours text by the name of its file. It gives nil for what it does not know,
// what is too large and what is not UTF-8. whole is false when time ran out before the end.
func highlight(ctx context.Context, name, text string) (colors colored, whole bool) {
	if len(text) > maxHighlight || !utf8.ValidString(text) || longestLine(text) > maxHighlightLine {
		return nil, true
	}
	if lines, known := syntax.Colour(name, text); known {
		return lines, true
	}
	lexer := lexerFor(baseName(name))
	if lexer == nil {
		return nil, true
	}
	if _, stepwise := lexer.(*chroma.RegexLexer); !stepwise && len(text) > maxHighlightMixed {
		return nil, true
	}
	return tokenise(ctx, lexer, text)
}

// highlightAs colours text in the language that a Markdown fence names.
func highlightAs(ctx context.Context, language, text string) colored {
	if language == "" || len(language) > maxLanguage {
		return nil
	}
	if lines, known := syntax.ColourAs(language, text); known && len(text) <= maxHighlight && utf8.ValidString(text) {
		return lines
	}
	lexer := languages(language)
	if lexer == nil || len(text) > maxHighlight || !utf8.ValidString(text) || longestLine(text) > maxHighlightLine {
		return nil
	}
	colors, _ := tokenise(ctx, lexer, text)
	return colors
}

// languages finds a lexer by a language's name. Looking one up that does not exist compares
// the name with every file pattern there is, so what was found is kept.
var languages = func() func(string) chroma.Lexer {
	known := lru[chroma.Lexer]{most: maxLanguages}
	return func(name string) chroma.Lexer {
		lexer, ok := known.get(name)
		if !ok {
			lexer = lexers.Get(name)
			known.put(name, 1, lexer)
		}
		return lexer
	}
}()

func tokenise(ctx context.Context, lexer chroma.Lexer, text string) (out colored, whole bool) {
	if ctx.Err() != nil {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, highlightBudget)
	defer cancel()
	defer func() {
		if recover() != nil { // a lexer's bug must not cost the page
			out, whole = nil, true
		}
	}()
	tokens, err := lexer.Tokenise(&chroma.TokeniseOptions{State: "root"}, text)
	if err != nil {
		return nil, true
	}
	out = make(colored, 0, strings.Count(text, "\n")+1)
	var line []span
	at := 0
	for token := tokens(); token != chroma.EOF; token = tokens() {
		class := styleClass(token.Type)
		for rest := token.Value; rest != ""; {
			part, after, newline := strings.Cut(rest, "\n")
			if at += len(part); part != "" {
				line = extend(line, span{End: at, Class: class})
			}
			if newline {
				out, line, at = append(out, line), nil, 0
			}
			rest = after
		}
		if ctx.Err() != nil {
			return out, false // the line that was cut short stays plain
		}
	}
	return append(out, line), true
}

// extend adds a stretch, growing the last one when the style stays.
func extend(line []span, s span) []span {
	if last := len(line) - 1; last >= 0 && line[last].Class == s.Class {
		line[last].End = s.End
		return line
	}
	return append(line, s)
}

// styleClass is the short class of the style sheet for a token, "" for ordinary text. The
// sheet knows a few families; finer types take the colour of their family.
func styleClass(t chroma.TokenType) string {
	switch {
	case t == chroma.KeywordType:
		return "kt"
	case t.InCategory(chroma.Keyword):
		return "k"
	case t == chroma.NameFunction, t == chroma.NameFunctionMagic:
		return "nf"
	case t == chroma.NameClass, t == chroma.NameNamespace, t == chroma.NameException:
		return "nc"
	case t == chroma.NameBuiltin, t == chroma.NameBuiltinPseudo, t == chroma.NameConstant:
		return "nb"
	case t == chroma.NameTag:
		return "nt"
	case t == chroma.NameAttribute, t == chroma.NameDecorator, t == chroma.NameProperty:
		return "na"
	case t.InSubCategory(chroma.LiteralString):
		return "s"
	case t.InSubCategory(chroma.LiteralNumber), t.InCategory(chroma.Literal):
		return "m"
	case t.InCategory(chroma.Comment):
		return "c"
	case t == chroma.GenericHeading, t == chroma.GenericSubheading:
		return "gh"
	case t == chroma.GenericEmph:
		return "ge"
	case t == chroma.GenericStrong:
		return "gs"
	}
	return ""
}

func longestLine(text string) int {
	longest := 0
	for line := range strings.SplitSeq(text, "\n") {
		longest = max(longest, len(line))
	}
	return longest
}

func baseName(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// writeCode writes one line of source: escaped, hidden characters marked, in the stretches of
// style and with the marked parts wrapped in <mark>. Marks are in order and do not overlap; said
// are the parts that somebody comments on, in any order.
func writeCode(b *strings.Builder, text string, styles []span, marks []diff.Span, said ...diff.Span) {
	if len(styles) == 0 && len(marks) == 0 && len(said) == 0 {
		writeVisible(b, text)
		return
	}
	at, s, m := 0, 0, 0
	for at < len(text) {
		for s < len(styles) && styles[s].End <= at {
			s++
		}
		for m < len(marks) && marks[m].End <= at {
			m++
		}
		end, class, marked := len(text), "", false
		if s < len(styles) {
			end, class = min(end, styles[s].End), styles[s].Class
		}
		if m < len(marks) {
			if marked = marks[m].Start <= at; marked {
				end = min(end, marks[m].End)
			} else {
				end = min(end, marks[m].Start)
			}
		}
		talked := false
		for _, s := range said {
			switch {
			case s.Start > at:
				end = min(end, s.Start)
			case s.End > at:
				end, talked = min(end, s.End), true
			}
		}
		if talked {
			b.WriteString(`<mark class="on">`)
		}
		writePiece(b, text[at:end], class, marked)
		if talked {
			b.WriteString("</mark>")
		}
		at = end
	}
}

func writePiece(b *strings.Builder, text, class string, marked bool) {
	if marked {
		b.WriteString("<mark>")
		defer b.WriteString("</mark>")
	}
	if class != "" {
		b.WriteString(`<i class="` + class + `">`)
		defer b.WriteString("</i>")
	}
	writeVisible(b, text)
}
