package review_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

func TestVotePublishesTogether(t *testing.T) {
	w := newWorld(t)
	_, ch := w.propose("alice", "a")
	woken, stop := w.review.Bus.Listen(event.ChangeTopic(ch.ID))
	defer stop()
	w.must(w.review.Vote(w.ctx, w.people["bob"], ch.ID, 1, map[string]int{"code-review": 2}, "  Fine.  ", []review.NewComment{
		{Path: "a", Line: 1, Body: "why?", Unresolved: true}, {Body: "well done"},
	}))
	select {
	case <-woken:
	default:
		t.Error("nobody was woken")
	}
	v := w.votes(ch.ID)
	ps, err := w.review.PatchSet(w.ctx, w.db.Read(), ch.ID, 1)
	w.must(err)
	want := []review.Vote{{Change: ch.ID, PS: 1, Label: "Code-Review", Account: w.people["bob"].ID, Value: 2, Commit: ps.Commit, DiffDigest: ps.DiffDigest, Branch: "main"}}
	if d := cmp.Diff(want, v, cmpopts.IgnoreFields(review.Vote{}, "CreatedAt")); d != "" {
		t.Error(d)
	}
	comments, err := w.review.Comments(w.ctx, w.db.Read(), ch.ID)
	w.must(err)
	if len(comments) != 2 || comments[0].Path != "a" || comments[0].Line != 1 || comments[0].Side != review.SideNew || !comments[0].Unresolved || comments[1].Path != "" {
		t.Errorf("comments %+v", comments)
	}
	if !strings.HasSuffix(w.story(ch.ID), "Patch Set 1: Code-Review+2\n\n(2 comments)\n\nFine.") {
		t.Errorf("story %s", w.story(ch.ID))
	}
	if r, err := w.review.Reviewers(w.ctx, w.db.Read(), ch.ID); err != nil || len(r) != 1 || r[0].Account != w.people["bob"].ID {
		t.Errorf("reviewers %+v, %v", r, err)
	}
	// an answer goes where the thread is, also an answer to an answer
	w.must(w.review.Vote(w.ctx, w.people["alice"], ch.ID, 0, nil, "", []review.NewComment{{ReplyTo: comments[0].ID, Body: "because"}}))
	comments, err = w.review.Comments(w.ctx, w.db.Read(), ch.ID)
	w.must(err)
	w.must(w.review.Vote(w.ctx, w.people["bob"], ch.ID, 0, nil, "", []review.NewComment{{ReplyTo: comments[2].ID, Body: "ah"}}))
	comments, err = w.review.Comments(w.ctx, w.db.Read(), ch.ID)
	w.must(err)
	for _, c := range comments[2:] {
		if c.Path != "a" || c.Line != 1 || c.ReplyTo != comments[0].ID {
			t.Errorf("answer %+v", c)
		}
	}
	// a vote is changed and taken back
	w.vote("bob", ch.ID, 1, -1)
	if v = w.votes(ch.ID); len(v) != 1 || v[0].Value != -1 {
		t.Errorf("votes %+v", v)
	}
	w.vote("bob", ch.ID, 1, 0)
	if v = w.votes(ch.ID); len(v) != 0 || !strings.HasSuffix(w.story(ch.ID), "Patch Set 1: -Code-Review") {
		t.Errorf("votes %+v, story %s", v, w.story(ch.ID))
	}
}

