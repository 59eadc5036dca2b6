package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
	"gatehouse/web/api"
)

func TestAccountsKeysAndTokens(t *testing.T) {
	w := newWorld(t)
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ carol@laptop"
	made := get[api.Account](w, "admin", "POST", "/api/v1/accounts", api.NewAccount{Name: "carol", Email: "carol@example.test", Keys: []string{key}})
	if made.Name != "carol" || made.Email != "carol@example.test" || made.Admin {
		t.Errorf("made %+v", made)
	}
	keys := get[list[api.Key]](w, "admin", "GET", "/api/v1/accounts/carol/keys", nil)
	if len(keys.Items) != 1 || keys.Items[0].Comment != "carol@laptop" {
		t.Errorf("keys %+v", keys)
	}
	w.tokens["carol"] = get[api.Secret](w, "admin", "POST", "/api/v1/accounts/carol/tokens", api.NewToken{Label: "laptop"}).Token
	if self := get[api.Self](w, "carol", "GET", "/api/v1/self", nil); self.Name != "carol" || self.Method != "token" {
		t.Errorf("self %+v", self)
	}
	if own := get[list[api.Key]](w, "carol", "GET", "/api/v1/accounts/self/keys", nil); len(own.Items) != 1 {
		t.Errorf("own keys %+v", own)
	}
	if a := w.ask("carol", "GET", "/api/v1/accounts/owner/keys", nil); a.Code != http.StatusForbidden {
		t.Errorf("somebody else's keys: %d", a.Code)
	}
	tokens := get[list[api.Token]](w, "carol", "GET", "/api/v1/accounts/self/tokens", nil)
	if len(tokens.Items) != 1 || tokens.Items[0].Label != "laptop" || strings.Contains(w.ask("carol", "GET", "/api/v1/accounts/self/tokens", nil).Body.String(), "gate_") {
		t.Errorf("tokens %+v", tokens)
	}
	get[any](w, "carol", "DELETE", "/api/v1/accounts/self/tokens/"+itoa(tokens.Items[0].ID), nil)
	if a := w.ask("carol", "GET", "/api/v1/self", nil); a.Code != http.StatusUnauthorized || a.problem.Next == "" {
		t.Errorf("with a revoked token: %d %+v", a.Code, a.problem)
	}
	// e-mail addresses are for administrators and their owners
	for _, a := range get[list[api.Account]](w, "reader", "GET", "/api/v1/accounts", nil).Items {
		if (a.Email != "") != (a.Name == "reader") {
			t.Errorf("reader sees %+v", a)
		}
	}
}

func TestDisabledAccountIsNobodyAtOnce(t *testing.T) {
	w := newWorld(t)
	off := true
	get[api.Account](w, "admin", "PATCH", "/api/v1/accounts/writer", api.AccountChange{Disabled: &off})
	if a := w.ask("writer", "GET", "/api/v1/self", nil); a.Code != http.StatusUnauthorized {
		t.Errorf("disabled: %d", a.Code)
	}
	if a := w.ask("admin", "PATCH", "/api/v1/accounts/admin", api.AccountChange{Disabled: &off}); a.Code != http.StatusUnprocessableEntity {
		t.Errorf("an administrator disabled itself: %d %s", a.Code, a.Body)
	}
}

