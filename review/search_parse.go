package review

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gatehouse/gitserver/fault"
)

const (
	// maxQuery is the longest search in bytes: nobody types more.
	maxQuery = 2000
	// maxQueryTerms and maxQueryDepth bound the statement that a search becomes.
	maxQueryTerms = 64
	maxQueryDepth = 20
)

// node is one part of a search.
type node struct {
	kind  nodeKind
	kids  []*node // of and, or, not
	op    string  // of a term: its operator as written in [operators], "" for a bare word
	value string
	at    int // where it stands, in characters from 1
}

type nodeKind int

const (
	nodeTerm nodeKind = iota
	nodeAnd
	nodeOr
	nodeNot
)

// wrong is what is said of a search that cannot be understood.
func wrong(at int, what, next string) error {
	return fault.New(fault.Invalid, "review.Search", fmt.Sprintf("character %d: %s", at, what), next)
}

// parser reads a search: terms beside each other must all hold; OR, NOT or a minus, and
// parentheses are as in Gerrit.
type parser struct {
	text  string
	pos   int // in bytes
	terms int
	depth int
}

// parseQuery reads a search; nil for an empty one.
func parseQuery(text string) (*node, error) {
	if len(text) > maxQuery {
		return nil, fault.Newf(fault.TooLarge, "review.Search", "a search has at most %d bytes", maxQuery)
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && !unicode.IsSpace(r) }) {
		return nil, fault.New(fault.Invalid, "review.Search", "the search holds characters that no search has", "write it anew")
	}
	p := &parser{text: text}
	p.space()
	if p.end() {
		return nil, nil
	}
	n, err := p.or()
	if err != nil {
		return nil, err
	}
	if !p.end() { // only a parenthesis stops or
		return nil, wrong(p.at(), "this parenthesis closes nothing", "take it out, or put it in quotes")
	}
	return n, nil
}

func (p *parser) end() bool { return p.pos >= len(p.text) }

// at is the place in characters, from 1.
func (p *parser) at() int { return utf8.RuneCountInString(p.text[:p.pos]) + 1 }

func (p *parser) space() {
	p.pos = len(p.text) - len(strings.TrimLeftFunc(p.text[p.pos:], unicode.IsSpace))
}

// word takes one of the words AND, OR and NOT, when it stands alone.
func (p *parser) word(word string) bool {
	rest, ok := strings.CutPrefix(p.text[p.pos:], word)
	if !ok || rest != "" && !strings.ContainsAny(rest[:1], " \t\r\n()") {
		return false
	}
	p.pos += len(word)
	p.space()
	return true
}

func (p *parser) or() (*node, error) {
	first, err := p.and()
	if err != nil {
		return nil, err
	}
	kids := []*node{first}
	for p.word("OR") {
		next, err := p.and()
		if err != nil {
			return nil, err
		}
		kids = append(kids, next)
	}
	return join(nodeOr, kids), nil
}

func (p *parser) and() (*node, error) {
	var kids []*node
	for {
		if len(kids) > 0 && p.word("AND") && (p.end() || p.text[p.pos] == ')') {
			return nil, wrong(p.at(), "something is missing after AND", "add what must hold too")
		}
		before := p.pos
		if p.end() || p.text[p.pos] == ')' || p.word("OR") {
			p.pos = before
			if len(kids) == 0 {
				return nil, wrong(p.at(), "something is missing here", "add a word or an operator, such as owner:self")
			}
			return join(nodeAnd, kids), nil
		}
		n, err := p.not()
		if err != nil {
			return nil, err
		}
		kids = append(kids, n)
	}
}

func join(kind nodeKind, kids []*node) *node {
	if len(kids) == 1 {
		return kids[0]
	}
	return &node{kind: kind, kids: kids, at: kids[0].at}
}

func (p *parser) not() (*node, error) {
	at := p.at()
	if p.text[p.pos] == '-' && p.pos+1 < len(p.text) && !unicode.IsSpace(rune(p.text[p.pos+1])) {
		p.pos++
	} else if !p.word("NOT") {
		return p.primary()
	}
	if p.end() {
		return nil, wrong(at, "something is missing after NOT", "add what must not hold")
	}
	if p.depth++; p.depth > maxQueryDepth {
		return nil, wrong(at, "the search is nested too deep", "write it in a simpler way")
	}
	defer func() { p.depth-- }()
	n, err := p.not()
	if err != nil {
		return nil, err
	}
	return &node{kind: nodeNot, kids: []*node{n}, at: at}, nil
}

func (p *parser) primary() (*node, error) {
	at := p.at()
	if p.text[p.pos] != '(' {
		return p.term()
	}
	if p.depth++; p.depth > maxQueryDepth {
		return nil, wrong(at, "the search is nested too deep", "write it in a simpler way")
	}
	defer func() { p.depth-- }()
	p.pos++
	p.space()
	n, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.end() {
		return nil, wrong(at, "this parenthesis is not closed", "add ) where it ends")
	}
	p.pos++
	p.space()
	return n, nil
}

