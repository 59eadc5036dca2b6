package git

import (
	"testing"

	"gatehouse/gitserver/fault"
)

// The attack: a pack brings an object that no accepted ref reaches — of a ref that is
// refused, or simply beside — so that no policy looks at it and anybody can fetch it by name.
func TestKeepThrowsOutWhatNoAcceptedRefReaches(t *testing.T) {
	r, w, base := seeded(t, map[string]string{"f": "one\n"})
	ctx := t.Context()
	good := w.commit("good", map[string]string{"good": "good\n"})
	bad := w.commitTree(w.tree("100644 blob "+string(w.blob("secret\n"))+"\tCON"), base)
	clean := w.commitTree(w.tree("100644 blob "+string(w.blob("harmless\n"))+"\tother"), base)
	for name, c := range map[string]struct {
		extra   OID
		checked []OID
	}{"never checked": {bad, []OID{good}}, "refused after the check": {clean, []OID{good, clean}}} {
		q := take(t, r, w.pack([]OID{good, c.extra}, []OID{base}))
		must(t, q.Check(ctx, c.checked))
		must(t, q.Keep(ctx, []OID{good}))
		if _, err := q.Repo().Commit(ctx, good); err != nil {
			t.Errorf("%s: the accepted commit is gone: %v", name, err)
		}
		must(t, q.Migrate(ctx))
		if _, err := r.Commit(ctx, good); err != nil {
			t.Errorf("%s: the accepted commit did not migrate: %v", name, err)
		}
		if _, err := r.Commit(ctx, c.extra); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: the refused commit migrated: %v", name, err)
		}
		must(t, r.Fsck(ctx))
	}
}

// What is wholly wanted is not packed again.
func TestKeepLeavesAWantedPackAlone(t *testing.T) {
	r, w, base := seeded(t, map[string]string{"f": "one\n"})
	tip := w.commit("next", map[string]string{"f": "two\n"})
	q := take(t, r, w.pack([]OID{tip}, []OID{base}))
	must(t, q.Check(t.Context(), []OID{tip}))
	before := q.dir
	must(t, q.Keep(t.Context(), []OID{tip}))
	if q.dir != before {
		t.Error("the pack was made again")
	}
	must(t, q.Discard())
}