func TestVoteRefusals(t *testing.T) {
	w := newWorld(t)
	c, ch := w.propose("alice", "a")
	c.write("a", "2")
	c.git("commit", "-q", "--amend", "--no-edit")
	w.push(c, "alice", "main")
	_, gone := w.propose("alice", "b")
	w.must(w.review.Abandon(w.ctx, w.people["alice"], gone.ID, "no"))
	two := map[string]int{"Code-Review": 2}
	for _, test := range []struct {
		name         string
		who          string
		id           int64
		ps           int
		votes        map[string]int
		message      string
		comments     []review.NewComment
		kind         fault.Kind
		public, next string
	}{
		{"nothing", "bob", ch.ID, 0, nil, " ", nil, fault.Invalid, "this review says nothing", "give a vote"},
		{"an old patch set", "bob", ch.ID, 1, two, "", nil, fault.Conflict, fmt.Sprintf("patch set 1 of change %d is not the current one", ch.ID), "look at patch set 2"},
		{"no such patch set", "bob", ch.ID, 3, nil, "hello", nil, fault.NotFound, fmt.Sprintf("change %d has no patch set 3", ch.ID), ""},
		{"a closed change", "bob", gone.ID, 1, two, "", nil, fault.Conflict, fmt.Sprintf("change %d is abandoned: votes no longer count", gone.ID), "leave the votes out"},
		{"no such change", "bob", 999, 0, two, "", nil, fault.NotFound, "change 999 not found", "check its number"},
		{"unknown label", "bob", ch.ID, 0, map[string]int{"Verified": 1}, "", nil, fault.Invalid, `there is no label "Verified" on this branch`, "Code-Review"},
		{"beyond the label", "bob", ch.ID, 0, map[string]int{"Code-Review": -3}, "", nil, fault.Invalid, "Code-Review goes from -2 to +2", ""},
		{"nobody", "anonymous", ch.ID, 0, two, "", nil, fault.Unauthenticated, "only an account can do this: its name stays on the change", "sign in"},
		{"long message", "bob", ch.ID, 0, nil, strings.Repeat("x", 20_000), nil, fault.TooLarge, "a message has at most 16384 bytes", ""},
		{"not UTF-8", "bob", ch.ID, 0, nil, "\xff", nil, fault.Invalid, "a message must be UTF-8 text", ""},
		{"empty comment", "bob", ch.ID, 0, nil, "", []review.NewComment{{Path: "a"}}, fault.Invalid, "a comment is empty", "write something"},
		{"line without a path", "bob", ch.ID, 0, nil, "", []review.NewComment{{Line: 2, Body: "x"}}, fault.Invalid, "a comment's place makes no sense", "a line needs a path"},
		{"unknown side", "bob", ch.ID, 0, nil, "", []review.NewComment{{Side: "left", Body: "x"}}, fault.Invalid, "a comment's place makes no sense", `"new" or "old"`},
		{"odd path", "bob", ch.ID, 0, nil, "", []review.NewComment{{Path: "a\x00", Body: "x"}}, fault.Invalid, "a comment's path cannot be used", ""},
		{"answer to nothing", "bob", ch.ID, 0, nil, "", []review.NewComment{{ReplyTo: 5, Body: "x"}}, fault.NotFound, fmt.Sprintf("there is no comment 5 on change %d to answer", ch.ID), ""},
		{"too many comments", "bob", ch.ID, 0, nil, "", make([]review.NewComment, 501), fault.TooLarge, "501 comments are more than 500", "in parts"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := w.story(ch.ID)
			err := w.review.Vote(w.ctx, w.people[test.who], test.id, test.ps, test.votes, test.message, test.comments)
			refused(t, err, test.kind, test.public, test.next)
			if w.story(ch.ID) != before || len(w.votes(ch.ID)) != 0 {
				t.Error("a refused review left something behind")
			}
		})
	}
	// a comment on an old patch set, and on a closed change, is welcome
	w.must(w.review.Vote(w.ctx, w.people["bob"], ch.ID, 1, nil, "about the first", nil))
	w.must(w.review.Vote(w.ctx, w.people["bob"], gone.ID, 0, nil, "a pity", nil))
}

