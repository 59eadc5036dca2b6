package gatekeeper

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// settleEvery is how often a change is settled though nothing about it has moved: for what no
// row of its own shows, such as a right that was taken away. Landing asks everything anew.
const settleEvery = 5 * time.Minute

// settleAll brings the open changes up to date for which a look can do something: those
// without a check, those that somebody asked to land, and those in the queue; and of these
// only those about which something has moved since. All others only wait for people.
func (t *tick) settleAll(ctx context.Context) error {
	if t.plan != nil {
		if err := t.retell(ctx); err != nil {
			return err
		}
	}
	stamps, err := t.stamps(ctx)
	if err != nil {
		return err
	}
	for _, s := range stamps {
		if t.settledAs(s.change) == s.text {
			continue
		}
		t.touched[s.change] = true
		if err := t.settle(ctx, s.change); err != nil {
			// One change that cannot be looked at must not hold up the others.
			t.Log.Error("look at a change", "repo", t.lock.repo.Name, "change", s.change, "err", err)
			continue
		}
		t.setSettled(s.change, s.text)
	}
	return nil
}

// stamp is all that settling a change depends on, written down: with an equal one there is
// nothing to do.
type stamp struct {
	change int64
	text   string
}

func (t *tick) settledAs(change int64) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.settled[change]
}

// maxSettled bounds the memory for stamps; who is forgotten is settled once more.
const maxSettled = 100_000

func (t *tick) setSettled(change int64, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.settled) >= maxSettled {
		clear(t.settled)
	}
	t.settled[change] = text
}

// unsettle has a change settled by the next look, whatever its stamp.
func (c *Controller) unsettle(change int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.settled, change)
}

