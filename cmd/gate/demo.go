package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/mirror"
	"gatehouse/gitserver/repo"
	"gatehouse/web/api"
)

const (
	// demoPatience is how long the demo waits for any one step: the first run of a stage
	// compiles Go's standard library, on a slow machine for minutes.
	demoPatience = 10 * time.Minute
	// demoLook is how often it looks when nothing woke it.
	demoLook = time.Second
	demoRepo = "hello"
)

type demoCmd struct {
	Once bool   `help:"End when it is done instead of serving on."`
	Keep string `placeholder:"DIR" type:"path" help:"Work in this new folder and keep it; without it a temporary one is used and removed."`
	JSON bool   `name:"json" help:"Print what came of it in JSON."`
}

func (c *demoCmd) Help() string {
	return "It is all real: git over SSH, a server in a folder of its own, stages in the sandbox, a bare repository as the upstream, and a service that is built, deployed and asked."
}

// demoResult is what the demo prints with --json.
type demoResult struct {
	Repo         string `json:"repo"`
	Upstream     string `json:"upstream"`
	Change       int64  `json:"change"`
	Landed       string `json:"landed"`
	RefusedFirst bool   `json:"refused_first"`
	Digest       string `json:"digest"`     // what was built of the change, and runs in production
	Production   string `json:"production"` // the address of production
	Answer       string `json:"answer"`     // what the service said there
	RolledBack   bool   `json:"rolled_back"`
}

// Run plays the demo.
func (c *demoCmd) Run(p *process) (err error) {
	ctx, stop := signal.NotifyContext(p.ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	dir, forget, err := c.folder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, forget()) }()
	d := &demo{ctx: ctx, dir: dir, keep: c.Keep != "", talk: p.stderr}
	defer func() {
		if d.server != nil {
			err = d.server.stop(err)
		}
	}()
	result, err := d.play()
	if err != nil {
		if ctx.Err() != nil {
			return exitError(exitFailed)
		}
		say(p.stderr, "the demo's log: %s", filepath.Join(dir, "server.log"))
		forget = func() error { return nil } // the log is worth more than a clean folder
		return err
	}
	if c.JSON {
		if err := printJSON(p.stdout, result); err != nil {
			return err
		}
	}
	if c.Once {
		return nil
	}
	return d.serveOn(result)
}

// folder is where the demo lives, and what removes it.
func (c *demoCmd) folder() (dir string, forget func() error, err error) {
	if c.Keep == "" {
		dir, err := os.MkdirTemp("", "gate-demo-")
		return dir, func() error { return removeAll(dir) }, err
	}
	if entries, err := os.ReadDir(c.Keep); err == nil && len(entries) > 0 {
		return "", nil, fault.New(fault.Invalid, "gate.demo", c.Keep+" is not empty", "name a folder that does not exist yet")
	}
	if err := os.MkdirAll(c.Keep, 0o700); err != nil {
		return "", nil, fault.Newf(fault.Invalid, "gate.demo", "the folder cannot be made: %v", err)
	}
	dir, err = filepath.Abs(c.Keep)
	return dir, func() error { return nil }, err
}

