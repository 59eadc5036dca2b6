package review_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gatehouse/gitserver/git"
	"gatehouse/review"
	"gatehouse/review/diff"
)

// place carries spots to the current patch set.
func (w *world) place(id int64, spots ...review.Spot) map[review.Spot]review.Placed {
	w.t.Helper()
	sets, err := w.review.PatchSets(w.ctx, w.db.Read(), id)
	w.must(err)
	placed, err := w.review.Place(w.ctx, w.git, sets, sets[len(sets)-1], spots)
	w.must(err)
	return placed
}

// amend makes the next patch set of what c holds.
func (w *world) amend(c *clone, message string) {
	w.t.Helper()
	c.git("add", "-A")
	if message == "" {
		c.git("commit", "-q", "--amend", "--no-edit")
	} else {
		c.git("commit", "-q", "--amend", "-m", message+"\n\n"+c.git("log", "-1", "--format=%(trailers)"))
	}
	w.push(c, "alice", "main")
}

const poem = "one word\ntwo words\nthree words\nfour words\nfive words\nsix words\nseven words\n"

// poemOf is another poem for each name, so that none is taken for a copy of another.
func poemOf(name string) string { return strings.ReplaceAll(poem, "word", name) }

func TestCommentsFollowTheirLines(t *testing.T) {
	w := newWorld(t)
	base := w.clone()
	base.write("old.txt", poemOf("old"))
	base.write("stays.txt", poemOf("stays"))
	base.write("base.txt", poemOf("base"))
	base.write("goes.txt", poemOf("goes"))
	base.git("commit", "-q", "-m", "Poems")
	base.git("push", "-q", w.git.Dir(), "HEAD:refs/heads/main")

	c := w.clone()
	c.write("old.txt", strings.Replace(poemOf("old"), "six", "six and a half", 1))
	c.write("base.txt", strings.Replace(poemOf("base"), "six", "six and a half", 1))
	c.write("goes.txt", strings.Replace(poemOf("goes"), "six", "six and a half", 1))
	c.write("new.txt", poem)
	c.git("commit", "-q", "-m", "Rhyme better\n\nBecause\nof reasons")
	id := w.push(c, "alice", "main")[0].Change.ID

	// meanwhile two lines are put above everything in base.txt
	base.write("base.txt", "minus one\nzero\n"+poemOf("base"))
	base.git("commit", "-q", "-m", "More of the poem")
	base.git("push", "-q", w.git.Dir(), "HEAD:refs/heads/main")
	c.git("fetch", "-q", w.git.Dir(), "refs/heads/main")
	c.git("rebase", "-q", "FETCH_HEAD")
	c.git("mv", "old.txt", "moved.txt")
	c.git("rm", "-q", "goes.txt")
	c.write("new.txt", strings.Replace(strings.Replace(poem, "two words\n", "", 1), "five words", "five long words", 1))
	w.amend(c, "Rhyme much better\n\nFor\nof reasons")

	spot := func(path, side string, start, line int) review.Spot {
		return review.Spot{PS: 1, Path: path, Side: side, StartLine: start, Line: line}
	}
	for _, test := range []struct {
		name string
		spot review.Spot
		want string // path, lines, fate
		was  []string
	}{
		{"an untouched file", spot("stays.txt", "new", 0, 3), "stays.txt 0-3 kept", nil},
		{"renamed", spot("old.txt", "new", 0, 6), "moved.txt 0-6 kept", nil},
		{"renamed, old side", spot("old.txt", "old", 0, 3), "moved.txt 0-3 kept", nil},
		{"rebased", spot("base.txt", "new", 0, 6), "base.txt 0-8 kept", nil},
		{"rebased, old side", spot("base.txt", "old", 4, 6), "base.txt 6-8 kept", nil},
		{"line gone", spot("new.txt", "new", 0, 2), "new.txt 0-1 gone", []string{"two words"}},
		{"line edited", spot("new.txt", "new", 0, 5), "new.txt 0-4 edited", []string{"five words"}},
		{"line moved up", spot("new.txt", "new", 0, 7), "new.txt 0-6 kept", nil},
		{"file gone", spot("goes.txt", "new", 0, 6), "goes.txt 0-6 gone file", nil},
		{"whole file", spot("old.txt", "new", 0, 0), "moved.txt 0-0 kept", nil},
		{"message", spot(review.CommitMessage, "new", 0, 4), "/COMMIT_MSG 0-4 kept", nil},
		{"message gone", spot(review.CommitMessage, "new", 0, 3), "/COMMIT_MSG 0-2 gone", []string{"Because"}},
		{"message edited", spot(review.CommitMessage, "new", 0, 1), "/COMMIT_MSG 0-1 edited", []string{"Rhyme better"}},
		{"patch set", spot("", "new", 0, 0), " 0-0 kept", nil},
		{"no such file", spot("none.txt", "new", 0, 3), "none.txt 0-3 kept", nil},
		{"no path at all", spot("../../etc/passwd", "new", 0, 3), "../../etc/passwd 0-3 kept", nil},
	} {
		for range 2 { // found, and remembered
			p, ok := w.place(id, test.spot)[test.spot]
			got := fmt.Sprintf("%s %d-%d %s", p.Path, p.StartLine, p.Line, map[diff.Fate]string{diff.Kept: "kept", diff.Edited: "edited", diff.Gone: "gone"}[p.Fate])
			if p.FileGone {
				got += " file"
			}
			if !ok || got != test.want || !slices.Equal(p.Was, test.was) || p.PS != 2 {
				t.Errorf("%s: got %q, was %q, want %q", test.name, got, p.Was, test.want)
			}
		}
	}
	if p := w.place(id, review.Spot{PS: 3, Path: "new.txt", Side: "new", Line: 1}); len(p) != 0 {
		t.Errorf("from a later patch set: %+v", p)
	}
}

