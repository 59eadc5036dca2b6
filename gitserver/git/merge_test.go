package git

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/gitserver/fault"
)

// scramble changes the files of a work tree at random: edits, adds, deletes, renames, modes.
func scramble(t *testing.T, w work, rng *rand.Rand) {
	t.Helper()
	for range 1 + rng.IntN(3) {
		name := fmt.Sprintf("d%d/f%d", rng.IntN(2), rng.IntN(4))
		path := w.dir + "/" + name
		text, err := os.ReadFile(path)
		exists := err == nil
		switch n := rng.IntN(10); {
		case !exists || n == 0:
			w.write(map[string]string{name: lines(rng)})
		case n == 1:
			must(t, os.Remove(path))
		case n == 2:
			must(t, os.Chmod(path, 0o755))
		case n == 3:
			w.write(map[string]string{"d2/moved": string(text)})
			must(t, os.Remove(path))
		default:
			split := strings.Split(string(text), "\n")
			split[rng.IntN(len(split))] = fmt.Sprintf("edit %d", rng.IntN(1000))
			w.write(map[string]string{name: strings.Join(split, "\n")})
		}
	}
}

func lines(rng *rand.Rand) string {
	var b strings.Builder
	for i := range 12 {
		fmt.Fprintf(&b, "line %d %d\n", i, rng.IntN(3))
	}
	return b.String()
}

// On random histories PickTree makes what git cherry-pick makes, or conflicts where it does.
func TestPickTreeIsCherryPick(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	clean, conflicting := 0, 0
	for round := range 25 {
		rng := rand.New(rand.NewPCG(seed, uint64(round)))
		r, w := newRepo(t), newWork(t)
		w.write(map[string]string{"d0/f0": lines(rng), "d0/f1": lines(rng), "d1/f2": lines(rng), "d1/f3": lines(rng)})
		w.commit("base", nil)
		w.git("checkout", "-q", "-b", "side")
		for range 1 + rng.IntN(2) {
			scramble(t, w, rng)
			w.commit("side", nil)
		}
		pick := OID(w.git("rev-parse", "HEAD"))
		w.git("checkout", "-q", "main")
		scramble(t, w, rng)
		onto := w.commit("main", nil)
		_, err := w.try("", "cherry-pick", "--allow-empty", "--keep-redundant-commits", string(pick))
		must(t, send(t, r, w, []OID{onto, pick}))
		tree, conflicts, pickErr := r.PickTree(t.Context(), onto, pick)
		must(t, pickErr)
		if err == nil {
			clean++
			if want := OID(w.git("rev-parse", "HEAD^{tree}")); tree != want {
				t.Fatalf("seed %d round %d: tree %s, cherry-pick made %s (conflicts %v)", seed, round, tree, want, conflicts)
			}
			continue
		}
		conflicting++
		want := strings.Fields(w.git("diff", "--name-only", "--diff-filter=U"))
		slices.Sort(want)
		if tree != "" || !slices.Equal(conflicts, want) {
			t.Fatalf("seed %d round %d: tree %q conflicts %v, cherry-pick has %v", seed, round, tree, conflicts, want)
		}
	}
	t.Logf("%d clean, %d conflicting", clean, conflicting)
}

// What is reverted is what git revert reverts, and conflicts where that does.
func TestRevertTreeIsRevert(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for round := range 15 {
		rng := rand.New(rand.NewPCG(seed, uint64(round)))
		r, w := newRepo(t), newWork(t)
		w.write(map[string]string{"d0/f0": lines(rng), "d0/f1": lines(rng), "d1/f2": lines(rng), "d1/f3": lines(rng)})
		w.commit("base", nil)
		scramble(t, w, rng)
		what := w.commit("what", nil)
		if rng.IntN(2) == 0 {
			scramble(t, w, rng)
		} else {
			w.write(map[string]string{"beside": "it\n"})
		}
		onto := w.commit("more", nil)
		must(t, send(t, r, w, []OID{onto}))
		_, err := w.try("", "revert", "--no-edit", string(what))
		tree, conflicts, revertErr := r.RevertTree(t.Context(), onto, what)
		must(t, revertErr)
		if err == nil {
			if want := OID(w.git("rev-parse", "HEAD^{tree}")); tree != want {
				t.Fatalf("seed %d round %d: tree %s, revert made %s (conflicts %v)", seed, round, tree, want, conflicts)
			}
			continue
		}
		if want := strings.Fields(w.git("diff", "--name-only", "--diff-filter=U")); tree != "" && len(want) > 0 || len(conflicts) < len(want) {
			t.Fatalf("seed %d round %d: tree %q conflicts %v, revert has %v", seed, round, tree, conflicts, want)
		}
	}
}

