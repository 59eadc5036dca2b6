package notify

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/gitserver/fault"
	"gatehouse/review"
)

// A mail that tells of one comment takes an answer to its thread; others one to the change.
// The answer is written with the rights of the moment, once, and resolves nothing.
func TestAnswerByMail(t *testing.T) {
	w := newWorld(t)
	w.s.Mail.Answers = "Answers.gate.test"
	id := w.change(w.repo, "alice", "Greet")
	w.work()
	w.says("bob", id, 0, "", review.NewComment{Path: "server.go", Line: 25, Body: "Bytes?", Unresolved: true})
	w.quiet()
	to := w.mails()[0].header.Get("Reply-To")
	to = strings.Trim(to, "<>")
	if local, _, _ := strings.Cut(to, "@"); !strings.HasPrefix(local, "answer+") || len(local) > 64 {
		t.Fatalf("Reply-To %q", to)
	}
	if text := w.mails()[0].text; !strings.Contains(text, "becomes a comment of yours") {
		t.Errorf("the mail does not say it:\n%s", text)
	}
	a, err := w.s.Answering(strings.ToUpper(to)) // mail servers may change its case
	w.must(err)
	comments := func() []review.Comment {
		all, err := w.s.Review.Comments(w.ctx, w.s.DB.Read(), id)
		w.must(err)
		return all
	}
	if want := (Answering{w.people["alice"].ID, id, comments()[0].ID}); a != want {
		t.Fatalf("%+v, want %+v", a, want)
	}
	w.must(w.s.Answer(w.ctx, a, "<1@x>", "Letters."))
	w.must(w.s.Answer(w.ctx, a, "<1@x>", "Letters.")) // sent again by a mail server that was not sure
	all := comments()
	if len(all) != 2 || all[1].ReplyTo != all[0].ID || all[1].Author != a.Account || all[1].Body != "Letters." || !all[1].Unresolved {
		t.Fatalf("comments %+v", all)
	}
	for _, wrong := range []string{"", "x", "answer+@answers.gate.test", strings.Replace(to, "nswers", "ther", 1), "answer+" + to[8:], to[:20] + "a" + to[21:], strings.Replace(to, "answer+", "answer+a", 1), to + ".evil.test"} {
		if _, err := w.s.Answering(wrong); !fault.Is(err, fault.NotFound) && !strings.EqualFold(wrong, to) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	stolen, err := w.s.AnswerAddress(Answering{w.people["admin"].ID, id, 0})
	w.must(err)
	if stolen == to {
		t.Error("two accounts have one address")
	}
	for i := range answersPerHour - 1 {
		w.must(w.s.Answer(w.ctx, Answering{a.Account, id, 0}, fmt.Sprint(i), "More."))
	}
	if err := w.s.Answer(w.ctx, a, "<2@x>", "Too much."); !fault.Is(err, fault.Unavailable) {
		t.Errorf("beyond the limit: %v", err)
	}
	w.pass(time.Hour)
	w.must(w.s.Answer(w.ctx, a, "<2@x>", "Later."))
	w.pass(time.Hour)
	closed := w.newRepo("closed", true)
	id = w.change(closed, "alice", "Secret")
	nosy := Answering{w.people["carol"].ID, id, 0}
	if err := w.s.Answer(w.ctx, nosy, "<3@x>", "Nosy."); !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Denied) {
		t.Errorf("of somebody who may not read it: %v", err)
	}
}

// Without a place for answers mails name none.
func TestNoAnswers(t *testing.T) {
	w := newWorld(t)
	if _, err := w.s.Answering("answer+aaaa@gate.test"); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
}
