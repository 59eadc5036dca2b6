package gatekeeper

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/queue"
	"gatehouse/migrations/db"
)

// partCost is by how much of its time a run grows with each further change in its candidate,
// where stages test only what a change touches; a run of the whole suite does not grow.
const partCost = 0.5

// state rebuilds the pure queue's state from the rows: a handful of statements, however many
// changes wait.
func (r *round) state(ctx context.Context) (queue.State, error) {
	q := r.DB.Read()
	s := queue.State{Workers: max(r.Workers, 1), Model: r.model(), Greens: map[string][]queue.Green{}}
	var open []*tick
	shut := map[string]bool{}
	for _, t := range r.ticks {
		if t.plan == nil { // the plan cannot be read: nothing of the branch is tried (I13)
			continue
		}
		frozen, err := t.frozen(ctx)
		if err != nil {
			return s, err
		}
		b := queue.Branch{Name: t.key().name(), Tip: string(t.tip), Seq: t.row.Seq, Frozen: frozen, MaxBatch: maxBatch(t.plan), Whole: whole(t.plan)}
		if !b.Whole {
			b.BatchCost = partCost
		}
		if why, _, err := t.shut(ctx, q); err != nil {
			return s, err
		} else if why != "" {
			b.Frozen, shut[b.Name] = why, true
		}
		greens, err := greensOf(ctx, q, t.key())
		if err != nil {
			return s, err
		}
		if len(greens) > 0 {
			b.GreenAt = greens[0].To
		}
		s.Greens[b.Name] = greens
		s.Branches = append(s.Branches, b)
		open = append(open, t)
	}
	if len(open) == 0 {
		return s, nil
	}
	var err error
	if s.Entries, err = r.entries(ctx, q, open); err != nil {
		return s, err
	}
	shutPriority(s.Entries, shut)
	if s.Candidates, err = candidatesInQueue(ctx, q, open, r.Now()); err != nil {
		return s, err
	}
	var made map[branchSeq]bool
	if s.Landed, made, err = landedSince(ctx, q, open, s.Candidates); err != nil {
		return s, err
	}
	for i, k := range s.Candidates {
		s.Candidates[i].Proven = made[branchSeq{k.Branch, k.Seq}]
	}
	for i, b := range s.Branches {
		s.Branches[i].Proven = made[branchSeq{b.Name, b.Seq}]
	}
	return s, nil
}

// branchSeq is what a branch was after so many landings.
type branchSeq struct {
	branch string
	seq    int64
}

