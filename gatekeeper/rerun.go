package gatekeeper

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// maxRerunReason is the length in bytes of what somebody says about why.
const maxRerunReason = 1_000

// Rerun says what of a patch set to run again, and why. The reason may be "".
type Rerun struct {
	// Stages are run again even where they passed. Without any, what did not pass is run
	// again, or everything when all passed.
	Stages []string
	Reason string
}

// Recheck runs the stages of the current patch set again: for a verdict that the machinery
// or a flake spoilt. Stages that passed are not run again, unless all did: then somebody
// doubts the result. What was found before is superseded, not forgotten.
func (c *Controller) Recheck(ctx context.Context, actor account.Actor, change int64) error {
	return c.Rerun(ctx, actor, change, Rerun{})
}

// Rerun is [Controller.Recheck] for some stages, with a reason that the change's story keeps.
// It makes a new attempt at the run: the other stages that passed lend it their results, and
// what failed is run again too, because a failure is never taken over. Whether a stage flaked
// is for its results to tell, as always.
func (c *Controller) Rerun(ctx context.Context, actor account.Actor, change int64, what Rerun) error {
	ch, err := c.Review.Get(ctx, actor, change)
	if err != nil {
		return err
	}
	r, err := c.Repos.ByID(ctx, c.DB.Read(), ch.Repo)
	if err != nil {
		return err
	}
	if err := c.Review.May(ctx, c.DB.Read(), actor, account.Propose, ch, r); err != nil {
		return err
	}
	if ch.Status != review.Open {
		return fault.New(fault.Refused, "gatekeeper.Recheck", fmt.Sprintf("change %d is %s", ch.ID, ch.Status), "restore it first, or push a new change")
	}
	what.Reason = strings.TrimSpace(what.Reason)
	if len(what.Reason) > maxRerunReason {
		return fault.Newf(fault.TooLarge, "gatekeeper.Rerun", "the reason has %d bytes; at most %d are kept", len(what.Reason), maxRerunReason)
	}
	var runs []*runRow
	err = c.DB.Transact(ctx, func(tx *db.Tx) error {
		var err error
		m := queue.Member{Change: ch.ID, PS: ch.Current}
		if err := checkStages(ctx, tx, m, what.Stages); err != nil {
			return err
		}
		if runs, err = c.forgetVerdicts(ctx, tx, m, what.Stages, "rechecked by "+actor.Name); err != nil {
			return err
		}
		if err := c.goOn(ctx, tx, actor, ch); err != nil {
			return err
		}
		if err := c.Review.Say(ctx, tx, ch.ID, ch.Current, what.words(actor.Name, ch.Current)); err != nil {
			return err
		}
		_, err = event.Append(ctx, tx, event.Event{At: c.Now(), Kind: "change.rechecked", Repo: ch.Repo, Change: ch.ID, Account: actor.ID, Data: map[string]string{
			"ps": fmt.Sprint(ch.Current), "branch": ch.Branch, "stages": strings.Join(what.Stages, " "), "reason": what.Reason}})
		if err != nil {
			return err
		}
		return tx.Enqueue(ctx, repo.BranchJob(ch.Repo, ch.Branch))
	})
	if err != nil {
		return err
	}
	for _, run := range runs {
		c.stop(run)
	}
	c.Bus.Wake(event.ChangeTopic(ch.ID))
	return nil
}

// words are what the change's story says about it.
func (r Rerun) words(who string, ps int) string {
	stages := "the stages"
	switch len(r.Stages) {
	case 0:
	case 1:
		stages = "stage " + r.Stages[0]
	default:
		stages = "stages " + strings.Join(r.Stages, ", ")
	}
	text := fmt.Sprintf("%s asked to run %s of patch set %d again", who, stages, ps)
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	return text
}

// checkStages refuses names that are no stage of the patch set's newest run by itself, and to
// run one again while that run is still going: it would end the others in the middle.
func checkStages(ctx context.Context, tx *db.Tx, m queue.Member, stages []string) error {
	if len(stages) == 0 {
		return nil
	}
	runs, err := queryRuns(ctx, tx, `r.change_id = $1 AND r.ps = $2 AND r.state <> $3 AND c.members = $4`, m.Change, m.PS, string(RunSuperseded), membersText([]queue.Member{m}))
	if err != nil {
		return err
	}
	if len(runs) == 0 {
		return fault.Newf(fault.Refused, "gatekeeper.Rerun", "patch set %d has no run whose stages could run again", m.PS)
	}
	run := runs[len(runs)-1]
	latest := run.latest()
	var known []string
	for _, s := range run.Stages {
		if !slices.Contains(known, s.Stage) {
			known = append(known, s.Stage)
		}
	}
	for _, name := range stages {
		if _, ok := latest[name]; !ok {
			return fault.New(fault.Invalid, "gatekeeper.Rerun", fmt.Sprintf("the run of patch set %d has no stage %q", m.PS, name), "its stages are "+strings.Join(known, ", "))
		}
	}
	going := func(s StageRun) bool { return !s.State.Settled() }
	if run.State == RunRunning && slices.ContainsFunc(slices.Collect(maps.Values(latest)), going) {
		return fault.New(fault.Refused, "gatekeeper.Rerun", "the run is still going", "wait for its end, or recheck without naming stages to begin all anew")
	}
	return nil
}

// forgetVerdicts sets aside what was found about a patch set: its ejection, the runs of it by
// itself, also those that have their verdict, and those of others that it was refused with.
// The results of the named stages are not taken again; without names, where nothing failed,
// somebody doubts them all, and all are made anew.
func (c *Controller) forgetVerdicts(ctx context.Context, tx *db.Tx, m queue.Member, stages []string, why string) ([]*runRow, error) {
	if _, err := tx.ExecContext(ctx, `DELETE FROM ejections WHERE change_id = $1`, m.Change); err != nil {
		return nil, fmt.Errorf("gatekeeper: forget ejection of change %d: %w", m.Change, err)
	}
	if err := voidCandidates(ctx, tx, `id IN (SELECT k.candidate_id FROM candidate_changes k JOIN runs r ON r.candidate_id = k.candidate_id
		WHERE k.change_id = $1 AND k.ps = $2 AND k.role = $3 AND r.state IN ($4, $5))`, m.Change, m.PS, roleMember, string(RunRefused), string(RunErrored)); err != nil {
		return nil, err
	}
	if err := voidCandidates(ctx, tx, `conflict <> '' AND id IN (SELECT candidate_id FROM candidate_changes
		WHERE change_id = $1 AND ps = $2 AND role = $3)`, m.Change, m.PS, roleMember); err != nil {
		return nil, err
	}
	runs, err := queryRuns(ctx, tx, `r.change_id = $1 AND r.ps = $2 AND r.state <> $3 AND c.members = $4`, m.Change, m.PS, string(RunSuperseded), membersText([]queue.Member{m}))
	if err != nil {
		return nil, err
	}
	for _, run := range runs {
		doubted := run.nothingFailed() && len(stages) == 0
		for _, s := range run.Stages {
			if s.State != plan.Passed || !doubted && !slices.Contains(stages, s.Stage) {
				continue
			}
			if err := forgetResult(ctx, tx, run, s); err != nil {
				return nil, err
			}
		}
		if err := c.supersede(ctx, tx, run.ID, why); err != nil {
			return nil, err
		}
	}
	return runs, nil
}
