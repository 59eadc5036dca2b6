package picture

import (
	"encoding/xml"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func line(names ...string) []Node {
	var all []Node
	for i, name := range names {
		n := Node{Name: name, Shape: Box}
		if i > 0 {
			n.After = []string{names[i-1]}
		}
		all = append(all, n)
	}
	return all
}

// xOf is where the name of a node stands.
func xOf(t *testing.T, svg, name string) float64 {
	t.Helper()
	m := regexp.MustCompile(`<text class="name" x="([0-9.]+)" y="[0-9.]+">` + regexp.QuoteMeta(name) + `<`).FindStringSubmatch(svg)
	if m == nil {
		t.Fatalf("%s is not drawn:\n%s", name, svg)
	}
	x, _ := strconv.ParseFloat(m[1], 64)
	return x
}

func TestWhatComesFirstStandsFurtherLeft(t *testing.T) {
	nodes := append(line("unit", "smoke", "land", "staging", "production"), Node{Name: "build"}, Node{Name: "review", Shape: Gate})
	nodes[1].After = append(nodes[1].After, "build")
	nodes[2].After = append(nodes[2].After, "review", "unit") // the second is known through smoke
	svg := Draw("the plan", nodes)
	for i, name := range []string{"smoke", "land", "staging", "production"} {
		if before := []string{"unit", "smoke", "land", "staging"}[i]; xOf(t, svg, before) >= xOf(t, svg, name) {
			t.Errorf("%s does not stand left of %s", before, name)
		}
	}
	// unit, build → smoke → land → staging → production, and review through one column
	if n := strings.Count(svg, "<path d="); n != 7 {
		t.Errorf("%d lines are drawn, want 7", n)
	}
	if Draw("the plan", nodes) != svg {
		t.Error("the same nodes give another picture")
	}
}

func TestWhatCannotBeIsDrawnAllTheSame(t *testing.T) {
	for name, nodes := range map[string][]Node{
		"nothing": nil, "itself": {{Name: "a", After: []string{"a"}}}, "nobody": {{Name: "a", After: []string{"gone"}}},
		"circle": {{Name: "a", After: []string{"b"}}, {Name: "b", After: []string{"c"}}, {Name: "c", After: []string{"a"}}},
		"twice":  {{Name: "a"}, {Name: "a", After: []string{"a"}}}, "many": line(strings.Fields(strings.Repeat("x ", 300))...),
	} {
		svg := Draw(name, nodes)
		if want := min(len(nodes), maxNodes); strings.Count(svg, `class="node`) != want {
			t.Errorf("%s: %d nodes are drawn, want %d", name, strings.Count(svg, `class="node`), want)
		}
	}
}

func TestHostileNodesAreInert(t *testing.T) {
	for _, evil := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, "\u202egnp", `</svg>`, "javascript:alert(1)", "//evil.test", `/\evil.test`} {
		svg := Draw(evil, []Node{{Name: evil, Words: evil, Title: evil, Class: evil, Shape: evil, Href: evil}, {Name: "b", After: []string{evil}}})
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			token, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%q breaks the picture: %v\n%s", evil, err, svg)
			}
			e, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			if !strings.Contains(" svg g path text title a ", " "+e.Name.Local+" ") {
				t.Errorf("%q makes an element %s", evil, e.Name.Local)
			}
			for _, a := range e.Attr {
				if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "href" {
					t.Errorf("%q makes an attribute %s=%q", evil, a.Name.Local, a.Value)
				}
			}
		}
	}
	if svg := Draw("x", []Node{{Name: "a", Href: "/stage/1/log"}, {Name: "b", Href: "#gate-b"}}); strings.Count(svg, "<a href=") != 2 {
		t.Errorf("good addresses are no links: %s", svg)
	}
}

func BenchmarkDraw(b *testing.B) {
	var nodes []Node
	for i := range 96 { // as many stages and gates as a plan may have
		n := Node{Name: fmt.Sprint("node-", i), Shape: Box}
		for j := max(0, i-9); j < i-5; j++ {
			n.After = append(n.After, fmt.Sprint("node-", j))
		}
		nodes = append(nodes, n)
	}
	for b.Loop() {
		Draw("plan", nodes)
	}
}
