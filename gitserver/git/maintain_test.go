package git

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/gitserver/fault"
)

func TestJanitor(t *testing.T) {
	r, w, a := seeded(t, nil)
	tip := w.commit("next", nil)
	q := take(t, r, w.pack([]OID{tip}, []OID{a}))
	for _, name := range []string{"refs/heads/main.lock", "packed-refs.lock", "HEAD.lock", "objects/pack/tmp_pack_x", "objects/ab/tmp_obj_x", "objects/tmp_objdir-incoming-x/pack/p"} {
		must(t, os.MkdirAll(filepath.Dir(r.path(name)), 0o700))
		must(t, os.WriteFile(r.path(name), nil, 0o600))
	}
	if err := r.UpdateRefs(t.Context(), []RefUpdate{{"refs/gate/x", Zero, a}}, ""); err != nil {
		t.Fatal(err)
	}
	must(t, r.Janitor(t.Context()))
	if left := leftovers(t, r); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := os.Stat(q.dir); err == nil {
		t.Error("the quarantine of a dead push is still there")
	}
	must(t, r.UpdateRefs(t.Context(), []RefUpdate{{"refs/heads/main", a, Zero}}, "")) // needs both locks
	must(t, r.Fsck(t.Context()))
}

// Maintenance keeps every object that any ref holds, and does its work only when there is some.
func TestMaintain(t *testing.T) {
	r, w, tip := seeded(t, map[string]string{"f": "0"})
	ctx := t.Context()
	must(t, r.Maintain(ctx))
	if n := len(packs(t, r)); n != 1 {
		t.Errorf("%d packs", n)
	}
	var updates []RefUpdate
	for i := range manyPacks {
		next := w.commit("next", map[string]string{"f": fmt.Sprint(i)})
		must(t, send(t, r, w, []OID{next}, tip))
		updates = append(updates, RefUpdate{fmt.Sprintf("refs/changes/%02d/%d/1", i, i), Zero, next})
		tip = next
	}
	for i := range manyLooseRefs {
		updates = append(updates, RefUpdate{fmt.Sprintf("refs/tags/t%d", i), Zero, tip})
	}
	must(t, r.UpdateRefs(ctx, updates, ""))
	unreachable := commitOf(t, r, EmptyTree)
	must(t, r.Maintain(ctx))
	if n := len(packs(t, r)); n > 3 {
		t.Errorf("%d packs are left", n)
	}
	if n, err := countFiles(r.path("refs"), func(string) bool { return true }); err != nil || n > 0 {
		t.Errorf("%d loose refs are left, %v", n, err)
	}
	refs, err := r.Refs(ctx)
	if err != nil || len(refs) != len(updates)+1 {
		t.Errorf("%d refs, want %d, %v", len(refs), len(updates)+1, err)
	}
	for _, oid := range []OID{tip, unreachable} {
		if _, err := r.Commit(ctx, oid); err != nil {
			t.Error(err)
		}
	}
	must(t, r.Fsck(ctx))
	must(t, r.UpdateRefs(ctx, []RefUpdate{{"refs/tags/t1", tip, Zero}}, "")) // a packed one
	if held, err := r.RefOID(ctx, "refs/tags/t1"); err != nil || held != Zero {
		t.Errorf("a deleted packed ref holds %s %v", held, err)
	}
}

func TestFsckFindsDamage(t *testing.T) {
	for name, harm := range map[string]func(r *Repo){
		"torn pack": func(r *Repo) {
			for _, p := range packs(t, r) {
				must(t, os.Chmod(p, 0o600))
				text, err := os.ReadFile(p)
				must(t, err)
				text[len(text)/2] ^= 0xff
				must(t, os.WriteFile(p, text, 0o600))
			}
		},
		"alternates": func(r *Repo) {
			must(t, os.WriteFile(r.path("objects", "info", "alternates"), []byte(t.TempDir()+"\n"), 0o600))
		},
		"grafts": func(r *Repo) { must(t, os.WriteFile(r.path("info", "grafts"), nil, 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			r, _, _ := seeded(t, map[string]string{"f": strings.Repeat("text\n", 50)})
			must(t, r.Fsck(t.Context()))
			must(t, os.MkdirAll(r.path("info"), 0o700))
			harm(r)
			wantKind(t, r.Fsck(t.Context()), fault.Refused)
		})
	}
}
