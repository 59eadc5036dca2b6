package web

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/net/html"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// hostile are texts that attack a reader or a page: markup, attributes, addresses, Markdown,
// template syntax, terminal codes, and characters that hide or reorder.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `</textarea><script>alert(1)</script>`,
	`</title><svg onload=alert(1)>`, `[click](javascript:alert(1))`, `[x](data:text/html,<script>alert(1)</script>)`, `![x](https://evil.test/pixel.png)`,
	`<a href="javascript:alert(1)">x</a>`, `<style>*{display:none}</style>`, `<iframe src=//evil.test></iframe>`, `{{.Secret}} {{printf "%s" .}}`,
	`javascript:alert(1)//http://ok.test`, `<base href=//evil.test>`, `<form action=//evil.test><input name=password>`, "a\u202etxt.exe\u202c", "zero\u200bwidth\u2060joiner\ufeff",
	"\x1b[2J\x1b]0;title\x07bell", "null-like \u0001 and delete \u007f", "tag\U000e0041chars", "<!-- --><script>alert(1)</script>", "]]><script>alert(1)</script>",
	"\u2028line\u2029separators", `&lt;script&gt;&#x202e;`, "http://ok.test/\"onclick=alert(1)", "<details open ontoggle=alert(1)>", "`</code><script>alert(1)</script>`",
	"```html\n</pre><script>alert(1)</script>\n```", `[a]: javascript:alert(1)` + "\n\n[a]", `<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>`,
}

