package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"gatehouse/gitserver/fault"
)

// probeTimeout bounds one probe: somebody waits for it.
const probeTimeout = 8 * time.Second

// Encryption is how the way to the server is protected, in words.
func (m *Mailer) Encryption() string {
	switch m.TLS {
	case TLSStart:
		return "TLS by STARTTLS"
	case TLSImplicit:
		return "TLS"
	}
	return "not encrypted"
}

// Probe talks with the mail server up to where a mail would begin: it connects, encrypts, signs
// in and hangs up. What is wrong it says with the setting that mends it.
func (m *Mailer) Probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if m.User != "" {
		if _, err := m.password(); err != nil {
			return fault.New(fault.Invalid, "notify.Probe", err.Error(), "write the password into the file that mail-password-file names")
		}
	}
	var dialled net.Conn
	c, err := m.client(probeTimeout, func(conn net.Conn) {
		dialled = conn
		context.AfterFunc(ctx, func() { _ = conn.Close() })
	})
	if err != nil {
		return err
	}
	if err := c.DialWithContext(ctx); err != nil {
		if dialled != nil {
			_ = dialled.Close() // the library forgets to
		}
		return m.whyNot(err)
	}
	if err := c.Close(); err != nil {
		return m.whyNot(err)
	}
	return nil
}

// whyNot says what hindered a talk, and what to do about it.
func (m *Mailer) whyNot(err error) error {
	refuse := func(what, next string) error {
		return &fault.Error{Kind: fault.Unavailable, Op: "notify.Probe", Err: err, Public: fmt.Sprintf("%s %s", m.Server, what), Next: next}
	}
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var plain tls.RecordHeaderError
	var dial *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return refuse("has a name that nobody knows: "+oneLine(err.Error(), maxWord), "correct mail-server, or the name server of this machine")
	case errors.As(err, &name), errors.As(err, &unknown), errors.As(err, &invalid):
		return refuse("shows a certificate that is not good for it: "+oneLine(err.Error(), maxWord), "name the host as in its certificate, or have the system trust who issued it")
	case errors.As(err, &plain):
		return refuse("does not begin with TLS", "set mail-tls to starttls (usual on port 587), or the port to 465")
	case errors.As(err, &dial) && dial.Op == "dial":
		return refuse("cannot be reached: "+oneLine(err.Error(), maxWord), "check mail-server, that it listens there, and that nothing in between forbids it")
	case m.TLS == TLSImplicit || m.User == "":
		return refuse("does not talk with this server: "+oneLine(err.Error(), maxWord), "check mail-tls (now "+m.TLS+") and whether the server takes mail from this machine")
	}
	return refuse("does not let it in: "+oneLine(err.Error(), maxWord), "check mail-user, the password in "+m.PasswordFile+", and mail-tls (now "+m.TLS+")")
}
