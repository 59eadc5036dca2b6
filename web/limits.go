package web

import (
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"gatehouse/gitserver/fault"
)

const (
	// signinEvery and signinBurst bound attempts to sign in from one address: a person who
	// mistypes notices nothing, a guesser gets one attempt in six seconds.
	signinEvery = 6 * time.Second
	signinBurst = 30
	// nameEvery and nameBurst bound attempts on one name from one address. The address is
	// part of the key, so that nobody can lock somebody else out.
	nameEvery = 12 * time.Second
	nameBurst = 10
	// maxSignins bounds the memory of the limiter; when it is full the oldest half is forgotten.
	maxSignins = 10_000

	// maxStreams is how many event streams the server keeps open; each costs a goroutine and
	// a few kilobytes.
	maxStreams = 1024
	// maxStreamsEach is how many of them one visitor gets: a page uses one, and browsers open
	// no more than six connections to a host over HTTP/1.1.
	maxStreamsEach = 32
)

// signinLimit slows guessing down. The zero value is ready.
type signinLimit struct {
	mu      sync.Mutex
	buckets map[string]*rate.Limiter
	older   map[string]*rate.Limiter
}

// allow takes one attempt from addr on name, or refuses it.
func (l *signinLimit) allow(now time.Time, addr, name string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	ok := l.bucket(host, signinEvery, signinBurst).AllowN(now, 1)
	if ok && name != "" {
		ok = l.bucket(host+" "+name, nameEvery, nameBurst).AllowN(now, 1)
	}
	if !ok {
		return fault.New(fault.Unavailable, "web.signin", "too many attempts to sign in", "wait a minute and try again")
	}
	return nil
}

func (l *signinLimit) bucket(key string, every time.Duration, burst int) *rate.Limiter {
	if b, ok := l.buckets[key]; ok {
		return b
	}
	b, ok := l.older[key]
	if !ok {
		b = rate.NewLimiter(rate.Every(every), burst)
	}
	if len(l.buckets) >= maxSignins/2 {
		l.older, l.buckets = l.buckets, nil
	}
	if l.buckets == nil {
		l.buckets = map[string]*rate.Limiter{}
	}
	l.buckets[key] = b
	return b
}

// streamLimit counts open event streams. The zero value is ready.
type streamLimit struct {
	mu   sync.Mutex
	all  int
	each map[string]int
}

// enter takes a place for the visitor, or refuses. leave gives it back.
func (l *streamLimit) enter(visitor string) (leave func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= maxStreams || l.each[visitor] >= maxStreamsEach {
		return nil, fault.New(fault.Unavailable, "web.stream", "too many open streams", "close some pages, or reload to see what is new")
	}
	if l.each == nil {
		l.each = map[string]int{}
	}
	l.all++
	l.each[visitor]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all--
		if l.each[visitor]--; l.each[visitor] == 0 {
			delete(l.each, visitor)
		}
	}, nil
}