// hostileWorld is a server with every hostile text in every field that a person can fill, and
// the addresses of the pages that show them.
func hostileWorld(t testing.TB) (w *world, paths []string) {
	t.Helper()
	w = newWorld(t)
	ctx := context.Background()
	all := strings.Join(hostile, "\n\n")
	files := map[string]string{"README.md": all, "code.go": "package x\n\n/* " + all + " */\n", "plain.txt": all, "doc.md": all, "page.html": all}
	for i, h := range hostile {
		name := strings.Map(func(r rune) rune {
			if r == '/' || r < ' ' || r == 0x7f {
				return '_'
			}
			return r
		}, h)
		files["odd/"+string(rune('a'+i))+name] = h
	}
	r := w.repo("hostile", "alice", false, files)
	r.Description = strings.TrimSpace(strings.Split(hostile[0]+hostile[1], "\n")[0])
	w.transact(func(tx *db.Tx) error { return w.web.Repos.Update(ctx, tx, r) })
	w.transact(func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE accounts SET full_name = $1, name = $2 WHERE id = $3`, hostile[1]+"\u202e", "bob"+hostile[0]+"\u200b", w.people["bob"].ID)
		return err
	})
	changed := map[string]string{"added.txt": all}
	for name, body := range files {
		changed[name] = body + "\nmore " + hostile[1] + "\n"
	}
	w.git("config", "user.name", "x")
	w.commit("alice", hostile[0]+hostile[15]+"\n\n"+strings.Join(hostile, "\n")+"\n\n"+changeID(1), changed)
	w.propose(r, "alice", review.PushOptions{})
	var comments []review.NewComment
	for i, h := range hostile {
		if strings.ContainsRune(h, 0) {
			continue
		}
		comments = append(comments, review.NewComment{Path: "README.md", Line: i + 1, Body: h}, review.NewComment{Path: "gone" + h, Line: 1, Body: h})
	}
	w.must(w.web.Review.Vote(ctx, w.actor("bob"), 1, 1, map[string]int{"Code-Review": 1}, all, comments))
	w.gate.set(1, []gatekeeper.Requirement{{Name: all, Kind: "gate", State: string(plan.Closed), Reason: all, Evidence: all, Who: []string{all}, Next: all, Source: "gatehouse.yaml:1\"><script>"}},
		[]gatekeeper.Run{{ID: 1, Change: 1, PS: 1, State: gatekeeper.RunRefused, Reason: all, Stages: []gatekeeper.StageRun{{
			ID: 11, Change: 1, Stage: hostile[1], State: plan.Failed, Reason: all, Tests: &plan.Tests{Failed: 1, Cases: []plan.Case{{Package: all, Name: all, Status: plan.CaseFailed, Output: all}}}}}}})
	w.gate.write(11, all+"\n\x1b[31m"+all+"\x1b[0m\n", true)
	for i, h := range append(hostile, all) {
		w.enter(r, time.Hour, int64(100+i), h, h, h, "priority", "5")
	}
	w.enter(r, time.Hour, 1, all, all, all)
	w.tell(r, 0, "queue.held", 1, "by", all, "reason", all)
	w.tell(r, 0, "queue.priority", 100, "priority", "2000", "by", all, "reason", all)
	w.tell(r, 0, "queue.frozen", 0, "by", all, "reason", all)
	run := w.trial(r, 0, "101.1", "", "base", all, "commit", all)
	w.tell(r, 0, "stage.ended", 101, "run", run, "stage", all, "state", all, "stage_run", "11")
	w.tell(r, 0, "run.ended", 101, "run", run, "state", "REFUSED", "reason", all)
	w.tell(r, 0, "queue.ejected", 102, "reason", all, "words", all)
	w.tell(r, 0, "queue.landed", 103, "commit", all)
	w.gate.flaky = gatekeeper.FlakeReport{Stages: []gatekeeper.FlakeCount{{Stage: all}}, Tests: []gatekeeper.FlakeCount{{Stage: all, Test: all}},
		Quarantines: []gatekeeper.QuarantineState{{Branch: all, Stage: all, Owner: all, Until: "2026-12-24", Reason: all, State: gatekeeper.QuarantineOver}}}
	w.transact(func(tx *db.Tx) error {
		_, err := w.web.Accounts.NewToken(ctx, tx, w.people["bob"].ID, account.APIToken, hostile[1], 0)
		return err
	})
	head := w.git("rev-parse", "HEAD")
	paths = []string{"/", "/repositories", "/hostile", "/hostile/-/tree/main/odd", "/hostile/-/log", "/hostile/-/branches", "/hostile/-/changes", "/hostile/-/queue/main", "/hostile/-/flakes",
		"/hostile/-/commit/" + head, "/hostile/-/commit/" + head + "?diff=unified", "/c/1", "/c/1?diff=unified", "/c/1?comment=README.md:3", "/c/1?comment=" + url.QueryEscape(hostile[1]+":1"),
		"/stage/11/log", "/settings", "/hostile/-/file/main/code.go", "/hostile/-/file/main/doc.md", "/hostile/-/file/main/doc.md?view=source", "/hostile/-/file/main/plain.txt", "/hostile/-/file/main/page.html",
		"/nowhere/" + url.PathEscape(hostile[1]), "/signin?next=" + url.QueryEscape(hostile[1]), "/?done=" + url.QueryEscape(hostile[0])}
	for name := range files {
		if strings.HasPrefix(name, "odd/") && honest(name) {
			paths = append(paths, repoURL("hostile", "file", "main", name))
		}
	}
	return w, paths
}

// TestHostileTextIsInert looks at every page as a parser sees it (attack list W1).
func TestHostileTextIsInert(t *testing.T) {
	w, paths := hostileWorld(t)
	for _, who := range []string{"", "bob"} {
		c := w.session(who)
		for _, path := range paths {
			a := c.get(path)
			if a.status >= 500 {
				t.Errorf("%s as %q: status %d", path, who, a.status)
			}
			inert(t, path, a.page())
		}
	}
	seen := w.session("bob").get("/c/1").ok(200)
	for _, want := range []string{"U+202E", "U+200B", "<script>alert(1)</script>", "onerror=alert(1)"} {
		if !strings.Contains(wordsOf(seen.page()), want) {
			t.Errorf("%s is not shown at all", want)
		}
	}
	a := w.session("").post("/signin", url.Values{"name": {hostile[1]}, "password": {hostile[0]}, "next": {hostile[11]}})
	inert(t, "sign-in form", a.page())
}

// inert fails for anything on a page that could act, lead astray or hide.
func inert(t testing.TB, where string, page *html.Node) {
	t.Helper()
	for n := range page.Descendants() {
		if n.Type == html.TextNode {
			if bad := firstHidden(n.Data); bad != "" && (n.Parent == nil || n.Parent.Data != "textarea") {
				t.Errorf("%s: text with a bare %s: %.80q", where, bad, n.Data)
			}
			continue
		}
		if n.Type == html.CommentNode {
			t.Errorf("%s: a comment: %.80q", where, n.Data)
		}
		if n.Type != html.ElementNode {
			continue
		}
		checkElement(t, where, n)
	}
}

func checkElement(t testing.TB, where string, n *html.Node) {
	t.Helper()
	switch n.Data {
	case "script":
		if !strings.HasPrefix(attr(n, "src"), "/static/") || n.FirstChild != nil {
			t.Errorf("%s: a script that is not ours", where)
		}
	case "style", "iframe", "object", "embed", "base", "math", "foreignobject":
		t.Errorf("%s: <%s>", where, n.Data)
	case "form":
		if to := attr(n, "action"); to != "" && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//")) {
			t.Errorf("%s: a form to %q", where, to)
		}
	}
	for _, a := range n.Attr {
		value := strings.ToLower(strings.TrimSpace(a.Val))
		switch {
		case strings.HasPrefix(a.Key, "on"), a.Key == "style", a.Key == "srcdoc":
			t.Errorf("%s: <%s %s=%q>", where, n.Data, a.Key, a.Val)
		case a.Key == "href" || a.Key == "src" || a.Key == "action":
			u, err := url.Parse(value)
			if err != nil || u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "mailto" {
				t.Errorf("%s: <%s %s=%q>", where, n.Data, a.Key, a.Val)
			} else if a.Key == "src" && (u.Host != "" || u.Scheme != "") {
				t.Errorf("%s: loads %q from elsewhere", where, a.Val)
			}
		case a.Key == "value", strings.HasPrefix(a.Key, "data-"): // given back as they were
		default:
			if bad := firstHidden(a.Val); bad != "" {
				t.Errorf("%s: <%s %s> with a bare %s", where, n.Data, a.Key, bad)
			}
		}
	}
}

// firstHidden names the first character that a reader would not see.
func firstHidden(s string) string {
	for i, r := range s {
		if hidden(r) {
			return mark(r, s[i:i+utf8.RuneLen(r)])
		}
	}
	return ""
}

func FuzzTextIsInert(f *testing.F) {
	for _, h := range hostile {
		f.Add(h)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var term terminal
		colors, _ := highlight(t.Context(), "x.md", text)
		for line := range strings.SplitSeq(text, "\n") {
			term.writeLine(line)
		}
		for name, out := range map[string]string{
			"visible": string(visible(text)), "message": string(message(text)), "terminal": term.b.String(),
			"comment":  string(markdown(t.Context(), text, place{})),
			"document": string(markdown(t.Context(), text, place{Repo: "r", Rev: "main"})),
			"code":     fileTable(text, colors, nil),
		} {
			n, err := html.Parse(strings.NewReader("<body>" + out))
			if err != nil {
				t.Fatal(err)
			}
			inert(t, name, n)
		}
	})
}
