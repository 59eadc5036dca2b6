package e2e_test

import (
	"encoding/json"
	"path/filepath"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// snapshot is what a repository holds and what the server knows of its changes: what a refused
// push must leave alone.
type snapshot struct {
	Refs    []string
	Changes []changeRow
}

type changeRow struct {
	Number   int64  `json:"number"`
	Key      string `json:"key"`
	Status   string `json:"status"`
	PatchSet int    `json:"patch_set"`
	WIP      bool   `json:"wip"`
	SubmitBy string `json:"submit_by"`
	Topic    string `json:"topic"`
}

func (s *script) holdings(args []string) (repo string, now snapshot) {
	if len(args) != 1 {
		s.Fatalf("usage: snapshot REPO or unchanged REPO")
	}
	repo = args[0]
	dir := s.world.repos[repo]
	s.must([]string{"git", "-C", dir, "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags", "refs/changes"})
	now.Refs = strings.Split(strings.TrimSpace(s.ReadFile("stdout")), "\n")
	s.must([]string{"gate", "change", "list", "--repo", repo, "--status", "all", "--limit", "200", "--json"})
	s.Check(json.Unmarshal([]byte(s.ReadFile("stdout")), &now.Changes))
	return repo, now
}

func (s *script) snapshot(args []string) {
	repo, now := s.holdings(args)
	s.world.snapshots[repo] = now
}

// unchanged holds a repository to its snapshot, and looks for what a push may have left over.
func (s *script) unchanged(args []string) {
	repo, now := s.holdings(args)
	before, ok := s.world.snapshots[repo]
	if !ok {
		s.Fatalf("there is no snapshot of %s", repo)
	}
	if diff := cmp.Diff(before, now); diff != "" {
		s.Fatalf("%s is not what it was (-before +now):\n%s", repo, diff)
	}
	s.wait("no quarantine is left over in "+repo, func() bool { return len(s.world.leftovers(repo)) == 0 })
}

// leftovers are quarantines and half-written objects.
func (w *world) leftovers(repo string) []string {
	dir := w.repos[repo]
	var all []string
	for _, pattern := range []string{"objects/incoming-*", "objects/tmp_*", "objects/pack/tmp_*", "refs/*/*.lock", "*.lock"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			w.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

// audit ends every script: whatever happened in it, the repositories are whole. The server is
// stopped first: git fsck lists the objects before it reads the refs, and calls missing what was
// written in between.
func (w *world) audit() {
	if w.Failed() {
		return
	}
	w.Stop()
	for _, dir := range w.repos {
		if out, err := w.Run(dir, nil, "git", "fsck", "--full", "--strict", "--no-dangling"); err != nil {
			w.Errorf("%s: %v%s", dir, err, out)
		}
	}
}
