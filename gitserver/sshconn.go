package gitserver

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/time/rate"
)

const (
	// maxOffences is how many things that are never served a connection may ask for before
	// it is closed. A client with agent, X11 and ports to forward asks for about ten.
	maxOffences = 64
	// requestRate and requestBurst bound global requests: a client's own keep-alives come
	// once in seconds.
	requestRate  = 5
	requestBurst = 100
	// maxGuests is how many addresses are remembered before those that are quiet are
	// forgotten; one takes about 200 bytes.
	maxGuests = 8192
	// ipv6Site is the part of an IPv6 address that a network hands out: who has one address
	// in it has them all.
	ipv6Site = 64
	// missedKeepAlives is how many intervals a client may take to answer a keep-alive.
	missedKeepAlives = 3
)

// doorman counts connections.
type doorman struct {
	limits Limits
	now    func() time.Time

	mu       sync.Mutex
	conns    int
	guests   map[netip.Addr]*guest
	accounts map[int64]int
}

// guest is an address that connections come from.
type guest struct {
	conns  int
	bucket *rate.Limiter
}

func newDoorman(limits Limits, now func() time.Time) *doorman {
	return &doorman{limits: limits, now: now, guests: map[netip.Addr]*guest{}, accounts: map[int64]int{}}
}

// admit counts a connection from addr in, if there is room; leave must then be called once.
func (d *doorman) admit(addr net.Addr) (leave func(), ok bool) {
	who := site(addr)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conns >= d.limits.Conns {
		return nil, false
	}
	if who.IsLoopback() && !d.limits.LimitLoopback {
		d.conns++
		return func() { d.leave(nil) }, true
	}
	g := d.guests[who]
	if g == nil {
		d.forget()
		g = &guest{bucket: rate.NewLimiter(rate.Limit(d.limits.RatePerIP), d.limits.BurstPerIP)}
		d.guests[who] = g
	}
	if g.conns >= d.limits.ConnsPerIP || !g.bucket.AllowN(d.now(), 1) {
		return nil, false
	}
	d.conns++
	g.conns++
	return func() { d.leave(g) }, true
}

func (d *doorman) leave(g *guest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conns--
	if g != nil {
		g.conns--
	}
}

// forget drops the addresses that have no connection and a full bucket. The caller holds mu.
func (d *doorman) forget() {
	if len(d.guests) < maxGuests {
		return
	}
	now := d.now()
	for who, g := range d.guests {
		if g.conns == 0 && g.bucket.TokensAt(now) >= float64(d.limits.BurstPerIP) {
			delete(d.guests, who)
		}
	}
}

// claim counts a connection of an account in.
func (d *doorman) claim(account int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.accounts[account] >= d.limits.ConnsPerAccount {
		return false
	}
	d.accounts[account]++
	return true
}

func (d *doorman) unclaim(account int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.accounts[account]--; d.accounts[account] <= 0 {
		delete(d.accounts, account)
	}
}

// site is what one client may be taken for.
func site(addr net.Addr) netip.Addr {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	ip, _ := netip.AddrFromSlice(tcp.IP)
	ip = ip.Unmap()
	if ip.Is6() && !ip.IsLoopback() {
		if prefix, err := ip.WithZone("").Prefix(ipv6Site); err == nil {
			return prefix.Addr()
		}
	}
	return ip
}

// sshConn is one connection, signed in or not.
type sshConn struct {
	net.Conn
	h     *SSH
	leave func()
	once  sync.Once

	mu       sync.Mutex
	timer    *time.Timer // ends the sign-in, later an idle connection
	sessions int
	offences int
	account  int64
	requests *rate.Limiter
	alive    bool // somebody sends keep-alives
	closed   bool
}

type connKey struct{}

// connOf is the connection that ctx belongs to; admit put it there.
func connOf(ctx ssh.Context) *sshConn { return ctx.Value(connKey{}).(*sshConn) }

// admit is asked about every connection before anything is read from it.
func (h *SSH) admit(ctx ssh.Context, conn net.Conn) net.Conn {
	leave, ok := h.door.admit(conn.RemoteAddr())
	if !ok {
		h.server.log().Debug("ssh connection refused: too many", "remote", conn.RemoteAddr().String())
		return nil
	}
	c := &sshConn{Conn: conn, h: h, leave: leave, requests: rate.NewLimiter(requestRate, requestBurst)}
	ctx.SetValue(connKey{}, c)
	h.mu.Lock()
	h.conns[c] = struct{}{}
	closing := h.closing
	h.mu.Unlock()
	// A timer, not a deadline: the library clears deadlines, and each byte would renew one.
	c.mu.Lock()
	c.timer = time.AfterFunc(h.limits.PreAuth, func() {
		if ctx.Value(ssh.ContextKeyConn) == nil {
			_ = c.Close()
			return
		}
		c.rest()
	})
	c.mu.Unlock()
	if closing {
		_ = c.Close()
	}
	return c
}

// Close implements [net.Conn]; it also takes the connection out of all books.
func (c *sshConn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		err = c.Conn.Close()
		c.mu.Lock()
		c.closed = true
		c.timer.Stop()
		account := c.account
		c.mu.Unlock()
		c.h.mu.Lock()
		delete(c.h.conns, c)
		c.h.mu.Unlock()
		if account != 0 {
			c.h.door.unclaim(account)
		}
		c.leave()
	})
	return err
}

// claim counts the connection for its account, once.
func (c *sshConn) claim(account int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.account != 0 {
		return !c.closed && c.account == account
	}
	if !c.h.door.claim(account) {
		return false
	}
	c.account = account
	return true
}

// rest closes the connection after a while without sessions.
func (c *sshConn) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions == 0 && !c.closed {
		c.timer.Stop()
		c.timer = time.AfterFunc(c.h.limits.Idle, func() {
			if c.idle() {
				_ = c.Close()
			}
		})
	}
}

// idle reports whether no session is open.
func (c *sshConn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sessions == 0
}

// enter opens a session, if there is room for one more.
func (c *sshConn) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.sessions >= c.h.limits.Sessions {
		return false
	}
	c.sessions++
	return true
}

// exit closes a session.
func (c *sshConn) exit() {
	c.mu.Lock()
	c.sessions--
	c.mu.Unlock()
	c.rest()
}

// offend counts something that is never served.
func (c *sshConn) offend() {
	c.mu.Lock()
	c.offences++
	tooMany := c.offences > maxOffences
	c.mu.Unlock()
	if tooMany {
		_ = c.Close()
	}
}

// request counts a global request.
func (c *sshConn) request() {
	if !c.requests.AllowN(c.h.server.Now(), 1) {
		_ = c.Close()
	}
}

// keepAlive sends keep-alives from the first session on: they find dead clients, and
// accounts that have lost the right to be here.
func (c *sshConn) keepAlive(ctx ssh.Context, conn *gossh.ServerConn, id identity) {
	c.mu.Lock()
	started := c.alive
	c.alive = true
	c.mu.Unlock()
	if started {
		return
	}
	every := c.h.limits.KeepAlive
	ticks, stop := c.h.server.ticker(every)
	go func() {
		defer stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticks:
			}
			patience := time.AfterFunc(missedKeepAlives*every, func() { _ = c.Close() })
			_, _, err := conn.SendRequest("keepalive@openssh.com", true, nil)
			patience.Stop()
			if err != nil {
				return
			}
			if _, err := c.h.current(ctx, id); gone(err) {
				_ = c.Close()
				return
			}
		}
	}()
}
