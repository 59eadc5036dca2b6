// Package picture draws what comes after what, as SVG: boxes in columns from left to right, each
// column after those before it, with lines between them.
//
// It is pure: what goes in are names, words and classes, what comes out is one string. The style
// sheet of the page gives the classes their colours, so a picture wears the theme of its page.
//
// Invariants: the same nodes give the same bytes; every text is escaped, and every address begins
// with one slash or a hash, so that none leads to another site or runs; a node that waits for
// what is not there, or for itself, is drawn all the same; nothing is told by colour alone, for
// each node has its state in words, and a title for those who hear the page.
package picture

import (
	"fmt"
	"html"
	"slices"
	"strings"
	"unicode/utf8"
)

// Shapes of nodes.
const (
	Box  = "box"  // work
	Gate = "gate" // a verdict: a box with points
	Arch = "arch" // the landing: a box with a second line around it
)

// Node is one box.
type Node struct {
	Name  string
	Shape string
	Words string   // below the name
	Title string   // all of it, for those who point at it or hear it
	Class string   // of letters and dashes: the page colours by it
	Sign  string   // the inside of a sign of 16 by 16, of the program's own; "" for none
	Href  string   // where a click leads: begins with / or #; "" for nowhere
	After []string // names of what comes first
}

// Sizes in the picture's units, which are those of the page.
const (
	height   = 42
	gapX     = 44
	gapY     = 12
	passing  = 10 // a line that passes a column is as high as this
	edge     = 3
	signRoom = 22
	pad      = 12
	point    = 8
	letter   = 7.9 // width of a letter of a name: the widest of the usual fonts at 13
	small    = 6.5 // of the words below it
	maxName  = 26  // letters that are drawn; the title has all
	maxWords = 30
	sweeps   = 6 // more change nothing that people see
)

// Limits of a picture: a plan has fewer nodes, and what is beyond them nobody reads.
const maxNodes = 200

// place is a box, or a line on its way through a column.
type place struct {
	node   int // index, -1 for a line
	before []*place
	order  float64
	x, y   float64
	w, h   float64
}

// Draw draws the nodes; label says what the picture shows.
func Draw(label string, nodes []Node) string {
	nodes = nodes[:min(len(nodes), maxNodes)]
	before := reduce(nodes)
	columns, places := arrange(before)
	width, tall := lay(columns, nodes)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="graph" role="group" aria-label="%s" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f">`, html.EscapeString(label), width, tall, width, tall)
	b.WriteString(`<g class="ways" aria-hidden="true">`)
	for _, p := range places {
		for _, from := range p.before {
			way(&b, from, p)
		}
	}
	b.WriteString("</g>")
	for _, column := range columns { // who hears it, hears first what comes first
		for _, p := range column {
			if p.node >= 0 {
				draw(&b, &nodes[p.node], p)
			}
		}
	}
	b.WriteString("</svg>")
	return b.String()
}

// reduce is what each node directly waits for: what it also waits for through another is left out,
// as are names that are no node's, and the last step of a circle.
func reduce(nodes []Node) [][]int {
	index := map[string]int{}
	for i, n := range nodes {
		if _, twice := index[n.Name]; !twice {
			index[n.Name] = i
		}
	}
	before := make([][]int, len(nodes))
	reach := make([]map[int]bool, len(nodes))
	var visit func(i int, way []int)
	visit = func(i int, way []int) {
		if reach[i] != nil {
			return
		}
		var direct []int
		for _, name := range nodes[i].After {
			if j, ok := index[name]; ok && j != i && !slices.Contains(way, j) && !slices.Contains(direct, j) {
				visit(j, append(way, i))
				direct = append(direct, j)
			}
		}
		reach[i] = map[int]bool{}
		for _, j := range direct {
			reach[i][j] = true
			for k := range reach[j] {
				reach[i][k] = true
			}
		}
		for _, j := range direct {
			if !slices.ContainsFunc(direct, func(k int) bool { return k != j && reach[k][j] }) {
				before[i] = append(before[i], j)
			}
		}
	}
	for i := range nodes {
		visit(i, nil)
	}
	return before
}

// arrange puts the nodes into columns, and a place for each line into the columns that it passes,
// and orders each column so that few lines cross.
func arrange(before [][]int) (columns [][]*place, all []*place) {
	depth := make([]int, len(before))
	for range before { // as often as the longest way can be
		for i := range before {
			for _, j := range before[i] {
				depth[i] = max(depth[i], min(depth[j]+1, len(before)-1))
			}
		}
	}
	boxes := make([]*place, len(before))
	put := func(p *place, column int) {
		for len(columns) <= column {
			columns = append(columns, nil)
		}
		p.order = float64(len(columns[column]))
		columns[column] = append(columns[column], p)
		all = append(all, p)
	}
	for i := range before {
		boxes[i] = &place{node: i, h: height}
		put(boxes[i], depth[i])
	}
	for i := range before {
		for _, j := range before[i] {
			from := boxes[j]
			for column := depth[j] + 1; column < depth[i]; column++ {
				next := &place{node: -1, h: passing, before: []*place{from}}
				put(next, column)
				from = next
			}
			boxes[i].before = append(boxes[i].before, from)
		}
	}
	order(columns)
	return columns, all
}

