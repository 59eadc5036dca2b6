package gitserver

import (
	"context"
	"sync"
	"time"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
)

// The limits that a server has unless it is told otherwise.
const (
	// DefaultFetches is how many upload-packs run at once. Each is a process that reads
	// packs; more of them than this only take turns on the disk. The rest waits in line.
	DefaultFetches = 64
	// DefaultPushes is how many packs are taken in and checked at once; it is less, because
	// indexing takes a core and memory in the order of the largest objects.
	DefaultPushes = 32
	// DefaultRequestBytes is the most that a fetch may ask for over HTTP, inflated: 16 MiB
	// are 300,000 wants and haves. It is held in memory, because upload-pack answers while
	// it reads and a client that does not read yet would otherwise block both for ever.
	DefaultRequestBytes = 16 << 20
	// maxRequests is the memory that all fetch requests together may take beyond the first
	// freeRequest bytes of each; more than that many haves are rare.
	maxRequests = 512 << 20
	freeRequest = 64 << 10
	// DefaultKeepAlive is how often a waiting push and an SSH connection show life. Proxies
	// cut silent connections after 30 s or more.
	DefaultKeepAlive = 15 * time.Second
	// DefaultStall is how long one read or write over HTTP may take in which fewer than
	// stallBytes move: 1 KiB/s is slower than any client that is still of use.
	DefaultStall = 30 * time.Second
	stallBytes   = 30 << 10
	// DefaultIdle is how long an SSH client may be silent: git says nothing while it
	// compresses, which takes minutes for a large repository on a small machine.
	DefaultIdle = 10 * time.Minute
	// DefaultPreAuth is how long an SSH client may take to sign in, whatever it sends: a key
	// on a token wants a touch, which fits; a half-open connection does not stay.
	DefaultPreAuth = 15 * time.Second
	// DefaultConns is how many SSH connections there may be at all. An idle one takes 50 KiB.
	DefaultConns = 4096
	// DefaultConnsPerIP is how many of them may come from one address. This machine itself
	// is exempt: there, every client has the same address.
	DefaultConnsPerIP = 64
	// DefaultConnsPerAccount keeps one account (a bot that lost its mind) from taking all.
	DefaultConnsPerAccount = 512
	// DefaultRatePerIP is how many connections per second one address may open, after a
	// burst of DefaultBurstPerIP: a handshake takes 3 ms of a core.
	DefaultRatePerIP  = 30
	DefaultBurstPerIP = 100
	// DefaultSessions is how many channels one SSH connection may have open, as in OpenSSH.
	DefaultSessions = 10
)

const (
	// lingerTime is how long a refused push is read on, so that the client has sent all it
	// wanted to send and reads the answer instead of reporting a broken pipe.
	lingerTime = 30 * time.Second
	// readBuffer is the buffer between a connection and the pkt-line reader: one pkt-line.
	readBuffer = 64 << 10
)

// Limits bounds what clients may take. A zero field means its default.
type Limits struct {
	Pack            git.PackLimits
	File            int64 // bytes of one file that a push adds
	Fetches         int
	Pushes          int
	RequestBytes    int64
	KeepAlive       time.Duration
	Stall           time.Duration
	Idle            time.Duration
	PreAuth         time.Duration
	Conns           int
	ConnsPerIP      int
	ConnsPerAccount int
	RatePerIP       float64
	BurstPerIP      int
	Sessions        int
	LimitLoopback   bool // count this machine's own connections too
}

func orDefault[T int | int64 | float64 | time.Duration](v, standard T) T {
	if v <= 0 {
		return standard
	}
	return v
}

// complete returns l with the defaults filled in.
func (l Limits) complete() Limits {
	l.File = orDefault(l.File, git.MaxBlob)
	l.Fetches = orDefault(l.Fetches, DefaultFetches)
	l.Pushes = orDefault(l.Pushes, DefaultPushes)
	l.RequestBytes = orDefault(l.RequestBytes, DefaultRequestBytes)
	l.KeepAlive = orDefault(l.KeepAlive, DefaultKeepAlive)
	l.Stall = orDefault(l.Stall, DefaultStall)
	l.Idle = orDefault(l.Idle, DefaultIdle)
	l.PreAuth = orDefault(l.PreAuth, DefaultPreAuth)
	l.Conns = orDefault(l.Conns, DefaultConns)
	l.ConnsPerIP = orDefault(l.ConnsPerIP, DefaultConnsPerIP)
	l.ConnsPerAccount = orDefault(l.ConnsPerAccount, DefaultConnsPerAccount)
	l.RatePerIP = orDefault(l.RatePerIP, DefaultRatePerIP)
	l.BurstPerIP = orDefault(l.BurstPerIP, DefaultBurstPerIP)
	l.Sessions = orDefault(l.Sessions, DefaultSessions)
	return l
}

// admission is the line in front of the git processes: nobody is turned away, everybody
// waits for a slot, as long as the client does.
type admission struct {
	once    sync.Once
	fetches chan struct{}
	pushes  chan struct{}
}

func (s *Server) line() *admission {
	s.slots.once.Do(func() {
		l := s.Limits.complete()
		s.slots.fetches = make(chan struct{}, l.Fetches)
		s.slots.pushes = make(chan struct{}, l.Pushes)
	})
	return &s.slots
}

// enter waits for a slot. leave must be called when err is nil.
func enter(ctx context.Context, slots chan struct{}) (leave func(), err error) {
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, nil
	case <-ctx.Done():
		return nil, fault.Wrap(context.Cause(ctx), fault.Unavailable, "gitserver.enter", "the client left while it waited in line")
	}
}
