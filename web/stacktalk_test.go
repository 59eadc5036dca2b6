package web

import (
	"context"
	"strings"
	"testing"

	"gatehouse/review"
)

// What is said on the changes of a stack stands in the whole difference, where its lines are
// when all of it has landed, and leads to its change; what has no place there is said below.
func TestWholeStackShowsWhatIsSaid(t *testing.T) {
	w, r := hello(t)
	w.commit("alice", "Second\n\n"+changeID(2), map[string]string{"two.txt": "a\nthe second line\nc\n"})
	w.commit("alice", "Third\n\n"+changeID(3), map[string]string{"two.txt": "first\na\nthe second line here\nc\n"})
	w.propose(r, "alice", review.PushOptions{})
	say := func(change int64, message string, all ...review.NewComment) {
		w.must(w.web.Review.Vote(context.Background(), w.actor("bob"), change, 1, nil, message, all))
	}
	say(2, "", review.NewComment{Path: "two.txt", Line: 3, Body: "on-the-kept-line", Unresolved: true},
		review.NewComment{Path: "two.txt", Line: 2, Body: "on-the-changed-line"},
		review.NewComment{Path: review.CommitMessage, Line: 1, Body: "on-the-message", Unresolved: true})
	say(3, "", review.NewComment{Path: "two.txt", Line: 1, Body: "on-the-new-line"})
	page := w.session("carol").get("/c/1/stack").ok(200)
	under := func(anchor string) string {
		t.Helper()
		for _, f := range page.find(".file") {
			if wordsOf(find(f, ".path")[0]) == "two.txt" {
				td := page.find("#" + attr(f, "id") + anchor)[0]
				return wordsOf(td.Parent.NextSibling.NextSibling)
			}
		}
		return ""
	}
	if got := under("R4"); !strings.Contains(got, "on-the-kept-line") || !strings.Contains(got, "change 2 · patch set 1 · two.txt, line 3") {
		t.Errorf("under line 4: %q", got)
	}
	if got := under("R1"); !strings.Contains(got, "on-the-new-line") {
		t.Errorf("under line 1: %q", got)
	}
	if got := under("R3"); !strings.Contains(got, "on-the-changed-line") || !strings.Contains(got, "the line was changed since") {
		t.Errorf("under line 3: %q", got)
	}
	if got := page.one("[aria-labelledby=other-h]"); !strings.Contains(got, "on-the-message") {
		t.Errorf("below: %q", got)
	}
	var rows []string
	for _, li := range page.find(".series li") {
		rows = append(rows, wordsOf(li))
	}
	if !strings.Contains(rows[0], "1 comment ") || strings.Contains(rows[0], "unresolved") ||
		!strings.Contains(rows[1], "3 comments") || !strings.Contains(rows[1], "2 unresolved threads") || strings.Contains(rows[2], "comment ") {
		t.Errorf("rows %q", rows)
	}
	if n := len(page.find(".thread form, .thread a[data-reply], td.n button")); n != 0 {
		t.Errorf("%d places to write", n)
	}
}
