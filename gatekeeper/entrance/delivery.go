package entrance

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
)

// State is what became of a delivery. One is received, and then rejected, or verified and in
// the end accepted, ignored, or recognised as a duplicate.
type State string

// The states that rows keep.
const (
	Rejected  State = "REJECTED"  // forged, malformed or too large: nothing came of it
	Duplicate State = "DUPLICATE" // it was here before: nothing came of it again
	Verified  State = "VERIFIED"  // it is on disk, and will be acted upon
	Accepted  State = "ACCEPTED"  // it was acted upon
	Ignored   State = "IGNORED"   // it was understood, and asks for nothing that we do
)

const (
	// keepDeliveries is how many of an entrance's deliveries are kept at most, and for how long: a
	// delivery that is sent again comes within hours, and one that is forgotten only wakes us.
	keepDeliveries    = 2000
	keepDeliveriesFor = 30 * 24 * time.Hour
	// keepRefused is how many refused or repeated ones are kept beside them.
	keepRefused = 100
	// refusedPerMinute is how many of those are written down in a minute: whoever forges them
	// must not keep the disk busy.
	refusedPerMinute = 10
	// maxDeliveryName is more than any forge's name of a delivery.
	maxDeliveryName = 200
	// maxListed is how many deliveries a page or an answer lists.
	maxListed = 100
	// maxReason keeps a reason on a few lines of a page.
	maxReason = 400
)

// Delivery is one message of another server.
type Delivery struct {
	ID       int64
	Entrance int64
	Name     string // as its sender calls it, the same in each attempt
	Event    string // as its sender calls what happened
	Notice   Notice
	State    State
	Reason   string // what was done, or why nothing
	Change   int64  // that came of it, 0 for none
	At       time.Time
	DoneAt   time.Time

	digest string
}

// Message is a delivery as it came, from a sender who is known.
type Message struct {
	Name   string // "" where the sender gives none
	Event  string
	Body   []byte
	Notice *Notice // what it says; nil when it asks for nothing that we do
	Why    string  // why there is none
}

