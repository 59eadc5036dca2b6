package entrance

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// enoughLanded is how many landings elsewhere are looked through for ours: more than come
// within the time of one request.
const enoughLanded = 200

// JobLanded looks at what landed on a primary without us.
const JobLanded = "entrance-landed"

// Land brings a branch from old to the tested commit on its primary and gives the commit that
// the branch holds there then: the tested one, or, where the forge merges, one with the same
// tree on the same commit. It may be called again after it was cut: it asks the primary where
// the branch is before it does anything. Conflict says that the primary moved and nothing
// landed; Refused that it does not take it, which Sync says for a while.
func (s *Service) Land(ctx context.Context, r repo.Repository, branch string, old, to git.OID, changes []int64) (git.OID, error) {
	e, has, err := s.primaryOf(ctx, r.ID)
	if err != nil || !has {
		return to, err
	}
	defer s.alone(fmt.Sprintf("branch %d %s", r.ID, branch))()
	at, err := s.land(ctx, e, r, branch, old, to, changes)
	if err != nil {
		return "", err
	}
	return at, s.DB.Transact(ctx, func(tx *db.Tx) error { // what we land ourselves is no news
		_, err := tx.ExecContext(ctx, `UPDATE entrance_branches SET noted_oid = $1, outside_oid = $1 WHERE repo_id = $2 AND branch = $3 AND noted_oid = $4`,
			string(at), r.ID, branch, string(old))
		return err
	})
}

func (s *Service) land(ctx context.Context, e Entrance, r repo.Repository, branch string, old, to git.OID, changes []int64) (git.OID, error) {
	g, err := s.Repos.Open(r)
	if err != nil {
		return "", err
	}
	at, landed, err := s.landedAs(ctx, e, g, branch, old, to)
	if err != nil || landed {
		return at, err
	}
	if at != old {
		return "", s.elsewhere(r, branch, at)
	}
	failure := s.bringThere(ctx, e, g, branch, old, to, changes)
	crash("entrance.landed")
	if failure == nil && e.Lands == LandsPush {
		return to, nil
	}
	// Whatever was answered, the primary says what is so.
	at, landed, err = s.landedAs(ctx, e, g, branch, old, to)
	switch {
	case err != nil:
		return "", err // nobody knows: the intent stays and is looked at again
	case landed:
		return at, nil
	case at != old:
		return "", s.elsewhere(r, branch, at)
	case failure == nil:
		return "", fault.Newf(fault.Unavailable, "entrance.Land", "%s says that it merged, and %s has not moved", e.Forge, branch)
	case fault.Is(failure, fault.Refused) || fault.Is(failure, fault.Denied) || fault.Is(failure, fault.NotFound) || fault.Is(failure, fault.Invalid):
		return "", s.refused(ctx, e, r, branch, failure)
	default:
		return "", failure
	}
}

func (s *Service) elsewhere(r repo.Repository, branch string, at git.OID) error {
	s.markStale(r.ID, branch)
	return fault.Newf(fault.Conflict, "entrance.Land", "%s is %s on its primary by now", branch, at.Short())
}

// landedAs asks where the branch is there, and whether that holds what was to land.
func (s *Service) landedAs(ctx context.Context, e Entrance, g *git.Repo, branch string, old, to git.OID) (at git.OID, landed bool, err error) {
	if at, err = s.outside(ctx, e, g, branch); err != nil || at.IsZero() || at == old {
		return at, false, err
	}
	if landed, err = g.IsAncestor(ctx, to, at); err != nil || landed {
		return to, landed, err
	}
	if e.Lands != LandsMerge {
		return at, false, nil
	}
	// The forge may have made a commit of its own, and more may have landed on that: the one
	// that the branch took behind old, by first parents, must be of the tested tree.
	want, err := g.Commit(ctx, to)
	if err != nil {
		return "", false, err
	}
	next := at
	for range enoughLanded {
		c, err := g.Commit(ctx, next)
		if err != nil {
			return "", false, err
		}
		if len(c.Parents) == 0 {
			break
		}
		if c.Parents[0] == old {
			if c.Tree != want.Tree {
				return at, false, nil
			}
			return c.OID, true, nil
		}
		next = c.Parents[0]
	}
	return at, false, nil
}

