package deliver

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"gatehouse/gatekeeper/promote"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// Kinds of orders about an environment.
const (
	OrderPin    = "pin"    // nothing but this digest enters
	OrderVeto   = "veto"   // this digest does not enter
	OrderFreeze = "freeze" // nothing enters but hotfixes and rollbacks
	OrderBroken = "broken" // it needs a person; nobody ordered it
)

// maxReason is the length in bytes of what somebody says about why.
const maxReason = 1_000

// Order is something that holds for an environment until it is lifted, or for a time.
type Order struct {
	ID          int64     `json:"id"`
	Environment string    `json:"environment"`
	Kind        string    `json:"kind"`
	Digest      string    `json:"digest,omitempty"`
	RollBack    bool      `json:"rollback,omitempty"`
	By          string    `json:"by,omitempty"` // "" when nobody gave it
	Reason      string    `json:"reason,omitempty"`
	At          time.Time `json:"at"`
	Until       time.Time `json:"until,omitzero"`

	account int64
}

// ordersOf are the orders that hold for the environments of a place, oldest first.
func ordersOf(ctx context.Context, q db.Querier, at Place, now time.Time) ([]Order, error) {
	var all []Order
	err := each(ctx, q, `SELECT o.id, o.environment, o.kind, o.digest, o.rollback, o.account_id, COALESCE(a.name, ''), o.reason, o.created_at, o.until_at
		FROM environment_orders o LEFT JOIN accounts a ON a.id = o.account_id
		WHERE o.repo_id = $1 AND o.branch = $2 AND o.lifted_at = 0 AND (o.until_at = 0 OR o.until_at > $3) ORDER BY o.id`,
		[]any{at.Repo, at.Branch, db.Micros(now)}, func(rows *sql.Rows) error {
			var o Order
			var rollback, created, until int64
			err := rows.Scan(&o.ID, &o.Environment, &o.Kind, &o.Digest, &rollback, &o.account, &o.By, &o.Reason, &created, &until)
			o.RollBack, o.At, o.Until = rollback != 0, db.Time(created), db.Time(until)
			all = append(all, o)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("deliver: orders: %w", err)
	}
	return all, nil
}

// give writes an order in place of those of its kind (and digest) that hold.
func (s *Service) give(ctx context.Context, tx *db.Tx, at Place, o Order) error {
	if err := s.lift(ctx, tx, at, o.Environment, o.Kind, o.Digest, o.account); err != nil {
		return err
	}
	id, err := tx.NextID(ctx, db.RowIDs)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO environment_orders (id, repo_id, branch, environment, kind, digest, rollback, account_id, reason, created_at, until_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		id, at.Repo, at.Branch, o.Environment, o.Kind, o.Digest, db.Bool(o.RollBack), o.account, o.Reason, db.Micros(s.Now()), db.Micros(o.Until))
	if err != nil {
		return fmt.Errorf("deliver: order %s of %s: %w", o.Kind, o.Environment, err)
	}
	return s.tell(ctx, tx, at, 0, o.account, "environment."+o.Kind, map[string]string{"environment": o.Environment, "digest": o.Digest, "reason": o.Reason})
}

// lift ends the orders of a kind that hold; of one digest only unless digest is "".
func (s *Service) lift(ctx context.Context, tx *db.Tx, at Place, environment, kind, digest string, by int64) error {
	_, err := tx.ExecContext(ctx, `UPDATE environment_orders SET lifted_at = $1, lifted_by = $2
		WHERE repo_id = $3 AND branch = $4 AND environment = $5 AND kind = $6 AND lifted_at = 0 AND ($7 = '' OR digest = $7)`,
		db.Micros(s.Now()), by, at.Repo, at.Branch, environment, kind, digest)
	if err != nil {
		return fmt.Errorf("deliver: lift %s of %s: %w", kind, environment, err)
	}
	return nil
}

// Give is how a person orders something about an environment: the verb for freezing where it is
// a freeze, the one for deploying otherwise.
func (s *Service) Give(ctx context.Context, actor account.Actor, at Place, o Order) error {
	const op = "deliver.Give"
	if err := s.may(ctx, actor, at, o.Kind); err != nil {
		return err
	}
	o.Reason, o.account = strings.TrimSpace(o.Reason), actor.ID
	switch {
	case o.Kind != OrderPin && o.Kind != OrderVeto && o.Kind != OrderFreeze:
		return fault.New(fault.Invalid, op, fmt.Sprintf("there is no order %q", o.Kind), "give pin, veto or freeze")
	case len(o.Reason) > maxReason:
		return fault.Newf(fault.TooLarge, op, "the reason has %d bytes; at most %d are kept", len(o.Reason), maxReason)
	case o.Reason == "":
		return fault.New(fault.Invalid, op, "a "+o.Kind+" needs a reason", "say why: others will ask")
	case !o.Until.IsZero() && !o.Until.After(s.Now()):
		return fault.New(fault.Invalid, op, "it would be over before it begins", "give a time that is still to come")
	case o.Kind == OrderFreeze:
		o.Digest = ""
	case o.Digest == "":
		return fault.New(fault.Invalid, op, "a "+o.Kind+" is about one artifact", "name it by its digest; gate env show lists them")
	}
	if o.Kind != OrderFreeze {
		known, err := s.known(ctx, at, o.Environment, o.Digest)
		if err != nil {
			return err
		}
		o.Digest = known.Digest
	}
	return s.order(ctx, at, func(tx *db.Tx) error { return s.give(ctx, tx, at, o) })
}

// Lift ends an order.
func (s *Service) Lift(ctx context.Context, actor account.Actor, at Place, environment, kind, digest string) error {
	if err := s.may(ctx, actor, at, kind); err != nil {
		return err
	}
	orders, err := ordersOf(ctx, s.DB.Read(), at, s.Now())
	if err != nil {
		return err
	}
	for _, o := range orders {
		if o.Environment != environment || o.Kind != kind || digest != "" && !strings.HasPrefix(o.Digest, digest) {
			continue
		}
		return s.order(ctx, at, func(tx *db.Tx) error {
			if err := s.lift(ctx, tx, at, environment, kind, o.Digest, actor.ID); err != nil {
				return err
			}
			return s.tell(ctx, tx, at, 0, actor.ID, "environment.lifted", map[string]string{"environment": environment, "kind": kind, "digest": o.Digest})
		})
	}
	return fault.New(fault.NotFound, "deliver.Lift", fmt.Sprintf("there is no %s on %s", kind, environment), "gate env show tells what holds")
}

// may asks the one decision point. An environment is as private as its branch.
func (s *Service) may(ctx context.Context, actor account.Actor, at Place, kind string) error {
	r, err := s.Repos.ByID(ctx, s.DB.Read(), at.Repo)
	if err != nil {
		return err
	}
	verb := account.Deploy
	if kind == OrderFreeze {
		verb = account.Freeze
	}
	return s.Accounts.May(ctx, s.DB.Read(), actor, verb, r.Resource(at.Branch))
}

// order writes something that people decided, and has the environments looked at.
func (s *Service) order(ctx context.Context, at Place, write func(tx *db.Tx) error) error {
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		if err := write(tx); err != nil {
			return err
		}
		return tx.Enqueue(ctx, Job(at))
	})
	s.wake(at)
	return err
}

