package entrance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// maxPerPoll is how many proposals one look brings in; the next look brings the rest.
const maxPerPoll = 50

// Poll looks at one entrance: which proposals moved there, and which of its branches. Its key
// is the entrance's id. It is how the other server is heard where it cannot speak to us.
func (s *Service) Poll(ctx context.Context, key string) (time.Duration, error) {
	id, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("entrance: job %q: %w", key, err)
	}
	e, err := s.ByID(ctx, s.DB.Read(), id)
	if fault.Is(err, fault.NotFound) {
		return 0, nil // removed meanwhile
	}
	if err != nil || e.Poll == 0 {
		return 0, err
	}
	return e.Poll, s.lookAndNote(ctx, e)
}

// Look looks at an entrance now, whether it is polled or not.
func (s *Service) Look(ctx context.Context, e Entrance) error {
	if err := s.lookAndNote(ctx, e); err != nil {
		return err
	}
	now, err := s.ByID(ctx, s.DB.Read(), e.ID)
	if err == nil && now.Reason != "" {
		err = fault.New(fault.Unavailable, "entrance.Look", now.Reason, "")
	}
	return err
}

// lookAndNote looks, and writes down how that went.
func (s *Service) lookAndNote(ctx context.Context, e Entrance) error {
	failure := s.look(ctx, e)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	reason := ""
	if failure != nil {
		reason = word(fault.Sentence(failure), maxReason)
		if e.Reason != reason {
			s.Log.Warn("entrance: a look failed", "entrance", e.ID, "again", e.Poll, "err", failure)
		}
	}
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE entrances SET looked_at = $1, reason = $2 WHERE id = $3`, db.Micros(s.Now()), reason, e.ID)
		return err
	})
}

func (s *Service) look(ctx context.Context, e Entrance) error {
	r, err := s.Repos.ByID(ctx, s.DB.Read(), e.Repo)
	if err != nil {
		return err
	}
	g, err := s.Repos.Open(r)
	if err != nil {
		return err
	}
	url, auth, err := s.remote(ctx, e)
	if err != nil {
		return err
	}
	refs, err := g.LsRemoteRefs(ctx, url, auth, headsPrefix+"*", e.Forge.proposals())
	if err != nil {
		return err
	}
	if err := s.lookAtBranches(ctx, e, r, g, refs); err != nil {
		return err
	}
	known, err := s.knownHeads(ctx, e)
	if err != nil {
		return err
	}
	heads := e.Forge.pickHeads(refs)
	if e.LookedAt.IsZero() && e.API == "" && e.Forge != Plain {
		return s.passOver(ctx, e, heads)
	}
	return errors.Join(s.bringMoved(ctx, e, r, g, heads, known), s.closeGone(ctx, e, heads, known))
}

// bringMoved hears of each proposal whose newest commit is not here, up to a bound.
func (s *Service) bringMoved(ctx context.Context, e Entrance, r repo.Repository, g *git.Repo, heads map[int64]Head, known map[int64]knownHead) error {
	brought := 0
	var first error
	for _, number := range sortedNumbers(heads) {
		if known[number].head == heads[number].OID || brought == maxPerPoll {
			continue
		}
		if landed, err := s.hasLanded(ctx, r, g, heads[number].OID); err != nil || landed {
			continue // an old proposal, which the forge keeps for ever
		}
		heard, err := s.hear(ctx, e, Notice{Kind: Proposed, Number: number}, string(heads[number].OID))
		if heard {
			brought++
		}
		if err != nil && first == nil {
			first = err
		}
	}
	return first
}

// closeGone hears of each open proposal whose ref is gone.
func (s *Service) closeGone(ctx context.Context, e Entrance, heads map[int64]Head, known map[int64]knownHead) error {
	var first error
	for number, k := range known {
		if _, there := heads[number]; !there && k.open {
			if _, err := s.hear(ctx, e, Notice{Kind: Closed, Number: number}, "gone "+string(k.head)); err != nil && first == nil {
				first = err
			}
		}
	}
	return first
}

// passOver notes what is there at the first look: forges keep the refs of proposals for ever,
// and without an API nobody says which are open. Each comes in when it moves.
func (s *Service) passOver(ctx context.Context, e Entrance, heads map[int64]Head) error {
	for _, number := range sortedNumbers(heads) {
		name := lookName(Proposed, number, string(heads[number].OID))
		if _, err := s.Take(ctx, e, Message{Name: name, Event: "look", Body: []byte(name), Why: "it was proposed before this entrance was made, and comes in when it moves"}); err != nil {
			return err
		}
	}
	return nil
}

func lookName(k Kind, number int64, what string) string {
	return fmt.Sprintf("look:%s:%d:%s", k, number, what)
}

// hear takes what a look found as if it had been told, once for each thing found.
func (s *Service) hear(ctx context.Context, e Entrance, n Notice, what string) (bool, error) {
	if !e.wants(n.Kind) {
		return false, nil
	}
	name := lookName(n.Kind, n.Number, what)
	before, err := deliveries(ctx, s.DB.Read(), `WHERE entrance_id = $1 AND delivery = $2 AND state <> $3`, e.ID, name, string(Rejected))
	if err != nil || len(before) > 0 {
		return false, err // it was heard, and came to what it came to
	}
	_, err = s.Take(ctx, e, Message{Name: name, Event: "look", Body: []byte(name), Notice: &n})
	return true, err
}

func sortedNumbers(heads map[int64]Head) []int64 {
	var all []int64
	for n := range heads {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

type knownHead struct {
	head git.OID
	open bool
}

// knownHeads is what is held of each proposal.
func (s *Service) knownHeads(ctx context.Context, e Entrance) (map[int64]knownHead, error) {
	rows, err := s.DB.Read().QueryContext(ctx, `SELECT o.number, o.head_oid, c.status FROM change_origins o JOIN changes c ON c.id = o.change_id
		WHERE o.entrance_id = $1 ORDER BY o.change_id`, e.ID)
	if err != nil {
		return nil, fmt.Errorf("entrance: what is held: %w", err)
	}
	defer func() { _ = rows.Close() }()
	known := map[int64]knownHead{}
	for rows.Next() {
		var number int64
		var k knownHead
		var status review.Status
		if err := rows.Scan(&number, &k.head, &status); err != nil {
			return nil, fmt.Errorf("entrance: what is held: %w", err)
		}
		k.open = known[number].open || status == review.Open
		known[number] = k
	}
	return known, rows.Err()
}

// hasLanded reports whether a commit is on a gated branch here.
func (s *Service) hasLanded(ctx context.Context, r repo.Repository, g *git.Repo, commit git.OID) (bool, error) {
	if _, err := g.Commit(ctx, commit); err != nil {
		return false, nil // not even here
	}
	branches, err := g.Refs(ctx, headsPrefix)
	if err != nil {
		return false, err
	}
	for _, b := range branches {
		if !r.Gates(b.Name[len(headsPrefix):]) {
			continue
		}
		if in, err := g.IsAncestor(ctx, commit, b.OID); err != nil || in {
			return in, err
		}
	}
	return false, nil
}

// lookAtBranches has the gated branches looked at that are elsewhere there than here.
func (s *Service) lookAtBranches(ctx context.Context, e Entrance, r repo.Repository, g *git.Repo, refs []git.Ref) error {
	if e.Lands == LandsNone {
		return nil
	}
	for _, ref := range refs {
		branch, ok := cutBranch(ref.Name)
		if !ok || !r.Gates(branch) {
			continue
		}
		here, err := g.RefOID(ctx, ref.Name)
		if err != nil {
			return err
		}
		if here == ref.OID {
			continue
		}
		s.markStale(r.ID, branch)
		if err := s.DB.Transact(ctx, func(tx *db.Tx) error { return tx.Enqueue(ctx, repo.BranchJob(r.ID, branch)) }); err != nil {
			return err
		}
	}
	return nil
}

func cutBranch(ref string) (string, bool) {
	if len(ref) <= len(headsPrefix) || ref[:len(headsPrefix)] != headsPrefix {
		return "", false
	}
	return ref[len(headsPrefix):], true
}
