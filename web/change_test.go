package web

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/repo"
	"gatehouse/review"
)

const goFile = `package main

import "fmt"

// greet says hello to somebody.
func greet(name string) string {
	return fmt.Sprintf("hello, %s", name)
}

func main() {
	fmt.Println(greet("world"))
}
`

// hello is a repository with one open change of alice's.
func hello(t testing.TB) (*world, repo.Repository) {
	t.Helper()
	w := newWorld(t)
	r := w.repo("hello", "alice", false, map[string]string{
		"main.go": goFile, "README.md": "# Hello\n\nSee [the code](main.go).\n", "docs/guide.md": "# Guide\n", "logo.png": "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
	})
	w.commit("alice", "Greet politely\n\nSay good day, because hello is short.\nSee https://example.test/why for more.\n\n"+changeID(1), map[string]string{
		"main.go": strings.Replace(goFile, "hello, %s", "good day, %s!", 1),
	})
	w.propose(r, "alice", review.PushOptions{Topic: "manners"})
	return w, r
}

func TestChangePage(t *testing.T) {
	w, _ := hello(t)
	page := w.session("bob").get("/c/1").ok(200)
	if got := page.one("h1"); got != "Greet politely 1" {
		t.Errorf("h1 = %q", got)
	}
	if got := page.one("#why-h"); got != "Ready to land" {
		t.Errorf("box = %q", got)
	}
	for _, want := range []string{"#f0 table.split", "#reply input[name=label.Code-Review]", "template#write", "#act-submit", "#f0R7 button", "td.d mark", "td.a mark"} {
		if len(page.find(want)) == 0 {
			t.Errorf("no %s on the page", want)
		}
	}
	if links := page.find(".desc a"); len(links) != 1 || attr(links[0], "href") != "https://example.test/why" {
		t.Errorf("the address in the message is not one link: %d", len(links))
	}
	if got := page.one("#line"); got != "ready alice main topic manners patch set 1 updated just now" {
		t.Errorf("line %q", got)
	}
	visitor := w.session("").get("/c/1").ok(200)
	for _, never := range []string{"#act-submit", "#reply form", "#f0R7 button", "#write"} {
		if len(visitor.find(never)) != 0 {
			t.Errorf("a visitor sees %s", never)
		}
	}
}

// The box says, for each requirement, its state, why, who, what next and where it is written.
func TestBoxSaysWhy(t *testing.T) {
	w, _ := hello(t)
	w.gate.set(1, []gatekeeper.Requirement{
		{Name: "review", Kind: "gate", State: string(plan.Closed), Reason: "needs an approval", Evidence: "nobody has voted", Who: []string{anyone}, Next: "vote Code-Review+2", Source: "gatehouse.yaml:7"},
		{Name: "unit", Kind: "stage", State: string(plan.Passed), Reason: "passed", StageRun: 5, Next: "nothing"},
		{Name: "submit", Kind: "submit", State: string(plan.Closed), Reason: "nobody has asked to land it yet", Who: []string{"anyone who may submit"}, Next: "gate submit 1"},
	}, nil)
	bob := w.session("bob").get("/c/1").ok(200)
	needs := bob.find("#why .needs li")
	if len(needs) != 3 {
		t.Fatalf("%d requirements", len(needs))
	}
	for i, want := range []string{
		"review closed gatehouse.yaml:7 Needs an approval nobody has voted you can vote Code-Review+2",
		"unit passed Passed log",
		"submit closed Nobody has asked to land it yet you can press Submit above: it lands as soon as every gate is open",
	} {
		if got := wordsOf(needs[i]); got != want {
			t.Errorf("requirement %d:\n got %q\nwant %q", i, got, want)
		}
	}
	if got := attr(bob.find("#why .src")[0], "href"); got != "/hello/-/file/main/gatehouse.yaml#L7" {
		t.Errorf("source leads to %q", got)
	}
	if got := bob.one("#why .summary"); got != "Review: needs an approval" {
		t.Errorf("summary %q", got)
	}
	// Whoever wrote the change is not told that they can approve it.
	if got := wordsOf(w.session("alice").get("/c/1").ok(200).find("#why .needs li")[0]); !strings.HasSuffix(got, anyone+" : vote Code-Review+2") {
		t.Errorf("alice is told %q", got)
	}
}

