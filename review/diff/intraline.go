package diff

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Intraline fills the marks of the hunk's changed lines: each deleted line that was turned
// into an added one, and that one, are marked where their words differ. Marks that were
// there are replaced. It notes the pairs, so that [Rows] does not look for them again.
func Intraline(h *Hunk) {
	for i := range h.Lines {
		h.Lines[i].Marks, h.Lines[i].Pair = nil, 0
		if h.Lines[i].Kind == '-' {
			h.Lines[i].Pair = -1
		}
	}
	work := maxWork
	for _, b := range blocks(h.Lines) {
		var found []pair
		found, work = pairs(h.Lines, b, work)
		for _, p := range found {
			h.Lines[p.Del].Pair = h.Lines[p.Add].New
			work = mark(&h.Lines[p.Del], &h.Lines[p.Add], work)
		}
	}
}

// Rows lays a hunk out in two columns: context on both sides, a deleted line beside the
// added one that it was turned into, and what has no partner filling up beside its neighbours.
func Rows(h Hunk) []Row {
	rows := make([]Row, 0, len(h.Lines))
	at, work := 0, maxWork
	for _, b := range blocks(h.Lines) {
		rows = context(rows, h.Lines, at, b.del)
		found, known := noted(h.Lines, b)
		if !known {
			found, work = pairs(h.Lines, b, work)
		}
		d, a := b.del, b.add
		for _, p := range found {
			rows = beside(rows, h.Lines, d, p.Del, a, p.Add)
			rows = append(rows, Row{&h.Lines[p.Del], &h.Lines[p.Add]})
			d, a = p.Del+1, p.Add+1
		}
		rows = beside(rows, h.Lines, d, b.add, a, b.end)
		at = b.end
	}
	return context(rows, h.Lines, at, len(h.Lines))
}

// noted are the pairs of a block that [Intraline] found; known is false when it was not asked.
func noted(lines []Line, b block) (found []pair, known bool) {
	if b.add == b.end {
		return nil, true
	}
	for d := b.del; d < b.add; d++ {
		if lines[d].Pair == 0 {
			return nil, false
		}
		a := b.add + lines[d].Pair - lines[b.add].New
		if lines[d].Pair > 0 && a >= b.add && a < b.end && lines[a].New == lines[d].Pair {
			found = append(found, pair{d, a})
		}
	}
	return found, true
}

func context(rows []Row, lines []Line, from, to int) []Row {
	for i := from; i < to; i++ {
		rows = append(rows, Row{&lines[i], &lines[i]})
	}
	return rows
}

// beside puts lines without partners next to each other, so that the page stays short.
func beside(rows []Row, lines []Line, d, dels, a, adds int) []Row {
	for ; d < dels || a < adds; d, a = d+1, a+1 {
		var row Row
		if d < dels {
			row.Left = &lines[d]
		}
		if a < adds {
			row.Right = &lines[a]
		}
		rows = append(rows, row)
	}
	return rows
}

// mark marks the words in which two paired lines differ and returns the work that is left.
func mark(old, new *Line, work int) int {
	a, b := tokens(old.Text), tokens(new.Text)
	same := func(i, j int) bool {
		return old.Text[a[i].Start:a[i].End] == new.Text[b[j].Start:b[j].End]
	}
	head := 0
	for head < min(len(a), len(b)) && same(head, head) {
		head++
	}
	tail := 0
	for tail < min(len(a), len(b))-head && same(len(a)-1-tail, len(b)-1-tail) {
		tail++
	}
	m, n := len(a)-head-tail, len(b)-head-tail
	keepOld, keepNew := make([]bool, m), make([]bool, n)
	if cost := m * n; cost <= work {
		work -= cost
		common(m, n, func(i, j int) bool { return same(head+i, head+j) }, keepOld, keepNew)
	}
	old.Marks = spans(old.Text, a[head:head+m], keepOld)
	new.Marks = spans(new.Text, b[head:head+n], keepNew)
	return work
}

// common finds a longest common subsequence and sets what belongs to it in both slices.
func common(m, n int, same func(i, j int) bool, keepOld, keepNew []bool) {
	width := n + 1
	length := make([]int32, (m+1)*width)
	for i := m - 1; i >= 0; i-- {
		for j := n - 1; j >= 0; j-- {
			if same(i, j) {
				length[i*width+j] = length[(i+1)*width+j+1] + 1
			} else {
				length[i*width+j] = max(length[(i+1)*width+j], length[i*width+j+1])
			}
		}
	}
	for i, j := 0, 0; i < m && j < n; {
		switch {
		case same(i, j):
			keepOld[i], keepNew[j] = true, true
			i, j = i+1, j+1
		case length[(i+1)*width+j] >= length[i*width+j+1]:
			i++
		default:
			j++
		}
	}
}

// spans joins the words that are not kept; a mark runs on over white space between two of
// them, because a row of single marked words is harder to read.
func spans(text string, words []Span, kept []bool) []Span {
	var all []Span
	for i, word := range words {
		if kept[i] {
			continue
		}
		if last := len(all) - 1; last >= 0 && blank(text[all[last].End:word.Start]) {
			all[last].End = word.End
			continue
		}
		all = append(all, word)
	}
	return all
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }

// tokens cuts a line into words, runs of white space, and single other characters.
func tokens(text string) []Span {
	var all []Span
	for at := 0; at < len(text); {
		r, width := utf8.DecodeRuneInString(text[at:])
		class := classOf(r)
		end := at + width
		for class != other && end < len(text) {
			r, width = utf8.DecodeRuneInString(text[end:])
			if classOf(r) != class {
				break
			}
			end += width
		}
		all = append(all, Span{at, end})
		at = end
	}
	return all
}

type class int

const (
	other class = iota
	word
	space
)

func classOf(r rune) class {
	switch {
	case r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.Mn, r):
		return word
	case unicode.IsSpace(r):
		return space
	default:
		return other
	}
}