func TestPickTreeOfRootAndMerge(t *testing.T) {
	r, w, a := seeded(t, map[string]string{"a": "a\n"})
	ctx := t.Context()
	w.git("checkout", "-q", "--orphan", "other")
	w.git("rm", "-rfq", ".")
	root := w.commit("root", map[string]string{"b": "b\n"})
	must(t, send(t, r, w, []OID{root}))
	tree, _, err := r.PickTree(ctx, a, root)
	must(t, err)
	for _, name := range []string{"a", "b"} {
		if _, err := r.FileAt(ctx, commitOf(t, r, tree), name, 10); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := r.MergeTree(ctx, a, root); !fault.Is(err, fault.Refused) {
		t.Errorf("merging strangers: %v", err)
	}
	_, _, err = r.PickTree(ctx, a, OID(strings.Repeat("5", 40)))
	wantKind(t, err, fault.NotFound)
	_, _, err = r.MergeTree(ctx, a, OID(strings.Repeat("5", 40)))
	wantKind(t, err, fault.NotFound)
}

func commitOf(t *testing.T, r *Repo, tree OID) OID {
	t.Helper()
	c, err := r.WriteCommit(t.Context(), tree, nil, sign("Ann"), sign("Ann"), "x\n")
	must(t, err)
	return c
}

// A conflict names its paths, leaves no objects, and hostile paths come through whole.
func TestMergeConflicts(t *testing.T) {
	r, w := newRepo(t), newWork(t)
	odd := "odd \"name\"\twith\nline"
	base := w.commit("base", map[string]string{odd: "1\n", "a": "1\n", "b": "1\n"})
	ours := w.commit("ours", map[string]string{odd: "2\n", "a": "2\n"})
	w.git("checkout", "-q", string(base))
	theirs := w.commit("theirs", map[string]string{odd: "3\n", "a": "3\n", "b": "3\n"})
	plant(t, r, w, ours, theirs)
	before, err := r.countLoose()
	must(t, err)
	for name, merge := range map[string]func() (OID, []string, error){
		"merge": func() (OID, []string, error) { return r.MergeTree(t.Context(), ours, theirs) },
		"pick":  func() (OID, []string, error) { return r.PickTree(t.Context(), ours, theirs) },
	} {
		tree, conflicts, err := merge()
		if err != nil || tree != "" || !slices.Equal(conflicts, []string{"a", odd}) {
			t.Errorf("%s: %q %q %v", name, tree, conflicts, err)
		}
	}
	if after, err := r.countLoose(); err != nil || after != before {
		t.Errorf("%d loose objects, %d before, %v", after, before, err)
	}
	if left := leftovers(t, r); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	tree, conflicts, err := r.MergeTree(t.Context(), base, theirs)
	if err != nil || len(conflicts) > 0 || tree == "" {
		t.Errorf("%q %v %v", tree, conflicts, err)
	}
}

// Content cannot choose how it is merged: attributes of the tree do not count.
func TestMergeIgnoresAttributes(t *testing.T) {
	r, w, base := seeded(t, map[string]string{".gitattributes": "* merge=union\n", "a": "1\n"})
	ours := w.commit("ours", map[string]string{"a": "2\n"})
	w.git("checkout", "-q", string(base))
	theirs := w.commit("theirs", map[string]string{"a": "3\n"})
	must(t, send(t, r, w, []OID{ours, theirs}, base))
	if _, conflicts, err := r.MergeTree(t.Context(), ours, theirs); err != nil || !slices.Equal(conflicts, []string{"a"}) {
		t.Errorf("conflicts %v %v", conflicts, err)
	}
}

func TestWriteCommit(t *testing.T) {
	r, w, a := seeded(t, map[string]string{"a": "a\n"})
	ctx := t.Context()
	tree := OID(w.git("rev-parse", "HEAD^{tree}"))
	odd := Signature{Name: " <Eve>\n\x00, ", Email: "eve@example.test>\n", When: time.Unix(1_700_000_000, 5).In(time.FixedZone("", -12600))}
	oid, err := r.WriteCommit(ctx, tree, []OID{a}, odd, Signature{}, "subject\n\nbody without end")
	must(t, err)
	c, err := r.Commit(ctx, oid)
	must(t, err)
	want := "tree " + string(tree) + "\nparent " + string(a) + "\nauthor Eve <eve@example.test> 1700000000 -0330\n" +
		"committer unknown <> 0 +0000\n\nsubject\n\nbody without end"
	if string(c.Raw) != want {
		t.Errorf("wrote %q, want %q", c.Raw, want)
	}
	if c.Subject() != "subject" || c.Tree != tree || !slices.Equal(c.Parents, []OID{a}) || !c.Author.When.Equal(odd.When.Truncate(time.Second)) {
		t.Errorf("read back %+v", c)
	}
	again, err := r.WriteCommit(ctx, tree, []OID{a}, odd, Signature{}, "subject\n\nbody without end")
	if err != nil || again != oid {
		t.Errorf("again: %s %v", again, err)
	}
	for name, bad := range map[string]func() (OID, error){
		"NUL":         func() (OID, error) { return r.WriteCommit(ctx, tree, nil, odd, odd, "a\x00b") },
		"tree is one": func() (OID, error) { return r.WriteCommit(ctx, a, nil, odd, odd, "x") },
		"no parent":   func() (OID, error) { return r.WriteCommit(ctx, tree, []OID{tree}, odd, odd, "x") },
		"injection":   func() (OID, error) { return r.WriteCommit(ctx, tree+"\nparent x", nil, odd, odd, "x") },
	} {
		if _, err := bad(); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
