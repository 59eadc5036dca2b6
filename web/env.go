package web

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/promote"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
)

// Delivery is what the pages ask about what comes after a landing. Like those of [Gate] its
// methods check the actor's rights themselves.
type Delivery interface {
	Environments(ctx context.Context, a account.Actor, repoName, branch string) ([]gatekeeper.EnvironmentView, error)
	PromoteArtifact(ctx context.Context, a account.Actor, repoName, branch string, ask deliver.Ask) (deliver.Promotion, error)
	RollBack(ctx context.Context, a account.Actor, repoName, branch string, ask deliver.Ask) (deliver.Promotion, error)
	CancelPromotion(ctx context.Context, a account.Actor, repoName string, id int64, reason string) (deliver.Promotion, error)
	Order(ctx context.Context, a account.Actor, repoName, branch string, o deliver.Order) error
	LiftOrder(ctx context.Context, a account.Actor, repoName, branch, environment, kind, what string) error

	PlaceFor(ctx context.Context, a account.Actor, repoName, branch string) (deliver.Place, error)
	Deliveries(ctx context.Context, a account.Actor, at deliver.Place, limit int) ([]gatekeeper.Delivery, error)
	DeliveryOf(ctx context.Context, a account.Actor, run int64) (gatekeeper.Delivery, error)
	Approve(ctx context.Context, a account.Actor, at deliver.Place, what gatekeeper.Approval) (gatekeeper.Approved, error)
	Figures(ctx context.Context, a account.Actor, repoName, branch, environment string, weeks int) (gatekeeper.Figures, error)

	DeliveryOfChange(ctx context.Context, a account.Actor, change int64) (gatekeeper.Delivery, error)
	Pipeline(ctx context.Context, a account.Actor, change int64) (gatekeeper.Pipeline, error)
	Aim(ctx context.Context, a account.Actor, change int64) (gatekeeper.Aim, error)
	SetOutcome(ctx context.Context, a account.Actor, change int64, outcome, reason string) error
	Bypass(ctx context.Context, a account.Actor, change int64, node, reason string) error

	ArtifactStory(ctx context.Context, a account.Actor, repoName, digest string) (gatekeeper.ArtifactStory, error)
	ArtifactContent(ctx context.Context, a account.Actor, repoName, digest string) (gatekeeper.Built, io.ReadSeekCloser, error)
}

// placePage is a page about what a branch delivers.
type placePage struct {
	repoPage
	Part     string // which of the pages
	Branch   string
	Branches []string
	None     string // why there is nothing to show
	MayAct   bool   // promote, roll back, pin and veto
	MayStop  bool   // freeze
}

// placeOf finds the branch that the address asks for; the default one when it asks for none.
func (w *Web) placeOf(c *call, part string) (placePage, error) {
	p := placePage{Part: part}
	var err error
	if p.repoPage, err = w.repoOf(c, "environments"); err != nil {
		return p, err
	}
	p.Branch = c.query("branch")
	if c.r.Method == http.MethodPost {
		p.Branch = c.r.PostForm.Get("branch")
	}
	if p.Branch == "" {
		p.Branch = p.Repo.DefaultBranch
	}
	resource := p.Repo.Resource(p.Branch)
	if err := w.may(c, account.Read, resource); err != nil {
		return p, err
	}
	p.MayAct = c.signedIn() && w.may(c, account.Deploy, resource) == nil
	p.MayStop = c.signedIn() && w.may(c, account.Freeze, resource) == nil
	if p.Branches, err = w.otherBranches(c.ctx(), p.Repo, ""); err != nil {
		return p, err
	}
	return p, nil
}

// Query is what addresses of the same place end with.
func (p placePage) Query() string {
	if p.Branch == p.Repo.DefaultBranch {
		return ""
	}
	return "?" + url.Values{"branch": {p.Branch}}.Encode()
}

// envsView is what runs where.
type envsView struct {
	placePage
	Envs []envView
}

// envView is one environment. A stream renews it, but for the forms.
type envView struct {
	gatekeeper.EnvironmentView
	ID          string // in the page
	Each        bool   // one for each change
	State, Tone string
	Words       string // below the state
	Now         *runsView
	Entering    *promotionView
	Waiting     []promotionView
	Finished    []promotionView
	Previews    []runsView
	Orders      []orderView
	What        []whatView // what the forms offer: waits, runs or ran there
	Good        []whatView // what can be gone back to
	ByPlan      bool       // the plan freezes it, and not only people
	MayAct      bool
	MayStop     bool
	Action      string
	Branch      string
	Form        *envForm // what was sent and not taken
}

// thing is an artifact with where it came from.
type thing struct {
	Subject  string
	Change   int64
	Commit   git.OID
	Artifact string
	Digest   string
	URL      string // of its page
}

// runsView is an artifact that runs.
type runsView struct {
	thing
	Run         deliver.Assembly
	Tone        string
	Since       time.Time
	By, Kind    string
	Reason      string
	Link, Where string // the address, as a link when it can be one
	Host        string
	HostLink    string
	Left        time.Time
}

// promotionView is a promotion of the past, on its way, or one that waits.
type promotionView struct {
	deliver.Promotion
	Of     thing
	Tone   string
	Words  string
	When   time.Time
	Next   bool
	May    bool
	Older  bool
	Action string
}

// orderView is an order that holds.
type orderView struct {
	deliver.Order
	Of      thing
	MayLift bool
	Action  string
}

// whatView is an artifact that a form offers.
type whatView struct{ Value, Words string }

// environments is what runs where, what is on its way there, and what keeps it out.
func (w *Web) environments(c *call) error {
	p, err := w.placeOf(c, "environments")
	if err != nil {
		return err
	}
	return w.showEnvironments(c, http.StatusOK, p, nil)
}

