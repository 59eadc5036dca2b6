package web

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"gatehouse/gitserver/account"
	"gatehouse/review"
)

// several makes three changes of alice's beside the one of hello, the last two in a stack.
func several(t *testing.T) *world {
	t.Helper()
	w, r := hello(t)
	base := w.git("rev-parse", "HEAD~")
	w.git("checkout", "-q", "--detach", base)
	w.commit("alice", "Alone\n\n"+changeID(21), map[string]string{"alone.txt": "1\n"})
	w.propose(r, "alice", review.PushOptions{Topic: "t<1>"})
	w.git("checkout", "-q", "--detach", base)
	w.commit("alice", "Lower\n\n"+changeID(22), map[string]string{"lower.txt": "1\n"})
	w.commit("alice", "Upper <b>&\n\n"+changeID(23), map[string]string{"upper.txt": "1\n"})
	w.propose(r, "alice", review.PushOptions{Reviewers: []string{"bob"}})
	return w
}

// titled are the numbers of changes by their subjects.
func (w *world) titled(t *testing.T) map[string]string {
	t.Helper()
	page, err := w.web.Review.Search(t.Context(), account.Actor{}, review.Search{})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for _, c := range page.Changes {
		ids[c.Subject] = fmt.Sprint(c.ID)
	}
	return ids
}

func TestTheDashboardSaysWhoseTurn(t *testing.T) {
	w := several(t)
	ids := w.titled(t)
	bob, alice := w.session("bob"), w.session("alice")
	page := bob.get("/").ok(200)
	if got := page.texts("#main [aria-labelledby=turn-h] tbody .title"); strings.Join(got, "|") != "Upper <b>&|Lower" {
		t.Errorf("bob's turn: %q", got)
	}
	if got := page.texts("[aria-labelledby=turn-h] tbody .why-turn"); len(got) == 0 || got[0] != "alice asked for a review" {
		t.Errorf("why: %q", got)
	}
	if got := page.texts("[aria-labelledby=turn-h] tbody .small"); strings.Join(got, "|") != "2 of 2 in a stack|1 of 2 in a stack" {
		t.Errorf("stack: %q", got)
	}
	if got := alice.get("/").ok(200).texts("[aria-labelledby=waiting-h] tbody .waits"); !strings.Contains(strings.Join(got, "|"), "bob|bob") {
		t.Errorf("alice waits for %q", got)
	}
	upper := "/c/" + ids["Upper <b>&"]
	change := bob.get(upper).ok(200)
	if got := change.texts("#turn .turns .who"); strings.Join(got, "|") != "You" {
		t.Errorf("whose turn: %q", got)
	}
	id := attr(change.find("#turn .turns [name=account]")[0], "value")
	bob.post(upper+"/turn/remove", url.Values{"account": {id}}).ok(303)
	if got := bob.get("/").ok(200).texts("[aria-labelledby=turn-h] tbody .title"); strings.Join(got, "|") != "Lower" {
		t.Errorf("after it was taken away: %q", got)
	}
	alice.post(upper+"/turn", url.Values{"who": {"carol@example.test, bob"}, "reason": {"you know <this>"}}).ok(303)
	if got := w.session("carol").get(upper).ok(200).texts("#turn .turns .sub"); len(got) != 2 || got[0] != "alice said: you know <this>" {
		t.Errorf("by hand: %q", got)
	}
	alice.post(upper+"/reviewers", url.Values{"who": {"carol"}, "as": {"cc"}}).ok(303)
	alice.post(upper+"/reviewers", url.Values{"who": {"nemo"}}).ok(400)
	alice.post(upper+"/reviewers", url.Values{"who": {" , "}}).ok(400)
	alice.post(upper+"/turn/remove", url.Values{"account": {"x"}}).ok(400)
	if got := alice.get(upper).ok(200).texts("#turn .crew .who"); strings.Join(got, "|") != "bob|carol" {
		t.Errorf("reviewers: %q", got)
	}
	alice.post(upper+"/reviewers/remove", url.Values{"account": {id}}).ok(303)
	bob.post(upper+"/star", url.Values{"on": {"1"}, "back": {"/changes?q=is:starred"}}).ok(303)
	if got := bob.get("/changes?q=is:starred").ok(200).texts("tbody .title"); strings.Join(got, "|") != "Upper <b>&" {
		t.Errorf("starred: %q", got)
	}
	alice.get(upper + "/reviewers").ok(200)
}

