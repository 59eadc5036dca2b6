package entrance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// JobRed takes back what a run found red; its key is the run's id.
const JobRed = "entrance-red"

const (
	// maxReverts is how many of what was taken back, or was not, an answer lists.
	maxReverts = 20
	// redTrailer begins the line by which a revert of ours is known whatever commit a forge made of it.
	redTrailer = "Takes-Back-Red: "
)

func redJob(run int64) db.Job { return db.Job{Kind: JobRed, Key: strconv.FormatInt(run, 10)} }

// Revert is what was decided about a commit that landed on a primary without us and is red.
type Revert struct {
	Branch string
	Commit git.OID
	Run    int64
	Change int64  // that takes it back, 0 for none
	Reason string // why there is none
	At     time.Time
}

// Refused asks for a look at a commit whose run was refused: it may have landed on a primary.
func (s *Service) Refused(ctx context.Context, tx *db.Tx, run int64) error {
	return tx.Enqueue(ctx, redJob(run))
}

// landedRun is a run of what may have landed on a primary without us.
type landedRun struct {
	id       int64
	entrance Entrance
	repo     repo.Repository
	branch   string
	from, to git.OID
}

func (s *Service) landedRun(ctx context.Context, id int64) (landedRun, bool, error) {
	l := landedRun{id: id}
	var at int64
	err := s.DB.Read().QueryRowContext(ctx, `SELECT entrance_id, branch, from_oid, commit_oid FROM entrance_runs WHERE run_id = $1`, id).Scan(&at, &l.branch, &l.from, &l.to)
	if errors.Is(err, sql.ErrNoRows) {
		return l, false, nil
	}
	if err != nil {
		return l, false, fmt.Errorf("entrance: run %d: %w", id, err)
	}
	if l.entrance, err = s.ByID(ctx, s.DB.Read(), at); err != nil {
		return l, false, err
	}
	l.repo, err = s.Repos.ByID(ctx, s.DB.Read(), l.entrance.Repo)
	return l, l.branch != "", err
}

// TakeBack proposes to take back what landed on a primary without us and was found red, where the
// entrance says so: once for a commit, whatever becomes of the proposal, and never what takes
// back, or brings again, what we took back ourselves.
func (s *Service) TakeBack(ctx context.Context, key string) (time.Duration, error) {
	id, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("entrance: job %q: %w", key, err)
	}
	l, known, err := s.landedRun(ctx, id)
	if fault.Is(err, fault.NotFound) || err == nil && (!known || !l.entrance.RevertRed) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	why, page, err := s.Gate.Red(ctx, id)
	if err != nil || why == "" {
		return 0, err
	}
	g, err := s.Repos.Open(l.repo)
	if err != nil {
		return 0, err
	}
	tip, err := g.RefOID(ctx, headsPrefix+l.branch)
	if err != nil || tip.IsZero() {
		return 0, err
	}
	if on, err := g.IsAncestor(ctx, l.to, tip); err != nil || !on {
		return 0, err // a merge queue's, which did not land
	}
	defer s.alone(fmt.Sprintf("red %d %s", l.entrance.ID, l.to))()
	if _, done, err := s.revertOf(ctx, s.DB.Read(), l.entrance.ID, l.branch, l.to); err != nil || done {
		return 0, err
	}
	v := Revert{Branch: l.branch, Commit: l.to, Run: id}
	if v.Reason, err = s.leaveIt(ctx, g, l); err != nil {
		return 0, err
	}
	var made git.OID
	if v.Reason == "" {
		if v.Change, made, v.Reason, err = s.proposeRevert(ctx, l, why, page); err != nil {
			return 0, err
		}
	}
	crash("entrance.red.made")
	return 0, s.noteRevert(ctx, l, v, made)
}

// leaveIt says why a red commit is not taken back, "" when it is.
func (s *Service) leaveIt(ctx context.Context, g *git.Repo, l landedRun) (string, error) {
	if follows, err := g.IsAncestor(ctx, l.from, l.to); err != nil || !follows {
		return "the branch was rewritten with it", err
	}
	var red, green int
	err := s.DB.Read().QueryRowContext(ctx, `SELECT COALESCE(SUM(CASE WHEN r.state = 'REFUSED' THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN r.state = 'PASSED' THEN 1 ELSE 0 END), 0)
		FROM entrance_runs x JOIN runs r ON r.id = x.run_id
		WHERE x.entrance_id = $1 AND x.branch = $2 AND x.commit_oid = $3`, l.entrance.ID, l.branch, string(l.from)).Scan(&red, &green)
	if err != nil {
		return "", fmt.Errorf("entrance: run of %s: %w", l.from, err)
	}
	if red > 0 && green == 0 {
		return fmt.Sprintf("%s, which it stands on, was red already: nobody knows whose fault it is", short(l.from)), nil
	}
	came, err := g.Commits(ctx, []git.OID{l.to}, []git.OID{l.from}, maxLandedAtOnce)
	if fault.Is(err, fault.TooLarge) {
		return fmt.Sprintf("it came with more than %d commits", maxLandedAtOnce), nil
	}
	if err != nil {
		return "", err
	}
	for _, c := range came {
		ours, err := s.ofOurRevert(ctx, g, c)
		if err != nil {
			return "", err
		}
		if ours {
			return fmt.Sprintf("%s is about what was taken back before: that is for people to decide", short(c.OID)), nil
		}
	}
	return "", nil
}

// reverted finds the commits that a message says it takes back, as git revert writes it.
var reverted = regexp.MustCompile(`(?i)\breverts commit ([0-9a-f]{40}(?:[0-9a-f]{24})?)\b`)

