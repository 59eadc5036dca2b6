package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/review"
)

const (
	// storyOpen is how many entries of the conversation stand open; those before are folded.
	storyOpen = 8
	// maxStack is how far a stack is followed in each direction.
	maxStack = 20
	// anyone is whom a review gate without roles names.
	anyone = "anyone who may vote"
)

// changeView is the page of a change: first the parts that a stream renews, then the rest.
type changeView struct {
	Change   review.Change
	Repo     repo.Repository
	Owner    string
	SignedIn bool
	Why      gatekeeper.Explanation
	WhyTitle string
	Needs    []needView
	PlanURL  string

	Run       *gatekeeper.Run
	OlderRuns []gatekeeper.Run
	VoteRows  []voteRow
	Acts      []actView
	Story     []storyView
	StoryFold []storyView
	StoryLast []storyView

	MoreActs   bool
	MayReview  bool
	MaySubmit  bool
	MayComment bool
	NoReview   string // why somebody who signed in may not review

	PS         review.PatchSet
	Old        bool // PS is not the current one
	PatchSets  []review.PatchSet
	Base       int
	WS         string
	Uploader   string
	Kind       string
	Fetch      string
	HoldingRef string
	Series     []seriesView
	Diff       *diffView
	Rebased    string
	Elsewhere  []*threadView
	Labels     []labelView
	Blank      *writeView

	names    map[int64]account.Account
	comments []review.Comment
	votes    []review.Vote
	resource account.Resource
}

// needView is one line of the box that says why a change cannot land yet.
type needView struct {
	Name, Word, Tone string
	Reason, Evidence string
	Source           string
	SourceURL        string
	Log              string
	Who, Next        string
	You              bool // the reader can do it
}

type voteRow struct {
	Who, Label, Note string
	Value            int
	Tone             string
}

type actView struct {
	ID, Name, Action, Ask string
	Main, Danger          bool
	More                  bool // in the menu
}

type seriesView struct {
	ID            int64
	Subject, Note string
	Current       bool
	Word, Tone    string
}

type labelView struct {
	Name   string
	Values []valueView
	Note   string
}

type valueView struct {
	Value int
	Mine  bool
}

// changeParts reads everything about a change but its files.
func (w *Web) changeParts(ctx context.Context, c *call, id int64) (*changeView, error) {
	q := w.DB.Read()
	v := &changeView{SignedIn: c.signedIn()}
	var err error
	if v.Change, err = w.Review.Get(ctx, c.actor, id); err != nil {
		return nil, err
	}
	if v.Repo, err = w.Repos.ByID(ctx, q, v.Change.Repo); err != nil {
		return nil, err
	}
	if v.PatchSets, err = w.Review.PatchSets(ctx, q, id); err != nil {
		return nil, err
	}
	if v.votes, err = w.Review.Votes(ctx, q, id); err != nil {
		return nil, err
	}
	if v.comments, err = w.Review.Comments(ctx, q, id); err != nil {
		return nil, err
	}
	messages, err := w.Review.Messages(ctx, q, id)
	if err != nil {
		return nil, err
	}
	if v.names, err = w.Accounts.Names(ctx, q, v.people(messages)); err != nil {
		return nil, err
	}
	if v.Why, err = w.Gate.Explain(ctx, c.actor, id); err != nil {
		return nil, err
	}
	runs, err := w.Gate.Runs(ctx, c.actor, id)
	if err != nil {
		return nil, err
	}
	v.Owner = nameOf(v.names, v.Change.Owner)
	v.PlanURL = repoURL(v.Repo.Name, "file", v.Change.Branch, plan.File)
	v.resource = v.Repo.Resource(v.Change.Branch)
	v.resource.ChangeOwner = v.Change.Owner
	v.setRuns(runs)
	v.setVotes()
	v.setRights(w, c)
	v.setNeeds(c.actor)
	texts, cancel := context.WithTimeout(ctx, textBudget)
	defer cancel()
	v.Story = storyOf(texts, id, messages, v.comments, v.names)
	fold := max(0, len(v.Story)-storyOpen)
	v.StoryFold, v.StoryLast = v.Story[:fold], v.Story[fold:]
	return v, nil
}