func TestSearchPage(t *testing.T) {
	w := several(t)
	bob := w.session("bob")
	for query, want := range map[string]string{
		"":                          "Upper <b>&|Lower|Alone|Greet politely",
		"?q=":                       "Upper <b>&|Lower|Alone|Greet politely",
		"?q=file:alone.txt":         "Alone",
		"?q=owner:alice+-file:*txt": "Greet politely",
		"?status=abandoned":         "",
		"?q=is:landed":              "",
	} {
		if got := strings.Join(bob.get("/changes"+query).ok(200).texts("tbody .title"), "|"); got != want {
			t.Errorf("%q finds %q, want %q", query, got, want)
		}
		if got := strings.Join(bob.get("/hello/-/changes"+query).ok(200).texts("tbody .title"), "|"); got != want {
			t.Errorf("%q in hello finds %q, want %q", query, got, want)
		}
	}
	for _, at := range []string{"/changes", "/hello/-/changes"} {
		wrong := bob.get(at + "?q=is:open+" + url.QueryEscape("<b>:x onwer:y")).ok(400)
		if got := wrong.one("#wrong"); !strings.Contains(got, `Character 15: there is no operator "onwer:"`) || !strings.Contains(got, "Did you mean owner:?") {
			t.Errorf("%s: %q", at, got)
		}
		if got := attr(wrong.find("#q")[0], "value"); got != "is:open <b>:x onwer:y" {
			t.Errorf("%s: the search is not kept: %q", at, got)
		}
	}
	w.session("").get("/changes?q=owner:self").ok(400)
	if got := w.session("").get("/changes").ok(200).find("form.bulk"); len(got) != 0 {
		t.Error("a visitor may choose changes")
	}
	bob.post("/changes/save", url.Values{"name": {"alone"}, "query": {"file:alone.txt"}}).ok(303)
	if got := bob.get("/changes?q=query:alone").ok(200).texts("tbody .title"); strings.Join(got, "|") != "Alone" {
		t.Errorf("saved: %q", got)
	}
	if got := bob.get("/").ok(200).texts(".head .button"); len(got) == 0 || got[0] != "alone" {
		t.Errorf("the dashboard offers %q", got)
	}
	bob.post("/changes/save", url.Values{"name": {"x"}, "query": {"onwer:x"}}).ok(400)
	bob.post("/changes/forget", url.Values{"name": {"alone"}}).ok(303)
	bob.post("/changes/forget", url.Values{"name": {"alone"}}).ok(404)
	bob.post("/settings/watches/add", url.Values{"repo": {"hello"}, "path": {"lower.txt"}}).ok(303)
	bob.post("/settings/watches/add", url.Values{"repo": {"secret"}}).ok(404)
	watches := bob.get("/settings/watches").ok(200)
	if got := watches.texts("tbody code"); strings.Join(got, "|") != "lower.txt" {
		t.Errorf("watches: %q", got)
	}
	bob.post("/settings/watches/remove", url.Values{"watch": {attr(watches.find("[name=watch]")[0], "value")}}).ok(303)
	bob.post("/settings/watches/remove", url.Values{"watch": {"x"}}).ok(400)
}

func TestActsOnSeveral(t *testing.T) {
	w := several(t)
	ids := w.titled(t)
	alice, bob := w.session("alice"), w.session("bob")
	both := url.Values{"change": {ids["Lower"], ids["Alone"], ids["Lower"], "999999"}, "back": {"/changes?q=is:open"}}
	do := func(who *client, act, with string) answer {
		form := url.Values{"act": {act}, "with": {with}}
		for k, v := range both {
			form[k] = v
		}
		return who.post("/changes/act", form)
	}
	page := do(alice, "topic", "<topic>").ok(200)
	if got := strings.Join(page.texts("tbody .state"), "|"); got != "done|done|refused" {
		t.Errorf("topics: %q", got)
	}
	if got := page.one("h1"); got != "Topic set: 2 changes" {
		t.Errorf("heading %q", got)
	}
	if got := strings.Join(do(bob, "abandon", "").ok(200).texts("tbody .state"), "|"); got != "refused|refused|refused" {
		t.Errorf("bob abandons alice's: %q", got)
	}
	if got := strings.Join(do(alice, "reviewer", "bob").ok(200).texts("tbody .state"), "|"); got != "done|done|refused" {
		t.Errorf("reviewers: %q", got)
	}
	if got := strings.Join(do(bob, "read", "").ok(200).texts("tbody .state"), "|"); got != "done|done|refused" {
		t.Errorf("read: %q", got)
	}
	if got := bob.get("/").ok(200).texts("[aria-labelledby=turn-h] tbody .title"); strings.Join(got, "|") != "Upper <b>&" {
		t.Errorf("bob's turn: %q", got)
	}
	do(alice, "submit", "").ok(200)
	do(alice, "hashtag", "one #two").ok(200)
	do(alice, "star", "").ok(200)
	if got := bob.get("/changes?q=hashtag:two+is:submitted").ok(200).texts("tbody .title"); len(got) != 2 {
		t.Errorf("tagged and submitted: %q", got)
	}
	if got := strings.Join(do(alice, "abandon", "not now").ok(200).texts("tbody .state"), "|"); got != "done|done|refused" {
		t.Errorf("abandon: %q", got)
	}
	for _, form := range []url.Values{
		{}, {"act": {"abandon"}}, {"act": {"odd"}, "change": {"1"}}, {"act": {"abandon"}, "change": {"x"}}, {"act": {"reviewer"}, "change": {"1"}, "with": {"nemo"}},
		{"act": {"hashtag"}, "change": {"1"}},
	} {
		alice.post("/changes/act", form).ok(400)
	}
	many := url.Values{"act": {"star"}}
	for i := range maxBulk + 1 {
		many.Add("change", fmt.Sprint(i+1))
	}
	alice.post("/changes/act", many).ok(413)
	if got := alice.post("/changes/act", url.Values{"act": {"star"}, "change": {"1"}, "back": {"https://evil.test/"}}).ok(200).find(`[href=https://evil.test/]`); len(got) != 0 {
		t.Error("it leads away")
	}
}
