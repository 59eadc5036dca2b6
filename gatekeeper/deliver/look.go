package deliver

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/promote"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// JobKind is the kind of the job that looks at what a branch delivers.
const JobKind = "deliver"

const (
	// maxSteps bounds the steps of one look at one environment: what is left over is done by the
	// next look.
	maxSteps = 50
	// keepGood is how many of the versions that ran well in an environment are read, the last
	// ones: nothing goes further back by itself. What a person goes back to is read too.
	keepGood = 20
)

// Job asks for a look at what a branch delivers.
func Job(at Place) db.Job { return db.Job{Kind: JobKind, Key: repo.BranchJob(at.Repo, at.Branch).Key} }

// Look does for the environments of a branch all that can be done now. p is the plan at the tip
// of the branch: its environments say how they are to be treated, whatever the plan of a commit
// said. again is when time alone may change something, zero for never.
func (s *Service) Look(ctx context.Context, at Place, p *plan.Plan) (again time.Time, err error) {
	defer s.lock(at)()
	defer s.wake(at)
	for _, e := range p.Environments {
		next, err := s.lookAt(ctx, at, e)
		if err != nil {
			return again, fmt.Errorf("deliver: look at %s: %w", e.Name, err)
		}
		again = earlier(again, next)
	}
	return again, nil
}

// earlier is the first of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func (s *Service) wake(at Place) { s.Bus.Wake(event.RepoTopic(at.Repo)) }

// lookAt carries out what promote.Step says about one environment, until it says nothing.
func (s *Service) lookAt(ctx context.Context, at Place, e plan.Environment) (time.Time, error) {
	for range maxSteps {
		st, err := s.state(ctx, s.DB.Read(), at, e)
		if err != nil {
			return time.Time{}, err
		}
		actions := promote.Step(st, s.Now())
		if len(actions) == 0 {
			return promote.Wake(st, s.Now()), nil
		}
		for _, a := range actions {
			if err := s.act(ctx, at, e, a); err != nil {
				return time.Time{}, err
			}
			crash("deliver.acted")
		}
	}
	return s.Now(), nil
}

// state rebuilds what decisions about an environment rest on.
func (s *Service) state(ctx context.Context, q db.Querier, at Place, e plan.Environment) (promote.State, error) {
	st := promote.State{Environment: e.Name, Policy: promote.Policy{
		Ephemeral: e.Class == plan.Ephemeral, TTL: e.TTL, Hand: e.Promote == plan.PromoteHand, Each: e.Select == plan.SelectEach,
		RollBackDeploy: slices.Contains(e.Rollback, plan.RollbackDeploy), RollBackVerify: slices.Contains(e.Rollback, plan.RollbackVerify),
		RefuseBypassed: e.RefuseBypassed,
	}}
	if st.Policy.Ephemeral {
		var err error
		st.Instances, err = s.instances(ctx, q, at, e.Name)
		return st, err
	}
	orders, err := ordersOf(ctx, q, at, s.Now())
	if err != nil {
		return st, err
	}
	stateOrders(&st, orders)
	if err := stateRevoked(ctx, q, at, &st); err != nil {
		return st, err
	}
	if why, until := e.Frozen(s.Now()); why != "" {
		st.Freezes = append(st.Freezes, promote.Freeze{Why: why, Until: until})
	}
	if err := s.history(ctx, q, at, &st); err != nil {
		return st, err
	}
	active, err := queryPromotions(ctx, q, `p.repo_id = $1 AND p.branch = $2 AND p.environment = $3 AND p.ended_at = 0`, at.Repo, at.Branch, e.Name)
	if err != nil {
		return st, err
	}
	for _, p := range active {
		one, err := s.statePromotion(ctx, q, p, &st)
		if err != nil {
			return st, err
		}
		st.Promotions = append(st.Promotions, one)
	}
	return st, nil
}

// history reads what runs in an environment and what ran well there.
func (s *Service) history(ctx context.Context, q db.Querier, at Place, st *promote.State) error {
	well, err := queryPromotions(ctx, q, `p.id IN (SELECT id FROM promotions WHERE repo_id = $1 AND branch = $2 AND environment = $3 AND state = $4
		ORDER BY ended_no DESC LIMIT $5) OR p.state = $4 AND p.repo_id = $1 AND p.branch = $2 AND p.environment = $3 AND p.digest IN (
		SELECT digest FROM promotions WHERE repo_id = $1 AND branch = $2 AND environment = $3 AND kind = $6 AND ended_at = 0)`,
		at.Repo, at.Branch, st.Environment, string(promote.Succeeded), keepGood, string(promote.Rollback))
	if err != nil {
		return err
	}
	slices.SortFunc(well, func(a, b Promotion) int { return cmp.Compare(a.endedNo, b.endedNo) })
	for _, p := range well {
		st.Good = append(st.Good, p.version())
	}
	if len(well) == 0 {
		return nil
	}
	last := well[len(well)-1]
	st.Current = promote.Current{Version: last.version(), Promotion: last.ID, Since: last.EndedAt}
	serving, err := queryAssemblies(ctx, q, `m.repo_id = $1 AND m.branch = $2 AND m.environment = $3 AND m.state IN ('READY', 'DEGRADED')`, at.Repo, at.Branch, st.Environment)
	if len(serving) > 0 {
		st.Current.Assembly = string(serving[len(serving)-1].State)
	}
	return err
}

