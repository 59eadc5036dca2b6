package web

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
	"gatehouse/web/picture"
	"gatehouse/web/words"
)

// wayView is a change's way through its plan: what there is of it, how far it is meant to go and
// what was left out.
type wayView struct {
	Change   int64
	Subject  string
	RepoName string
	Title    string
	Picture  template.HTML
	Steps    []stepView
	Outcome  string
	Outcomes []gatekeeper.AimOutcome
	May      bool // choose an outcome
	Nodes    []gatekeeper.AimNode
	MayPass  bool // leave something out
	Passed   []plan.Bypass
	Previews []runsView
	Delivery string // the page of what landed, "" before
	Problem  string // why the plan cannot be drawn
	Form     *envForm
}

// stepView is a node of the plan in words, for those who do not see the picture.
type stepView struct {
	gatekeeper.PipelineNode
	Tone, Log string
}

// way is a change's way through its plan, with the forms that change it.
func (w *Web) way(c *call) error {
	id, err := c.number("n")
	if err != nil {
		return err
	}
	v, err := w.wayOf(c, id)
	if err != nil {
		return err
	}
	return w.showWay(c, http.StatusOK, v)
}

func (w *Web) showWay(c *call, status int, v wayView) error {
	return w.render(c, status, "way", fmt.Sprintf("Delivery of change %d", v.Change), v, withUp(fmt.Sprintf("/c/%d", v.Change)))
}

func (w *Web) wayOf(c *call, id int64) (wayView, error) {
	ch, err := w.Review.Get(c.ctx(), c.actor, id)
	if err != nil {
		return wayView{}, err
	}
	r, err := w.Repos.ByID(c.ctx(), w.DB.Read(), ch.Repo)
	if err != nil {
		return wayView{}, err
	}
	g, err := w.Repos.Open(r)
	if err != nil {
		return wayView{}, err
	}
	v, err := w.wayFor(c.ctx(), c, id, repoPage{Repo: r, git: g})
	if v == nil {
		v = &wayView{}
	}
	v.Change, v.Subject, v.RepoName = id, ch.Subject, r.Name
	return *v, err
}

// wayFor reads a change's way; nil where its plan has nothing but the gates before the landing,
// or cannot be read: the page says that elsewhere.
func (w *Web) wayFor(ctx context.Context, c *call, id int64, p repoPage) (*wayView, error) {
	line, err := w.Gate.Pipeline(ctx, c.actor, id)
	if fault.Is(err, fault.Invalid) || err == nil && !line.More {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	aim, err := w.Gate.Aim(ctx, c.actor, id)
	if err != nil {
		return nil, err
	}
	v := &wayView{Change: id, RepoName: p.Repo.Name, Outcome: aim.Outcome, Outcomes: aim.Outcomes, Nodes: aim.Nodes, Passed: aim.Bypasses}
	for _, o := range aim.Outcomes {
		v.May = v.May || o.May
	}
	for _, n := range aim.Nodes {
		v.MayPass = v.MayPass || n.May
	}
	l := w.lookup(ctx, c, p)
	for _, a := range aim.Previews {
		v.Previews = append(v.Previews, w.runs(l, &a))
	}
	v.draw(line, w.speech(c).lang)
	d, err := w.deliveryOfChange(ctx, c, id)
	if err == nil && d != "" {
		v.Delivery = d
	}
	return v, err
}

// deliveryOfChange is the page of what a change landed as; "" when nothing is delivered of it.
func (w *Web) deliveryOfChange(ctx context.Context, c *call, id int64) (string, error) {
	d, err := w.Gate.DeliveryOfChange(ctx, c.actor, id)
	if fault.Is(err, fault.NotFound) {
		return "", nil
	}
	return deliveryURL(d), err
}

// draw makes the picture of the way, and the words beside it.
func (v *wayView) draw(line gatekeeper.Pipeline, l *words.Language) {
	say := func(v any) string { return fmt.Sprint(l.Say(v)) }
	var nodes []picture.Node
	depth := depths(line.Nodes)
	for _, n := range line.Nodes {
		s := stepView{PipelineNode: n, Tone: stepTone(n)}
		one := picture.Node{Name: n.Name, Shape: picture.Box, After: n.After, Class: s.Tone, Sign: shapes[s.Tone], Words: say(stepWords(n))}
		switch n.Kind {
		case "gate":
			one.Shape = picture.Gate
		case plan.LandNode:
			one.Shape = picture.Arch
		}
		if n.StageRun != 0 {
			s.Log = fmt.Sprintf("/stage/%d/log", n.StageRun)
			one.Href = s.Log
		}
		if n.Left {
			one.Class += " left"
		}
		one.Title = plain(say(words.Say("{1} {2}: {3}", words.Word(n.Kind), n.Name, one.Words)))
		if n.Kind == plan.LandNode {
			one.Title = plain(say(words.Say("landing: {1}", one.Words)))
		}
		if n.Why != "" && !strings.Contains(one.Words, n.Why) {
			one.Title += plain(": " + n.Why)
		}
		one.Name, one.Words = plain(one.Name), plain(one.Words)
		nodes = append(nodes, one)
		v.Steps = append(v.Steps, s)
	}
	slices.SortStableFunc(v.Steps, func(a, b stepView) int { return depth[a.Name] - depth[b.Name] })
	text := picture.Draw(plain(say(words.Word("The way of this change through its plan"))), nodes)
	v.Picture = template.HTML(text) //nolint:gosec // escaped by picture
}

// depths say how many steps, at least, come before each: what waits for nothing has none. A plan
// has no circles.
func depths(all []gatekeeper.PipelineNode) map[string]int {
	depth := map[string]int{}
	for range all { // a longest way has as many nodes as there are, at most
		for _, n := range all {
			for _, before := range n.After {
				depth[n.Name] = max(depth[n.Name], depth[before]+1)
			}
		}
	}
	return depth
}

// stepWords are the second line of a node: where it deploys to, and how it stands.
func stepWords(n gatekeeper.PipelineNode) any {
	state := words.Word(word(n.State))
	switch {
	case n.Left && n.State == "":
		state = words.Word("not asked for")
	case n.State == "":
		state = words.Word("not reached")
	}
	if n.Deploys && n.Environment != n.Name {
		return words.Say("{1}: {2}", n.Environment, state)
	}
	return state
}

func stepTone(n gatekeeper.PipelineNode) string {
	if n.State == "" {
		return "calm"
	}
	if n.Kind == plan.LandNode {
		return tone("change", n.State)
	}
	return tone(n.Kind, n.State)
}
