package diff

import "strings"

// Fate is what became of a line, or of a run of lines, between two texts.
type Fate int

// The fates.
const (
	Kept   Fate = iota // it stands in the new text with the same words, perhaps elsewhere
	Edited             // it was turned into another line, or other lines came between
	Gone               // it has no successor
)

// Carried is where lines of the old text are in the new one.
type Carried struct {
	Fate Fate
	// Start and End are lines of the new text, from 1; 0 when the lines are gone.
	Start, End int
	// Near is, when the lines are gone, the line of the new text that survived closest to them; 0
	// when nothing around them did.
	Near int
}

const (
	// minEdited is how much an edited line must have in common with what it was, in thousandths, to
	// be its successor: less than half is another line.
	minEdited = 500
	// minMoved is how many letters and digits a line needs so that finding it once more, and only
	// once, means that it was moved: a closing brace is found anywhere.
	minMoved = 6
	// stretch is how many times as long a run may become and still be one run.
	stretch = 3
)

// Porter carries places from one text to another by the hunks of their difference. The hunks
// need a line of context, as git gives three; without it, the nearest line of what is gone is
// told less well.
type Porter struct {
	hunks []Hunk
	// next is where deleted lines went: successors within their change, moved lines anywhere.
	next map[int]Carried
}

// NewPorter prepares for carrying. Hunks are in the order of the text and do not overlap.
func NewPorter(hunks []Hunk) *Porter {
	p := &Porter{hunks: hunks, next: map[int]Carried{}}
	deleted, added := map[string][]int{}, map[string][]int{}
	for i := range hunks {
		lines, work := hunks[i].Lines, maxWork
		for _, l := range lines {
			switch l.Kind {
			case '-':
				deleted[l.Text] = append(deleted[l.Text], l.Old)
			case '+':
				added[l.Text] = append(added[l.Text], l.New)
			}
		}
		for _, b := range blocks(lines) {
			var found []pair
			found, work = pairs(lines, b, work)
			for _, f := range found {
				p.pair(&lines[f.Del], &lines[f.Add])
			}
		}
	}
	p.moves(deleted, added)
	return p
}

// pair notes that a line was turned into another, if the two are alike enough.
func (p *Porter) pair(old, new *Line) {
	if old.Text == new.Text {
		p.next[old.Old] = Carried{Kept, new.New, new.New, 0}
	} else if likeness(old.Text, new.Text) >= minEdited {
		p.next[old.Old] = Carried{Edited, new.New, new.New, 0}
	}
}

// moves notes lines that were taken away in one place and put in another: the text is
// distinctive, and was taken away once and put once. That outdoes a line that is only alike.
func (p *Porter) moves(deleted, added map[string][]int) {
	for text, from := range deleted {
		to := added[text]
		if len(from) == 1 && len(to) == 1 && distinctive(text) {
			p.next[from[0]] = Carried{Kept, to[0], to[0], 0}
		}
	}
}

// distinctive reports whether a line says enough to be known again.
func distinctive(text string) bool {
	n := 0
	for _, span := range tokens(text) {
		if word := text[span.Start:span.End]; strings.ContainsFunc(word, letterOrDigit) {
			n += len(word)
		}
	}
	return n >= minMoved
}

func letterOrDigit(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r >= 0x80
}

// Line carries one line.
func (p *Porter) Line(line int) Carried {
	shift := 0
	for i := range p.hunks {
		h := &p.hunks[i]
		first, past := h.OldStart, h.OldStart+h.OldLines
		if h.OldLines == 0 { // git names the line before what is only inserted
			first, past = first+1, first+1
		}
		if line < first {
			break
		}
		if line < past {
			return p.within(h, line, shift)
		}
		shift += h.NewLines - h.OldLines
	}
	return Carried{Kept, line + shift, line + shift, 0}
}

// within carries a line that a hunk shows. shift is how far the lines above the hunk moved.
func (p *Porter) within(h *Hunk, line, shift int) Carried {
	at := 0
	for at < len(h.Lines) && h.Lines[at].Old != line {
		at++
	}
	if at == len(h.Lines) { // a hunk whose counts lie; [Parse] makes none
		return Carried{Fate: Gone}
	}
	if l := h.Lines[at]; l.Kind == ' ' {
		return Carried{Kept, l.New, l.New, 0}
	}
	if c, ok := p.next[line]; ok {
		return c
	}
	return Carried{Fate: Gone, Near: near(h, at, shift)}
}

// near finds the closest line around a deleted one that is in both texts, the one above when
// two are as close.
func near(h *Hunk, at, shift int) int {
	line := h.Lines[at].Old
	above, below := 0, 0
	for i := at - 1; i >= 0 && above == 0; i-- {
		if h.Lines[i].Kind == ' ' {
			above = i + 1
		}
	}
	for i := at + 1; i < len(h.Lines) && below == 0; i++ {
		if h.Lines[i].Kind == ' ' {
			below = i + 1
		}
	}
	switch {
	case above == 0 && below == 0:
		return max(0, h.OldStart-1+shift) // 0 before the first line of the text
	case above == 0:
		return h.Lines[below-1].New
	case below == 0, line-h.Lines[above-1].Old <= h.Lines[below-1].Old-line:
		return h.Lines[above-1].New
	}
	return h.Lines[below-1].New
}

// Range carries the lines from start to end. It is Kept only when every line is, in a row. What
// came apart is told by the part that holds together around its last line, since that is where
// people look for a comment.
func (p *Porter) Range(start, end int) Carried {
	last := p.Line(end)
	if start >= end {
		return last
	}
	whole := last.Fate == Kept
	c := Carried{Fate: Edited}
	most := stretch * (end - start + 1)
	for line := end; line >= start; line-- {
		one := p.Line(line)
		if whole = whole && one.Fate == Kept && one.Start == last.Start-(end-line); one.Fate == Gone {
			continue
		}
		if c.Start == 0 {
			c.Start, c.End = one.Start, one.End
		} else if low, high := min(c.Start, one.Start), max(c.End, one.End); high-low < most {
			c.Start, c.End = low, high
		}
	}
	switch {
	case c.Start == 0:
		return last
	case whole:
		c.Fate = Kept
	}
	return c
}

// Old is the text of those of the old lines from start to end that the hunks show: all of them
// where nothing of them is left.
func (p *Porter) Old(start, end int) []string {
	var all []string
	for i := range p.hunks {
		for _, l := range p.hunks[i].Lines {
			if l.Old >= start && l.Old <= end && l.Old > 0 {
				all = append(all, l.Text)
			}
		}
	}
	return all
}

// Size is about how many bytes of memory the porter keeps.
func (p *Porter) Size() int {
	const line = 80
	n := 0
	for i := range p.hunks {
		for _, l := range p.hunks[i].Lines {
			n += line + len(l.Text)
		}
	}
	return n
}
