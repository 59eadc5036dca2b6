package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/repo"
	"gatehouse/review"
	"gatehouse/web/api"
)

func init() {
	for id, how := range map[string]call{
		"list-reviewers": plain(nil), "add-reviewers": plain(api.NewReviewers{Accounts: []string{"admin"}}), "remove-reviewer": onAsked,
		"suggest-reviewers": plain(nil), "list-attention": plain(nil), "add-attention": plain(api.NewAttention{Account: "admin"}), "remove-attention": onAsked,
		"star": plain(nil), "unstar": plain(nil), "dashboard": plain(nil),
		"list-watches": plain(nil), "add-watch": plain(api.Watch{Query: "is:open"}), "remove-watch": onNoSuch,
		"list-searches": plain(nil), "save-search": plain(api.SavedSearch{Name: "x", Query: "is:open"}), "forget-search": onSaved,
	} {
		calls[id] = how
	}
}

// onAsked asks the administrator to review, so that somebody can be removed.
func onAsked(w *world, _ repo.Repository, c review.Change) (map[string]string, string, any) {
	admin, err := w.Accounts.Actor(w.ctx, w.DB.Read(), w.ids["admin"], account.MethodKey)
	must(w.t, err)
	_ = w.Review.Restore(w.ctx, admin, c.ID, "") // an open change cannot be restored, and need not
	must(w.t, w.Review.AddReviewers(w.ctx, admin, c.ID, []int64{admin.ID}, false))
	return map[string]string{"name": "admin"}, "", nil
}

func onNoSuch(*world, repo.Repository, review.Change) (map[string]string, string, any) {
	return map[string]string{"id": "999999"}, "", nil
}

func onSaved(*world, repo.Repository, review.Change) (map[string]string, string, any) {
	return map[string]string{"name": "none-such"}, "", nil
}

func TestTurnsAndReviewers(t *testing.T) {
	w := newWorld(t)
	c := w.change(w.repository("public", false))
	at := fmt.Sprintf("/api/v1/changes/%d", c.ID)
	has := func(a answer, code int, text string) {
		t.Helper()
		if body := a.Body.String(); a.Code != code || !strings.Contains(body, text) {
			t.Errorf("%d %s\nwant %d with %s", a.Code, body, code, text)
		}
	}
	has(w.ask("author", http.MethodPost, at+"/reviewers", api.NewReviewers{Accounts: []string{"writer"}}), 200, `{"items":[{"account":"writer"}]}`)
	has(w.ask("author", http.MethodPost, at+"/reviewers", api.NewReviewers{Accounts: []string{"reader"}, CC: true}), 200, `{"account":"reader","cc":true}`)
	has(w.ask("author", http.MethodPost, at+"/reviewers", api.NewReviewers{Accounts: []string{"nemo"}}), 400, `there is no account \"nemo\"`)
	has(w.ask("", http.MethodGet, at+"/attention", nil), 200, `"account":"writer","reason":"asked for a review","by":"author"`)
	has(w.ask("writer", http.MethodGet, "/api/v1/self/dashboard", nil), 200, `"reason":"asked for a review","by":"author"`)
	has(w.ask("writer", http.MethodDelete, at+"/attention/self", nil), 204, "")
	has(w.ask("writer", http.MethodGet, at+"/attention", nil), 200, `{"items":[]}`)
	has(w.ask("author", http.MethodPost, at+"/attention", api.NewAttention{Account: "writer", Reason: "please"}), 200, `"reason":"said: please"`)
	has(w.ask("author", http.MethodGet, at, nil), 200, `"cc":["reader"],"attention":[{`)
	has(w.ask("author", http.MethodDelete, at+"/reviewers/writer", nil), 204, "")
	has(w.ask("author", http.MethodDelete, at+"/reviewers/writer", nil), 404, "is no reviewer")
	has(w.ask("author", http.MethodGet, at+"/suggested-reviewers", nil), 200, `{"items":[`)
}

func TestSearching(t *testing.T) {
	w := newWorld(t)
	one := w.change(w.repository("public", false))
	w.change(w.repository("private", true))
	find := func(who, query string) answer {
		return w.ask(who, http.MethodGet, "/api/v1/changes?"+query, nil)
	}
	for query, want := range map[string]string{
		"q=is:open":                        fmt.Sprintf(`"number":%d`, one.ID),
		"q=is:open&repository=public":      fmt.Sprintf(`"number":%d`, one.ID),
		"q=owner:nobody+OR+is:open":        "there is no account",
		"q=is:abandoned&owner=author":      `{"items":[]}`,
		"q=is:open&owner=author&limit=1":   `"owner":"author"`,
		"q=onwer:x":                        "character 1: there is no operator",
		"q=is:open&after=x":                "there is no such page",
		"q=is:open+OR+is:wip&topic=a}b{":   `{"items":[]}`,
		"q=is:abandoned+OR+is:open&limit=": `"items"`,
	} {
		a := find("reader", query)
		if got := a.Body.String(); !strings.Contains(got, want) && a.Code != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s, want %s", query, a.Code, got, want)
		}
	}
	if got := find("", "q=is:open").Body.String(); strings.Contains(got, `"repository":"private"`) || !strings.Contains(got, `"repository":"public"`) {
		t.Errorf("a stranger finds %s", got)
	}
	if a := w.ask("reader", http.MethodPost, "/api/v1/self/searches", api.SavedSearch{Name: "mine", Query: "is:open owner:author"}); a.Code != 204 {
		t.Errorf("save: %d %s", a.Code, a.Body)
	}
	if got := find("reader", "q=query:mine").Body.String(); !strings.Contains(got, `"owner":"author"`) {
		t.Errorf("the saved search finds %s", got)
	}
	made := w.ask("reader", http.MethodPost, "/api/v1/self/watches", api.Watch{Repository: "public"})
	if made.Code != 201 || !strings.Contains(made.Body.String(), `"repository":"public"`) {
		t.Errorf("watch: %d %s", made.Code, made.Body)
	}
	if got := w.ask("reader", http.MethodGet, "/api/v1/self/dashboard", nil).Body.String(); !strings.Contains(got, `"watched":[{`) {
		t.Errorf("the dashboard does not show what is watched: %s", got)
	}
	if a := w.ask("stranger", http.MethodPost, "/api/v1/self/watches", api.Watch{Repository: "private"}); a.Code != 404 {
		t.Errorf("a stranger watches what is private: %d", a.Code)
	}
}
