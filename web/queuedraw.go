package web

import (
	"fmt"
	"html/template"
	"slices"
	"strings"

	"gatehouse/gatekeeper"
)

// The drawing of a queue is a strip at the left of its rows, one piece for each row, so that
// it fits rows of any height: lines run from the branch at the top down to their last stop,
// trains stand at the stops of their members, with a wire up to the branch that crosses, as
// dots, those that they take for landed. It only repeats what the words beside it say.

const (
	maxLines  = 6  // lines that can be told apart by colour
	maxTrains = 12 // trains drawn: the first ones, by their stops
	lineGap   = 18 // between lines
	lineEdge  = 14 // beside them
	trainGap  = 17
	trainEdge = 11
	stopAt    = 23 // where in its row a stop is, from the top: at the title
)

// boardLine is a line of the board: what its changes have in common.
type boardLine struct {
	Name, Class string
	Changes     int
}

// drawing is where everything is, by row.
type drawing struct {
	lines  []boardLine
	stops  [][]int // the lines that each row stops at
	last   []int   // the last row of each line
	trains []drawnTrain
}

type drawnTrain struct {
	members, on map[int]bool
	first, last int
	class       string
}

// draw lays a board out.
func draw(b *gatekeeper.Board) *drawing {
	d := &drawing{}
	index := d.layLines(b)
	d.last = make([]int, len(d.lines))
	rows := map[int64]int{}
	for i, e := range b.Entries {
		rows[e.Change] = i
		d.stops = append(d.stops, d.stopsOf(e, index))
		for _, l := range d.stops[i] {
			d.lines[l].Changes++
			d.last[l] = i
		}
	}
	d.layTrains(b, rows)
	return d
}

// layLines gives the targets lines, those of most changes first; those that find none share
// the last one.
func (d *drawing) layLines(b *gatekeeper.Board) map[string]int {
	count := map[string]int{}
	var names []string
	for _, e := range b.Entries {
		for _, target := range e.Targets {
			if count[target] == 0 {
				names = append(names, target)
			}
			count[target]++
		}
	}
	slices.SortStableFunc(names, func(x, y string) int { return count[y] - count[x] })
	index := map[string]int{}
	for i, name := range names {
		if i == maxLines-1 && len(names) > maxLines {
			d.lines = append(d.lines, boardLine{Name: fmt.Sprintf("%d others", len(names)-i), Class: "l-other"})
		}
		if len(names) > maxLines && i >= maxLines-1 {
			index[name] = maxLines - 1
			continue
		}
		index[name] = i
		d.lines = append(d.lines, boardLine{Name: name, Class: lineClass(i)})
	}
	if len(d.lines) == 0 {
		d.lines = []boardLine{{Class: lineClass(0)}}
	}
	return index
}

func lineClass(i int) string { return "l-" + string(rune('a'+i)) }

// stopsOf are the lines that a change stops at: a barrier at all of them.
func (d *drawing) stopsOf(e gatekeeper.BoardEntry, index map[string]int) []int {
	var at []int
	for _, target := range e.Targets {
		at = append(at, index[target])
	}
	if e.Barrier || len(at) == 0 {
		at = nil
		for l := range d.lines {
			at = append(at, l)
		}
	}
	slices.Sort(at)
	return slices.Compact(at)
}

func (d *drawing) layTrains(b *gatekeeper.Board, rows map[int64]int) {
	for i := range b.Trains {
		t := &b.Trains[i]
		if t.State != "RUNNING" && t.State != "PASSED" {
			continue
		}
		one := drawnTrain{members: map[int]bool{}, on: map[int]bool{}, first: len(rows), class: pick(t.State == "PASSED", "good", pick(t.Spare, "calm", "busy"))}
		for _, m := range t.Members {
			if row, queued := rows[m.Change]; queued && b.TrainOf(m.Change) != nil && b.Entries[row].PS == m.PS {
				one.members[row] = true
				one.first, one.last = min(one.first, row), max(one.last, row)
			}
		}
		for _, m := range t.On {
			if row, queued := rows[m.Change]; queued {
				one.on[row] = true
			}
		}
		if len(one.members) > 0 {
			d.trains = append(d.trains, one)
		}
	}
	slices.SortStableFunc(d.trains, func(x, y drawnTrain) int { return x.last - y.last })
	d.trains = d.trains[:min(len(d.trains), maxTrains)]
}

// lanes are the lines of a row by name; one that stops at all of many names none.
func (d *drawing) lanes(row int) []boardLine {
	if len(d.lines) < 2 || len(d.stops[row]) == len(d.lines) && len(d.lines) > 2 {
		return nil
	}
	var all []boardLine
	for _, l := range d.stops[row] {
		all = append(all, d.lines[l])
	}
	return all
}

func lineX(l int) int { return lineEdge + lineGap*l }

func (d *drawing) width() int { return 2*lineEdge + lineGap*(len(d.lines)-1) }

// svg is a piece of the strip, as high as its row.
func svg(class string, width int, body string) template.HTML {
	return template.HTML(fmt.Sprintf(`<svg class="%s" width="%d" height="100%%" aria-hidden="true">%s</svg>`, class, width, body)) //nolint:gosec // made of numbers and constants
}

func vertical(class string, x int, from, to string) string {
	return fmt.Sprintf(`<line class="%s" x1="%d" x2="%d" y1="%s" y2="%s"/>`, class, x, x, from, to)
}

var stopY = fmt.Sprint(stopAt)

