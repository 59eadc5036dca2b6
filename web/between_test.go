package web

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/review"
	"gatehouse/review/diff"
)

// rebased is a world whose change 1 has two patch sets on different commits: others changed
// the head of a.txt and one more file meanwhile, the author line 90 of it.
func rebased(t testing.TB, theirs int) (*world, repo.Repository) {
	t.Helper()
	w := newWorld(t)
	lines := numberedLines(100)
	r := w.repo("hello", "alice", false, map[string]string{"a.txt": textOf(lines), "other.txt": "1\n"})
	base := w.git("rev-parse", "HEAD")
	mine := func(lines []string, text string) []string {
		out := slices.Clone(lines)
		out[89] = text
		return out
	}
	w.commit("alice", "Mine\n\n"+changeID(1), map[string]string{"a.txt": textOf(mine(lines, "mine, first"))})
	w.propose(r, "alice", review.PushOptions{})
	w.git("checkout", "-q", base)
	lines[theirs] = "theirs"
	w.commit("alice", "Theirs", map[string]string{"a.txt": textOf(lines), "other.txt": "2\n"})
	w.git("push", "-q", w.dir(r), "HEAD:refs/heads/main")
	w.commit("alice", "Mine again\n\n"+changeID(1), map[string]string{"a.txt": textOf(mine(lines, "mine, second"))})
	w.propose(r, "alice", review.PushOptions{})
	return w, r
}

// changed are the lines of a diff that differ, with their signs; "~" marks those of a rebase.
func changed(a answer) []string {
	var all []string
	for _, td := range a.find(".difffiles td.c") {
		class := " " + attr(td, "class") + " "
		for _, kind := range []struct{ class, sign string }{{"a", "+"}, {"d", "-"}} {
			if strings.Contains(class, " "+kind.class+" ") {
				all = append(all, pick(strings.Contains(class, " rb "), "~", "")+kind.sign+wordsOf(td))
			}
		}
	}
	return all
}

// What landed between two patch sets does not show between them, only what the author changed.
func TestRebaseIsLeftOutBetweenPatchSets(t *testing.T) {
	w, _ := rebased(t, 10)
	c := w.session("")
	message := []string{"-Mine", "+Mine again"}
	page := c.get("/c/1?ps=2&base=1&diff=unified").ok(200)
	if got, want := changed(page), append(message, "-mine, first", "+mine, second"); !slices.Equal(got, want) {
		t.Errorf("between: %q, want %q", got, want)
	}
	if got := page.one(".notice"); !strings.HasPrefix(got, "Patch sets 1 and 2 stand on different commits: what landed between them is left out. Show the rebase too") {
		t.Errorf("notice %q", got)
	}
	shown := c.get(attr(page.find(".notice a")[0], "href")).ok(200)
	want := append(message, "~-this is line 11 of it", "~+theirs", "-mine, first", "+mine, second", "~-1", "~+2")
	if got := changed(shown); !slices.Equal(got, want) {
		t.Errorf("with the rebase: %q, want %q", got, want)
	}
	if got := attr(shown.find(".notice a")[0], "href"); got != "/c/1?base=1&diff=unified&ps=2#files" {
		t.Errorf("back leads to %q", got)
	}
}

// Where the older patch set does not apply to the new parent, files and places that only the
// rebase changed are left out all the same.
func TestRebaseThatConflictsIsMarked(t *testing.T) {
	w, _ := rebased(t, 88) // next to the author's line
	page := w.session("").get("/c/1?ps=2&base=1&diff=unified").ok(200)
	got := changed(page)
	if want := []string{"-Mine", "+Mine again", "~-this is line 89 of it", "-mine, first", "~+theirs", "+mine, second"}; !slices.Equal(got, want) {
		t.Errorf("between: %q, want %q", got, want)
	}
	var said []string
	for _, n := range page.find(".notice") {
		said = append(said, wordsOf(n))
	}
	if all := strings.Join(said, " "); !strings.Contains(all, "does not apply to the new one") || !strings.Contains(all, "1 file that only the rebase changed is left out.") {
		t.Errorf("notices %q", all)
	}
}

// Comments on the older patch set stay on the page although the older side is merged anew.
func TestCommentsOnASideThatWasMerged(t *testing.T) {
	w, _ := rebased(t, 10)
	w.must(w.web.Review.Vote(context.Background(), w.actor("bob"), 1, 1, nil, "", []review.NewComment{{Path: "a.txt", Line: 90, Body: "on-the-old-patch-set"}}))
	page := w.session("bob").get("/c/1?ps=2&base=1").ok(200)
	if n := strings.Count(wordsOf(page.page()), "on-the-old-patch-set"); n < 1 {
		t.Error("the comment is lost")
	}
	if len(page.find("td.n[id=f0L90] button")) != 0 || len(page.find("td.n[id=f0R90] button")) != 1 {
		t.Error("a line that is in no patch set takes comments")
	}
}

