package api_test

import (
	"context"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/gitserver/git"
	"gatehouse/gitserver/mirror"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/web/api"
)

// jobs notes what is asked for.
type jobs struct{ asked []db.Job }

// EnqueueTx is part of db.Enqueuer.
func (j *jobs) EnqueueTx(_ context.Context, _ *db.Tx, job db.Job) error {
	j.asked = append(j.asked, job)
	return nil
}

// gatedWorld is a repository with the branches main, release/1 and release/2 and a mirror.
func gatedWorld(t *testing.T) (*world, repo.Repository, mirror.Mirror, *jobs) {
	t.Helper()
	w := newWorld(t)
	r := w.repository("hello", false)
	w.change(r)
	g, err := w.Repos.Open(r)
	must(t, err)
	tip, err := g.RefOID(w.ctx, "refs/heads/main")
	must(t, err)
	must(t, g.UpdateRefs(w.ctx, []git.RefUpdate{
		{Ref: "refs/heads/release/1", Old: git.Zero, New: tip}, {Ref: "refs/heads/release/2", Old: git.Zero, New: tip},
	}, "test"))
	m, err := w.Mirrors.Add(w.ctx, r.ID, mirror.NewMirror{URL: "https://forge.test/hello.git"})
	must(t, err)
	asked := &jobs{}
	w.DB.SetEnqueuer(asked)
	return w, r, m, asked
}

// Other branches are gated: they are looked at, and the mirrors, which carry gated branches
// alone, have something to do.
func TestChangingTheGatedBranchesIsFollowedUp(t *testing.T) {
	w, r, m, asked := gatedWorld(t)
	look := func(branch string) db.Job { return repo.BranchJob(r.ID, branch) }
	said, gated, none, trunk := "says hello", []string{"main", "release/*"}, []string{}, "release/1"
	for _, step := range []struct {
		what   string
		change api.RepositoryChange
		gated  []string
		want   []db.Job
	}{
		{"another description", api.RepositoryChange{Description: &said}, []string{"main"}, []db.Job{look("main")}},
		{"a pattern more", api.RepositoryChange{Gated: &gated}, gated, []db.Job{look("main"), look("release/1"), look("release/2"), mirror.SyncJob(m.ID)}},
		{"the same again", api.RepositoryChange{Gated: &gated}, gated, []db.Job{look("main")}},
		{"no gates at all", api.RepositoryChange{Gated: &none}, none, []db.Job{look("main"), mirror.SyncJob(m.ID)}},
		{"another default branch", api.RepositoryChange{DefaultBranch: &trunk}, []string{"release/1"}, []db.Job{look("release/1"), mirror.SyncJob(m.ID)}},
	} {
		asked.asked = nil
		now := get[api.Repository](w, "owner", "PATCH", "/api/v1/repositories/hello", step.change)
		if !slices.Equal(now.Gated, step.gated) {
			t.Errorf("%s: gated are %v, want %v", step.what, now.Gated, step.gated)
		}
		if diff := cmp.Diff(step.want, asked.asked); diff != "" {
			t.Errorf("%s: jobs (-want +got):\n%s", step.what, diff)
		}
	}
}

// A change of several settings happens as a whole, or not at all.
func TestSettingsChangeTogether(t *testing.T) {
	w, _, _, asked := gatedWorld(t)
	w.repository("taken", false)
	name, branch := "taken", "release/1"
	if a := w.ask("owner", "PATCH", "/api/v1/repositories/hello", api.RepositoryChange{Name: &name, DefaultBranch: &branch}); a.Code != http.StatusConflict {
		t.Fatalf("renamed to a name that is taken: %d %s", a.Code, a.Body)
	}
	now := get[api.Repository](w, "owner", "GET", "/api/v1/repositories/hello", nil)
	if now.DefaultBranch != "main" || !slices.Equal(now.Gated, []string{"main"}) || len(asked.asked) > 0 {
		t.Errorf("half changed: %+v, jobs %v", now, asked.asked)
	}
}

// Who makes a repository private means it: what every account was there, nobody is any more,
// unless the same request says otherwise.
func TestMadePrivateNobodyHasARole(t *testing.T) {
	w := newWorld(t)
	w.repository("hello", false)
	on, off, read := true, false, "read"
	for _, step := range []struct {
		change api.RepositoryChange
		want   string
	}{
		{api.RepositoryChange{Private: &on}, "none"},
		{api.RepositoryChange{DefaultRole: &read}, "read"},
		{api.RepositoryChange{Private: &on}, "read"}, // it was private
		{api.RepositoryChange{Private: &off}, "read"},
		{api.RepositoryChange{Private: &on, DefaultRole: &read}, "read"},
	} {
		if now := get[api.Repository](w, "owner", "PATCH", "/api/v1/repositories/hello", step.change); now.DefaultRole != step.want {
			t.Errorf("%+v: the default role is %s, want %s", step.change, now.DefaultRole, step.want)
		}
	}
}
