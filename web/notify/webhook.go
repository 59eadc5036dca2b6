package notify

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// HookKind is what speaks at the other end of a webhook.
type HookKind string

// The kinds.
const (
	Generic HookKind = "generic" // JSON, signed as standardwebhooks.com has it
	Slack   HookKind = "slack"   // an incoming webhook; its address is the secret
	Matrix  HookKind = "matrix"  // a room of a Matrix home server; the secret is an access token
)

// The states of a webhook.
const (
	HookOn      = "on"
	HookPaused  = "paused"  // a person stopped it
	HookStopped = "stopped" // too many deliveries were given up
)

const (
	// maxHooks bounds the webhooks of a repository: each event goes to all of them.
	maxHooks = 20
	// maxHookURL is more than any honest address.
	maxHookURL = 2000
	// maxHookSecret is more than any token.
	maxHookSecret = 4000
	// hookSecretBytes is the strength of a secret that we make.
	hookSecretBytes = 32
	// secretPrefix marks a secret of standardwebhooks.com: base64 follows.
	secretPrefix = "whsec_"
	// hiddenPath stands for what of an address is secret.
	hiddenPath = "/…"
)

var roomGrammar = regexp.MustCompile(`^![^\s/?#:]{1,200}(:[A-Za-z0-9.\[\]:-]{1,230})?$`)

// Webhook is a destination outside that is told of what happens in a repository.
type Webhook struct {
	ID        int64
	Repo      int64
	Kind      HookKind
	URL       string // for people: of Slack's only the host
	Room      string // for Matrix
	Events    []string
	State     string
	Reason    string // why it is stopped
	Failed    int    // deliveries in a row that were given up
	CreatedBy int64
	CreatedAt time.Time
}

// NewWebhook is what [Service.AddWebhook] needs.
type NewWebhook struct {
	Kind   HookKind
	URL    string
	Room   string
	Events []string // none is all
	Secret string   // for generic one is made when it is ""
}

// Events lists the kinds of events that are told, in order: what a webhook can choose from.
func Events() []string {
	all := make([]string, 0, len(newsOf))
	for kind := range newsOf {
		all = append(all, kind)
	}
	slices.Sort(all)
	return all
}

// AddWebhook adds a webhook. The secret that it returns is the one that was made, or "".
func (s *Service) AddWebhook(ctx context.Context, repo int64, by account.Actor, n NewWebhook) (Webhook, string, error) {
	const op = "notify.AddWebhook"
	h := Webhook{Repo: repo, Kind: n.Kind, URL: n.URL, Room: n.Room, Events: slices.Compact(slices.Sorted(slices.Values(n.Events))), State: HookOn, CreatedBy: by.ID, CreatedAt: s.Now()}
	if err := s.checkHook(op, &n); err != nil {
		return h, "", err
	}
	made := ""
	switch n.Kind {
	case Generic:
		if n.Secret == "" {
			raw := make([]byte, hookSecretBytes)
			if _, err := io.ReadFull(s.random(), raw); err != nil {
				return h, "", fmt.Errorf("notify: secret: %w", err)
			}
			made = secretPrefix + base64.StdEncoding.EncodeToString(raw)
			n.Secret = made
		}
	case Slack:
		n.Secret = n.URL
		u, err := url.Parse(n.URL)
		if err != nil {
			return h, "", fmt.Errorf("notify: %w", err) // checked above
		}
		h.URL = u.Scheme + "://" + u.Host + hiddenPath
	case Matrix:
		h.URL = strings.TrimSuffix(n.URL, "/")
	}
	err := s.DB.Transact(ctx, func(tx *db.Tx) (err error) {
		h.ID, err = tx.NextID(ctx, db.RowIDs)
		return err
	})
	if err != nil {
		return h, "", err
	}
	// The file is there before the row that needs it; without a row the janitor takes it.
	if err := s.writeSecret(hookFile(h.ID), []byte(n.Secret)); err != nil {
		return h, "", err
	}
	err = s.DB.Transact(ctx, func(tx *db.Tx) error { return insertHook(ctx, tx, op, h) })
	if err != nil {
		return h, "", errors.Join(err, s.forgetHook(h.ID))
	}
	return h, made, nil
}