func TestVoteByForm(t *testing.T) {
	w, _ := hello(t)
	bob := w.session("bob")
	done := bob.post("/c/1/vote", url.Values{"ps": {"1"}, "label.Code-Review": {"2"}, "message": {"Very *polite*."}}).ok(303)
	if got := done.header.Get("Location"); got != "/c/1?done=voted" {
		t.Errorf("Location %q", got)
	}
	page := bob.get("/c/1?done=voted").ok(200)
	if got := page.one(".notice"); got != "Your review is published." {
		t.Errorf("notice %q", got)
	}
	if got := page.one("#votes tbody tr"); got != "bob Code-Review +2" {
		t.Errorf("votes %q", got)
	}
	if got := page.one("#story em"); got != "polite" {
		t.Errorf("message %q", got)
	}
	if got := page.find("#reply input[checked]"); len(got) != 1 || attr(got[0], "value") != "2" {
		t.Errorf("the form does not show the present vote")
	}
	bob.post("/c/1/vote", url.Values{"ps": {"1"}, "label.Code-Review": {"2"}}).ok(400) // nothing new
	bob.post("/c/1/vote", url.Values{"ps": {"1"}, "label.Code-Review": {"0"}}).ok(303)
	if got := bob.get("/c/1").find("#votes tbody tr"); len(got) != 0 {
		t.Errorf("the vote was not taken back")
	}
}

// A line number leads to the same page with a form under that line, without any script.
func TestCommentWithoutScript(t *testing.T) {
	w, _ := hello(t)
	bob := w.session("bob")
	page := bob.get("/c/1?on=main.go&comment=R7&diff=unified").ok(200)
	if len(page.find("tr.talk form.write")) != 1 {
		t.Fatalf("no form in the diff")
	}
	form := url.Values{}
	for _, in := range page.find("form#comment input") {
		if attr(in, "type") != "checkbox" {
			form.Set(attr(in, "name"), attr(in, "value"))
		}
	}
	if form.Get("path") != "main.go" || form.Get("line") != "7" || form.Get("side") != "new" || form.Get("ps") != "1" {
		t.Fatalf("form %v", form)
	}
	form.Set("body", "Why `!`?")
	form.Set("unresolved", "1")
	done := bob.post("/c/1/comment", form).ok(303)
	if got := done.header.Get("Location"); got != "/c/1?diff=unified&done=commented" {
		t.Errorf("Location %q", got)
	}
	page = bob.get("/c/1").ok(200)
	if got := page.one("tr.talk .thread .prose"); got != "Why ! ?" {
		t.Errorf("comment %q", got)
	}
	if len(page.find("tr.talk .thread.open")) != 1 {
		t.Error("the thread does not ask for an answer")
	}
	reply := attr(page.find("tr.talk a[data-reply]")[0], "href")
	alice := w.session("alice")
	answer := alice.get(strings.TrimSuffix(reply, "#comment")).ok(200)
	form = url.Values{"body": {"Because."}}
	for _, in := range answer.find("form#comment input") {
		if attr(in, "type") != "checkbox" {
			form.Set(attr(in, "name"), attr(in, "value"))
		}
	}
	alice.post("/c/1/comment", form).ok(303)
	page = bob.get("/c/1").ok(200)
	if got := len(page.find("tr.talk .thread .note")); got != 2 {
		t.Errorf("%d notes in the thread", got)
	}
	if len(page.find("tr.talk .thread.open")) != 0 {
		t.Error("the answered thread still asks for an answer")
	}
	if got := page.one("#f0 summary .tag"); got != "2" {
		t.Errorf("comments on the file: %q", got)
	}
}

// Nothing that was said is left out of the page, wherever its place went.
func TestCommentsAreNeverLost(t *testing.T) {
	w, r := hello(t)
	ctx := context.Background()
	say := func(ps int, c review.NewComment) {
		w.must(w.web.Review.Vote(ctx, w.actor("bob"), 1, ps, nil, "", []review.NewComment{c}))
	}
	say(1, review.NewComment{Path: "main.go", Line: 7, Body: "on-a-line"})
	say(1, review.NewComment{Path: "main.go", Line: 7, Side: review.SideOld, Body: "on-the-old-line"})
	say(1, review.NewComment{Path: "main.go", Line: 1, Body: "outside-the-hunks"})
	say(1, review.NewComment{Path: "main.go", Body: "on-the-file"})
	say(1, review.NewComment{Path: "README.md", Line: 1, Body: "on-an-unchanged-file"})
	say(1, review.NewComment{Body: "on-the-patch-set"})
	w.git("commit", "-q", "--amend", "-m", "Greet politely\n\nshorter\n\n"+changeID(1))
	w.propose(r, "alice", review.PushOptions{})
	said := []string{"on-a-line", "on-the-old-line", "outside-the-hunks", "on-the-file", "on-an-unchanged-file", "on-the-patch-set"}
	for _, path := range []string{"/c/1", "/c/1?ps=1", "/c/1?ps=1&diff=unified", "/c/1?ps=2&base=1"} {
		page := w.session("").get(path).ok(200)
		var threads []string
		for _, th := range page.find(".thread .prose") {
			threads = append(threads, wordsOf(th))
		}
		for _, want := range said {
			if n := strings.Count(strings.Join(threads, " "), want); n != 1 {
				t.Errorf("%s: %s is there %d times", path, want, n)
			}
		}
	}
	page := w.session("").get("/c/1?ps=1").ok(200)
	if got := page.one(".notice"); !strings.HasPrefix(got, "This is patch set 1. Votes go to the current one") {
		t.Errorf("notice %q", got)
	}
	if got := len(page.find("tr.talk .thread")); got != 3 {
		t.Errorf("%d threads in their places, want 3", got)
	}
}