func TestCredentials(t *testing.T) {
	w := newWorld(t)
	var session string
	w.transact(func(tx *db.Tx) (err error) {
		session, err = w.Accounts.NewToken(w.ctx, tx, w.ids["writer"], account.SessionToken, "", 0)
		return err
	})
	cookie := func(r *http.Request) { r.AddCookie(&http.Cookie{Name: cookieName, Value: session}) }
	for name, c := range map[string]struct {
		method string
		with   func(*http.Request)
		want   int
	}{
		"none":                     {"GET", func(*http.Request) {}, 401},
		"bearer":                   {"GET", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+w.tokens["writer"]) }, 200},
		"bearer in lower case":     {"GET", func(r *http.Request) { r.Header.Set("Authorization", "bearer "+w.tokens["writer"]) }, 200},
		"basic as git sends it":    {"GET", func(r *http.Request) { r.SetBasicAuth("writer", w.tokens["writer"]) }, 200},
		"basic of somebody else":   {"GET", func(r *http.Request) { r.SetBasicAuth("reader", w.tokens["writer"]) }, 401},
		"unknown bearer":           {"GET", func(r *http.Request) { r.Header.Set("Authorization", "Bearer gate_x") }, 401},
		"another scheme":           {"GET", func(r *http.Request) { r.Header.Set("Authorization", "Digest x") }, 401},
		"session as bearer":        {"GET", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+session) }, 401},
		"token as cookie":          {"GET", func(r *http.Request) { r.AddCookie(&http.Cookie{Name: cookieName, Value: w.tokens["writer"]}) }, 401},
		"cookie":                   {"GET", cookie, 200},
		"cookie from our pages":    {"POST", func(r *http.Request) { cookie(r); r.Header.Set("Sec-Fetch-Site", "same-origin") }, 201},
		"cookie from another site": {"POST", func(r *http.Request) { cookie(r); r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		"cookie, other origin":     {"POST", func(r *http.Request) { cookie(r); r.Header.Set("Origin", "https://evil.test") }, 403},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.request("GET", "/api/v1/self", nil)
			if c.method == "POST" {
				r = w.request("POST", "/api/v1/accounts/self/tokens", api.NewToken{})
			}
			c.with(r)
			if a := w.send(r); a.Code != c.want {
				t.Errorf("%d, want %d: %s", a.Code, c.want, a.Body)
			}
		})
	}
}

// Whoever sends wrong credentials to a public page of the API must hear of it, and not be
// answered as a stranger.
func TestWrongCredentialsAreNotAnonymity(t *testing.T) {
	w := newWorld(t)
	r := w.request("GET", "/api/v1/repositories", nil)
	r.Header.Set("Authorization", "Bearer gate_nothing")
	if a := w.send(r); a.Code != http.StatusUnauthorized || a.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("%d %v", a.Code, a.Header())
	}
}

func TestRepositoryRoundTrip(t *testing.T) {
	w := newWorld(t)
	made := get[api.Repository](w, "admin", "POST", "/api/v1/repositories", api.NewRepository{Name: "team/hello", Owner: "owner", Description: "greets"})
	if made.DefaultBranch != "main" || made.CloneSSH != "ssh://gate.test/team/hello.git" || made.Gated[0] != "main" || made.DefaultRole != "write" {
		t.Errorf("made %+v", made)
	}
	none, private := "none", true
	changed := get[api.Repository](w, "owner", "PATCH", "/api/v1/repositories/team~hello", api.RepositoryChange{Private: &private, DefaultRole: &none})
	if !changed.Private || changed.DefaultRole != "none" || changed.Description != "greets" {
		t.Errorf("changed %+v", changed)
	}
	if a := w.ask("stranger", "GET", "/api/v1/repositories/team~hello", nil); a.Code != http.StatusNotFound {
		t.Errorf("a stranger sees it: %d", a.Code)
	}
	missing := w.ask("stranger", "GET", "/api/v1/repositories/nothing", nil)
	hidden := w.ask("stranger", "GET", "/api/v1/repositories/team~hello", nil)
	if missing.Body.String() != hidden.Body.String() {
		t.Errorf("a hidden repository answers %s, a missing one %s", hidden.Body, missing.Body)
	}
	get[any](w, "owner", "PUT", "/api/v1/repositories/team~hello/grants", api.Grant{Account: "reader", Role: "read"})
	if all := get[list[api.Repository]](w, "reader", "GET", "/api/v1/repositories", nil); len(all.Items) != 1 {
		t.Errorf("reader sees %+v", all)
	}
	get[any](w, "owner", "PUT", "/api/v1/repositories/team~hello/grants", api.Grant{Account: "reader", Role: "none"})
	if all := get[list[api.Repository]](w, "reader", "GET", "/api/v1/repositories", nil); len(all.Items) != 0 {
		t.Errorf("after the grant was taken back reader sees %+v", all)
	}
}

