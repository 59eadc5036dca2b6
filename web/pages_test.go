package web

import (
	"net/url"
	"strings"
	"testing"

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
func hello(t testing.TB) (*world, review.Change) {
	t.Helper()
	w := newWorld(t)
	r := w.repo("hello", "alice", false, map[string]string{
		"main.go": goFile, "README.md": "# Hello\n\nSee [the code](main.go) and ![pic](logo.png).\n\n- [x] done\n- [ ] open\n\n```go\nfunc main() {}\n```\n",
		"docs/guide.md": "# Guide\n", "logo.png": "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
	})
	w.commit("alice", "Greet politely\n\nSay good day, because hello is short.\nSee https://example.test/why for more.\n\n"+changeID(1), map[string]string{
		"main.go": strings.Replace(goFile, "hello, %s", "good day, %s!", 1),
	})
	held := w.propose(r, "alice", review.PushOptions{Topic: "manners"})
	return w, held[0].Change
}

func TestChangePage(t *testing.T) {
	w, ch := hello(t)
	page := w.session("bob").get("/c/1").ok(200)
	if got := page.one("h1"); got != "Greet politely 1" {
		t.Errorf("h1 = %q", got)
	}
	if got := page.one("#why-h"); got != "Ready to land" {
		t.Errorf("box = %q", got)
	}
	for _, want := range []string{"#f0", "#f0 table.code", "#reply input[name=label.Code-Review]", "#write", "#act-submit"} {
		if len(page.find(want)) == 0 {
			t.Errorf("no %s on the page", want)
		}
	}
	if links := page.find(".desc a"); len(links) != 1 || attr(links[0], "href") != "https://example.test/why" {
		t.Errorf("the address in the message is not one link: %d", len(links))
	}
	_ = ch
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
}
