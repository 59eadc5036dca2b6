package gitserver

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"gatehouse/migrations/db"
)

// Connections that do not sign in are closed, whatever they send or do not send.
func TestHalfOpenConnectionsAreClosed(t *testing.T) {
	w := newWorld(t, func(s *Server) { s.Limits.PreAuth = 300 * time.Millisecond })
	const count = 200
	closed := make(chan error, count)
	for i := range count {
		conn, err := net.Dial("tcp", w.sshAddr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		go func() {
			if i%4 == 1 {
				_, _ = io.WriteString(conn, "SSH-2.0-half")
			}
			if i%4 == 2 {
				_, _ = io.WriteString(conn, "SSH-2.0-silent\r\n")
			}
			if i%4 == 3 { // a byte now and then must not renew anything
				go func() {
					for {
						if _, err := conn.Write([]byte("S")); err != nil {
							return
						}
					}
				}()
			}
			_, err := io.Copy(io.Discard, conn)
			closed <- err
		}()
	}
	for range count {
		<-closed // the test's own deadline is the proof
	}
	if c, err := w.dialSSH(gossh.PublicKeys(w.people["alice"].signer)); err != nil {
		t.Errorf("somebody real: %v", err)
	} else {
		_ = c.Close()
	}
	eventually(t, "all are out of the books", func() bool {
		w.ssh.mu.Lock()
		defer w.ssh.mu.Unlock()
		return len(w.ssh.conns) == 0
	})
}

// A client that is signed in outlives the deadline for signing in.
func TestSignedInOutlivesTheDeadline(t *testing.T) {
	w := newWorld(t, func(s *Server) { s.Limits.PreAuth = 200 * time.Millisecond })
	w.newRepo("hello", false)
	c := w.mustDial("alice")
	half, err := net.Dial("tcp", w.sshAddr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, half) // came later and is closed: the deadline of c is over
	_ = half.Close()
	if out, _, code := w.exec(c, "git-upload-pack hello", "0000"); code != 0 || out == "" {
		t.Errorf("exit %d, %q", code, out)
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	w := newWorld(t, func(s *Server) {
		s.Limits.Idle = 100 * time.Millisecond
		s.Limits.PreAuth = 100 * time.Millisecond
	})
	w.newRepo("hello", false)
	_ = w.mustDial("alice").Wait() // no session at all
	c := w.mustDial("alice")
	for _, line := range []string{"git-upload-pack hello", "git-receive-pack hello"} {
		s, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		in, err := s.StdinPipe() // stays open, and silent
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(line); err != nil {
			t.Fatal(err)
		}
		_ = s.Wait()
		_ = in.Close()
	}
	ch, requests, err := c.OpenChannel("session", nil) // without a command
	if err != nil {
		t.Fatal(err)
	}
	gossh.DiscardRequests(requests) // until it is closed
	_ = ch.Close()
}

func TestConnectionCaps(t *testing.T) {
	w := newWorld(t, func(s *Server) {
		s.Limits.LimitLoopback, s.Limits.ConnsPerIP, s.Limits.BurstPerIP, s.Limits.RatePerIP = true, 3, 1000, 1000
	})
	var clients []*gossh.Client
	for range 3 {
		clients = append(clients, w.mustDial("alice"))
	}
	if _, err := w.dialSSH(gossh.PublicKeys(w.people["alice"].signer)); err == nil {
		t.Error("there are four connections from one address")
	}
	_ = clients[0].Close()
	eventually(t, "room for one", func() bool {
		c, err := w.dialSSH(gossh.PublicKeys(w.people["alice"].signer))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func TestConnectionsPerAccount(t *testing.T) {
	w := newWorld(t, func(s *Server) { s.Limits.ConnsPerAccount = 1 })
	c := w.mustDial("alice")
	if _, err := w.dialSSH(gossh.PublicKeys(w.people["alice"].signer)); err == nil {
		t.Error("alice has two connections")
	}
	w.mustDial("bob")
	_ = c.Close()
	eventually(t, "room for alice", func() bool {
		c, err := w.dialSSH(gossh.PublicKeys(w.people["alice"].signer))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func TestDoorman(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	d := newDoorman(Limits{Conns: 100, ConnsPerIP: 50, RatePerIP: 10, BurstPerIP: 5, ConnsPerAccount: 1}, func() time.Time { return now })
	from := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 1} }
	admitted := func(ip string, times int) (n int) {
		for range times {
			if leave, ok := d.admit(from(ip)); ok {
				n++
				leave()
			}
		}
		return n
	}
	if n := admitted("192.0.2.1", 10); n != 5 {
		t.Errorf("a burst of 5 let %d in", n)
	}
	if n := admitted("192.0.2.2", 10); n != 5 {
		t.Errorf("another address got %d", n)
	}
	now = now.Add(300 * time.Millisecond)
	if n := admitted("192.0.2.1", 10); n != 3 {
		t.Errorf("after 0.3 s at 10/s: %d", n)
	}
	if n := admitted("127.0.0.1", 90); n != 90 {
		t.Errorf("this machine got %d", n)
	}
	if n := admitted("2001:db8::1", 5) + admitted("2001:db8::2", 5) + admitted("2001:db8:0:1::1", 5); n != 10 {
		t.Errorf("two IPv6 sites got %d", n)
	}
	if n := admitted("::ffff:192.0.2.1", 1); n != 0 {
		t.Error("an IPv4 address in IPv6 clothes is another guest")
	}
	now = now.Add(time.Hour)
	for i := range maxGuests + 10 {
		if admitted(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), 1) != 1 {
			t.Fatal("not admitted")
		}
		now = now.Add(time.Second)
	}
	if len(d.guests) > maxGuests {
		t.Errorf("%d guests are remembered", len(d.guests))
	}
	for range 100 {
		if _, ok := d.admit(from("127.0.0.1")); !ok {
			t.Fatal("not admitted")
		}
	}
	if _, ok := d.admit(from("127.0.0.1")); ok {
		t.Error("more than the cap of all connections")
	}
	if !d.claim(1) || d.claim(1) || !d.claim(2) {
		t.Error("one connection for each account")
	}
	d.unclaim(1)
	if !d.claim(1) {
		t.Error("the place was not given back")
	}
}

func TestSessionCap(t *testing.T) {
	w := newWorld(t, func(s *Server) { s.Limits.Sessions = 2 })
	c := w.mustDial("alice")
	a, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.NewSession(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.NewSession(); err == nil {
		t.Error("a third session")
	}
	_ = a.Close()
	eventually(t, "room for one", func() bool {
		s, err := c.NewSession()
		if err == nil {
			_ = s.Close()
		}
		return err == nil
	})
}

// Storms of requests that are never served end the connection.
func TestStormsEndTheConnection(t *testing.T) {
	const storm = 100_000
	w := newWorld(t)
	c := w.mustDial("alice")
	for range maxOffences + 1 { // no more: Go's client may wait for ever when it opens one on a closed connection
		var refused *gossh.OpenChannelError
		if _, _, err := c.OpenChannel("direct-tcpip", nil); !errors.As(err, &refused) {
			t.Fatal(err)
		}
	}
	_ = c.Wait()
	c = w.mustDial("alice")
	var err error
	for i := 0; i < storm && err == nil; i++ {
		_, _, err = c.SendRequest("x@example.test", true, nil)
	}
	if err == nil {
		t.Errorf("%d global requests are borne", storm)
	}
	s, err := w.mustDial("alice").NewSession()
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < storm && err == nil; i++ {
		_, err = s.SendRequest("env", true, gossh.Marshal(struct{ K, V string }{fmt.Sprint("X", i), "y"}))
	}
	if err == nil {
		t.Errorf("%d variables are borne", storm)
	}
}

func TestDisabledAccountLosesItsConnection(t *testing.T) {
	w := newWorld(t)
	w.newRepo("hello", false)
	c := w.mustDial("bob")
	if _, _, code := w.exec(c, "git-upload-pack hello", "0000"); code != 0 {
		t.Fatal(code)
	}
	w.transact(func(tx *db.Tx) error {
		return w.server.Accounts.SetDisabled(w.ctx, tx, w.people["bob"].account.ID, true)
	})
	if out, errOut, code := w.exec(c, "git-upload-pack hello", "0000"); code != 128 || out != "" {
		t.Errorf("exit %d, %q, %q", code, out, errOut)
	}
	w.clock.c <- time.Now() // the keep-alive looks too, and ends the connection
	_ = c.Wait()
}
