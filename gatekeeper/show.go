package gatekeeper

import (
	"context"
	"errors"
	"io"
	"slices"

	"gatehouse/gatekeeper/blob"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/git"
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
	_, err = c.branchSubject(ctx, actor, s)
	return s, err
}

// StageSubject is what a stage run is about. Change is 0 of a run on the bare branch.
type StageSubject struct {
	Repository string
	Branch     string
	Change     int64
	Commit     git.OID // that it tested
}

// StageSubject tells what a stage run is about, to whoever may read it.
func (c *Controller) StageSubject(ctx context.Context, actor account.Actor, id int64) (StageSubject, error) {
	s, err := stageRunByID(ctx, c.DB.Read(), id)
	if err != nil {
		return StageSubject{}, err
	}
	if s.Change == 0 {
		return c.branchSubject(ctx, actor, s)
	}
	ch, err := c.Review.Get(ctx, actor, s.Change)
	if err != nil {
		return StageSubject{}, err
	}
	runs, err := queryRuns(ctx, c.DB.Read(), `r.id = $1`, s.Run)
	if err != nil || len(runs) == 0 {
		return StageSubject{}, errors.Join(err, errIf(len(runs) == 0, "the run is gone"))
	}
	return StageSubject{Repository: ch.RepoName, Branch: ch.Branch, Change: ch.ID, Commit: runs[0].Candidate}, nil
}

// branchSubject is the branch that a run without a change is of.
func (c *Controller) branchSubject(ctx context.Context, actor account.Actor, s StageRun) (StageSubject, error) {
	runs, err := queryRuns(ctx, c.DB.Read(), `r.id = $1`, s.Run)
	if err != nil || len(runs) == 0 {
		return StageSubject{}, errors.Join(err, errIf(len(runs) == 0, "the run is gone"))
	}
	r, err := c.Repos.ByID(ctx, c.DB.Read(), runs[0].repo)
	if err != nil {
		return StageSubject{}, err
	}
	return StageSubject{Repository: r.Name, Branch: runs[0].branch, Commit: runs[0].Candidate}, c.May(ctx, actor, account.Read, r.Resource(runs[0].branch))
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