// above is a little above a row, so that no gap shows between two pieces.
const above = "-1"

// rails are the lines at a row, and its stop: filled when the change is ready to land.
func (d *drawing) rails(row int, phase string) template.HTML {
	var b strings.Builder
	for l := range d.lines {
		switch {
		case row < d.last[l]:
			b.WriteString(vertical("track "+d.lines[l].Class, lineX(l), above, "100%"))
		case row == d.last[l]:
			b.WriteString(vertical("track "+d.lines[l].Class, lineX(l), above, stopY))
		}
	}
	at := d.stops[row]
	first, last := at[0], at[len(at)-1]
	if first == last {
		fmt.Fprintf(&b, `<circle class="halt %s%s" cx="%d" cy="%d" r="6"/>`, d.lines[first].Class, pick(phase == "passed" || phase == "landing", " full", ""), lineX(first), stopAt)
	} else {
		fmt.Fprintf(&b, `<rect class="halt many" x="%d" y="%d" width="%d" height="13" rx="6.5"/>`, lineX(first)-6, stopAt-6, lineX(last)-lineX(first)+12)
		for _, l := range at {
			fmt.Fprintf(&b, `<circle class="dot %s" cx="%d" cy="%d" r="3"/>`, d.lines[l].Class, lineX(l), stopAt)
		}
	}
	return svg("rails", d.width(), b.String())
}

// wires are the trains at a row.
func (d *drawing) wires(row int) template.HTML {
	if len(d.trains) == 0 {
		return ""
	}
	var b strings.Builder
	for j, t := range d.trains {
		x := trainEdge + trainGap*j
		if row > t.last {
			continue
		}
		if row < t.first || !t.members[row] {
			b.WriteString(vertical("wire "+t.class, x, above, "100%"))
		} else if row == t.first {
			b.WriteString(vertical("wire "+t.class, x, above, stopY))
		}
		if t.first < t.last && row >= t.first { // the body of a train with several members
			b.WriteString(vertical("body "+t.class, x, pick(row == t.first, stopY, "0"), pick(row == t.last, stopY, "100%")))
		}
		switch {
		case t.members[row]:
			fmt.Fprintf(&b, `<g class="train %s"><rect x="%d" y="%d" width="13" height="17" rx="4"/><rect class="pane" x="%d" y="%d" width="7" height="5" rx="1"/><circle class="pane" cx="%d" cy="%d" r="1.2"/><circle class="pane" cx="%d" cy="%d" r="1.2"/></g>`,
				t.class, x-6, stopAt-8, x-3, stopAt-5, x-2, stopAt+5, x+3, stopAt+5)
		case t.on[row]:
			fmt.Fprintf(&b, `<circle class="over %s" cx="%d" cy="%d" r="3.5"/>`, t.class, x, stopAt)
		}
	}
	return svg("wires", 2*trainEdge+trainGap*(len(d.trains)-1), b.String())
}

// station is the branch: what is above has landed, what is below waits.
func (d *drawing) station(news bool) template.HTML {
	var b strings.Builder
	if news {
		b.WriteString(vertical("track l-past", d.width()/2, above, "50%"))
	}
	for l := range d.lines {
		b.WriteString(vertical("track "+d.lines[l].Class, lineX(l), "50%", "100%"))
	}
	fmt.Fprintf(&b, `<svg y="50%%" height="1" overflow="visible" aria-hidden="true"><rect class="station" x="4" y="-10" width="%d" height="20" rx="10"/></svg>`, d.width()-8)
	return svg("rails", d.width(), b.String())
}

// passed is the piece beside one that left: on the line when it landed, off it when it was
// put out.
func (d *drawing) passed(tone string, oldest bool) template.HTML {
	var b strings.Builder
	x := d.width() / 2
	b.WriteString(vertical("track l-past", x, pick(oldest, "50%", above), "100%"))
	switch tone {
	case "done":
		fmt.Fprintf(&b, `<circle class="past" cx="%d" cy="50%%" r="5"/>`, x)
	case "bad":
		fmt.Fprintf(&b, `<svg x="%d" y="50%%" height="1" overflow="visible" aria-hidden="true"><path class="off" d="m-5-5 10 10m0-10-10 10"/></svg>`, x)
	default:
		fmt.Fprintf(&b, `<svg x="%d" y="50%%" height="1" overflow="visible" aria-hidden="true"><path class="off calm" d="M-6 0H6"/></svg>`, x)
	}
	return svg("rails", d.width(), b.String())
}

// ticks are the landings of a day, and who was put out, as bars over its slider.
func ticks(day gatekeeper.BoardDay) template.HTML {
	most := 1
	for i := range day.Landed {
		most = max(most, day.Landed[i]+day.Left[i])
	}
	const height = 22
	var b strings.Builder
	bar := func(class string, slot, from, n int) {
		if n > 0 {
			h := max(float64(n)*height/float64(most), 3)
			fmt.Fprintf(&b, `<rect class="%s" x="%.2f%%" y="%.1f" width="0.8%%" height="%.1f"/>`, class, float64(slot)*100/gatekeeper.BoardSlots+0.1,
				height-float64(from)*height/float64(most)-h, h)
		}
	}
	for i := range day.Landed {
		bar("done", i, 0, day.Landed[i])
		bar("bad", i, day.Landed[i], day.Left[i])
	}
	return template.HTML(fmt.Sprintf(`<svg class="ticks" width="100%%" height="%d" aria-hidden="true">%s</svg>`, height, b.String())) //nolint:gosec // made of numbers
}
