package diff

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The ways in which random texts are compared: an honest difference of any kind of context.
var contexts = []int{0, 1, 3}

// portSeeds are the seeds of a run: GATE_PORT_SEED replays one.
func portSeeds(t *testing.T, n int) []uint64 {
	t.Helper()
	if text := os.Getenv("GATE_PORT_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return []uint64{seed}
	}
	seeds := make([]uint64, n)
	for i := range seeds {
		seeds[i] = uint64(i + 1)
	}
	t.Logf("seeds 1 to %d; GATE_PORT_SEED=N replays one", n)
	return seeds
}

// compare is a difference by longest common subsequence, cut into hunks as git does.
func compare(old, new []string, context int) []Hunk {
	best := make([][]int, len(old)+1)
	for i := range best {
		best[i] = make([]int, len(new)+1)
	}
	for i := len(old) - 1; i >= 0; i-- {
		for j := len(new) - 1; j >= 0; j-- {
			if best[i][j] = max(best[i+1][j], best[i][j+1]); old[i] == new[j] {
				best[i][j] = max(best[i][j], 1+best[i+1][j+1])
			}
		}
	}
	var lines []Line
	i, j := 0, 0
	for i < len(old) || j < len(new) {
		switch {
		case i < len(old) && j < len(new) && old[i] == new[j] && best[i][j] == 1+best[i+1][j+1]:
			lines = append(lines, Line{Kind: ' ', Old: i + 1, New: j + 1, Text: old[i]})
			i, j = i+1, j+1
		case i < len(old) && best[i][j] == best[i+1][j]:
			lines = append(lines, Line{Kind: '-', Old: i + 1, Text: old[i]})
			i++
		default:
			lines = append(lines, Line{Kind: '+', New: j + 1, Text: new[j]})
			j++
		}
	}
	return cut(deletionsFirst(lines), context)
}

// deletionsFirst puts the deleted lines of each change before the added ones, as git does.
func deletionsFirst(lines []Line) []Line {
	for from := 0; from < len(lines); {
		to := from
		for to < len(lines) && (lines[to].Kind == ' ') == (lines[from].Kind == ' ') {
			to++
		}
		if lines[from].Kind != ' ' {
			slices.SortStableFunc(lines[from:to], func(a, b Line) int { return int(b.Kind) - int(a.Kind) })
		}
		from = to
	}
	return lines
}

// cut keeps the changed lines and their context.
func cut(lines []Line, context int) []Hunk {
	keep := make([]bool, len(lines))
	for i, l := range lines {
		if l.Kind != ' ' {
			for k := max(0, i-context); k <= min(len(lines)-1, i+context); k++ {
				keep[k] = true
			}
		}
	}
	var hunks []Hunk
	old, new := 0, 0
	for i, l := range lines {
		if keep[i] {
			if i == 0 || !keep[i-1] {
				hunks = append(hunks, Hunk{OldStart: old + 1, NewStart: new + 1})
			}
			h := &hunks[len(hunks)-1]
			h.Lines = append(h.Lines, l)
			if l.Kind != '+' {
				h.OldLines++
			}
			if l.Kind != '-' {
				h.NewLines++
			}
		}
		if l.Kind != '+' {
			old++
		}
		if l.Kind != '-' {
			new++
		}
	}
	for i := range hunks { // git names the line before an empty side
		if hunks[i].OldLines == 0 {
			hunks[i].OldStart--
		}
		if hunks[i].NewLines == 0 {
			hunks[i].NewStart--
		}
	}
	return hunks
}

// writer makes texts and edits of them. Fresh lines are unlike all others; the common ones
// ("}", "", "return nil") occur again and again, as in code.
type writer struct {
	r     *rand.Rand
	fresh int
}

func (w *writer) line() string {
	if w.r.IntN(4) == 0 {
		return []string{"}", "", "\treturn nil", "\t}", "end"}[w.r.IntN(5)]
	}
	w.fresh++
	return fmt.Sprintf("%s := %s(word%d)", strings.Repeat("abcdefghij"[w.fresh%10:], 2), "call"+strconv.Itoa(w.fresh*7919%1000), w.fresh)
}