func TestImportOfAServerPathIsForTheLocalOperator(t *testing.T) {
	w := newWorld(t)
	get[api.Repository](w, "admin", "POST", "/api/v1/repositories", api.NewRepository{Name: "copy"})
	from := w.repository("from", false)
	w.change(from)
	g, err := w.Repos.Open(from)
	must(t, err)
	if a := w.ask("admin", "POST", "/api/v1/repositories/copy/import", api.Import{URL: g.Dir()}); a.Code != http.StatusForbidden {
		t.Errorf("over the network: %d %s", a.Code, a.Body)
	}
	r := w.request("POST", "/api/v1/repositories/copy/import", api.Import{URL: g.Dir()})
	if a := w.send(r.WithContext(api.As(w.ctx, account.Local()))); a.Code != http.StatusOK {
		t.Errorf("at the server: %d %s", a.Code, a.Body)
	}
}

// An import brings in whatever plan there is; one that nobody can read closes the branch, and
// that is said at once.
func TestImportWarnsOfABrokenPlan(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct{ plan, want string }{
		"good":   {"version: 1\n", ""},
		"broken": {"version: 1\nstagez: {}\n", "nothing lands on main: gatehouse.yaml:2:1: "},
	} {
		from := w.repository("from-"+name, false)
		g, err := w.Repos.Open(from)
		must(t, err)
		must(t, g.UpdateRefs(w.ctx, []git.RefUpdate{{Ref: "refs/heads/main", Old: git.Zero, New: w.commit(g, plan.File, c.plan, "begin\n")}}, "test"))
		get[api.Repository](w, "admin", "POST", "/api/v1/repositories", api.NewRepository{Name: name})
		r := w.request("POST", "/api/v1/repositories/"+name+"/import", api.Import{URL: g.Dir()})
		a := w.send(r.WithContext(api.As(w.ctx, account.Local())))
		var into api.Repository
		must(t, json.Unmarshal(a.Body.Bytes(), &into))
		if a.Code != http.StatusOK || (len(into.Warnings) > 0) != (c.want != "") {
			t.Fatalf("%s: %d %s", name, a.Code, a.Body)
		}
		if c.want != "" && (!strings.HasPrefix(into.Warnings[0], c.want) || !strings.Contains(into.Warnings[0], "did you mean")) {
			t.Errorf("%s: %q", name, into.Warnings)
		}
	}
}

func TestMirrors(t *testing.T) {
	w := newWorld(t)
	w.repository("hello", false)
	upstream := t.TempDir()
	if a := w.ask("owner", "POST", "/api/v1/repositories/hello/mirrors", api.NewMirror{URL: upstream}); a.Code != http.StatusForbidden {
		t.Errorf("an owner mirrors into a folder of the server: %d", a.Code)
	}
	m := get[api.Mirror](w, "admin", "POST", "/api/v1/repositories/hello/mirrors", api.NewMirror{URL: upstream})
	if m.State != "pending" {
		t.Errorf("made %+v", m)
	}
	over := get[api.Mirror](w, "owner", "POST", "/api/v1/repositories/hello/mirrors", api.NewMirror{URL: "ssh://git@forge.test/hello.git"})
	if !strings.HasPrefix(over.PublicKey, "ssh-ed25519 ") {
		t.Errorf("over ssh %+v", over)
	}
	secret := get[api.Mirror](w, "owner", "POST", "/api/v1/repositories/hello/mirrors", api.NewMirror{URL: "https://forge.test/hello.git", Token: "s3cret-token"})
	if a := w.ask("owner", "GET", "/api/v1/repositories/hello/mirrors", nil); strings.Contains(a.Body.String(), "s3cret") {
		t.Errorf("the token is shown: %s", a.Body)
	}
	path := "/api/v1/repositories/hello/mirrors/" + itoa(secret.ID)
	get[any](w, "owner", "POST", path+"/pause", nil)
	get[any](w, "owner", "POST", path+"/retry", nil)
	get[any](w, "owner", "DELETE", path, nil)
	if a := w.ask("owner", "DELETE", path, nil); a.Code != http.StatusNotFound {
		t.Errorf("removed twice: %d", a.Code)
	}
	if all := get[list[api.Mirror]](w, "stranger", "GET", "/api/v1/repositories/hello/mirrors", nil); len(all.Items) != 2 {
		t.Errorf("mirrors %+v", all)
	}
}

