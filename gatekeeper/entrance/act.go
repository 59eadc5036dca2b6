package entrance

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// actUpon does what a notice is a reason for.
func (s *Service) actUpon(ctx context.Context, e Entrance, n Notice) (done, error) {
	r, err := s.Repos.ByID(ctx, s.DB.Read(), e.Repo)
	if err != nil {
		return done{}, err
	}
	if n.Number != 0 {
		defer s.alone("proposal " + e.origin(n.Number))()
	}
	switch n.Kind {
	case Proposed:
		return s.bring(ctx, e, r, n)
	case Closed:
		return s.closed(ctx, e, r, n)
	case Pushed:
		return s.pushed(ctx, e, r, n)
	case Grouped:
		return s.grouped(ctx, e, r, n)
	case Commented:
		return s.commented(ctx, e, n)
	case Labelled:
		return s.labelled(ctx, e, n)
	case Reviewed:
		return s.reviewed(ctx, e, r, n)
	default:
		panic("entrance: unknown kind of notice " + string(n.Kind))
	}
}

// newest is the change that holds the newest commit of a proposal, if it came in.
func (s *Service) newest(ctx context.Context, e Entrance, number int64) (review.Change, bool, error) {
	all, err := s.cameAs(ctx, e, number)
	if err != nil {
		return review.Change{}, false, err
	}
	for _, o := range slices.Backward(all) {
		c, err := s.Review.Load(ctx, s.DB.Read(), o.Change)
		if err != nil {
			return c, false, err
		}
		set, err := s.Review.PatchSet(ctx, s.DB.Read(), c.ID, c.Current)
		if err != nil {
			return c, false, err
		}
		if set.Commit == o.Head {
			return c, true, nil
		}
	}
	return review.Change{}, false, nil
}

// closed abandons what was given up there, and notes what landed there.
func (s *Service) closed(ctx context.Context, e Entrance, r repo.Repository, n Notice) (done, error) {
	all, err := s.cameAs(ctx, e, n.Number)
	if err != nil || len(all) == 0 {
		return ignored("proposal %d never came in", n.Number), err
	}
	last := all[len(all)-1].Change
	if n.Merged {
		if err := s.landedThere(ctx, e, r, n, all); err != nil {
			return done{}, err
		}
		return accepted(last, "it landed on %s", e.Forge), nil
	}
	count := 0
	for _, o := range slices.Backward(all) {
		ok, err := s.giveUp(ctx, o.Change, fmt.Sprintf("It was closed on %s", e.Forge))
		if err != nil {
			return done{}, err
		}
		if ok {
			count++
		}
	}
	if count == 0 {
		return ignored("nothing of it was open"), nil
	}
	return accepted(last, "abandoned, because it was closed there"), nil
}

// landedThere takes the branch in and marks the changes whose commits are on it, or that the
// forge made another commit of.
func (s *Service) landedThere(ctx context.Context, e Entrance, r repo.Repository, n Notice, all []Origin) error {
	if e.Lands == LandsNone {
		return nil
	}
	for _, o := range all {
		c, err := s.Review.Load(ctx, s.DB.Read(), o.Change)
		if err != nil {
			return err
		}
		if c.Status != review.Open {
			continue
		}
		if err := s.refresh(ctx, r, c.Branch); err != nil {
			return err
		}
		if n.Base == "" {
			continue
		}
		if err := s.Gate.NoteLanded(ctx, r, c.Branch, n.Base, []int64{c.ID}, e.Account); err != nil {
			return err
		}
	}
	return nil
}

// giveUp abandons a change, in the name of its owner.
func (s *Service) giveUp(ctx context.Context, change int64, why string) (bool, error) {
	c, err := s.Review.Load(ctx, s.DB.Read(), change)
	if err != nil || c.Status != review.Open {
		return false, err
	}
	owner, err := s.Accounts.Actor(ctx, s.DB.Read(), c.Owner, methodForge)
	if err == nil {
		err = s.Review.Abandon(ctx, owner, change, why)
	}
	if fault.Is(err, fault.Conflict) { // landed or abandoned meanwhile
		return false, nil
	}
	return err == nil, err
}

