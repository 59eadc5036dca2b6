package forge

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/entrance"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
)

// JobReport is the kind of the job that reports one change or run; its key is "c12" or "r7".
const JobReport = "forge-report"

// Gate answers how things stand.
type Gate interface {
	Explain(ctx context.Context, actor account.Actor, change int64) (gatekeeper.Explanation, error)
	RunOf(ctx context.Context, actor account.Actor, run int64) (gatekeeper.Run, error)
	Red(ctx context.Context, run int64) (why, page string, err error)
}

// Service is the room's door. Its fields are set once, before use.
type Service struct {
	Entrances *entrance.Service
	Gate      Gate
	Bus       *event.Bus
	Now       func() time.Time
	Log       *slog.Logger
	URL       string // where people find our pages, without a trailing slash
	// Client makes one request to another server; whoever made it decides which addresses it
	// may dial. encrypted says that the request is over TLS.
	Client func(encrypted bool) *http.Client

	mu   sync.Mutex
	seen map[string]string // what was asked to be reported, by key, with the news' stamp
	live map[int64]bool    // entrances whose stream is listened to
}

const (
	// lookAgain is how often the story is looked at without having been woken.
	lookAgain = 2 * time.Second
	// together is how long the reader rests after it was woken: what happens at once is told at once.
	together = 200 * time.Millisecond
	// advanceEvery is how often the cursor is moved on.
	advanceEvery = time.Minute
	// maxSeen bounds the memory for what was reported; what is forgotten is computed once more.
	maxSeen = 20_000
)

// Handlers are the workers of the room's jobs, by kind.
func (s *Service) Handlers() map[string]func(ctx context.Context, key string) (time.Duration, error) {
	return map[string]func(ctx context.Context, key string) (time.Duration, error){JobReport: s.report}
}

// Run has reported what happens until ctx ends.
func (s *Service) Run(ctx context.Context) {
	woken, stop := s.Bus.Listen(event.AnyTopic())
	defer stop()
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	advance := time.NewTicker(advanceEvery)
	defer advance.Stop()
	var streams sync.WaitGroup
	defer streams.Wait()
	s.keepStreams(ctx, &streams)
	for {
		if err := s.Tell(ctx); err != nil && ctx.Err() == nil {
			s.Log.Error("forge: the story could not be read; trying again", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-woken:
			if !rest(ctx, together) {
				return
			}
		case <-look.C:
		case <-advance.C:
			if err := s.Entrances.Advance(ctx); err != nil && ctx.Err() == nil {
				s.Log.Error("forge: the cursor could not be moved", "err", err)
			}
			s.keepStreams(ctx, &streams)
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
