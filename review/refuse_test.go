package review_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// Every refusal of a push, in its exact words. prepare makes the push; words may name %c (the
// short name of HEAD), %n (the change of the first push) and %k (its key).
func TestPushRefusals(t *testing.T) {
	amend := func(c *clone, message string) { c.git("commit", "-q", "--amend", "-m", message) }
	plain := func(w *world) *clone { // without the hook
		c := w.clone()
		c.git("config", "gerrit.createChangeId", "false")
		return c
	}
	for _, test := range []struct {
		name   string
		kind   fault.Kind
		public string
		next   string
		push   func(w *world) (*clone, string, string) // who pushes where
	}{
		{"no Change-Id", fault.Invalid, "commit %c: missing Change-Id in message footer",
			"Hint: to automatically insert a Change-Id, install the hook:\n" +
				"  f=\"$(git rev-parse --git-path hooks/commit-msg)\"; curl -fsSLo \"$f\" https://gate.example/tools/hooks/commit-msg && chmod +x \"$f\"\n" +
				"and then amend the commit:\n  git commit --amend --no-edit\nFinally, push your changes again",
			func(w *world) (*clone, string, string) {
				c := plain(w)
				c.commit("a", "1", "Add a")
				return c, "alice", "main"
			}},
		{"no Change-Id where topics would do", fault.Invalid, "commit %c: missing Change-Id in message footer", "git push -o topic=NAME",
			func(w *world) (*clone, string, string) {
				w.repo.TopicIdentity = true
				c := plain(w)
				c.commit("a", "1", "Add a")
				return c, "alice", "main"
			}},
		{"a topic where topics do not do", fault.Invalid, "commit %c: missing Change-Id in message footer", "git commit --amend",
			func(w *world) (*clone, string, string) {
				c := plain(w)
				c.commit("a", "1", "Add a")
				return c, "alice", "main%topic=x"
			}},
		{"two Change-Ids", fault.Invalid, "commit %c: multiple Change-Id lines in message footer", "git commit --amend",
			func(w *world) (*clone, string, string) {
				c := plain(w)
				c.commit("a", "1", "Add a\n\nChange-Id: "+idA+"\nChange-Id: "+idB)
				return c, "alice", "main"
			}},
		{"one Change-Id twice in a series", fault.Invalid,
			"same Change-Id in multiple changes.\nSquash the commits with the same Change-Id or ensure Change-Ids are unique for each commit", "git rebase -i",
			func(w *world) (*clone, string, string) {
				c := plain(w)
				c.commit("a", "1", "Add a\n\nChange-Id: "+idA)
				c.commit("b", "1", "Add b\n\nChange-Id: "+idA)
				return c, "alice", "main"
			}},
		{"unknown branch", fault.NotFound, "branch nowhere not found", "a branch that exists",
			func(w *world) (*clone, string, string) {
				c, _ := w.propose("alice", "a")
				return c, "alice", "nowhere"
			}},
		{"branch without a gate", fault.Refused, "branch loose is not gated, so nothing is held for it", "push to refs/heads/loose",
			func(w *world) (*clone, string, string) {
				c, _ := w.propose("alice", "a")
				c.git("push", "-q", w.git.Dir(), "HEAD~:refs/heads/loose")
				return c, "alice", "loose"
			}},
		{"nothing new", fault.Refused, "no new changes", "main has commit %c already",
			func(w *world) (*clone, string, string) { return w.clone(), "alice", "main" }},
		{"the same push again", fault.Refused, "no new changes", "commit %c is patch set 1 of change %n",
			func(w *world) (*clone, string, string) {
				c, _ := w.propose("alice", "a")
				return c, "alice", "main"
			}},
		{"an amend without any change", fault.Refused, "no new changes", "commit %c is patch set 1 of change %n",
			func(w *world) (*clone, string, string) {
				c, _ := w.propose("alice", "a")
				c.env = append(c.env, "GIT_COMMITTER_DATE=2031-01-01T00:00:00Z")
				c.git("commit", "-q", "--amend", "--no-edit")
				return c, "alice", "main"
			}},
		{"an older patch set", fault.Refused, "commit %c already exists in change %n", "it is patch set 1 of 2",
			func(w *world) (*clone, string, string) {
				c, ch := w.propose("alice", "a")
				amend(c, "Add a again\n\nChange-Id: "+ch.Key)
				w.push(c, "alice", "main")
				c.git("reset", "-q", "--hard", "HEAD@{1}")
				return c, "alice", "main"
			}},
		{"a landed change", fault.Refused, "change %n closed", "it landed as 0123456789; for a new change delete the Change-Id line",
			func(w *world) (*clone, string, string) {
				c, ch := w.propose("alice", "a")
				w.transact(func(tx *db.Tx) error {
					return w.review.MarkLanded(w.ctx, tx, ch.ID, 1, "0123456789012345678901234567890123456789", w.people["alice"].ID)
				})
				amend(c, "Add a again\n\nChange-Id: "+ch.Key)
				return c, "alice", "main"
			}},
		{"an abandoned change", fault.Refused, "change %n closed", "it is abandoned: restore it and push again",
			func(w *world) (*clone, string, string) {
				c, ch := w.propose("alice", "a")
				w.must(w.review.Abandon(w.ctx, w.people["alice"], ch.ID, ""))
				amend(c, "Add a again\n\nChange-Id: "+ch.Key)
				return c, "alice", "main"
			}},
		{"on top of an abandoned change", fault.Refused, "change %n closed", "it is abandoned",
			func(w *world) (*clone, string, string) {
				c, ch := w.propose("alice", "a")
				w.must(w.review.Abandon(w.ctx, w.people["alice"], ch.ID, ""))
				c.commit("b", "1", "Add b")
				return c, "alice", "main"
			}},
		{"somebody else's change", fault.Denied, "cannot add patch set to %n.", "delete the Change-Id line",
			func(w *world) (*clone, string, string) {
				c, ch := w.propose("alice", "a")
				amend(c, "Add a my way\n\nChange-Id: "+ch.Key)
				return c, "bob", "main"
			}},
		{"somebody else's topic", fault.Denied, "bob may not edit other people's changes for main", "ask",
			func(w *world) (*clone, string, string) {
				c, _ := w.propose("alice", "a")
				return c, "bob", "main%topic=mine"
			}},
		{"work in progress that asks to land", fault.Refused, "change %n is work in progress and does not land", "-o ready",
			func(w *world) (*clone, string, string) {
				c, ch := w.propose("alice", "a")
				w.must(w.review.SetWIP(w.ctx, w.people["alice"], ch.ID, true))
				amend(c, "Add a again\n\nChange-Id: "+ch.Key)
				return c, "alice", "main%submit"
			}},
		{"no common history", fault.Invalid, "no common ancestry", "start from a commit of main",
			func(w *world) (*clone, string, string) {
				c := newClone(w.t, true)
				c.commit("a", "1", "Add a")
				return c, "alice", "main"
			}},
		{"too many", fault.TooLarge, "the number of pushed changes in a batch exceeds the max limit 100", "git fetch",
			func(w *world) (*clone, string, string) {
				c := w.clone()
				tree, parent := c.git("rev-parse", "HEAD^{tree}"), c.git("rev-parse", "HEAD")
				for i := range 101 {
					parent = c.git("commit-tree", tree, "-p", parent, "-m", fmt.Sprintf("Number %d\n\nChange-Id: I%040d", i, i+1))
				}
				c.git("reset", "-q", "--hard", parent)
				return c, "alice", "main"
			}},
		{"a message beyond all measure", fault.TooLarge, "commit %c: the message is longer than 65536 bytes", "git commit --amend",
			func(w *world) (*clone, string, string) {
				c := w.clone()
				c.write("a", "1")
				c.write("../message", "Add a\n\n"+strings.Repeat("x", 70_000))
				c.git("commit", "-q", "-F", "../message")
				return c, "alice", "main"
			}},
		{"an unknown label", fault.Invalid, `there is no label "Verified" on this branch`, "known labels: Code-Review",
			func(w *world) (*clone, string, string) {
				c := w.clone()
				c.commit("a", "1", "Add a")
				return c, "alice", "main%l=Verified+1"
			}},
		{"a vote beyond the label", fault.Invalid, "Code-Review goes from -2 to +2", "",
			func(w *world) (*clone, string, string) {
				c := w.clone()
				c.commit("a", "1", "Add a")
				return c, "alice", "main%l=Code-Review+3"
			}},
		{"an unknown reviewer", fault.Invalid, `reviewer "nobody" is not known here`, "an account's name",
			func(w *world) (*clone, string, string) {
				c := w.clone()
				c.commit("a", "1", "Add a")
				return c, "alice", "main%r=nobody"
			}},
		{"nobody", fault.Unauthenticated, "only an account can do this: its name stays on the change", "sign in",
			func(w *world) (*clone, string, string) {
				c := w.clone()
				c.commit("a", "1", "Add a")
				return c, "anonymous", "main"
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c, who, target := test.push(w)
			before := w.jobs.all
			_, err := w.try(c, who, target)
			var number string
			if found, err := w.review.List(w.ctx, w.people["root"], review.Filter{}); err == nil && len(found) > 0 {
				number = fmt.Sprint(found[len(found)-1].ID)
			}
			fill := strings.NewReplacer("%c", c.git("rev-parse", "--short=10", "HEAD"), "%n", number).Replace
			refused(t, err, test.kind, fill(test.public), fill(test.next))
			if len(w.jobs.all) != len(before) {
				t.Error("a refused push asked for work")
			}
			w.check()
		})
	}
}

