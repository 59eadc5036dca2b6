package review_test

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

func TestSuggestReviewers(t *testing.T) {
	w := newWorld(t)
	w.transact(func(tx *db.Tx) error {
		g, err := w.review.Accounts.CreateGroup(w.ctx, tx, "web")
		if err != nil {
			return err
		}
		for _, who := range []string{"alice", "carol"} {
			if err := w.review.Accounts.AddMember(w.ctx, tx, g.ID, w.people[who].ID); err != nil {
				return err
			}
		}
		return nil
	})
	c := w.clone()
	c.write("CODEOWNERS", "web/ @org/web\ndocs/ dan@example.org\nother/ @root @nobody\n")
	c.write("lib.go", "one\ntwo\nthree\n")
	c.git("add", "-A")
	c.git("commit", "-q", "--author", "bob <Bob@Example.org>", "-m", "Start it")
	c.git("push", "-q", w.git.Dir(), "HEAD:refs/heads/main")
	c.write("lib.go", "one\n2\nthree\n")
	c.write("web/x.js", "x\n")
	c.write("web/y.js", "y\n")
	c.write("docs/x.md", "x\n")
	c.git("add", "-A")
	c.git("commit", "-q", "-m", "Change it")
	ch := w.push(c, "alice", "main")[0].Change
	suggested := func(who string) string {
		t.Helper()
		found, err := w.review.SuggestReviewers(w.ctx, w.people[who], ch.ID)
		w.must(err)
		var all []string
		for _, s := range found {
			all = append(all, s.Account.Name+": "+strings.Join(s.Why, ", "))
		}
		return strings.Join(all, "; ")
	}
	want := "dan: owns docs/x.md (CODEOWNERS); carol: in web, which owns web/x.js and 1 more (CODEOWNERS); bob: wrote 3 lines beside or below what it changes"
	if got := suggested("alice"); got != want {
		t.Errorf("suggested %q\nwant %q", got, want)
	}
	w.must(w.ask("alice", ch.ID, false, "dan"))
	w.repo.DefaultRole = account.RoleRead // so that only carol, who maintains, may vote
	w.transact(func(tx *db.Tx) error { return w.repos.Update(w.ctx, tx, w.repo) })
	if got := suggested("carol"); !strings.HasPrefix(got, "carol: in web") || strings.Contains(got, "bob") {
		t.Errorf("with fewer rights and dan asked: %q", got)
	}
	if _, err := w.review.SuggestReviewers(w.ctx, account.Actor{}, ch.ID); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a stranger asks: %v", err)
	}
	if _, err := w.review.SuggestReviewers(w.ctx, w.people["alice"], ch.ID+99); !fault.Is(err, fault.NotFound) {
		t.Errorf("%s: %v", fmt.Sprint(ch.ID+99), err)
	}
}
