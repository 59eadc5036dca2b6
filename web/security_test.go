package web

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"gatehouse/gitserver/account"
	"gatehouse/migrations/db"
)

// Every answer, refusals too, tells browsers to help no attacker (OWASP ASVS 5.0, 3.4).
func TestHeadersOnEveryRoute(t *testing.T) {
	w, _, commit := closed(t)
	all := samples(commit)
	all["missing"] = sample{path: "/no/such/place/at/all"}
	for _, who := range []string{"", "bob"} {
		c := w.session(who)
		for name, s := range all {
			if s.stream {
				continue
			}
			a := c.get(s.path) // of a form's address this is the wrong method: an answer like any other
			for header, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY",
				"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
			} {
				if got := a.header.Get(header); got != want {
					t.Errorf("%s as %q: %s is %q, want %q", name, who, header, got, want)
				}
			}
			csp := a.header.Get("Content-Security-Policy")
			if !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
				t.Errorf("%s as %q: policy %q", name, who, csp)
			}
			if !strings.Contains(strings.Join(a.header.Values("Vary"), ","), "Cookie") {
				t.Errorf("%s as %q: no Vary: Cookie", name, who)
			}
			// A shared cache must never hold a page that was made for somebody (attack list W7).
			want := "no-cache"
			if who != "" && name != "asset" {
				want = "private, no-store"
			}
			if got := a.header.Get("Cache-Control"); got != want {
				t.Errorf("%s as %q: Cache-Control %q, want %q", name, who, got, want)
			}
		}
	}
}

// Forms of other sites are not taken, whatever the browser says or leaves out (W2).
func TestForeignFormsAreRefused(t *testing.T) {
	w, _, _ := closed(t)
	c := w.session("alice")
	for _, from := range []struct {
		name, origin, site string
		ok                 bool
	}{
		{name: "our page", origin: w.server.URL, site: "same-origin", ok: true},
		{name: "our page, older browser", origin: w.server.URL, ok: true},
		{name: "our page, origin withheld", origin: "null", site: "same-origin", ok: true},
		{name: "other site", origin: "https://evil.test", site: "cross-site"},
		{name: "other site, older browser", origin: "https://evil.test"},
		{name: "sandboxed frame", origin: "null", site: "cross-site"},
		{name: "sandboxed frame, older browser", origin: "null"},
		{name: "neighbour's subdomain", origin: "http://other.gate.test", site: "same-site"},
		{name: "nothing said"},
	} {
		for _, path := range []string{"/c/1/wip", "/signin", "/signout", "/settings/tokens"} {
			req, err := http.NewRequest(http.MethodPost, w.server.URL+path, strings.NewReader("label=x&days=1&name=x&password=x"))
			w.must(err)
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if from.origin != "" {
				req.Header.Set("Origin", from.origin)
			}
			if from.site != "" {
				req.Header.Set("Sec-Fetch-Site", from.site)
			}
			a := (&client{w: w, secret: w.session("alice").secret}).do(req)
			if refused := a.status == http.StatusForbidden; refused == from.ok {
				t.Errorf("%s to %s: status %d, want refused %v", from.name, path, a.status, !from.ok)
			}
		}
	}
	if got := c.get("/c/1").one("#line"); !strings.Contains(got, "work in progress") {
		t.Errorf("our own form did nothing: %s", got)
	}
}

// Nothing changes on GET: the addresses of forms do not take it, unless a page of its own is there.
func TestGetChangesNothing(t *testing.T) {
	w, _, commit := closed(t)
	c := w.session("alice")
	for _, rt := range routes() {
		page := slices.ContainsFunc(routes(), func(r route) bool { return r.path == rt.path && r.method == http.MethodGet })
		if rt.method != http.MethodPost || page {
			continue
		}
		if a := c.get(samples(commit)[rt.name].path); a.status != http.StatusMethodNotAllowed && a.status != http.StatusNotFound {
			t.Errorf("GET of %s: %d", rt.name, a.status)
		}
	}
}

