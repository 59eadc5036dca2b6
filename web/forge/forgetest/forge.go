// Package forgetest is a forge for tests: a bare git repository behind git's own smart HTTP, the
// part of a vendor's REST API that is asked of it, and deliveries in the vendor's shape, signed
// its way. It keeps state (proposals, statuses, votes, merges) and can be told to fail.
package forgetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The kinds, as entrances call them.
const (
	GitHub  = "github"
	GitLab  = "gitlab"
	Gitea   = "gitea"
	Forgejo = "forgejo"
	Gerrit  = "gerrit"
)

// Project is the one repository of the forge.
const Project = "acme/hello"

// Token lets in at the API and at git.
const Token = "token-of-the-forge"

// Status is one status, or at Gerrit one vote, as it was sent.
type Status struct {
	Commit, Name, State, Words, URL string
}

// Forge is a running one.
type Forge struct {
	Kind   string
	Dir    string // the bare repository
	URL    string
	Secret string // deliveries are signed with it

	t        testing.TB
	mu       sync.Mutex
	statuses []Status
	writers  map[string]bool
	merged   map[int64]string // proposals, and the commit that they were merged as
	closed   map[int64]bool
	asked    []string // "METHOD path" of the API
	fail     func(r *http.Request) int
}

// New starts a forge with an empty repository.
func New(t testing.TB, kind string) *Forge {
	t.Helper()
	f := &Forge{Kind: kind, Dir: filepath.Join(t.TempDir(), Project+".git"), Secret: "whsec_c2VjcmV0LW9mLXRoZS1ob29r", t: t, writers: map[string]bool{}, merged: map[int64]string{}, closed: map[int64]bool{}}
	f.git("init", "-q", "--bare", "-b", "main", f.Dir)
	f.git("-C", f.Dir, "config", "http.receivepack", "true")
	program, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	backend := &cgi.Handler{Path: program, Args: []string{"http-backend"}, Root: "/git", Stderr: discard{},
		Env: []string{"GIT_PROJECT_ROOT=" + strings.TrimSuffix(f.Dir, "/"+Project+".git"), "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=gate", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1"}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/git/") {
			if _, password, _ := r.BasicAuth(); password != Token {
				w.Header().Set("WWW-Authenticate", `Basic realm="forge"`)
				http.Error(w, "who are you?", http.StatusUnauthorized)
				return
			}
			backend.ServeHTTP(w, r)
			return
		}
		f.api(w, r)
	}))
	t.Cleanup(server.Close)
	f.URL = server.URL
	return f
}

type discard struct{}

// Write forgets.
func (discard) Write(p []byte) (int, error) { return len(p), nil }

// Address is where its git repository is.
func (f *Forge) Address() string { return f.URL + "/git/" + Project + ".git" }

// API is the root of its REST API.
func (f *Forge) API() string { return f.URL + "/api" }

func (f *Forge) git(args ...string) string {
	f.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=forge", "GIT_AUTHOR_EMAIL=forge@forge.test", "GIT_COMMITTER_NAME=forge", "GIT_COMMITTER_EMAIL=forge@forge.test")
	out, err := cmd.CombinedOutput()
	if err != nil {
		f.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// Ref is where it keeps a proposal.
func (f *Forge) Ref(number int64) string {
	switch f.Kind {
	case GitLab:
		return fmt.Sprintf("refs/merge-requests/%d/head", number)
	case Gerrit:
		return fmt.Sprintf("refs/changes/%02d/%d/1", number%100, number)
	default:
		return fmt.Sprintf("refs/pull/%d/head", number)
	}
}

// Tip is where a branch is.
func (f *Forge) Tip(branch string) string {
	f.t.Helper()
	return f.git("-C", f.Dir, "rev-parse", "refs/heads/"+branch)
}

// Writer lets somebody write.
func (f *Forge) Writer(login string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writers[login] = true
}

// FailWith has requests to the API answered with a status, or as usual with 0.
func (f *Forge) FailWith(fail func(r *http.Request) int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

// Statuses are all that were sent, in order.
func (f *Forge) Statuses() []Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Status(nil), f.statuses...)
}

// Latest is the newest state under each name of a commit.
func (f *Forge) Latest(commit string) map[string]string {
	latest := map[string]string{}
	for _, s := range f.Statuses() {
		if s.Commit == commit {
			latest[s.Name] = s.State
		}
	}
	return latest
}

// Close closes a proposal. Its ref stays, as it does with the vendors.
func (f *Forge) Close(number int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed[number] = true
}

// show answers what a proposal is: for main, by octocat.
func (f *Forge) show(w http.ResponseWriter, number string) {
	var n int64
	if _, err := fmt.Sscan(number, &n); err != nil {
		http.Error(w, "{}", http.StatusNotFound)
		return
	}
	state := map[bool]string{true: "closed", false: "open"}[f.closed[n]]
	if f.Kind == GitLab {
		state = strings.Replace(state, "open", "opened", 1)
	}
	answer(w, object{"state": state, "base": object{"ref": "main"}, "target_branch": "main", "user": object{"login": "octocat"}, "author": object{"username": "octocat"},
		"html_url": "https://forge.test/" + number, "web_url": "https://forge.test/" + number})
}

// Asked are the requests to the API, in order.
func (f *Forge) Asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.asked...)
}

