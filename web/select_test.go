package web

import (
	"bytes"
	"strings"

	"golang.org/x/net/html"
)

// ok fails the test unless the answer has the status.
func (a answer) ok(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d; Location %q; body:\n%s", a.status, status, a.header.Get("Location"), wordsOf(a.page()))
	}
	return a
}

func (a answer) page() *html.Node {
	a.t.Helper()
	n, err := html.Parse(strings.NewReader(a.body))
	if err != nil {
		a.t.Fatal(err)
	}
	return n
}

// find gives the elements that a simple selector matches: "tag", ".class", "#id", "tag.class",
// "[attr]", "[attr=value]", and several of those with spaces for descendants.
func (a answer) find(selector string) []*html.Node {
	a.t.Helper()
	return find(a.page(), selector)
}

// one is the text of the only element that the selector matches.
func (a answer) one(selector string) string {
	a.t.Helper()
	all := a.find(selector)
	if len(all) != 1 {
		a.t.Fatalf("%d elements match %s, want 1; page:\n%s", len(all), selector, wordsOf(a.page()))
	}
	return wordsOf(all[0])
}

func find(root *html.Node, selector string) []*html.Node {
	found := []*html.Node{root}
	for _, step := range strings.Fields(selector) {
		var next []*html.Node
		seen := map[*html.Node]bool{}
		for _, from := range found {
			for n := range from.Descendants() {
				if n.Type == html.ElementNode && matches(n, step) && !seen[n] {
					seen[n] = true
					next = append(next, n)
				}
			}
		}
		found = next
	}
	return found
}

func matches(n *html.Node, step string) bool {
	for step != "" {
		end := strings.IndexAny(step[1:], ".#[") + 1
		if step[0] == '[' {
			end = strings.IndexByte(step, ']') + 1
		}
		if end == 0 {
			end = len(step)
		}
		part := step[:end]
		step = step[end:]
		switch part[0] {
		case '.':
			if !strings.Contains(" "+attr(n, "class")+" ", " "+part[1:]+" ") {
				return false
			}
		case '#':
			if attr(n, "id") != part[1:] {
				return false
			}
		case '[':
			name, value, has := strings.Cut(strings.Trim(part, "[]"), "=")
			if got, ok := attrOK(n, name); !ok || has && got != value {
				return false
			}
		default:
			if n.Data != part {
				return false
			}
		}
	}
	return true
}

func attr(n *html.Node, name string) string {
	v, _ := attrOK(n, name)
	return v
}

func attrOK(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

// words is what a reader sees of a node, with single spaces.
func wordsOf(n *html.Node) string {
	var b bytes.Buffer
	for d := range n.Descendants() {
		if d.Type == html.TextNode && (d.Parent == nil || d.Parent.Data != "script" && d.Parent.Data != "style") {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
