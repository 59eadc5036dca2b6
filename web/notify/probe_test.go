package notify

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/gitserver/fault"
	"gatehouse/web/notify/notifytest"
)

// A probe goes as far as a mail would and sends none; what hinders it is said with the setting
// that mends it.
func TestProbe(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	for _, c := range []struct {
		name   string
		server func(s *notifytest.SMTP)
		mailer func(m *Mailer)
		next   string // "" when all is well
	}{
		{name: "encrypted"},
		{name: "signs in", server: func(s *notifytest.SMTP) { s.Password("sesame") }, mailer: func(m *Mailer) { m.User, m.PasswordFile = "gate", secret }},
		{name: "in the clear", server: (*notifytest.SMTP).WithoutTLS, mailer: func(m *Mailer) { m.TLS = TLSNone }},
		{"nobody listens", nil, func(m *Mailer) { m.Server = gone.Addr().String() }, "check mail-server"},
		{"a strange certificate", nil, func(m *Mailer) { m.Roots = nil }, "name the host"},
		{"no STARTTLS", (*notifytest.SMTP).WithoutTLS, nil, "check mail-tls (now starttls)"},
		{"TLS from the first byte", nil, func(m *Mailer) { m.TLS = TLSImplicit }, "set mail-tls to starttls"},
		{"a wrong password", func(s *notifytest.SMTP) { s.Password("open") }, func(m *Mailer) { m.User, m.PasswordFile = "gate", secret }, "check mail-user"},
		{"no password", nil, func(m *Mailer) { m.User, m.PasswordFile = "gate", secret+".gone" }, "mail-password-file"},
		{"not welcome", func(s *notifytest.SMTP) { s.Answer("EHLO", "554 5.7.1 go away"); s.Answer("HELO", "554 5.7.1 go away") }, nil, "takes mail from this machine"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := notifytest.NewSMTP(t)
			m := &Mailer{Server: s.Addr, TLS: TLSStart, From: "gate@gate.test", Roots: s.Roots}
			if c.server != nil {
				c.server(s)
			}
			if c.mailer != nil {
				c.mailer(m)
			}
			err := m.Probe(t.Context())
			sentence, next := fault.Public(err)
			if (err == nil) != (c.next == "") || !strings.Contains(next, c.next) {
				t.Errorf("%v: %q, next %q", err, sentence, next)
			}
			if n := len(s.Mails()); n != 0 {
				t.Errorf("%d mails were sent", n)
			}
		})
	}
}

// A server that says nothing does not hold the doctor up for longer than it was given.
func TestProbeEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	for _, way := range []string{TLSStart, TLSImplicit} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := (&Mailer{Server: l.Addr().String(), TLS: way, From: "gate@gate.test"}).Probe(ctx)
		cancel()
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", way, err)
		}
	}
}