// pushed looks at a branch that moved there.
func (s *Service) pushed(ctx context.Context, e Entrance, r repo.Repository, n Notice) (done, error) {
	switch {
	case e.Lands == LandsNone:
		return ignored("the branch here is the primary, whatever %s has", e.Forge), nil
	case !r.Gates(n.Branch):
		return ignored("%s is not gated here", n.Branch), nil
	}
	if err := s.refresh(ctx, r, n.Branch); err != nil {
		return done{}, err
	}
	return accepted(0, "%s was looked at", n.Branch), nil
}

// grouped tests the commit that a merge queue asks about. It lands there, or not at all.
func (s *Service) grouped(ctx context.Context, e Entrance, r repo.Repository, n Notice) (done, error) {
	if !r.Gates(n.Branch) {
		return ignored("%s is not gated here", n.Branch), nil
	}
	if err := s.refresh(ctx, r, n.Branch); err != nil {
		return done{}, err
	}
	url, auth, err := s.remote(ctx, e)
	if err != nil {
		return done{}, err
	}
	g, err := s.Repos.Open(r)
	if err != nil {
		return done{}, err
	}
	found, err := g.LsRemoteRefs(ctx, url, auth, n.Ref)
	if err != nil {
		return done{}, err
	}
	if len(found) == 0 || n.Head != "" && found[0].OID != n.Head {
		return ignored("the merge queue has another group by now"), nil
	}
	head := found[0].OID
	if err := s.hold(ctx, g, url, auth, n.Ref, head, groupHold(e.ID, head)); err != nil {
		return done{}, err
	}
	tip, err := g.RefOID(ctx, headsPrefix+n.Branch)
	if err != nil {
		return done{}, err
	}
	base, _, err := g.MergeBase(ctx, tip, head)
	if err != nil {
		return done{}, err
	}
	run, err := s.testCommit(ctx, e, r, n.Branch, base, head)
	if err != nil {
		return done{}, err
	}
	return accepted(0, "commit %s of the merge queue is tested as run %d", short(head), run), nil
}

// groupPrefix holds the groups of merge queues, hidden from clients.
const groupPrefix = "refs/gate/group/"

// groupHold keeps the objects of a merge queue's group while it is tested.
func groupHold(entrance int64, head git.OID) string {
	return groupPrefix + strconv.FormatInt(entrance, 10) + "-" + string(head)
}

// hold fetches a commit, holds it against the content rules and keeps it under a ref of ours.
func (s *Service) hold(ctx context.Context, g *git.Repo, url string, auth git.Auth, ref string, head git.OID, under string) error {
	q, err := s.fetch(ctx, g, url, auth, ref, head)
	if err != nil {
		return err
	}
	defer func() { _ = q.Discard() }() // nothing is left of it when it has migrated
	if err := q.Keep(ctx, []git.OID{head}); err != nil {
		return err
	}
	if err := q.Migrate(ctx); err != nil {
		return err
	}
	return g.UpdateRefs(ctx, []git.RefUpdate{{Ref: under, New: head}}, "fetched")
}

// testCommit has a commit tested that is no change, and remembers whom to tell.
func (s *Service) testCommit(ctx context.Context, e Entrance, r repo.Repository, branch string, from, commit git.OID) (int64, error) {
	run, err := s.Gate.TestCommit(ctx, r, branch, from, commit)
	if err != nil || run == 0 {
		return 0, err
	}
	return run, s.DB.Transact(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO entrance_runs (run_id, entrance_id, commit_oid, at, branch, from_oid) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
			run, e.ID, string(commit), db.Micros(s.Now()), branch, string(from))
		if err != nil {
			return fmt.Errorf("entrance: run %d: %w", run, err)
		}
		if !e.RevertRed {
			return nil
		}
		return tx.Enqueue(ctx, redJob(run)) // it may have ended before this row was there
	})
}

// commented does what a comment commands, if whoever wrote it may.
func (s *Service) commented(ctx context.Context, e Entrance, n Notice) (done, error) {
	c := commandOf(n.Text)
	if c.verb == "" {
		return ignored("it is no command"), nil
	}
	if n.Number == 0 { // it is on a commit
		var err error
		if n.Number, err = s.numberOf(ctx, e, n.Head); err != nil {
			return done{}, err
		}
	}
	change, came, err := s.newest(ctx, e, n.Number)
	if err != nil || !came {
		return ignored("proposal %d is not here", n.Number), err
	}
	who, may, err := s.mayAsk(ctx, e, n)
	if err != nil || !may {
		return ignored("%s is no collaborator of the repository there, and nobody's login here", n.Login), err
	}
	switch c.verb {
	case "recheck":
		err = s.Gate.Recheck(ctx, who, change.ID)
	case "submit":
		err = s.Review.RequestSubmit(ctx, who, change.ID)
	case "outcome":
		err = s.setOutcome(ctx, e, change, c.outcome, n.Login, who)
	}
	if err != nil {
		return done{}, err
	}
	return accepted(change.ID, "%s asked for %s", n.Login, c.verb), nil
}

