package review_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/review"
)

func (w *world) comments(id int64) []review.Comment {
	w.t.Helper()
	all, err := w.review.Comments(w.ctx, w.db.Read(), id)
	w.must(err)
	return all
}

func (w *world) drafts(id int64, who string) []review.Draft {
	w.t.Helper()
	all, err := w.review.Drafts(w.ctx, w.db.Read(), id, w.people[who].ID)
	w.must(err)
	return all
}

func (w *world) draft(who string, id int64, n review.NewComment) review.Draft {
	w.t.Helper()
	d, err := w.review.SaveDraft(w.ctx, w.people[who], id, n)
	w.must(err)
	return d
}

func (w *world) events(id int64, kind string) []event.Event {
	w.t.Helper()
	all, err := event.OfChange(w.ctx, w.db.Read(), id, 0)
	w.must(err)
	return slices.DeleteFunc(all, func(e event.Event) bool { return e.Kind != kind })
}

func TestDraftsArePublishedTogether(t *testing.T) {
	w := newWorld(t)
	c, ch := w.propose("alice", "a")
	w.must(w.review.Vote(w.ctx, w.people["carol"], ch.ID, 1, nil, "", []review.NewComment{{Path: "a", Line: 1, Body: "why?", Unresolved: true}}))
	asked := w.comments(ch.ID)[0]
	updated := w.load(ch.ID).UpdatedAt

	first := w.draft("bob", ch.ID, review.NewComment{Path: "a", Line: 3, StartLine: 1, StartChar: 2, EndChar: 4, Body: "these", Unresolved: true})
	w.draft("bob", ch.ID, review.NewComment{ReplyTo: asked.ID, Body: "so"})
	w.draft("bob", ch.ID, review.NewComment{Body: "as a whole"})
	gone := w.draft("bob", ch.ID, review.NewComment{Body: "no"})
	w.must(w.review.DropDraft(w.ctx, w.people["bob"], ch.ID, gone.ID))
	if edited, err := w.review.EditDraft(w.ctx, w.people["bob"], ch.ID, first.ID, "those", false); err != nil || edited.Body != "those" || edited.Unresolved {
		t.Errorf("edited %+v, %v", edited, err)
	}
	// what is a draft is nobody else's business, and moves nothing
	if n := len(w.comments(ch.ID)); n != 1 || len(w.drafts(ch.ID, "carol")) != 0 || len(w.drafts(ch.ID, "bob")) != 3 {
		t.Errorf("%d comments; drafts %v", n, w.drafts(ch.ID, "bob"))
	}
	if got := w.load(ch.ID).UpdatedAt; !got.Equal(updated) {
		t.Error("a draft shows in the change's time")
	}

	// a later patch set does not move a draft; the review is of the new one
	c.write("a", "2")
	c.git("commit", "-q", "--amend", "--no-edit")
	w.push(c, "alice", "main")
	before := len(w.events(ch.ID, "vote"))
	w.must(w.review.Publish(w.ctx, w.people["bob"], ch.ID, review.Review{Votes: map[string]int{"Code-Review": -1}, Message: "See inline.", Drafts: true,
		Comments: []review.NewComment{{Path: "a", Line: 1, Body: "fresh"}}}))
	if left := w.drafts(ch.ID, "bob"); len(left) != 0 {
		t.Errorf("left %+v", left)
	}
	var got []string
	for _, c := range w.comments(ch.ID)[1:] {
		got = append(got, fmt.Sprintf("%d %s %d:%d-%d:%d >%v %s %v", c.PS, c.Path, c.First(), c.StartChar, c.Line, c.EndChar, c.ReplyTo == asked.ID, c.Body, c.Unresolved))
	}
	want := []string{"1 a 1:2-3:4 >false those false", "1 a 1:0-1:0 >true so false", "1  0:0-0:0 >false as a whole false", "2 a 1:0-1:0 >false fresh false"}
	if !slices.Equal(got, want) {
		t.Errorf("published %q\nwant      %q", got, want)
	}
	if !strings.HasSuffix(w.story(ch.ID), "---\nPatch Set 2: Code-Review-1\n\n(4 comments)\n\nSee inline.") {
		t.Errorf("story %s", w.story(ch.ID))
	}
	if e := w.events(ch.ID, "vote"); len(e) != before+1 || e[len(e)-1].Data["comments"] != "4" {
		t.Errorf("events %+v", e)
	}
	if n := review.Unresolved(w.comments(ch.ID)); n != 0 {
		t.Errorf("%d threads are unresolved: bob answered the one", n)
	}
	// when nothing is left to publish, that is said
	err := w.review.Publish(w.ctx, w.people["bob"], ch.ID, review.Review{Drafts: true})
	refused(t, err, fault.Invalid, "this review says nothing", "give a vote")
}