func (t *tick) stamps(ctx context.Context) ([]stamp, error) {
	q := t.DB.Read()
	rights, err := rightsStamp(ctx, q)
	if err != nil {
		return nil, err
	}
	parents, err := t.parentStamps(ctx, q)
	if err != nil {
		return nil, err
	}
	policy := "none"
	if t.plan != nil {
		policy = t.plan.Digest()
	}
	now := t.Now().Unix()
	var all []stamp
	err = each(ctx, q, `SELECT c.id, c.current_ps, c.updated_at, c.submit_by, COALESCE(e.ps, 0), COALESCE(j.ps, 0), COALESCE(x.state, ''),
			COALESCE((SELECT MAX(s.id) FROM statuses s JOIN patch_sets p ON p.commit_oid = s.subject WHERE s.repo_id = c.repo_id AND p.change_id = c.id AND p.number = c.current_ps), 0)
		FROM changes c LEFT JOIN queue_entries e ON e.change_id = c.id LEFT JOIN ejections j ON j.change_id = c.id
		LEFT JOIN runs x ON x.id = (SELECT MAX(r.id) FROM runs r JOIN candidates k ON k.id = r.candidate_id AND k.checks = 1
			WHERE r.change_id = c.id AND r.ps = c.current_ps AND r.state <> $4)
		WHERE c.repo_id = $1 AND c.branch = $2 AND c.status = $3 AND (c.submit_by <> 0 OR e.change_id IS NOT NULL OR x.id IS NULL)
		ORDER BY c.id`, []any{t.lock.repo.ID, t.lock.branch, string(review.Open), string(RunSuperseded)}, func(rows *sql.Rows) error {
		var id, ps, updated, by, queued, ejected, said int64
		var check string
		if err := rows.Scan(&id, &ps, &updated, &by, &queued, &ejected, &check, &said); err != nil {
			return err
		}
		period := int64(settleEvery / time.Second)
		text := fmt.Sprint(ps, updated, by, queued, ejected, check, said, parents[id], rights, policy, (now+id%period)/period)
		if check == "" && queued == 0 { // its check waits for what no stamp shows: a merge, or the change below
			text += " " + string(t.tip) + " " + strconv.FormatInt(t.Now().UnixNano(), 10)
		}
		all = append(all, stamp{id, text})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: unsettled changes: %w", err)
	}
	return all, nil
}

// parentStamps write down how the changes stand that open changes stand on.
func (t *tick) parentStamps(ctx context.Context, q db.Querier) (map[int64]string, error) {
	found := map[int64]string{}
	err := each(ctx, q, `SELECT u.id, c.id, c.status, c.current_ps, COALESCE(e.ps, 0) FROM changes u
		JOIN patch_set_parents pp ON pp.change_id = u.id AND pp.ps = u.current_ps
		JOIN patch_sets p ON p.commit_oid = pp.parent_oid AND p.change_id <> u.id
		JOIN changes c ON c.id = p.change_id AND c.repo_id = u.repo_id AND c.branch = u.branch
		LEFT JOIN queue_entries e ON e.change_id = c.id
		WHERE u.repo_id = $1 AND u.branch = $2 AND u.status = $3 ORDER BY u.id, c.id`,
		[]any{t.lock.repo.ID, t.lock.branch, string(review.Open)}, func(rows *sql.Rows) error {
			var id, parent, current, queued int64
			var status string
			err := rows.Scan(&id, &parent, &status, &current, &queued)
			found[id] += fmt.Sprint(" ", parent, status, current, queued)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: parents of open changes: %w", err)
	}
	return found, nil
}

// rightsStamp changes when somebody's rights do.
func rightsStamp(ctx context.Context, q db.Querier) (string, error) {
	var parts []string
	for _, query := range []string{
		`SELECT COALESCE(SUM(id), 0), COUNT(*) FROM accounts WHERE disabled = 0`,
		`SELECT COALESCE(SUM(id), 0), COALESCE(SUM(LENGTH(role)), 0) FROM grants`,
		`SELECT COALESCE(SUM(id), 0), COALESCE(SUM(LENGTH(role)), 0) FROM branch_rules`,
		`SELECT COALESCE(SUM(account_id * group_id), 0), COUNT(*) FROM group_members`,
		`SELECT COALESCE(SUM(LENGTH(default_role)), 0), COUNT(*) FROM repositories`,
	} {
		var a, b int64
		if err := q.QueryRowContext(ctx, query).Scan(&a, &b); err != nil {
			return "", fmt.Errorf("gatekeeper: rights: %w", err)
		}
		parts = append(parts, fmt.Sprint(a, b))
	}
	return strings.Join(parts, " "), nil
}

// settle brings one open change up to date: its check has started, and it is in the queue
// exactly when it may be.
func (t *tick) settle(ctx context.Context, change int64) error {
	f, err := t.facts(ctx, t.DB.Read(), change)
	if err != nil {
		return err
	}
	if f.check == nil && t.announce(queue.Member{Change: change, PS: f.change.Current}) {
		if err := t.wakeNaming(ctx, f.change); err != nil {
			return err
		}
	}
	if f.planErr == nil && !f.change.WIP {
		if err := t.check(ctx, f); err != nil {
			return err
		}
	}
	why := f.mayQueue()
	switch {
	case why == "" && (f.entry == nil || f.entry.PS != f.change.Current):
		return t.enqueue(ctx, f)
	case why != "" && f.entry != nil && !f.landing:
		return t.leave(ctx, change, why)
	}
	return nil
}

// announce reports whether a patch set is seen for the first time by this process.
func (t *tick) announce(m queue.Member) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.announced[m] {
		return false
	}
	if len(t.announced) >= maxSettled {
		clear(t.announced)
	}
	t.announced[m] = true
	return true
}

// wakeNaming has those open changes looked at whose messages name a change that is new: the
// line named nothing until now.
func (t *tick) wakeNaming(ctx context.Context, ch review.Change) error {
	waiting := map[branchKey]bool{}
	err := each(ctx, t.DB.Read(), `SELECT c.id, c.repo_id, c.branch FROM changes c JOIN patch_sets p ON p.change_id = c.id AND p.number = c.current_ps
		WHERE c.status = $1 AND c.id <> $2 AND LOWER(p.message) LIKE '%depends-on%' AND (p.message LIKE $3 OR p.message LIKE $4)`,
		[]any{string(review.Open), ch.ID, "%" + ch.Key + "%", fmt.Sprintf("%%%d%%", ch.ID)}, func(rows *sql.Rows) error {
			var id int64
			var k branchKey
			err := rows.Scan(&id, &k.repo, &k.branch)
			t.unsettle(id)
			waiting[k] = true
			return err
		})
	if err != nil {
		return fmt.Errorf("gatekeeper: who names change %d: %w", ch.ID, err)
	}
	if len(waiting) == 0 {
		return nil
	}
	return t.DB.Transact(ctx, func(tx *db.Tx) error {
		for k := range waiting {
			if err := tx.Enqueue(ctx, repo.BranchJob(k.repo, k.branch)); err != nil {
				return err
			}
		}
		return nil
	})
}

// leave takes a change out of the queue because something is missing.
func (t *tick) leave(ctx context.Context, change int64, why string) error {
	t.touched[change] = true
	return t.DB.Transact(ctx, func(tx *db.Tx) error {
		if err := dequeue(ctx, tx, change); err != nil {
			return err
		}
		return t.tell(ctx, tx, change, "queue.left", map[string]string{"reason": why})
	})
}

// tell appends an event about a change on the branch; change 0 is the branch itself.
func (t *tick) tell(ctx context.Context, tx *db.Tx, change int64, kind string, data map[string]string) error {
	_, err := event.Append(ctx, tx, event.Event{At: t.Now(), Kind: kind, Repo: t.lock.repo.ID, Change: change, Data: data})
	return err
}

func (t *tick) enqueue(ctx context.Context, f *facts) error {
	own, err := t.lanesOf(ctx, f.change.ID, f.change.Current)
	if err != nil {
		return err
	}
	takes, err := medianTakes(ctx, t.DB.Read(), t.lock.repo.ID, t.lock.branch)
	if err != nil {
		return err
	}
	given, err := orders(ctx, t.DB.Read(), []int64{f.change.ID})
	if err != nil {
		return err
	}
	var depends, parents []int64
	for _, on := range f.depends.On {
		depends = append(depends, on.ID)
		if on.Status != review.Landed {
			parents = append(parents, on.ID)
		}
	}
	for _, p := range f.openParents() {
		parents = append(parents, p.Change)
	}
	t.touched[f.change.ID] = true
	return t.DB.Transact(ctx, func(tx *db.Tx) error {
		if err := dequeue(ctx, tx, f.change.ID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO queue_entries
				(change_id, repo_id, branch, ps, enqueued_at, enqueued_by, targets, barrier, size, takes, depends)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`, f.change.ID, t.lock.repo.ID, t.lock.branch, f.change.Current, db.Micros(t.Now()),
			f.change.SubmitBy, own.text(), db.Bool(own.barrier), own.size, takes.Microseconds(), joinIDs(depends, " "))
		if err != nil {
			return fmt.Errorf("gatekeeper: enqueue change %d: %w", f.change.ID, err)
		}
		e := queueEntry{Change: f.change.ID, PS: f.change.Current, Targets: own.targets, Barrier: own.barrier, Subject: f.change.Subject, Owner: f.name(f.change.Owner)}
		return t.entered(ctx, tx, e, given[f.change.ID].Priority, parents)
	})
}

// entered tells that a change is in the queue, and what it shares with others there.
func (t *tick) entered(ctx context.Context, tx *db.Tx, e queueEntry, priority int, parents []int64) error {
	return t.tell(ctx, tx, e.Change, "queue.entered", map[string]string{
		"branch": t.lock.branch, "ps": strconv.Itoa(e.PS), "subject": e.Subject, "owner": e.Owner,
		"targets": strings.Join(e.Targets, ","), "barrier": strconv.FormatInt(db.Bool(e.Barrier), 10),
		"priority": strconv.Itoa(priority), "parents": joinIDs(parents, ",")})
}

func joinIDs(ids []int64, between string) string {
	parts := make([]string, 0, len(ids))
	for _, id := range ids {
		parts = append(parts, strconv.FormatInt(id, 10))
	}
	return strings.Join(parts, between)
}

// check starts the check run of a patch set that has had none: on the tip, or for a change
// in a stack on the candidate of the change below it, so that the very result is there when
// the stack lands in order.
func (t *tick) check(ctx context.Context, f *facts) error {
	if f.check != nil || f.merge != "" || f.queued() { // what is queued the queue tests
		return nil
	}
	want := candidate{Members: []queue.Member{{Change: f.change.ID, PS: f.ps.Number}}, Check: true}
	if ok, err := t.checkBase(ctx, f, &want); err != nil || !ok {
		return err
	}
	k, err := t.maker(t.lock.repo, t.lock.branch, t.git, t.plan.Land.How).candidate(ctx, want)
	if err != nil {
		return err
	}
	if f.merge = k.Conflict; f.merge != "" {
		return nil
	}
	// The policy is the branch's: what it stands on may want another, and nobody has seen that.
	composed, err := t.composed(ctx, t.git, t.tip, k.Commit)
	if err != nil {
		return err
	}
	digest, outcome := composed.Digest(), ""
	if cut := composed.Gating(f.change.Outcome); !cut.Lands() { // it stops before: a run of its own
		outcome = f.change.Outcome
		digest = cut.Digest() + " " + outcome
	}
	k.aim = &f.change.Outcome
	crash("check.composed")
	_, err = t.startCandidate(ctx, k, t.tip, digest, outcome)
	return err
}

// checkBase says what a patch set is checked on; ok is false while the change below it has no
// candidate to stand on.
func (t *tick) checkBase(ctx context.Context, f *facts, want *candidate) (ok bool, err error) {
	want.Base, want.Seq = t.tip, t.row.Seq
	below := f.openParents()
	if len(below) == 0 {
		return true, nil
	}
	nearest := below[len(below)-1]
	if nearest.Outdated {
		return false, nil
	}
	parent, err := t.Review.Load(ctx, t.DB.Read(), nearest.Change)
	if err != nil {
		return false, err
	}
	m := queue.Member{Change: parent.ID, PS: parent.Current}
	all, err := queryCandidates(ctx, t.DB.Read(), `k.repo_id = $1 AND k.branch = $2 AND k.members = $3 AND k.how = $4 AND k.conflict = '' AND k.void = 0`,
		t.lock.repo.ID, t.lock.branch, membersText([]queue.Member{m}), t.plan.Land.How)
	if err != nil || len(all) == 0 {
		return false, err
	}
	on := all[len(all)-1]
	want.Base, want.Seq, want.On = on.Commit, on.Seq, append(append([]queue.Member(nil), on.On...), m)
	return true, nil
}
