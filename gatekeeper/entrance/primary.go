package entrance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

const (
	// syncEvery is how long what was seen of a primary branch is believed when nobody said that
	// it moved: a branch is looked at many times while its stages run. Landing asks anew.
	syncEvery = 30 * time.Second
	// refusedPause is how long nothing is landed on a primary that refused: somebody has to
	// change its rules, or ours.
	refusedPause = 5 * time.Minute
	// outsidePrefix holds the primary's branches as they were last fetched, hidden from clients.
	outsidePrefix = "refs/gate/primary/"
)

// The states of a branch whose primary is elsewhere.
const (
	Synced    = "synced"    // ours is what is there, or behind for a moment
	Rewritten = "rewritten" // what is there does not follow from ours
	Refusing  = "refused"   // it did not take what was to land
	Away      = "away"      // it does not answer, or has no such branch
)

// Branch is a branch whose primary is elsewhere.
type Branch struct {
	Repo     int64
	Name     string
	Entrance int64
	Outside  git.OID // where it was there when it was last seen
	State    string
	Reason   string
	SeenAt   time.Time
	AgainAt  time.Time // Refusing: when landing is tried again

	accepted git.OID
	noted    git.OID // ours, up to which what landed without us was taken note of
}

// primaryOf is the entrance that a repository's branches land on, if there is one.
func (s *Service) primaryOf(ctx context.Context, repoID int64) (Entrance, bool, error) {
	found, err := entrances(ctx, s.DB.Read(), `WHERE repo_id = $1 AND lands <> $2`, repoID, LandsNone)
	if err != nil || len(found) == 0 {
		return Entrance{}, false, err
	}
	return found[0], true, nil
}

const branchColumns = `repo_id, branch, entrance_id, outside_oid, state, reason, accepted, noted_oid, seen_at, again_at`

func scanBranch(row interface{ Scan(...any) error }) (Branch, error) {
	var b Branch
	var seen, again int64
	err := row.Scan(&b.Repo, &b.Name, &b.Entrance, &b.Outside, &b.State, &b.Reason, &b.accepted, &b.noted, &seen, &again)
	b.SeenAt, b.AgainAt = db.Time(seen), db.Time(again)
	return b, err
}

func (s *Service) branch(ctx context.Context, q db.Querier, k branchKey) (Branch, error) {
	b, err := scanBranch(q.QueryRowContext(ctx, `SELECT `+branchColumns+` FROM entrance_branches WHERE repo_id = $1 AND branch = $2`, k.repo, k.branch))
	if errors.Is(err, sql.ErrNoRows) {
		return Branch{Repo: k.repo, Name: k.branch, State: Synced}, nil
	}
	if err != nil {
		return b, fmt.Errorf("entrance: branch %s: %w", k.branch, err)
	}
	return b, nil
}