func (w *writer) text(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = w.line()
	}
	return all
}

// edit inserts, deletes, rewrites, changes a word, moves a block.
func (w *writer) edit(text []string, times int) []string {
	text = slices.Clone(text)
	for range times {
		at := w.r.IntN(len(text) + 1)
		end := min(len(text), at+1+w.r.IntN(4))
		switch w.r.IntN(5) {
		case 0:
			text = slices.Insert(text, at, w.text(1+w.r.IntN(4))...)
		case 1:
			text = slices.Delete(text, at, end)
		case 2:
			text = slices.Replace(text, at, end, w.text(1+w.r.IntN(3))...)
		case 3:
			if at < len(text) {
				text[at] += fmt.Sprintf(" // word %d", w.r.IntN(100))
			}
		case 4:
			block := slices.Clone(text[at:end])
			text = slices.Delete(text, at, end)
			text = slices.Insert(text, w.r.IntN(len(text)+1), block...)
		}
	}
	return text
}

// holds checks everything that carrying promises for every line of old.
func holds(t *testing.T, seed uint64, old, new []string, hunks []Hunk, context int) {
	t.Helper()
	p := NewPorter(hunks)
	bad := func(line int, c Carried, format string, args ...any) {
		t.Helper()
		t.Errorf("seed %d, context %d, line %d %q: %+v: %s\nold %q\nnew %q", seed, context, line, old[line-1], c, fmt.Sprintf(format, args...), old, new)
	}
	for i, text := range old {
		line := i + 1
		c := p.Line(line)
		switch c.Fate {
		case Kept:
			if c.Start != c.End || c.Start < 1 || c.Start > len(new) || new[c.Start-1] != text {
				bad(line, c, "it does not end at a line with that text")
			}
		case Edited:
			if c.Start < 1 || c.Start > len(new) || new[c.Start-1] == text {
				bad(line, c, "it is no edited line")
			} else if likeness(text, new[c.Start-1]) < minEdited {
				bad(line, c, "its successor %q is another line", new[c.Start-1])
			}
		case Gone:
			if c.Start != 0 || c.End != 0 || c.Near < 0 || c.Near > len(new) {
				bad(line, c, "it is gone and somewhere")
			}
			if context > 0 {
				nearest(line, c, hunks, old, new, bad)
			}
		}
		// what is there once on either side is found, however far it went
		if distinctive(text) && once(old, text) && once(new, text) && (c.Fate != Kept || new[c.Start-1] != text) {
			bad(line, c, "the line is there, and was not found")
		}
		if distinctive(text) && !slices.Contains(new, text) && c.Fate == Kept {
			bad(line, c, "the line is gone, and that was not said")
		}
	}
}

// nearest holds what is said of a gone line against a plain search through all lines.
func nearest(line int, c Carried, hunks []Hunk, old, new []string, bad func(int, Carried, string, ...any)) {
	stays := map[int]int{} // old line to new, of those that git shows on both sides
	shift, from := 0, 1
	for _, h := range hunks {
		for ; from < h.OldStart || (h.OldLines == 0 && from <= h.OldStart); from++ {
			stays[from] = from + shift
		}
		for _, l := range h.Lines {
			if l.Kind == ' ' {
				stays[l.Old] = l.New
			}
		}
		from, shift = max(from, h.OldStart+h.OldLines), shift+h.NewLines-h.OldLines
	}
	for ; from <= len(old); from++ {
		stays[from] = from + shift
	}
	want := 0
	for by := 1; by <= len(old) && want == 0; by++ {
		if want = stays[line-by]; want == 0 {
			want = stays[line+by]
		}
	}
	if c.Near != want {
		bad(line, c, "the nearest line that stayed is %d", want)
	}
	if want > 0 && !slices.Contains(old, new[want-1]) {
		bad(line, c, "what is near was not there before")
	}
}