// removeAll removes a folder, also one with files that Go's module cache made read-only.
func removeAll(dir string) error {
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(path, 0o700) //nolint:gosec // a folder that is about to go
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// demo is a run of it.
type demo struct {
	ctx      context.Context
	dir      string
	keep     bool // the folder stays
	talk     io.Writer
	server   *server
	operator *client // at the server's own folder
	bob      *client // over HTTP, with a token
	step     int
	repo     repo.Repository
	change   int64  // the one that the story is about now
	digest   string // what was built of the first one
}

// play does the whole way once.
func (d *demo) play() (demoResult, error) {
	result := demoResult{Upstream: d.path("upstream.git")}
	for _, step := range []struct {
		title string
		do    func() error
	}{
		{"a service with a history, and its upstream", d.makeUpstream},
		{"a server on free ports", d.startServer},
		{"accounts for alice and bob, the repository, and its mirror", d.administer},
		{"alice pushes a change over SSH", d.pushFirst},
		{"the push is held; its tests run on what would land", d.waitRefused},
		{"alice mends it and pushes a second patch set", d.pushSecond},
		{"the stages pass: it was built once, and a preview serves it", d.preview},
		{"bob approves and asks to land it", d.approve},
		{"it lands", func() error { return d.landFirst(&result) }},
		{"the upstream follows", func() error { return d.waitMirrored(result) }},
		{"staging runs what was tested, by itself", d.staging},
		{"production waits for a person: bob accepts it", func() error { return d.production(&result) }},
		{"a release with a mistake that no test sees", d.pushBad},
		{"production watches it, and goes back by itself", func() error { return d.goesBack(&result) }},
	} {
		d.step++
		say(d.talk, "\n%d. %s", d.step, title(step.title))
		if err := step.do(); err != nil {
			return result, err
		}
	}
	result.RefusedFirst = true // waitRefused ends in an error otherwise
	g, err := d.server.app.repos.Open(d.repo)
	if err != nil {
		return result, err
	}
	result.Repo = g.Dir()
	return result, nil
}

func title(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

func (d *demo) path(elem ...string) string { return filepath.Join(append([]string{d.dir}, elem...)...) }

// tell shows lines under a step.
func (d *demo) tell(format string, args ...any) {
	for _, one := range strings.Split(strings.TrimRight(fmt.Sprintf(format, args...), "\n"), "\n") {
		say(d.talk, "   %s", clean(strings.TrimRight(strings.ReplaceAll(one, "\t", "    "), " \r")))
	}
}

// startServer starts a server like any other, with its log in a file.
func (d *demo) startServer() error {
	set, err := loadSettings(func(string) (string, bool) { return "", false }, "--data="+d.path("data"), "--http=127.0.0.1:0", "--ssh=127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := runner.Detect(d.ctx); err != nil {
		d.tell("no sandbox works on this machine; the sample's own tests run without one")
		set.Sandbox = string(runner.None)
	}
	log, err := os.OpenFile(d.path("server.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("gate: demo: %w", err)
	}
	if d.server, err = startServer(d.ctx, set, log); err != nil {
		return err
	}
	a := d.server.app
	d.operator = operatorOf(d.ctx, a)
	walls := ""
	if set.Sandbox == string(runner.None) {
		walls = " --sandbox none"
	}
	d.tell("$ gate serve --http 127.0.0.1:0 --ssh 127.0.0.1:0%s", walls)
	d.tell("%s and %s, sandbox %s", a.settings.URL, a.settings.SSHURL, d.server.sandbox)
	return nil
}

// until looks again whenever the topic is woken, until look says that it is enough.
func (d *demo) until(topic event.Topic, look func() (enough bool, err error)) error {
	woken, stop := d.server.app.bus.Listen(topic)
	defer stop()
	patience := time.NewTimer(demoPatience)
	defer patience.Stop()
	again := time.NewTicker(demoLook)
	defer again.Stop()
	for {
		if enough, err := look(); enough || err != nil {
			return err
		}
		select {
		case <-d.ctx.Done():
			return d.ctx.Err()
		case <-patience.C:
			return fmt.Errorf("gate: demo: step %d is not done after %s", d.step, demoPatience)
		case <-woken:
		case <-again.C:
		}
	}
}

// waitFor waits until done is content with where the change stands.
func (d *demo) waitFor(done func(gatekeeper.Explanation) (bool, error)) (e gatekeeper.Explanation, err error) {
	before := map[string]string{}
	err = d.until(event.ChangeTopic(d.change), func() (bool, error) {
		e = gatekeeper.Explanation{}
		if err := d.operator.do(http.MethodGet, changePath(d.change, "/explain"), nil, &e); err != nil {
			return false, err
		}
		d.tellNews(e, before)
		return done(e)
	})
	return e, err
}

// tellNews shows each requirement that has moved since it was last looked at.
func (d *demo) tellNews(e gatekeeper.Explanation, before map[string]string) {
	for _, r := range e.Requirements {
		if old, seen := before[r.Name]; seen && old != r.State {
			reason := r.Reason
			if r.Kind == "gate" && r.State == string(plan.Open) {
				reason = "" // one of several, and all are met
			}
			d.tell("%-8s %-9s %s", r.Name, strings.ToLower(r.State), reason)
		}
		before[r.Name] = r.State
	}
}

// waitRefused waits until the failing test has refused the first patch set.
func (d *demo) waitRefused() error {
	e, err := d.waitFor(func(e gatekeeper.Explanation) (bool, error) {
		if e.State == gatekeeper.Landed {
			return false, errors.New("gate: demo: a change with a failing test landed")
		}
		return e.State == gatekeeper.Refused, nil
	})
	if err != nil {
		return err
	}
	d.tell("$ gate why %d", d.change)
	var text strings.Builder
	if err := showExplanation(&text, e); err != nil {
		return err
	}
	d.tell("%s", text.String())
	return nil
}

// waitTested waits for the stages before the landing.
func (d *demo) waitTested() error {
	_, err := d.waitFor(func(e gatekeeper.Explanation) (bool, error) {
		if e.State.Final() {
			return false, fmt.Errorf("gate: demo: patch set %d was to pass, and is %s: %s", e.PatchSet, e.State, e.Summary)
		}
		for _, r := range e.Requirements {
			if r.Name == "smoke" {
				return r.State == "OPEN", nil
			}
		}
		return false, nil
	})
	return err
}

// approve is bob's vote and his request to land, over HTTP with his token.
func (d *demo) approve() error {
	if err := d.vote("reads well"); err != nil {
		return err
	}
	d.tell("$ gate submit %d", d.change)
	return d.bob.do(http.MethodPost, changePath(d.change, "/submit"), nil, nil)
}

func (d *demo) vote(message string) error {
	d.tell("$ gate vote %d --label Code-Review=+2 -m '%s'     (as bob)", d.change, message)
	vote := api.Review{Votes: map[string]int{"Code-Review": 2}, Message: message}
	return d.bob.do(http.MethodPost, changePath(d.change, "/votes"), vote, nil)
}

// landFirst waits for the landing of the first change.
func (d *demo) landFirst(result *demoResult) error {
	landed, err := d.waitLanded()
	if err != nil {
		return err
	}
	result.Change, result.Landed = d.change, string(landed)
	return d.checkTested(landed)
}

func (d *demo) waitLanded() (git.OID, error) {
	e, err := d.waitFor(func(e gatekeeper.Explanation) (bool, error) {
		if e.State.Final() && e.State != gatekeeper.Landed {
			return false, fmt.Errorf("gate: demo: change %d is %s: %s", e.Change, e.State, e.Summary)
		}
		return e.State == gatekeeper.Landed, nil
	})
	if err == nil {
		d.tell("main is at %s", e.LandedCommit)
	}
	return e.LandedCommit, err
}

// checkTested makes sure that the commit that landed is one that the stages passed on.
func (d *demo) checkTested(landed git.OID) error {
	var runs items[gatekeeper.Run]
	if err := d.operator.do(http.MethodGet, changePath(d.change, "/runs"), nil, &runs); err != nil {
		return err
	}
	for _, run := range runs.Items {
		if run.Candidate == landed && run.State == gatekeeper.RunPassed {
			d.tell("vet, unit, build and preview passed on that very commit")
			return nil
		}
	}
	return fmt.Errorf("gate: demo: %s landed, and no run passed on it", landed)
}

// waitMirrored waits for the mirror and then asks the upstream itself.
func (d *demo) waitMirrored(result demoResult) error {
	err := d.until(event.RepoTopic(d.repo.ID), func() (bool, error) {
		var all items[api.Mirror]
		if err := d.operator.do(http.MethodGet, "/repositories/"+demoRepo+"/mirrors", nil, &all); err != nil {
			return false, err
		}
		for _, m := range all.Items {
			if m.State == mirror.Diverged || m.State == mirror.Retrying {
				d.tell("%s: %s", m.State, m.Reason)
			}
		}
		return len(all.Items) == 1 && all.Items[0].State == mirror.Synced && all.Items[0].Commit == result.Landed, nil
	})
	if err != nil {
		return err
	}
	tip, err := d.git(result.Upstream, nil, "rev-parse", "refs/heads/main")
	if err != nil {
		return err
	}
	if tip = strings.TrimSpace(tip); tip != result.Landed {
		return fmt.Errorf("gate: demo: upstream is at %s, and %s landed", tip, result.Landed)
	}
	d.tell("$ git -C upstream.git rev-parse main\n%s", tip)
	return nil
}
