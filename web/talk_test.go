package web

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gatehouse/review"
)

func (w *world) say(who string, n review.NewComment) {
	w.t.Helper()
	w.must(w.web.Review.Publish(context.Background(), w.actor(who), 1, review.Review{Comments: []review.NewComment{n}}))
}

// texts are the words of every node that a selector finds.
func (a answer) texts(selector string) (all []string) {
	for _, n := range a.find(selector) {
		all = append(all, wordsOf(n))
	}
	return all
}

// A draft is written, found again after signing out, edited, and published with the review.
func TestDraftsOnThePage(t *testing.T) {
	w, _ := hello(t)
	bob := w.session("bob")
	form := url.Values{"ps": {"1"}, "path": {"main.go"}, "side": {"new"}, "start": {"6"}, "line": {"7"}, "body": {"Both *lines*?"}, "unresolved": {"1"}, "do": {"draft"}}
	done := bob.post("/c/1/comment", form).ok(303)
	if got := done.header.Get("Location"); !strings.HasPrefix(got, "/c/1?done=drafted#draft-") {
		t.Errorf("Location %q", got)
	}
	bob = w.session("bob") // another browser
	page := bob.get("/c/1").ok(200)
	if got := page.one("tr.talk .note.draft .prose em"); got != "lines" {
		t.Errorf("draft %q", got)
	}
	if got := page.one("#reply input[name=drafts]"); got != "" || len(page.find("#reply input[name=drafts]")) != 1 {
		t.Error("the review does not say that it publishes the draft")
	}
	if got := page.texts("#threads .choice a"); !slices.Equal(got, []string{"Open 0", "All 0", "Mine 0", "Drafts 1"}) {
		t.Errorf("filters %q", got)
	}
	for _, other := range []string{"alice", "", "admin"} {
		if page := w.session(other).get("/c/1?threads=drafts").ok(200); strings.Contains(page.body, "Both") {
			t.Errorf("%q sees a draft of bob's", other)
		}
	}
	edit := attr(page.find(".note.draft a.button")[0], "href")
	page = bob.get(strings.TrimSuffix(edit, "#comment")).ok(200)
	if got := page.one(".note.draft textarea"); got != "Both *lines*?" {
		t.Errorf("the form holds %q", got)
	}
	id := attr(page.find(".note.draft input[name=draft]")[0], "value")
	bob.post("/c/1/draft", url.Values{"draft": {id}, "body": {"Both?"}, "unresolved": {"1"}, "do": {"save"}}).ok(303)
	w.session("alice").post("/c/1/draft", url.Values{"draft": {id}, "do": {"drop"}}).ok(404)

	bob.post("/c/1/vote", url.Values{"ps": {"1"}, "label.Code-Review": {"-1"}, "drafts": {"1"}}).ok(303)
	page = w.session("alice").get("/c/1").ok(200)
	if got := page.texts("tr.talk .thread.open .prose"); !slices.Equal(got, []string{"Both?"}) {
		t.Errorf("published %q", got)
	}
	if got := page.texts("#threads .thread-list a"); len(got) != 1 || !strings.Contains(got[0], "main.go, lines 6 to 7") {
		t.Errorf("threads %q", got)
	}
	if got := page.one("#line a"); got != "1 open thread" {
		t.Errorf("the head says %q", got)
	}

	// "Done" is a draft too, and resolves when it is published
	alice := w.session("alice")
	root := attr(page.find("tr.talk .thread input[name=reply_to]")[0], "value")
	alice.post("/c/1/comment", url.Values{"ps": {"1"}, "reply_to": {root}, "do": {"done"}}).ok(303)
	if got := alice.get("/c/1").one(".note.draft .tag"); got != "draft, resolves" {
		t.Errorf("draft %q", got)
	}
	alice.post("/c/1/vote", url.Values{"ps": {"1"}, "drafts": {"1"}}).ok(303)
	page = alice.get("/c/1").ok(200)
	if got := page.texts("details.thread summary"); len(got) != 1 || !strings.HasPrefix(got[0], "resolved bob: Both?") {
		t.Errorf("resolved %q", got)
	}
	if got := page.one("#threads .empty"); got != "Every thread is resolved." {
		t.Errorf("the list says %q", got)
	}
}

