package gatekeeper_test

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
)

var hows = []string{plan.Merge, plan.Rebase, plan.Squash, plan.FastForward}

func member(change int64) queue.Member { return queue.Member{Change: change, PS: 1} }

// held pushes a file on the commit rev for review, without a wish to land it.
func (w *world) held(rev, name, text string) int64 {
	w.Helper()
	w.git("checkout", "-q", "--detach", rev)
	w.commit(0, name, text)
	if r := w.push("alice", "refs/for/main", "HEAD"); r.Reason != "" {
		w.Fatalf("push of %s: %s", name, r.Reason)
	}
	return w.newest()
}

func (w *world) candidate(how string, members, on []queue.Member) gatekeeper.Made {
	w.Helper()
	made, err := w.control.MakeCandidate(w.ctx, w.repo, "main", how, w.tip(), members, on)
	w.must(err)
	return made
}

func (w *world) parents(oid git.OID) []git.OID {
	w.Helper()
	c, err := w.bare.Commit(w.ctx, oid)
	w.must(err)
	return c.Parents
}

// What stands on another change is the other's candidate with it on top, made once.
func TestCandidatesStandOnOthers(t *testing.T) {
	for _, how := range hows {
		t.Run(how, func(t *testing.T) {
			w := newWorld(t, "")
			base := string(w.tip())
			one := w.held(base, "one.txt", "1\n")
			above := "HEAD"
			if how != plan.FastForward { // which takes stacks only
				above = base
			}
			two := w.held(above, "two.txt", "2\n")
			first := w.candidate(how, []queue.Member{member(one)}, nil)
			second := w.candidate(how, []queue.Member{member(two)}, []queue.Member{member(one)})
			if second.Conflict != "" || second.Base != first.Commit {
				t.Fatalf("it stands on %s, want %s; %s", second.Base, first.Commit, second.Conflict)
			}
			if p := w.parents(second.Commit); p[0] != first.Commit {
				t.Errorf("its first parent is %s, want %s", p[0], first.Commit)
			}
			if again := w.candidate(how, []queue.Member{member(two)}, []queue.Member{member(one)}); again.ID != second.ID {
				t.Errorf("made twice: %d and %d", second.ID, again.ID)
			}
		})
	}
}

// A batch has the tree of its members one after the other, and lands as what was tested: for
// merges one commit with the base below and every member beside it, else a chain.
func TestBatches(t *testing.T) {
	for _, how := range hows {
		t.Run(how, func(t *testing.T) {
			w := newWorld(t, "")
			base := string(w.tip())
			one := w.held(base, "one.txt", "1\n")
			above := "HEAD"
			if how != plan.FastForward {
				above = base
			}
			two := w.held(above, "two.txt", "2\n")
			pushed := git.OID(w.git("rev-parse", "HEAD"))
			single := w.candidate(how, []queue.Member{member(two)}, []queue.Member{member(one)})
			batch := w.candidate(how, []queue.Member{member(one), member(two)}, nil)
			if batch.Tree != single.Tree || batch.Tree == "" {
				t.Errorf("tree %s, one after the other %s", batch.Tree, single.Tree)
			}
			if how != plan.Merge {
				if batch.Commit != single.Commit || batch.Landed[0] != single.Base || batch.Landed[1] != batch.Commit {
					t.Errorf("chain %v up to %s, want %s and %s", batch.Landed, batch.Commit, single.Base, single.Commit)
				}
				return
			}
			p := w.parents(batch.Commit)
			if len(p) != 3 || p[0] != git.OID(base) || p[2] != pushed {
				t.Errorf("parents %v, want the base and both changes", p)
			}
			c, err := w.bare.Commit(w.ctx, batch.Commit)
			w.must(err)
			if !strings.HasPrefix(c.Message, "Merge changes ") || strings.Count(c.Message, "Lands patch set 1 of change") != 2 {
				t.Errorf("message %q", c.Message)
			}
			if batch.Landed[0] != batch.Commit || batch.Landed[1] != batch.Commit {
				t.Errorf("members land as %v, want the one commit", batch.Landed)
			}
		})
	}
}

// In a batch with a stack only the top is a parent: the rest is its history.
func TestABatchOfAStack(t *testing.T) {
	w := newWorld(t, "")
	one := w.held(string(w.tip()), "one.txt", "1\n")
	two := w.held("HEAD", "two.txt", "2\n")
	batch := w.candidate(plan.Merge, []queue.Member{member(one), member(two)}, nil)
	if p := w.parents(batch.Commit); len(p) != 2 {
		t.Errorf("parents %v, want the base and the top", p)
	}
}

