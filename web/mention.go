package web

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// mentionNode is somebody who is called with @name.
type mentionNode struct {
	ast.BaseInline
	name string
}

var kindMention = ast.NewNodeKind("Mention")

func (n *mentionNode) Kind() ast.NodeKind { return kindMention }

func (n *mentionNode) Dump(source []byte, level int) { ast.DumpHelper(n, source, level, nil, nil) }

// mentionParser finds @name where the name is an account's; see review.Mentions for what is
// no call.
type mentionParser struct{ called people }

func (mentionParser) Trigger() []byte { return []byte{'@'} }

var mentioned = regexp.MustCompile(`^@([a-z0-9][a-z0-9._-]{0,38})`)

func (m mentionParser) Parse(_ ast.Node, block text.Reader, _ parser.Context) ast.Node {
	before := block.PrecendingCharacter()
	if unicode.IsLetter(before) || unicode.IsDigit(before) || strings.ContainsRune("_@/.-\\", before) {
		return nil
	}
	line, _ := block.PeekLine()
	found := mentioned.FindSubmatch(line)
	if found == nil {
		return nil
	}
	name := strings.TrimRight(string(found[1]), ".-_")
	if !m.called[name] {
		return nil
	}
	block.Advance(1 + len(name))
	return &mentionNode{name: name}
}

// mention writes a link to what somebody has to do with, or the bare name inside another link.
func (b blockRenderer) mention(w util.BufWriter, _ []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	name := node.(*mentionNode).name
	for p := node.Parent(); p != nil; p = p.Parent() {
		if p.Kind() == ast.KindLink {
			_, err := w.WriteString("@" + html.EscapeString(name))
			return ast.WalkContinue, err
		}
	}
	_, err := w.WriteString(`<a class="mention" href="` + html.EscapeString(mentionURL(name)) + `">@` + html.EscapeString(name) + `</a>`)
	return ast.WalkContinue, err
}

// mentionURL is the page of the changes that somebody owns.
func mentionURL(name string) string { return "/changes?" + url.Values{"q": {"owner:" + name}}.Encode() }
