package gatekeeper

import (
	"context"
	"fmt"
	"strings"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

const (
	forPrefix     = "refs/for/"
	tagsPrefix    = "refs/tags/"
	changesPrefix = "refs/changes/"
)

// decision is what becomes of one command of a push: a refusal, a plain ref update, or a
// proposal of changes.
type decision struct {
	cmd      gitserver.Command
	refusal  error
	update   *git.RefUpdate
	proposal *review.Prepared
	options  review.PushOptions
	aim      aim
	branch   string
	wake     bool // a gated branch moved: look at it
	tag      bool
}

// Receive decides every command of a push, each on its own, and makes what it accepts
// durable before it returns. With -o wait it stays until the changes landed or were refused.
func (c *Controller) Receive(ctx context.Context, p *gitserver.Push) []gitserver.Result {
	decisions := make([]decision, len(p.Commands))
	refused, accepted := false, false
	for i, cmd := range p.Commands {
		decisions[i] = c.decide(ctx, p, cmd)
		refused = refused || decisions[i].refusal != nil
		accepted = accepted || decisions[i].refusal == nil
	}
	if p.Atomic && refused {
		for i := range decisions {
			if decisions[i].refusal == nil {
				decisions[i].refusal = fault.New(fault.Refused, "gatekeeper.Receive", "atomic push refused because of another ref", "")
			}
		}
		accepted = false
	}
	if accepted && p.Quarantine != nil {
		crash("push.decided")
		if err := p.Quarantine.Keep(ctx, wanted(decisions)); err != nil {
			c.Log.Error("set the accepted objects apart", "repo", p.Repo.Name, "err", err)
			return all(p.Commands, "the server could not keep the objects; push again")
		}
		if err := p.Quarantine.Migrate(ctx); err != nil {
			c.Log.Error("migrate a push", "repo", p.Repo.Name, "err", err)
			return all(p.Commands, "the server could not keep the objects; push again")
		}
		crash("push.migrated")
	}
	results := make([]gitserver.Result, len(decisions))
	var held []review.Held
	wait := false
	for i := range decisions {
		var more []review.Held
		results[i], more = c.carryOut(ctx, p, &decisions[i])
		held = append(held, more...)
		wait = wait || decisions[i].options.Wait
	}
	crash("push.durable")
	c.tell(ctx, p, decisions, held)
	if wait && len(held) > 0 {
		c.wait(ctx, p, held, results)
	}
	return results
}

// wanted are the tips of what was accepted.
func wanted(decisions []decision) []git.OID {
	var tips []git.OID
	for _, d := range decisions {
		if d.refusal == nil && !d.cmd.New.IsZero() {
			tips = append(tips, d.cmd.New)
		}
	}
	return tips
}

func all(cmds []gitserver.Command, reason string) []gitserver.Result {
	results := make([]gitserver.Result, len(cmds))
	for i, cmd := range cmds {
		results[i] = gitserver.Result{Ref: cmd.Ref, Reason: reason}
	}
	return results
}

// decide looks at one command and writes nothing.
func (c *Controller) decide(ctx context.Context, p *gitserver.Push, cmd gitserver.Command) decision {
	d := decision{cmd: cmd}
	switch {
	case strings.HasPrefix(cmd.Ref, forPrefix):
		c.decideFor(ctx, p, &d)
	case strings.HasPrefix(cmd.Ref, headsPrefix):
		c.decideBranch(ctx, p, &d)
	case strings.HasPrefix(cmd.Ref, tagsPrefix):
		c.decideTag(ctx, p, &d)
	case strings.HasPrefix(cmd.Ref, changesPrefix):
		d.refusal = fault.New(fault.Refused, "gatekeeper.decide", "holding refs are made by the server",
			"push the commit to refs/for/BRANCH to add a patch set")
	default:
		d.refusal = fault.New(fault.Refused, "gatekeeper.decide", fmt.Sprintf("prohibited by Gatehouse: %s cannot be pushed", cmd.Ref),
			"push to refs/for/BRANCH, refs/heads/BRANCH or refs/tags/TAG")
	}
	if d.refusal == nil && d.update != nil && d.update.Old.IsZero() {
		d.refusal = c.twin(ctx, p, cmd.Ref)
	}
	return d
}

// twin refuses a new ref whose name somebody would take for another's: the same but for case
// or Unicode form, or a tag named like a branch.
func (c *Controller) twin(ctx context.Context, p *gitserver.Push, name string) error {
	refs, err := p.Git.Refs(ctx, strings.TrimSuffix(headsPrefix, "/"), strings.TrimSuffix(tagsPrefix, "/"))
	if err != nil {
		return err
	}
	short := func(ref string) string {
		return git.FoldName(strings.TrimPrefix(strings.TrimPrefix(ref, headsPrefix), tagsPrefix))
	}
	for _, ref := range refs {
		if ref.Name != name && short(ref.Name) == short(name) {
			return fault.New(fault.Refused, "gatekeeper.decide", fmt.Sprintf("%s would be taken for %s, which exists", name, ref.Name), "choose another name")
		}
	}
	return nil
}

func (c *Controller) decideFor(ctx context.Context, p *gitserver.Push, d *decision) {
	if d.cmd.New.IsZero() {
		d.refusal = fault.New(fault.Refused, "gatekeeper.decide", "refs/for/ cannot be deleted", "abandon the change instead: gate abandon N")
		return
	}
	branch, options, err := review.ParseOptions(d.cmd.Ref, p.Options)
	if err != nil {
		d.refusal = err
		return
	}
	c.propose(ctx, p, d, branch, options, false)
}

// propose prepares changes for a branch and refuses plans that nobody could read later.
func (c *Controller) propose(ctx context.Context, p *gitserver.Push, d *decision, branch string, options review.PushOptions, direct bool) {
	if err := c.May(ctx, p.Actor, account.Propose, p.Repo.Resource(branch)); err != nil {
		d.refusal = err
		return
	}
	d.branch, d.options = branch, options
	prepared, err := c.Review.Prepare(ctx, review.Proposal{
		Repo: p.Repo, Git: p.Git, Actor: p.Actor, Branch: branch, Tip: d.cmd.New, Options: options, Direct: direct,
		Origin: p.Origin, Owner: p.Owner,
	})
	if err != nil {
		d.refusal = err
		return
	}
	if err := c.readablePlan(ctx, p, d.cmd.New); err != nil {
		d.refusal = err
		return
	}
	if d.aim, err = c.aimOf(ctx, p.Actor, p.Repo, branch, options); err != nil {
		d.refusal = err
		return
	}
	d.proposal = prepared
}

// readablePlan refuses a tip whose plan does not parse; the push output shows every problem.
func (c *Controller) readablePlan(ctx context.Context, p *gitserver.Push, tip git.OID) error {
	problems := c.checkPlan(ctx, p.Git, tip)
	if len(problems) == 0 {
		return nil
	}
	for _, problem := range problems {
		p.Tell(fmt.Sprintf("%s:%d:%d: %s", plan.File, problem.Line, problem.Column, problem.Message))
		if problem.Fix != "" {
			p.Tell("    fix: " + problem.Fix)
		}
	}
	return fault.New(fault.Refused, "gatekeeper.plan",
		fmt.Sprintf("%s does not parse at line %d, column %d", plan.File, problems[0].Line, problems[0].Column), "mend it and push again; `gate plan check` reads it beforehand")
}

// decideBranch: a gated branch holds what is pushed to it; any other is the pusher's.
func (c *Controller) decideBranch(ctx context.Context, p *gitserver.Push, d *decision) {
	branch := shortBranch(d.cmd.Ref)
	tip, err := p.Git.RefOID(ctx, d.cmd.Ref)
	if err != nil {
		d.refusal = err
		return
	}
	gated := p.Repo.Gates(branch)
	switch {
	case gated && d.cmd.New.IsZero():
		d.refusal = fault.New(fault.Refused, "gatekeeper.decide", fmt.Sprintf("%s is gated and cannot be deleted", branch),
			"an owner can take it off the gated branches first: gate repo set "+p.Repo.Name+" --gated … or --ungated")
	case gated && tip.IsZero():
		c.decideFirst(ctx, p, d, branch)
	case gated:
		c.decideGated(ctx, p, d, branch, tip)
	default:
		verb := account.Push
		if d.cmd.New.IsZero() {
			verb = account.Delete
		}
		if d.refusal = c.May(ctx, p.Actor, verb, p.Repo.Resource(branch)); d.refusal == nil {
			d.update = &git.RefUpdate{Ref: d.cmd.Ref, Old: d.cmd.Old, New: d.cmd.New}
		}
	}
}

// decideFirst: a gated branch that does not exist yet begins with what an owner brings into
// an empty repository, or with a commit that has landed on another gated branch.
func (c *Controller) decideFirst(ctx context.Context, p *gitserver.Push, d *decision, branch string) {
	if err := c.May(ctx, p.Actor, account.Own, p.Repo.Resource(branch)); err != nil {
		d.refusal = fault.New(fault.NotFound, "gatekeeper.decide", fmt.Sprintf("branch %s not found", branch),
			"an owner of the repository makes gated branches by pushing them first")
		return
	}
	refs, err := p.Git.Refs(ctx, strings.TrimSuffix(headsPrefix, "/"))
	if err != nil {
		d.refusal = err
		return
	}
	landed := len(refs) == 0
	for _, ref := range refs {
		if landed || !p.Repo.Gates(shortBranch(ref.Name)) {
			continue
		}
		if landed, err = p.Git.IsAncestor(ctx, d.cmd.New, ref.OID); err != nil {
			d.refusal = err
			return
		}
	}
	if !landed {
		d.refusal = fault.New(fault.Refused, "gatekeeper.decide", fmt.Sprintf("the new gated branch %s holds commits that have not landed", branch),
			"start it at a commit of a gated branch and propose the rest to refs/for/"+branch)
		return
	}
	if d.refusal = c.readablePlan(ctx, p, d.cmd.New); d.refusal == nil {
		d.update = &git.RefUpdate{Ref: d.cmd.Ref, Old: git.Zero, New: d.cmd.New}
		d.branch, d.wake = branch, true
	}
}

func (c *Controller) decideGated(ctx context.Context, p *gitserver.Push, d *decision, branch string, tip git.OID) {
	if p.Repo.DirectPush == repo.RefuseDirect {
		d.refusal = fault.New(fault.Refused, "gatekeeper.decide", fmt.Sprintf("%s is gated and takes no direct pushes", branch),
			"git push REMOTE HEAD:refs/for/"+branch)
		return
	}
	forward, err := p.Git.IsAncestor(ctx, d.cmd.Old, d.cmd.New)
	if err != nil {
		d.refusal = err
		return
	}
	if !forward {
		d.refusal = fault.New(fault.Refused, "gatekeeper.decide", fmt.Sprintf("force push to the gated branch %s: it never rewinds", branch),
			"git fetch, rebase onto it and push to refs/for/"+branch)
		return
	}
	if d.cmd.New == tip {
		d.refusal = fault.New(fault.Refused, "gatekeeper.decide", "no new changes", "")
		return
	}
	// The ref carries no options here, but -o topic=… and the like still count.
	_, options, err := review.ParseOptions(forPrefix+branch, p.Options)
	if err != nil {
		d.refusal = err
		return
	}
	options.Submit = true
	c.propose(ctx, p, d, branch, options, true)
}

// decideTag: a tag is made once and never moves.
func (c *Controller) decideTag(ctx context.Context, p *gitserver.Push, d *decision) {
	name := strings.TrimPrefix(d.cmd.Ref, tagsPrefix)
	if d.refusal = c.May(ctx, p.Actor, account.Tag, p.Repo.Resource(name)); d.refusal != nil {
		return
	}
	if d.cmd.New.IsZero() || !d.cmd.Old.IsZero() {
		d.refusal = fault.New(fault.Refused, "gatekeeper.decide", fmt.Sprintf("tag %s is there already: tags never move and are not deleted", name),
			"choose a new name")
		return
	}
	d.update = &git.RefUpdate{Ref: d.cmd.Ref, Old: git.Zero, New: d.cmd.New}
	d.tag = true
}

// May asks the one decision point with rows read now.
func (c *Controller) May(ctx context.Context, a account.Actor, v account.Verb, r account.Resource) error {
	return c.Accounts.May(ctx, c.DB.Read(), a, v, r)
}

// carryOut does what was decided for one command and says what git is to be told.
func (c *Controller) carryOut(ctx context.Context, p *gitserver.Push, d *decision) (gitserver.Result, []review.Held) {
	result := gitserver.Result{Ref: d.cmd.Ref}
	var held []review.Held
	if d.refusal == nil {
		switch {
		case d.proposal != nil:
			if held, d.refusal = c.Review.Hold(ctx, d.proposal); d.refusal == nil && len(held) > 0 {
				crash("push.held")
				if d.refusal = c.take(ctx, p.Actor, held, d.aim); d.refusal != nil {
					break
				}
				last := held[len(held)-1]
				result.HeldRef = review.HoldingRef(last.Change.ID, last.PatchSet.Number)
				result.NewOID = last.PatchSet.Commit
			}
		case d.update != nil:
			d.refusal = c.updateRef(ctx, p, d)
		}
	}
	if d.refusal != nil {
		result.Reason = c.refuse(p, d)
		return result, nil
	}
	return result, held
}

// updateRef moves a ref that no gate guards, or begins a gated one.
func (c *Controller) updateRef(ctx context.Context, p *gitserver.Push, d *decision) error {
	g, err := c.Repos.Open(p.Repo)
	if err != nil {
		return err
	}
	if err := g.UpdateRefs(ctx, []git.RefUpdate{*d.update}, "push by "+p.Actor.Name); err != nil {
		return err
	}
	kind := "ref.updated"
	if d.tag {
		kind = "tag.created"
	}
	err = c.DB.Transact(ctx, func(tx *db.Tx) error {
		if _, err := event.Append(ctx, tx, event.Event{At: c.Now(), Kind: kind, Repo: p.Repo.ID, Account: p.Actor.ID,
			Data: map[string]string{"ref": d.cmd.Ref, "old": string(d.cmd.Old), "new": string(d.cmd.New)}}); err != nil {
			return err
		}
		if d.wake {
			if err := tx.Enqueue(ctx, repo.BranchJob(p.Repo.ID, d.branch)); err != nil {
				return err
			}
		}
		if d.wake || d.tag {
			return c.Mirrors.EnqueueAll(ctx, tx, p.Repo.ID)
		}
		return nil
	})
	c.Bus.Wake(event.RepoTopic(p.Repo.ID))
	return err
}

// refuse turns a refusal into git's one line, with the next step told beside it.
func (c *Controller) refuse(p *gitserver.Push, d *decision) string {
	if fault.Is(d.refusal, fault.Internal) {
		c.Log.Error("push", "repo", p.Repo.Name, "ref", d.cmd.Ref, "err", d.refusal)
	}
	sentence, next := fault.Public(d.refusal)
	if next != "" {
		p.Tell("")
		p.Tell("ERROR: " + firstLine(sentence))
		for line := range strings.SplitSeq(next, "\n") {
			p.Tell(line)
		}
		p.Tell("")
	}
	return firstLine(sentence)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