// ofOurRevert reports whether a commit is a revert that we made, or takes one back.
func (s *Service) ofOurRevert(ctx context.Context, g *git.Repo, c git.Commit) (bool, error) {
	if ours, err := s.isOurRevert(ctx, c); err != nil || ours {
		return ours, err
	}
	for _, m := range reverted.FindAllStringSubmatch(c.Message, -1) {
		back, err := g.Commit(ctx, git.OID(m[1]))
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return false, err
		}
		if ours, err := s.isOurRevert(ctx, back); err != nil || ours {
			return ours, err
		}
	}
	return false, nil
}

func (s *Service) isOurRevert(ctx context.Context, c git.Commit) (bool, error) {
	for line := range strings.Lines(c.Message) {
		if strings.HasPrefix(strings.TrimSpace(line), redTrailer) {
			return true, nil
		}
	}
	var made int
	err := s.DB.Read().QueryRowContext(ctx, `SELECT COUNT(*) FROM entrance_reverts WHERE made_oid = $1`, string(c.OID)).Scan(&made)
	if err != nil {
		return false, fmt.Errorf("entrance: reverts: %w", err)
	}
	return made > 0, nil
}

// proposeRevert holds the change that takes a commit back; reason says why it could not be made.
func (s *Service) proposeRevert(ctx context.Context, l landedRun, why, page string) (change int64, made git.OID, reason string, err error) {
	actor, err := s.forge(ctx, l.entrance)
	if err != nil {
		return 0, "", "", err
	}
	c, made, err := s.Review.RevertLanded(ctx, actor, review.RevertOutside{
		Repo: l.repo, Branch: l.branch, From: l.from, To: l.to, Submit: l.entrance.Submit, Trailer: redTrailer + string(l.to),
		Why: fmt.Sprintf("It landed on %s without the gates, and is red: %s\n%s", l.entrance.Forge, why, page),
	})
	switch {
	case err == nil:
		return c.ID, made, "", nil
	case ctx.Err() != nil || fault.Is(err, fault.Internal) || fault.Is(err, fault.Unavailable):
		return 0, "", "", err
	default:
		return 0, "", word(fault.Sentence(err), maxReason), nil
	}
}

// noteRevert writes down what was decided, and tells it.
func (s *Service) noteRevert(ctx context.Context, l landedRun, v Revert, made git.OID) error {
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		fresh, err := db.Touched(tx.ExecContext(ctx, `INSERT INTO entrance_reverts (entrance_id, branch, commit_oid, run_id, change_id, made_oid, reason, at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`, l.entrance.ID, v.Branch, string(v.Commit), v.Run, v.Change, string(made), v.Reason, db.Micros(s.Now())))
		if err != nil || !fresh {
			return err
		}
		data := map[string]string{"branch": v.Branch, "commit": string(v.Commit), "run": strconv.FormatInt(v.Run, 10), "change": strconv.FormatInt(v.Change, 10), "reason": v.Reason}
		_, err = event.Append(ctx, tx, event.Event{At: s.Now(), Kind: "primary.red", Repo: l.repo.ID, Account: l.entrance.Account, Data: data})
		if err != nil {
			return err
		}
		return tx.Enqueue(ctx, repo.BranchJob(l.repo.ID, v.Branch))
	})
	if err != nil {
		return fmt.Errorf("entrance: revert of %s: %w", v.Commit, err)
	}
	if v.Change == 0 {
		s.Log.Warn("entrance: a red commit is not taken back", "repo", l.repo.Name, "branch", v.Branch, "commit", v.Commit, "because", v.Reason)
	} else {
		s.Log.Info("entrance: a red commit is proposed to be taken back", "repo", l.repo.Name, "branch", v.Branch, "commit", v.Commit, "change", v.Change)
	}
	s.Bus.Wake(event.RepoTopic(l.repo.ID))
	return nil
}

// revertOf is what was decided about a commit.
func (s *Service) revertOf(ctx context.Context, q db.Querier, entrance int64, branch string, commit git.OID) (Revert, bool, error) {
	found, err := reverts(ctx, q, `entrance_id = $1 AND branch = $2 AND commit_oid = $3`, entrance, branch, string(commit))
	if err != nil || len(found) == 0 {
		return Revert{}, false, err
	}
	return found[0], true, nil
}

// RevertOfRun is what was decided about the commit of a run that a forge is told about.
func (s *Service) RevertOfRun(ctx context.Context, run int64) (Revert, bool, error) {
	found, err := reverts(ctx, s.DB.Read(), `run_id = $1`, run)
	if err != nil || len(found) == 0 {
		return Revert{}, false, err
	}
	return found[0], true, nil
}

// Reverts lists what was decided about the last red commits of an entrance, newest first.
func (s *Service) Reverts(ctx context.Context, e Entrance) ([]Revert, error) {
	return reverts(ctx, s.DB.Read(), `entrance_id = $1`, e.ID)
}

func reverts(ctx context.Context, q db.Querier, where string, args ...any) ([]Revert, error) {
	rows, err := q.QueryContext(ctx, `SELECT branch, commit_oid, run_id, change_id, reason, at FROM entrance_reverts WHERE `+where+
		` ORDER BY at DESC, commit_oid LIMIT `+strconv.Itoa(maxReverts), args...)
	if err != nil {
		return nil, fmt.Errorf("entrance: reverts: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []Revert
	for rows.Next() {
		var v Revert
		var at int64
		if err := rows.Scan(&v.Branch, &v.Commit, &v.Run, &v.Change, &v.Reason, &at); err != nil {
			return nil, fmt.Errorf("entrance: reverts: %w", err)
		}
		v.At = db.Time(at)
		all = append(all, v)
	}
	return all, rows.Err()
}