// order sorts each column by the middle of what its places are joined with, forth and back.
func order(columns [][]*place) {
	after := map[*place][]*place{}
	for _, column := range columns {
		for _, p := range column {
			for _, from := range p.before {
				after[from] = append(after[from], p)
			}
		}
	}
	settle := func(column []*place, joined func(p *place) []*place) {
		want := map[*place]float64{}
		for _, p := range column {
			want[p] = p.order
			if all := joined(p); len(all) > 0 {
				sum := 0.0
				for _, other := range all {
					sum += other.order
				}
				want[p] = sum / float64(len(all))
			}
		}
		slices.SortStableFunc(column, func(a, b *place) int {
			switch {
			case want[a] < want[b]:
				return -1
			case want[a] > want[b]:
				return 1
			}
			return 0
		})
		for i, p := range column {
			p.order = float64(i) - float64(len(column)-1)/2
		}
	}
	for range sweeps {
		for i := 0; i < len(columns); i++ {
			settle(columns[i], func(p *place) []*place { return p.before })
		}
		for i := len(columns) - 1; i >= 0; i-- {
			settle(columns[i], func(p *place) []*place { return after[p] })
		}
	}
}

// lay gives every place its position.
func lay(columns [][]*place, nodes []Node) (width, tall float64) {
	high := func(column []*place) float64 {
		sum := -float64(gapY)
		for _, p := range column {
			sum += p.h + gapY
		}
		return sum
	}
	for _, column := range columns {
		tall = max(tall, high(column))
	}
	x := float64(edge)
	for _, column := range columns {
		widest := 0.0
		for _, p := range column {
			if p.node >= 0 {
				widest = max(widest, wide(&nodes[p.node]))
			}
		}
		y := edge + (tall-high(column))/2
		for _, p := range column {
			p.x, p.y, p.w = x, y, widest
			y += p.h + gapY
		}
		x += widest + gapX
	}
	return max(x-gapX+edge, 2*edge), tall + 2*edge
}

func wide(n *Node) float64 {
	w := max(letter*float64(letters(n.Name, maxName)), small*float64(letters(n.Words, maxWords))) + 2*pad
	if n.Sign != "" {
		w += signRoom
	}
	if n.Shape == Gate {
		w += point
	}
	return w
}

func letters(s string, most int) int { return min(utf8.RuneCountInString(s), most) }

// cut is what is drawn of a text.
func cut(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

// way is the line from the end of one place to the beginning of the next.
func way(b *strings.Builder, from, to *place) {
	x1, y1, x2, y2 := from.x+from.w, from.y+from.h/2, to.x, to.y+to.h/2
	fmt.Fprintf(b, `<path d="M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f`, x1, y1, x1+gapX/2, y1, x2-gapX/2, y2, x2, y2)
	if to.node < 0 {
		fmt.Fprintf(b, "h%.1f", to.w)
	}
	b.WriteString(`"/>`)
}

func draw(b *strings.Builder, n *Node, p *place) {
	link := strings.HasPrefix(n.Href, "#") || strings.HasPrefix(n.Href, "/") && !strings.HasPrefix(n.Href, "//") && !strings.HasPrefix(n.Href, `/\`)
	title := n.Title
	if title == "" {
		title = strings.TrimSuffix(n.Name+": "+n.Words, ": ")
	}
	heard := "" // a link is called what stands in it
	if link {
		fmt.Fprintf(b, `<a href="%s">`, html.EscapeString(n.Href))
	} else {
		heard = ` role="img" aria-label="` + html.EscapeString(title) + `"`
	}
	fmt.Fprintf(b, `<g class="node %s %s"%s><title>%s</title><path class="shape" d="%s"/>`, class(n.Shape), class(n.Class), heard, html.EscapeString(title), outline(n.Shape, p))
	x := p.x + pad
	if n.Shape == Gate {
		x += point / 2
	}
	if n.Sign != "" {
		fmt.Fprintf(b, `<svg class="sign" x="%.1f" y="%.1f" width="16" height="16" viewBox="0 0 16 16">%s</svg>`, x-2, p.y+(height-16)/2, n.Sign)
		x += signRoom - 2
	}
	y := p.y + height/2 + 4.5
	if n.Words != "" {
		y -= 8
	}
	fmt.Fprintf(b, `<text class="name" x="%.1f" y="%.1f">%s</text>`, x, y, html.EscapeString(cut(n.Name, maxName)))
	if n.Words != "" {
		fmt.Fprintf(b, ` <text class="words" x="%.1f" y="%.1f">%s</text>`, x, y+15, html.EscapeString(cut(n.Words, maxWords)))
	}
	b.WriteString("</g>")
	if link {
		b.WriteString("</a>")
	}
}

// class keeps what a class may be made of.
func class(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r == '-' || r == ' ' {
			return r
		}
		return -1
	}, s)
}

func outline(shape string, p *place) string {
	x, y, w := p.x, p.y, p.w
	round := func(in, r float64) string {
		return fmt.Sprintf("M%.1f %.1fh%.1fa%g %g 0 0 1 %g %gv%.1fa%g %g 0 0 1 %g %gh%.1fa%g %g 0 0 1 %g %gv%.1fa%g %g 0 0 1 %g %gz",
			x+in+r, y+in, w-2*in-2*r, r, r, r, r, height-2*in-2*r, r, r, -r, r, -(w - 2*in - 2*r), r, r, -r, -r, -(height - 2*in - 2*r), r, r, r, -r)
	}
	switch shape {
	case Gate:
		return fmt.Sprintf("M%.1f %.1fh%.1fl%d %dl%d %dh%.1fl%d %dz", x+point, y, w-2*point, point, height/2, -point, height/2, -(w - 2*point), -point, -height/2)
	case Arch:
		return round(0, 7) + round(3, 4)
	default:
		return round(0, 6)
	}
}
