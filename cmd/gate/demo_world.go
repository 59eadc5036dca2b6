package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"

	"gatehouse/gitserver/account"
	"gatehouse/web/api"
)

// The sample: the history of a small service, one archive per commit, and a change in two
// versions, the first of which fails its own test.
//
//go:embed demo/*.txtar
var demoFiles embed.FS

var (
	demoHistory = []string{"1-greet", "2-server", "3-health", "4-plan"}
	demoFirst   = "change-1"
	demoSecond  = "change-2"
)

// maxHook bounds what is taken for the commit-msg hook.
const maxHook = 64 << 10

// operatorOf is a client of an app in this process, as its local administrator.
func operatorOf(ctx context.Context, a *app) *client {
	return &client{
		ctx: ctx, http: &http.Client{Transport: inProcess{a.handler(), account.Local()}}, base: "http://gate.invalid",
		close: func() error { return nil }, local: a,
	}
}

// git runs the real git as somebody, away from the configuration of whoever runs the demo.
func (d *demo) git(dir string, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(d.ctx, "git", append([]string{"-C", dir}, args...)...)
	cmd.Env = append(cleanEnviron(), append(env, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C", "TZ=UTC")...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("git %s: %w\n%s", args[0], err, out)
	}
	return string(out), nil
}

// cleanEnviron is the environment without what steers git: the demo may be run from a hook.
func cleanEnviron() []string {
	var kept []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "GIT_") {
			kept = append(kept, pair)
		}
	}
	return kept
}

// unpack writes the files of a sample archive into dir and returns its head: author, date, message.
func unpack(name, dir string) (head string, err error) {
	text, err := demoFiles.ReadFile("demo/" + name + ".txtar")
	if err != nil {
		return "", fmt.Errorf("gate: demo: %w", err)
	}
	archive := txtar.Parse(text)
	for _, f := range archive.Files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // a work tree
			return "", fmt.Errorf("gate: demo: %w", err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil { //nolint:gosec // a work tree
			return "", fmt.Errorf("gate: demo: %w", err)
		}
	}
	return string(archive.Comment), nil
}

// signature reads the head of an archive: who, when ("" is now), and the commit message.
func signature(head string) (env []string, message string) {
	fields, message, _ := strings.Cut(head, "\n\n")
	for one := range strings.Lines(fields) {
		key, value, _ := strings.Cut(strings.TrimSpace(one), ": ")
		switch key {
		case "Author":
			name, email, _ := strings.Cut(strings.TrimSuffix(value, ">"), " <")
			env = append(env, "GIT_AUTHOR_NAME="+name, "GIT_AUTHOR_EMAIL="+email, "GIT_COMMITTER_NAME="+name, "GIT_COMMITTER_EMAIL="+email)
		case "Date":
			env = append(env, "GIT_AUTHOR_DATE="+value, "GIT_COMMITTER_DATE="+value)
		}
	}
	return env, strings.TrimSpace(message) + "\n"
}

// commit puts the files of an archive into a commit of the work tree dir.
func (d *demo) commit(dir, name string, more ...string) error {
	head, err := unpack(name, dir)
	if err != nil {
		return err
	}
	env, message := signature(head)
	if _, err := d.git(dir, nil, "add", "--all"); err != nil {
		return err
	}
	_, err = d.git(dir, env, append([]string{"commit", "--quiet", "--message", message}, more...)...)
	return err
}

// makeUpstream makes the sample's history and a bare repository with it.
func (d *demo) makeUpstream() error {
	work := d.path("history")
	if _, err := d.git(d.dir, nil, "init", "--quiet", "--initial-branch=main", work); err != nil {
		return err
	}
	for _, name := range demoHistory {
		if err := d.commit(work, name); err != nil {
			return err
		}
	}
	if _, err := d.git(work, nil, "tag", "v0.1.0"); err != nil {
		return err
	}
	if _, err := d.git(d.dir, nil, "clone", "--quiet", "--bare", work, d.path("upstream.git")); err != nil {
		return err
	}
	log, err := d.git(work, nil, "log", "--format=%h  %ad  %an  %s", "--date=short")
	if err != nil {
		return err
	}
	d.tell("%s", log)
	return nil
}

