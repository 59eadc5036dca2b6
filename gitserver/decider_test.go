package gitserver

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
)

// fakeDecider is a Decider without gates. It migrates and moves refs for real: a push to
// refs/for becomes a new holding ref, everything else is done as asked.
type fakeDecider struct {
	repos *repo.Store

	mu     sync.Mutex
	next   int
	pushes []*Push
	// refuse gives reasons by ref.
	refuse map[string]string
	// before, when set, is called with each push before anything is done.
	before func(ctx context.Context, p *Push) error
}

func (f *fakeDecider) Receive(ctx context.Context, p *Push) []Result {
	f.mu.Lock()
	f.pushes = append(f.pushes, p)
	before := f.before
	f.mu.Unlock()
	if before != nil {
		if err := before(ctx, p); err != nil {
			return f.refuseAll(p, err.Error())
		}
	}
	var updates []git.RefUpdate
	var results []Result
	refused := false
	for _, c := range p.Commands {
		r := Result{Ref: c.Ref, Reason: f.refuse[c.Ref]}
		u := git.RefUpdate{Ref: c.Ref, Old: c.Old, New: c.New}
		if strings.HasPrefix(c.Ref, "refs/for/") {
			f.mu.Lock()
			f.next++
			u.Ref = fmt.Sprintf("refs/changes/%02d/%d/1", f.next%100, f.next)
			f.mu.Unlock()
			r.HeldRef = u.Ref
			p.Tell("change held as " + u.Ref + " \x1b[31mred")
		}
		if r.Reason == "" {
			updates = append(updates, u)
		}
		refused = refused || r.Reason != ""
		results = append(results, r)
	}
	if refused && p.Atomic {
		return f.refuseAll(p, "atomic push failed")
	}
	if p.Quarantine != nil {
		if err := p.Quarantine.Migrate(ctx); err != nil {
			return f.refuseAll(p, err.Error())
		}
	}
	g, err := f.repos.Open(p.Repo)
	if err != nil {
		return f.refuseAll(p, err.Error())
	}
	if len(updates) == 0 {
		return results
	}
	if err := g.UpdateRefs(ctx, updates, "push by "+p.Actor.Name); err != nil {
		return f.refuseAll(p, err.Error())
	}
	return results
}

func (f *fakeDecider) refuseAll(p *Push, why string) []Result {
	var all []Result
	for _, c := range p.Commands {
		all = append(all, Result{Ref: c.Ref, Reason: why})
	}
	return all
}

func (f *fakeDecider) last(t *testing.T) *Push {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.pushes) == 0 {
		t.Fatal("no push came")
	}
	return f.pushes[len(f.pushes)-1]
}

func (f *fakeDecider) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.pushes)
}
