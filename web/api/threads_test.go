package api_test

import (
	"maps"
	"net/http"
	"testing"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/repo"
	"gatehouse/review"
	"gatehouse/web/api"
)

func init() {
	maps.Copy(calls, map[string]call{
		"list-threads": plain(nil), "answer-thread": onThread(api.Answer{}), "list-drafts": plain(nil), "create-draft": plain(api.NewComment{Body: "hm"}),
		"change-draft": onDraft(api.DraftText{Body: "x"}), "remove-draft": onDraft(nil), "apply-suggestions": plain(api.Batch{Suggestions: []api.Suggestion{{Comment: 1}}}),
	})
}

// onThread makes a comment of the author's.
func onThread(in any) call {
	return func(w *world, _ repo.Repository, c review.Change) (map[string]string, string, any) {
		comments, err := w.Review.Comments(w.ctx, w.DB.Read(), c.ID)
		must(w.t, err)
		if len(comments) == 0 {
			author, err := w.Accounts.Actor(w.ctx, w.DB.Read(), w.ids["author"], account.MethodKey)
			must(w.t, err)
			must(w.t, w.Review.Vote(w.ctx, author, c.ID, 1, nil, "", []review.NewComment{{Body: "hm"}}))
			comments, err = w.Review.Comments(w.ctx, w.DB.Read(), c.ID)
			must(w.t, err)
		}
		return map[string]string{"id": itoa(comments[0].ID)}, "", in
	}
}

// onDraft names a draft that nobody has: whoever may see the change learns that, and others nothing.
func onDraft(in any) call {
	return func(*world, repo.Repository, review.Change) (map[string]string, string, any) {
		return map[string]string{"id": "999999"}, "", in
	}
}

func TestThreadsByAPI(t *testing.T) {
	w := newWorld(t)
	c := w.change(w.repository("hello", false))
	at := "/api/v1/changes/" + itoa(c.ID)
	draft := get[api.Draft](w, "writer", "POST", at+"/drafts", api.NewComment{Spot: api.Spot{Path: "hello.txt", Line: 1, EndChar: 2}, Body: "say:\n```suggestion\nnew words\n```", Unresolved: true})
	if draft.ID == 0 || draft.PatchSet != 1 || draft.Side != "new" || draft.EndChar != 2 {
		t.Errorf("draft %+v", draft)
	}
	get[api.Draft](w, "writer", "PUT", at+"/drafts/"+itoa(draft.ID), api.DraftText{Body: draft.Body, Unresolved: true})
	drafts := get[list[api.Draft]](w, "writer", "GET", at+"/drafts", nil)
	if len(drafts.Items) != 1 {
		t.Errorf("drafts %+v", drafts)
	}
	if drafts = get[list[api.Draft]](w, "author", "GET", at+"/drafts", nil); len(drafts.Items) != 0 {
		t.Errorf("the drafts of others: %+v", drafts)
	}
	if a := w.ask("author", http.MethodDelete, at+"/drafts/"+itoa(draft.ID), nil); a.Code != http.StatusNotFound {
		t.Errorf("somebody else's draft: %d", a.Code)
	}
	if a := w.ask("writer", http.MethodPost, at+"/votes", api.Review{Drafts: true}); a.Code != http.StatusOK {
		t.Errorf("publish: %d %s", a.Code, a.Body)
	}
	threads := get[list[api.Thread]](w, "", "GET", at+"/threads?unresolved=true", nil)
	if len(threads.Items) != 1 || threads.Items[0].Comments[0].Author != "writer" || threads.Items[0].Comments[0].Commit == "" || threads.Items[0].Now.Fate != "kept" {
		t.Fatalf("threads %+v", threads)
	}
	id := threads.Items[0].ID
	made := get[api.PatchSet](w, "author", "POST", at+"/suggestions/apply", api.Batch{PatchSet: 1, Suggestions: []api.Suggestion{{Comment: id}}})
	if made.Number != 2 || made.Uploader != "author" {
		t.Errorf("made %+v", made)
	}
	threads = get[list[api.Thread]](w, "", "GET", at+"/threads", nil)
	if th := threads.Items[0]; th.Unresolved || len(th.Comments) != 2 || th.Now.Fate == "kept" || th.Now.PatchSet != 2 || len(th.Now.Was) == 0 {
		t.Errorf("after it was applied: %+v, now %+v", th, th.Now)
	}
	if a := w.ask("author", http.MethodPost, at+"/suggestions/apply", api.Batch{PatchSet: 1, Suggestions: []api.Suggestion{{Comment: id}}}); a.Code != http.StatusConflict {
		t.Errorf("an old patch set: %d", a.Code)
	}
	w.ask("writer", http.MethodPost, at+"/threads/"+itoa(id)+"/resolve", api.Answer{Unresolved: true})
	threads = get[list[api.Thread]](w, "", "GET", at+"/threads?unresolved=true&patch_set=1", nil)
	if len(threads.Items) != 1 || threads.Items[0].Comments[2].Body != "Reopened" || threads.Items[0].Now.Fate != "kept" {
		t.Errorf("reopened: %+v", threads)
	}
	w.ask("author", http.MethodPost, at+"/threads/"+itoa(id)+"/resolve", api.Answer{})
	threads = get[list[api.Thread]](w, "", "GET", at+"/threads?unresolved=true", nil)
	if len(threads.Items) != 0 {
		t.Errorf("resolved: %+v", threads)
	}
}
