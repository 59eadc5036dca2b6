package diff

import (
	"strings"
	"unicode"
)

const (
	// minMovedText is how many letters and digits a run of lines must have to count as moved, as
	// git's COLOR_MOVED_MIN_ALNUM_COUNT (diff.c): a brace alone is in too many places.
	minMovedText = 20
	// maxTwins is how many places are tried for one line.
	maxTwins = 16
	// maxMoveWork bounds the comparisons of lines for all files together; what is left then
	// stays unmarked.
	maxMoveWork = 1 << 20
)

// spot is a changed line; run names the change that it belongs to.
type spot struct {
	path string
	line *Line
	text string // without the white space around it: what is moved is often indented anew
	run  int
	used bool
	next bool // the following spot is the following line of the same file
}

// Moves marks lines that were taken away in one place and put in another: of the same file or
// of another one of files. Each deleted line is the origin of one added line at most. The
// indentation may differ.
func Moves(files []File) {
	dels, adds := changedLines(files)
	byText := map[string][]int{}
	for i := range dels {
		if text := dels[i].text; text != "" && len(byText[text]) < maxTwins {
			byText[text] = append(byText[text], i)
		}
	}
	work := maxMoveWork
	for i := 0; i < len(adds) && work > 0; {
		best, from := 0, 0
		for _, j := range byText[adds[i].text] {
			n := runFrom(dels[j:], adds[i:])
			if work -= n + 1; n > best && weight(adds[i:i+n]) >= minMovedText {
				best, from = n, j
			}
		}
		for k := range best {
			d, a := &dels[from+k], &adds[i+k]
			d.used = true
			d.line.Moved, a.line.Moved = Place{a.path, a.line.New}, Place{d.path, d.line.Old}
		}
		i += max(best, 1)
	}
}

// changedLines collects the deleted and the added lines of all files.
func changedLines(files []File) (dels, adds []spot) {
	run := 0
	for f := range files {
		for h := range files[f].Hunks {
			lines := files[f].Hunks[h].Lines
			for i := range lines {
				lines[i].Moved = Place{}
				s := spot{line: &lines[i], text: strings.TrimSpace(lines[i].Text), run: run, next: i+1 < len(lines) && lines[i+1].Kind == lines[i].Kind}
				switch lines[i].Kind {
				case '-':
					s.path = files[f].OldPath
					dels = append(dels, s)
				case '+':
					s.path = files[f].NewPath
					adds = append(adds, s)
				default:
					run++
				}
			}
			run++
		}
	}
	return dels, adds
}

// runFrom is how many lines from the first ones on are the same in both. Lines of one change
// are no move: they were edited in place.
func runFrom(dels, adds []spot) int {
	n := 0
	for n < min(len(dels), len(adds)) {
		d, a := &dels[n], &adds[n]
		if d.used || d.run == a.run || d.text != a.text {
			return n
		}
		n++
		if !d.next || !a.next {
			return n
		}
	}
	return n
}

// weight is the letters and digits of a run of lines.
func weight(run []spot) int {
	n := 0
	for i := range run {
		for _, r := range run[i].text {
			if unicode.IsLetter(r) || unicode.IsDigit(r) {
				n++
			}
		}
		if n >= minMovedText {
			break
		}
	}
	return n
}