func hookFile(id int64) string { return "webhook-" + strconv.FormatInt(id, 10) }

func (s *Service) forgetHook(id int64) error {
	if err := os.Remove(filepath.Join(s.Dir, hookFile(id))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("notify: forget: %w", err)
	}
	return nil
}

func insertHook(ctx context.Context, tx *db.Tx, op string, h Webhook) error {
	var count int
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM webhooks WHERE repo_id = $1`, h.Repo).Scan(&count); err != nil {
		return fmt.Errorf("notify: webhooks: %w", err)
	}
	if count >= maxHooks {
		return fault.New(fault.TooLarge, op, fmt.Sprintf("this repository has %d webhooks", count), "remove some first")
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO webhooks (id, repo_id, kind, url, room, events, state, created_by, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, h.ID, h.Repo, string(h.Kind), h.URL, h.Room, strings.Join(h.Events, " "), h.State, h.CreatedBy, db.Micros(h.CreatedAt))
	if err != nil {
		return fmt.Errorf("notify: add a webhook: %w", err)
	}
	return nil
}

// checkHook refuses what cannot work, before anything is dialled. Whether the address may be
// dialled is decided then, each time; an address written as a number can be told at once.
func (s *Service) checkHook(op string, n *NewWebhook) error {
	u, err := checkHookURL(op, n.URL)
	if err != nil {
		return err
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := s.allowed(netip.AddrPortFrom(ip, 1).String(), u.Scheme == "https"); err != nil {
			return fault.New(fault.Refused, op, err.Error(), "use a public address, or ask the server's operator")
		}
	}
	if len(n.Secret) > maxHookSecret || strings.ContainsFunc(n.Secret, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return fault.New(fault.Invalid, op, "this secret cannot be used", "give it alone, without spaces or line ends")
	}
	known := Events()
	for _, e := range n.Events {
		if !slices.Contains(known, e) {
			return fault.New(fault.Invalid, op, fmt.Sprintf("nothing is told of events called %q", oneLine(e, maxWord)), "choose from "+strings.Join(known, ", "))
		}
	}
	switch n.Kind {
	case Generic:
		if rest, ok := strings.CutPrefix(n.Secret, secretPrefix); ok {
			if _, err := base64.StdEncoding.DecodeString(rest); err != nil {
				return fault.New(fault.Invalid, op, "a secret that begins with whsec_ goes on in base64, and this one does not", "leave it out, and one is made")
			}
		}
	case Slack:
		if n.Secret != "" {
			return fault.New(fault.Invalid, op, "a Slack webhook has no secret beside its address", "leave the secret out")
		}
	case Matrix:
		if n.Secret == "" || !roomGrammar.MatchString(n.Room) {
			return fault.New(fault.Invalid, op, "a Matrix webhook needs a room and an access token", "name the room by its id, as !abc:example.org, and give the token as the secret")
		}
	default:
		return fault.New(fault.Invalid, op, fmt.Sprintf("there is no kind of webhook called %q", oneLine(string(n.Kind), maxWord)), "use generic, slack or matrix")
	}
	if n.Kind != Matrix && n.Room != "" {
		return fault.New(fault.Invalid, op, "only a Matrix webhook has a room", "leave the room out")
	}
	return nil
}

func checkHookURL(op, address string) (*url.URL, error) {
	bad := fault.New(fault.Invalid, op, "this is no address of a webhook", "write it as https://HOST/PATH, without a user name")
	if len(address) > maxHookURL || strings.ContainsFunc(address, func(c rune) bool { return c <= ' ' || c >= 0x7f || !unicode.IsPrint(c) }) {
		return nil, bad
	}
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Opaque != "" || u.Fragment != "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, bad
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return nil, bad
		}
	}
	return u, nil
}

const hookColumns = `id, repo_id, kind, url, room, events, state, reason, failed, created_by, created_at`

func webhooks(ctx context.Context, q db.Querier, rest string, args ...any) ([]Webhook, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+hookColumns+` FROM webhooks `+rest, args...)
	if err != nil {
		return nil, fmt.Errorf("notify: webhooks: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []Webhook
	for rows.Next() {
		var h Webhook
		var created int64
		var events string
		if err := rows.Scan(&h.ID, &h.Repo, &h.Kind, &h.URL, &h.Room, &events, &h.State, &h.Reason, &h.Failed, &h.CreatedBy, &created); err != nil {
			return nil, fmt.Errorf("notify: webhooks: %w", err)
		}
		h.Events, h.CreatedAt = strings.Fields(events), db.Time(created)
		all = append(all, h)
	}
	return all, rows.Err()
}

// Webhooks lists the webhooks of a repository, oldest first.
func (s *Service) Webhooks(ctx context.Context, repo int64) ([]Webhook, error) {
	return webhooks(ctx, s.DB.Read(), `WHERE repo_id = $1 ORDER BY id`, repo)
}

// Webhook finds one webhook of a repository; NotFound when it is another's or none.
func (s *Service) Webhook(ctx context.Context, repo, id int64) (Webhook, error) {
	return hookOf(ctx, s.DB.Read(), repo, id)
}

func hookOf(ctx context.Context, q db.Querier, repo, id int64) (Webhook, error) {
	found, err := webhooks(ctx, q, `WHERE repo_id = $1 AND id = $2`, repo, id)
	if err == nil && len(found) == 0 {
		err = fault.New(fault.NotFound, "notify.Webhook", fmt.Sprintf("this repository has no webhook %d", id), "gate webhook list shows those that it has")
	}
	if err != nil {
		return Webhook{}, err
	}
	return found[0], nil
}

// RemoveWebhook removes a webhook with its secret and its deliveries.
func (s *Service) RemoveWebhook(ctx context.Context, repo, id int64) error {
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		if _, err := hookOf(ctx, tx, repo, id); err != nil {
			return err
		}
		for _, query := range []string{`DELETE FROM webhook_deliveries WHERE webhook_id = $1`, `DELETE FROM webhooks WHERE id = $1`} {
			if _, err := tx.ExecContext(ctx, query, id); err != nil {
				return fmt.Errorf("notify: remove webhook %d: %w", id, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.forgetHook(id)
}

// SetWebhook pauses a webhook, or has it go on; also one that was stopped.
func (s *Service) SetWebhook(ctx context.Context, repo, id int64, on bool) error {
	state := HookPaused
	if on {
		state = HookOn
	}
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		if _, err := hookOf(ctx, tx, repo, id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE webhooks SET state = $1, reason = '', failed = 0 WHERE id = $2`, state, id); err != nil {
			return fmt.Errorf("notify: webhook %d: %w", id, err)
		}
		return nil
	})
}

