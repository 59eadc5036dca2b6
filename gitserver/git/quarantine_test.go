package git

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/gitserver/fault"
)

// take opens a quarantine with one pack in it.
func take(t *testing.T, r *Repo, pack []byte) *Quarantine {
	t.Helper()
	q, err := r.Quarantine(t.Context())
	must(t, err)
	must(t, q.TakePack(t.Context(), bytes.NewReader(pack), PackLimits{}, nil))
	return q
}

// What a push brings is seen through its own quarantine only, until it migrates.
func TestQuarantineIsNotVisible(t *testing.T) {
	r, w, base := seeded(t, map[string]string{"f": strings.Repeat("line\n", 100)})
	ctx := t.Context()
	tip := w.commit("next", map[string]string{"f": strings.Repeat("line\n", 100) + "more\n"})
	pack := w.pack([]OID{tip}, []OID{base}) // thin: its delta needs what is here
	q := take(t, r, pack)
	other := take(t, r, w.pack([]OID{base}, nil))
	for name, repo := range map[string]*Repo{"repository": r, "another push": other.Repo()} {
		if _, err := repo.Commit(ctx, tip); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s sees the commit: %v", name, err)
		}
	}
	if _, err := q.Repo().Commit(ctx, tip); err != nil {
		t.Errorf("its own push does not see it: %v", err)
	}
	if err := q.Repo().UpdateRefs(ctx, []RefUpdate{{"refs/heads/main", base, tip}}, ""); err == nil {
		t.Error("a ref moved to a quarantined commit")
	}
	must(t, q.Check(ctx, []OID{tip}))
	tree, _, err := q.Repo().MergeTree(ctx, base, tip)
	must(t, err)
	merged, err := q.Repo().WriteCommit(ctx, tree, []OID{base, tip}, sign("Ann"), sign("Ann"), "merge\n")
	must(t, err)
	if _, err := r.Commit(ctx, merged); !fault.Is(err, fault.NotFound) {
		t.Errorf("the repository sees the merge: %v", err)
	}
	must(t, q.Migrate(ctx))
	must(t, q.Migrate(ctx))
	must(t, q.Discard())
	for _, repo := range []*Repo{r, q.Repo(), other.Repo()} {
		for _, oid := range []OID{tip, merged} {
			if _, err := repo.Commit(ctx, oid); err != nil {
				t.Errorf("after it migrated: %v", err)
			}
		}
	}
	must(t, q.Repo().UpdateRefs(ctx, []RefUpdate{{"refs/heads/main", base, merged}}, ""))
	must(t, other.Discard())
	must(t, r.Fsck(ctx))
	if left := leftovers(t, r); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// leftovers are quarantines and temporary files below objects/.
func leftovers(t *testing.T, r *Repo) (left []string) {
	t.Helper()
	must(t, filepath.WalkDir(r.path("objects"), func(path string, d os.DirEntry, err error) error {
		if leftover(d.Name()) || strings.HasPrefix(d.Name(), quarantinePrefix) {
			left = append(left, path)
		}
		return err
	}))
	return left
}

func TestTakePackRefusesGarbage(t *testing.T) {
	r, w, base := seeded(t, map[string]string{"f": strings.Repeat("line\n", 100)})
	tip := w.commit("next", map[string]string{"f": strings.Repeat("line\n", 100) + "more\n"})
	good := w.pack([]OID{tip}, []OID{base})
	flip := func(at int) []byte {
		b := slices.Clone(good)
		b[at] ^= 0xff
		return b
	}
	orphan := newWork(t)
	orphan.commit("unrelated", map[string]string{"g": strings.Repeat("other\n", 100)})
	far := orphan.commit("thin", map[string]string{"g": strings.Repeat("other\n", 100) + "x"})
	huge := slices.Clone(good)
	binary.BigEndian.PutUint32(huge[8:], 1<<31)
	for name, c := range map[string]struct {
		pack   []byte
		limits PackLimits
		want   fault.Kind
	}{
		"nothing":          {nil, PackLimits{}, fault.Invalid},
		"no pack":          {[]byte("HELO, this is no pack"), PackLimits{}, fault.Invalid},
		"cut":              {good[:len(good)-5], PackLimits{}, fault.Invalid},
		"bad checksum":     {flip(len(good) - 1), PackLimits{}, fault.Invalid},
		"bad object":       {flip(20), PackLimits{}, fault.Invalid},
		"other version":    {flip(7), PackLimits{}, fault.Invalid},
		"count that lies":  {huge, PackLimits{}, fault.TooLarge},
		"too many objects": {good, PackLimits{Objects: 2}, fault.TooLarge},
		"too many bytes":   {good, PackLimits{Bytes: 100}, fault.TooLarge},
		"too slow":         {good, PackLimits{Wall: time.Nanosecond}, fault.Unavailable},
		"missing base":     {orphan.pack([]OID{far}, []OID{OID(orphan.git("rev-parse", string(far)+"~"))}), PackLimits{}, fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			q, err := r.Quarantine(t.Context())
			must(t, err)
			defer discard(t, q)
			wantKind(t, q.TakePack(t.Context(), bytes.NewReader(c.pack), c.limits, nil), c.want)
		})
	}
	if left := leftovers(t, r); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A client keeps its side open while it waits for the answer: the end of the pack ends the