// digestOf names a body. Two messages with the same body say the same, whatever they are called.
func digestOf(event string, body []byte) string {
	h := sha256.New()
	h.Write([]byte(event + "\x00")) // a hash never fails
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// Take keeps a message of a known sender: when it returns without an error the message is on
// disk and will be acted upon, or was kept before. The name of an earlier message with another
// body is Invalid.
func (s *Service) Take(ctx context.Context, e Entrance, m Message) (d Delivery, err error) {
	d = Delivery{Entrance: e.ID, Name: word(m.Name, maxDeliveryName), Event: word(m.Event, maxNoticeWord), State: Verified, At: s.Now(), digest: digestOf(m.Event, m.Body)}
	if d.Name == "" {
		d.Name = "sha256:" + d.digest
	}
	switch {
	case m.Notice == nil:
		d.State, d.Reason = Ignored, word(m.Why, maxReason)
	case !e.wants(m.Notice.Kind):
		d.State, d.Reason = Ignored, fmt.Sprintf("this entrance does not listen to %s", m.Notice.Kind)
	default:
		d.Notice = *m.Notice
	}
	reused := false
	err = s.DB.Transact(ctx, func(tx *db.Tx) error {
		reused = false
		fresh, err := s.insertDelivery(ctx, tx, &d)
		if err != nil || fresh && d.State != Verified {
			return err
		}
		if fresh {
			return tx.Enqueue(ctx, db.Job{Kind: JobNotice, Key: strconv.FormatInt(d.ID, 10)})
		}
		before, err := deliveries(ctx, tx, `WHERE entrance_id = $1 AND state NOT IN ($2, $3) AND (delivery = $4 OR digest = $5) ORDER BY id`,
			e.ID, string(Rejected), string(Duplicate), d.Name, d.digest)
		if err != nil {
			return err
		}
		reused = true
		for _, b := range before {
			reused = reused && b.digest != d.digest
		}
		return nil
	})
	if err != nil || d.State == Verified || d.State == Ignored {
		return d, err
	}
	if reused {
		s.noteRefused(ctx, d, Rejected, "its name was used for another message")
		return d, fault.New(fault.Invalid, "entrance.Take", "the name of this delivery was used for another message", "send it under a name of its own")
	}
	s.noteRefused(ctx, d, Duplicate, "it was here before")
	return d, nil
}

// insertDelivery writes a delivery unless its name or its body was here before; then its state
// says so.
func (s *Service) insertDelivery(ctx context.Context, tx *db.Tx, d *Delivery) (fresh bool, err error) {
	if d.ID, err = tx.NextID(ctx, db.RowIDs); err != nil {
		return false, err
	}
	notice, err := json.Marshal(d.Notice)
	if err != nil {
		return false, fmt.Errorf("entrance: notice: %w", err)
	}
	done := int64(0)
	if d.State != Verified {
		done = db.Micros(d.At)
	}
	fresh, err = db.Touched(tx.ExecContext(ctx, `INSERT INTO entrance_deliveries (id, entrance_id, delivery, digest, event, notice, state, reason, at, done_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
		d.ID, d.Entrance, d.Name, d.digest, d.Event, string(notice), string(d.State), d.Reason, db.Micros(d.At), done))
	if err != nil {
		return false, fmt.Errorf("entrance: keep a delivery: %w", err)
	}
	if !fresh {
		d.State = Duplicate
		return false, nil
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM entrance_deliveries WHERE entrance_id = $1 AND state IN ($2, $3) AND (at < $4 OR id <=
		(SELECT COALESCE(MIN(id), 0) FROM (SELECT id FROM entrance_deliveries WHERE entrance_id = $1 ORDER BY id DESC LIMIT $5) AS newest) - 1)`,
		d.Entrance, string(Accepted), string(Ignored), db.Micros(d.At.Add(-keepDeliveriesFor)), keepDeliveries)
	if err != nil {
		return false, fmt.Errorf("entrance: forget old deliveries: %w", err)
	}
	return true, nil
}

// Refuse notes that a delivery was refused. It never fails: who forges learns nothing by it.
func (s *Service) Refuse(ctx context.Context, e Entrance, name, event, why string) {
	d := Delivery{Entrance: e.ID, Name: word(name, maxDeliveryName), Event: word(event, maxNoticeWord), At: s.Now()}
	s.noteRefused(ctx, d, Rejected, why)
}

// noteRefused writes a row about a delivery of which nothing came, as far as there is room.
func (s *Service) noteRefused(ctx context.Context, d Delivery, state State, why string) {
	if !s.mayNote(d.Entrance) {
		return
	}
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		id, err := tx.NextID(ctx, db.RowIDs)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO entrance_deliveries (id, entrance_id, delivery, digest, event, notice, state, reason, at, done_at)
			VALUES ($1, $2, $3, $4, $5, '{}', $6, $7, $8, $8)`, id, d.Entrance, d.Name, d.digest, d.Event, string(state), word(why, maxReason), db.Micros(d.At))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM entrance_deliveries WHERE entrance_id = $1 AND state IN ($2, $3) AND id <
			(SELECT COALESCE(MIN(id), 0) FROM (SELECT id FROM entrance_deliveries WHERE entrance_id = $1 AND state IN ($2, $3) ORDER BY id DESC LIMIT $4) AS newest)`,
			d.Entrance, string(Rejected), string(Duplicate), keepRefused)
		return err
	})
	if err != nil && ctx.Err() == nil {
		s.Log.Error("entrance: a refused delivery could not be noted", "entrance", d.Entrance, "err", err)
	}
}

// mayNote reports whether there is room for one more refusal in this minute.
func (s *Service) mayNote(entrance int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusals == nil {
		s.refusals = map[int64][]time.Time{}
	}
	now := s.Now()
	var recent []time.Time
	for _, at := range s.refusals[entrance] {
		if now.Sub(at) < time.Minute {
			recent = append(recent, at)
		}
	}
	room := len(recent) < refusedPerMinute
	if room {
		recent = append(recent, now)
	}
	s.refusals[entrance] = recent
	return room
}