// greensOf are the newest runs on the branch that passed.
func greensOf(ctx context.Context, q db.Querier, k branchKey) ([]queue.Green, error) {
	var all []queue.Green
	err := each(ctx, q, `SELECT r.created_at, r.finished_at, k.members, k.stands_on, k.seq FROM runs r JOIN candidates k ON k.id = r.candidate_id
		WHERE r.repo_id = $1 AND r.branch = $2 AND r.state = $3 AND r.phase = 'gate' AND k.how <> $4 ORDER BY r.id DESC LIMIT $5`,
		[]any{k.repo, k.branch, string(RunPassed), howOutside, queue.MostGreens}, func(rows *sql.Rows) error {
			var from, to, seq int64
			var members, on string
			if err := rows.Scan(&from, &to, &members, &on, &seq); err != nil {
				return err
			}
			g := queue.Green{From: db.Time(from), To: db.Time(to), Seq: seq}
			for _, list := range []string{on, members} {
				tried, err := parseMembers(list)
				if err != nil {
					return err
				}
				for _, m := range tried {
					g.In = append(g.In, m.Change)
				}
			}
			all = append(all, g)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: when %s last passed: %w", k.branch, err)
	}
	return all, nil
}

// whole says that each run tests everything: no stage looks at what the change touches.
func whole(p *plan.Plan) bool {
	return p.Land.Lanes == plan.LanesBranch && !slices.ContainsFunc(p.Stages, func(s plan.Stage) bool { return len(s.Paths) > 0 })
}

func (r *round) entries(ctx context.Context, q db.Querier, open []*tick) ([]queue.Entry, error) {
	keys, topics := make([]branchKey, 0, len(open)), map[branchKey]bool{}
	for _, t := range open {
		keys = append(keys, t.key())
		topics[t.key()] = landsTopics(t.plan)
	}
	rows, err := entriesOf(ctx, q, keys)
	if err != nil {
		return nil, err
	}
	shut := map[int64]string{}
	for _, t := range open {
		of, err := shutWindows(ctx, q, t.key(), t.plan, r.Now())
		if err != nil {
			return nil, err
		}
		maps.Copy(shut, of)
	}
	held, err := linksOf(ctx, q, keys, rows, topics)
	if err != nil {
		return nil, err
	}
	ids := make([]int64, 0, len(rows))
	for _, e := range rows {
		ids = append(ids, e.Change)
	}
	told, err := orders(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	entries := make([]queue.Entry, 0, len(rows))
	for _, e := range rows {
		entries = append(entries, queue.Entry{
			Change: e.Change, PS: e.PS, Branch: e.name(), EnqueuedAt: e.EnqueuedAt, Targets: e.Targets, Barrier: e.Barrier,
			Parents: held.before[e.Change], With: held.with[e.Change], Priority: told[e.Change].Priority, Held: told[e.Change].Held,
			Takes: e.Takes, Author: e.Owner, Size: float64(e.Size) / sizeScale,
		})
	}
	holdForWindows(entries, shut)
	return entries, nil
}

// candidatesInQueue are those of queued patch sets, and those of the bare tips, made the way
// the plan lands now, with their runs. A run under another plan than the candidate's is no run.
func candidatesInQueue(ctx context.Context, q db.Querier, open []*tick, now time.Time) ([]queue.Candidate, error) {
	args := []any{roleMember}
	where := ""
	for i, t := range open {
		if i > 0 {
			where += " OR "
		}
		args = append(args, t.lock.repo.ID, t.lock.branch, t.plan.Land.How, string(t.tip))
		n := len(args)
		where += fmt.Sprintf(`k.repo_id = $%d AND k.branch = $%d AND k.how = $%d AND (k.members <> '' OR k.base_oid = $%d)`, n-3, n-2, n-1, n)
	}
	// Which candidates these are, for both statements below.
	chosen := ` FROM candidates k WHERE k.void = 0 AND (` + where + `) AND (k.members = '' OR EXISTS (SELECT 1 FROM candidate_changes m
		JOIN queue_entries e ON e.change_id = m.change_id AND e.ps = m.ps WHERE m.candidate_id = k.id AND m.role = $1))`
	var all []queue.Candidate
	var plans []string
	at := map[int64]int{}
	err := each(ctx, q, `SELECT k.id, k.repo_id, k.branch, k.members, k.stands_on, k.seq, k.base_oid, k.commit_oid, k.conflict, k.plan_digest, k.spare`+
		chosen+` ORDER BY k.id`, args, func(rows *sql.Rows) error {
		var k queue.Candidate
		var key branchKey
		var members, on, digest string
		var spare int64
		if err := rows.Scan(&k.ID, &key.repo, &key.branch, &members, &on, &k.Seq, &k.Base, &k.Commit, &k.Conflict, &digest, &spare); err != nil {
			return err
		}
		var err error
		if k.Members, err = parseMembers(members); err != nil {
			return err
		}
		if k.On, err = parseMembers(on); err != nil {
			return err
		}
		k.Branch, k.Spare = key.name(), spare != 0
		at[k.ID] = len(all)
		all, plans = append(all, k), append(plans, digest)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: candidates of a queue: %w", err)
	}
	err = each(ctx, q, `SELECT r.candidate_id, r.id, r.state, r.reason, r.plan_digest, r.created_at, r.finished_at FROM runs r
		WHERE r.candidate_id IN (SELECT k.id`+chosen+`) ORDER BY r.id`, args, func(rows *sql.Rows) error {
		var id, created, finished int64
		var run queue.Run
		var state RunState
		var digest string
		if err := rows.Scan(&id, &run.ID, &state, &run.Reason, &digest, &created, &finished); err != nil {
			return err
		}
		i, known := at[id]
		if !known || digest != plans[i] {
			return nil
		}
		run.StartedAt, run.EndedAt = db.Time(created), db.Time(finished)
		if len(all[i].Members) == 0 && state != RunRunning && run.EndedAt.Before(now.Add(-bareAge)) {
			return nil // too old to say whether the branch passes now
		}
		all[i].Run = nextRun(all[i].Run, run, state)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: runs of a queue: %w", err)
	}
	return all, nil
}

// nextRun is what the queue knows of a candidate after one more run of it.
func nextRun(before, run queue.Run, state RunState) queue.Run {
	run.Refusals, run.Errors = before.Refusals, before.Errors
	switch state {
	case RunRunning:
		run.State = queue.RunRunning
	case RunPassed:
		run.State = queue.RunPassed
	case RunRefused:
		run.State = queue.RunRefused
		run.Refusals++
	case RunErrored:
		run.State = queue.RunErrored
		run.Errors++
	case RunSuperseded, RunCanceled:
		return queue.Run{Refusals: before.Refusals, Errors: before.Errors, Reason: run.Reason, StartedAt: run.StartedAt}
	default:
		panic("gatekeeper: unknown run state " + string(state))
	}
	return run
}

// landedSince are the landings since the oldest of the candidates was made, and which tips since
// then landings made: the others came past the queue.
func landedSince(ctx context.Context, q db.Querier, open []*tick, candidates []queue.Candidate) ([]queue.Landed, map[branchSeq]bool, error) {
	oldest := map[string]int64{}
	for _, k := range candidates {
		if seq, seen := oldest[k.Branch]; !seen || k.Seq < seq {
			oldest[k.Branch] = k.Seq
		}
	}
	var all []queue.Landed
	made := map[branchSeq]bool{}
	for _, t := range open {
		since, tried := oldest[t.key().name()]
		if !tried {
			continue
		}
		err := each(ctx, q, `SELECT seq, change_id, ps, targets, barrier FROM landings WHERE repo_id = $1 AND branch = $2 AND state = $3 AND seq >= $4 ORDER BY seq`,
			[]any{t.lock.repo.ID, t.lock.branch, landingDone, since}, func(rows *sql.Rows) error {
				l := queue.Landed{Branch: t.key().name()}
				var targets string
				var barrier int64
				err := rows.Scan(&l.Seq, &l.Change, &l.PS, &targets, &barrier)
				l.Targets, l.Barrier = splitTargets(targets), barrier != 0
				if made[branchSeq{l.Branch, l.Seq}] = true; l.Seq > since {
					all = append(all, l)
				}
				return err
			})
		if err != nil {
			return nil, nil, fmt.Errorf("gatekeeper: landings on %s: %w", t.lock.branch, err)
		}
	}
	return all, made, nil
}

// modelHistory is how many decided changes a queue learns from when the server has started.
const modelHistory = 500

// learn keeps what the queue has learnt.
func (r *round) learn(m *queue.Model) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.models[r.name] = m
}

func (r *round) model() *queue.Model {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.models[r.name]
}

// recall learns from what was decided before the server started.
func (r *round) recall(ctx context.Context) error {
	r.mu.Lock()
	_, known := r.models[r.name]
	r.mu.Unlock()
	if known {
		return nil
	}
	type decision struct {
		at     time.Time
		entry  queue.Entry
		landed bool
	}
	var all []decision
	for _, t := range r.ticks {
		err := each(ctx, r.DB.Read(), `SELECT l.outcome_at, l.targets, a.name, 1 FROM landings l JOIN changes c ON c.id = l.change_id JOIN accounts a ON a.id = c.owner_id
				WHERE l.repo_id = $1 AND l.branch = $2 AND l.state = $3
			UNION ALL SELECT j.at, '', a.name, 0 FROM ejections j JOIN changes c ON c.id = j.change_id JOIN accounts a ON a.id = c.owner_id
				WHERE c.repo_id = $1 AND c.branch = $2
			ORDER BY 1 DESC LIMIT $4`, []any{t.lock.repo.ID, t.lock.branch, landingDone, modelHistory}, func(rows *sql.Rows) error {
			var d decision
			var at, landed int64
			var targets string
			err := rows.Scan(&at, &targets, &d.entry.Author, &landed)
			d.at, d.entry.Targets, d.landed = db.Time(at), splitTargets(targets), landed != 0
			all = append(all, d)
			return err
		})
		if err != nil {
			return fmt.Errorf("gatekeeper: decided changes: %w", err)
		}
	}
	slices.SortStableFunc(all, func(a, b decision) int { return a.at.Compare(b.at) })
	var m *queue.Model
	for _, d := range all {
		m = m.Learn(&d.entry, d.landed)
	}
	for _, t := range r.ticks {
		passed, flaked, err := t.flakesSeen(ctx)
		if err != nil {
			return err
		}
		m = m.LearnFlakes(passed, flaked)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.models[r.name] = m
	return nil
}

// flakesSeen counts the runs on the branch that passed lately, and those of its repository whose
// failure was a flake.
func (t *tick) flakesSeen(ctx context.Context) (passed, flaked int, err error) {
	since := db.Micros(t.Now().Add(-flakeWindow))
	err = t.DB.Read().QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM runs WHERE repo_id = $1 AND branch = $2 AND state = $3 AND phase = 'gate' AND finished_at >= $4),
		(SELECT COUNT(*) FROM flakes WHERE repo_id = $1 AND test = '' AND at >= $4)`, t.lock.repo.ID, t.lock.branch, string(RunPassed), since).Scan(&passed, &flaked)
	if err != nil {
		return 0, 0, fmt.Errorf("gatekeeper: flakes of %s: %w", t.lock.branch, err)
	}
	return passed, flaked, nil
}
