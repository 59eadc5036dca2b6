// Package gitserver is the way in: git over SSH and over smart HTTP.
//
// Fetches are git's own upload-pack. Pushes are not receive-pack's: the server speaks that
// protocol itself. It reads the commands on the wire, takes the pack into quarantine, checks
// it, and asks its [Decider], which alone moves refs.
//
// Invariants:
//   - Who asks is decided by the key that the client proved, or by the token that it sent;
//     what it may do, by the verb that is then executed, at [account.Store.May].
//   - A repository that one may not read and one that does not exist get the same answer.
//   - No object of a push is visible outside its quarantine before the Decider migrates it,
//     and a push that ends in any other way leaves nothing behind.
//   - Refs outside refs/heads, refs/tags and refs/for are refused on the wire, before the
//     pack is read.
//   - Memory does not grow with the size of a push or a fetch.
//   - What a client sees has no control bytes in it; what is logged has no secrets in it.
package gitserver

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
)

// Push is one push as its client sent it, with its objects in quarantine.
type Push struct {
	Repo repo.Repository
	// Git reads the repository through the quarantine.
	Git *git.Repo
	// Quarantine holds the push's objects; it is nil when the push only deletes.
	Quarantine *git.Quarantine
	Actor      account.Actor
	// Commands are well-formed, each ref is allowed on the wire and named once.
	Commands []Command
	// Options are the push options, valid UTF-8 without control characters.
	Options []string
	// Origin, when it is not "", is where the commits come from when nobody pushed them here: their
	// changes go by it instead of by their messages. No client can set it.
	Origin string
	// Owner is the account that new changes belong to, 0 for Actor. No client can set it.
	Owner int64
	// Atomic says that the client wants all commands or none.
	Atomic bool
	// Tell shows the client a line of progress at once. It strips control bytes, may be
	// called from any goroutine, and does nothing for a client that cannot show any.
	Tell func(line string)
}

// Command asks to move one ref: Old zero creates it, New zero deletes it.
type Command struct {
	Ref      string
	Old, New git.OID
}

// Result is what became of one command.
type Result struct {
	Ref string
	// Reason is why not; "" when it was done.
	Reason string
	// HeldRef is where the push landed when that is not Ref.
	HeldRef string
	// NewOID is what was stored when that is not what was pushed.
	NewOID git.OID
}

// Decider decides pushes and moves refs.
type Decider interface {
	// Receive does what p asks as far as it may be done, and answers each command; one that
	// it does not answer counts as refused. It must migrate p.Quarantine before it
	// acknowledges anything. It may stay long; ctx ends when the client is gone.
	Receive(ctx context.Context, p *Push) []Result
}

// Server serves repositories. Log, Limits and Ticker may be left out.
type Server struct {
	Git      *git.Git
	Accounts *account.Store
	Repos    *repo.Store
	Decide   Decider
	Log      *slog.Logger
	Now      func() time.Time
	// Veil says what of a repository somebody who fetches does not get; nil means everything.
	Veil func(ctx context.Context, actor account.Actor, r repo.Repository) (git.Veil, error)
	// Limits is completed with the defaults. It must not change once the server serves.
	Limits Limits
	// Ticker makes the ticks of keep-alives; nil is the real one.
	Ticker func(every time.Duration) (ticks <-chan time.Time, stop func())

	slots admission
	// requests is how many bytes of large fetch requests are in memory.
	requests atomic.Int64
}

func (s *Server) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

func (s *Server) ticker(every time.Duration) (<-chan time.Time, func()) {
	if s.Ticker != nil {
		return s.Ticker(every)
	}
	t := time.NewTicker(every)
	return t.C, t.Stop
}

// refusal is a fault that a client reads.
func refusal(op, public, next string) error { return fault.New(fault.Refused, op, public, next) }
