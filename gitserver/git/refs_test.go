package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"gatehouse/gitserver/fault"
)

// Whatever our grammar lets through, git takes too.
func TestRefNamesThatPassAreGits(t *testing.T) {
	parts := rapid.SampledFrom([]string{"a", "b", ".", "..", "/", "-", "@", "{", "}", "~", "^", ":", "?", "*", "[", "\\", " ", "\n", "\x00", "\x7f",
		".lock", "HEAD", "refs", "heads", "é", "e\u0301", "\u202e", "%", "+", "#", "=", ",", "_", strings.Repeat("a", 40), strings.Repeat("0", 64), "\xff"})
	rapid.Check(t, func(t *rapid.T) {
		name := "refs/heads/" + strings.Join(rapid.SliceOfN(parts, 1, 6).Draw(t, "parts"), "")
		if CheckRefName(name) != nil {
			return
		}
		if err := exec.Command("git", "check-ref-format", name).Run(); err != nil {
			t.Fatalf("%q passes here and not at git: %v", name, err)
		}
	})
}

func TestCheckRefName(t *testing.T) {
	for _, ok := range []string{"refs/heads/main", "refs/heads/a/b-c_d.e", "refs/heads/@user/x", "refs/heads/é", "refs/tags/v1.2.3", "refs/for/main%topic=x",
		"refs/heads/" + strings.Repeat("n", 189), "refs/gate/candidate/7", "refs/changes/01/1/1", "refs/heads/headless"} {
		if err := CheckRefName(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{"", "main", "HEAD", "MAIN", "refs/heads", "refs/stash", "refs/heads/", "refs//main", "refs/heads//x", "/refs/heads/x", "refs/heads/HEAD", "refs/heads/x/head",
		"refs/heads/refs/heads/x", "refs/heads/a\nX", "refs/heads/a\x00b", "refs/heads/a b", "refs/heads/a..b", "refs/heads/a@{b", "refs/heads/@", "refs/heads/a.lock", "refs/heads/a.lock/b",
		"refs/heads/a.LOCK", "refs/heads/a.", "refs/heads/.a", "refs/heads/-a", "refs/heads/a/-b", "refs/heads/a\u202eb", "refs/heads/a\u200bb", "refs/heads/e\u0301", "refs/heads/\xff",
		"refs/heads/" + strings.Repeat("n", 190), "refs/heads/" + strings.Repeat("ab", 20), "refs/tags/" + strings.Repeat("AB", 32), "refs/../config", "refs/heads/a$(x)", "refs/heads/a;b",
		"refs/heads/a`b", "refs/heads/a'b", "refs/heads/a|b", "refs/heads/a~1", "refs/heads/a^", "refs/heads/a:b", "refs/heads/a?", "refs/heads/a*", "refs/heads/[a", `refs/heads/a\b`} {
		err := CheckRefName(bad)
		wantKind(t, err, fault.Invalid)
		if words := fault.Sentence(err); strings.ContainsFunc(words, func(c rune) bool { return c < ' ' || c == 0x202e || c == 0x200b }) {
			t.Errorf("%q repeats hostile characters", words)
		}
	}
}

func TestFoldName(t *testing.T) {
	for _, twins := range [][2]string{{"Main", "mAIN"}, {"é", "e\u0301"}, {"straße", "STRASSE"}, {"\u212A", "k"}, {"É", "e\u0301"}} {
		if FoldName(twins[0]) != FoldName(twins[1]) {
			t.Errorf("%q and %q differ", twins[0], twins[1])
		}
	}
	if FoldName("main") == FoldName("maim") {
		t.Error("main is maim")
	}
}

// Sixty-four rivals move one ref from the same commit: exactly one wins, all others hear
// that they lost, and nothing is left locked.
func TestCompareAndSwapRace(t *testing.T) {
	r, w, base := seeded(t, nil)
	const rivals = 64
	var tips []OID
	for i := range rivals {
		tips = append(tips, w.raw("commit", commitText(EmptyTree, []OID{base}, ann, ann, fmt.Sprintf("encoding e%d\n", i))))
	}
	must(t, send(t, r, w, tips, base))
	errs := make([]error, rivals)
	var wg sync.WaitGroup
	for i, tip := range tips {
		wg.Go(func() {
			errs[i] = r.UpdateRefs(t.Context(), []RefUpdate{{"refs/heads/main", base, tip}}, "race")
		})
	}
	wg.Wait()
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won < 0:
			won = i
		case err == nil:
			t.Fatalf("%d and %d both won", won, i)
		default:
			wantKind(t, err, fault.Conflict)
		}
	}
	if won < 0 {
		t.Fatal("nobody won")
	}
	if held, err := r.RefOID(t.Context(), "refs/heads/main"); err != nil || held != tips[won] {
		t.Errorf("main holds %s %v, want %s", held, err, tips[won])
	}
	must(t, r.UpdateRefs(t.Context(), []RefUpdate{{"refs/heads/main", tips[won], base}}, "again"))
}

