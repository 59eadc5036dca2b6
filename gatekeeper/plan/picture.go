package plan

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Mark is what a picture says of a node beside its name.
type Mark struct {
	State string // of a stage or a gate; its letters and _ make a class
	Words string // one line below the name in place of the state
	Href  string // where a click leads, an address that begins with / or #; "" for nowhere
}

// Sizes in a picture, in its own units. A letter of the font that pages have by default is
// about 0.6 of its size wide.
const (
	fontSize   = 14
	letter     = 8.4
	nodeHeight = 44
	nodePad    = 16
	gapX       = 56
	gapY       = 18
	margin     = 8
)

// box is where a node stands.
type box struct{ x, y, width float64 }

// Picture draws the plan as SVG: columns of stages (boxes), gates (boxes with points) and the
// landing (a double box), with lines from what comes first. marks are by node; without one a
// node has no state.
//
// It has no colours of its own: strokes and letters are currentColor, and each node has the
// classes plan-node, plan-stage, plan-gate or plan-land, and state-passed and the like, for the
// page to style. States are written in words too. For those who do not see it the picture has a
// label, and each node a title that says what it waits for.
func Picture(p *Plan, marks map[string]Mark) []byte {
	d := p.drawing()
	ways := d.route()
	boxes, width, height := p.place(ways.columns, marks)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" class="plan-picture" role="group" aria-label="%s" viewBox="0 0 %g %g" width="%g" height="%g" font-size="%d" font-family="ui-monospace, monospace" fill="currentColor">`+"\n",
		html.EscapeString(p.label()), width, height, width, height, fontSize)
	b.WriteString(`<g class="plan-lines" fill="none" stroke="currentColor" stroke-opacity="0.5" aria-hidden="true">` + "\n")
	for _, way := range ways.lines {
		b.WriteString(`<path d="` + wayPath(way, boxes) + `"/>` + "\n")
	}
	b.WriteString("</g>\n")
	for _, column := range d.layers() { // who reads it aloud hears first what comes first
		for _, name := range column {
			d.drawNode(&b, name, boxes[name], marks[name])
		}
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// wayPath is the line along a way: straight through columns, curved between them.
func wayPath(way []string, boxes map[string]box) string {
	from := boxes[way[0]]
	x, y := from.x+from.width, from.y+nodeHeight/2
	path := fmt.Sprintf("M%g %g", x, y)
	for i, name := range way[1:] {
		to := boxes[name]
		endY := to.y + nodeHeight/2
		path += fmt.Sprintf("C%g %g %g %g %g %g", x+gapX/2, y, to.x-gapX/2, endY, to.x, endY)
		x, y = to.x, endY
		if i < len(way)-2 { // a place on the way
			x = to.x + to.width
			path += fmt.Sprintf("H%g", x)
		}
	}
	return path
}

// label says what the picture shows.
func (p *Plan) label() string {
	name := "The plan"
	if p.App != "" {
		name = "The plan of " + p.App
	}
	return fmt.Sprintf("%s: %s and %s", name, plural(len(p.Stages), "stage"), plural(len(p.Gates), "gate"))
}

// place gives each node, and each place on the way of a line, its box.
func (p *Plan) place(columns [][]string, marks map[string]Mark) (boxes map[string]box, width, height float64) {
	tallest := 0
	for _, column := range columns {
		tallest = max(tallest, len(column))
	}
	boxes = map[string]box{}
	const step = nodeHeight + gapY
	height = float64(max(1, tallest))*step - gapY + 2*margin
	x := float64(margin)
	for _, column := range columns {
		widest := 0.0
		for _, name := range column {
			if p.kind(name) != "" {
				widest = max(widest, p.boxWidth(name, marks[name]))
			}
		}
		y := margin + (height-2*margin-(float64(len(column))*step-gapY))/2
		for _, name := range column {
			boxes[name] = box{x, y, widest}
			y += step
		}
		x += widest + gapX
	}
	return boxes, max(x-gapX+margin, 2*margin), height
}

func (p *Plan) boxWidth(name string, m Mark) float64 {
	longest := max(utf8.RuneCountInString(name), utf8.RuneCountInString(p.second(name, m)))
	return math.Ceil(float64(longest)*letter) + 2*nodePad
}

// second is the line below the name.
func (p *Plan) second(name string, m Mark) string {
	switch {
	case m.Words != "":
		return m.Words
	case m.State != "":
		return stateWords(m.State)
	}
	return p.does(name)
}

// stateWords writes a state as people read it: timed out, not TIMED_OUT.
func stateWords(state string) string {
	return strings.ToLower(strings.ReplaceAll(state, "_", " "))
}

var notInClass = regexp.MustCompile(`[^a-z-]+`)

func (d drawing) drawNode(b *bytes.Buffer, name string, at box, m Mark) {
	kind := d.kind(name)
	class := "plan-node plan-" + kind
	if m.State != "" {
		class += " state-" + notInClass.ReplaceAllString(strings.ToLower(strings.ReplaceAll(m.State, "_", "-")), "")
	}
	link := strings.HasPrefix(m.Href, "/") && !strings.HasPrefix(m.Href, "//") || strings.HasPrefix(m.Href, "#")
	if link {
		fmt.Fprintf(b, `<a href="%s">`, html.EscapeString(m.Href))
	}
	fmt.Fprintf(b, `<g class="%s" role="img"><title>%s</title>`, class, html.EscapeString(d.title(name, m)))
	fmt.Fprintf(b, `<path class="plan-shape" fill="none" stroke="currentColor" d="%s"/>`, outline(kind, at))
	second := d.second(name, m)
	y := at.y + nodeHeight/2 + fontSize/3
	if second != "" {
		y = at.y + nodeHeight/2 - 3
		fmt.Fprintf(b, `<text class="plan-words" x="%g" y="%g" text-anchor="middle" font-size="%d" fill-opacity="0.75">%s</text>`, at.x+at.width/2, y+fontSize+2, fontSize-2, html.EscapeString(second))
	}
	fmt.Fprintf(b, `<text class="plan-name" x="%g" y="%g" text-anchor="middle">%s</text></g>`, at.x+at.width/2, y, html.EscapeString(name))
	if link {
		b.WriteString("</a>")
	}
	b.WriteString("\n")
}

// title says in words what a node is, how it stands and what it waits for.
func (d drawing) title(name string, m Mark) string {
	text := d.kind(name) + " " + name
	if name == LandNode {
		text = "the landing"
	}
	if m.State != "" {
		text += ", " + stateWords(m.State)
	}
	if m.Words != "" {
		text += ", " + m.Words
	}
	if does := d.does(name); does != "" {
		text += ", " + does
	}
	if before := d.before[name]; len(before) > 0 {
		text += ", after " + wordList(before)
	}
	return text
}

// outline is the path around a node.
func outline(kind string, at box) string {
	x, y, w, h := at.x, at.y, at.width, float64(nodeHeight)
	rect := func(inset float64) string {
		return fmt.Sprintf("M%g %gh%gv%gh%gz", x+inset, y+inset, w-2*inset, h-2*inset, -(w - 2*inset))
	}
	switch kind {
	case "gate":
		const point = 8
		return fmt.Sprintf("M%g %gh%gl%d %gl%d %gh%gl%d %gz", x+point, y, w-2*point, point, h/2, -point, h/2, -(w - 2*point), -point, -h/2)
	case LandNode:
		return rect(0) + rect(3)
	default:
		return rect(0)
	}
}

// Dot draws the plan in the language of Graphviz.
func Dot(p *Plan) []byte {
	d := p.drawing()
	var b bytes.Buffer
	b.WriteString("digraph plan {\n  rankdir=LR;\n  node [fontname=\"monospace\"];\n")
	shapes := map[string]string{"stage": "box", "gate": "hexagon", LandNode: "doubleoctagon"}
	for _, name := range d.nodes {
		text := name
		if does := p.does(name); does != "" {
			text += `\n` + does
		}
		fmt.Fprintf(&b, "  \"%s\" [shape=%s, label=\"%s\"];\n", name, shapes[p.kind(name)], text)
	}
	for _, name := range d.nodes {
		for _, before := range d.before[name] {
			fmt.Fprintf(&b, "  \"%s\" -> \"%s\";\n", before, name)
		}
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// Graph writes the plan as text: a number for each column, and below it what can go on beside
// each other, with what it waits for.
func Graph(p *Plan) []byte {
	d := p.drawing()
	var b bytes.Buffer
	widest := 0
	for _, name := range d.nodes {
		widest = max(widest, len(name))
	}
	for i, column := range d.layers() {
		for j, name := range column {
			number := ""
			if j == 0 {
				number = fmt.Sprint(i + 1)
			}
			kind := p.kind(name)
			if name == LandNode {
				kind = ""
			}
			row := fmt.Sprintf("%2s  %-5s  %-*s", number, kind, widest, name)
			if before := d.before[name]; len(before) > 0 {
				row += "  after " + strings.Join(before, ", ")
			}
			if does := p.does(name); does != "" {
				row += "  (" + does + ")"
			}
			b.WriteString(strings.TrimRight(row, " ") + "\n")
		}
	}
	return b.Bytes()
}