// people are the accounts whose names the page shows.
func (v *changeView) people(messages []review.Message) []int64 {
	ids := map[int64]bool{v.Change.Owner: true, v.Change.SubmitBy: true}
	for _, p := range v.PatchSets {
		ids[p.Uploader] = true
	}
	for _, vote := range v.votes {
		ids[vote.Account] = true
	}
	for _, comment := range v.comments {
		ids[comment.Author] = true
	}
	for _, m := range messages {
		ids[m.Author] = true
	}
	delete(ids, 0)
	return sortedKeys(ids)
}

func (v *changeView) setRuns(runs []gatekeeper.Run) {
	if len(runs) > 0 && runs[0].State != gatekeeper.RunSuperseded {
		v.Run, runs = &runs[0], runs[1:]
	}
	v.OlderRuns = runs
}

// setVotes lists the votes that count for the current patch set.
func (v *changeView) setVotes() {
	for _, vote := range review.Bound(v.Change, v.current(), v.votes) {
		row := voteRow{Who: nameOf(v.names, vote.Account), Label: vote.Label, Value: vote.Value, Tone: pick(vote.Value > 0, "good", "bad")}
		if vote.CopiedFrom != 0 {
			row.Note = fmt.Sprintf("given on patch set %d", vote.CopiedFrom)
		}
		v.VoteRows = append(v.VoteRows, row)
	}
	slices.SortStableFunc(v.VoteRows, func(a, b voteRow) int {
		return strings.Compare(a.Label+"\x00"+a.Who, b.Label+"\x00"+b.Who)
	})
}

func (v *changeView) current() review.PatchSet {
	for _, p := range v.PatchSets {
		if p.Number == v.Change.Current {
			return p
		}
	}
	return review.PatchSet{}
}

// setRights asks what the reader may do, and offers it.
func (v *changeView) setRights(w *Web, c *call) {
	open := v.Change.Status == review.Open
	vote := w.may(c, account.Vote, v.resource)
	v.MayReview = vote == nil && open
	v.MayComment = c.signedIn() && w.may(c, account.Comment, v.resource) == nil
	switch {
	case !open:
		v.NoReview = fmt.Sprintf("The change is %s: it takes comments, but no votes.", v.Change.Status)
	case vote != nil:
		v.NoReview = faultSentence(vote)
	}
	if !c.signedIn() {
		return
	}
	offer := func(when bool, a actView) {
		if when {
			a.Action = fmt.Sprintf("/c/%d/%s", v.Change.ID, a.ID)
			v.Acts = append(v.Acts, a)
			v.MoreActs = v.MoreActs || a.More
		}
	}
	v.MaySubmit = open && w.may(c, account.Submit, v.resource) == nil
	edit := w.may(c, account.Edit, v.resource) == nil
	ended := v.Run != nil && v.Run.State != gatekeeper.RunRunning && len(v.Run.Stages) > 0
	asked := v.Change.SubmitBy != 0
	offer(v.MaySubmit && !asked && !v.Change.WIP, actView{ID: "submit", Name: "Submit", Main: true})
	offer(open && asked && (edit || v.Change.SubmitBy == c.actor.ID), actView{ID: "withdraw", Name: "Do not land it"})
	offer(open && edit && v.Change.WIP, actView{ID: "ready", Name: "Ready for review", Main: true})
	offer(v.Change.Status == review.Abandoned && edit, actView{ID: "restore", Name: "Restore", Main: true})
	offer(open && ended && w.may(c, account.Propose, v.resource) == nil, actView{ID: "recheck", Name: "Run the stages again", More: true})
	offer(open && edit && !v.Change.WIP, actView{ID: "wip", Name: "Mark as work in progress", More: true})
	offer(open && edit, actView{ID: "abandon", Name: "Abandon", More: true, Danger: true, Ask: "Abandon this change? It can be restored."})
}