// term reads WORD, "WORDS", OPERATOR:VALUE or OPERATOR:"VALUE".
func (p *parser) term() (*node, error) {
	n := &node{at: p.at()}
	if p.terms++; p.terms > maxQueryTerms {
		return nil, wrong(n.at, fmt.Sprintf("a search has at most %d terms", maxQueryTerms), "search for less at a time")
	}
	name := p.text[p.pos:]
	if i := strings.IndexFunc(name, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }); i > 0 && name[i] == ':' {
		name = name[:i]
		o, ok := findOperator(name)
		if !ok {
			return nil, wrong(n.at, fmt.Sprintf("there is no operator %q", clip(name)+":"), operatorHint(name))
		}
		n.op = o.name
		p.pos += len(name) + 1
	}
	var err error
	if n.value, err = p.value(n.at); err != nil {
		return nil, err
	}
	if n.value == "" {
		what := "this is empty"
		if n.op != "" {
			what = n.op + ": needs a value"
		}
		return nil, wrong(n.at, what, "write it behind the colon; put it in quotes when it has spaces")
	}
	p.space()
	return n, nil
}

func (p *parser) value(at int) (string, error) {
	if p.end() {
		return "", nil
	}
	closing := map[byte]string{'"': `"`, '{': "}"}[p.text[p.pos]]
	if closing == "" {
		i := strings.IndexFunc(p.text[p.pos:], func(r rune) bool { return unicode.IsSpace(r) || r == '(' || r == ')' })
		if i < 0 {
			i = len(p.text) - p.pos
		}
		value := p.text[p.pos : p.pos+i]
		p.pos += i
		return value, nil
	}
	var b strings.Builder
	for i := p.pos + 1; i < len(p.text); i++ {
		switch {
		case p.text[i] == '\\' && i+1 < len(p.text) && (p.text[i+1] == closing[0] || p.text[i+1] == '\\'):
			i++
			b.WriteByte(p.text[i])
		case p.text[i] == closing[0]:
			p.pos = i + 1
			return strings.TrimSpace(b.String()), nil
		default:
			b.WriteByte(p.text[i])
		}
	}
	return "", wrong(at, "a quotation is not closed", "add "+closing+" where it ends")
}

// operator is a word before a colon.
type operator struct {
	name  string
	other []string // further names of the same
	value string   // what stands behind the colon
	means string
}

// operators are all that a search can hold, in the order in which help shows them.
func operators() []operator {
	return []operator{
		{"status", nil, "open|landed|abandoned|closed", "where it stands"},
		{"is", nil, "open|wip|starred|watched|…", "one of many things that a change can be"},
		{"has", nil, "draft|unresolved|star|attention", "something that it has"},
		{"owner", []string{"o"}, "ACCOUNT", "whose change it is; self is you"},
		{"author", nil, "ACCOUNT|ADDRESS", "who wrote the commit"},
		{"uploader", nil, "ACCOUNT", "who pushed the current patch set"},
		{"reviewer", []string{"r"}, "ACCOUNT", "who is asked to review it, or did"},
		{"cc", nil, "ACCOUNT", "who is only let know"},
		{"attention", nil, "ACCOUNT", "whose turn it is"},
		{"label", nil, "LABEL=N[,ACCOUNT]", "a vote on the current patch set; also >=, <=, > and <"},
		{"repo", []string{"project", "p", "repository"}, "NAME", "the repository"},
		{"branch", nil, "NAME", "the branch that it is for"},
		{"topic", nil, "NAME", "the topic"},
		{"hashtag", []string{"tag"}, "WORD", "a word that is tied to it"},
		{"file", []string{"f", "path"}, "PATH|FOLDER|NAME|*.EXT", "a file that it touches"},
		{"dir", []string{"directory"}, "FOLDER", "a folder that it touches"},
		{"ext", []string{"extension"}, "EXT", "a kind of file that it touches"},
		{"message", []string{"m"}, "WORDS", "words of the commit message, or how they begin"},
		{"subject", nil, "TEXT", "a part of the subject"},
		{"change", nil, "NUMBER|CHANGE-ID", "the change itself"},
		{"commit", nil, "SHA-1", "a patch set's commit, or how it begins"},
		{"age", nil, "2d|3w|1mon|…", "not touched for at least so long"},
		{"before", []string{"until"}, "2030-01-31", "last touched before that day"},
		{"after", []string{"since"}, "2030-01-31", "last touched on that day or after it"},
		{"query", nil, "NAME", "one of your saved searches"},
	}
}

// Operators lists what a search can hold, as "owner:ACCOUNT" and what it means, for help.
func Operators() [][2]string {
	var all [][2]string
	for _, o := range operators() {
		all = append(all, [2]string{o.name + ":" + o.value, o.means})
	}
	return all
}

func findOperator(name string) (operator, bool) {
	for _, o := range operators() {
		if o.name == name || slices.Contains(o.other, name) {
			return o, true
		}
	}
	return operator{}, false
}

// operatorHint names the operator that was perhaps meant, or all.
func operatorHint(name string) string {
	for _, o := range operators() {
		for _, known := range append([]string{o.name}, o.other...) {
			if len(known) > 2 && len(name) > 2 && near(name, known) {
				return fmt.Sprintf("did you mean %s:? To find the text itself, put it in quotes", known)
			}
		}
	}
	var names []string
	for _, o := range operators() {
		names = append(names, o.name+":")
	}
	return "known are " + strings.Join(names, " ") + "; to find the text itself, put it in quotes"
}

// near reports whether two words differ by one letter, or by two that changed places.
func near(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if strings.HasPrefix(b, a) {
		return true
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	switch len(b) - len(a) {
	case 0:
		return a[i+1:] == b[i+1:] || i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
	case 1:
		return a[i:] == b[i+1:]
	}
	return false
}