// reading, not the end of the stream. Bytes behind the pack are nobody's objects.
func TestTakePackFromAnOpenPeer(t *testing.T) {
	r, w, base := seeded(t, nil)
	tip := w.commit("next", map[string]string{"f": "x"})
	in, peer := io.Pipe()
	defer func() { must(t, peer.Close()) }()
	go func() {
		_, err := peer.Write(append(w.pack([]OID{tip}, []OID{base}), "garbage behind"...))
		_ = err // the other end may have enough
	}()
	q, err := r.Quarantine(t.Context())
	must(t, err)
	defer discard(t, q)
	var progress bytes.Buffer
	must(t, q.TakePack(t.Context(), in, PackLimits{}, &progress))
	if !strings.Contains(progress.String(), "Receiving objects") {
		t.Errorf("progress says %q", progress.String())
	}
	must(t, q.Check(t.Context(), []OID{tip}))
}

func TestTakePackEndsWithItsContext(t *testing.T) {
	r, _, _ := seeded(t, nil)
	in, peer := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := peer.Write([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x05"))
		_ = err
		cancel()
	}()
	q, err := r.Quarantine(t.Context())
	must(t, err)
	defer discard(t, q)
	if err := q.TakePack(ctx, in, PackLimits{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	must(t, peer.Close())
}

// A push of what is here already sends an empty pack, which leaves no file.
func TestEmptyPack(t *testing.T) {
	r, w, base := seeded(t, nil)
	before := packs(t, r)
	q := take(t, r, w.pack([]OID{base}, []OID{base}))
	must(t, q.Check(t.Context(), []OID{base}))
	must(t, q.Migrate(t.Context()))
	if after := packs(t, r); len(after) != len(before) {
		t.Errorf("packs %v, before %v", after, before)
	}
}

func packs(t *testing.T, r *Repo) []string {
	t.Helper()
	names, err := filepath.Glob(r.path("objects", "pack", "*.pack"))
	must(t, err)
	return names
}

// The same push again, and one that was cut between the two files of its pack, end well.
func TestMigrateAgain(t *testing.T) {
	r, w, base := seeded(t, nil)
	tip := w.commit("next", map[string]string{"f": "x"})
	pack := w.pack([]OID{tip}, []OID{base})
	must(t, take(t, r, pack).Migrate(t.Context()))
	must(t, take(t, r, pack).Migrate(t.Context()))
	for _, name := range packs(t, r) {
		if c, err := os.ReadFile(strings.TrimSuffix(name, ".pack") + ".idx"); err != nil || len(c) == 0 {
			t.Fatal(err)
		}
		must(t, os.Remove(strings.TrimSuffix(name, ".pack")+".idx"))
		must(t, os.Chmod(name, 0o600))
		must(t, os.Truncate(name, 20)) // torn by a power cut
	}
	must(t, take(t, r, w.pack([]OID{base}, nil)).Migrate(t.Context()))
	must(t, take(t, r, pack).Migrate(t.Context()))
	must(t, r.Fsck(t.Context()))
}

// The crash points stand around what they name.
func TestCrashPoints(t *testing.T) {
	r, w, base := seeded(t, nil)
	tip := w.commit("next", nil)
	q := take(t, r, w.pack([]OID{tip}, []OID{base}))
	var passed []string
	CrashPoint = func(name string) {
		_, missing := r.Commit(t.Context(), tip)
		held, err := r.RefOID(t.Context(), "refs/heads/main")
		must(t, err)
		switch {
		case (name == "git.migrate.before") != (missing != nil):
			t.Errorf("%s: commit read: %v", name, missing)
		case (name == "git.refs.after") != (held == tip):
			t.Errorf("%s: main holds %s", name, held)
		}
		passed = append(passed, name)
	}
	defer func() { CrashPoint = nil }()
	must(t, q.Migrate(t.Context()))
	must(t, r.UpdateRefs(t.Context(), []RefUpdate{{"refs/heads/main", base, tip}}, ""))
	want := []string{"git.migrate.before", "git.migrate.after", "git.refs.before", "git.refs.after"}
	if !slices.Equal(passed, want) {
		t.Errorf("passed %v, want %v", passed, want)
	}
}
