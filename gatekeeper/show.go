package gatekeeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"gatehouse/gatekeeper/blob"
	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// Runs lists the runs of a change, by itself and together with others, newest first, with
// their stages.
func (c *Controller) Runs(ctx context.Context, actor account.Actor, change int64) ([]Run, error) {
	if _, err := c.Review.Get(ctx, actor, change); err != nil {
		return nil, err
	}
	rows, err := queryRuns(ctx, c.DB.Read(), `r.candidate_id IN (SELECT candidate_id FROM candidate_changes WHERE change_id = $1 AND role = $2)`, change, roleMember)
	if err != nil {
		return nil, err
	}
	runs := make([]Run, 0, len(rows))
	for _, r := range slices.Backward(rows) {
		runs = append(runs, r.Run)
	}
	return runs, nil
}

// Stage is one stage run, for whoever may read its change, or its branch.
func (c *Controller) Stage(ctx context.Context, actor account.Actor, id int64) (StageRun, error) {
	s, err := stageRunByID(ctx, c.DB.Read(), id)
	if err != nil {
		return StageRun{}, err
	}
	if s.Change != 0 {
		_, err = c.Review.Get(ctx, actor, s.Change)
		return s, err
	}
	runs, err := queryRuns(ctx, c.DB.Read(), `r.id = $1`, s.Run) // of the bare branch
	if err != nil || len(runs) == 0 {
		return s, errors.Join(err, errIf(len(runs) == 0, "the run is gone"))
	}
	r, err := c.Repos.ByID(ctx, c.DB.Read(), runs[0].repo)
	if err != nil {
		return s, err
	}
	return s, c.May(ctx, actor, account.Read, r.Resource(runs[0].branch))
}

// StageLog opens the log of a stage run at an offset. done tells that nothing more will be
// written; until then a reader listens on event.StageTopic and reads on.
func (c *Controller) StageLog(ctx context.Context, actor account.Actor, id, offset int64) (log io.ReadCloser, done bool, err error) {
	s, err := c.Stage(ctx, actor, id)
	if err != nil {
		return nil, false, err
	}
	done = s.State.Settled()
	log, err = c.Blobs.Open(s.logKey, offset)
	if blob.Missing(err) {
		return io.NopCloser(emptyLog{}), done, nil
	}
	return log, done, err
}

type emptyLog struct{}

func (emptyLog) Read([]byte) (int, error) { return 0, io.EOF }

// Recheck runs the stages of the current patch set again: for a verdict that the machinery
// or a flake spoilt. Stages that passed are not run again, unless all did: then somebody
// doubts the result. What was found before is superseded, not forgotten.
func (c *Controller) Recheck(ctx context.Context, actor account.Actor, change int64) error {
	ch, err := c.Review.Get(ctx, actor, change)
	if err != nil {
		return err
	}
	r, err := c.Repos.ByID(ctx, c.DB.Read(), ch.Repo)
	if err != nil {
		return err
	}
	resource := r.Resource(ch.Branch)
	resource.ChangeOwner = ch.Owner
	if err := c.May(ctx, actor, account.Propose, resource); err != nil {
		return err
	}
	if ch.Status != review.Open {
		return fault.New(fault.Refused, "gatekeeper.Recheck", fmt.Sprintf("change %d is %s", ch.ID, ch.Status), "restore it first, or push a new change")
	}
	var runs []*runRow
	err = c.DB.Transact(ctx, func(tx *db.Tx) error {
		var err error
		if runs, err = c.forgetVerdicts(ctx, tx, queue.Member{Change: ch.ID, PS: ch.Current}, "rechecked by "+actor.Name); err != nil {
			return err
		}
		if err := c.Review.Say(ctx, tx, ch.ID, ch.Current, fmt.Sprintf("%s asked to run the stages of patch set %d again", actor.Name, ch.Current)); err != nil {
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

// forgetVerdicts sets aside what was found about a patch set: its ejection, the runs of it by
// itself, also those that have their verdict, and those of others that it was refused with.
// Somebody who asks for that where nothing failed doubts the results, and they are made anew.
func (c *Controller) forgetVerdicts(ctx context.Context, tx *db.Tx, m queue.Member, why string) ([]*runRow, error) {
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
		if run.nothingFailed() {
			if err := forgetResults(ctx, tx, run); err != nil {
				return nil, err
			}
		}
		if err := c.supersede(ctx, tx, run.ID, why); err != nil {
			return nil, err
		}
	}
	return runs, nil
}