// Drafts can be published when the change takes no votes any more.
func TestDraftsOnAClosedChange(t *testing.T) {
	w, _ := hello(t)
	bob := w.session("bob")
	bob.post("/c/1/comment", url.Values{"ps": {"1"}, "body": {"late"}, "do": {"draft"}}).ok(303)
	w.session("alice").post("/c/1/abandon", nil).ok(303)
	page := bob.get("/c/1").ok(200)
	if got := page.one("#reply button"); got != "Publish drafts" {
		t.Errorf("the form offers %q", got)
	}
	bob.post("/c/1/vote", url.Values{"ps": {"1"}, "drafts": {"1"}}).ok(303)
	if got := w.session("").get("/c/1").texts(".thread .prose"); !slices.Equal(got, []string{"late"}) {
		t.Errorf("published %q", got)
	}
}

// On a later patch set threads stand where their lines went, and say so.
func TestThreadsFollowTheirLines(t *testing.T) {
	w, r := hello(t)
	w.say("bob", review.NewComment{Path: "main.go", Line: 7, Body: "on-the-changed-line", Unresolved: true})
	w.say("bob", review.NewComment{Path: "main.go", Line: 11, Body: "on-a-line-that-moves", Unresolved: true})
	w.say("bob", review.NewComment{Path: "main.go", Line: 5, Body: "on-a-line-that-goes", Unresolved: true})
	w.say("bob", review.NewComment{Path: "README.md", Line: 3, Body: "on-a-file-that-goes", Unresolved: true})
	w.say("bob", review.NewComment{Path: review.CommitMessage, Line: 3, Body: "on-the-message", Unresolved: true})
	w.say("bob", review.NewComment{Body: "on-the-whole", Unresolved: true})
	second := strings.Replace(goFile, "hello, %s", "a very good day, %s!", 1)
	second = strings.Replace(second, "// greet says hello to somebody.\n", "", 1)
	second = strings.Replace(second, "func main() {\n", "// main greets.\nfunc main() {\n\t// the world\n", 1)
	w.git("rm", "-q", "README.md")
	w.git("reset", "-q", "--soft", "HEAD~1")
	w.commit("alice", "Greet politely\n\nNew first words.\nSay good day, because hello is short.\n\n"+changeID(1), map[string]string{"main.go": second})
	w.propose(r, "alice", review.PushOptions{})
	page := w.session("alice").get("/c/1?diff=unified").ok(200)
	for body, want := range map[string]struct{ row, origin string }{
		"on-the-changed-line":  {"6", "patch set 1 · main.go, line 7 the line was changed since return fmt.Sprintf(\"good day, %s!\", name)"},
		"on-a-line-that-moves": {"12", "patch set 1 · main.go, line 11"},
		"on-a-line-that-goes":  {"4", "patch set 1 · main.go, line 5 the line is gone // greet says hello to somebody."},
		"on-a-file-that-goes":  {"", "patch set 1 · README.md, line 3 the file is gone"},
		"on-the-message":       {"4", "patch set 1 · commit message, line 3"},
		"on-the-whole":         {"", "patch set 1 · the patch set"},
	} {
		found := 0
		for _, th := range page.find(".thread") {
			if prose := find(th, ".prose"); len(prose) == 0 || wordsOf(prose[0]) != body {
				continue
			}
			found++
			head := find(th, ".origin")
			if len(head) != 1 || wordsOf(head[0]) != want.origin {
				t.Errorf("%s: its head is %q", body, wordsOf(th))
			}
			if link := find(th, ".origin a"); len(link) != 1 || !strings.HasPrefix(attr(link[0], "href"), "/c/1?ps=1#comment-") {
				t.Errorf("%s does not lead back", body)
			}
			row := th.Parent
			for row != nil && row.Data != "tr" {
				row = row.Parent
			}
			got := ""
			if row != nil {
				prev := row.PrevSibling
				for prev != nil && (prev.Data != "tr" || len(find(prev, ".n")) == 0 || attr(prev, "class") == "talk") {
					prev = prev.PrevSibling
				}
				if prev != nil {
					numbers := find(prev, ".n")
					got = wordsOf(numbers[len(numbers)-1])
				}
			}
			if got != want.row {
				t.Errorf("%s stands below line %q, want %q", body, got, want.row)
			}
		}
		if found != 1 {
			t.Errorf("%s is there %d times", body, found)
		}
	}
	// the first patch set shows them where they were written
	page = w.session("").get("/c/1?ps=1&base=0").ok(200)
	if got := page.texts(".thread .origin"); len(got) != 1 || !strings.HasPrefix(got[0], "README.md") {
		t.Errorf("on its own patch set a thread says %q", got)
	}
}