// Random edits of many files and of what the change stands on, compared by git: a comment on a
// line whose text is there once in both ends at that text, one on a line that is not there is
// said to be gone or edited.
func TestRandomPatchSets(t *testing.T) {
	const files, seed = 40, 6
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, seed))
	fresh := 0
	line := func() string {
		fresh++
		if r.IntN(4) == 0 {
			return []string{"}", "", "\treturn nil"}[r.IntN(3)]
		}
		return fmt.Sprintf("statement%d(%d)", fresh, r.IntN(100))
	}
	edit := func(text []string) []string {
		text = slices.Clone(text)
		for range r.IntN(5) {
			at := r.IntN(len(text) + 1)
			switch r.IntN(3) {
			case 0:
				text = slices.Insert(text, at, line(), line())
			case 1:
				text = slices.Delete(text, at, min(len(text), at+3))
			default:
				if at < len(text) {
					text[at] += fmt.Sprintf(" // %d", fresh)
				}
			}
		}
		return text
	}
	join := func(text []string) string { return strings.Join(text, "\n") + "\n" }
	w := newWorld(t)
	base := w.clone()
	texts := make([][]string, files)
	for i := range texts {
		for range 12 + r.IntN(20) {
			texts[i] = append(texts[i], line())
		}
		base.write(fmt.Sprintf("f%d", i), join(texts[i]))
	}
	base.git("commit", "-q", "-m", "Begin")
	base.git("push", "-q", w.git.Dir(), "HEAD:refs/heads/main")
	c := w.clone()
	older, newer := map[string][]string{}, map[string][]string{}
	for i := range texts {
		name := fmt.Sprintf("f%d", i)
		older[name] = edit(texts[i])
		c.write(name, join(older[name]))
	}
	c.git("commit", "-q", "-m", "Edit")
	id := w.push(c, "alice", "main")[0].Change.ID
	base.write("elsewhere", "x\n")
	base.git("commit", "-q", "-m", "Else")
	base.git("push", "-q", w.git.Dir(), "HEAD:refs/heads/main")
	c.git("fetch", "-q", w.git.Dir(), "refs/heads/main")
	c.git("rebase", "-q", "FETCH_HEAD")
	for i := range texts {
		name := fmt.Sprintf("f%d", i)
		newer[name] = edit(older[name])
		c.write(name, join(newer[name]))
	}
	w.amend(c, "")
	var spots []review.Spot
	for name, text := range older {
		for i := range text {
			spots = append(spots, review.Spot{PS: 1, Path: name, Side: "new", Line: i + 1})
		}
	}
	placed := w.place(id, spots...)
	count := func(text []string, line string) (n int) {
		for _, l := range text {
			if l == line {
				n++
			}
		}
		return n
	}
	kept := 0
	for _, spot := range spots {
		text, p := older[spot.Path][spot.Line-1], placed[spot]
		before, after := count(older[spot.Path], text), count(newer[spot.Path], text)
		switch {
		case p.Fate == diff.Kept && (p.Line > len(newer[spot.Path]) || newer[spot.Path][p.Line-1] != text):
			t.Errorf("%+v %q is not at %+v", spot, text, p)
		case before == 1 && after == 1 && len(text) > 10 && p.Fate != diff.Kept:
			t.Errorf("%+v %q is still there, not %+v", spot, text, p)
		case after == 0 && p.Fate == diff.Kept:
			t.Errorf("%+v %q is gone, not %+v", spot, text, p)
		case p.Fate == diff.Gone && (!slices.Equal(p.Was, []string{text}) || p.Line > len(newer[spot.Path])):
			t.Errorf("%+v %q: %+v", spot, text, p)
		}
		if p.Fate == diff.Kept {
			kept++
		}
	}
	if len(placed) != len(spots) || kept < len(spots)/2 || kept == len(spots) {
		t.Errorf("%d spots, %d placed, %d kept", len(spots), len(placed), kept)
	}
}

func TestPlacingWithoutAParent(t *testing.T) {
	w := newWorld(t)
	_, ch := w.propose("alice", "a")
	set, err := w.review.PatchSet(w.ctx, w.db.Read(), ch.ID, 1)
	w.must(err)
	root := set
	root.Number, root.Parent = 2, git.OID("")
	spot := review.Spot{PS: 1, Path: "README", Side: "old", Line: 1}
	placed, err := w.review.Place(w.ctx, w.git, []review.PatchSet{set, root}, root, []review.Spot{spot})
	if p := placed[spot]; err != nil || p.Fate != diff.Gone || !p.FileGone {
		t.Errorf("%+v, %v", p, err)
	}
}

// However many files are commented on, git is asked about a bounded number.
func TestPlacingIsBounded(t *testing.T) {
	w := newWorld(t)
	c, ch := w.propose("alice", "a")
	c.write("a", "0\n1\n")
	w.amend(c, "")
	spots := []review.Spot{{PS: 1, Path: "a", Side: "new", Line: 1}}
	for i := range 4000 {
		spots = append(spots, review.Spot{PS: 1, Path: fmt.Sprintf("%d/%s", i, strings.Repeat("x", 4000)), Side: []string{"new", "old"}[i%2], Line: 1})
	}
	placed := w.place(ch.ID, spots...)
	if p := placed[spots[0]]; p.Line != 2 || len(placed) < 10 || len(placed) > 301 {
		t.Errorf("%d are placed; the first at %+v", len(placed), p)
	}
}
