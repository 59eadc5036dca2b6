package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/promote"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/web/words"
)

// deliveriesShown is how many deliveries a list shows: more than anybody looks through.
const deliveriesShown = 40

// deliveriesView is the list of what landed and how far it came.
type deliveriesView struct {
	placePage
	Rows []deliveryRow
}

type deliveryRow struct {
	gatekeeper.Delivery
	Of   thing
	Tone string
	URL  string
	Took any
}

func (w *Web) deliveries(c *call) error {
	p, err := w.placeOf(c, "deliveries")
	if err != nil {
		return err
	}
	v := deliveriesView{placePage: p}
	at, err := w.Gate.PlaceFor(c.ctx(), c.actor, p.Repo.Name, p.Branch)
	var all []gatekeeper.Delivery
	if err == nil {
		all, err = w.Gate.Deliveries(c.ctx(), c.actor, at, deliveriesShown)
	}
	if v.None, err = noneWords(err); err != nil {
		return err
	}
	l := w.lookup(c.ctx(), c, p.repoPage)
	for _, d := range all {
		var took any
		if !d.EndedAt.IsZero() {
			took = lastedWords(d.EndedAt.Sub(d.StartedAt).Seconds())
		}
		v.Rows = append(v.Rows, deliveryRow{Took: took, Delivery: d, Of: l.thing("", "", d.Commit, d.Change), Tone: tone("run", d.State), URL: deliveryURL(d)})
	}
	return w.render(c, http.StatusOK, "deliveries", "Deliveries of "+p.Repo.Name, v, withUp(repoURL(p.Repo.Name, "environments")+p.Query()))
}

func deliveryURL(d gatekeeper.Delivery) string {
	return repoURL(d.Repository, "deliveries", fmt.Sprint(d.Run))
}

// deliveryView is one delivery.
type deliveryView struct {
	placePage
	D     gatekeeper.Delivery
	Of    thing
	Tone  string
	URL   string
	Gates []gateView
	Stops []haltView
	Went  []promotionView
	Made  []madeView
	Form  *envForm
}

// haltView is how a delivery stands in one environment.
type haltView struct {
	Environment, Tone string
	Says              words.Word // in the words of the pages,
	Words             string     // or in those of the rooms below
	When              time.Time
}

// haltOf says how a delivery stands there. What ran is told with the time, for people.
func haltOf(s gatekeeper.DeliveryStop, went []deliver.Promotion) haltView {
	h := haltView{Environment: s.Environment, Tone: "calm", Words: s.Words, When: s.Until}
	if s.State != "" {
		h.Tone = tone("promotion", s.State)
	}
	if s.State != promote.Succeeded {
		return h
	}
	h.Says = words.Word("it ran there until another one took its place, from")
	if s.Runs {
		h.Says = words.Word("it runs there since")
	}
	for _, p := range went {
		if p.ID == s.Promotion {
			h.When = p.EndedAt
		}
	}
	return h
}

// gateView is what a gate says, with each reason.
type gateView struct {
	plan.Verdict
	Tone    string
	Asks    bool // people are asked to approve
	MayAsk  bool // the reader may
	Given   bool // and has
	Source  string
	Problem *envForm
	Reasons []reasonView
}

type reasonView struct {
	plan.Reason
	Tone string
	Who  string
}

// madeView is an artifact that a delivery carries.
type madeView struct {
	gatekeeper.Built
	URL string
}

func (w *Web) delivery(c *call) error {
	v, err := w.deliveryOf(c.ctx(), c)
	if err != nil {
		return err
	}
	return w.showDelivery(c, http.StatusOK, v)
}

func (w *Web) showDelivery(c *call, status int, v deliveryView) error {
	parts, err := w.renderPart(c, "delivery", "delivery-parts", v)
	if err != nil {
		return err
	}
	return w.render(c, status, "delivery", fmt.Sprintf("Delivery %d of %s", v.D.Run, v.Repo.Name), v,
		withUp(repoURL(v.Repo.Name, "deliveries")+v.Query()), withLive(v.URL+"/events", parts))
}

func (w *Web) deliveryEvents(c *call) error {
	v, err := w.deliveryOf(c.ctx(), c)
	if err != nil {
		return err
	}
	return w.live(c, func(ctx context.Context) ([]byte, error) {
		v, err := w.deliveryOf(ctx, c)
		if err != nil {
			return nil, err
		}
		return w.renderPart(c, "delivery", "delivery-parts", v)
	}, event.RepoTopic(v.Repo.ID))
}

