package deliver

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/promote"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// Ask is what a person asks of an environment.
type Ask struct {
	Environment string
	// What names an artifact by its digest, its commit or its change; "" is the newest that
	// waits, or for a rollback the last that ran well before what runs now.
	What   string
	Reason string
	// Hotfix goes before others, and enters in a freeze. Its gates are asked all the same.
	Hotfix bool
}

func (a *Ask) check(op string) error {
	a.Reason = strings.TrimSpace(a.Reason)
	if len(a.Reason) > maxReason {
		return fault.Newf(fault.TooLarge, op, "the reason has %d bytes; at most %d are kept", len(a.Reason), maxReason)
	}
	if a.Hotfix && a.Reason == "" {
		return fault.New(fault.Invalid, op, "a hotfix needs a reason", "say why it cannot wait for its turn")
	}
	return nil
}

// Promote asks for an artifact to enter an environment. One that waits there is asked for; one
// that was there, or was refused, gets a promotion of its own anew.
func (s *Service) Promote(ctx context.Context, actor account.Actor, at Place, ask Ask) (Promotion, error) {
	const op = "deliver.Promote"
	if err := ask.check(op); err != nil {
		return Promotion{}, err
	}
	if err := s.may(ctx, actor, at, ""); err != nil {
		return Promotion{}, err
	}
	p, err := s.meant(ctx, at, ask)
	if err != nil {
		return Promotion{}, err
	}
	kind := promote.Forward
	if ask.Hotfix {
		kind = promote.Hotfix
	}
	if p.State.Enters() {
		return Promotion{}, fault.Newf(fault.Conflict, op, "%s is entering %s already", short(p.Digest), ask.Environment)
	}
	return s.asked(ctx, actor, at, ask, p, kind)
}

// asked makes a promotion a person's wish.
func (s *Service) asked(ctx context.Context, actor account.Actor, at Place, ask Ask, p Promotion, kind promote.Kind) (Promotion, error) {
	err := s.order(ctx, at, func(tx *db.Tx) error {
		now, err := promotionByID(ctx, tx, p.ID)
		if err != nil {
			return err
		}
		if now.State.Waits() && kind != promote.Rollback {
			_, err := tx.ExecContext(ctx, `UPDATE promotions SET requested_by = $1, reason = $2, kind = $3 WHERE id = $4`, actor.ID, ask.Reason, string(kind), p.ID)
			if err != nil {
				return fmt.Errorf("deliver: ask for promotion %d: %w", p.ID, err)
			}
			now.RequestedBy, now.Reason, now.Kind = actor.ID, ask.Reason, kind
			p = now
			return s.tell(ctx, tx, at, p.Change, actor.ID, "promotion.asked", p.data())
		}
		p = Promotion{Environment: now.Environment, Run: now.Run, Stage: now.Stage, Seq: now.Seq, Kind: kind, Artifact: now.Artifact, Digest: now.Digest,
			Commit: now.Commit, Change: now.Change, RequestedBy: actor.ID, Reason: ask.Reason, place: at}
		return s.insertPromotion(ctx, tx, &p)
	})
	p.By = actor.Name
	return p, err
}

// meant is the promotion that a person names.
func (s *Service) meant(ctx context.Context, at Place, ask Ask) (Promotion, error) {
	if ask.What != "" {
		return s.known(ctx, at, ask.Environment, ask.What)
	}
	waiting, err := queryPromotions(ctx, s.DB.Read(), `p.repo_id = $1 AND p.branch = $2 AND p.environment = $3 AND p.ended_at = 0`, at.Repo, at.Branch, ask.Environment)
	if err != nil {
		return Promotion{}, err
	}
	waiting = slices.DeleteFunc(waiting, func(p Promotion) bool { return !p.State.Waits() })
	if len(waiting) == 0 {
		return Promotion{}, fault.New(fault.NotFound, "deliver.Promote", "nothing waits to enter "+ask.Environment,
			"land a change, or name what was there before by its digest, commit or change")
	}
	return slices.MaxFunc(waiting, func(a, b Promotion) int { return int(a.Seq - b.Seq) }), nil
}

// RollBack asks for what ran well in an environment before. It may be done in a freeze.
func (s *Service) RollBack(ctx context.Context, actor account.Actor, at Place, e plan.Environment, ask Ask) (Promotion, error) {
	const op = "deliver.RollBack"
	if err := ask.check(op); err != nil {
		return Promotion{}, err
	}
	if ask.Reason == "" {
		return Promotion{}, fault.New(fault.Invalid, op, "a rollback needs a reason", "say what is wrong with what runs")
	}
	if err := s.may(ctx, actor, at, ""); err != nil {
		return Promotion{}, err
	}
	st, err := s.state(ctx, s.DB.Read(), at, e)
	if err != nil {
		return Promotion{}, err
	}
	for _, good := range slices.Backward(st.Good) {
		if ask.What == "" && (good.Digest == st.Current.Digest || slices.ContainsFunc(st.Vetoes, func(v promote.Veto) bool { return v.Digest == good.Digest })) {
			continue
		}
		past, err := queryPromotions(ctx, s.DB.Read(), `p.repo_id = $1 AND p.branch = $2 AND p.environment = $3 AND p.state = $4 AND p.digest = $5 AND p.run_id = $6`,
			at.Repo, at.Branch, e.Name, string(promote.Succeeded), good.Digest, good.Run)
		if err != nil {
			return Promotion{}, err
		}
		if i := slices.IndexFunc(past, func(p Promotion) bool { return ask.What == "" || matches(p, ask.What) }); i >= 0 {
			return s.asked(ctx, actor, at, ask, past[i], promote.Rollback)
		}
	}
	return Promotion{}, fault.New(fault.Refused, op, "there is nothing to go back to in "+e.Name, "only what ran well there before can be gone back to: gate env show lists it")
}

// Cancel withdraws a promotion that waits.
func (s *Service) Cancel(ctx context.Context, actor account.Actor, at Place, id int64, reason string) error {
	if err := s.may(ctx, actor, at, ""); err != nil {
		return err
	}
	return s.order(ctx, at, func(tx *db.Tx) error {
		p, err := promotionByID(ctx, tx, id)
		if err != nil {
			return err
		}
		if p.place != at {
			return fault.Newf(fault.NotFound, "deliver.Cancel", "there is no promotion %d", id)
		}
		if !p.State.Waits() {
			return fault.New(fault.Refused, "deliver.Cancel", fmt.Sprintf("promotion %d is %s", id, p.State), "only one that waits can be withdrawn; roll back what entered")
		}
		why := "withdrawn by " + actor.Name
		if reason = strings.TrimSpace(reason); reason != "" {
			why += ": " + reason
		}
		return s.over(ctx, tx, id, promote.Canceled, why, false)
	})
}
