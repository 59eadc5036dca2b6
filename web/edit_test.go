package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// editing is a server with change 1 of alice's, which changes a.txt.
func editing(t *testing.T) (*world, repo.Repository) {
	t.Helper()
	w := newWorld(t)
	r := w.repo("hello", "alice", false, map[string]string{"a.txt": "one\n", "dos.txt": "x\r\ny\r\n", "bin": "\x00\x01"})
	w.commit("alice", "Two\n\n"+changeID(1), map[string]string{"a.txt": "two\n"})
	w.propose(r, "alice", review.PushOptions{})
	return w, r
}

// holds is what a file of the current patch set holds; "(none)" when there is none.
func (w *world) holds(r repo.Repository, change int64, path string) string {
	w.t.Helper()
	ch, err := w.web.Review.Load(w.t.Context(), w.web.DB.Read(), change)
	w.must(err)
	ps, err := w.web.Review.PatchSet(w.t.Context(), w.web.DB.Read(), change, ch.Current)
	w.must(err)
	g, err := w.web.Repos.Open(r)
	w.must(err)
	text, err := g.FileAt(w.t.Context(), ps.Commit, path, 1000)
	if err != nil {
		return "(none)"
	}
	return string(text)
}

func TestEditFile(t *testing.T) {
	w, r := editing(t)
	alice := w.session("alice")
	if a := alice.get("/c/1/edit/a.txt"); a.status != http.StatusOK || !strings.Contains(a.body, "\ntwo\n</textarea>") {
		t.Fatalf("%d %s", a.status, a.body)
	}
	steps := []struct {
		path string
		form url.Values
		read string
		want string
	}{
		{"a.txt", url.Values{"ps": {"1"}, "to": {"a.txt"}, "content": {"\r\n three\r\n"}}, "a.txt", "\n three\n"},
		{"dos.txt", url.Values{"ps": {"2"}, "to": {"dos.txt"}, "eol": {"crlf"}, "content": {"x\r\nz\r\n"}}, "dos.txt", "x\r\nz\r\n"},
		{"new/b.txt", url.Values{"ps": {"3"}, "to": {"new/b.txt"}, "content": {"b"}}, "new/b.txt", "b"},
		{"new/b.txt", url.Values{"ps": {"4"}, "to": {"c d?.txt"}, "content": {"c"}}, "c d?.txt", "c"},
		{"c d?.txt", url.Values{"ps": {"5"}, "do": {"delete"}}, "c d?.txt", "(none)"},
		{"bin", url.Values{"ps": {"6"}, "to": {"bin2"}}, "bin2", "\x00\x01"},
	}
	for i, s := range steps {
		a := alice.post(editURL(1, s.path), s.form)
		if a.status != http.StatusSeeOther {
			t.Fatalf("step %d: %d %s", i, a.status, a.body)
		}
		if got := w.holds(r, 1, s.read); got != s.want {
			t.Errorf("step %d: %s holds %q, want %q", i, s.read, got, s.want)
		}
	}
	if got := w.holds(r, 1, "bin"); got != "(none)" {
		t.Errorf("what moved is still there: %q", got)
	}
	if a := alice.get("/c/1"); !strings.Contains(a.body, "Moved bin to bin2") {
		t.Error("the story does not tell")
	}
}

