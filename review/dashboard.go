package review

import (
	"context"
	"fmt"

	"gatehouse/gitserver/account"
	"gatehouse/migrations/db"
)

const (
	// maxDashboard is how many changes one part of the dashboard shows: more than anybody
	// works through in a day.
	maxDashboard = 100
	// maxRecent is a glance.
	maxRecent = 25
	// lookBehind is how many more rows are read than are shown, for those that the asker may
	// not see or vote on.
	lookBehind = 4
)

// Dashboard is what waits for one person, and what happened.
type Dashboard struct {
	// MyTurn are the changes that wait for the person, Why says for what, by change number.
	MyTurn []Change
	Why    map[int64]string
	Mine   []Change // own open changes, last touched first
	Recent []Change // of everybody, last touched first
}

// Dashboard gathers what concerns actor. For somebody who has not signed in there is only
// what happened recently.
func (s *Service) Dashboard(ctx context.Context, actor account.Actor) (Dashboard, error) {
	v := s.sight(s.DB.Read(), actor)
	d := Dashboard{Why: map[int64]string{}}
	var err error
	if actor.ID != 0 {
		if d.Mine, err = changes(ctx, v.q, `WHERE c.owner_id = $1 AND c.status = $2 ORDER BY c.updated_at DESC, c.id DESC LIMIT $3`,
			actor.ID, string(Open), maxDashboard); err != nil {
			return Dashboard{}, err
		}
		if d.Mine, err = v.keep(ctx, d.Mine, maxDashboard, account.Read); err != nil {
			return Dashboard{}, err
		}
		if err := s.mineToMend(ctx, v.q, actor.ID, &d); err != nil {
			return Dashboard{}, err
		}
		if err := s.toReview(ctx, v, actor.ID, &d); err != nil {
			return Dashboard{}, err
		}
	}
	recent, err := changes(ctx, v.q, `ORDER BY c.updated_at DESC, c.id DESC LIMIT $1`, maxRecent*lookBehind)
	if err != nil {
		return Dashboard{}, err
	}
	d.Recent, err = v.keep(ctx, recent, maxRecent, account.Read)
	return d, err
}

// keep leaves the first of the changes on which the actor may do verb.
func (v *sight) keep(ctx context.Context, all []Change, most int, verb account.Verb) ([]Change, error) {
	var kept []Change
	for _, c := range all {
		ok, err := v.allows(ctx, verb, c)
		if err != nil {
			return nil, err
		}
		if ok && len(kept) < most {
			kept = append(kept, c)
		}
	}
	return kept, nil
}

// mineToMend finds the person's own changes that somebody else answered to: a negative vote
// on the current patch set, a thread whose last word is another's and unresolved, or a
// refusing gate.
func (s *Service) mineToMend(ctx context.Context, q db.Querier, me int64, d *Dashboard) error {
	args := []any{me}
	for _, c := range d.Mine {
		args = append(args, c.ID)
	}
	if len(d.Mine) == 0 {
		return nil
	}
	negative, threads := map[int64]int{}, map[int64]int{}
	err := each(ctx, q, "dashboard", `SELECT c.id,
		(SELECT count(*) FROM votes v WHERE v.change_id = c.id AND v.ps = c.current_ps AND v.value < 0 AND v.account_id <> $1),
		(SELECT count(*) FROM comments m WHERE m.change_id = c.id AND m.unresolved = 1 AND m.author_id <> $1 AND NOT EXISTS (
			SELECT 1 FROM comments n WHERE n.change_id = m.change_id AND n.id > m.id
			AND n.reply_to = CASE WHEN m.reply_to = 0 THEN m.id ELSE m.reply_to END))
		FROM changes c WHERE c.id IN (`+marks(2, len(d.Mine))+`)`, args, func(row scanner) error {
		var id int64
		var votes, open int
		err := row.Scan(&id, &votes, &open)
		negative[id], threads[id] = votes, open
		return err
	})
	if err != nil {
		return err
	}
	refused := map[int64]bool{}
	if s.Refused != nil {
		ids := make([]int64, 0, len(d.Mine))
		for _, c := range d.Mine {
			ids = append(ids, c.ID)
		}
		if refused, err = s.Refused(ctx, ids); err != nil {
			return fmt.Errorf("review: dashboard: %w", err)
		}
	}
	for _, c := range d.Mine {
		why := ""
		switch {
		case refused[c.ID]:
			why = "a gate has refused it"
		case negative[c.ID] > 0:
			why = "it has " + counted(negative[c.ID], "negative vote")
		case threads[c.ID] > 0:
			why = "it has " + counted(threads[c.ID], "unresolved comment")
		default:
			continue
		}
		d.MyTurn, d.Why[c.ID] = append(d.MyTurn, c), why
	}
	return nil
}

// toReview finds the open changes of others on whose current patch set the person has not
// voted: first those that they were asked about, then the others that they may vote on.
func (s *Service) toReview(ctx context.Context, v *sight, me int64, d *Dashboard) error {
	found, err := changes(ctx, v.q, `LEFT JOIN reviewers w ON w.change_id = c.id AND w.account_id = $1
		JOIN patch_sets p ON p.change_id = c.id AND p.number = c.current_ps
		WHERE c.status = $2 AND c.wip = 0 AND c.owner_id <> $1 AND p.uploader_id <> $1 AND NOT EXISTS (
			SELECT 1 FROM votes v WHERE v.change_id = c.id AND v.ps = c.current_ps AND v.account_id = $1)
		ORDER BY CASE WHEN w.state = $3 THEN 0 ELSE 1 END, c.updated_at DESC, c.id DESC LIMIT $4`,
		me, string(Open), stateReviewer, maxDashboard*lookBehind)
	if err != nil {
		return err
	}
	asked := map[int64]bool{}
	args := []any{me, stateReviewer}
	for _, c := range found {
		args = append(args, c.ID)
	}
	if len(found) == 0 {
		return nil
	}
	err = each(ctx, v.q, "dashboard", `SELECT change_id FROM reviewers WHERE account_id = $1 AND state = $2 AND change_id IN (`+marks(3, len(found))+`)`,
		args, func(row scanner) error {
			var id int64
			err := row.Scan(&id)
			asked[id] = true
			return err
		})
	if err != nil {
		return err
	}
	for _, c := range found {
		verb := account.Vote
		if asked[c.ID] {
			verb = account.Read
		}
		ok, err := v.allows(ctx, verb, c)
		if err != nil {
			return err
		}
		if !ok || len(d.MyTurn) >= maxDashboard {
			continue
		}
		why := "you have not voted on its current patch set"
		if asked[c.ID] {
			why = "you are asked to review it"
		}
		d.MyTurn, d.Why[c.ID] = append(d.MyTurn, c), why
	}
	return nil
}