// api is the part of the vendor's API that is asked.
func (f *Forge) api(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r.Method+" "+r.URL.EscapedPath())
	if f.fail != nil {
		if code := f.fail(r); code != 0 {
			if code == http.StatusTooManyRequests {
				w.Header().Set("Retry-After", "1")
			}
			http.Error(w, `{"message":"told to fail"}`, code)
			return
		}
	}
	if !f.knows(r) {
		http.Error(w, `{"message":"Bad credentials"}`, http.StatusUnauthorized)
		return
	}
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), "/api"+f.root())
	if !ok {
		http.Error(w, `{"message":"Not Found"}`, http.StatusNotFound)
		return
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case r.Method == http.MethodPost && len(parts) == 2 && parts[0] == "statuses":
		f.status(w, r, parts[1])
	case f.Kind == Gerrit && r.Method == http.MethodPost && len(parts) == 4 && parts[3] == "review":
		f.vote(w, r, parts[2])
	case len(parts) == 3 && parts[2] == "merge" && (r.Method == http.MethodPut || r.Method == http.MethodPost && f.Kind != GitHub):
		f.merge(w, r, parts[1])
	case r.Method == http.MethodGet && len(parts) == 2 && (parts[0] == "pulls" || parts[0] == "merge_requests"):
		f.show(w, parts[1])
	case r.Method == http.MethodGet && len(parts) == 3 && parts[0] == "collaborators":
		permission := "read"
		if f.writers[parts[1]] {
			permission = "write"
		}
		answer(w, map[string]string{"permission": permission})
	case r.Method == http.MethodGet && f.Kind == GitLab && len(parts) == 2 && parts[0] == "members":
		found := []map[string]any{}
		if login := r.URL.Query().Get("query"); f.writers[login] {
			found = append(found, map[string]any{"username": login, "access_level": 30, "state": "active"})
		}
		answer(w, found)
	default:
		http.Error(w, `{"message":"Not Found"}`, http.StatusNotFound)
	}
}

// root is what stands in front of everything about the repository.
func (f *Forge) root() string {
	switch f.Kind {
	case GitLab:
		return "/projects/" + url.PathEscape(Project)
	case Gerrit:
		return "/a/changes"
	default:
		return "/repos/" + Project
	}
}

func (f *Forge) knows(r *http.Request) bool {
	switch f.Kind {
	case GitHub:
		return r.Header.Get("Authorization") == "Bearer "+Token
	case GitLab:
		return r.Header.Get("Private-Token") == Token
	case Gerrit:
		_, password, _ := r.BasicAuth()
		return password == Token
	default:
		return r.Header.Get("Authorization") == "token "+Token
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the asker has gone
}

// states are those that each vendor takes.
var states = map[string]string{
	GitHub: "error failure pending success", Gitea: "pending success error failure warning", Forgejo: "pending success error failure warning",
	GitLab: "pending running success failed canceled",
}

func (f *Forge) status(w http.ResponseWriter, r *http.Request, commit string) {
	var in struct{ State, Context, Name, Description, Target_URL string } //nolint:revive // as the vendors spell it
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || !strings.Contains(" "+states[f.Kind]+" ", " "+in.State+" ") || len([]rune(in.Description)) > 140 {
		http.Error(w, `{"message":"Validation Failed"}`, http.StatusUnprocessableEntity)
		return
	}
	if exec.Command("git", "-C", f.Dir, "cat-file", "-e", commit+"^{commit}").Run() != nil {
		http.Error(w, `{"message":"No commit found for SHA"}`, http.StatusUnprocessableEntity)
		return
	}
	name := in.Context + in.Name
	if f.Kind == GitLab {
		for i := len(f.statuses) - 1; i >= 0; i-- {
			if s := f.statuses[i]; s.Commit == commit && s.Name == name {
				if s.State == in.State {
					http.Error(w, `{"message":"Cannot transition status via :run from :running"}`, http.StatusBadRequest)
					return
				}
				break
			}
		}
	}
	f.statuses = append(f.statuses, Status{commit, name, in.State, in.Description, in.Target_URL})
	w.WriteHeader(http.StatusCreated)
	answer(w, in)
}

func (f *Forge) vote(w http.ResponseWriter, r *http.Request, commit string) {
	var in struct {
		Labels  map[string]int `json:"labels"`
		Message string         `json:"message"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	for label, value := range in.Labels {
		f.statuses = append(f.statuses, Status{commit, label, fmt.Sprintf("%+d", value), in.Message, ""})
	}
	_, _ = w.Write([]byte(")]}'\n{}"))
}

// merge merges a proposal as the vendor does: only if its newest commit is the one that is named.
func (f *Forge) merge(w http.ResponseWriter, r *http.Request, number string) {
	var in map[string]any
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, "{}", http.StatusBadRequest)
		return
	}
	var n int64
	if _, err := fmt.Sscan(number, &n); err != nil {
		http.Error(w, "{}", http.StatusNotFound)
		return
	}
	head, err := exec.Command("git", "-C", f.Dir, "rev-parse", f.Ref(n)).Output()
	named, _ := in["sha"].(string)
	if f.Kind == Gitea || f.Kind == Forgejo {
		named, _ = in["head_commit_id"].(string)
	}
	if err != nil || strings.TrimSpace(string(head)) != named {
		http.Error(w, `{"message":"Head branch was modified. Review and try the merge again."}`, http.StatusConflict)
		return
	}
	base := f.git("-C", f.Dir, "rev-parse", "refs/heads/main")
	tree, err := exec.Command("git", "-C", f.Dir, "merge-tree", "--write-tree", base, named).Output()
	if err != nil {
		http.Error(w, `{"message":"Pull Request is not mergeable"}`, http.StatusMethodNotAllowed)
		return
	}
	made := f.git("-C", f.Dir, "commit-tree", strings.TrimSpace(string(tree)), "-p", base, "-p", named, "-m", "Merge pull request #"+number)
	f.git("-C", f.Dir, "update-ref", "refs/heads/main", made, base)
	f.merged[n] = made
	answer(w, map[string]any{"sha": made, "merged": true})
}