// Branches lists the branches of an entrance as they were last seen.
func (s *Service) Branches(ctx context.Context, e Entrance) ([]Branch, error) {
	rows, err := s.DB.Read().QueryContext(ctx, `SELECT `+branchColumns+` FROM entrance_branches WHERE entrance_id = $1 ORDER BY branch`, e.ID)
	if err != nil {
		return nil, fmt.Errorf("entrance: branches: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []Branch
	for rows.Next() {
		b, err := scanBranch(rows)
		if err != nil {
			return nil, fmt.Errorf("entrance: branches: %w", err)
		}
		all = append(all, b)
	}
	return all, rows.Err()
}

func (s *Service) writeBranch(ctx context.Context, tx *db.Tx, b Branch) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO entrance_branches (`+branchColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (repo_id, branch) DO UPDATE SET entrance_id = excluded.entrance_id, outside_oid = excluded.outside_oid, state = excluded.state,
			reason = excluded.reason, accepted = excluded.accepted, noted_oid = excluded.noted_oid, seen_at = excluded.seen_at, again_at = excluded.again_at`,
		b.Repo, b.Name, b.Entrance, string(b.Outside), b.State, b.Reason, string(b.accepted), string(b.noted), db.Micros(b.SeenAt), db.Micros(b.AgainAt))
	if err != nil {
		return fmt.Errorf("entrance: branch %s: %w", b.Name, err)
	}
	return nil
}

func (s *Service) keepBranch(ctx context.Context, b Branch) error {
	return s.DB.Transact(ctx, func(tx *db.Tx) error { return s.writeBranch(ctx, tx, b) })
}

// markStale has the next look at a branch ask the primary.
func (s *Service) markStale(repoID int64, branch string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stale == nil {
		s.stale = map[branchKey]bool{}
	}
	s.stale[branchKey{repoID, branch}] = true
}

// takeStale reports whether the primary is to be asked, and takes the mark away.
func (s *Service) takeStale(k branchKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.stale[k]
	delete(s.stale, k)
	return was
}

// refresh takes the primary's branch in now, and has the branch looked at when it moved.
func (s *Service) refresh(ctx context.Context, r repo.Repository, branch string) error {
	s.markStale(r.ID, branch)
	moved, err := s.Sync(ctx, r, branch)
	if fault.Is(err, fault.Conflict) || fault.Is(err, fault.Refused) {
		err = nil // closed for landing, which the look at the branch says
		moved = true
	}
	if err != nil || !moved {
		return err
	}
	return s.DB.Transact(ctx, func(tx *db.Tx) error { return tx.Enqueue(ctx, repo.BranchJob(r.ID, branch)) })
}

// Sync brings a branch to where it is on its primary; moved says that it was elsewhere here.
// A repository without a primary elsewhere is left alone. When nothing may land there now the
// error says why: Conflict when it was rewritten, Refused when it did not take what was to land,
// Unavailable when nobody answers.
func (s *Service) Sync(ctx context.Context, r repo.Repository, branch string) (moved bool, err error) {
	e, has, err := s.primaryOf(ctx, r.ID)
	if err != nil || !has {
		return false, err
	}
	k := branchKey{r.ID, branch}
	defer s.alone(fmt.Sprintf("branch %d %s", r.ID, branch))()
	b, err := s.branch(ctx, s.DB.Read(), k)
	if err != nil {
		return false, err
	}
	now := s.Now()
	known := now.Sub(b.SeenAt) < syncEvery || b.State == Away && now.Before(b.AgainAt)
	if stale := s.takeStale(k); !stale && b.Entrance == e.ID && known {
		return false, b.shut(now)
	}
	b.Entrance = e.ID
	moved, err = s.follow(ctx, e, r, &b)
	if err != nil {
		return moved, s.away(ctx, b, err)
	}
	b.SeenAt = now
	if b.State == Away {
		b.State, b.Reason, b.AgainAt = Synced, "", time.Time{}
	}
	if b.State == Refusing && !now.Before(b.AgainAt) {
		b.State, b.Reason = Synced, ""
	}
	if err := s.note(ctx, e, r, b); err != nil {
		return moved, err
	}
	return moved, b.shut(now)
}

// note keeps what was seen of a branch, and asks for a look at what landed on it without us.
func (s *Service) note(ctx context.Context, e Entrance, r repo.Repository, b Branch) error {
	g, err := s.Repos.Open(r)
	if err != nil {
		return err
	}
	here, err := g.RefOID(ctx, headsPrefix+b.Name)
	if err != nil {
		return err
	}
	before := b.noted
	if b.noted = here; here.IsZero() {
		b.noted = ""
	}
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		if before != "" && b.noted != "" && before != here && e.wants(Pushed) {
			if err := tx.Enqueue(ctx, landedJob(e, b.Name, before, here)); err != nil {
				return err
			}
		}
		return s.writeBranch(ctx, tx, b)
	})
}

// shut is why nothing lands on a branch now, nil when something may.
func (b Branch) shut(now time.Time) error {
	const op = "entrance.Sync"
	switch {
	case b.State == Rewritten:
		return fault.New(fault.Conflict, op, b.Reason, fmt.Sprintf("an owner looks at both and decides: gate entrance accept REPO %d --branch %s", b.Entrance, b.Name))
	case b.State == Away && now.Before(b.AgainAt):
		return fault.New(fault.Unavailable, op, b.Reason, "it is asked again soon")
	case b.State == Refusing && now.Before(b.AgainAt):
		return fault.New(fault.Refused, op, b.Reason, fmt.Sprintf("it is tried again at %s", b.AgainAt.UTC().Format("15:04:05 MST")))
	}
	return nil
}

// away notes that the primary could not be asked. What was known of it before weighs more.
func (s *Service) away(ctx context.Context, b Branch, failure error) error {
	if ctx.Err() != nil || fault.Is(failure, fault.Internal) || b.State == Rewritten || b.State == Refusing {
		s.markStale(b.Repo, b.Name) // nobody knows: ask again
		return failure
	}
	sentence, _ := fault.Public(failure)
	b.State, b.Reason, b.AgainAt = Away, word("the primary cannot be asked: "+sentence, maxReason), s.Now().Add(syncEvery)
	return errors.Join(failure, s.keepBranch(ctx, b))
}

// follow looks where the branch is there and moves ours after it.
func (s *Service) follow(ctx context.Context, e Entrance, r repo.Repository, b *Branch) (bool, error) {
	g, err := s.Repos.Open(r)
	if err != nil {
		return false, err
	}
	at, err := s.outside(ctx, e, g, b.Name)
	if err != nil {
		return false, err
	}
	here, err := g.RefOID(ctx, headsPrefix+b.Name)
	if err != nil {
		return false, err
	}
	if at.IsZero() {
		if here.IsZero() {
			return false, nil // nowhere yet
		}
		return false, fault.New(fault.Unavailable, "entrance.Sync", fmt.Sprintf("the primary has no branch %s", b.Name), "make it there, at a commit of ours")
	}
	b.Outside = at
	if at == here {
		b.settle()
		return false, nil
	}
	forward := here.IsZero()
	if !forward {
		if forward, err = g.IsAncestor(ctx, here, at); err != nil {
			return false, err
		}
	}
	kind := "primary.moved"
	if !forward {
		if b.accepted != at {
			return false, s.rewritten(ctx, r, b, here)
		}
		kind = "primary.accepted"
	}
	b.settle()
	return true, s.move(ctx, e, r, g, *b, here, at, kind)
}

