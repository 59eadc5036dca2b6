package web

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/promote"
	"gatehouse/gitserver/git"
	"gatehouse/web/words"
)

// lookup finds the subjects of commits, each once.
type lookup struct {
	ctx      context.Context
	p        repoPage
	subjects map[git.OID]string
	hidden   map[int64]bool
	web      *Web
	c        *call
}

func (w *Web) lookup(ctx context.Context, c *call, p repoPage) *lookup {
	return &lookup{ctx: ctx, p: p, subjects: map[git.OID]string{}, hidden: map[int64]bool{}, web: w, c: c}
}

// thing is an artifact as pages name it. Of a commit that is gone only its name is left.
func (l *lookup) thing(artifact, digest string, commit git.OID, change int64) thing {
	subject, known := l.subjects[commit]
	if !known && !commit.IsZero() && commit != "" {
		if k, err := l.p.git.Commit(l.ctx, commit); err == nil {
			subject = k.Subject()
		}
		l.subjects[commit] = subject
	}
	if subject == "" {
		subject = commit.Short()
	}
	t := thing{Subject: subject, Change: change, Commit: commit, Artifact: artifact, Digest: digest}
	if digest != "" {
		t.URL = repoURL(l.p.Repo.Name, "artifacts", digest)
	}
	return t
}

func (w *Web) envOf(l *lookup, p placePage, e gatekeeper.EnvironmentView, i int) envView {
	v := envView{EnvironmentView: e, ID: fmt.Sprint("env-", i), Each: e.Class != plan.Standing, MayAct: p.MayAct, MayStop: p.MayStop, Branch: p.Branch,
		Action: repoURL(p.Repo.Name, "environments")}
	if e.Current != nil {
		r := w.runs(l, e.Assembly)
		r.thing = l.thing(e.Current.Artifact, e.Current.Digest, e.Current.Commit, e.Current.Change)
		r.Since, r.By, r.Kind, r.Reason = e.Current.EndedAt, e.Current.By, string(e.Current.Kind), e.Current.Reason
		v.Now = &r
	}
	if e.Entering != nil {
		one := l.promotion(*e.Entering)
		one.Words, one.When = e.Entering.Why, e.Entering.Until
		v.Entering = &one
	}
	for _, n := range e.Next {
		one := l.promotion(n.Promotion)
		one.Words, one.When, one.Next, one.May, one.Older, one.Action = n.Words, n.When, n.Next, n.May, n.Older, v.Action
		v.Waiting = append(v.Waiting, one)
	}
	for _, past := range e.Past {
		v.Finished = append(v.Finished, l.promotion(past))
	}
	for _, a := range e.Running {
		if v.Each {
			v.Previews = append(v.Previews, w.runs(l, &a))
		}
	}
	for _, o := range e.Orders {
		order := orderView{Order: o, Action: v.Action, MayLift: pick(o.Kind == deliver.OrderFreeze, p.MayStop, p.MayAct)}
		order.Of = l.digest(e, o.Digest)
		v.Orders = append(v.Orders, order)
	}
	v.ByPlan = e.Frozen != ""
	for _, o := range e.Orders {
		v.ByPlan = v.ByPlan && (o.Kind != deliver.OrderFreeze || o.Reason != e.Frozen)
	}
	v.choices()
	v.state()
	return v
}

func (l *lookup) promotion(p deliver.Promotion) promotionView {
	return promotionView{Promotion: p, Of: l.thing(p.Artifact, p.Digest, p.Commit, p.Change), Tone: tone("promotion", p.State), Words: p.Why}
}

// digest is what an order is about, by what is known of the environment.
func (l *lookup) digest(e gatekeeper.EnvironmentView, digest string) thing {
	known := append([]deliver.Promotion{}, e.Past...)
	if e.Current != nil {
		known = append(known, *e.Current)
	}
	for _, n := range e.Next {
		known = append(known, n.Promotion)
	}
	for _, p := range known {
		if p.Digest == digest && digest != "" {
			return l.thing(p.Artifact, digest, p.Commit, p.Change)
		}
	}
	if digest == "" {
		return thing{}
	}
	return thing{Digest: digest, URL: repoURL(l.p.Repo.Name, "artifacts", digest)}
}

// gone is the state of what is to run and of which nothing is known.
const gone deliver.AssemblyState = "GONE"

// runs is how an assembly stands; nil is one that is gone.
func (w *Web) runs(l *lookup, a *deliver.Assembly) runsView {
	if a == nil {
		return runsView{Run: deliver.Assembly{State: gone}, Tone: "bad"}
	}
	r := runsView{Run: *a, Tone: tone("assembly", a.State), Since: a.ReadySince, Left: a.ExpiresAt, Where: a.Address, Link: webLink(a.Address), Host: a.Host}
	r.thing = l.thing(a.Artifact, a.Digest, a.Commit, a.Change)
	if a.Host != "" && a.DNS == deliver.DNSBound {
		r.HostLink = w.hostLink(a.Host)
	}
	return r
}

// webLink is an address that a reader may follow: of the web, with a host, and of nobody; "" for
// all others, which are shown as text.
func webLink(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Opaque != "" {
		return ""
	}
	return u.String()
}

// hostLink leads to a name that this server answers for, at the port that it answers at.
func (w *Web) hostLink(host string) string {
	u, err := url.Parse(w.URL)
	if err != nil || strings.ContainsAny(host, "/@?#\\: ") {
		return ""
	}
	if port := u.Port(); port != "" {
		host = net.JoinHostPort(host, port)
	}
	return webLink(u.Scheme + "://" + host + "/")
}

// choices are the artifacts that the forms offer, each once.
func (v *envView) choices() {
	seen, good := map[string]bool{}, map[string]bool{}
	add := func(t thing, note words.Word) {
		if t.Digest != "" && !seen[t.Digest] {
			seen[t.Digest] = true
			v.What = append(v.What, whatView{t.Digest, t.choice(), note})
		}
	}
	for _, p := range v.Waiting {
		add(p.Of, words.Word("waits"))
	}
	if v.Now != nil {
		add(v.Now.thing, words.Word("runs now"))
	}
	for _, p := range v.Finished {
		add(p.Of, words.Word(word(p.State)))
		if p.State == promote.Succeeded && !good[p.Digest] && (v.Now == nil || p.Digest != v.Now.Digest) {
			good[p.Digest] = true
			v.Good = append(v.Good, whatView{p.Digest, p.Of.choice(), words.Word("ran until it was replaced")})
		}
	}
}

// choice names an artifact in a list to choose from.
func (t thing) choice() string {
	text := t.Subject
	if t.Change != 0 {
		text = fmt.Sprintf("%d: %s", t.Change, t.Subject)
	}
	if runes := []rune(text); len(runes) > maxChoice {
		text = string(runes[:maxChoice]) + "…"
	}
	return text
}

// maxChoice is how many letters of a subject a list to choose from shows: it must fit a phone.
const maxChoice = 60

// state says in a word how an environment is: what needs people first.
func (v *envView) state() {
	switch {
	case v.Broken != "":
		v.State, v.Tone = words.Word("broken"), "bad"
	case v.Entering != nil:
		v.State, v.Tone = words.Word(word(v.Entering.State)), "busy"
	case v.Each:
		v.State, v.Tone = words.Plural(len(v.Previews), "assembly", "assemblies"), pick(len(v.Previews) > 0, "good", "calm")
	case v.Now == nil:
		v.State, v.Tone = words.Word("empty"), "calm"
	default:
		v.State, v.Tone = words.Word(word(v.Now.Run.State)), v.Now.Tone
	}
}