func TestUpdateRefs(t *testing.T) {
	r, w, a := seeded(t, nil)
	ctx := t.Context()
	b := w.commit("b", nil)
	must(t, send(t, r, w, []OID{b}, a))
	held := func(ref string, want OID) {
		t.Helper()
		if got, err := r.RefOID(ctx, ref); err != nil || got != want {
			t.Errorf("%s holds %s %v, want %s", ref, got, err, want)
		}
	}
	steps := []struct {
		name    string
		updates []RefUpdate
		want    fault.Kind
	}{
		{"make two", []RefUpdate{{"refs/heads/x", Zero, a}, {"refs/gate/c/1", Zero, b}}, accepted},
		{"make what is there", []RefUpdate{{"refs/heads/x", Zero, b}}, fault.Conflict},
		{"all or none", []RefUpdate{{"refs/heads/y", Zero, b}, {"refs/heads/x", b, a}}, fault.Conflict},
		{"move from anything", []RefUpdate{{"refs/heads/x", "", b}}, accepted},
		{"move what is gone", []RefUpdate{{"refs/heads/gone", a, b}}, fault.Conflict},
		{"delete what is gone", []RefUpdate{{"refs/heads/gone", a, Zero}}, fault.Conflict},
		{"delete what moved", []RefUpdate{{"refs/heads/x", a, Zero}}, fault.Conflict},
		{"verify absence", []RefUpdate{{"refs/heads/gone", Zero, Zero}}, accepted},
		{"verify absence of what is there", []RefUpdate{{"refs/heads/x", Zero, Zero}}, fault.Conflict},
		{"below another", []RefUpdate{{"refs/heads/x/y", Zero, a}}, fault.Refused},
		{"above others", []RefUpdate{{"refs/gate/c", Zero, a}}, fault.Refused},
		{"twice", []RefUpdate{{"refs/heads/z", Zero, a}, {"refs/heads/z", Zero, b}}, fault.Invalid},
		{"bad name", []RefUpdate{{"refs/heads/a\nb", Zero, a}}, fault.Invalid},
		{"HEAD", []RefUpdate{{"HEAD", "", a}}, fault.Invalid},
		{"no object name", []RefUpdate{{"refs/heads/z", Zero, "main"}}, fault.Invalid},
		{"object that is not here", []RefUpdate{{"refs/heads/z", Zero, OID(strings.Repeat("3", 40))}}, fault.Internal},
		{"nothing", nil, accepted},
		{"delete", []RefUpdate{{"refs/heads/x", b, Zero}, {"refs/gate/c/1", "", Zero}}, accepted},
	}
	for _, s := range steps {
		err := r.UpdateRefs(ctx, s.updates, "test: "+s.name)
		if s.want == accepted {
			if err != nil {
				t.Errorf("%s: %v", s.name, err)
			}
		} else if err == nil || fault.KindOf(err) != s.want {
			t.Errorf("%s: got %v, want %s", s.name, err, s.want)
		}
	}
	held("refs/heads/x", Zero)
	held("refs/heads/y", Zero)
	held("refs/gate/c/1", Zero)
	held("refs/heads/main", a)
}