// administer does what an administrator does once.
func (d *demo) administer() error {
	key := d.path("alice-key")
	if out, err := exec.CommandContext(d.ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "alice@laptop", "-f", key).CombinedOutput(); err != nil {
		return fmt.Errorf("gate: demo: ssh-keygen: %w\n%s", err, out)
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		return fmt.Errorf("gate: demo: %w", err)
	}
	d.tell("$ gate account create alice --email alice@example.org --ssh-key alice-key.pub\n$ gate account create bob --email bob@example.org")
	for _, n := range []api.NewAccount{
		{Name: "alice", Email: "alice@example.org", FullName: "Alice Marsh", Keys: []string{string(public)}},
		{Name: "bob", Email: "bob@example.org", FullName: "Bob Lindqvist"},
	} {
		if err := d.operator.do(http.MethodPost, "/accounts", n, nil); err != nil {
			return err
		}
	}
	d.tell("$ gate token create bob")
	var token api.Secret
	if err := d.operator.do(http.MethodPost, "/accounts/bob/tokens", api.NewToken{Label: "demo"}, &token); err != nil {
		return err
	}
	d.bob = &client{ctx: d.ctx, http: http.DefaultClient, base: d.server.app.settings.URL, token: token.Token}
	d.tell("$ gate repo create %s --import history --mirror upstream.git", demoRepo)
	n := api.NewRepository{Name: demoRepo, Description: "A small service that greets", DefaultBranch: "main"}
	if err := d.operator.do(http.MethodPost, "/repositories", n, nil); err != nil {
		return err
	}
	if err := d.operator.do(http.MethodPost, "/repositories/"+demoRepo+"/import", api.Import{URL: d.path("history")}, nil); err != nil {
		return err
	}
	if err := d.operator.do(http.MethodPost, "/repositories/"+demoRepo+"/mirrors", api.NewMirror{URL: d.path("upstream.git")}, nil); err != nil {
		return err
	}
	a := d.server.app
	d.repo, err = a.repos.ByName(d.ctx, a.db.Read(), demoRepo)
	return err
}

// alice is the environment of alice's git: her key, and the server's host key as she learns it.
func (d *demo) alice() []string {
	return []string{"GIT_SSH_COMMAND=ssh -i '" + d.path("alice-key") + "' -o IdentitiesOnly=yes -o IdentityAgent=none -F /dev/null" +
		" -o StrictHostKeyChecking=accept-new -o LogLevel=ERROR -o UserKnownHostsFile='" + d.path("known_hosts") + "'"}
}

// pushFirst is alice's first push. What git prints is shown as she sees it.
func (d *demo) pushFirst() error {
	clone, address := d.path("alice"), d.server.app.settings.SSHURL+"/"+demoRepo+".git"
	d.tell("$ git clone %s", address)
	if _, err := d.git(d.dir, d.alice(), "clone", "--quiet", address, clone); err != nil {
		return err
	}
	if err := d.fetchHook(filepath.Join(clone, ".git", "hooks", "commit-msg")); err != nil {
		return err
	}
	d.tell("$ git commit --all")
	if err := d.commit(clone, demoFirst); err != nil {
		return err
	}
	out, err := d.push(clone)
	if err != nil {
		return err
	}
	d.tell("%s", out)
	d.change, err = d.newest()
	return err
}

// newest is the change that was pushed last.
func (d *demo) newest() (int64, error) {
	var all items[api.Change]
	if err := d.operator.do(http.MethodGet, "/changes?repository="+demoRepo, nil, &all); err != nil {
		return 0, err
	}
	newest := d.change
	for _, one := range all.Items {
		newest = max(newest, one.Number)
	}
	if newest == d.change {
		return 0, errors.New("gate: demo: the push made no change")
	}
	return newest, nil
}

// pushSecond amends the commit with the mended file; the Change-Id in its message makes it a
// patch set of the same change.
func (d *demo) pushSecond() error {
	clone := d.path("alice")
	if _, err := unpack(demoSecond, clone); err != nil {
		return err
	}
	head, err := demoFiles.ReadFile("demo/" + demoFirst + ".txtar")
	if err != nil {
		return fmt.Errorf("gate: demo: %w", err)
	}
	env, _ := signature(string(head))
	d.tell("$ git commit --all --amend --no-edit")
	if _, err := d.git(clone, env, "commit", "--quiet", "--all", "--amend", "--no-edit"); err != nil {
		return err
	}
	out, err := d.push(clone)
	if err != nil {
		return err
	}
	d.tellPush(out)
	return nil
}

func (d *demo) push(clone string, options ...string) (string, error) {
	args := append(append([]string{"push"}, options...), "origin", "HEAD:refs/for/main")
	d.tell("$ git %s", strings.Join(args, " "))
	return d.git(clone, d.alice(), args...)
}

// tellPush shows what a push says about its change, without what was seen before: the lines of
// its gates and stages.
func (d *demo) tellPush(out string) {
	for one := range strings.Lines(out) {
		if strings.Contains(one, "/c/"+demoRepo+"/+/") || strings.HasPrefix(one, "remote: Change ") {
			d.tell("%s", one)
		}
	}
}

// fetchHook installs the hook that gives each commit its Change-Id, from the server.
func (d *demo) fetchHook(name string) error {
	d.tell("$ curl -o .git/hooks/commit-msg %s/tools/hooks/commit-msg", d.server.app.settings.URL)
	r, err := http.NewRequestWithContext(d.ctx, http.MethodGet, d.server.app.settings.URL+"/tools/hooks/commit-msg", nil)
	if err != nil {
		return fmt.Errorf("gate: demo: hook: %w", err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("gate: demo: hook: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxHook))
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("gate: demo: hook: %s: %w", resp.Status, err)
	}
	if err := os.WriteFile(name, text, 0o700); err != nil { //nolint:gosec // git runs it
		return fmt.Errorf("gate: demo: hook: %w", err)
	}
	return nil
}
