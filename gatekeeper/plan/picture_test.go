package plan

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// titles reads a picture as a program does that reads it aloud, and fails on broken XML.
func titles(t interface{ Fatal(...any) }, svg []byte) (all []string) {
	d := xml.NewDecoder(bytes.NewReader(svg))
	in := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err, string(svg))
		}
		switch token := token.(type) {
		case xml.StartElement:
			in = token.Name.Local == "title"
		case xml.EndElement:
			in = false
		case xml.CharData:
			if in {
				all = append(all, string(token))
			}
		}
	}
}

func TestPicture(t *testing.T) {
	p := mustParse(t, fiveGates)
	svg := Picture(p, map[string]Mark{
		"unit": {State: "TIMED_OUT", Href: "/c/1"}, "smoke": {State: `"><script>`, Words: "<b>", Href: "javascript:alert(1)"},
		"build": {State: "PASSED", Href: "//evil.example"}, "land": {State: "WAITING", Words: "2 of 3 gates", Href: "#land"},
	})
	got := titles(t, svg)
	want := []string{
		"stage unit, timed out", "stage build, passed, makes server", "gate review",
		"stage preview, server into preview, after build and unit", `gate smoke, "><script>, <b>, after preview`,
		"stage integration, server into it, after smoke", "gate integrated, after integration",
		"the landing, waiting, 2 of 3 gates, after review and integrated",
		"stage load, server into perf, after land", "stage staging, server into staging, after land",
		"gate performance, after load", "gate accepted, after performance and staging", "stage production, server into production, after accepted",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("titles (-want +got):\n%s", diff)
	}
	text := string(svg)
	for _, part := range []string{`class="plan-node plan-stage state-timed-out"`, `class="plan-node plan-gate state-script"`, `<a href="/c/1">`, `<a href="#land">`, `role="group" aria-label="The plan of hello: 7 stages and 5 gates"`} {
		if !strings.Contains(text, part) {
			t.Errorf("no %s", part)
		}
	}
	for _, part := range []string{"<script", "javascript:", "evil", "style=", "<style"} {
		if strings.Contains(text, part) {
			t.Errorf("holds %s", part)
		}
	}
	if again := Picture(p, nil); !bytes.Equal(again, Picture(p, nil)) {
		t.Error("two pictures of one plan differ")
	}
	if none := Picture(Default(), nil); len(titles(t, none)) != 2 {
		t.Errorf("%s", none)
	}
}

// Nodes do not overlap, and no line goes through a node.
func TestPictureIsClear(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genDelivery(t)
		titles(t, Picture(p, nil))
		d := p.drawing()
		ways := d.route()
		boxes, width, height := p.place(ways.columns, nil)
		for _, column := range ways.columns {
			for i, name := range column {
				b := boxes[name]
				if b.x < 0 || b.y < 0 || b.x+b.width > width || b.y+nodeHeight > height {
					t.Fatalf("%s stands outside: %+v of %g x %g", name, b, width, height)
				}
				if i > 0 && boxes[column[i-1]].y+nodeHeight+gapY > b.y {
					t.Fatalf("%s stands on %s", name, column[i-1])
				}
			}
		}
		for _, way := range ways.lines {
			for i := range way[1:] {
				if from, to := boxes[way[i]], boxes[way[i+1]]; from.x+from.width+gapX != to.x {
					t.Fatalf("the line from %s to %s crosses a column", way[i], way[i+1])
				}
			}
		}
	})
}

// A picture of the densest plan costs little.
func TestPictureOfMuch(t *testing.T) {
	var b strings.Builder
	b.WriteString("version: 1\nstages:\n")
	var half []string
	for i := range MaxStages {
		fmt.Fprintf(&b, "  s%d: {run: x", i)
		if i < MaxStages/2 {
			half = append(half, fmt.Sprintf("s%d", i))
		} else {
			fmt.Fprintf(&b, ", after: [%s]", strings.Join(half, ", "))
		}
		b.WriteString("}\n")
	}
	p := mustParse(t, b.String())
	if svg := Picture(p, nil); len(svg) > 1<<20 {
		t.Errorf("%d bytes", len(svg))
	}
}

func TestGraphAndDot(t *testing.T) {
	p := mustParse(t, fiveGates)
	text := string(Graph(p))
	for _, row := range []string{" 1  stage  unit\n", "    stage  build        (makes server)\n", " 3  gate   smoke        after preview\n", " 6         land         after review, integrated\n", "10  stage  production   after accepted  (server into production)\n"} {
		if !strings.Contains(text, row) {
			t.Errorf("no %q in\n%s", row, text)
		}
	}
	dot := string(Dot(p.Delivering("")))
	if !regexp.MustCompile(`"land" -> "load";`).MatchString(dot) || strings.Contains(dot, "unit") || strings.Count(dot, "{") != strings.Count(dot, "}") {
		t.Error(dot)
	}
}

func TestDescribe(t *testing.T) {
	p := mustParse(t, fiveGates)
	short := Describe(p, "preview-untested")
	want := []string{
		"Outcome preview-untested reaches preview and leaves out unit; only maintainers may ask for it.",
		"Before the landing:",
		"  unit runs at once; maintainers may leave it out, with a reason",
		"  build runs at once; makes server (file)",
		"  preview runs after build and unit; brings server into preview (ephemeral, for 2d, as {{change}}.preview.example.test)",
		"It does not land.",
	}
	if diff := cmp.Diff(want, short); diff != "" {
		t.Errorf("preview-untested (-want +got):\n%s", diff)
	}
	all := Describe(p, "")
	for _, line := range []string{
		"Outcome deliver, the usual one, reaches production.",
		"It lands by rebase when review, smoke and integrated are open.",
		"After the landing:",
		"    - rps at most 10% worse than in production",
		"    - 2 approvals from release-managers, not from the author, none older than 3d",
		"    - open: review, smoke, integrated and performance, for no longer than 14d",
	} {
		if !slices.Contains(all, line) {
			t.Errorf("no %q in\n%s", line, strings.Join(all, "\n"))
		}
	}
	if got := Describe(Default(), ""); !slices.Contains(got, "    - Code-Review+2, not from the author or uploader") {
		t.Errorf("%q", got)
	}
}