func TestSafeNext(t *testing.T) {
	for next, want := range map[string]string{
		"/c/1?ps=2#f1": "/c/1?ps=2#f1", "/": "/", "": "/", "/team/hello/-/file/main/a%20b": "/team/hello/-/file/main/a%20b",
		"//evil.test": "/", `/\evil.test`: "/", `\\evil.test`: "/", "https://evil.test": "/", "javascript:alert(1)": "/", "/\t/evil.test": "/",
		"/\n/evil.test": "/", " //evil.test": "/", "/a\\b": "/", "evil.test": "/", "/signin?next=/": "/", "/signout": "/", "/%zz": "/", "@evil.test": "/",
	} {
		if got := safeNext(next); got != want {
			t.Errorf("safeNext(%q) = %q, want %q", next, got, want)
		}
	}
}

func TestSigninLeadsBackAndRotatesTheSession(t *testing.T) {
	w, _, _ := closed(t)
	before := w.session("bob")
	form := url.Values{"name": {"alice"}, "password": {password}, "next": {"//evil.test"}}
	a := before.post("/signin", form).ok(303)
	if got := a.header.Get("Location"); got != "/" {
		t.Errorf("Location %q", got)
	}
	cookies := (&http.Response{Header: a.header}).Cookies()
	if len(cookies) != 1 {
		t.Fatalf("%d cookies", len(cookies))
	}
	cookie := cookies[0]
	if cookie.Name != "gate_session" || !cookie.HttpOnly || cookie.Secure || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" {
		t.Errorf("cookie over plain HTTP: %v", cookie)
	}
	if cookie.Value == before.secret {
		t.Error("the session kept its secret over signing in")
	}
	before.get("/settings").ok(303) // the session of before has ended
	after := &client{w: w, secret: cookie.Value}
	if got := after.get("/settings").ok(200).one("h1"); got != "alice" {
		t.Errorf("signed in as %q", got)
	}
	after.post("/signout", nil).ok(303)
	after.get("/settings").ok(303)
}

func TestSecureCookieOverTLS(t *testing.T) {
	w := newWorld(t)
	router := mux.NewRouter()
	secure := &Web{DB: w.web.DB, Accounts: w.web.Accounts, Repos: w.web.Repos, Review: w.web.Review, Gate: w.gate, Mirrors: w.web.Mirrors,
		Bus: w.web.Bus, Now: w.clock, Log: w.web.Log, URL: "https://gate.test"}
	secure.Routes(router)
	req := httptest.NewRequest(http.MethodPost, "/signin", strings.NewReader(url.Values{"name": {"alice"}, "password": {password}}.Encode()))
	req.Host = "behind.proxy:8080" // the proxy rewrote it; the configured address still counts as ours
	req.Header.Set("Origin", "https://gate.test")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	router.ServeHTTP(rec, req)
	cookies := rec.Result().Cookies()
	if rec.Code != 303 || len(cookies) != 1 || cookies[0].Name != "__Host-gate" || !cookies[0].Secure || !cookies[0].HttpOnly {
		t.Errorf("status %d, cookies %v", rec.Code, cookies)
	}
	if got := rec.Header().Get("Strict-Transport-Security"); got != "max-age=31536000" {
		t.Errorf("HSTS %q", got)
	}
}

func TestSigninRefusalsLookTheSame(t *testing.T) {
	w := newWorld(t)
	c := w.session("")
	var bodies []string
	for _, form := range []url.Values{
		{"name": {"alice"}, "password": {"wrong"}}, {"name": {"nobody"}, "password": {password}}, {"name": {"bob"}, "password": {""}},
	} {
		form.Set("next", "/c/1")
		a := c.post("/signin", form).ok(401)
		bodies = append(bodies, a.one(".notice"))
		if got := attr(a.find("[name=next]")[0], "value"); got != "/c/1" {
			t.Errorf("the way back is lost: %q", got)
		}
	}
	if bodies[0] != bodies[1] || bodies[1] != bodies[2] {
		t.Errorf("the answers tell accounts apart: %q", bodies)
	}
}