// Whoever reviewed an earlier patch set sees what changed since, and can see everything.
func TestSinceMyLastReview(t *testing.T) {
	w, _ := rebased(t, 10)
	ctx := context.Background()
	whole := func(who string) bool {
		return !slices.Contains(changed(w.session(who).get("/c/1").ok(200)), "-mine, first")
	}
	if !whole("bob") || !whole("") {
		t.Error("somebody who reviewed nothing does not see the whole change")
	}
	w.must(w.web.Review.Vote(ctx, w.actor("bob"), 1, 1, nil, "Fine so far.", nil))
	w.must(w.web.Review.Vote(ctx, w.actor("alice"), 1, 1, nil, "Thank you.", nil))
	bob := w.session("bob")
	page := bob.get("/c/1").ok(200)
	if got := page.find(".notice.since"); len(got) != 1 || wordsOf(got[0]) != "You reviewed patch set 1: this is what changed since then. Show the whole change" {
		t.Fatalf("notice %v", got)
	}
	if whole("bob") || !whole("carol") || !whole("") || !whole("alice") {
		t.Error("since the last review is not what bob, and bob alone, sees")
	}
	if got := attr(page.find("#base option[selected]")[0], "value"); got != "1" {
		t.Errorf("the choice stands at %q", got)
	}
	all := attr(page.find(".notice.since a")[0], "href")
	if got := changed(bob.get(strings.Split(all, "#")[0]).ok(200)); slices.Contains(got, "-mine, first") || !slices.Contains(got, "+mine, second") {
		t.Errorf("the whole change: %q", got)
	}
	// A comment leads back to the same comparison, although patch set 2 is reviewed then.
	if got := attr(page.find("template#write input[name=back]")[0], "value"); got != "/c/1?base=1" {
		t.Errorf("back to %q", got)
	}
	w.must(w.web.Review.Vote(ctx, w.actor("bob"), 1, 2, map[string]int{"Code-Review": 2}, "", nil))
	if !whole("bob") {
		t.Error("a review of the current patch set counts as one of an earlier one")
	}
}

// The commit message takes comments on its lines, and is compared like a file.
func TestCommitMessageIsReviewedLikeAFile(t *testing.T) {
	w, _ := rebased(t, 10)
	bob := w.session("bob")
	page := bob.get("/c/1?ps=2&on=/COMMIT_MSG&comment=R1").ok(200)
	form := url.Values{"body": {"Say why."}}
	for _, in := range page.find("form#comment input") {
		if form.Get(attr(in, "name")) == "" {
			form.Set(attr(in, "name"), attr(in, "value"))
		}
	}
	if form.Get("path") != review.CommitMessage || form.Get("line") != "1" || form.Get("side") != "new" {
		t.Fatalf("form %v", form)
	}
	bob.post("/c/1/comment", form).ok(303)
	for _, path := range []string{"/c/1?ps=2", "/c/1?ps=2&base=1", "/c/1?ps=2&diff=unified&base=1"} {
		page := w.session("").get(path).ok(200)
		if got := wordsOf(page.find("#msg tr.talk")[0]); !strings.Contains(got, "Say why.") {
			t.Errorf("%s: %q", path, got)
		}
		if _, open := attrOK(page.find("#msg header details")[0], "open"); !open {
			t.Errorf("%s: the message is folded over a comment", path)
		}
	}
	if got := wordsOf(w.session("").get("/c/1?ps=2").ok(200).find("#msgR1")[0].NextSibling); got != "Mine again" {
		t.Errorf("first line %q", got)
	}
	whole := w.session("carol").post("/c/1/comment", url.Values{"ps": {"2"}, "path": {review.CommitMessage}, "line": {"0"}, "side": {"new"}, "body": {"As a whole."}})
	whole.ok(303)
	if got := w.session("").get("/c/1?ps=2").ok(200).one("#msg .talk-head"); !strings.Contains(got, "As a whole.") {
		t.Errorf("at the head %q", got)
	}
}

// Random edits and rebases: between two patch sets the older side plus the difference is the
// newer side, always, and a patch set that was only put onto another commit differs in nothing.
func TestPatchSetsOverRandomRebases(t *testing.T) {
	rounds := 16
	if testing.Short() {
		rounds = 2
	}
	first := uint64(1)
	if text := os.Getenv("GATE_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, rounds = seed, 1
	}
	t.Logf("seeds %d to %d, 150 files each; GATE_SEED=N repeats one", first, first+uint64(rounds)-1)
	w := newWorld(t)
	r := w.repo("random", "alice", false, map[string]string{"x": "x\n"})
	g, err := w.web.Repos.Open(r)
	w.must(err)
	for seed := first; seed < first+uint64(rounds); seed++ {
		w.randomRebase(t, r, g, seed)
	}
}

const filesEach = 150

