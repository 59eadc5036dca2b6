package web

import (
	"context"

	"gatehouse/gitserver/repo"
	"gatehouse/review"
)

// showTurn asks people to review, and has bob watch, star and keep searches.
func (w *world) showTurn(r repo.Repository) {
	w.t.Helper()
	ctx := context.Background()
	page, err := w.web.Review.Search(ctx, w.actor("bob"), review.Search{Query: "is:open -is:wip -owner:bob", Limit: 6})
	w.must(err)
	for i, c := range page.Changes {
		if i%2 == 0 {
			w.must(w.web.Review.AddReviewers(ctx, w.actor("alice"), c.ID, []int64{w.people["bob"].ID}, false))
		} else if c.Owner != w.people["carol"].ID {
			w.must(w.web.Review.AddReviewers(ctx, w.actor("alice"), c.ID, []int64{w.people["carol"].ID}, false))
		}
	}
	w.must(w.web.Review.AddReviewers(ctx, w.actor("alice"), 2, []int64{w.people["bob"].ID}, false))
	w.must(w.web.Review.AddReviewers(ctx, w.actor("alice"), 2, []int64{w.people["carol"].ID}, true))
	w.must(w.web.Review.GiveTurn(ctx, w.actor("alice"), 2, w.people["bob"].ID, "you know how proxies ask"))
	w.must(w.web.Review.Star(ctx, w.actor("bob"), 2, true))
	w.must(w.web.Review.SaveSearch(ctx, w.actor("bob"), "stale", "is:open age:3d"))
	w.must(w.web.Review.SaveSearch(ctx, w.actor("bob"), "server", "is:open file:server.go"))
	for _, watch := range []review.Watch{{Repo: r.ID, Path: "docs/"}, {Repo: r.ID, Branch: "main"}, {Query: "message:security -owner:self"}} {
		_, err := w.web.Review.AddWatch(ctx, w.actor("bob"), watch)
		w.must(err)
	}
}

func (w *world) turnPages() []pageOf {
	return []pageOf{
		{"search", "bob", "/changes?q=is:open+OR+is:landed"}, {"search-wrong", "bob", "/changes?q=is:open+onwer:self"}, {"search-none", "", "/changes?q=cheese"},
		{"watches", "bob", "/settings/watches"}, {"watches-empty", "carol", "/settings/watches"}, {"reviewers", "alice", "/c/2/reviewers"},
	}
}