func TestSigninIsSlowedDown(t *testing.T) {
	w := newWorld(t)
	c := w.session("")
	try := func(name string) int {
		return c.post("/signin", url.Values{"name": {name}, "token": {"gate_wrong"}}).status
	}
	for i := range nameBurst {
		if got := try("alice"); got != 401 {
			t.Fatalf("attempt %d: %d", i, got)
		}
	}
	if got := try("alice"); got != 503 {
		t.Errorf("after %d attempts on a name: %d, want 503", nameBurst, got)
	}
	if got := try("bob"); got != 401 {
		t.Errorf("another name: %d, want 401", got)
	}
	w.pass(2 * nameEvery)
	if got := try("alice"); got != 401 {
		t.Errorf("after a pause: %d, want 401", got)
	}
}

// A program that opens links to show a preview of them must not use the link up.
func TestLinkIsUsedOnlyByItsButton(t *testing.T) {
	w := newWorld(t)
	var secret string
	w.transact(func(tx *db.Tx) (err error) {
		secret, err = w.web.Accounts.NewToken(context.Background(), tx, w.people["carol"].ID, account.SigninToken, "", 0)
		return err
	})
	c := w.session("")
	for range 3 {
		if got := c.get("/signin/" + secret).ok(200).one("form button"); !strings.HasPrefix(got, "Sign") {
			t.Errorf("button %q", got)
		}
	}
	a := c.post("/signin/"+secret, nil).ok(303)
	cookie := (&http.Response{Header: a.header}).Cookies()[0]
	if got := (&client{w: w, secret: cookie.Value}).get("/settings").ok(200).one("h1"); got != "carol" {
		t.Errorf("signed in as %q", got)
	}
	if got := c.post("/signin/"+secret, nil).ok(401).one("h1"); got != "Please sign in" {
		t.Errorf("second use: %q", got)
	}
}

func TestIdleAndEndedSessions(t *testing.T) {
	w := newWorld(t)
	c := w.session("bob")
	c.get("/settings").ok(200)
	w.pass(account.SessionIdle + time.Hour)
	a := c.get("/settings").ok(303)
	if got := a.header.Get("Set-Cookie"); !strings.Contains(got, "Max-Age=0") {
		t.Errorf("the dead cookie stays: %q", got)
	}
	w.transact(func(tx *db.Tx) error {
		return w.web.Accounts.SetDisabled(context.Background(), tx, w.people["carol"].ID, true)
	})
	w.session("").get("/").ok(303)
}

// Files of a repository cannot act on this site (W1): text is text, pictures are pictures,
// everything else is for saving, and nothing is guessed from the contents.
func TestRawFiles(t *testing.T) {
	w := newWorld(t)
	png := "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
	w.repo("raw", "alice", false, map[string]string{
		"page.html": "<script>alert(1)</script>", "pic.svg": `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`, "a.js": "alert(1)", "x.png": png,
		"lie.html": png, "bin\"; x=\r.exe": "MZ\x00\x01", "doc.pdf": "%PDF-1.7\n\x00", "latin1.txt": "caf\xe9",
	})
	for file, want := range map[string]string{
		"page.html": "text/plain; charset=utf-8", "pic.svg": "text/plain; charset=utf-8", "a.js": "text/plain; charset=utf-8", "x.png": "image/png", "lie.html": "image/png",
		"doc.pdf": "application/octet-stream", "latin1.txt": "application/octet-stream",
	} {
		a := w.session("").get("/raw/-/raw/main/" + file).ok(200)
		if got := a.header.Get("Content-Type"); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
		if got := a.header.Get("Content-Security-Policy"); got != rawPolicy {
			t.Errorf("%s: policy %q", file, got)
		}
		saved := strings.HasPrefix(a.header.Get("Content-Disposition"), "attachment;")
		if want := want == "application/octet-stream"; saved != want {
			t.Errorf("%s: attachment %v, want %v", file, saved, want)
		}
	}
	if a := w.session("").get("/raw/-/raw/main/bin%22%3B%20x=%0D.exe"); a.status != 400 {
		t.Errorf("a line break in an address: %d, want 400", a.status)
	}
	if got := encodeName("bin\"; x=\r.exe"); got != "bin%22%3B%20x%3D%0D.exe" {
		t.Errorf("encodeName = %s", got)
	}
}