// One person who votes many times at once counts once.
func TestParallelVotesCountOnce(t *testing.T) {
	w := newWorld(t)
	_, ch := w.propose("alice", "a")
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if err := w.review.Vote(w.ctx, w.people["bob"], ch.ID, 1, map[string]int{"Code-Review": 2}, "", nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if v := w.votes(ch.ID); len(v) != 1 {
		t.Errorf("votes %+v", v)
	}
}

func TestLifecycle(t *testing.T) {
	w := newWorld(t)
	_, ch := w.propose("alice", "a")
	alice, bob, carol := w.people["alice"], w.people["bob"], w.people["carol"]
	w.vote("bob", ch.ID, 1, 2)
	w.must(w.review.RequestSubmit(w.ctx, bob, ch.ID))
	w.must(w.review.RequestSubmit(w.ctx, alice, ch.ID)) // asking again changes nothing
	if now := w.load(ch.ID); now.SubmitBy != bob.ID || now.SubmitAt.IsZero() {
		t.Errorf("change %+v", now)
	}
	w.must(w.review.WithdrawSubmit(w.ctx, bob, ch.ID)) // who asked may take it back
	w.must(w.review.WithdrawSubmit(w.ctx, alice, ch.ID))
	w.must(w.review.RequestSubmit(w.ctx, carol, ch.ID))
	w.must(w.review.WithdrawSubmit(w.ctx, alice, ch.ID)) // and the owner
	w.must(w.review.RequestSubmit(w.ctx, carol, ch.ID))
	refused(t, w.review.Abandon(w.ctx, bob, ch.ID, ""), fault.Denied, "bob may not edit other people's changes for main", "ask")
	refused(t, w.review.WithdrawSubmit(w.ctx, bob, ch.ID), fault.Denied, "bob may not edit other people's changes for main", "ask")
	refused(t, w.review.Restore(w.ctx, alice, ch.ID, ""), fault.Conflict, fmt.Sprintf("change %d is open, not abandoned", ch.ID), "")
	refused(t, w.review.Abandon(w.ctx, alice, ch.ID, strings.Repeat("x", 3000)), fault.TooLarge, "a reason has at most 2000 bytes", "")
	w.must(w.review.Abandon(w.ctx, carol, ch.ID, "too late"))
	if now := w.load(ch.ID); now.Status != review.Abandoned || now.SubmitBy != 0 || now.ClosedAt.IsZero() {
		t.Errorf("change %+v", now)
	}
	refused(t, w.review.Abandon(w.ctx, alice, ch.ID, ""), fault.Conflict, fmt.Sprintf("change %d is abandoned", ch.ID), "restore it first")
	refused(t, w.review.RequestSubmit(w.ctx, alice, ch.ID), fault.Conflict, fmt.Sprintf("change %d is abandoned", ch.ID), "restore it first")
	w.must(w.review.Restore(w.ctx, alice, ch.ID, ""))
	if now := w.load(ch.ID); now.Status != review.Open || !now.ClosedAt.IsZero() || len(w.votes(ch.ID)) != 0 {
		t.Errorf("change %+v, votes %+v", now, w.votes(ch.ID))
	}
	w.must(w.review.RequestSubmit(w.ctx, alice, ch.ID))
	w.must(w.review.SetWIP(w.ctx, alice, ch.ID, true))
	w.must(w.review.SetWIP(w.ctx, alice, ch.ID, true))
	if now := w.load(ch.ID); !now.WIP || now.SubmitBy != 0 {
		t.Errorf("change %+v", now)
	}
	refused(t, w.review.RequestSubmit(w.ctx, alice, ch.ID), fault.Refused, fmt.Sprintf("change %d is work in progress and does not land", ch.ID), "ready")
	w.must(w.review.SetWIP(w.ctx, alice, ch.ID, false))
	w.must(w.review.SetTopic(w.ctx, alice, ch.ID, " one "))
	w.must(w.review.SetTopic(w.ctx, carol, ch.ID, ""))
	refused(t, w.review.SetTopic(w.ctx, alice, ch.ID, "a\nb"), fault.Invalid, "this topic cannot be used", "one line")
	want := []string{
		"Uploaded patch set 1", "Patch Set 1: Code-Review+2", "Asked to land patch set 1", "Took back the wish to land patch set 1",
		"Asked to land patch set 1", "Took back the wish to land patch set 1", "Asked to land patch set 1", "Abandoned\n\ntoo late",
		"Restored\n\nVotes given before no longer count", "Asked to land patch set 1", "Marked as work in progress", "Marked as ready for review",
		"Topic set to one", "Topic removed",
	}
	if d := cmp.Diff(strings.Join(want, "\n---\n"), w.story(ch.ID)); d != "" {
		t.Error(d)
	}
	w.transact(func(tx *db.Tx) error {
		return w.review.MarkLanded(w.ctx, tx, ch.ID, 1, "0123456789012345678901234567890123456789", alice.ID)
	})
	refused(t, w.review.RequestSubmit(w.ctx, alice, ch.ID), fault.Conflict, fmt.Sprintf("change %d has landed", ch.ID), "")
	refused(t, w.review.RequestSubmit(w.ctx, account.Local(), ch.ID), fault.Unauthenticated, "only an account can do this: its name stays on the change", "sign in")
}

// Strangers to a private repository learn nothing of its changes, on any way.
func TestPrivateChangesAreHidden(t *testing.T) {
	w := newWorld(t)
	_, ch := w.propose("alice", "a")
	w.repo.Private, w.repo.DefaultRole = true, account.RoleNone
	w.transact(func(tx *db.Tx) error { return w.repos.Update(w.ctx, tx, w.repo) })
	bob := w.people["bob"]
	_, get := w.review.Get(w.ctx, bob, ch.ID)
	for name, err := range map[string]error{
		"get": get, "vote": w.review.Vote(w.ctx, bob, ch.ID, 0, map[string]int{"Code-Review": 2}, "", nil),
		"comment": w.review.Vote(w.ctx, bob, ch.ID, 0, nil, "hello", nil), "abandon": w.review.Abandon(w.ctx, bob, ch.ID, ""),
		"restore": w.review.Restore(w.ctx, bob, ch.ID, ""), "wip": w.review.SetWIP(w.ctx, bob, ch.ID, true),
		"topic": w.review.SetTopic(w.ctx, bob, ch.ID, "x"), "submit": w.review.RequestSubmit(w.ctx, bob, ch.ID),
		"withdraw": w.review.WithdrawSubmit(w.ctx, bob, ch.ID),
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, err, fault.NotFound, fmt.Sprintf("change %d not found", ch.ID), "check its number")
		})
	}
	if found, err := w.review.List(w.ctx, bob, review.Filter{}); err != nil || len(found) != 0 {
		t.Errorf("list %+v, %v", found, err)
	}
	if d, err := w.review.Dashboard(w.ctx, bob); err != nil || len(d.Turn)+len(d.Waiting)+len(d.Mine)+len(d.Watched)+len(d.Landed) != 0 {
		t.Errorf("dashboard %+v, %v", d, err)
	}
	for _, query := range []string{"", "owner:alice", "file:a", "add", fmt.Sprint(ch.ID)} {
		if page, err := w.review.Search(w.ctx, bob, review.Search{Query: query}); err != nil || len(page.Changes) != 0 || page.Next != "" {
			t.Errorf("search %q: %+v, %v", query, page, err)
		}
	}
}

func TestReadersMayNotAct(t *testing.T) {
	w := newWorld(t)
	_, ch := w.propose("alice", "a")
	w.repo.DefaultRole = account.RoleRead
	w.transact(func(tx *db.Tx) error { return w.repos.Update(w.ctx, tx, w.repo) })
	bob := w.people["bob"]
	for name, err := range map[string]error{
		"vote": w.review.Vote(w.ctx, bob, ch.ID, 0, map[string]int{"Code-Review": 2}, "", nil), "comment": w.review.Vote(w.ctx, bob, ch.ID, 0, nil, "hello", nil),
		"submit": w.review.RequestSubmit(w.ctx, bob, ch.ID), "wip": w.review.SetWIP(w.ctx, bob, ch.ID, true),
	} {
		if !fault.Is(err, fault.Denied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.review.Get(w.ctx, bob, ch.ID); err != nil {
		t.Error(err)
	}
	if _, err := w.review.Get(w.ctx, account.Actor{}, ch.ID); err != nil {
		t.Errorf("a public change is for everybody: %v", err)
	}
}