// titles say what the box answers.
var titles = map[gatekeeper.State]string{
	gatekeeper.Open: "Why it cannot land yet", gatekeeper.Ready: "Ready to land", gatekeeper.Queued: "In the queue",
	gatekeeper.Landing: "Landing", gatekeeper.Landed: "Landed", gatekeeper.Refused: "Refused",
	gatekeeper.Conflict: "It does not merge", gatekeeper.Abandoned: "Abandoned",
}

func (v *changeView) setNeeds(actor account.Actor) {
	v.WhyTitle = titles[v.Why.State]
	parts := review.Parts(v.PatchSets, account.Account{ID: actor.ID, Email: actor.Email})
	for _, r := range v.Why.Requirements {
		n := needView{
			Name: r.Name, Word: word(r.State), Tone: tone("gate", r.State), Reason: r.Reason, Evidence: r.Evidence,
			Source: r.Source, Next: r.Next, Who: strings.Join(r.Who, ", "),
		}
		if r.State == string(plan.Open) || plan.StageState(r.State) == plan.Passed {
			n.Next, n.Who = "", "" // nothing is left to do
		}
		if file, line, ok := strings.Cut(r.Source, ":"); ok && file == plan.File {
			n.SourceURL = v.PlanURL + "#L" + line
		}
		if r.StageRun != 0 {
			n.Log = fmt.Sprintf("/stage/%d/log", r.StageRun)
		}
		byVote := v.MayReview && len(parts) == 0 && slices.Contains(r.Who, anyone)
		n.You = n.Next != "" && !actor.Anonymous() && (slices.Contains(r.Who, actor.Name) || byVote)
		if r.Kind == "submit" && n.Next != "" && v.MaySubmit && !v.Change.WIP {
			n.You, n.Next = true, "press Submit above: it lands as soon as every gate is open"
		}
		v.Needs = append(v.Needs, n)
	}
}

// change is the page of a change.
func (w *Web) change(c *call) error {
	id, err := c.number("n")
	if err != nil {
		return err
	}
	v, err := w.changeParts(c.ctx(), c, id)
	if err != nil {
		return err
	}
	if err := v.choose(c); err != nil {
		return err
	}
	if err := w.setSeries(c.ctx(), c, v); err != nil {
		return err
	}
	if err := w.setLabels(c, v); err != nil {
		return err
	}
	v.Uploader, v.Kind = nameOf(v.names, v.PS.Uploader), kindWords(v.PS)
	v.Fetch, v.HoldingRef = w.URL+"/"+escapePath(v.Repo.Name)+".git", review.HoldingRef(id, v.PS.Number)
	if err := w.setDiff(c, v); err != nil {
		return err
	}
	parts, err := w.renderPart("change", "live", v)
	if err != nil {
		return err
	}
	title := fmt.Sprintf("%s (%d)", v.Change.Subject, id)
	return w.render(c, http.StatusOK, "change", title, v, wide,
		withLive(fmt.Sprintf("/c/%d/events", id), parts), withUp(repoURL(v.Repo.Name, "changes")))
}

// choose reads which patch set the reader wants to see, and against what.
func (v *changeView) choose(c *call) error {
	number := v.Change.Current
	if text := c.query("ps"); text != "" {
		number, _ = strconv.Atoi(text) // 0 is no patch set
	}
	v.Base, _ = strconv.Atoi(c.query("base"))
	for _, p := range v.PatchSets {
		if p.Number == number {
			v.PS = p
		}
	}
	if v.PS.Number == 0 || v.Base < 0 || v.Base >= v.PS.Number {
		return notFound("web.change", fmt.Sprintf("change %d has no such patch set", v.Change.ID))
	}
	v.Old = v.PS.Number != v.Change.Current
	if _, known := whiteSpace[c.query("ws")]; known {
		v.WS = c.query("ws")
	}
	return nil
}

