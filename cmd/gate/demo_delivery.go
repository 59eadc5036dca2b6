package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/promote"
	"gatehouse/gitserver/event"
	"gatehouse/web/api"
)

const (
	// demoBad is the archive of the release that fails in production.
	demoBad = "bad-1"
	// demoAsk is what the demo asks the service.
	demoAsk = "/hello?name=Ada"
	// maxDemoAnswer bounds what is read of the service's answer, which is one line.
	maxDemoAnswer = 4 << 10
	// demoAnswerWithin is how long the service may take for it.
	demoAnswerWithin = 10 * time.Second
	// localhostSuffix ends names that are always this machine (RFC 6761, 6.3): curl and
	// browsers know that without a name server, Go's resolver asks one.
	localhostSuffix = ".localhost"
)

// environment is what runs in an environment of the sample now, and what comes next.
func (d *demo) environment(name string) (v gatekeeper.EnvironmentView, err error) {
	return v, d.operator.do(http.MethodGet, "/repositories/"+demoRepo+"/environments/"+url.PathEscape(name), nil, &v)
}

// waitEnvironment waits until done is content with an environment, and shows each promotion
// that has moved since it was last looked at.
func (d *demo) waitEnvironment(name string, done func(gatekeeper.EnvironmentView) (bool, error)) (v gatekeeper.EnvironmentView, err error) {
	last := ""
	err = d.until(event.RepoTopic(d.repo.ID), func() (bool, error) {
		if v, err = d.environment(name); err != nil {
			return false, err
		}
		if e := v.Entering; e != nil {
			if now := fmt.Sprintf("%s  %s  %s", name, what(*e), e.Why); e.Why != "" && now != last {
				d.tell("%s", now)
				last = now
			}
		}
		return done(v)
	})
	return v, err
}

// runs says whether what is in production, or any other standing environment, is of the change
// and serves. That it never will is an error.
func (d *demo) runs(v gatekeeper.EnvironmentView) (bool, error) {
	for _, p := range v.Past {
		if p.Change == d.change && (p.State == promote.Failed || p.State == promote.RolledBack || p.State == promote.Rejected) {
			return false, fmt.Errorf("gate: demo: change %d was to run in %s, and it is %s: %s", d.change, v.Name, p.State, p.Why)
		}
	}
	return v.Current != nil && v.Current.Change == d.change && v.Assembly != nil && v.Assembly.State == deliver.AssemblyReady, nil
}

// preview waits for the preview of the change and asks it.
func (d *demo) preview() error {
	if err := d.waitTested(); err != nil {
		return err
	}
	v, err := d.environment("preview")
	if err != nil {
		return err
	}
	for _, a := range v.Running {
		if a.Change == d.change && a.State == deliver.AssemblyReady {
			d.digest = a.Digest
			d.tell("%s was built once, and runs for change %d alone:", shortDigest(a.Digest), a.Change)
			_, err := d.curl(a.Address)
			return err
		}
	}
	return fmt.Errorf("gate: demo: change %d passed, and its preview does not run", d.change)
}

// staging waits until what has landed runs there, which nobody has to ask for.
func (d *demo) staging() error {
	v, err := d.waitEnvironment("staging", d.runs)
	if err != nil {
		return err
	}
	if err := d.same(v); err != nil {
		return err
	}
	_, err = d.curl(v.Assembly.Address)
	return err
}

// production waits for a person, is approved by one, and then answers under its name.
func (d *demo) production(result *demoResult) error {
	if err := d.waitAsked(); err != nil {
		return err
	}
	if err := d.accept("tried on staging"); err != nil {
		return err
	}
	v, err := d.waitEnvironment("production", d.runs)
	if err != nil {
		return err
	}
	if err := d.same(v); err != nil {
		return err
	}
	result.Digest, result.Production = d.digest, d.productionURL(v)
	d.tell("%s runs there: what the preview ran, byte for byte", shortDigest(d.digest))
	result.Answer, err = d.curl(result.Production)
	return err
}

// same makes sure that what runs is, byte for byte, what the preview ran.
func (d *demo) same(v gatekeeper.EnvironmentView) error {
	if v.Current.Digest != d.digest {
		return fmt.Errorf("gate: demo: %s runs %s, and %s was tested", v.Name, v.Current.Digest, d.digest)
	}
	return nil
}

// accept is bob's approval for production, when the gate waits for it.
func (d *demo) accept(note string) error {
	d.tell("$ gate approve %s accepted %d --note '%s'     (as bob)", demoRepo, d.change, note)
	var done gatekeeper.Approved
	in := api.NewApproval{What: number(d.change), Note: note}
	if err := d.bob.do(http.MethodPost, "/repositories/"+demoRepo+"/gates/accepted/approve", in, &done); err != nil {
		return err
	}
	var text strings.Builder
	if err := showApproved(&text, done, false); err != nil {
		return err
	}
	d.tell("%s", text.String())
	return nil
}

