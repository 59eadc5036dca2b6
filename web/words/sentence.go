package words

import (
	"fmt"
	"html"
	"regexp"
	"strconv"
	"strings"
	"text/template/parse"
	"unicode"
)

// said is a sentence in the language, or the sentences of its elements when it has no words
// of its own.
func (c *cutter) said(run []item) []parse.Node {
	ends, lone := pairs(run)
	if lone >= 0 { // its other half is in a condition
		return append(append(c.said(run[:lone]), run[lone].nodes...), c.said(run[lone+1:])...)
	}
	if !speaks(run, ends) {
		var all []parse.Node
		for i := 0; i < len(run); i++ {
			all = append(all, run[i].original()...)
			if end := ends[i]; end > 0 {
				all = append(append(all, c.said(run[i+1:end])...), run[end].nodes...)
				i = end
			}
		}
		return all
	}
	var before, after []parse.Node
	for len(run) > 0 && run[0].silent() {
		before, run = append(before, run[0].original()...), run[1:]
	}
	for len(run) > 0 && run[len(run)-1].silent() {
		after, run = append(run[len(run)-1].original(), after...), run[:len(run)-1]
	}
	head, tail := "", ""
	if first := &run[0]; first.nodes == nil {
		head = first.text[:len(first.text)-len(strings.TrimLeft(first.text, blank))]
		first.text = strings.TrimLeft(first.text, blank)
	}
	if last := &run[len(run)-1]; last.nodes == nil {
		tail = last.text[len(strings.TrimRight(last.text, blank)):]
		last.text = strings.TrimRight(last.text, blank)
	}
	words := c.on(source(run), run)
	if words == nil {
		for _, it := range run {
			words = append(words, it.original()...)
		}
	}
	all := append(append(before, text(head)...), words...)
	return append(append(all, text(tail)...), after...)
}

const blank = " \t\r\n"

// pairs finds for each tag that opens the one that closes it; lone is a tag without its other half, or -1.
func pairs(run []item) (ends map[int]int, lone int) {
	ends = map[int]int{}
	var open []int
	for i, it := range run {
		switch {
		case it.tag == "" || it.alone:
		case !it.end:
			open = append(open, i)
		case len(open) > 0 && run[open[len(open)-1]].tag == it.tag:
			ends[open[len(open)-1]] = i
			open = open[:len(open)-1]
		default:
			return nil, i
		}
	}
	if len(open) > 0 {
		return nil, open[len(open)-1]
	}
	return ends, -1
}

// speaks reports whether a run has words outside of its elements.
func speaks(run []item, ends map[int]int) bool {
	for i := 0; i < len(run); i++ {
		if end := ends[i]; end > 0 {
			i = end
		} else if run[i].nodes == nil && strings.ContainsFunc(html.UnescapeString(run[i].text), unicode.IsLetter) {
			return true
		}
	}
	return false
}

// original is the item as the template has it.
func (it item) original() []parse.Node {
	if it.nodes == nil {
		return text(it.text)
	}
	return it.nodes
}

// silent reports whether nothing of an item belongs to the sentence beside it.
func (it item) silent() bool {
	if it.nodes == nil {
		return strings.Trim(it.text, blank) == ""
	}
	a, ok := it.nodes[0].(*parse.ActionNode)
	if !ok || len(a.Pipe.Cmds[0].Args) == 0 {
		return false
	}
	id, ok := a.Pipe.Cmds[0].Args[0].(*parse.IdentifierNode)
	return ok && (id.Ident == "icon" || id.Ident == "mark")
}

var (
	gaps = regexp.MustCompile(`[ \t\r\n]+`)
	// What would be taken for a tag of the message stays written as HTML writes it.
	keep, kept = strings.NewReplacer("&lt;", "&amp;lt;", "&gt;", "&amp;gt;"), strings.NewReplacer("&amp;lt;", "&lt;", "&amp;gt;", "&gt;")
)

// source is the message of a sentence.
func source(run []item) string {
	var b strings.Builder
	n := 0
	var open []int
	for _, it := range run {
		switch {
		case it.nodes == nil:
			b.WriteString(html.UnescapeString(keep.Replace(gaps.ReplaceAllString(it.text, " "))))
		case it.alone:
			n++
			fmt.Fprintf(&b, "{%d}", n)
		case it.end:
			fmt.Fprintf(&b, "</%d>", open[len(open)-1])
			open = open[:len(open)-1]
		default:
			n++
			open = append(open, n)
			fmt.Fprintf(&b, "<%d>", n)
		}
	}
	return b.String()
}

// fill makes a translation of a message into nodes.
func fill(translation string, run []item) []parse.Node {
	places := map[string][]parse.Node{}
	n := 0
	var open []string
	for _, it := range run {
		switch {
		case it.nodes == nil:
		case it.alone:
			n++
			places["{"+strconv.Itoa(n)+"}"] = it.nodes
		case it.end:
			places["</"+open[len(open)-1]+">"] = it.nodes
			open = open[:len(open)-1]
		default:
			n++
			open = append(open, strconv.Itoa(n))
			places["<"+strconv.Itoa(n)+">"] = it.nodes
		}
	}
	var all []parse.Node
	plain := func(s string) { all = append(all, text(kept.Replace(html.EscapeString(s)))...) }
	from := 0
	for _, at := range place.FindAllStringIndex(translation, -1) {
		plain(translation[from:at[0]])
		for _, node := range places[translation[at[0]:at[1]]] {
			all = append(all, node.Copy())
		}
		from = at[1]
	}
	plain(translation[from:])
	return all
}