func (w *world) randomRebase(t *testing.T, r repo.Repository, g *git.Repo, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 7))
	edit := func(files map[string]string) map[string]string {
		out := map[string]string{}
		for _, name := range sortedKeys(files) {
			lines := diff.SplitLines(files[name])
			for range rng.IntN(3) {
				at := rng.IntN(len(lines) + 1)
				end := min(len(lines), at+rng.IntN(3))
				lines = slices.Replace(slices.Clone(lines), at, end, fmt.Sprintf("line %d", rng.Uint32()), pick(rng.IntN(2) == 0, "}", "other"))
			}
			out[name] = textOf(lines)
		}
		return out
	}
	base := map[string]string{}
	for i := range filesEach {
		var lines []string
		for range 3 + rng.IntN(40) {
			lines = append(lines, pick(rng.IntN(3) == 0, "}", fmt.Sprintf("line %d", rng.IntN(60))))
		}
		base[fmt.Sprintf("d%d/f%02d", i%3, i)] = textOf(lines)
	}
	commit := func(parent git.OID, message string, files map[string]string) review.PatchSet {
		if parent != "" {
			w.git("checkout", "-q", "--detach", string(parent))
		}
		oid := w.commit("alice", message, files)
		return review.PatchSet{Commit: oid, Parent: parent, Parents: 1, Message: message}
	}
	root := commit("", "base", base).Commit
	mine := edit(base)
	older := commit(root, "mine", mine)
	upstream := commit(root, "theirs", edit(base))
	w.git("push", "-q", "-f", w.dir(r), string(older.Commit)+":refs/incoming/a", string(upstream.Commit)+":refs/incoming/b")
	tree, conflicts, err := g.PickTree(t.Context(), upstream.Commit, older.Commit)
	w.must(err)
	var newer review.PatchSet
	if len(conflicts) == 0 { // the author only rebased, or went on from there
		w.git("fetch", "-q", w.dir(r), "refs/incoming/a")
		w.git("checkout", "-q", "--detach", string(upstream.Commit))
		w.git("cherry-pick", "--allow-empty", "--keep-redundant-commits", string(older.Commit))
		newer = review.PatchSet{Commit: git.OID(w.git("rev-parse", "HEAD")), Parent: upstream.Commit, Parents: 1}
	} else {
		newer = commit(upstream.Commit, "mine again", edit(mine))
	}
	w.git("push", "-q", "-f", w.dir(r), string(newer.Commit)+":refs/incoming/c")
	for _, show := range []bool{false, true} {
		b, err := w.web.betweenOf(t.Context(), g, older, newer, show)
		w.must(err)
		if !show && (b.tree == "") != (len(conflicts) > 0) || b.tree != "" && b.tree != tree {
			t.Fatalf("seed %d: conflicts %v, tree %q", seed, conflicts, b.tree)
		}
		changes, err := w.web.changedFiles(t.Context(), g, b.from(), newer.Commit)
		w.must(err)
		if !show && len(conflicts) == 0 && len(changes) > 0 {
			t.Fatalf("seed %d: a rebase shows as %+v", seed, changes)
		}
		all := make([]int, len(changes))
		for i := range all {
			all[i] = i
		}
		patch, err := w.web.patchOf(t.Context(), g, b.from(), newer.Commit, "", changes, all)
		w.must(err)
		for _, c := range changes {
			w.checkFile(t, seed, g, b, diffRequest{git: g, from: b.from(), to: newer.Commit, between: b}, c, patch[c.Path])
		}
	}
}

// checkFile applies a file's difference to its older side; what is left out of it must be the
// rebase's: those lines are the same in the parents' difference.
func (w *world) checkFile(t *testing.T, seed uint64, g *git.Repo, b *between, q diffRequest, c git.FileChange, f *diff.File) {
	t.Helper()
	read := func(oid git.OID) []string {
		if oid.IsZero() {
			return nil
		}
		text, err := g.Blob(t.Context(), oid, 1<<20)
		w.must(err)
		return diff.SplitLines(string(text))
	}
	old, want := read(c.OldOID), read(c.NewOID)
	var hunks []diff.Hunk
	if f != nil {
		hunks = f.Hunks
	}
	var got []string
	at := 1
	for _, gap := range diff.Gaps(hunks, len(want)) {
		for n := gap.From; n <= gap.To; n, at = n+1, at+1 {
			if n+gap.Shift != at {
				t.Fatalf("seed %d, %s: old line %d is called %d", seed, c.Path, at, n+gap.Shift)
			}
			got = append(got, old[at-1])
		}
		if len(hunks) == 0 {
			break
		}
		for _, l := range hunks[0].Lines {
			if l.Kind != '+' {
				if old[at-1] != l.Text {
					t.Fatalf("seed %d, %s: old line %d is %q, not %q", seed, c.Path, at, old[at-1], l.Text)
				}
				at++
			}
			if l.Kind != '-' {
				got = append(got, l.Text)
			}
		}
		hunks = hunks[1:]
	}
	if !slices.Equal(got, want) {
		t.Fatalf("seed %d, %s: the difference does not give the new side", seed, c.Path)
	}
	if f == nil {
		return
	}
	own, left, err := b.hunks(t.Context(), w.web, q, c, f.Hunks)
	w.must(err)
	if len(own)+left != len(f.Hunks) || b.show && left > 0 {
		t.Fatalf("seed %d, %s: %d hunks, of which %d stay and %d are left out", seed, c.Path, len(f.Hunks), len(own), left)
	}
}