// waitAsked waits until what landed runs in staging and the gate before production asks people, and
// shows what it says.
func (d *demo) waitAsked() error {
	return d.until(event.RepoTopic(d.repo.ID), func() (bool, error) {
		var on gatekeeper.Delivery
		if err := d.operator.do(http.MethodGet, changePath(d.change, "/delivery"), nil, &on); err != nil {
			return false, err
		}
		for _, s := range on.Stops {
			if s.Environment == "staging" && !s.Runs {
				return false, nil
			}
		}
		for _, g := range on.Gates {
			if g.Gate != "accepted" || g.State != plan.Closed {
				continue
			}
			d.tell("$ gate why %d", d.change)
			var text strings.Builder
			err := showDelivery(&text, on)
			d.tell("%s", text.String())
			return true, err
		}
		return false, nil
	})
}

// productionURL is the name that the server's router has for production.
func (d *demo) productionURL(v gatekeeper.EnvironmentView) string {
	u, err := url.Parse(d.server.app.settings.URL)
	if err != nil || v.Assembly.Host == "" {
		return v.Assembly.Address
	}
	u.Host = net.JoinHostPort(v.Assembly.Host, u.Port())
	return u.String()
}

// pushBad is a change with a mistake that no test sees, and that nobody looks for in staging.
func (d *demo) pushBad() error {
	clone := d.path("alice")
	d.tell("$ git fetch && git reset --hard origin/main")
	if _, err := d.git(clone, d.alice(), "fetch", "--quiet", "origin"); err != nil {
		return err
	}
	if _, err := d.git(clone, nil, "reset", "--quiet", "--hard", "origin/main"); err != nil {
		return err
	}
	d.tell("$ git commit --all")
	if err := d.commit(clone, demoBad); err != nil {
		return err
	}
	out, err := d.push(clone, "-o", "submit")
	if err != nil {
		return err
	}
	d.tellPush(out)
	if d.change, err = d.newest(); err != nil {
		return err
	}
	if err := d.vote("fine"); err != nil {
		return err
	}
	_, err = d.waitLanded()
	return err
}

// goesBack is the bad release in production: accepted, watched, and taken back.
func (d *demo) goesBack(result *demoResult) error {
	if err := d.waitAsked(); err != nil {
		return err
	}
	if err := d.accept("what could go wrong"); err != nil {
		return err
	}
	v, err := d.waitEnvironment("production", func(v gatekeeper.EnvironmentView) (bool, error) {
		for _, p := range v.Past {
			if p.Kind == promote.Rollback && p.State == promote.Succeeded {
				return v.Current != nil && v.Current.Digest == d.digest, nil
			}
		}
		if v.Entering == nil && v.Current != nil && v.Current.Change == d.change {
			return false, errors.New("gate: demo: a release that says that it is ill stayed in production")
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	result.RolledBack = true
	d.tell("$ gate env show %s production", demoRepo)
	for _, p := range v.Past {
		d.tell("%-9s  change %d  %-11s  %s", p.Kind, p.Change, strings.ToLower(string(p.State)), p.Why)
	}
	for _, o := range v.Orders {
		d.tell("%s", orderWords(o))
	}
	_, err = d.curl(result.Production)
	return err
}

// curl asks the service at an address, as anybody would, and shows what it said.
func (d *demo) curl(address string) (string, error) {
	d.tell("$ curl '%s%s'", address, demoAsk)
	dial := func(ctx context.Context, network, at string) (net.Conn, error) {
		if host, port, err := net.SplitHostPort(at); err == nil && strings.HasSuffix(host, localhostSuffix) {
			at = net.JoinHostPort("127.0.0.1", port)
		}
		return (&net.Dialer{}).DialContext(ctx, network, at)
	}
	transport := &http.Transport{DialContext: dial}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(d.ctx, http.MethodGet, address+demoAsk, nil)
	if err != nil {
		return "", fmt.Errorf("gate: demo: %w", err)
	}
	resp, err := (&http.Client{Transport: transport, Timeout: demoAnswerWithin}).Do(r)
	if err != nil {
		return "", fmt.Errorf("gate: demo: the service does not answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxDemoAnswer))
	if err != nil || resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("gate: demo: the service answers %s: %s: %w", resp.Status, text, err)
	}
	answer := strings.TrimSpace(string(text))
	d.tell("%s", answer)
	return answer, nil
}

// serveOn shows where to look and keeps serving.
func (d *demo) serveOn(result demoResult) error {
	var link api.Secret
	if err := d.operator.do(http.MethodPost, "/accounts/alice/link", nil, &link); err != nil {
		return err
	}
	home := d.server.app.settings.URL
	say(d.talk, "\nLook around:")
	for _, row := range [][2]string{
		{"the review", fmt.Sprintf("%s/c/%s/+/%d", home, demoRepo, result.Change)},
		{"the queue", home + "/" + demoRepo + "/-/queue/main"},
		{"the environments", home + "/" + demoRepo + "/-/environments"},
		{"what production says", result.Production + demoAsk},
		{"sign in as alice, once", link.URL},
		{"her clone", d.path("alice")},
	} {
		d.tell("%-23s %s", row[0], row[1])
	}
	say(d.talk, "\nCtrl-C stops it; %s.", d.afterwards())
	select {
	case <-d.ctx.Done():
		return nil
	case err := <-d.server.failed:
		return err
	}
}

// afterwards says what becomes of the folder.
func (d *demo) afterwards() string {
	if d.keep {
		return "all of it is in " + filepath.Clean(d.dir)
	}
	return d.dir + " goes with it, and nothing else was written"
}