func TestReviewOfAChange(t *testing.T) {
	w := newWorld(t)
	c := w.change(w.repository("hello", false))
	path := "/api/v1/changes/" + itoa(c.ID)
	e := get[gatekeeper.Explanation](w, "reader", "GET", path+"/explain", nil)
	if e.State != gatekeeper.Open || len(e.Requirements) == 0 {
		t.Fatalf("explained as %+v", e)
	}
	get[gatekeeper.Explanation](w, "writer", "POST", path+"/votes", api.Review{
		Votes: map[string]int{"Code-Review": 2}, Message: "reads well",
		Comments: []api.NewComment{{Spot: api.Spot{Path: "hello.txt", Side: "new", Line: 1}, Body: "why a comma?", Unresolved: true}},
	})
	detail := get[api.ChangeDetail](w, "", "GET", path, nil)
	if len(detail.Votes) != 1 || detail.Votes[0].Account != "writer" || detail.Votes[0].Value != 2 {
		t.Errorf("votes %+v", detail.Votes)
	}
	if len(detail.Comments) != 1 || detail.Comments[0].Author != "writer" || !detail.Comments[0].Unresolved {
		t.Errorf("comments %+v", detail.Comments)
	}
	if len(detail.PatchSets) != 1 || detail.PatchSets[0].Ref == "" || detail.Owner != "author" || detail.Status != "open" {
		t.Errorf("detail %+v", detail)
	}
	if got := w.ask("", "GET", path+"/diff", nil); !strings.Contains(got.Body.String(), "+hello, world") || !strings.HasPrefix(got.Header().Get("Content-Type"), "text/x-diff") {
		t.Errorf("diff %s %s", got.Header(), got.Body)
	}
	if files := get[list[api.File]](w, "", "GET", path+"/files", nil); len(files.Items) != 1 || files.Items[0].Added != 1 {
		t.Errorf("files %+v", files)
	}
	for query, want := range map[string]int{"": 1, "?status=landed": 0, "?owner=author": 1, "?owner=reader": 0, "?repository=hello&branch=main": 1, "?reviewer=writer": 1, "?before=1": 0} {
		if all := get[list[api.Change]](w, "reader", "GET", "/api/v1/changes"+query, nil); len(all.Items) != want {
			t.Errorf("changes%s: %d, want %d", query, len(all.Items), want)
		}
	}
	get[gatekeeper.Explanation](w, "author", "POST", path+"/abandon", api.Reason{Message: "another way"})
	if a := w.ask("writer", "POST", path+"/submit", nil); a.Code != http.StatusUnprocessableEntity && a.Code != http.StatusConflict {
		t.Errorf("an abandoned change was submitted: %d %s", a.Code, a.Body)
	}
	get[gatekeeper.Explanation](w, "author", "POST", path+"/restore", api.Reason{})
}

// What a person does needs a person: the local operator has no name to put beside a vote.
func TestLocalOperatorHasNoVote(t *testing.T) {
	w := newWorld(t)
	c := w.change(w.repository("hello", true))
	r := w.request("POST", "/api/v1/changes/"+itoa(c.ID)+"/votes", api.Review{Votes: map[string]int{"Code-Review": 2}})
	a := w.send(r.WithContext(api.As(w.ctx, account.Local())))
	if a.Code != http.StatusBadRequest || !strings.Contains(a.problem.Next, "--as") {
		t.Errorf("%d %+v", a.Code, a.problem)
	}
}