func TestMissingChangeIdBelowTheTip(t *testing.T) {
	w := newWorld(t)
	c := newClone(t, false)
	c.git("fetch", "-q", w.git.Dir(), "refs/heads/main")
	c.git("reset", "-q", "--hard", "FETCH_HEAD")
	c.commit("a", "1", "Add a")
	c.commit("b", "1", "Add b\n\nChange-Id: "+idA)
	_, err := w.try(c, "alice", "main")
	refused(t, err, fault.Invalid, "commit "+c.git("rev-parse", "--short=10", "HEAD~")+": missing Change-Id in message footer",
		"git rebase --exec 'git commit --amend --no-edit' "+c.git("rev-parse", "--short=10", "HEAD~2"))
}

// The commands that the refusal names do what it says.
func TestMissingChangeIdHintWorks(t *testing.T) {
	w := newWorld(t)
	c := w.clone()
	c.git("config", "gerrit.createChangeId", "false")
	c.commit("a", "1", "Add a")
	c.commit("b", "1", "Add b")
	_, err := w.try(c, "alice", "main")
	_, next := fault.Public(err)
	c.git("config", "--unset", "gerrit.createChangeId") // the hook is installed now
	for line := range strings.SplitSeq(next, "\n") {
		if command, ok := strings.CutPrefix(line, "  git rebase --exec 'git commit --amend --no-edit' "); ok {
			c.git("rebase", "-q", "--exec", "git commit -q --amend --no-edit", command)
		}
	}
	if held := w.push(c, "alice", "main"); len(held) != 2 {
		t.Errorf("held %+v", held)
	}
}