func deliveries(ctx context.Context, q db.Querier, rest string, args ...any) ([]Delivery, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, entrance_id, delivery, digest, event, notice, state, reason, change_id, at, done_at FROM entrance_deliveries `+rest, args...)
	if err != nil {
		return nil, fmt.Errorf("entrance: deliveries: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []Delivery
	for rows.Next() {
		d, err := scanDelivery(rows)
		if err != nil {
			return nil, fmt.Errorf("entrance: deliveries: %w", err)
		}
		all = append(all, d)
	}
	return all, rows.Err()
}

func scanDelivery(rows *sql.Rows) (Delivery, error) {
	var d Delivery
	var notice string
	var at, done int64
	if err := rows.Scan(&d.ID, &d.Entrance, &d.Name, &d.digest, &d.Event, &notice, &d.State, &d.Reason, &d.Change, &at, &done); err != nil {
		return d, err
	}
	d.At, d.DoneAt = db.Time(at), db.Time(done)
	return d, json.Unmarshal([]byte(notice), &d.Notice)
}

// Deliveries lists what an entrance was told last, newest first.
func (s *Service) Deliveries(ctx context.Context, e Entrance) ([]Delivery, error) {
	return deliveries(ctx, s.DB.Read(), `WHERE entrance_id = $1 ORDER BY id DESC LIMIT $2`, e.ID, maxListed)
}

// done is what came of a notice.
type done struct {
	state  State
	reason string
	change int64
}

func ignored(format string, args ...any) done {
	return done{state: Ignored, reason: fmt.Sprintf(format, args...)}
}

func accepted(change int64, format string, args ...any) done {
	return done{state: Accepted, reason: fmt.Sprintf(format, args...), change: change}
}

// finish writes down what came of a delivery.
func (s *Service) finish(ctx context.Context, d Delivery, o done) error {
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE entrance_deliveries SET state = $1, reason = $2, change_id = $3, done_at = $4 WHERE id = $5 AND state = $6`,
			string(o.state), word(o.reason, maxReason), o.change, db.Micros(s.Now()), d.ID, string(Verified))
		if err != nil {
			return fmt.Errorf("entrance: finish delivery %d: %w", d.ID, err)
		}
		return nil
	})
}

// Work acts upon one delivery; its key is the delivery's id. What fails for a reason that may
// pass is tried again; what was understood and cannot be is ignored, with the reason.
func (s *Service) Work(ctx context.Context, key string) (time.Duration, error) {
	id, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("entrance: job %q: %w", key, err)
	}
	found, err := deliveries(ctx, s.DB.Read(), `WHERE id = $1 AND state = $2`, id, string(Verified))
	if err != nil || len(found) == 0 {
		return 0, err
	}
	d := found[0]
	e, err := s.ByID(ctx, s.DB.Read(), d.Entrance)
	if fault.Is(err, fault.NotFound) {
		return 0, nil // removed meanwhile
	}
	if err != nil {
		return 0, err
	}
	o, err := s.actUpon(ctx, e, d.Notice)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return 0, ctx.Err() // the server stops; the delivery waits
	case passing(err) && s.Now().Sub(d.At) < giveUpAfter:
		return 0, err // the engine tries again
	default:
		s.Log.Warn("entrance: a delivery came to nothing", "entrance", e.ID, "delivery", d.ID, "err", err)
		o = ignored("%s", fault.Sentence(err))
	}
	crash("entrance.worked")
	if err := s.finish(ctx, d, o); err != nil {
		return 0, err
	}
	s.Log.Info("entrance: a delivery was acted upon", "entrance", e.ID, "kind", d.Notice.Kind, "number", d.Notice.Number, "state", o.state, "came", o.reason)
	return 0, nil
}

// giveUpAfter is how long a delivery is tried that cannot be acted upon now: by then somebody
// has looked, and the next one says more.
const giveUpAfter = 12 * time.Hour

// passing reports whether a failure may pass by itself: the other server is away, or ours had
// a fault.
func passing(err error) bool {
	switch fault.KindOf(err) {
	case fault.Internal, fault.Unavailable, fault.Conflict:
		return true
	default:
		return false
	}
}

// short is a commit for a sentence.
func short(oid git.OID) string { return oid.Short() }
