package web

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/review"
	"gatehouse/web/words"
)

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
	if v.Reports, err = w.Gate.Checks(ctx, c.actor, id, 0); err != nil {
		return nil, err
	}
	v.checks = v.Reports
	v.Owner = nameOf(v.names, v.Change.Owner)
	v.PlanURL = repoURL(v.Repo.Name, "file", v.Change.Branch, plan.File)
	v.resource = v.Repo.Resource(v.Change.Branch)
	v.resource.ChangeOwner = v.Change.Owner
	v.setRuns(runs)
	v.setVotes()
	v.setRights(w, c)
	v.setNeeds(c.actor)
	if err := w.setWhatIf(ctx, c, v); err != nil {
		return nil, err
	}
	g, err := w.Repos.Open(v.Repo)
	if err != nil {
		return nil, err
	}
	if v.Way, err = w.wayFor(ctx, c, id, repoPage{Repo: v.Repo, git: g}); err != nil {
		return nil, err
	}
	if err := w.setActs(ctx, v); err != nil {
		return nil, err
	}
	if err := w.setTurn(ctx, c, v); err != nil {
		return nil, err
	}
	texts, cancel := context.WithTimeout(ctx, textBudget)
	defer cancel()
	v.messages = messages
	if err := w.setTalk(ctx, c, v, messages); err != nil {
		return nil, err
	}
	v.Story = storyOf(texts, id, messages, v.comments, v.names, v.called)
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
			row.Note = words.Say("given on patch set {1}", vote.CopiedFrom)
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
	v.setLinks(edit, w.may(c, account.Propose, v.resource) == nil)
	offer(v.MaySubmit && !asked && !v.Change.WIP && !v.Change.Private, actView{ID: "submit", Name: "Submit", Main: !v.Why.State.Final()})
	offer(open && asked && (edit || v.Change.SubmitBy == c.actor.ID), actView{ID: "withdraw", Name: "Do not land it"})
	offer(open && edit && v.Change.WIP, actView{ID: "ready", Name: "Ready for review", Main: true})
	offer(v.Change.Status == review.Abandoned && edit, actView{ID: "restore", Name: "Restore", Main: true})
	v.MayRerun = open && ended && w.may(c, account.Propose, v.resource) == nil
	offer(v.MayRerun, actView{ID: "recheck", Name: "Run the stages again", More: true})
	offer(open && edit && !v.Change.WIP, actView{ID: "wip", Name: "Mark as work in progress", More: true})
	offer(open && edit && !v.Change.Private, actView{ID: "private", Name: "Make private", More: true})
	offer(edit && v.Change.Private, actView{ID: "public", Name: "Show to everybody", More: true})
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
			Name: r.Name, Word: word(r.State), Tone: tone("gate", r.State), Reason: r.Reason, Named: v.named(r.Reason), Evidence: r.Evidence,
			Source: r.Source, Next: r.Next, Who: strings.Join(r.Who, ", "), Left: r.Left,
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
		if r.Kind == "submit" && n.Next != "" && v.MaySubmit && !v.Change.WIP && !v.Change.Private && !v.Why.State.Final() {
			n.You, n.Next = true, "press Submit above: it lands as soon as every gate is open"
		}
		if r.Approval && v.MayReview && !v.Old && plan.GateState(r.State) != plan.GateBypassed {
			n.Given = named(r.Evidence, actor.Name)
			n.MayApprove = n.Given || n.Next != "" && slices.ContainsFunc(r.Who, func(who string) bool {
				return who == actor.Name || strings.HasPrefix(who, "group:") || who == anyone || strings.HasPrefix(who, anyone) && len(parts) == 0
			})
			n.You = n.You || n.MayApprove && n.Next != ""
		}
		v.Needs = append(v.Needs, n)
	}
}

// named reports whether a reason begins with somebody's name, which stays as it is written.
func (v *changeView) named(reason string) bool {
	first, _, _ := strings.Cut(reason, " ")
	for _, a := range v.names {
		if a.Name == first {
			return true
		}
	}
	return false
}