func once(text []string, line string) bool {
	at := slices.Index(text, line)
	return at >= 0 && !slices.Contains(text[at+1:], line)
}

func TestPortedLinesAfterRandomEdits(t *testing.T) {
	for _, seed := range portSeeds(t, 4000) {
		w := &writer{r: rand.New(rand.NewPCG(seed, 1))}
		old := w.text(w.r.IntN(24))
		new := w.edit(old, w.r.IntN(6))
		for _, context := range contexts {
			holds(t, seed, old, new, compare(old, new, context), context)
		}
		if t.Failed() {
			return
		}
	}
}

// A change is moved onto another base: what others did to the file and what the change does
// are different edits, made in either order.
func TestPortedLinesAfterRandomRebases(t *testing.T) {
	for _, seed := range portSeeds(t, 3000) {
		w := &writer{r: rand.New(rand.NewPCG(seed, 2))}
		top, own, below := w.text(w.r.IntN(8)), append(w.text(w.r.IntN(8)), fmt.Sprintf("its own line %d", seed)), w.text(w.r.IntN(8))
		before := slices.Concat(top, own, below)
		after := slices.Concat(w.edit(top, w.r.IntN(4)), own, w.edit(below, w.r.IntN(4)))
		for _, context := range contexts {
			hunks := compare(before, after, context)
			holds(t, seed, before, after, hunks, context)
			// the change's own lines are as they were, so a comment on all of them has all of them
			c := NewPorter(hunks).Range(len(top)+1, len(top)+len(own))
			if c.Fate == Kept && !slices.Equal(after[c.Start-1:c.End], own) {
				t.Errorf("seed %d: %+v is not what it was: %q, %q", seed, c, before, after)
			}
			if c.Fate == Gone {
				t.Errorf("seed %d: the change's own lines are gone: %q, %q", seed, before, after)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// A range that is Kept has the same lines in the same order; one that is not lies where some
// of its lines are; one that is Gone has no line left.
func TestPortedRanges(t *testing.T) {
	fates := map[Fate]int{}
	for _, seed := range portSeeds(t, 3000) {
		w := &writer{r: rand.New(rand.NewPCG(seed, 3))}
		old := w.text(2 + w.r.IntN(20))
		new := w.edit(old, w.r.IntN(5))
		p := NewPorter(compare(old, new, 3))
		start := 1 + w.r.IntN(len(old))
		end := start + w.r.IntN(len(old)-start+1)
		c := p.Range(start, end)
		fates[c.Fate]++
		switch c.Fate {
		case Kept:
			if !slices.Equal(old[start-1:end], new[c.Start-1:c.End]) {
				t.Errorf("seed %d: %d-%d became %+v: %q, %q", seed, start, end, c, old, new)
			}
		case Edited:
			if c.Start < 1 || c.End < c.Start || c.End > len(new) || c.End-c.Start >= max(1, stretch*(end-start+1)) {
				t.Errorf("seed %d: %d-%d became %+v: %q, %q", seed, start, end, c, old, new)
			}
		case Gone:
			for line := start; line <= end; line++ {
				if one := p.Line(line); one.Fate != Gone {
					t.Errorf("seed %d: %d-%d is gone, but line %d is %+v", seed, start, end, line, one)
				}
			}
		}
	}
	if len(fates) != 3 && os.Getenv("GATE_PORT_SEED") == "" {
		t.Errorf("only %v was tried", fates)
	}
}

// The same with the differences that git itself makes.
func TestPortedLinesByGit(t *testing.T) {
	const files = 400
	dir := t.TempDir()
	before, after := map[string][]string{}, map[string][]string{}
	for _, seed := range portSeeds(t, files) {
		w := &writer{r: rand.New(rand.NewPCG(seed, 4))}
		name := strconv.FormatUint(seed, 10)
		before[name] = w.text(3 + w.r.IntN(40))
		after[name] = w.edit(before[name], 1+w.r.IntN(6))
		for side, text := range map[string][]string{"old": before[name], "new": after[name]} {
			if err := os.MkdirAll(filepath.Join(dir, side), 0o755); err != nil {
				t.Fatal(err)
			}
			joined := strings.Join(text, "\n")
			if len(text) > 0 {
				joined += "\n"
			}
			if err := os.WriteFile(filepath.Join(dir, side, name), []byte(joined), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd := exec.Command("git", "diff", "--no-index", "--no-renames", "--histogram", "--src-prefix=a/", "--dst-prefix=b/", "old", "new")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	out, _ := cmd.Output() // it says 1 when files differ
	parsed, err := Parse(out)
	if err != nil || len(parsed) == 0 {
		t.Fatalf("%d files, %v", len(parsed), err)
	}
	for _, f := range parsed {
		name := filepath.Base(f.Path())
		seed, _ := strconv.ParseUint(name, 10, 64)
		holds(t, seed, before[name], after[name], f.Hunks, 3)
	}
}

func TestPortedByHand(t *testing.T) {
	old := strings.Split("package a\n\nfunc greet(name string) string {\n\treturn \"hello, \" + name\n}\n\nfunc last() {}", "\n")
	for _, test := range []struct {
		name       string
		new        string
		start, end int
		want       Carried
	}{
		{"nothing", strings.Join(old, "\n"), 4, 4, Carried{Kept, 4, 4, 0}},
		{"lines above", "// Package a greets.\n" + strings.Join(old, "\n"), 4, 4, Carried{Kept, 5, 5, 0}},
		{"an edited line", strings.Replace(strings.Join(old, "\n"), "name\n}", "name + \"!\"\n}", 1), 4, 4, Carried{Edited, 4, 4, 0}},
		{"indented", strings.Replace(strings.Join(old, "\n"), "\treturn", "\t\treturn", 1), 4, 4, Carried{Edited, 4, 4, 0}},
		{"another line", strings.Replace(strings.Join(old, "\n"), "\treturn \"hello, \" + name", "\tpanic(1)", 1), 4, 4, Carried{Gone, 0, 0, 3}},
		{"the function went", "package a\n\nfunc last() {}", 4, 4, Carried{Gone, 0, 0, 2}},
		{"the last lines went", "package a", 7, 7, Carried{Gone, 0, 0, 1}},
		{"the first lines went", "func last() {}", 1, 1, Carried{Gone, 0, 0, 1}},
		{"everything went", "", 4, 4, Carried{Gone, 0, 0, 0}},
		{"moved down", "package a\n\nfunc last() {}\n\nfunc greet(name string) string {\n\treturn \"hello, \" + name\n}", 3, 5, Carried{Kept, 5, 7, 0}},
		{"a brace is no mark", "package a\n\nfunc last() {\n}", 5, 5, Carried{Kept, 4, 4, 0}},
		{"a range that grew", strings.Replace(strings.Join(old, "\n"), "\treturn", "\tlog(name)\n\treturn", 1), 3, 5, Carried{Edited, 3, 6, 0}},
		{"a range with one line left", "package a\n\nfunc greet(name string) string {\n", 3, 5, Carried{Edited, 3, 3, 0}},
	} {
		var new []string
		if test.new != "" {
			new = strings.Split(test.new, "\n")
		}
		if got := NewPorter(compare(old, new, 3)).Range(test.start, test.end); got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
}

// Hunks that no parser makes must not hang or crash.
func TestPortingNonsense(t *testing.T) {
	lies := []Hunk{{OldStart: 3, OldLines: 5, NewStart: 1, NewLines: 1, Lines: []Line{{Kind: '-', Old: 9, Text: "x"}}}, {OldStart: 1, OldLines: 1}}
	p := NewPorter(lies)
	for line := range 12 {
		_ = p.Line(line)
	}
	if c := p.Range(4, 6); c.Fate != Gone {
		t.Errorf("a line that its hunk has not is %+v", c)
	}
}