// labelled reads a label "gate:OUTCOME". Who may label there is a collaborator there.
func (s *Service) labelled(ctx context.Context, e Entrance, n Notice) (done, error) {
	const prefix = "gate:"
	if len(n.Label) <= len(prefix) || n.Label[:len(prefix)] != prefix || !outcomeName(n.Label[len(prefix):]) {
		return ignored("the label names no outcome"), nil
	}
	change, came, err := s.newest(ctx, e, n.Number)
	if err != nil || !came {
		return ignored("proposal %d is not here", n.Number), err
	}
	n.Trusted = n.Trusted || e.Forge != Gerrit // there anybody may set a hashtag
	who, may, err := s.mayAsk(ctx, e, n)
	if err != nil || !may {
		return ignored("%s is no collaborator of the repository there, and nobody's login here", n.Login), err
	}
	outcome := n.Label[len(prefix):]
	if err := s.setOutcome(ctx, e, change, outcome, n.Login, who); err != nil {
		return done{}, err
	}
	return accepted(change.ID, "%s asked for the outcome %s", n.Login, outcome), nil
}

// setOutcome says how far the run of a change is meant to go, and who there said so.
func (s *Service) setOutcome(ctx context.Context, e Entrance, c review.Change, outcome, login string, who account.Actor) error {
	if err := s.Gate.SetOutcome(ctx, who, c.ID, outcome, fmt.Sprintf("asked for by %s on %s", login, e.Forge)); err != nil {
		return err
	}
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE change_origins SET outcome = $1, outcome_by = $2 WHERE change_id = $3 AND entrance_id = $4`, outcome, login, c.ID, e.ID)
		if err != nil {
			return fmt.Errorf("entrance: outcome of change %d: %w", c.ID, err)
		}
		return nil
	})
}

// voteLabel is the label that an approval there is a vote on.
const voteLabel = "Code-Review"

// reviewed makes a vote of an approval, where the entrance counts those: in the name of the
// account that an owner named for the login, on exactly the commit that was approved.
func (s *Service) reviewed(ctx context.Context, e Entrance, r repo.Repository, n Notice) (done, error) {
	if e.Reviews != ReviewsCount {
		return ignored("reviews there do not count here"), nil
	}
	who, known, err := s.who(ctx, e, n.Login)
	if err != nil || !known {
		return ignored("%s is nobody's login here", n.Login), err
	}
	change, came, err := s.newest(ctx, e, n.Number)
	if err != nil || !came {
		return ignored("proposal %d is not here", n.Number), err
	}
	set, err := s.Review.PatchSet(ctx, s.DB.Read(), change.ID, change.Current)
	if err != nil {
		return done{}, err
	}
	if n.Head != set.Commit {
		return ignored("it is about commit %s, and patch set %d is %s", short(n.Head), set.Number, short(set.Commit)), nil
	}
	value, err := s.voteValue(ctx, r, change.Branch, n.Vote)
	if err != nil {
		return done{}, err
	}
	err = s.Review.Vote(ctx, who, change.ID, set.Number, map[string]int{voteLabel: value}, fmt.Sprintf("As on %s", e.Forge), nil)
	if err != nil {
		return done{}, err
	}
	return accepted(change.ID, "a vote of %s: %s%+d", who.Name, voteLabel, value), nil
}

// voteValue is what an approval is worth: all that the label has; an objection is the least
// against it, because a veto is for those who say it here.
func (s *Service) voteValue(ctx context.Context, r repo.Repository, branch string, vote int) (int, error) {
	if vote <= 0 || s.Review.Labels == nil {
		return vote, nil
	}
	labels, err := s.Review.Labels(ctx, r, branch)
	if err != nil {
		return 0, err
	}
	for _, l := range labels {
		if l.Name == voteLabel {
			return l.Max, nil
		}
	}
	return vote, nil
}