// A conflict names the paths and the change that it is with, which may have landed or not.
func TestConflictsNameTheOther(t *testing.T) {
	for _, how := range []string{plan.Merge, plan.Rebase, plan.Squash} {
		t.Run(how, func(t *testing.T) {
			w := newWorld(t, "")
			base := string(w.tip())
			one := w.held(base, "same.txt", "1\n")
			two := w.held(base, "same.txt", "2\n")
			three := w.held(base, "three.txt", "3\n")
			k := w.candidate(how, []queue.Member{member(two)}, []queue.Member{member(three), member(one)})
			for _, want := range []string{"same.txt", "change 1 (change same.txt)"} {
				if !strings.Contains(k.Conflict, want) {
					t.Errorf("%q does not name %q", k.Conflict, want)
				}
			}
			if k = w.candidate(how, []queue.Member{member(one), member(two)}, nil); !strings.Contains(k.Conflict, "change 2 conflicts in same.txt with change 1") {
				t.Errorf("in a batch: %q", k.Conflict)
			}
			k = w.candidate(how, []queue.Member{member(three)}, []queue.Member{member(one), member(two)})
			if !strings.Contains(k.Conflict, "it stands on change 2") || k.Base != "" {
				t.Errorf("on a conflict: %q on %q", k.Conflict, k.Base)
			}
			again := w.candidate(how, []queue.Member{member(three)}, []queue.Member{member(one)})
			if again.ID == k.ID || again.Conflict != "" {
				t.Errorf("what conflicts below is taken for what does not: %+v", again)
			}
		})
	}
}

// What a patch set on a base came to is known from then on: here a row says other than git.
func TestMergesAreRemembered(t *testing.T) {
	w := newWorld(t, "")
	one := w.held(string(w.tip()), "one.txt", "1\n")
	w.must(w.db.Transact(w.ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(w.ctx, `INSERT INTO merges (repo_id, base_oid, change_id, ps, how, conflict, created_at)
			VALUES ($1, $2, $3, 1, 'squash', 'as remembered', 1)`, w.repo.ID, string(w.tip()), one)
		return err
	}))
	if k := w.candidate(plan.Squash, []queue.Member{member(one)}, nil); k.Conflict != "as remembered" {
		t.Errorf("%+v was made anew", k)
	}
}

// A run of the bare branch is of its tip.
func TestTheBareBranch(t *testing.T) {
	w := newWorld(t, "")
	if k := w.candidate(plan.Merge, nil, nil); k.Commit != w.tip() || k.Base != w.tip() {
		t.Errorf("%+v, want the tip", k)
	}
}

// The refs of candidates whose changes are closed are dropped when there are many; those of
// open changes stay.
func TestCandidatesOfClosedChangesAreDropped(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	done, open := w.propose("alice", "done.txt", "x\n", "submit"), w.propose("alice", "open.txt", "x\n")
	w.vote("bob", done, 2)
	w.state(done, gatekeeper.Landed)
	w.stage(open, "unit", plan.Passed)
	refs := func() int {
		t.Helper()
		all, err := w.bare.Refs(w.ctx, "refs/gate/candidates")
		w.must(err)
		return len(all)
	}
	before := refs()
	w.must(w.control.PruneCandidates(w.ctx, w.repo))
	if n := refs(); n != before {
		t.Errorf("%d of %d are left though there are few", n, before)
	}
	var many []git.RefUpdate
	for i := range gatekeeper.KeptCandidates {
		many = append(many, git.RefUpdate{Ref: fmt.Sprintf("refs/gate/candidates/%d", 1_000_000+i), Old: git.Zero, New: w.tip()})
	}
	w.must(w.bare.UpdateRefs(w.ctx, many, "test"))
	w.must(w.control.PruneCandidates(w.ctx, w.repo))
	all, err := w.bare.Refs(w.ctx, "refs/gate/candidates")
	w.must(err)
	var ofOpen int
	w.must(w.db.Read().QueryRowContext(w.ctx, `SELECT COUNT(*) FROM candidates k WHERE k.change_id = $1 AND k.commit_oid <> ''`, open).Scan(&ofOpen))
	if len(all) != ofOpen || ofOpen == 0 {
		t.Errorf("%d refs are left for %d candidates of the open change: %v", len(all), ofOpen, all)
	}
}