func (w *Web) showEnvironments(c *call, status int, p placePage, form *envForm) error {
	v, err := w.envsOf(c.ctx(), c, p)
	if err != nil {
		return err
	}
	parts, err := w.renderPart(c, "environments", "env-parts", v)
	if err != nil {
		return err
	}
	for i := range v.Envs {
		if form != nil && v.Envs[i].Name == form.Environment {
			v.Envs[i].Form = form
		}
	}
	return w.render(c, status, "environments", "Environments of "+p.Repo.Name, v, withUp(repoURL(p.Repo.Name, "")),
		withLive(repoURL(p.Repo.Name, "environments-events")+p.Query(), parts))
}

func (w *Web) environmentEvents(c *call) error {
	p, err := w.placeOf(c, "environments")
	if err != nil {
		return err
	}
	return w.live(c, func(ctx context.Context) ([]byte, error) {
		v, err := w.envsOf(ctx, c, p)
		if err != nil {
			return nil, err
		}
		return w.renderPart(c, "environments", "env-parts", v)
	}, event.RepoTopic(p.Repo.ID))
}

// envsOf reads the environments of a place.
func (w *Web) envsOf(ctx context.Context, c *call, p placePage) (envsView, error) {
	v := envsView{placePage: p}
	all, err := w.Gate.Environments(ctx, c.actor, p.Repo.Name, p.Branch)
	if v.None, err = noneWords(err); err != nil || v.None != "" {
		return v, err
	}
	l := w.lookup(ctx, c, p.repoPage)
	coming, err := w.coming(ctx, c, l, p)
	if err != nil {
		return v, err
	}
	for i, e := range all {
		one := w.envOf(l, p, e, i)
		one.Waiting = append(one.Waiting, coming[e.Name]...)
		v.Envs = append(v.Envs, one)
	}
	return v, nil
}

// comingShown is how many deliveries are asked what they wait for: those before them are mostly
// superseded.
const comingShown = 10

// coming are the artifacts on their way to each environment for which nothing asks yet: a gate or
// a stage comes first.
func (w *Web) coming(ctx context.Context, c *call, l *lookup, p placePage) (map[string][]promotionView, error) {
	at, err := w.Gate.PlaceFor(ctx, c.actor, p.Repo.Name, p.Branch)
	if err != nil {
		return nil, err
	}
	all, err := w.Gate.Deliveries(ctx, c.actor, at, comingShown)
	if err != nil {
		return nil, err
	}
	coming := map[string][]promotionView{}
	for _, d := range all {
		for _, s := range d.Stops {
			if d.State == gatekeeper.RunRunning && s.Promotion == 0 {
				one := promotionView{Of: l.thing("", "", d.Commit, d.Change), Words: s.Words, When: s.Until}
				one.Run, one.Environment = d.Run, s.Environment
				coming[s.Environment] = append(coming[s.Environment], one)
			}
		}
	}
	return coming, nil
}

// noneWords are why a page has nothing to show, when err says no more than that.
func noneWords(err error) (string, error) {
	switch fault.KindOf(err) {
	case fault.Unavailable, fault.Invalid, fault.NotFound:
		return fault.Sentence(err), nil
	}
	return "", err
}

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
		subject = "commit " + commit.Short()
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
		order := orderView{Order: o, Action: v.Action, MayLift: pickBool(o.Kind == deliver.OrderFreeze, p.MayStop, p.MayAct)}
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

func pickBool(condition, yes, no bool) bool {
	if condition {
		return yes
	}
	return no
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

// runs is how an assembly stands; nil is one that is gone.
func (w *Web) runs(l *lookup, a *deliver.Assembly) runsView {
	if a == nil {
		return runsView{Run: deliver.Assembly{State: "GONE", Reason: "nothing answers for it"}, Tone: "bad"}
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
	add := func(t thing, note string) {
		if t.Digest != "" && !seen[t.Digest] {
			seen[t.Digest] = true
			v.What = append(v.What, whatView{t.Digest, t.words(note)})
		}
	}
	for _, p := range v.Waiting {
		add(p.Of, "waits")
	}
	if v.Now != nil {
		add(v.Now.thing, "runs now")
	}
	for _, p := range v.Finished {
		add(p.Of, word(p.State))
		if p.State == promote.Succeeded && !good[p.Digest] && (v.Now == nil || p.Digest != v.Now.Digest) {
			good[p.Digest] = true
			v.Good = append(v.Good, whatView{p.Digest, p.Of.words("ran until it was replaced")})
		}
	}
}

// words name an artifact in a list to choose from.
func (t thing) words(note string) string {
	text := t.Subject
	if t.Change != 0 {
		text = fmt.Sprintf("%d: %s", t.Change, t.Subject)
	}
	if runes := []rune(text); len(runes) > maxChoice {
		text = string(runes[:maxChoice]) + "…"
	}
	return plain(text) + " (" + note + ")"
}

// maxChoice is how many letters of a subject a list to choose from shows: it must fit a phone.
const maxChoice = 60

// state says in a word how an environment is: what needs people first.
func (v *envView) state() {
	switch {
	case v.Broken != "":
		v.State, v.Tone, v.Words = "broken", "bad", v.Broken
	case v.Entering != nil:
		v.State, v.Tone = word(v.Entering.State), "busy"
	case v.Each:
		v.State, v.Tone = plural(len(v.Previews), "assembly", "assemblies"), pick(len(v.Previews) > 0, "good", "calm")
	case v.Now == nil:
		v.State, v.Tone = "empty", "calm"
	default:
		v.State, v.Tone = word(v.Now.Run.State), v.Now.Tone
	}
}
