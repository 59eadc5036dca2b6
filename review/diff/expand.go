package diff

import "slices"

// Range is lines of the new file, From and To included, counted from 1.
type Range struct{ From, To int }

// Gap is a run of unchanged lines that no hunk shows. The lines of the old file have the
// numbers of the new ones plus Shift.
type Gap struct {
	Range
	Shift int
}

// Lines is how many lines the gap has; none when it is empty.
func (g Gap) Lines() int { return max(0, g.To-g.From+1) }

// Gaps are the gaps before each hunk and, last, the one behind them all. Hunks are in order;
// total is how many lines the new file has, 0 when that is not known: then the last gap is empty.
func Gaps(hunks []Hunk, total int) []Gap {
	gaps := make([]Gap, 0, len(hunks)+1)
	next, shift := 1, 0
	for _, h := range hunks {
		first, last := h.newRange()
		gaps = append(gaps, Gap{Range{next, first - 1}, shift})
		next, shift = last+1, shift+h.OldLines-h.NewLines
	}
	return append(gaps, Gap{Range{next, total}, shift})
}

// newRange is the hunk's lines of the new file; of one that only deletes, the empty range
// before the line that follows.
func (h Hunk) newRange() (first, last int) {
	if h.NewLines == 0 {
		return h.NewStart + 1, h.NewStart
	}
	return h.NewStart, h.NewStart + h.NewLines - 1
}

// Expand shows more of a file: the wanted lines that no hunk holds are added as context, and
// hunks that meet become one. file is the new file's lines. The hunks that are given stay as
// they are.
func Expand(hunks []Hunk, file []string, want []Range) []Hunk {
	var out []Hunk
	for i, gap := range Gaps(hunks, len(file)) {
		for _, r := range within(want, gap.Range) {
			out = join(out, contextHunk(file, r, gap.Shift))
		}
		if i < len(hunks) {
			out = join(out, hunks[i])
		}
	}
	return out
}

// within are the parts of ranges that lie in limit, in order and without overlaps.
func within(ranges []Range, limit Range) []Range {
	var cut []Range
	for _, r := range ranges {
		r.From, r.To = max(r.From, limit.From), min(r.To, limit.To)
		if r.From <= r.To {
			cut = append(cut, r)
		}
	}
	slices.SortFunc(cut, func(a, b Range) int { return a.From - b.From })
	var out []Range
	for _, r := range cut {
		if last := len(out) - 1; last >= 0 && r.From <= out[last].To+1 {
			out[last].To = max(out[last].To, r.To)
			continue
		}
		out = append(out, r)
	}
	return out
}

// Context is the lines of a range as a hunk without changes.
func Context(file []string, r Range, shift int) Hunk {
	for _, inside := range within([]Range{r}, Range{1, len(file)}) {
		return contextHunk(file, inside, shift)
	}
	return Hunk{}
}

func contextHunk(file []string, r Range, shift int) Hunk {
	n := r.To - r.From + 1
	h := Hunk{OldStart: r.From + shift, OldLines: n, NewStart: r.From, NewLines: n, Lines: make([]Line, n)}
	for i := range h.Lines {
		h.Lines[i] = Line{Kind: ' ', Old: r.From + shift + i, New: r.From + i, Text: file[r.From+i-1]}
	}
	return h
}

// join appends h, to the last hunk itself when nothing lies between them.
func join(hunks []Hunk, h Hunk) []Hunk {
	if last := len(hunks) - 1; last >= 0 {
		before := &hunks[last]
		_, end := before.newRange()
		if first, _ := h.newRange(); first == end+1 {
			*before = Hunk{
				OldStart: startOf(*before, h, func(h Hunk) (int, int) { return h.OldStart, h.OldLines }), OldLines: before.OldLines + h.OldLines,
				NewStart: startOf(*before, h, func(h Hunk) (int, int) { return h.NewStart, h.NewLines }), NewLines: before.NewLines + h.NewLines,
				Section: before.Section, Lines: slices.Concat(before.Lines, h.Lines),
			}
			return hunks
		}
	}
	return append(hunks, h)
}

// startOf is where two hunks that meet begin on one side: an empty side counts from the line
// before it (as in git), so the other one knows better.
func startOf(a, b Hunk, side func(Hunk) (start, lines int)) int {
	start, lines := side(a)
	if after, more := side(b); lines == 0 && more > 0 {
		return after
	}
	return start
}