func kindWords(p review.PatchSet) string {
	switch fmt.Sprint(p.Kind) {
	case "trivial-rebase":
		return "rebased without changes"
	case "message-edit":
		return "only the message changed"
	case "no-change":
		return "the same, on a new commit"
	}
	return ""
}

// setSeries lists the stack that the change is part of, the last to land first.
func (w *Web) setSeries(ctx context.Context, c *call, v *changeView) error {
	q := w.DB.Read()
	stack, err := w.Review.Stack(ctx, q, v.Change)
	if err != nil || len(stack.Parents)+len(stack.Children) == 0 {
		return err
	}
	var above, below []seriesView
	seen := map[int64]bool{v.Change.ID: true}
	for next := stack.Children; len(next) > 0 && len(above) < maxStack; {
		var further []review.Related
		for _, r := range next {
			if seen[r.Change.ID] {
				continue
			}
			seen[r.Change.ID] = true
			above = append(above, seriesOf(r, "stands on an older patch set"))
			up, err := w.Review.Stack(ctx, q, r.Change)
			if err != nil {
				return err
			}
			further = append(further, up.Children...)
		}
		next = further
	}
	for next := stack.Parents; len(next) > 0 && len(below) < maxStack; {
		r := next[0]
		if seen[r.Change.ID] {
			break
		}
		seen[r.Change.ID] = true
		below = append(below, seriesOf(r, fmt.Sprintf("patch set %d, not the current one", r.PS)))
		down, err := w.Review.Stack(ctx, q, r.Change)
		if err != nil {
			return err
		}
		next = down.Parents
	}
	slices.Reverse(above)
	self := seriesView{ID: v.Change.ID, Subject: v.Change.Subject, Current: true, Word: word(v.Why.State), Tone: tone("change", v.Why.State)}
	v.Series = append(append(above, self), below...)
	return nil
}

func seriesOf(r review.Related, outdated string) seriesView {
	s := seriesView{ID: r.Change.ID, Subject: r.Change.Subject, Word: string(r.Change.Status), Tone: tone("change", r.Change.Status)}
	if r.Change.WIP {
		s.Word, s.Tone = "work in progress", "calm"
	}
	if r.Outdated {
		s.Note = outdated
	}
	return s
}

// setLabels makes the voting form from the labels of the branch's plan.
func (w *Web) setLabels(c *call, v *changeView) error {
	if !v.MayReview {
		return nil
	}
	labels, err := w.labelsOf(c.ctx(), v)
	if err != nil {
		return err
	}
	for _, l := range labels {
		view := labelView{Name: l.Name}
		mine := v.mine(c.actor.ID, l.Name)
		for value := l.Min; value <= l.Max; value++ {
			view.Values = append(view.Values, valueView{Value: value, Mine: value == mine})
		}
		if l.Veto {
			view.Note = fmt.Sprintf("%+d blocks the change until it is taken back or a new patch set comes.", l.Min)
		}
		v.Labels = append(v.Labels, view)
	}
	return nil
}

func (w *Web) labelsOf(ctx context.Context, v *changeView) ([]review.Label, error) {
	if w.Review.Labels == nil {
		return []review.Label{review.DefaultLabel()}, nil
	}
	return w.Review.Labels(ctx, v.Repo, v.Change.Branch)
}

// mine is the reader's present vote on a label.
func (v *changeView) mine(account int64, label string) int {
	for _, vote := range review.Bound(v.Change, v.current(), v.votes) {
		if vote.Account == account && vote.Label == label {
			return vote.Value
		}
	}
	return 0
}