// secretOf reads what lets us in at a webhook.
func (s *Service) secretOf(id int64) (string, error) {
	secret, err := os.ReadFile(filepath.Join(s.Dir, hookFile(id)))
	if err != nil {
		return "", fmt.Errorf("the webhook's secret cannot be read: %w", err)
	}
	return string(secret), nil
}

// Janitor removes the secrets that no webhook needs any more, and half-written files. Nobody
// adds a webhook meanwhile: the caller has the data folder for itself.
func (s *Service) Janitor(ctx context.Context) error {
	entries, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("notify: janitor: %w", err)
	}
	for _, e := range entries {
		if number, ok := strings.CutPrefix(e.Name(), "webhook-"); ok {
			id, err := strconv.ParseInt(number, 10, 64)
			if err != nil {
				continue // not ours
			}
			var one int
			err = s.DB.Read().QueryRowContext(ctx, `SELECT 1 FROM webhooks WHERE id = $1`, id).Scan(&one)
			if err == nil {
				continue
			}
			if !errors.Is(err, sql.ErrNoRows) {
				return fmt.Errorf("notify: janitor: %w", err)
			}
		} else if !strings.HasPrefix(e.Name(), "new-") {
			continue
		}
		if err := os.Remove(filepath.Join(s.Dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("notify: janitor: %w", err)
		}
	}
	return nil
}