func TestMalformedRequests(t *testing.T) {
	w := newWorld(t)
	c := w.change(w.repository("hello", false))
	path := "/api/v1/changes/" + itoa(c.ID)
	raw := func(method, path, body string) answer {
		r := httptest.NewRequest(method, "https://gate.test"+path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+w.tokens["admin"])
		return w.send(r)
	}
	for name, c := range map[string]struct {
		a    answer
		want int
	}{
		"no JSON":           {raw("POST", path+"/votes", "{"), 400},
		"empty body":        {raw("POST", path+"/votes", ""), 400},
		"unknown field":     {raw("POST", path+"/votes", `{"vote": 1}`), 400},
		"wrong type":        {raw("POST", path+"/votes", `{"votes": {"Code-Review": "2"}}`), 400},
		"too large":         {raw("POST", path+"/votes", `{"message": "`+strings.Repeat("x", 2<<20)+`"}`), 413},
		"no number":         {raw("GET", "/api/v1/changes/twelve", ""), 400},
		"number too large":  {raw("GET", "/api/v1/changes/99999999999999999999", ""), 400},
		"unknown change":    {raw("GET", "/api/v1/changes/999", ""), 404},
		"unknown parameter": {raw("GET", "/api/v1/changes?state=open", ""), 400},
		"unknown operation": {raw("GET", "/api/v1/nothing", ""), 404},
		"wrong method":      {raw("PUT", "/api/v1/self", ""), 405},
		"name with dots":    {raw("GET", "/api/v1/repositories/..~..~etc", ""), 404},
		"account name":      {raw("POST", "/api/v1/accounts", `{"name": "A B", "email": "a@b.test"}`), 400},
	} {
		if c.a.Code != c.want {
			t.Errorf("%s: %d, want %d: %s", name, c.a.Code, c.want, c.a.Body)
		}
		if c.a.problem.Detail == "" || c.a.problem.Code != c.a.Code {
			t.Errorf("%s: problem %+v", name, c.a.problem)
		}
	}
}

// deadlines notes what is asked of a connection.
type deadlines struct {
	*httptest.ResponseRecorder
	read []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.read = append(d.read, t)
	return nil
}

// A body has a deadline, and what is done with it has not: net/http would cancel the request
// of an import when the deadline for its body passes.
func TestTheDeadlineIsForTheBodyAlone(t *testing.T) {
	w := newWorld(t)
	r := w.request("POST", "/api/v1/accounts/self/tokens", api.NewToken{})
	r.Header.Set("Authorization", "Bearer "+w.tokens["writer"])
	d := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	w.handler.ServeHTTP(d, r)
	if d.Code != http.StatusCreated || len(d.read) != 2 || d.read[0].IsZero() || !d.read[1].IsZero() {
		t.Errorf("%d, read deadlines %v", d.Code, d.read)
	}
}

func TestEveryKindHasAStatus(t *testing.T) {
	seen := map[int]fault.Kind{}
	for kind := fault.Internal; kind <= fault.Unavailable; kind++ {
		status := api.Status(kind)
		if other, twice := seen[status]; twice {
			t.Errorf("%s and %s are both %d", kind, other, status)
		}
		seen[status] = kind
		p := api.Problem{Kind: kind.String(), Detail: "no"}
		if got := p.Fault("test").Kind; got != kind {
			t.Errorf("%s comes back as %s", kind, got)
		}
	}
}

func TestAnInternalErrorIsLoggedAndNotShown(t *testing.T) {
	w := newWorld(t)
	r := w.repository("hello", false)
	c := w.change(r)
	if _, err := w.DB.SQL().ExecContext(w.ctx, `UPDATE repositories SET gated = 'not json' WHERE id = $1`, r.ID); err != nil {
		t.Fatal(err)
	}
	a := w.ask("admin", "GET", "/api/v1/changes/"+itoa(c.ID)+"/diff", nil)
	if a.Code != http.StatusInternalServerError || strings.Contains(a.Body.String(), "json") {
		t.Errorf("%d %s", a.Code, a.Body)
	}
	if !strings.Contains(w.logged.String(), "get-diff") {
		t.Errorf("the log says %q", w.logged)
	}
}

func TestDocument(t *testing.T) {
	w := newWorld(t)
	a := w.ask("", "GET", "/api/openapi.json", nil)
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Summary     string
		}
	}
	must(t, json.Unmarshal(a.Body.Bytes(), &doc))
	if !strings.HasPrefix(doc.OpenAPI, "3.1") || len(doc.Paths) < 30 {
		t.Errorf("OpenAPI %q with %d paths", doc.OpenAPI, len(doc.Paths))
	}
	ids := map[string]bool{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			if op.Summary == "" || op.OperationID == "" || ids[op.OperationID] {
				t.Errorf("%s %s: id %q, summary %q", method, path, op.OperationID, op.Summary)
			}
			ids[op.OperationID] = true
		}
	}
}