// Odd addresses are refused before they meet a pattern or git (W5).
func TestOddAddresses(t *testing.T) {
	w, _, _ := closed(t)
	c := w.session("alice")
	for path, want := range map[string]int{
		"/closed/-/log/main?skip=-5": 200, "/closed/-/tree/-x": 404, "/closed/-/tree/main%00": 400, "/closed/-/tree/%ff": 400, "/?next=%00": 400,
		"/closed/-/tree/main/" + strings.Repeat("a/", 5000): 400, "/closed/-/tree/refs/heads/main": 404, "/closed/-/tree/main~1": 404,
		"/closed/-/commit/HEAD": 404, "/closed/-/commit/-x": 404, "/closed/-/tree/..%2f..%2fetc": 301, "/closed/-/file/main/%2e%2e/x": 301,
		"/closed/-/go?rev=--upload-pack=x": 404, "/c/0": 404, "/c/99999999999999999999": 404, "/c/2": 404, "/c/1?ps=9": 404, "/c/1?base=1": 404, "/c/1?ps=x": 404,
		"/closed/-/tree/main?%zz": 400, "/stage/99/log": 404, "/closed/-/file/main/a.txt/b": 404, "/closed/-/changes?after=x": 400, "/closed.git": 303, "/1": 303, "/77": 303,
		"/closed/-/queue/main?x=1": 200, "/static/x/nothing.css": 404, "/static/x/..%2fbase.html": 301,
	} {
		if a := c.get(path); a.status != want {
			t.Errorf("%.80s: %d, want %d", path, a.status, want)
		}
	}
}

func TestLargeForms(t *testing.T) {
	w, _, _ := closed(t)
	a := w.session("bob").post("/c/1/vote", url.Values{"ps": {"1"}, "message": {strings.Repeat("x", maxForm+1)}})
	if a.status != 413 {
		t.Errorf("status %d, want 413", a.status)
	}
}

// What somebody wrote is not lost with the refusal.
func TestRefusedReviewKeepsItsText(t *testing.T) {
	w, r, _ := closed(t)
	w.git("commit", "-q", "--amend", "-m", "Two\n\nbetter\n\n"+changeID(1))
	w.propose(r, "alice", reviewOptions())
	a := w.session("bob").post("/c/1/vote", url.Values{"ps": {"1"}, "label.Code-Review": {"2"}, "message": {"long thoughts <b>"}}).ok(409)
	if got := a.one("#kept"); got != "long thoughts <b>" {
		t.Errorf("kept %q", got)
	}
	if got := a.one(".next"); !strings.Contains(got, "patch set 2") {
		t.Errorf("next step %q", got)
	}
}

// A page that breaks says so without saying how, and the server lives on.
func TestBrokenPage(t *testing.T) {
	w, _, _ := closed(t)
	c := w.session("bob")
	w.gate.fail = fmt.Errorf("secret detail: %w", io.ErrUnexpectedEOF)
	a := c.get("/c/1").ok(500)
	if strings.Contains(a.body, "secret detail") {
		t.Error("the cause is shown")
	}
	w.web.Gate = nil // a panic
	c.get("/c/1").ok(500)
	w.web.Gate = w.gate
	w.gate.fail = nil
	c.get("/c/1").ok(200)
}

func TestStreamsAreCapped(t *testing.T) {
	var l streamLimit
	var leave []func()
	for range maxStreamsEach {
		f, err := l.enter("bob")
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, f)
	}
	if _, err := l.enter("bob"); err == nil {
		t.Error("one visitor got more than their share")
	}
	if f, err := l.enter("alice"); err != nil {
		t.Error(err)
	} else {
		f()
	}
	leave[0]()
	if _, err := l.enter("bob"); err != nil {
		t.Errorf("a place that was given back is not free: %v", err)
	}
	for i := range maxStreams {
		if _, err := l.enter(fmt.Sprint("v", i)); err != nil && l.all < maxStreams {
			t.Fatal(err)
		}
	}
	if _, err := l.enter("last"); err == nil {
		t.Error("more streams than the server has")
	}
}

func TestSigninLimiterForgets(t *testing.T) {
	var l signinLimit
	now := time.Unix(1e9, 0)
	for i := range 3 * maxSignins {
		if err := l.allow(now, fmt.Sprintf("10.0.%d.%d:1", i/250, i%250), ""); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(l.buckets) + len(l.older); got > maxSignins {
		t.Errorf("%d buckets, want at most %d", got, maxSignins)
	}
}
