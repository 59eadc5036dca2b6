package notify

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

const (
	// hookTries is how often a delivery is tried: with the pauses below for about five hours.
	hookTries = 12
	// firstHookPause and longestHookPause bound the wait between two attempts.
	firstHookPause   = 5 * time.Second
	longestHookPause = time.Hour
	// maxHookFailures is after how many deliveries in a row that were given up a webhook is stopped.
	maxHookFailures = 10
	// maxDeliveries is how many deliveries a page or an answer lists.
	maxDeliveries = 100
	// maxWaiting bounds the deliveries that wait for one webhook: a destination that is down does not fill the database.
	maxWaiting = 1000
	// maxKeptAnswer is how much of an answer is kept, in characters.
	maxKeptAnswer = 500
	// pingEvent is the kind of the delivery that only tests a webhook.
	pingEvent = "ping"
)

// Delivery is one message to a webhook.
type Delivery struct {
	ID        int64
	Webhook   int64
	Event     int64
	Name      string // the same in each attempt
	Kind      string
	Body      string
	State     string // waiting, delivered or failed
	Reason    string
	Status    int    // of the last answer, 0 without one
	Answer    string // the beginning of it
	Attempts  int
	NextTry   time.Time
	CreatedAt time.Time
	EndedAt   time.Time
}

// queueDeliveries writes a delivery of an event for each webhook of its repository that wants it.
func (s *Service) queueDeliveries(ctx context.Context, tx *db.Tx, sub subject) error {
	if sub.change.Private { // nobody knows who reads what a webhook is sent
		return nil
	}
	hooks, err := webhooks(ctx, tx, `WHERE repo_id = $1 AND state = $2 ORDER BY id`, sub.repo.ID, HookOn)
	if err != nil {
		return err
	}
	for _, h := range hooks {
		if len(h.Events) > 0 && !slices.Contains(h.Events, sub.event.Kind) {
			continue
		}
		var waiting int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM webhook_deliveries WHERE webhook_id = $1 AND state = $2`, h.ID, stateWaiting).Scan(&waiting); err != nil {
			return fmt.Errorf("notify: deliveries: %w", err)
		}
		if waiting >= maxWaiting {
			if err := s.stopHook(ctx, tx, h, fmt.Sprintf("%d deliveries wait for it", waiting)); err != nil {
				return err
			}
			continue
		}
		name := fmt.Sprintf("msg_%d_%d", h.ID, sub.event.ID)
		p, err := s.payload(ctx, tx, sub, newsOf[sub.event.Kind], name)
		if err != nil {
			return err
		}
		if _, err := s.newDelivery(ctx, tx, h, name, sub.event.ID, p); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) newDelivery(ctx context.Context, tx *db.Tx, h Webhook, name string, event int64, p Payload) (Delivery, error) {
	body, err := p.body(h.Kind)
	if err != nil {
		return Delivery{}, err
	}
	return s.insertDelivery(ctx, tx, Delivery{Webhook: h.ID, Event: event, Name: name, Kind: p.Event, Body: body})
}

func (s *Service) insertDelivery(ctx context.Context, tx *db.Tx, d Delivery) (Delivery, error) {
	var err error
	if d.ID, err = tx.NextID(ctx, db.RowIDs); err != nil {
		return d, err
	}
	if d.Name == "" {
		d.Name = fmt.Sprintf("msg_%d_%d", d.Webhook, d.ID)
	}
	d.State, d.CreatedAt = stateWaiting, s.Now()
	_, err = tx.ExecContext(ctx, `INSERT INTO webhook_deliveries (id, webhook_id, event_id, delivery, event, body, state, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, d.ID, d.Webhook, d.Event, d.Name, d.Kind, d.Body, d.State, db.Micros(d.CreatedAt))
	if err != nil {
		return d, fmt.Errorf("notify: new delivery: %w", err)
	}
	return d, tx.Enqueue(ctx, db.Job{Kind: JobDeliver, Key: strconv.FormatInt(d.ID, 10)})
}

// TestWebhook sends a message that only says that the webhook works.
func (s *Service) TestWebhook(ctx context.Context, repo, id int64) (d Delivery, err error) {
	err = s.DB.Transact(ctx, func(tx *db.Tx) error {
		h, err := hookOf(ctx, tx, repo, id)
		if err != nil {
			return err
		}
		r, err := s.Repos.ByID(ctx, tx, repo)
		if err != nil {
			return err
		}
		next, err := tx.NextID(ctx, db.RowIDs)
		if err != nil {
			return err
		}
		p := Payload{
			Event: pingEvent, Delivery: fmt.Sprintf("msg_%d_%d", id, next), At: s.Now(), Text: "This webhook works", Comments: []PayloadComment{}, Data: map[string]string{},
			Repository: PayloadRepository{r.Name, s.URL + "/" + r.Name},
		}
		d, err = s.newDelivery(ctx, tx, h, p.Delivery, 0, p)
		return err
	})
	return d, err
}

// Redeliver sends a message once more, with the name that it had: who took it already knows it again.
func (s *Service) Redeliver(ctx context.Context, repo, hook, delivery int64) (d Delivery, err error) {
	err = s.DB.Transact(ctx, func(tx *db.Tx) error {
		if _, err := hookOf(ctx, tx, repo, hook); err != nil {
			return err
		}
		found, err := deliveries(ctx, tx, `WHERE webhook_id = $1 AND id = $2`, hook, delivery)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fault.Newf(fault.NotFound, "notify.Redeliver", "webhook %d has no delivery %d", hook, delivery)
		}
		d = found[0]
		if d.State == stateWaiting {
			return fault.New(fault.Conflict, "notify.Redeliver", "this delivery has not ended: it is tried again by itself", "wait, or look at why it fails")
		}
		d.State, d.Attempts, d.Reason = stateWaiting, 0, ""
		_, err = tx.ExecContext(ctx, `UPDATE webhook_deliveries SET state = $1, attempts = 0, next_try_at = 0, reason = '', ended_at = 0 WHERE id = $2`, stateWaiting, d.ID)
		if err != nil {
			return fmt.Errorf("notify: redeliver %d: %w", delivery, err)
		}
		return tx.Enqueue(ctx, db.Job{Kind: JobDeliver, Key: strconv.FormatInt(d.ID, 10)})
	})
	return d, err
}