// An edit of a patch set that was replaced meanwhile loses nothing: both texts are shown, and
// saving again goes on from what is current.
func TestEditConflict(t *testing.T) {
	w, r := editing(t)
	alice := w.session("alice")
	if a := alice.post("/c/1/edit/a.txt", url.Values{"ps": {"1"}, "to": {"a.txt"}, "content": {"first\n"}}); a.status != http.StatusSeeOther {
		t.Fatalf("%d %s", a.status, a.body)
	}
	late := url.Values{"ps": {"1"}, "to": {"a.txt"}, "content": {"</textarea><script>late()</script>\n"}}
	a := alice.post("/c/1/edit/a.txt", late)
	if a.status != http.StatusConflict || !strings.Contains(a.body, "&lt;/textarea&gt;&lt;script&gt;late()") || !strings.Contains(a.body, "first") ||
		!strings.Contains(a.body, `name="ps" value="2"`) || strings.Contains(a.body, "<script>late") {
		t.Fatalf("%d %s", a.status, a.body)
	}
	late.Set("ps", "2")
	if a := alice.post("/c/1/edit/a.txt", late); a.status != http.StatusSeeOther || w.holds(r, 1, "a.txt") != "</textarea><script>late()</script>\n" {
		t.Errorf("%d, %q", a.status, w.holds(r, 1, "a.txt"))
	}
	a = alice.post("/c/1/edit", url.Values{"ps": {"1"}, "message": {"Mine"}})
	if a.status != http.StatusConflict || !strings.Contains(a.body, "\nMine\n</textarea>") || !strings.Contains(a.body, "Change-Id: I") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestEditRefuses(t *testing.T) {
	w, _ := editing(t)
	alice := w.session("alice")
	for name, s := range map[string]struct {
		path string
		form url.Values
		code int
		says string
	}{
		"a repository's folder": {"x/.git/config", url.Values{"ps": {"1"}, "to": {"x/.git/config"}, "content": {"kept text"}}, http.StatusConflict, "kept text"},
		"up":                    {"a.txt", url.Values{"ps": {"1"}, "to": {"../../etc/passwd"}, "content": {"kept text"}}, http.StatusBadRequest, "kept text"},
		"the same":              {"a.txt", url.Values{"ps": {"1"}, "to": {"a.txt"}, "content": {"two\r\n"}}, http.StatusConflict, "changes nothing"},
		"delete what is not":    {"none", url.Values{"ps": {"1"}, "do": {"delete"}}, http.StatusNotFound, ""},
		"no patch set":          {"a.txt", url.Values{"to": {"a.txt"}, "content": {"x"}}, http.StatusBadRequest, ""},
	} {
		if a := alice.post(editURL(1, s.path), s.form); a.status != s.code || !strings.Contains(a.body, s.says) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := w.session("bob").get("/c/1/edit"); a.status != http.StatusForbidden {
		t.Errorf("bob may not edit alice's change: %d", a.status)
	}
	if a := alice.post("/c/1/edit", url.Values{"ps": {"1"}, "message": {"X\n\nChange-Id: I0000000000000000000000000000000000000009"}}); a.status != http.StatusBadRequest || !strings.Contains(a.body, "names another change") {
		t.Errorf("another change's message: %d", a.status)
	}
}

func TestActsPages(t *testing.T) {
	w, r := editing(t)
	alice := w.session("alice")
	if a := alice.get("/c/1/acts"); strings.Contains(a.body, "/c/1/move") {
		t.Error("there is no other branch, and it can be moved there")
	}
	w.git("push", "-q", w.dir(r), "HEAD~1:refs/heads/stable")
	r.Gated = append(r.Gated, "stable")
	w.transact(func(tx *db.Tx) error { return w.web.Repos.Update(t.Context(), tx, r) })
	a := alice.get("/c/1/acts")
	for _, want := range []string{"/c/1/rebase", "/c/1/pick", "/c/1/move", "/c/1/topic", "/c/1/hashtags"} {
		if !strings.Contains(a.body, `action="`+want+`"`) {
			t.Errorf("%d: no form for %s", a.status, want)
		}
	}
	for path, form := range map[string]url.Values{"hashtags": {"hashtags": {"#one, two words,one"}}, "topic": {"topic": {"t"}}, "private": {"x": {"y"}}} {
		if a := alice.post("/c/1/"+path, form); a.status != http.StatusSeeOther {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	a = alice.get("/c/1")
	for _, want := range []string{"#one", "#two words", "topic t", ">private<", "/c/1/public", "/c/1/edit"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page does not show %s", want)
		}
	}
	for _, path := range []string{"/c/1", "/c/1/acts", "/c/1/edit", "/c/1/events"} {
		if a := w.session("bob").get(path); a.status != http.StatusNotFound {
			t.Errorf("bob gets %s of a private change: %d", path, a.status)
		}
	}
	if a := w.session("bob").get("/hello/-/changes"); strings.Contains(a.body, "Two") {
		t.Error("a list shows bob a private change")
	}
}