// A push can publish the drafts with which its author answered.
func TestPushPublishesDrafts(t *testing.T) {
	w := newWorld(t)
	c, ch := w.propose("alice", "a")
	w.must(w.review.Vote(w.ctx, w.people["bob"], ch.ID, 1, nil, "", []review.NewComment{{Path: "a", Line: 1, Body: "why?", Unresolved: true}}))
	w.draft("alice", ch.ID, review.NewComment{ReplyTo: w.comments(ch.ID)[0].ID, Body: "Done"})
	w.draft("bob", ch.ID, review.NewComment{Body: "not yet"})
	c.write("a", "2\n")
	c.git("commit", "-q", "--amend", "--no-edit")
	w.push(c, "alice", "main")
	if n := len(w.comments(ch.ID)); n != 1 {
		t.Errorf("%d comments: a push published what it was not asked for", n)
	}
	c.write("a", "3\n")
	c.git("commit", "-q", "--amend", "--no-edit")
	w.push(c, "alice", "main%publish-comments")
	if n := review.Unresolved(w.comments(ch.ID)); n != 0 || len(w.drafts(ch.ID, "alice")) != 0 || len(w.drafts(ch.ID, "bob")) != 1 {
		t.Errorf("%d unresolved; comments %+v", n, w.comments(ch.ID))
	}
	if !strings.HasSuffix(w.story(ch.ID), "---\nPatch Set 3:\n\n(1 comment)") {
		t.Errorf("story %s", w.story(ch.ID))
	}
}

// A review that is refused leaves the drafts as they were.
func TestRefusedReviewKeepsDrafts(t *testing.T) {
	w := newWorld(t)
	c, ch := w.propose("alice", "a")
	w.draft("bob", ch.ID, review.NewComment{Path: "a", Line: 1, Body: "one"})
	c.write("a", "2")
	c.git("commit", "-q", "--amend", "--no-edit")
	w.push(c, "alice", "main")
	err := w.review.Publish(w.ctx, w.people["bob"], ch.ID, review.Review{PS: 1, Votes: map[string]int{"Code-Review": 2}, Drafts: true})
	refused(t, err, fault.Conflict, fmt.Sprintf("patch set 1 of change %d is not the current one", ch.ID), "look at patch set 2")
	if len(w.drafts(ch.ID, "bob")) != 1 || len(w.comments(ch.ID)) != 0 {
		t.Error("half of the review was published")
	}
}

func TestDraftRefusals(t *testing.T) {
	w := newWorld(t)
	_, ch := w.propose("alice", "a")
	mine := w.draft("bob", ch.ID, review.NewComment{Body: "mine"})
	for _, test := range []struct {
		name         string
		err          func() error
		kind         fault.Kind
		public, next string
	}{
		{"of others", func() error {
			_, err := w.review.EditDraft(w.ctx, w.people["alice"], ch.ID, mine.ID, "hers", false)
			return err
		}, fault.NotFound, fmt.Sprintf("you have no draft %d on change %d", mine.ID, ch.ID), "reload"},
		{"of others, dropped", func() error { return w.review.DropDraft(w.ctx, w.people["alice"], ch.ID, mine.ID) }, fault.NotFound,
			fmt.Sprintf("you have no draft %d on change %d", mine.ID, ch.ID), "reload"},
		{"nobody", func() error { return save(w, account.Actor{}, ch.ID, review.NewComment{Body: "x"}) }, fault.Unauthenticated, "only an account can do this: its name stays on the change", "sign in"},
		{"empty", func() error { return save(w, w.people["bob"], ch.ID, review.NewComment{Body: " \n"}) }, fault.Invalid, "a comment is empty", "write something"},
		{"backwards", func() error {
			return save(w, w.people["bob"], ch.ID, review.NewComment{Path: "a", Line: 2, StartLine: 3, Body: "x"})
		}, fault.Invalid, "a comment's range makes no sense", "it begins before it ends"},
		{"characters backwards", func() error {
			return save(w, w.people["bob"], ch.ID, review.NewComment{Path: "a", Line: 2, StartChar: 3, EndChar: 3, Body: "x"})
		}, fault.Invalid, "a comment's range makes no sense", "it begins before it ends"},
		{"no such patch set", func() error { return save(w, w.people["bob"], ch.ID, review.NewComment{PS: 7, Body: "x"}) }, fault.NotFound, fmt.Sprintf("change %d has no patch set 7", ch.ID), ""},
		{"an answer to nothing", func() error { return save(w, w.people["bob"], ch.ID, review.NewComment{ReplyTo: 7, Body: "x"}) }, fault.NotFound, fmt.Sprintf("there is no comment 7 on change %d to answer", ch.ID), ""},
	} {
		t.Run(test.name, func(t *testing.T) { refused(t, test.err(), test.kind, test.public, test.next) })
	}
	for range 499 {
		w.draft("bob", ch.ID, review.NewComment{Body: "more"})
	}
	refused(t, save(w, w.people["bob"], ch.ID, review.NewComment{Body: "too many"}), fault.TooLarge, fmt.Sprintf("you have 500 drafts on change %d, and that is the most", ch.ID), "publish them")
}

