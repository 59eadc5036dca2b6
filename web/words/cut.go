package words

import (
	"strings"
	"text/template/parse"
	"unicode"
)

// Messages are the English texts of a template, in the order in which it has them.
func Messages(t *parse.Tree) []string {
	var all []string
	c := cutter{on: func(source string, _ []item) []parse.Node {
		all = append(all, source)
		return nil
	}, plural: func(one, many string) { all = append(all, one+"|"+many) }}
	c.whole(t.Copy())
	return all
}

// Translate puts the texts of a language into a template that nothing has run yet, and has
// sayFunc translate each value that it prints.
func Translate(t *parse.Tree, l *Language) {
	c := cutter{say: true, on: func(source string, run []item) []parse.Node {
		text, ok := l.find(source)
		if !ok || fits(source, text) != nil {
			return nil
		}
		return fill(text, run)
	}}
	c.whole(t)
}

// SayFunc is the name of the template function that translated templates call: [Language.Say].
const SayFunc = "_say"

// The elements whose words are part of the sentence around them. Those of all others stand alone.
var inline = words("a b strong em i span time label small sup sub abbr q")

// Elements whose content is no language: it is left as it is.
var opaque = words("code kbd pre samp script style svg")

// The attributes that hold words.
var worded = words("title aria-label placeholder alt data-ask data-say aria-valuetext aria-description")

// Elements without an end.
var void = words("br hr img input link meta option wbr")

func words(list string) map[string]bool {
	all := map[string]bool{}
	for word := range strings.FieldsSeq(list) {
		all[word] = true
	}
	return all
}

// item is a piece of a sentence: words, something that is printed there, or a tag.
type item struct {
	text  string // words, unescaped
	nodes []parse.Node
	tag   string // the element, "" for none
	end   bool
	alone bool // an action, or a tag without an end
}

// cutter goes through a template as a browser goes through what it makes.
type cutter struct {
	on     func(source string, run []item) []parse.Node // nil leaves it in English
	plural func(one, many string)
	say    bool

	out  []parse.Node
	run  []item       // the sentence so far
	tag  *item        // inside a tag
	raw  string       // the tag's text since its last node
	torn bool         // the tag holds a condition: it stands alone
	attr []item       // the value of an attribute that holds words
	in   rune         // the quote around an attribute's value, 0 outside
	word bool         // and the attribute holds words
	deaf string       // inside an element whose content is no language
	hush []parse.Node // and what is in it
}

func (c *cutter) whole(t *parse.Tree) {
	c.list(t.Root)
}

// list replaces what is in a list.
func (c *cutter) list(l *parse.ListNode) {
	if l == nil {
		return
	}
	was := c.out
	c.out = nil
	for _, n := range l.Nodes {
		c.node(n)
	}
	c.stop()
	l.Nodes, c.out = c.out, was
}

func (c *cutter) node(n parse.Node) {
	switch n := n.(type) {
	case *parse.TextNode:
		for _, r := range string(n.Text) {
			c.char(r)
		}
	case *parse.ActionNode:
		c.action(n)
	case *parse.IfNode:
		c.branch(n, &n.BranchNode)
	case *parse.RangeNode:
		c.branch(n, &n.BranchNode)
	case *parse.WithNode:
		c.branch(n, &n.BranchNode)
	default:
		c.stop()
		c.put(n)
	}
}

// branch ends the sentence: what is in a condition has sentences of its own. A tag may begin
// before a condition and end in each of its branches, so all go on from the same state.
func (c *cutter) branch(n parse.Node, b *parse.BranchNode) {
	c.stop()
	before := *c
	fresh := func() { // each branch has a tag of its own to end
		if before.tag != nil {
			c.tag = &item{tag: before.tag.tag, end: before.tag.end}
		}
	}
	fresh()
	c.list(b.List)
	if b.ElseList != nil {
		after := *c
		*c = before
		fresh()
		c.list(b.ElseList)
		*c = after
	}
	c.put(n)
}

// put adds a node to what there is.
func (c *cutter) put(nodes ...parse.Node) { c.out = append(c.out, nodes...) }

// stop ends the sentence, and tears a tag that is not at its end.
func (c *cutter) stop() {
	if c.in != 0 && c.word {
		c.tag.nodes = append(c.tag.nodes, c.said(c.attr)...)
		c.attr = nil
	}
	if c.tag != nil {
		c.turn()
		nodes := c.tag.nodes
		c.tag = &item{tag: c.tag.tag, end: c.tag.end}
		c.flush()
		c.put(nodes...)
		c.torn = true
		return
	}
	c.flush()
}

// flush writes the sentence.
func (c *cutter) flush() {
	if c.deaf != "" { // an element that is not whole in this list
		c.put(c.hush...)
		c.hush = nil
	}
	c.put(c.said(c.run)...)
	c.run = nil
}

func text(s string) []parse.Node {
	if s == "" {
		return nil
	}
	return []parse.Node{&parse.TextNode{NodeType: parse.NodeText, Text: []byte(s)}}
}