func TestPushNeedsRights(t *testing.T) {
	w := newWorld(t)
	w.repo.DefaultRole = account.RoleRead
	w.transact(func(tx *db.Tx) error { return w.repos.Update(w.ctx, tx, w.repo) })
	c := w.clone()
	c.commit("a", "1", "Add a")
	if _, err := w.try(c, "alice", "main"); !fault.Is(err, fault.Denied) {
		t.Errorf("a reader proposed: %v", err)
	}
	w.repo.Private, w.repo.DefaultRole = true, account.RoleNone
	w.transact(func(tx *db.Tx) error { return w.repos.Update(w.ctx, tx, w.repo) })
	if _, err := w.try(c, "alice", "main"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a stranger learned of a private repository: %v", err)
	}
	w.grant("alice", account.RoleWrite)
	w.transact(func(tx *db.Tx) error {
		return w.review.Accounts.AddRule(w.ctx, tx, w.repo.ID, "main", account.Submit, account.RoleMaintain)
	})
	if _, err := w.try(c, "alice", "main%submit"); !fault.Is(err, fault.Denied) {
		t.Errorf("asked to land without the right to: %v", err)
	}
	w.push(c, "alice", "main")
}

// Under a plan that cannot be read no vote is given or kept, and its mending gets in.
func TestPushUnderABrokenPlan(t *testing.T) {
	w := newWorld(t)
	c, ch := w.propose("alice", "a")
	w.vote("bob", ch.ID, 1, 2)
	w.review.Labels = func(context.Context, repo.Repository, string) ([]review.Label, error) {
		return nil, fault.New(fault.Refused, "plan", "gatehouse.yaml:3:1: no", "mend it")
	}
	c.git("commit", "-q", "--amend", "-m", "Mend it\n\nChange-Id: "+ch.Key)
	_, err := w.try(c, "alice", "main%l=Code-Review+1")
	refused(t, err, fault.Refused, "gatehouse.yaml:3:1: no", "mend it")
	if h := w.push(c, "alice", "main")[0]; len(h.VotesVoided) != 1 {
		t.Errorf("held %+v", h)
	}
	w.review.Labels = func(context.Context, repo.Repository, string) ([]review.Label, error) {
		return nil, fmt.Errorf("disk gone")
	}
	c.git("commit", "-q", "--amend", "-m", "Mend it now\n\nChange-Id: "+ch.Key)
	if _, err := w.try(c, "alice", "main"); !fault.Is(err, fault.Internal) {
		t.Errorf("went on without knowing the plan: %v", err)
	}
}

