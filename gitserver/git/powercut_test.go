package git

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What a write acknowledged is there after the power is cut: the image of a mounted disk is
// copied the moment the write returns, so the copy holds what reached the device and nothing
// that only the kernel knows, and is then mounted as after a crash.
//
// It mounts disks, so it runs as root and only when GATE_TEST_POWER_CUT is set.
func TestPowerCut(t *testing.T) {
	if os.Getenv("GATE_TEST_POWER_CUT") == "" {
		t.Skip("GATE_TEST_POWER_CUT is not set")
	}
	dir := t.TempDir()
	image, live := filepath.Join(dir, "disk.img"), filepath.Join(dir, "live")
	must(t, os.Mkdir(live, 0o700))
	system(t, "truncate", "--size=96M", image)
	system(t, "mkfs.ext4", "-q", image)
	system(t, "mount", "-o", "loop", image, live)
	t.Cleanup(func() { system(t, "umount", live) })

	g, err := Find(t.Context())
	must(t, err)
	t.Cleanup(g.Close)
	r, err := g.Init(t.Context(), filepath.Join(live, "repo.git"), "main")
	must(t, err)
	w := newWork(t)
	tip := w.commit("first", map[string]string{"f": "0"})
	must(t, send(t, r, w, []OID{tip}))
	must(t, r.UpdateRefs(t.Context(), []RefUpdate{{"refs/heads/main", Zero, tip}}, ""))
	afterCut(t, g, image, map[string]OID{"refs/heads/main": tip})

	for i := range 10 {
		next := w.commit("next", map[string]string{fmt.Sprintf("d%d/f", i): "x"})
		must(t, send(t, r, w, []OID{next}, tip))
		ref := fmt.Sprintf("refs/changes/%02d/%d/1", i, i)
		must(t, r.UpdateRefs(t.Context(), []RefUpdate{{ref, Zero, next}}, ""))
		afterCut(t, g, image, map[string]OID{ref: next, "refs/heads/main": tip})

		side, err := r.WriteCommit(t.Context(), EmptyTree, []OID{tip}, sign("Ann"), sign("Ann"), fmt.Sprint(i))
		must(t, err)
		tree, _, err := r.MergeTree(t.Context(), side, next)
		if err != nil || tree == "" {
			tree = EmptyTree // an edit against the deletion: only the commit is of interest
		}
		merged, err := r.WriteCommit(t.Context(), tree, []OID{side, next}, sign("Ann"), sign("Ann"), "merge")
		must(t, err)
		must(t, r.UpdateRefs(t.Context(), []RefUpdate{{"refs/heads/main", tip, merged}, {ref, next, Zero}}, ""))
		if i == 5 {
			must(t, r.packRefs(t.Context()))
			must(t, r.repack(t.Context()))
		}
		afterCut(t, g, image, map[string]OID{ref: Zero, "refs/heads/main": merged})
		w.git("reset", "-q", "--hard", string(next))
		tip = merged
		must(t, os.WriteFile(filepath.Join(w.dir, "tip"), []byte(tip), 0o600))
		fetchInto(t, w, r)
		w.git("reset", "-q", "--hard", string(tip))
	}
}

// fetchInto brings the repository's main into the work.
func fetchInto(t *testing.T, w work, r *Repo) {
	t.Helper()
	w.git("-c", "safe.directory=*", "fetch", "-q", r.Dir(), "main")
}

// afterCut mounts a copy of the disk and looks for what was acknowledged.
func afterCut(t *testing.T, g *Git, image string, want map[string]OID) {
	t.Helper()
	crashed, dir := image+".crashed", image+".mounted"
	system(t, "cp", "--sparse=always", image, crashed)
	must(t, os.MkdirAll(dir, 0o700))
	system(t, "mount", "-o", "loop", crashed, dir)
	defer system(t, "umount", dir)
	r, err := g.Open(filepath.Join(dir, "repo.git"))
	must(t, err)
	must(t, r.Janitor(t.Context()))
	must(t, r.Fsck(t.Context()))
	for ref, oid := range want {
		if held, err := r.RefOID(t.Context(), ref); err != nil || held != oid {
			t.Fatalf("after the cut %s holds %s %v, want %s", ref, held, err, oid)
		}
	}
	g.readers.closeAll(r)
}

func system(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}