func (p *Promotion) version() promote.Version {
	return promote.Version{Digest: p.Digest, Commit: string(p.Commit), Seq: p.Seq, Run: p.Run}
}

// statePromotion is a promotion with what its gates and its stage run say now.
func (s *Service) statePromotion(ctx context.Context, q db.Querier, p Promotion, st *promote.State) (promote.Promotion, error) {
	one := promote.Promotion{
		ID: p.ID, Version: p.version(), Kind: p.Kind, Status: p.State, Why: p.Why, Until: p.Until, RequestedBy: p.By, Because: p.Because,
		Attempts: p.Attempts, Verifies: !p.DeployedAt.IsZero(),
	}
	judged, err := s.runs.Judge(ctx, q, p.Run, p.Stage)
	if err != nil {
		return one, err
	}
	one.GatesOpen, one.GatesWhy, one.NextAt, one.Bypassed = judged.Open, judged.Why, judged.Next, judged.Bypassed
	if !p.State.Enters() || p.StageRun == 0 {
		return one, nil
	}
	state, why, ended, err := s.runs.Stage(ctx, q, p.StageRun)
	if err != nil {
		return one, err
	}
	st.Lock = promote.Lock{Holder: p.ID, Alive: !state.Settled()}
	result := promote.Result{Attempt: p.Attempts, Outcome: outcome(state), Why: why, At: ended}
	passed := promote.Result{Attempt: p.Attempts, Outcome: promote.OutcomePassed}
	switch {
	case p.DeployedAt.IsZero():
		one.Deployed = result
	default:
		one.Deployed, one.Verified = passed, result
	}
	if state == plan.Passed { // a stage that verifies nothing ends with its deploy
		one.Deployed = passed
	}
	return one, nil
}

// outcome is what a stage run says about an attempt.
func outcome(state plan.StageState) promote.Outcome {
	switch state {
	case plan.Passed:
		return promote.OutcomePassed
	case plan.Failed, plan.TimedOut:
		return promote.OutcomeFailed
	case plan.Errored:
		return promote.OutcomeErrored
	case plan.Canceled: // by a restart of the server, mostly: it says nothing about what was built
		return promote.OutcomeErrored
	case plan.Queued, plan.Running, plan.Blocked:
		return promote.OutcomePending
	default:
		panic("deliver: a deploy cannot be " + string(state))
	}
}

// act carries out one action, in one transaction.
func (s *Service) act(ctx context.Context, at Place, e plan.Environment, a promote.Action) error {
	if x, ok := a.(promote.Expire); ok {
		return s.end(ctx, x.Instance, x.Why)
	}
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		switch a := a.(type) {
		case promote.SetState:
			return s.setState(ctx, tx, a)
		case promote.Supersede:
			return s.supersede(ctx, tx, a)
		case promote.Deploy:
			return s.enter(ctx, tx, at, e, a)
		case promote.Verify:
			return s.transit(ctx, tx, a.Promotion, promote.Verifying, "", time.Time{})
		case promote.Succeed:
			return s.over(ctx, tx, a.Promotion, promote.Succeeded, "", false)
		case promote.Fail:
			return s.over(ctx, tx, a.Promotion, a.Status, a.Why, a.Errored)
		case promote.RollBack:
			return s.goBack(ctx, tx, at, e, a)
		case promote.AddVeto:
			return s.give(ctx, tx, at, Order{Environment: e.Name, Kind: OrderVeto, Digest: a.Digest, Reason: a.Why})
		case promote.ReleaseLock: // the lock is nothing of its own: its holder is over
			return nil
		case promote.MarkBroken:
			return s.give(ctx, tx, at, Order{Environment: e.Name, Kind: OrderBroken, Reason: a.Why})
		case promote.MarkUnbroken:
			return s.lift(ctx, tx, at, e.Name, OrderBroken, "", 0)
		default:
			panic(fmt.Sprintf("deliver: unknown action %T", a))
		}
	})
}