// known finds the newest promotion of a digest, by its beginning, in an environment.
func (s *Service) known(ctx context.Context, at Place, environment, digest string) (Promotion, error) {
	all, err := queryPromotions(ctx, s.DB.Read(), `p.repo_id = $1 AND p.branch = $2 AND p.environment = $3`, at.Repo, at.Branch, environment)
	if err != nil {
		return Promotion{}, err
	}
	var found []Promotion
	for _, p := range all {
		if matches(p, digest) && (len(found) == 0 || found[len(found)-1].Digest != p.Digest) {
			found = append(found, p)
		} else if matches(p, digest) {
			found[len(found)-1] = p
		}
	}
	switch {
	case len(found) == 0:
		return Promotion{}, fault.New(fault.NotFound, "deliver.known", fmt.Sprintf("no artifact %s was ever on its way into %s", digest, environment), "gate env show lists what was")
	case len(found) > 1 && !strings.EqualFold(found[0].Digest, digest):
		for _, p := range found[1:] {
			if p.Digest != found[0].Digest {
				return Promotion{}, fault.New(fault.Invalid, "deliver.known", fmt.Sprintf("%s is the beginning of several digests", digest), "write more of it")
			}
		}
	}
	return found[len(found)-1], nil
}

// matches says whether people who write text mean the promotion: by the digest, with or without
// its kind, by the commit, or by the number of the change.
func matches(p Promotion, text string) bool {
	const least = 4 // of a digest or a commit: fewer name too many
	bare := strings.TrimPrefix(text, "sha256:")
	return fmt.Sprint(p.Change) == text && p.Change != 0 ||
		len(bare) >= least && (strings.HasPrefix(p.Digest, "sha256:"+bare) || strings.HasPrefix(string(p.Commit), text))
}

// stateOrders puts the orders of one environment into the state that is decided from.
func stateOrders(st *promote.State, orders []Order) {
	for _, o := range orders {
		if o.Environment != st.Environment {
			continue
		}
		switch o.Kind {
		case OrderPin:
			st.Pin = &promote.Pin{Digest: o.Digest, By: o.By, Why: o.Reason}
		case OrderVeto:
			st.Vetoes = append(st.Vetoes, promote.Veto{Digest: o.Digest, By: o.By, Why: o.Reason, RollBack: o.RollBack})
		case OrderFreeze:
			st.Freezes = append(st.Freezes, promote.Freeze{Why: o.Reason, By: o.By, Until: o.Until})
		case OrderBroken:
			st.Broken = o.Reason
		default:
			panic("deliver: unknown order " + o.Kind)
		}
	}
}