const suggested = "Better:\n```suggestion\n\treturn fmt.Sprintf(\"good morning, %s!\", name)\n```\nor so"

// A suggestion is a small difference, and makes a patch set when it is applied.
func TestSuggestionsOnThePage(t *testing.T) {
	w, _ := hello(t)
	w.say("bob", review.NewComment{Path: "main.go", Line: 7, Body: suggested, Unresolved: true})
	w.say("bob", review.NewComment{Path: "main.go", StartLine: 10, Line: 12, Body: "```suggestion\n```"})
	w.say("bob", review.NewComment{Path: "main.go", Body: "```suggestion\nnowhere\n```"})
	alice := w.session("alice")
	page := alice.get("/c/1").ok(200)
	if got := page.texts("tr.talk .suggest .d"); !slices.Equal(got, []string{`− return fmt.Sprintf("good day , %s!", name)`, "− func main() {", `− fmt.Println(greet("world"))`, "− }"}) {
		t.Errorf("taken out %q", got)
	}
	if got := page.texts("tr.talk .suggest .a"); !slices.Equal(got, []string{`+ return fmt.Sprintf("good morning , %s!", name)`}) {
		t.Errorf("put in %q", got)
	}
	if got := page.texts("tr.talk .prose"); !slices.Equal(got, []string{"Better:", "or so"}) {
		t.Errorf("text %q", got)
	}
	if got := page.texts("figcaption .state"); !slices.Equal(got, []string{"it stands on no lines, so it replaces none"}) {
		t.Errorf("said %q", got)
	}
	if n := len(page.find("input.pick")); n != 2 || len(page.find("form#apply")) != 1 {
		t.Errorf("%d suggestions can be picked", n)
	}
	for _, who := range []string{"carol", ""} {
		if page := w.session(who).get("/c/1").ok(200); len(page.find("input.pick"))+len(page.find("form#apply")) != 0 {
			t.Errorf("%q is offered to apply", who)
		}
	}
	only := attr(page.find(".suggest button")[0], "value")
	w.session("carol").post("/c/1/apply", url.Values{"ps": {"1"}, "only": {only}}).ok(403)
	alice.post("/c/1/apply", url.Values{"ps": {"1"}, "pick": {"x"}}).ok(400)
	alice.post("/c/1/apply", url.Values{"ps": {"1"}}).ok(400)
	all := url.Values{"ps": {"1"}}
	for _, box := range page.find("input.pick") {
		all.Add("pick", attr(box, "value"))
	}
	alice.post("/c/1/apply", all).ok(303)
	page = alice.get("/c/1").ok(200)
	if got := page.texts("#f0 td.c.a"); len(got) == 0 || !strings.Contains(got[0], "good morning") {
		t.Errorf("the new patch set has %q", got)
	}
	if got := page.texts("#line"); !strings.Contains(got[0], "patch set 2") {
		t.Errorf("head %q", got)
	}
	if got := page.texts("figcaption .state"); !slices.Contains(got, "applied in patch set 2") {
		t.Errorf("the suggestion says %q", got)
	}
	if got := page.texts("details.thread .note .prose"); !slices.Contains(got, "Applied in patch set 2.") {
		t.Errorf("the thread says %q", got)
	}
	answer := alice.post("/c/1/apply", url.Values{"ps": {"1"}, "only": {only}}).ok(409)
	if !strings.Contains(answer.body, "is not the current one") {
		t.Error("the refusal does not say why")
	}
}

