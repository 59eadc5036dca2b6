package notify

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// The kinds of the jobs. Their keys are written by the functions that ask for them.
const (
	JobFold    = "mail-fold"    // account and change: makes one mail of what waits
	JobSummary = "mail-summary" // account: makes one mail of what waits for the summary
	JobSend    = "mail-send"    // mail: sends it
	JobDeliver = "webhook"      // delivery: sends it
)

const (
	// QuietTime is how long a change has to be quiet before what happened to it is mailed: a
	// review of five comments, or a push of ten patch sets, is one mail.
	QuietTime = 90 * time.Second
	// longestWait bounds that: a change that is never quiet is mailed of all the same.
	longestWait = 15 * time.Minute
	// MailsPerHour is how many mails about changes one account gets in an hour. More are not
	// read; the rest comes in one summary.
	MailsPerHour = 30
	// maxFolded is how many notifications one mail speaks of.
	maxFolded = 200
	// maxAudience is how many accounts are told of one event.
	maxAudience = 500
	// batch is how many events one transaction of the cursor handles.
	batch = 100
	// tellTries is how often an event is tried that cannot be told; then it is left out, loudly.
	tellTries = 5
	// settled is when an event's number can have no older one still to come: far beyond the
	// longest transaction.
	settled = 5 * time.Minute
	// together is how long the reader rests after it was woken: what happens at once is told at
	// once, and a log that grows wakes it no more than so often.
	together = 100 * time.Millisecond
	// lookAgain is how often the story is looked at without having been woken: for what the
	// command line wrote on the server's folder.
	lookAgain = 2 * time.Second
	// pauseAfterError is how long the reader of the story rests when it fails.
	pauseAfterError = 5 * time.Second
	// cleanEvery is how often the cursor is moved on and old rows are taken away.
	cleanEvery = time.Minute
	// keepRead, keepUnread, keepMails and keepDeliveries are how long rows are kept.
	keepRead       = 30 * 24 * time.Hour
	keepUnread     = 180 * 24 * time.Hour
	keepMails      = 30 * 24 * time.Hour
	keepDeliveries = 30 * 24 * time.Hour
)

// Explainer is the one answer to why a change has not landed, for somebody who may read it.
type Explainer interface {
	Explain(ctx context.Context, a account.Actor, change int64) (gatekeeper.Explanation, error)
}

// Service is the room's door. Its fields are set once, before use.
type Service struct {
	DB       *db.DB
	Accounts *account.Store
	Repos    *repo.Store
	Review   *review.Service
	Explain  Explainer
	Bus      *event.Bus
	Now      func() time.Time
	Log      *slog.Logger
	URL      string // where people find the server, without a trailing slash
	Dir      string // the folder of keys and secrets

	Mail     *Mailer        // nil: this server sends no mail
	Quiet    time.Duration  // usually [QuietTime]
	Networks []netip.Prefix // addresses that are not public and that webhooks may go to
	// Roots are the authorities that webhooks' certificates are checked with; nil is the system's.
	Roots *x509.CertPool
	// Rand is where secrets come from; nil is crypto/rand.
	Rand io.Reader

	key     keyFile
	stumble map[int64]int // how often an event could not be told; only the reader uses it
}

func (s *Service) random() io.Reader {
	if s.Rand != nil {
		return s.Rand
	}
	return rand.Reader
}

// Run tells the story until ctx ends. Only one process at a time runs it, and once.
func (s *Service) Run(ctx context.Context) {
	woken, stop := s.Bus.Listen(event.AnyTopic())
	defer stop()
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	clean := time.NewTicker(cleanEvery)
	defer clean.Stop()
	for {
		if err := s.Tell(ctx); err != nil && ctx.Err() == nil {
			s.Log.Error("notify: the story could not be told; trying again", "err", err)
			if !rest(ctx, pauseAfterError) {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-woken:
			if !rest(ctx, together) {
				return
			}
		case <-look.C:
		case <-clean.C:
			if err := s.Clean(ctx); err != nil && ctx.Err() == nil {
				s.Log.Error("notify: old rows could not be removed", "err", err)
			}
		}
	}
}

func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Handlers are the workers of the room's jobs, by kind.
func (s *Service) Handlers() map[string]func(ctx context.Context, key string) (time.Duration, error) {
	return map[string]func(ctx context.Context, key string) (time.Duration, error){
		JobFold: s.fold, JobSummary: s.summarise, JobSend: s.send, JobDeliver: s.deliver,
	}
}