func TestStackIsShownInOrder(t *testing.T) {
	w, r := hello(t)
	w.commit("alice", "Second\n\n"+changeID(2), map[string]string{"two.txt": "2\n"})
	w.commit("alice", "Third\n\n"+changeID(3), map[string]string{"three.txt": "3\n"})
	w.propose(r, "alice", review.PushOptions{})
	for id, current := range map[int]string{1: "Greet politely", 2: "Second", 3: "Third"} {
		page := w.session("").get(fmt.Sprintf("/c/%d", id)).ok(200)
		var got []string
		for _, li := range page.find(".series li") {
			got = append(got, wordsOf(li))
		}
		if len(got) != 3 || !strings.HasPrefix(got[0], "Third") || !strings.HasPrefix(got[1], "Second") || !strings.HasPrefix(got[2], "Greet politely") {
			t.Errorf("stack of %d: %q", id, got)
		}
		if here := page.one(".series li[aria-current] strong"); here != current {
			t.Errorf("stack of %d stands at %q", id, here)
		}
	}
}

func TestActs(t *testing.T) {
	w, _ := hello(t)
	alice, bob := w.session("alice"), w.session("bob")
	has := func(c *client, id string) bool { return len(c.get("/c/1").ok(200).find("#act-"+id)) == 1 }
	if !has(bob, "submit") || has(bob, "abandon") || has(bob, "withdraw") || !has(alice, "abandon") {
		t.Error("wrong buttons at first")
	}
	bob.post("/c/1/submit", nil).ok(303)
	if has(bob, "submit") || !has(bob, "withdraw") {
		t.Error("wrong buttons after Submit")
	}
	if got := bob.get("/c/1").one("#why-h"); got != "In the queue" {
		t.Errorf("box %q", got)
	}
	alice.post("/c/1/wip", nil).ok(303)
	if has(alice, "submit") || !has(alice, "ready") {
		t.Error("wrong buttons while it is work in progress")
	}
	alice.post("/c/1/ready", nil).ok(303)
	alice.post("/c/1/abandon", nil).ok(303)
	page := alice.get("/c/1").ok(200)
	if got := page.one("#line .pill"); got != "abandoned" {
		t.Errorf("state %q", got)
	}
	if len(page.find("#reply form")) != 0 || len(page.find("#act-restore")) != 1 {
		t.Error("an abandoned change takes votes, or cannot be restored")
	}
	alice.post("/c/1/restore", nil).ok(303)
	if !has(bob, "submit") {
		t.Error("wrong buttons after Restore")
	}
}

// A diff beyond a limit says what is missing and how to see it.
func TestLargeDiffs(t *testing.T) {
	w, r := hello(t)
	w.git("checkout", "-q", "HEAD~1")
	files := map[string]string{
		"large.txt": strings.Repeat("line\n", maxFileLines+1), "go.sum": "x\n", "data.bin": "a\x00b", "moved.go": goFile, "main.go": "", "empty.txt": "x",
	}
	for i := range 7 {
		files[fmt.Sprintf("many/%d.txt", i)] = strings.Repeat("line\n", maxFileLines-1)
	}
	w.commit("alice", "Much\n\n"+changeID(9), files)
	w.propose(r, "alice", review.PushOptions{})
	page := w.session("").get("/c/2").ok(200)
	said := map[string]string{}
	for _, f := range page.find(".file") {
		path := wordsOf(find(f, ".path")[0])
		said[path] = ""
		for _, s := range find(f, ".said span") {
			said[path] = wordsOf(s)
		}
	}
	for path, want := range map[string]string{
		"large.txt": "Large: 1501 changed lines.", "go.sum": "A lock file: 1 changed line.", "data.bin": "Binary file: no lines to compare.", "main.go → moved.go": "Renamed without changes.",
		"many/0.txt": "", "many/6.txt": "1499 changed lines, folded because the page is long already.",
	} {
		if got, ok := said[path]; !ok || got != want {
			t.Errorf("%s: %q, want %q (there: %v)", path, got, want, ok)
		}
	}
	alone := w.session("").get("/c/2?file=large.txt").ok(200)
	if got := len(alone.find("table.code tbody tr")); got != maxFileLines+2 {
		t.Errorf("the large file alone has %d rows", got)
	}
	if got := len(page.find(".file.long")); got == 0 {
		t.Error("no long file is left to be laid out later")
	}
}