// bringThere pushes the tested commit, or has the forge merge the one proposal that it is.
func (s *Service) bringThere(ctx context.Context, e Entrance, g *git.Repo, branch string, old, to git.OID, changes []int64) error {
	if e.Lands == LandsMerge && len(changes) == 1 && s.API != nil {
		o, came, err := s.OriginOf(ctx, s.DB.Read(), changes[0])
		if err != nil {
			return err
		}
		c, err := s.Review.Load(ctx, s.DB.Read(), changes[0])
		if err != nil {
			return err
		}
		set, err := s.Review.PatchSet(ctx, s.DB.Read(), c.ID, c.Current)
		if err != nil {
			return err
		}
		if came && o.Entrance == e.ID && o.Head == set.Commit { // the whole proposal
			token, err := s.Token(e)
			if err != nil {
				return err
			}
			return s.API.Merge(ctx, e, token, o.Number, o.Head)
		}
	}
	url, auth, err := s.remote(ctx, e)
	if err != nil {
		return err
	}
	return g.PushExactly(ctx, url, headsPrefix+branch, old, to, auth)
}

// refused remembers that the primary does not take what was to land.
func (s *Service) refused(ctx context.Context, e Entrance, r repo.Repository, branch string, failure error) error {
	sentence, _ := fault.Public(failure)
	s.Log.Error("entrance: a primary refuses what was to land", "repo", r.Name, "branch", branch, "entrance", e.ID, "err", failure)
	b, err := s.branch(ctx, s.DB.Read(), branchKey{r.ID, branch})
	if err != nil {
		return err
	}
	b.Entrance, b.State, b.Reason = e.ID, Refusing, word("the primary does not take it: "+sentence, maxReason)
	b.SeenAt, b.AgainAt = s.Now(), s.Now().Add(refusedPause)
	if err := s.keepBranch(ctx, b); err != nil {
		return err
	}
	return b.shut(s.Now())
}

// landedJob asks for a look at what landed on a primary between two commits.
func landedJob(e Entrance, branch string, from, to git.OID) db.Job {
	return db.Job{Kind: JobLanded, Key: strconv.FormatInt(e.ID, 10) + ":" + branch + ":" + string(from) + ":" + string(to)}
}

// Landed takes note of what landed on a primary without us: the changes whose commits it
// holds have landed, and what they are together is tested, so that a red branch shows.
func (s *Service) Landed(ctx context.Context, key string) (time.Duration, error) {
	parts := strings.Split(key, ":")
	if len(parts) != 4 {
		return 0, fmt.Errorf("entrance: job %q is unreadable", key)
	}
	id, err := parseNumber(parts[0])
	if err != nil {
		return 0, err
	}
	branch, from, to := parts[1], git.OID(parts[2]), git.OID(parts[3])
	e, err := s.ByID(ctx, s.DB.Read(), id)
	if fault.Is(err, fault.NotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	r, err := s.Repos.ByID(ctx, s.DB.Read(), e.Repo)
	if err != nil {
		return 0, err
	}
	g, err := s.Repos.Open(r)
	if err != nil {
		return 0, err
	}
	tip, err := g.RefOID(ctx, headsPrefix+branch)
	if err != nil || tip.IsZero() {
		return 0, err
	}
	if in, err := g.IsAncestor(ctx, to, tip); err != nil || !in {
		return 0, err // it was rewritten since
	}
	changes, err := s.within(ctx, r, g, branch, from, to)
	if err != nil {
		return 0, err
	}
	for commit, id := range changes {
		if err := s.Gate.NoteLanded(ctx, r, branch, commit, []int64{id}, e.Account); err != nil {
			return 0, err
		}
	}
	run, err := s.testCommit(ctx, e, r, branch, from, to)
	if err == nil && run != 0 {
		s.Log.Info("entrance: what landed elsewhere is tested", "repo", r.Name, "branch", branch, "commit", to, "run", run)
	}
	return 0, err
}

// maxLandedAtOnce bounds how far back a landing elsewhere is searched for our changes.
const maxLandedAtOnce = 1000

// within finds the open changes whose current commit landed between two commits.
func (s *Service) within(ctx context.Context, r repo.Repository, g *git.Repo, branch string, from, to git.OID) (map[git.OID]int64, error) {
	landed, err := g.Commits(ctx, []git.OID{to}, []git.OID{from}, maxLandedAtOnce)
	if err != nil && !fault.Is(err, fault.TooLarge) {
		return nil, err
	}
	open, err := s.Review.OpenOn(ctx, s.DB.Read(), r.ID, branch)
	if err != nil {
		return nil, err
	}
	in := map[git.OID]bool{}
	for _, c := range landed {
		in[c.OID] = true
	}
	found := map[git.OID]int64{}
	for _, c := range open {
		set, err := s.Review.PatchSet(ctx, s.DB.Read(), c.ID, c.Current)
		if err != nil {
			return nil, err
		}
		if in[set.Commit] {
			found[set.Commit] = c.ID
		}
	}
	return found, nil
}