func deliveries(ctx context.Context, q db.Querier, rest string, args ...any) ([]Delivery, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, webhook_id, event_id, delivery, event, body, state, reason, status, answer, attempts, next_try_at, created_at, ended_at
		FROM webhook_deliveries `+rest, args...)
	if err != nil {
		return nil, fmt.Errorf("notify: deliveries: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []Delivery
	for rows.Next() {
		var d Delivery
		var next, created, ended int64
		err := rows.Scan(&d.ID, &d.Webhook, &d.Event, &d.Name, &d.Kind, &d.Body, &d.State, &d.Reason, &d.Status, &d.Answer, &d.Attempts, &next, &created, &ended)
		if err != nil {
			return nil, fmt.Errorf("notify: deliveries: %w", err)
		}
		d.NextTry, d.CreatedAt, d.EndedAt = db.Time(next), db.Time(created), db.Time(ended)
		all = append(all, d)
	}
	return all, rows.Err()
}

// Deliveries lists the newest deliveries of a webhook, newest first.
func (s *Service) Deliveries(ctx context.Context, repo, hook int64) ([]Delivery, error) {
	if _, err := s.Webhook(ctx, repo, hook); err != nil {
		return nil, err
	}
	return deliveries(ctx, s.DB.Read(), `WHERE webhook_id = $1 ORDER BY id DESC LIMIT $2`, hook, maxDeliveries)
}

// deliver is the job of one delivery.
func (s *Service) deliver(ctx context.Context, key string) (time.Duration, error) {
	id, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("notify: job %q: %w", key, err)
	}
	found, err := deliveries(ctx, s.DB.Read(), `WHERE id = $1 AND state = $2`, id, stateWaiting)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	d := found[0]
	hooks, err := webhooks(ctx, s.DB.Read(), `WHERE id = $1`, d.Webhook)
	if err != nil || len(hooks) == 0 {
		return 0, err
	}
	h := hooks[0]
	if h.State != HookOn && d.Kind != pingEvent && d.Attempts > 0 {
		return 0, s.recordDelivery(ctx, h, d, outcome{reason: "the webhook is " + h.State, final: true})
	}
	o := s.post(ctx, h, d)
	if ctx.Err() != nil {
		return 0, ctx.Err() // the server stops; the delivery waits
	}
	d.Attempts++
	if o.failed() && !o.final && d.Attempts < hookTries {
		again := pauseAfter(d.Attempts, firstHookPause, longestHookPause)
		if o.after > again {
			again = min(o.after, longestHookPause)
		}
		d.NextTry = s.Now().Add(again)
		return again, s.recordDelivery(ctx, h, d, o)
	}
	o.final = true
	return 0, s.recordDelivery(ctx, h, d, o)
}

// outcome is how one attempt went.
type outcome struct {
	status int
	answer string
	reason string        // "" when it was taken
	final  bool          // there is no other attempt
	after  time.Duration // how long the destination wants to be left alone
}

func (o outcome) failed() bool { return o.reason != "" }

// post makes one attempt.
func (s *Service) post(ctx context.Context, h Webhook, d Delivery) outcome {
	secret, err := s.secretOf(h.ID)
	if err != nil {
		s.Log.Error("notify: webhook", "webhook", h.ID, "err", err)
		return outcome{reason: "the server cannot read the webhook's secret; its log says why"}
	}
	r, err := s.request(ctx, h, d, secret)
	if err != nil {
		return outcome{reason: "the request cannot be made", final: true}
	}
	resp, err := s.hookClient(r.URL.Scheme == "https").Do(r)
	if err != nil {
		return outcome{reason: s.whyNot(h, err, secret)}
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	o := outcome{status: resp.StatusCode, answer: oneLine(hide(string(text), secret), maxKeptAnswer)}
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		if err != nil && len(text) == 0 {
			o.answer = "" // it was taken; what it says of it is nobody's loss
		}
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		o.reason, o.final = fmt.Sprintf("the answer is %d, a redirect, and those are not followed; give the address that it leads to", resp.StatusCode), true
	case resp.StatusCode == http.StatusGone:
		o.reason, o.final = "the answer is 410: the destination is gone", true
	default:
		o.reason = fmt.Sprintf("the answer is %d", resp.StatusCode)
		if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
			o.after = time.Duration(min(seconds, int(longestHookPause/time.Second))) * time.Second
		}
	}
	return o
}

// whyNot is why no answer came, in words that name no address and no secret.
func (s *Service) whyNot(h Webhook, err error, secret string) string {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // the wrapper has the address, which is Slack's secret
	}
	s.Log.Debug("notify: webhook", "webhook", h.ID, "err", hide(err.Error(), secret))
	switch {
	case errors.Is(err, errPlace):
		return errPlace.Error()
	case errors.Is(err, errPlain):
		return errPlain.Error()
	case errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "Client.Timeout"):
		return fmt.Sprintf("no answer within %s", hookTimeout)
	case strings.Contains(err.Error(), "tls:") || strings.Contains(err.Error(), "x509:"):
		return "the TLS connection fails: " + oneLine(hide(err.Error(), secret), maxText)
	}
	return "the destination cannot be reached"
}

func hide(text, secret string) string {
	if secret == "" {
		return text
	}
	return strings.ReplaceAll(text, secret, "(secret)")
}

// request is one attempt as HTTP.
func (s *Service) request(ctx context.Context, h Webhook, d Delivery, secret string) (*http.Request, error) {
	method, address := http.MethodPost, h.URL
	switch h.Kind {
	case Slack:
		address = secret
	case Matrix:
		// The transaction's name makes a repeated attempt one message (client-server API, "Sending events to a room").
		method = http.MethodPut
		address = h.URL + "/_matrix/client/v3/rooms/" + url.PathEscape(h.Room) + "/send/m.room.message/" + url.PathEscape(d.Name)
	}
	r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader([]byte(d.Body)))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Gatehouse-Webhook/1")
	switch h.Kind {
	case Generic:
		at := strconv.FormatInt(s.Now().Unix(), 10)
		r.Header.Set("Webhook-Id", d.Name)
		r.Header.Set("Webhook-Timestamp", at)
		r.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(sign(hookKey(secret), d.Name+"."+at+"."+d.Body)))
		r.Header.Set("X-Gatehouse-Event", d.Kind)
	case Matrix:
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	return r, nil
}

// hookKey is the key that a secret means: base64 after whsec_, else its own bytes.
func hookKey(secret string) []byte {
	if rest, ok := strings.CutPrefix(secret, secretPrefix); ok {
		if key, err := base64.StdEncoding.DecodeString(rest); err == nil {
			return key
		}
	}
	return []byte(secret)
}

// recordDelivery writes down how an attempt went. A webhook whose deliveries are given up one
// after the other is stopped, and its repository's owners are told.
func (s *Service) recordDelivery(ctx context.Context, h Webhook, d Delivery, o outcome) error {
	state, ended := stateWaiting, int64(0)
	switch {
	case !o.failed():
		state, ended = stateDelivered, db.Micros(s.Now())
	case o.final:
		state, ended = stateFailed, db.Micros(s.Now())
		s.Log.Error("notify: a delivery is given up", "webhook", h.ID, "delivery", d.Name, "attempts", d.Attempts, "reason", o.reason)
	}
	var told []int64
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		told = nil
		next := int64(0)
		if state == stateWaiting {
			next = db.Micros(d.NextTry)
		}
		met, err := db.Touched(tx.ExecContext(ctx, `UPDATE webhook_deliveries SET state = $1, reason = $2, status = $3, answer = $4, attempts = $5, next_try_at = $6, ended_at = $7
			WHERE id = $8 AND state = $9`, state, o.reason, o.status, o.answer, d.Attempts, next, ended, d.ID, stateWaiting))
		if err != nil || !met || state == stateWaiting {
			return err
		}
		if state == stateDelivered {
			_, err := tx.ExecContext(ctx, `UPDATE webhooks SET failed = 0 WHERE id = $1 AND failed > 0`, h.ID)
			return err
		}
		var failed int
		err = tx.QueryRowContext(ctx, `UPDATE webhooks SET failed = failed + 1 WHERE id = $1 RETURNING failed`, h.ID).Scan(&failed)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // it was removed meanwhile
		}
		if err != nil || failed < maxHookFailures || h.State != HookOn {
			return err
		}
		told, err = s.hookStopped(ctx, tx, h, fmt.Sprintf("%d deliveries in a row were given up; the last because %s", failed, o.reason))
		return err
	})
	if err != nil {
		return fmt.Errorf("notify: record delivery %d: %w", d.ID, err)
	}
	s.wake(told)
	return nil
}

func (s *Service) stopHook(ctx context.Context, tx *db.Tx, h Webhook, why string) error {
	_, err := s.hookStopped(ctx, tx, h, why)
	return err
}

// hookStopped stops a webhook and tells the owners of its repository.
func (s *Service) hookStopped(ctx context.Context, tx *db.Tx, h Webhook, why string) ([]int64, error) {
	stopped, err := db.Touched(tx.ExecContext(ctx, `UPDATE webhooks SET state = $1, reason = $2 WHERE id = $3 AND state = $4`, HookStopped, oneLine(why, maxText), h.ID, HookOn))
	if err != nil || !stopped {
		return nil, err
	}
	s.Log.Error("notify: a webhook is stopped", "webhook", h.ID, "repository", h.Repo, "why", why)
	owners, err := s.repoOwners(ctx, tx, h.Repo)
	if err != nil {
		return nil, err
	}
	for _, id := range owners {
		_, err := insertNotification(ctx, tx, Notification{Account: id, Repo: h.Repo, Kind: "webhook.stopped", Reason: reasonOwn,
			Text: fmt.Sprintf("webhook %d is stopped: %s", h.ID, why), At: s.Now(), mail: mailNone})
		if err != nil {
			return nil, err
		}
	}
	return owners, nil
}