func (c *cutter) action(n *parse.ActionNode) {
	c.plurals(n.Pipe)
	if len(n.Pipe.Decl) > 0 {
		c.stop()
		c.put(n)
		return
	}
	if c.say && c.deaf == "" && (c.tag == nil || c.word) {
		id := parse.NewIdentifier(SayFunc).SetPos(n.Pos)
		n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: n.Pos, Args: []parse.Node{id}})
	}
	switch {
	case c.in != 0 && c.word:
		c.attr = append(c.attr, item{nodes: []parse.Node{n}, alone: true})
	case c.tag != nil:
		c.turn()
		c.tag.nodes = append(c.tag.nodes, n)
	case c.deaf != "":
		c.hush = append(c.hush, n)
	default:
		c.run = append(c.run, item{nodes: []parse.Node{n}, alone: true})
	}
}

// plurals hears of {{plural n "file" "files"}}, wherever it stands in a pipeline.
func (c *cutter) plurals(p *parse.PipeNode) {
	if c.plural == nil || p == nil {
		return
	}
	for _, cmd := range p.Cmds {
		if id, ok := cmd.Args[0].(*parse.IdentifierNode); ok && id.Ident == "plural" && len(cmd.Args) == 4 {
			one, isOne := cmd.Args[2].(*parse.StringNode)
			many, isMany := cmd.Args[3].(*parse.StringNode)
			if isOne && isMany {
				c.plural(one.Text, many.Text)
			}
		}
		for _, a := range cmd.Args {
			if inner, ok := a.(*parse.PipeNode); ok {
				c.plurals(inner)
			}
		}
	}
}

// char takes one character of the template's own text.
func (c *cutter) char(r rune) {
	switch {
	case c.tag == nil && r == '<':
		c.tag, c.raw, c.torn = &item{}, "<", false
	case c.tag == nil && c.deaf != "":
		c.hush = append(c.hush, text(string(r))...)
	case c.tag == nil:
		c.letter(&c.run, r)
	case c.in != 0 && r == c.in:
		if c.word {
			c.tag.nodes = append(c.tag.nodes, c.said(c.attr)...)
		}
		c.raw += string(r)
		c.in, c.word, c.attr = 0, false, nil
	case c.in != 0 && c.word:
		c.letter(&c.attr, r)
	case c.in != 0:
		c.raw += string(r)
	case r == '"' || r == '\'':
		c.raw += string(r)
		c.in, c.word = r, worded[attribute(c.raw)]
		if c.word {
			c.turn()
		}
	case r == '>':
		c.raw += ">"
		c.close()
	default:
		c.raw += string(r)
	}
}

// turn makes a node of the tag's text, and reads its name.
func (c *cutter) turn() {
	if c.tag.tag == "" {
		name, end := strings.CutPrefix(strings.TrimPrefix(c.raw, "<"), "/")
		if i := strings.IndexFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '!' }); i >= 0 {
			name = name[:i]
		}
		c.tag.tag, c.tag.end = strings.ToLower(name), end
	}
	c.tag.alone = strings.HasSuffix(c.raw, "/>") || void[c.tag.tag]
	c.tag.nodes, c.raw = append(c.tag.nodes, text(c.raw)...), ""
}

// close takes the end of a tag.
func (c *cutter) close() {
	c.turn()
	tag, torn := *c.tag, c.torn
	c.tag, c.torn = nil, false
	switch {
	case c.deaf != "" && tag.end && tag.tag == c.deaf:
		whole := item{nodes: append(c.hush, tag.nodes...), alone: true}
		c.deaf, c.hush = "", nil
		c.run = append(c.run, whole)
	case c.deaf != "":
		c.hush = append(c.hush, tag.nodes...)
	case (opaque[tag.tag] || tag.kept()) && !tag.end && !tag.alone:
		c.deaf, c.hush = tag.tag, tag.nodes
	case inline[tag.tag] && !torn:
		c.run = append(c.run, tag)
	case tag.tag == "br":
		c.run = append(c.run, tag)
	default:
		c.flush()
		c.put(tag.nodes...)
	}
}

// letter adds a character to the words at the end of a sentence.
func (c *cutter) letter(run *[]item, r rune) {
	if n := len(*run); n > 0 && (*run)[n-1].nodes == nil {
		(*run)[n-1].text += string(r)
		return
	}
	*run = append(*run, item{text: string(r)})
}

// attribute is the name of the attribute whose value begins at the end of a tag's text.
func attribute(raw string) string {
	raw = strings.TrimRight(raw, "\"'")
	raw, ok := strings.CutSuffix(raw, "=")
	if !ok {
		return ""
	}
	return strings.ToLower(raw[strings.LastIndexAny(raw, " \t\n\"'")+1:])
}

// kept reports whether a tag says that its element is not to be translated.
func (it item) kept() bool {
	for _, n := range it.nodes {
		if t, ok := n.(*parse.TextNode); ok && strings.Contains(string(t.Text), `translate="no"`) {
			return true
		}
	}
	return false
}