func save(w *world, who account.Actor, id int64, n review.NewComment) error {
	_, err := w.review.SaveDraft(w.ctx, who, id, n)
	return err
}

func TestThreads(t *testing.T) {
	all := []review.Comment{
		{ID: 1, Body: "one", Unresolved: true}, {ID: 2, Body: "two"}, {ID: 3, ReplyTo: 1, Unresolved: true}, {ID: 4, ReplyTo: 2, Unresolved: true}, {ID: 5, ReplyTo: 1},
	}
	threads := review.Threads(all)
	if len(threads) != 2 || len(threads[0].Comments) != 3 || threads[0].Root().Body != "one" || threads[0].Unresolved() || !threads[1].Unresolved() || review.Unresolved(all) != 1 {
		t.Errorf("threads %+v", threads)
	}
}

func TestMentions(t *testing.T) {
	for _, test := range []struct {
		body string
		want []string
	}{
		{"@bob, please look. @carol too; @bob!", []string{"bob", "carol"}},
		{"(@bob)\n@carol-2\n**@dan**", []string{"bob", "carol-2", "dan"}},
		{"mail bob@example.org or git@host:x, see a/@b and \\@dan", nil},
		{"`@Override` and `` @a ` @b `` then @bob", []string{"bob"}},
		{"```java\n@Test\n@bob\n```\n@carol\n~~~\n@dan\n", []string{"carol"}},
		{"an ` open one @bob", []string{"bob"}},
		{"@Bob @-x @", nil},
		{"thanks @bob.", []string{"bob"}},
		{strings.Repeat("@a", 10) + strings.Repeat("`", 5000), []string{"a"}},
	} {
		if got := review.Mentions(test.body); !slices.Equal(got, test.want) {
			t.Errorf("%.40q calls %q, want %q", test.body, got, test.want)
		}
	}
}

// Who is mentioned and may see the change gets to know of it; nobody else learns a thing.
func TestMentionedAreTold(t *testing.T) {
	w := newWorld(t)
	_, ch := w.propose("alice", "a")
	w.must(w.review.Publish(w.ctx, w.people["bob"], ch.ID, review.Review{Message: "@carol, @alice, @bob and @nobody", Comments: []review.NewComment{{Body: "also @dan"}}}))
	e := w.events(ch.ID, "comment")
	if len(e) != 1 || e[0].Data["mentions"] != "carol dan" {
		t.Errorf("events %+v", e)
	}
	reviewers, err := w.review.Reviewers(w.ctx, w.db.Read(), ch.ID)
	w.must(err)
	cc := map[int64]bool{}
	for _, r := range reviewers {
		cc[r.Account] = r.CC
	}
	if len(cc) != 3 || !cc[w.people["carol"].ID] || !cc[w.people["dan"].ID] || cc[w.people["bob"].ID] {
		t.Errorf("reviewers %+v", reviewers)
	}
}

// Calling somebody does not let them into a private change.
func TestMentionsOpenNoDoors(t *testing.T) {
	w := newWorld(t)
	_, ch := w.propose("alice", "a")
	w.must(w.review.SetPrivate(w.ctx, w.people["alice"], ch.ID, true))
	w.must(w.review.Publish(w.ctx, w.people["alice"], ch.ID, review.Review{Message: "@bob must not see this"}))
	if reviewers, err := w.review.Reviewers(w.ctx, w.db.Read(), ch.ID); err != nil || len(reviewers) != 0 {
		t.Errorf("reviewers %+v, %v", reviewers, err)
	}
	if err := save(w, w.people["bob"], ch.ID, review.NewComment{Body: "x"}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a draft on a private change of somebody else's: %v", err)
	}
}