// The form of a suggestion begins with the lines as they are.
func TestSuggestingWithoutScript(t *testing.T) {
	w, _ := hello(t)
	bob := w.session("bob")
	page := bob.get("/c/1?on=main.go&comment=R7&start=6").ok(200)
	link := attr(page.find("#comment a[data-suggest]")[0], "href")
	page = bob.get(strings.TrimSuffix(link, "#comment")).ok(200)
	if got := page.find("#comment textarea")[0].FirstChild.Data; got != "```suggestion\nfunc greet(name string) string {\n\treturn fmt.Sprintf(\"good day, %s!\", name)\n```\n" {
		t.Errorf("the form begins with %q", got)
	}
	if start := attr(page.find("#comment input[name=start]")[0], "value"); start != "6" {
		t.Errorf("the form begins at line %s", start)
	}
	if page = bob.get("/c/1?on=main.go&comment=L7").ok(200); len(page.find("#comment a[data-suggest]")) != 0 {
		t.Error("the old side takes suggestions")
	}
	if got := suggestionOf([]string{"a", "```go", "````"}); got != "`````suggestion\na\n```go\n````\n`````\n" {
		t.Errorf("a suggestion of fences is %q", got)
	}
}

// A comment with hundreds of suggestions, each on a whole file, is a page of a size.
func TestManySuggestionsAreBounded(t *testing.T) {
	w, r := hello(t)
	w.commit("alice", "Count\n\n"+changeID(2), map[string]string{"long.txt": strings.Repeat("a line of words that are many and long\n", 5000)})
	w.propose(r, "alice", review.PushOptions{})
	w.must(w.web.Review.Publish(context.Background(), w.actor("bob"), 2, review.Review{Comments: []review.NewComment{
		{Path: "long.txt", StartLine: 1, Line: 5000, Body: strings.Repeat("```suggestion\nx\n```\n", 700)}}}))
	page := w.session("alice").get("/c/2?file=main.go").ok(200)
	if n := len(page.find(".suggest")); n != 700 {
		t.Errorf("%d suggestions", n)
	}
	if n := len(page.find(".suggest .d")); n != maxCompared*(maxSuggestedLines+1) {
		t.Errorf("%d replaced lines are shown", n)
	}
	if got := page.texts(".suggest .d")[maxSuggestedLines]; got != "4920 more lines" {
		t.Errorf("the last line is %q", got)
	}
}

// Whoever is called becomes a link, nobody else.
func TestMentionsAreLinks(t *testing.T) {
	for body, want := range map[string]string{
		"ask @bob.":                 `<p>ask <a class="mention" href="` + strings.ReplaceAll(mentionURL("bob"), "&", "&amp;") + `" rel="nofollow">@bob</a>.</p>`,
		"ask @nobody, x@bob":        `<p>ask @nobody, x@bob</p>`,
		"`@bob`":                    `<p><code>@bob</code></p>`,
		"[see @bob](http://x.test)": `<p><a href="http://x.test" rel="nofollow">see @bob</a></p>`,
	} {
		if got := strings.TrimSpace(string(typed(context.Background(), body, people{"bob": true}))); got != want {
			t.Errorf("%q became\n%s\nwant\n%s", body, got, want)
		}
	}
}

// What looks like markup in a comment is a part of the sentence.
func TestMarkupIsText(t *testing.T) {
	for body, want := range map[string]string{
		"a vector<int> of <b>":          `<p>a vector&lt;int&gt; of &lt;b&gt;</p>`,
		"<div>\nblock</div>\n\nrest":    "<p>&lt;div&gt;<br>\nblock&lt;/div&gt;</p>\n<p>rest</p>",
		"<!-- hidden -->":               `<p>&lt;!-- hidden --&gt;</p>`,
		"<script>\nalert(1)\n</script>": "<p>&lt;script&gt;<br>\nalert(1)<br>\n&lt;/script&gt;</p>",
	} {
		if got := strings.TrimSpace(string(typed(context.Background(), body, nil))); got != want {
			t.Errorf("%q became\n%s\nwant\n%s", body, got, want)
		}
	}
}