// settle takes back that the branch was rewritten.
func (b *Branch) settle() {
	if b.State == Rewritten {
		b.State, b.Reason = Synced, ""
	}
	b.accepted = ""
}

// outside fetches where a branch is there; [git.Zero] when it is not.
func (s *Service) outside(ctx context.Context, e Entrance, g *git.Repo, branch string) (git.OID, error) {
	url, auth, err := s.remote(ctx, e)
	if err != nil {
		return "", err
	}
	refs, err := g.LsRemoteRefs(ctx, url, auth, headsPrefix+branch)
	if err != nil {
		return "", err
	}
	if len(refs) == 0 {
		return git.Zero, nil
	}
	at := refs[0].OID
	if have, err := g.RefOID(ctx, headsPrefix+branch); err != nil || have == at {
		return at, err
	}
	if have, err := g.RefOID(ctx, outsidePrefix+branch); err != nil || have == at {
		return at, err
	}
	if err := g.FetchFrom(ctx, url, []string{"+" + headsPrefix + branch + ":" + outsidePrefix + branch}, auth); err != nil {
		return "", err
	}
	return g.RefOID(ctx, outsidePrefix+branch) // newer by now, perhaps
}

// rewritten closes a branch of which the primary has another history.
func (s *Service) rewritten(ctx context.Context, r repo.Repository, b *Branch, here git.OID) error {
	reason := fmt.Sprintf("the primary was rewritten: %s is %s there and %s here, and the one does not follow from the other", b.Name, b.Outside.Short(), here.Short())
	news := b.State != Rewritten || b.Reason != reason
	b.State, b.Reason, b.accepted = Rewritten, reason, ""
	if !news {
		return nil
	}
	s.Log.Error("entrance: a primary was rewritten", "repo", r.Name, "branch", b.Name, "there", b.Outside, "here", here)
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		_, err := event.Append(ctx, tx, event.Event{At: s.Now(), Kind: "primary.rewritten", Repo: r.ID,
			Data: map[string]string{"branch": b.Name, "there": string(b.Outside), "here": string(here)}})
		return err
	})
}

// move brings our branch to at: first the row that says so, then the ref. Whatever is cut in
// between the next look repeats.
func (s *Service) move(ctx context.Context, e Entrance, r repo.Repository, g *git.Repo, b Branch, here, at git.OID, kind string) error {
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		_, err := event.Append(ctx, tx, event.Event{At: s.Now(), Kind: kind, Repo: r.ID, Account: e.Account,
			Data: map[string]string{"branch": b.Name, "old": string(here), "new": string(at)}})
		return err
	})
	if err != nil {
		return err
	}
	crash("entrance.sync.written")
	return g.UpdateRefs(ctx, []git.RefUpdate{{Ref: headsPrefix + b.Name, Old: here, New: at}}, "primary moved")
}

// Accept lets a branch follow a primary that was rewritten, once, to where it is now. Whoever
// does it says that what landed here and is not there is given up.
func (s *Service) Accept(ctx context.Context, actor account.Actor, r repo.Repository, e Entrance, branch string) error {
	const op = "entrance.Accept"
	if err := s.mayAccept(ctx, actor, r); err != nil {
		return err
	}
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		b, err := s.branch(ctx, tx, branchKey{r.ID, branch})
		if err != nil {
			return err
		}
		if b.State != Rewritten || b.Entrance != e.ID {
			return fault.New(fault.Conflict, op, fmt.Sprintf("%s was not rewritten on its primary", clip(branch)), "gate entrance show says how it is")
		}
		b.accepted = b.Outside
		if err := s.writeBranch(ctx, tx, b); err != nil {
			return err
		}
		if _, err := event.Append(ctx, tx, event.Event{At: s.Now(), Kind: "primary.accept", Repo: r.ID, Account: actor.ID,
			Data: map[string]string{"branch": branch, "commit": string(b.Outside)}}); err != nil {
			return err
		}
		return tx.Enqueue(ctx, repo.BranchJob(r.ID, branch))
	})
	if err == nil {
		s.markStale(r.ID, branch)
	}
	return err
}

// Shut is why nothing lands on a branch, as it was last seen, "" when something may; until is
// when that is asked again, zero for not by itself.
func (s *Service) Shut(ctx context.Context, q db.Querier, repoID int64, branch string) (reason string, until time.Time, err error) {
	b, err := s.branch(ctx, q, branchKey{repoID, branch})
	if err != nil || b.State == Synced || b.State == Refusing && !s.Now().Before(b.AgainAt) {
		return "", time.Time{}, err
	}
	return b.Reason, b.AgainAt, nil
}
