package web

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/web/words"
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
	ID       string // in the page
	Each     bool   // one for each change
	State    any    // a words.Word or a words.Text
	Tone     string
	Now      *runsView
	Entering *promotionView
	Waiting  []promotionView
	Finished []promotionView
	Previews []runsView
	Orders   []orderView
	What     []whatView // what the forms offer: waits, runs or ran there
	Good     []whatView // what can be gone back to
	ByPlan   bool       // the plan freezes it, and not only people
	MayAct   bool
	MayStop  bool
	Action   string
	Branch   string
	Form     *envForm // what was sent and not taken
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
type whatView struct {
	Value, Name string
	Note        words.Word // what it is there for
}

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