// deliveryOf reads the delivery of the address. One of another repository answers like none.
func (w *Web) deliveryOf(ctx context.Context, c *call) (deliveryView, error) {
	v := deliveryView{}
	var err error
	if v.repoPage, err = w.repoOf(c, "environments"); err != nil {
		return v, err
	}
	id, err := c.number("id")
	if err != nil {
		return v, err
	}
	if v.D, err = w.Gate.DeliveryOf(ctx, c.actor, id); err != nil {
		return v, err
	}
	if v.D.Repository != v.Repo.Name {
		return v, notFound("web.delivery", fmt.Sprintf("there is no delivery %d", id))
	}
	v.Branch, v.Part = v.D.Branch, "deliveries"
	l := w.lookup(ctx, c, v.repoPage)
	v.Of, v.Tone, v.URL = l.thing("", "", v.D.Commit, v.D.Change), tone("run", v.D.State), deliveryURL(v.D)
	mayVote := c.signedIn() && w.may(c, account.Vote, v.Repo.Resource(v.D.Branch)) == nil
	for _, g := range v.D.Gates {
		v.Gates = append(v.Gates, w.gateOf(c, v, g, mayVote))
	}
	for _, s := range v.D.Stops {
		v.Stops = append(v.Stops, haltOf(s, v.D.Promotions))
	}
	for _, p := range slices.Backward(v.D.Promotions) {
		v.Went = append(v.Went, l.promotion(p))
	}
	for _, a := range v.D.Artifacts {
		v.Made = append(v.Made, madeView{a, repoURL(v.Repo.Name, "artifacts", a.Digest)})
	}
	return v, nil
}

func (w *Web) gateOf(c *call, v deliveryView, g plan.Verdict, mayVote bool) gateView {
	one := gateView{Verdict: g, Tone: tone("gate", g.State)}
	if g.Line > 0 {
		one.Source = repoURL(v.Repo.Name, "file", string(v.D.Commit), plan.File) + fmt.Sprintf("#L%d", g.Line)
	}
	for _, r := range g.Reasons {
		one.Asks = one.Asks || r.Kind == "approve"
		if r.Kind == "approve" && c.signedIn() {
			one.Given = one.Given || named(r.Evidence, c.actor.Name)
		}
		if strings.Contains(strings.ReplaceAll(r.What, " is ", " "), r.Evidence) {
			r.Evidence = "" // it is said already
		}
		one.Reasons = append(one.Reasons, reasonView{r, tone("gate", r.State), strings.Join(r.Who, ", ")})
	}
	one.MayAsk = one.Asks && mayVote && v.D.State == gatekeeper.RunRunning
	return one
}

// named reports whether evidence names somebody among those who approved.
func named(evidence, name string) bool {
	approved, _, _ := strings.Cut(strings.TrimPrefix(evidence, "approved by "), ";")
	return slices.Contains(strings.Split(approved, ", "), name)
}

// approveChange takes somebody's acceptance of the patch set that the page showed, or takes it back.
func (w *Web) approveChange(c *call) error {
	ch, err := w.changeOf(c)
	if err != nil {
		return err
	}
	form := c.r.PostForm
	ps, err := strconv.Atoi(form.Get("ps"))
	if err != nil {
		return fault.New(fault.Invalid, "web.approve", "the form does not say which patch set it is about", "reload the page")
	}
	a := gatekeeper.Approval{Gate: form.Get("gate"), What: fmt.Sprintf("%d/%d", ch.ID, ps), Note: newlines(form.Get("note")), Withdraw: form.Get("do") == "withdraw"}
	done, err := w.Gate.Approve(c.ctx(), c.actor, deliver.Place{Repo: ch.Repo, Branch: ch.Branch}, a)
	if err == nil {
		err = uncounted(a, done)
	}
	if err != nil {
		return err
	}
	c.seeOther(fmt.Sprintf("/c/%d", ch.ID), pick(a.Withdraw, "unapproved", "approved"))
	return nil
}

// uncounted refuses to say that an approval counts which does not.
func uncounted(a gatekeeper.Approval, done gatekeeper.Approved) error {
	if a.Withdraw || done.Counts || done.Why == "" {
		return nil
	}
	return fault.New(fault.Refused, "web.approve", "your approval is written down and does not count: "+done.Why, "somebody else has to approve")
}

// approve takes somebody's acceptance of what a delivery carries, or takes it back.
func (w *Web) approve(c *call) error {
	v, err := w.deliveryOf(c.ctx(), c)
	if err != nil {
		return err
	}
	form := c.r.PostForm
	a := gatekeeper.Approval{Gate: form.Get("gate"), What: string(v.D.Commit), Note: newlines(form.Get("note")), Withdraw: form.Get("do") == "withdraw"}
	done, err := w.Gate.Approve(c.ctx(), c.actor, deliver.Place{Repo: v.Repo.ID, Branch: v.D.Branch}, a)
	if err == nil {
		err = uncounted(a, done)
	}
	kind := fault.KindOf(err)
	if err != nil && (kind == fault.Internal || kind == fault.Unauthenticated || kind == fault.NotFound) {
		return err
	}
	if err != nil {
		f := &envForm{What: a.Gate, Reason: a.Note}
		f.Problem, f.Hint = fault.Public(err)
		if v, err = w.deliveryOf(c.ctx(), c); err != nil {
			return err
		}
		v.Form = f
		for i := range v.Gates {
			if v.Gates[i].Gate == a.Gate && v.Gates[i].MayAsk {
				v.Gates[i].Problem, v.Form = f, nil
			}
		}
		return w.showDelivery(c, statusOf(kind), v)
	}
	c.seeOther(v.URL, pick(a.Withdraw, "unapproved", "approved"))
	return nil
}
