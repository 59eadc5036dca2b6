package git

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/gitserver/fault"
)

func TestFetchIntoQuarantine(t *testing.T) {
	up, w, a := seeded(t, map[string]string{"f": "1\n"})
	ctx, local := t.Context(), Auth{AllowLocal: true}
	b := w.commit("b", map[string]string{"f": "2\n"})
	must(t, send(t, up, w, []OID{b}, a))
	must(t, exec.Command("git", "--git-dir", up.Dir(), "update-ref", "refs/pull/7/head", string(b)).Run()) // a name that we never make
	must(t, exec.Command("git", "--git-dir", up.Dir(), "update-ref", "refs/x/refs/pull/7/head", string(a)).Run())
	r := newRepo(t)
	must(t, r.FetchFrom(ctx, up.Dir(), []string{"refs/heads/main:refs/heads/main"}, local))

	for _, names := range [][]string{{"refs/pull/7/head"}, {"refs/pull/*"}, {"refs/pull/7/head", "refs/pull/8/head"}} {
		refs, err := r.LsRemoteRefs(ctx, up.Dir(), local, names...)
		if err != nil || len(refs) != 1 || refs[0] != (Ref{"refs/pull/7/head", b, b}) {
			t.Errorf("%v: %v %v", names, refs, err)
		}
	}
	q, err := r.Quarantine(ctx)
	must(t, err)
	must(t, q.Fetch(ctx, up.Dir(), []string{"refs/pull/7/head"}, local, PackLimits{}))
	if _, err := r.Commit(ctx, b); err == nil {
		t.Error("it can be seen outside its quarantine")
	}
	must(t, q.Check(ctx, []OID{b}))
	must(t, q.Keep(ctx, []OID{b}))
	must(t, q.Migrate(ctx))
	if c, err := r.Commit(ctx, b); err != nil || c.OID != b {
		t.Errorf("%v %v", c, err)
	}
	if refs, err := r.Refs(ctx); err != nil || len(refs) != 1 {
		t.Errorf("a fetch moved refs: %v %v", refs, err)
	}
	if _, err := os.Stat(filepath.Join(r.Dir(), "FETCH_HEAD")); err == nil {
		t.Error("FETCH_HEAD was written")
	}
}

func TestFetchIsBoundAndChecked(t *testing.T) {
	up, w, a := seeded(t, map[string]string{"f": "1\n"})
	ctx, local := t.Context(), Auth{AllowLocal: true}
	big := w.commit("big", map[string]string{"f": strings.Repeat("never the same twice ", 4000) + string(a)})
	must(t, send(t, up, w, []OID{big}, a))
	must(t, exec.Command("git", "--git-dir", up.Dir(), "update-ref", "refs/pull/1/head", string(big)).Run())
	r := newRepo(t)
	q, err := r.Quarantine(ctx)
	must(t, err)
	wantKind(t, q.Fetch(ctx, up.Dir(), []string{"refs/pull/1/head"}, local, PackLimits{Bytes: 100}), fault.TooLarge)
	must(t, q.Discard())
	if left := leftovers(t, r); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	q, err = r.Quarantine(ctx)
	must(t, err)
	defer func() { _ = q.Discard() }()
	for _, bad := range []string{"refs/pull/1/head:refs/heads/main", "+refs/pull/1/head", "--upload-pack=id", "main", "refs/heads/a\nb", "refs/pull/*/head", ""} {
		wantKind(t, q.Fetch(ctx, up.Dir(), []string{bad}, local, PackLimits{}), fault.Invalid)
		if _, err := r.LsRemoteRefs(ctx, up.Dir(), local, bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("ls-remote takes %q: %v", bad, err)
		}
	}
	wantKind(t, q.Fetch(ctx, "ext::sh -c id", []string{"refs/pull/1/head"}, local, PackLimits{}), fault.Invalid)
	if err := q.Fetch(ctx, up.Dir(), []string{"refs/pull/2/head"}, local, PackLimits{}); err == nil {
		t.Error("fetched what is not there")
	}
}

func TestPushExactly(t *testing.T) {
	up, w, a := seeded(t, map[string]string{"f": "1\n"})
	ctx, local := t.Context(), Auth{AllowLocal: true}
	r := newRepo(t)
	must(t, r.FetchFrom(ctx, up.Dir(), []string{"refs/heads/main:refs/heads/main"}, local))
	b := w.commit("b", map[string]string{"f": "2\n"})
	c := w.commit("c", map[string]string{"f": "3\n"})
	must(t, send(t, r, w, []OID{c}, a))
	is := func(ref string, want OID) {
		t.Helper()
		if held, err := up.RefOID(ctx, ref); err != nil || held != want {
			t.Errorf("%s there is %s %v, want %s", ref, held, err, want)
		}
	}
	// main there is a, an ancestor of b: a plain push of c would go through, but b was expected.
	wantKind(t, r.PushExactly(ctx, up.Dir(), "refs/heads/main", b, c, local), fault.Conflict)
	is("refs/heads/main", a)
	must(t, r.PushExactly(ctx, up.Dir(), "refs/heads/main", a, b, local))
	is("refs/heads/main", b)
	wantKind(t, r.PushExactly(ctx, up.Dir(), "refs/heads/main", a, c, local), fault.Conflict)
	wantKind(t, r.PushExactly(ctx, up.Dir(), "refs/heads/main", b, a, local), fault.Refused) // back
	is("refs/heads/main", b)
	must(t, r.PushExactly(ctx, up.Dir(), "refs/heads/fresh", Zero, c, local))
	wantKind(t, r.PushExactly(ctx, up.Dir(), "refs/heads/fresh", Zero, b, local), fault.Conflict)
	is("refs/heads/fresh", c)
	wantKind(t, r.PushExactly(ctx, up.Dir(), "refs/tags/x", Zero, c, local), fault.Invalid)
	wantKind(t, r.PushExactly(ctx, up.Dir(), "refs/heads/main", b, "main", local), fault.Invalid)
}