// A caller whose client goes away in the middle still learns the outcome, and nothing stays locked.
func TestUpdateRefsIsNotCutShort(t *testing.T) {
	r, _, a := seeded(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	CrashPoint = func(name string) { cancel() }
	err := r.UpdateRefs(ctx, []RefUpdate{{"refs/heads/x", Zero, a}}, "")
	CrashPoint = nil
	must(t, err)
	if err := r.UpdateRefs(ctx, []RefUpdate{{"refs/heads/x", a, Zero}}, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("begun after the end: %v", err)
	}
	must(t, r.UpdateRefs(t.Context(), []RefUpdate{{"refs/heads/x", a, Zero}}, ""))
}

// A symbolic ref is not followed: a push to trunk must not move main.
func TestSymbolicRefsAreRefused(t *testing.T) {
	r, w, a := seeded(t, nil)
	b := w.commit("b", nil)
	must(t, send(t, r, w, []OID{b}, a))
	must(t, os.WriteFile(r.path("refs", "heads", "trunk"), []byte("ref: refs/heads/main\n"), 0o600))
	must(t, os.Symlink("main", r.path("refs", "heads", "link")))
	for _, name := range []string{"refs/heads/trunk", "refs/heads/link"} {
		for _, to := range []OID{b, Zero} {
			wantKind(t, r.UpdateRefs(t.Context(), []RefUpdate{{name, a, to}}, ""), fault.Refused)
		}
	}
	if held, err := r.RefOID(t.Context(), "refs/heads/main"); err != nil || held != a {
		t.Errorf("main moved to %s %v", held, err)
	}
	wantKind(t, r.Fsck(t.Context()), fault.Refused)
}

// What a ref holds is read from a process that runs on: it must see every move at once, and
// take no other ref and no commit for one that is not there.
func TestRefOIDSeesEveryMove(t *testing.T) {
	r, w, a := seeded(t, nil)
	ctx := t.Context()
	b := w.commit("second", map[string]string{"f": "2\n"})
	must(t, send(t, r, w, []OID{b}, a))
	const name = "refs/heads/topic"
	want := func(when string, ref string, oid OID) {
		t.Helper()
		if held, err := r.RefOID(ctx, ref); err != nil || held != oid {
			t.Errorf("%s: %s holds %s %v, want %s", when, ref, held, err, oid)
		}
	}
	want("before", name, Zero)
	must(t, r.UpdateRefs(ctx, []RefUpdate{{name, Zero, a}}, ""))
	want("made", name, a)
	must(t, r.packRefs(ctx))
	want("packed", name, a)
	must(t, r.UpdateRefs(ctx, []RefUpdate{{name, a, b}}, ""))
	want("moved", name, b)
	must(t, r.packRefs(ctx))
	want("packed again", name, b)
	must(t, r.UpdateRefs(ctx, []RefUpdate{{name, b, Zero}}, ""))
	want("deleted", name, Zero)
	must(t, r.UpdateRefs(ctx, []RefUpdate{{"refs/tags/heads", Zero, a}, {"refs/heads/long/topic", Zero, b}}, ""))
	for _, ref := range []string{"refs/heads/x-1-g" + string(a[:12]), "refs/tags/v1-g" + string(a), "refs/heads/long", "refs/heads/heads"} {
		want("not there", ref, Zero)
	}
	for _, ref := range []string{"refs/refs/heads/topic", "refs/tags/refs/heads/topic", "refs/heads/refs/heads/topic"} {
		wantKind(t, r.UpdateRefs(ctx, []RefUpdate{{ref, Zero, a}}, ""), fault.Invalid)
	}
	want("beside names like it", name, Zero)
}

// A ref that cannot be read is an error, never "not there".
func TestBrokenRefIsAnError(t *testing.T) {
	r, _, a := seeded(t, nil)
	must(t, os.WriteFile(r.path("refs", "heads", "main"), nil, 0o600))
	if held, err := r.RefOID(t.Context(), "refs/heads/main"); err == nil {
		t.Errorf("reads %s", held)
	}
	if err := r.UpdateRefs(t.Context(), []RefUpdate{{"refs/heads/main", Zero, a}}, ""); err == nil {
		t.Error("made anew")
	}
}

func TestRefs(t *testing.T) {
	r, w, a := seeded(t, nil)
	ctx := t.Context()
	tag := w.raw("tag", "object "+string(a)+"\ntype commit\ntag v1\ntagger "+ann+"\n\nx\n")
	must(t, send(t, r, w, []OID{tag}, a))
	must(t, r.UpdateRefs(ctx, []RefUpdate{{"refs/tags/v1", Zero, tag}, {"refs/heads/main2", Zero, a}}, ""))
	refs, err := r.Refs(ctx, "refs/heads/main", "refs/tags/")
	want := []Ref{{"refs/heads/main", a, a}, {"refs/tags/v1", tag, a}}
	if err != nil || !slices.Equal(refs, want) {
		t.Errorf("got %v %v, want %v", refs, err, want)
	}
	_, err = r.Refs(ctx, "--format=x")
	wantKind(t, err, fault.Invalid)
	for rev, want := range map[string]OID{"main": a, "v1": a, "refs/tags/v1": a, string(a[:8]): a, string(tag): a} {
		if got, err := r.Resolve(ctx, rev); err != nil || got != want {
			t.Errorf("%s is %s %v, want %s", rev, got, err, want)
		}
	}
	for _, rev := range []string{"", "gone", "-x", "--all", "main:f", ":/first", "main@{0}", "main^{/first}", "a..b", "main\n", "main^{tree}", strings.Repeat("a", 300), string(Zero)} {
		_, err := r.Resolve(ctx, rev)
		wantKind(t, err, fault.NotFound)
	}
	must(t, r.SetHead(ctx, "refs/heads/later"))
	if head, err := r.Head(ctx); err != nil || head != "refs/heads/later" {
		t.Errorf("HEAD is %s %v", head, err)
	}
	wantKind(t, r.SetHead(ctx, "refs/tags/v1"), fault.Invalid)
}