// setDiff reads the difference and puts what is said beside it.
func (w *Web) setDiff(c *call, v *changeView) error {
	g, err := w.Repos.Open(v.Repo)
	if err != nil {
		return err
	}
	from := v.PS.Parent
	if from.IsZero() {
		from = git.EmptyTree
	}
	for _, p := range v.PatchSets {
		if p.Number == v.Base {
			from = p.Commit
			if p.Parent != v.PS.Parent {
				v.Rebased = fmt.Sprintf("Patch sets %d and %d stand on different commits: what landed between them shows here too.", p.Number, v.PS.Number)
			}
		}
	}
	if v.PS.Parents > 1 {
		v.Rebased = strings.TrimSpace(v.Rebased + " This is a merge commit: it is compared with its first parent.")
	}
	q := diffRequest{
		repo: v.Repo.Name, git: g, from: from, to: v.PS.Commit, unified: w.wantsUnified(c), ws: v.WS, only: c.query("file"), self: c.r.URL,
	}
	q.talk = w.talkOf(c, v, q)
	if v.Diff, err = w.diff(c.ctx(), q); err != nil {
		return err
	}
	v.Elsewhere = q.talk.elsewhere(v.Change.ID)
	return nil
}

// talkOf prepares the threads, and the form that the address asks for.
func (w *Web) talkOf(c *call, v *changeView, q diffRequest) *talk {
	texts, cancel := context.WithTimeout(c.ctx(), textBudget)
	defer cancel()
	t := &talk{
		threads: threadsOf(texts, v.comments, v.names), mayComment: v.MayComment, left: v.Base, right: v.PS.Number,
		render: func(part string, view any) string {
			html, err := w.renderPart("change", part, view)
			if err != nil {
				w.Log.Error("part failed", "part", part, "err", err)
			}
			return string(html)
		},
	}
	back := q.with()
	blank := writeView{Action: fmt.Sprintf("/c/%d/comment", v.Change.ID), PS: v.PS.Number, Side: review.SideNew, Back: back, CancelURL: back, Unresolved: true}
	v.Blank = &blank
	asked, _ := strconv.ParseInt(c.query("reply"), 10, 64)
	for _, th := range t.threads {
		th.MayComment = v.MayComment
		th.ReplyURL = q.with("reply", strconv.FormatInt(th.Root, 10)) + "#comment"
		if v.MayComment && asked == th.Root {
			form := blank
			form.ReplyTo, form.Here, form.Unresolved = th.Root, true, false
			th.Form = &form
		}
	}
	if path, side, line, ok := c.asked(); ok && v.MayComment {
		form := blank
		form.Path, form.Side, form.Line, form.Here = path, side, line, true
		form.Where = placeWords(path, line)
		if side == review.SideOld && v.Base != 0 { // the left side is a patch set of its own
			form.PS, form.Side = v.Base, review.SideNew
		}
		t.form = &form
	}
	return t
}

// changeEvents streams the parts of the page that change.
func (w *Web) changeEvents(c *call) error {
	id, err := c.number("n")
	if err != nil {
		return err
	}
	ch, err := w.Review.Get(c.ctx(), c.actor, id)
	if err != nil {
		return err
	}
	return w.live(c, func(ctx context.Context) ([]byte, error) {
		v, err := w.changeParts(ctx, c, id)
		if err != nil {
			return nil, err
		}
		return w.renderPart("change", "live", v)
	}, event.ChangeTopic(id), event.RepoTopic(ch.Repo))
}

// changeNumber is the address of the change that a bare number means.
func changeNumber(text string) (address string, ok bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		return "", false
	}
	return fmt.Sprintf("/c/%d", n), true
}

// changeAlias leads the addresses that Gerrit's users know to the page: /c/REPO/+/12/3.
func (w *Web) changeAlias(c *call) error {
	n, err := c.number("n")
	if err != nil {
		return err
	}
	u := url.URL{Path: fmt.Sprintf("/c/%d", n)}
	if ps := c.variable("ps"); ps != "" {
		u.RawQuery = "ps=" + ps
	}
	c.seeOther(u.String(), "")
	return nil
}
