package diff

// Rebased marks the changed lines of between, the difference of two patch sets in one file,
// that differ only because the patch sets stand on different parents. parents is the
// difference of those parents, older that of the older patch set to its parent, newer that of
// the newer one to its own; all of the same file.
//
// An added line is due to the rebase when the newer parent has it already and it is new
// there against the older parent; a deleted one when the older parent had it and the newer
// one has not. Whatever is not provably so is the author's, and stays unmarked.
func Rebased(between, parents, older, newer []Hunk) {
	gone, come := map[int]bool{}, map[int]bool{}
	for _, h := range parents {
		for _, l := range h.Lines {
			switch l.Kind {
			case '-':
				gone[l.Old] = true
			case '+':
				come[l.New] = true
			}
		}
	}
	for h := range between {
		for i := range between[h].Lines {
			l := &between[h].Lines[i]
			switch l.Kind {
			case '-':
				l.Rebased = gone[parentLine(older, l.Old)]
			case '+':
				l.Rebased = come[parentLine(newer, l.New)]
			}
		}
	}
}

// parentLine is the number that line n of a patch set's file has in the parent's; 0 when the
// patch set added it.
func parentLine(own []Hunk, n int) int {
	shift := 0
	for _, h := range own {
		first, last := h.newRange()
		if n < first {
			break
		}
		if n <= last {
			for _, l := range h.Lines {
				if l.New == n {
					return l.Old // 0 of an added line
				}
			}
		}
		shift += h.OldLines - h.NewLines
	}
	return n + shift
}

// Noise reports whether nothing in the hunk is the author's: all changed lines are due to a rebase.
func (h Hunk) Noise() bool {
	noise := false
	for i := range h.Lines {
		if h.Lines[i].Kind != ' ' {
			if !h.Lines[i].Rebased {
				return false
			}
			noise = true
		}
	}
	return noise
}