// A push may name an annotated tag; what is held is its commit. A tree cannot be held.
func TestPushOfSomethingElse(t *testing.T) {
	w := newWorld(t)
	c := w.clone()
	c.commit("a", "1", "Add a")
	c.git("tag", "-a", "-m", "v1", "v1")
	prep, err := w.review.Prepare(w.ctx, review.Proposal{Repo: w.repo, Git: w.git, Actor: w.people["alice"], Branch: "main", Tip: w.send(c, "v1")})
	w.must(err)
	held, err := w.review.Hold(w.ctx, prep)
	if err != nil || held[0].PatchSet.Commit != git.OID(c.git("rev-parse", "HEAD")) {
		t.Errorf("held %+v, %v", held, err)
	}
	_, err = w.review.Prepare(w.ctx, review.Proposal{Repo: w.repo, Git: w.git, Actor: w.people["alice"], Branch: "main", Tip: git.OID(c.git("rev-parse", "HEAD^{tree}"))})
	if !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Invalid) {
		t.Errorf("a tree was taken: %v", err)
	}
}

// The same key is another change on another branch and in another repository.
func TestKeysAreOfABranch(t *testing.T) {
	w := newWorld(t)
	c, ch := w.propose("alice", "a")
	c.git("push", "-q", w.git.Dir(), "HEAD~:refs/heads/stable")
	w.repo.Gated = []string{"main", "stable"}
	w.transact(func(tx *db.Tx) error { return w.repos.Update(w.ctx, tx, w.repo) })
	h := w.push(c, "bob", "stable")[0]
	if !h.New || h.Change.ID == ch.ID || h.Change.Key != ch.Key {
		t.Errorf("held %+v", h)
	}
	first := w.repo
	other, err := w.repos.Create(w.ctx, repo.NewRepository{Name: "other"})
	w.must(err)
	w.repo = other
	w.git, err = w.repos.Open(other)
	w.must(err)
	c.git("push", "-q", w.git.Dir(), "HEAD~:refs/heads/main")
	prep, err := w.prepare(c, "bob", "main")
	w.must(err)
	held, err := w.review.Hold(w.ctx, prep)
	if err != nil || !held[0].New || held[0].Change.RepoName != "other" {
		t.Errorf("held %+v, %v", held, err)
	}
	if found, err := w.review.List(w.ctx, w.people["dan"], review.Filter{Key: ch.Key}); err != nil || len(found) != 3 {
		t.Errorf("found %+v, %v", found, err)
	}
	if found, err := w.review.List(w.ctx, w.people["dan"], review.Filter{Key: ch.Key, Repo: first.ID, Branch: "main"}); err != nil || len(found) != 1 {
		t.Errorf("found %+v, %v", found, err)
	}
}
