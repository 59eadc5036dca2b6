package diff

import "slices"

// The bounds of the work on one hunk, in steps of comparing two words. What does not fit is
// shown without marks, or paired by position: plainer, never wrong.
const (
	// maxWork is spent on one hunk: about ten milliseconds.
	maxWork = 1 << 20
	// minAlike is how much two lines must have in common, in thousandths, to be a pair:
	// below that, marks would cover nearly everything and help nobody.
	minAlike = 300
)

// pair says that the old line at index Del was probably turned into the new one at Add.
type pair struct{ Del, Add int }

// block is a run of deleted lines followed by a run of added ones, as indices into a hunk's
// lines: [del, add) and [add, end). Either run may be empty.
type block struct{ del, add, end int }

// blocks finds the changes of a hunk. git writes the deleted lines of a change first.
func blocks(lines []Line) []block {
	var all []block
	for i := 0; i < len(lines); {
		if lines[i].Kind == ' ' {
			i++
			continue
		}
		b := block{del: i}
		for i < len(lines) && lines[i].Kind == '-' {
			i++
		}
		b.add = i
		for i < len(lines) && lines[i].Kind == '+' {
			i++
		}
		b.end = i
		all = append(all, b)
	}
	return all
}

// pairs matches the deleted lines of b with added ones, in order and without crossings, so
// that the sum of what they have in common is largest. work is what may be spent; the rest
// of it is returned.
func pairs(lines []Line, b block, work int) ([]pair, int) {
	dels, adds := b.add-b.del, b.end-b.add
	if dels == 0 || adds == 0 {
		return nil, work
	}
	bags, names := make([]bag, b.end-b.del), map[string]int32{}
	cost := 0
	for i := range bags {
		bags[i] = bagOf(lines[b.del+i].Text, names)
		cost += len(bags[i].words)
	}
	if cost = cost*max(dels, adds) + dels*adds; cost > work {
		return byPosition(b), work
	}
	alike := func(d, a int) int {
		return bags[d].likeness(bags[dels+a])
	}
	return align(b, alike), work - cost
}

// byPosition pairs the first with the first and so on.
func byPosition(b block) []pair {
	var all []pair
	for i := range min(b.add-b.del, b.end-b.add) {
		all = append(all, pair{b.del + i, b.add + i})
	}
	return all
}

// align is the alignment of two sequences by dynamic programming (Needleman-Wunsch, with no
// price for a gap).
func align(b block, alike func(del, add int) int) []pair {
	dels, adds := b.add-b.del, b.end-b.add
	width := adds + 1
	best := make([]int, (dels+1)*width) // best[d*width+a]: of the lines from d and a on
	scores := make([]int, dels*adds)
	for d := dels - 1; d >= 0; d-- {
		for a := adds - 1; a >= 0; a-- {
			s := alike(d, a)
			scores[d*adds+a] = s
			most := max(best[(d+1)*width+a], best[d*width+a+1])
			if s >= minAlike {
				most = max(most, s+best[(d+1)*width+a+1])
			}
			best[d*width+a] = most
		}
	}
	var all []pair
	for d, a := 0, 0; d < dels && a < adds; {
		here := best[d*width+a]
		switch s := scores[d*adds+a]; {
		case s >= minAlike && here == s+best[(d+1)*width+a+1]:
			all = append(all, pair{b.del + d, b.add + a})
			d, a = d+1, a+1
		case here == best[(d+1)*width+a]:
			d++
		default:
			a++
		}
	}
	return all
}

// bag is the words of a line, each with how often it stands there, in the order of their numbers.
type bag struct {
	text  string
	words []count
	total int // bytes of all words
}

type count struct{ word, times, length int32 }

// bagOf counts the words of a line; spaces are no words, since every line has some. names
// gives every word a number, the same in all lines that share it.
func bagOf(text string, names map[string]int32) bag {
	b := bag{text: text}
	for _, span := range tokens(text) {
		word := text[span.Start:span.End]
		if blank(word) {
			continue
		}
		id, known := names[word]
		if !known {
			id = int32(len(names))
			names[word] = id
		}
		b.words = append(b.words, count{id, 1, int32(len(word))})
		b.total += len(word)
	}
	slices.SortFunc(b.words, func(x, y count) int { return int(x.word - y.word) })
	kept := b.words[:0]
	for _, w := range b.words {
		if last := len(kept) - 1; last >= 0 && kept[last].word == w.word {
			kept[last].times++
			continue
		}
		kept = append(kept, w)
	}
	b.words = kept
	return b
}

// likeness is how much of the two lines' words they share, in thousandths of their bytes.
func likeness(old, new string) int {
	names := map[string]int32{}
	return bagOf(old, names).likeness(bagOf(new, names))
}

func (old bag) likeness(new bag) int {
	if old.text == new.text {
		return 1000
	}
	shared := 0
	for i, j := 0, 0; i < len(old.words) && j < len(new.words); {
		switch a, b := old.words[i], new.words[j]; {
		case a.word < b.word:
			i++
		case a.word > b.word:
			j++
		default:
			shared += 2 * int(a.length) * int(min(a.times, b.times))
			i, j = i+1, j+1
		}
	}
	if old.total+new.total == 0 {
		return 1000 // both blank
	}
	return 1000 * shared / (old.total + new.total)
}