// What drafts and suggestions hold is inert, and hidden characters in it are marked.
func TestHostileSuggestionsAreInert(t *testing.T) {
	w, r := hello(t)
	for i, h := range hostile {
		if !strings.Contains(h, "```") && !strings.ContainsRune(h, 0) {
			w.say("bob", review.NewComment{Path: "main.go", Line: 7, Body: "```suggestion\n" + h + "\n```\n"})
			_, err := w.web.Review.SaveDraft(context.Background(), w.actor("alice"), 1, review.NewComment{Path: "main.go", Line: 1 + i%5, Body: h})
			w.must(err)
		}
	}
	for _, odd := range append([]string{"main.go\u202e<b>", "../up", "/etc/passwd", "a//b", "a/", ":(glob)*", "\"q\"\n", ".git/config"}, hostile...) {
		if !strings.ContainsRune(odd, 0) {
			w.say("bob", review.NewComment{Path: odd, Line: 7, Body: "odd place"})
			w.say("bob", review.NewComment{Path: odd, Side: review.SideOld, Line: 7, Body: "odd place"})
		}
	}
	w.say("bob", review.NewComment{Path: "main.go", Line: 7, Body: "```suggestion\na\u202eb\u200b\n```"})
	for _, path := range []string{"/c/1?threads=all", "/c/1?threads=drafts&diff=unified", "/c/1?draft=1", "/c/1?quote=1&reply=1"} {
		page := w.session("alice").get(path).ok(200)
		inert(t, path, page.page())
		if strings.ContainsAny(page.body, "\u202e\u200b\u2060") {
			t.Errorf("%s: a hidden character reaches the page", path)
		}
	}
	w.git("commit", "-q", "--amend", "-m", "Greet\n\n"+changeID(1)) // and carried to another patch set
	w.propose(r, "alice", review.PushOptions{})
	inert(t, "carried", w.session("alice").get("/c/1").ok(200).page())
	page := w.session("alice").get("/c/1?ps=1").ok(200)
	found := false
	for _, line := range page.find(".suggest .a") {
		found = found || wordsOf(line) == "+ a U+202E b U+200B"
	}
	if !found {
		t.Error("hidden characters of a suggestion are not marked")
	}
}

// The list of threads filters, and its links lead to the threads.
func TestListOfThreads(t *testing.T) {
	w, _ := hello(t)
	w.say("bob", review.NewComment{Path: "main.go", Line: 7, Body: "open", Unresolved: true})
	w.say("carol", review.NewComment{Path: "main.go", Line: 5, Body: "said"})
	w.say("carol", review.NewComment{Body: "whole", Unresolved: true})
	for query, want := range map[string]int{"": 2, "?threads=open": 2, "?threads=all": 3, "?threads=mine": 1, "?threads=drafts": 0, "?threads=x": 2} {
		page := w.session("bob").get("/c/1" + query).ok(200)
		rows := page.find("#threads .thread-list a")
		if len(rows) != want {
			t.Errorf("%q lists %d", query, len(rows))
		}
		for _, a := range rows {
			if id := strings.TrimPrefix(attr(a, "href"), "#"); len(page.find("#"+id)) != 1 {
				t.Errorf("%q: %s leads nowhere", query, id)
			}
		}
	}
	page := w.session("bob").get("/c/1?comment=" + wholeSet).ok(200)
	if len(page.find("#comment textarea")) != 1 || len(page.find("#comment input[type=number]")) != 0 {
		t.Error("no form for the patch set as a whole")
	}
	page = w.session("bob").get(fmt.Sprintf("/c/1?reply=%s&quote=1", attr(page.find(".thread input[name=reply_to]")[0], "value"))).ok(200)
	if got := page.one("#comment textarea"); got != "> open" {
		t.Errorf("the answer quotes %q", got)
	}
}