// transit moves a promotion from one state to another, when it may.
func (s *Service) transit(ctx context.Context, tx *db.Tx, id int64, to promote.Status, why string, until time.Time) error {
	p, err := promotionByID(ctx, tx, id)
	if err != nil {
		return err
	}
	if !promote.Transition(p.State, to) {
		return nil // somebody was faster: the next look sees it
	}
	_, err = tx.ExecContext(ctx, `UPDATE promotions SET state = $1, why = $2, until_at = $3 WHERE id = $4`, string(to), why, db.Micros(until), id)
	if err != nil {
		return fmt.Errorf("deliver: promotion %d is %s: %w", id, to, err)
	}
	return nil
}

func (s *Service) setState(ctx context.Context, tx *db.Tx, a promote.SetState) error {
	if a.Status == promote.Rejected {
		return s.over(ctx, tx, a.Promotion, a.Status, a.Why, false)
	}
	return s.transit(ctx, tx, a.Promotion, a.Status, a.Why, a.Until)
}

func (s *Service) supersede(ctx context.Context, tx *db.Tx, a promote.Supersede) error {
	p, err := promotionByID(ctx, tx, a.Promotion)
	if err != nil || p.State.Final() {
		return err
	}
	if err := s.over(ctx, tx, a.Promotion, promote.Superseded, a.Why, false); err != nil {
		return err
	}
	return s.runs.Superseded(ctx, tx, p.Run, p.Environment+": "+a.Why)
}

// over ends a promotion.
func (s *Service) over(ctx context.Context, tx *db.Tx, id int64, to promote.Status, why string, errored bool) error {
	p, err := promotionByID(ctx, tx, id)
	if err != nil || !promote.Transition(p.State, to) {
		return err
	}
	no, err := tx.NextID(ctx, db.RowIDs)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE promotions SET state = $1, why = $2, until_at = 0, ended_at = $3, errored = $4, ended_no = $5 WHERE id = $6`,
		string(to), why, db.Micros(s.Now()), db.Bool(errored), no, id)
	if err != nil {
		return fmt.Errorf("deliver: end promotion %d: %w", id, err)
	}
	data := p.data()
	data["state"], data["why"] = string(to), why
	if err := s.tell(ctx, tx, p.place, p.Change, p.RequestedBy, "promotion.ended", data); err != nil {
		return err
	}
	return tx.Enqueue(ctx, Job(p.place))
}

// enter takes the lock for a promotion: everything that let it in is asked once more, in the
// transaction that does.
func (s *Service) enter(ctx context.Context, tx *db.Tx, at Place, e plan.Environment, a promote.Deploy) error {
	st, err := s.state(ctx, tx, at, e)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(promote.Step(st, s.Now()), func(b promote.Action) bool { return b == promote.Action(a) }) {
		return nil
	}
	p, err := promotionByID(ctx, tx, a.Promotion)
	if err != nil {
		return err
	}
	stageRun, err := s.runs.Attempt(ctx, tx, p.Run, p.Stage)
	if err != nil {
		return err
	}
	started := p.StartedAt
	if started.IsZero() {
		started = s.Now()
	}
	_, err = tx.ExecContext(ctx, `UPDATE promotions SET state = $1, why = '', until_at = 0, kind = $2, attempts = $3, stage_run_id = $4, started_at = $5, deployed_at = 0 WHERE id = $6`,
		string(promote.Deploying), string(a.Kind), a.Attempt, stageRun, db.Micros(started), p.ID)
	if err != nil {
		return fmt.Errorf("deliver: promotion %d enters: %w", p.ID, err)
	}
	data := p.data()
	data["attempt"], data["stage_run"] = fmt.Sprint(a.Attempt), fmt.Sprint(stageRun)
	return s.tell(ctx, tx, at, p.Change, p.RequestedBy, "promotion.started", data)
}

// goBack asks for a promotion of what ran well before.
func (s *Service) goBack(ctx context.Context, tx *db.Tx, at Place, e plan.Environment, a promote.RollBack) error {
	good, err := queryPromotions(ctx, tx, `p.repo_id = $1 AND p.branch = $2 AND p.environment = $3 AND p.state = $4 AND p.digest = $5 AND p.run_id = $6`,
		at.Repo, at.Branch, e.Name, string(promote.Succeeded), a.To.Digest, a.To.Run)
	if err != nil || len(good) == 0 {
		return err
	}
	last := good[len(good)-1]
	asked, err := queryPromotions(ctx, tx, `p.repo_id = $1 AND p.branch = $2 AND p.environment = $3 AND p.kind = $4 AND p.because = $5 AND p.ended_at = 0`,
		at.Repo, at.Branch, e.Name, string(promote.Rollback), a.Because)
	if err != nil || len(asked) > 0 { // another look was faster
		return err
	}
	back := Promotion{Environment: e.Name, Run: last.Run, Stage: last.Stage, Seq: last.Seq, Kind: promote.Rollback, Artifact: last.Artifact, Digest: last.Digest,
		Commit: git.OID(a.To.Commit), Change: last.Change, Because: a.Because, Reason: a.Why, place: at}
	return s.insertPromotion(ctx, tx, &back)
}
