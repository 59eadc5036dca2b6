package mirror

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode"

	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

const (
	// firstPause and longestPause bound the wait between two attempts: an upstream that
	// restarts is back in seconds, one that is down for a day is not asked every second.
	firstPause   = 5 * time.Second
	longestPause = 10 * time.Minute
	// maxReason keeps a reason on a few lines of a page.
	maxReason = 400
)

// The kinds of the events that this package writes.
const (
	eventSynced   = "mirror.synced"
	eventRetrying = "mirror.retrying"
	eventDiverged = "mirror.diverged"
)

// record writes down how an attempt went, and says when the next one is due.
func (s *Store) record(ctx context.Context, r repo.Repository, m Mirror, done did, failure error) (time.Duration, error) {
	var apart *divergence
	var write func(ctx context.Context, tx *db.Tx) (*event.Event, error)
	var again time.Duration
	now := s.Now()
	switch {
	case failure == nil:
		write = func(ctx context.Context, tx *db.Tx) (*event.Event, error) { return s.synced(ctx, tx, m, done, now) }
	case errors.As(failure, &apart):
		write = func(ctx context.Context, tx *db.Tx) (*event.Event, error) { return s.diverged(ctx, tx, m, apart) }
	default:
		again = pause(m.ID, m.Attempts+1)
		write = func(ctx context.Context, tx *db.Tx) (*event.Event, error) {
			return s.retrying(ctx, tx, m, s.why(m, failure), now.Add(again))
		}
		s.log().Warn("mirror: attempt failed", "mirror", m.ID, "repository", r.Name, "attempt", m.Attempts+1, "again", again, "error", s.hide(m, failure.Error()))
	}
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		e, err := write(ctx, tx)
		if err != nil || e == nil {
			return err
		}
		e.At, e.Repo = now, m.Repo
		_, err = event.Append(ctx, tx, *e)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("mirror: record %d: %w", m.ID, err)
	}
	s.Bus.Wake(event.RepoTopic(m.Repo))
	return again, nil
}

// synced records a success. Something that was asked for after the attempt looked leaves the
// mirror pending, and has its own job.
func (s *Store) synced(ctx context.Context, tx *db.Tx, m Mirror, done did, now time.Time) (*event.Event, error) {
	_, err := tx.ExecContext(ctx, `UPDATE mirrors SET state = CASE WHEN state = $1 THEN state WHEN wanted = $2 THEN $3 ELSE $4 END,
		reason = CASE WHEN state = $1 THEN reason ELSE '' END, attempts = 0, next_try_at = 0, last_sync_at = $5, last_oid = $6 WHERE id = $7`,
		Paused, m.wanted, Synced, Pending, db.Micros(now), string(done.tip), m.ID)
	if err != nil {
		return nil, err
	}
	news := done.pushed > 0 || m.LastOID != done.tip || m.State == Retrying || m.LastSync.IsZero()
	if !news {
		return nil, nil
	}
	return about(eventSynced, m, "commit", string(done.tip)), nil
}

// diverged stops the mirror, unless a person said retry while the attempt ran: that one has
// a job of its own, which will look again.
func (s *Store) diverged(ctx context.Context, tx *db.Tx, m Mirror, apart *divergence) (*event.Event, error) {
	res, err := tx.ExecContext(ctx, `UPDATE mirrors SET state = $1, reason = $2, next_try_at = 0 WHERE id = $3 AND wanted = $4`,
		Diverged, apart.Error(), m.ID, m.wanted)
	if err != nil {
		return nil, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return nil, err
	}
	return about(eventDiverged, m, "reason", apart.Error()), nil
}

func (s *Store) retrying(ctx context.Context, tx *db.Tx, m Mirror, why string, next time.Time) (*event.Event, error) {
	_, err := tx.ExecContext(ctx, `UPDATE mirrors SET state = $1, reason = $2, attempts = $3, next_try_at = $4 WHERE id = $5 AND state <> $6`,
		Retrying, why, m.Attempts+1, db.Micros(next), m.ID, Paused)
	if err != nil {
		return nil, err
	}
	if m.State == Retrying && m.Reason == why {
		return nil, nil // an upstream that is down all night is one event, not a hundred
	}
	return about(eventRetrying, m, "reason", why), nil
}

func about(kind string, m Mirror, key, value string) *event.Event {
	return &event.Event{Kind: kind, Data: map[string]string{"mirror": strconv.FormatInt(m.ID, 10), "url": m.URL, key: value}}
}

// why is the reason of a failed attempt: words for the page, without control characters and
// without the token, whatever the upstream sent.
func (s *Store) why(m Mirror, failure error) string {
	text := ""
	switch {
	case errors.Is(failure, context.DeadlineExceeded):
		text = fmt.Sprintf("the upstream took longer than %d minutes", int(attemptLimit.Minutes()))
	case fault.KindOf(failure) != fault.Internal:
		text = fault.Sentence(failure)
	default:
		text = "the upstream cannot be reached or does not accept the push: " + failure.Error()
	}
	text = strings.Join(strings.Fields(strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) {
			return ' '
		}
		if !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, s.hide(m, text))), " ")
	if runes := []rune(text); len(runes) > maxReason {
		text = string(runes[:maxReason]) + "…"
	}
	return text
}

// pause is how long to wait before attempt number attempt+1: doubling from [firstPause] to
// [longestPause], less up to a quarter that depends on the mirror and the attempt alone, so
// that the mirrors of one dead upstream do not come back all at once.
func pause(id int64, attempt int) time.Duration {
	wait := longestPause
	if attempt < 8 { // 5 s << 7 is past ten minutes already
		wait = min(firstPause<<max(attempt-1, 0), longestPause)
	}
	sum := fnv.New64a()
	_ = binary.Write(sum, binary.BigEndian, [2]int64{id, int64(attempt)}) // a hash never fails
	less := time.Duration(sum.Sum64() % uint64(wait/4))
	return max(wait-less, firstPause).Truncate(time.Millisecond)
}

func (s *Store) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.New(slog.DiscardHandler)
}
