package web

import (
	"context"

	"gatehouse/review"
)

// showThreads adds to the second change what its talk above has not: a suggestion, a range, a
// thread whose line went, one that is resolved, drafts, and somebody who is called.
func (w *world) showThreads() {
	w.t.Helper()
	ctx := context.Background()
	say := func(who string, n review.NewComment) {
		w.must(w.web.Review.Publish(ctx, w.actor(who), 2, review.Review{Comments: []review.NewComment{n}}))
	}
	say("bob", review.NewComment{Path: "server.go", StartLine: 16, Line: 19, Unresolved: true, Body: "@carol, is 405 what the proxies in front expect? If not:\n\n" +
		"```suggestion\n\tif r.Method != http.MethodGet && r.Method != http.MethodHead {\n\t\tw.Header().Set(\"Allow\", \"GET, HEAD\")\n\t\thttp.Error(w, \"use GET\", http.StatusMethodNotAllowed)\n\t\treturn\n\t}\n```\n\nProxies ask with HEAD."})
	say("bob", review.NewComment{PS: 1, Path: "server.go", Line: 26, Body: "Is `world` right for a name that is too long?", Unresolved: true})
	comments, err := w.web.Review.Comments(ctx, w.web.DB.Read(), 2)
	w.must(err)
	say("alice", review.NewComment{ReplyTo: comments[len(comments)-1].ID, Body: "Yes: it is a greeting, not a form."})
	say("carol", review.NewComment{Path: review.CommitMessage, Line: 3, Body: "Say *why* a long name is refused, please.", Unresolved: true})
	say("carol", review.NewComment{Body: "Could the documentation say what the limit is?", Unresolved: true})
	for _, n := range []review.NewComment{
		{Path: "server.go", Line: 29, Body: "This could be `cmp.Or(name, \"world\")`.", Unresolved: true},
		{ReplyTo: comments[0].ID, Body: "Thank you, that reads better."},
	} {
		_, err := w.web.Review.SaveDraft(ctx, w.actor("bob"), 2, n)
		w.must(err)
	}
}
