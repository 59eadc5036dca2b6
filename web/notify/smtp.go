package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"gatehouse/gitserver/fault"
)

// How the way to the mail server is encrypted.
const (
	TLSStart    = "starttls" // as RFC 3207: refused when the server does not offer it
	TLSImplicit = "tls"      // from the first byte, as RFC 8314 wants it
	TLSNone     = "none"     // for a server on this machine
)

const (
	// smtpTimeout bounds one talk with the mail server.
	smtpTimeout = time.Minute
	// maxPasswordFile is more than any password.
	maxPasswordFile = 4 << 10
)

// Mailer is the way to a mail server. The password is read from its file for each talk, so
// that a new one needs no restart.
type Mailer struct {
	Server       string // HOST:PORT
	TLS          string
	User         string
	PasswordFile string
	From         string // the address that mails come from
	ReplyTo      string // where answers go; "" when nobody reads them
	Answers      string // the domain of the addresses whose mail becomes a comment, "" for none
	// Roots are the authorities that the server's certificate is checked with; nil is the system's.
	Roots *x509.CertPool
}

// Check says what is wrong with the settings.
func (m *Mailer) Check() error {
	const op = "notify.Mailer"
	if _, _, err := m.address(); err != nil {
		return err
	}
	for name, address := range map[string]string{"mail-from": m.From, "mail-reply-to": m.ReplyTo} {
		if name == "mail-reply-to" && address == "" {
			continue
		}
		if parsed, err := netmail.ParseAddress(address); err != nil || parsed.Address != address || strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return fault.New(fault.Invalid, op, fmt.Sprintf("%s is %q, which is not an address", name, oneLine(address, maxWord)), "write it as gate@example.org")
		}
	}
	if strings.ContainsFunc(m.Answers, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '@' }) {
		return fault.New(fault.Invalid, op, fmt.Sprintf("mail-answers-domain is %q, which is no domain", oneLine(m.Answers, maxWord)), "write it as answers.example.org")
	}
	switch m.TLS {
	case TLSStart, TLSImplicit, TLSNone:
	default:
		return fault.New(fault.Invalid, op, fmt.Sprintf("mail-tls is %q", oneLine(m.TLS, maxWord)), "use starttls, tls or none")
	}
	if (m.User == "") != (m.PasswordFile == "") {
		return fault.New(fault.Invalid, op, "a mail user needs a password and a password a user", "give both mail-user and mail-password-file")
	}
	host, _, _ := m.address()
	if m.User != "" && m.TLS == TLSNone && !loopback(host) {
		return fault.New(fault.Invalid, op, "the mail password would go over the network in the clear", "use mail-tls starttls or tls")
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (m *Mailer) address() (host string, port int, err error) {
	host, text, err := net.SplitHostPort(m.Server)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil || host == "" || port < 1 || port > 65535 {
		return "", 0, fault.New(fault.Invalid, "notify.Mailer", fmt.Sprintf("mail-server is %q, which is not HOST:PORT", oneLine(m.Server, maxWord)), "write it as mail.example.org:587")
	}
	return host, port, nil
}

func (m *Mailer) password() (string, error) {
	info, err := os.Stat(m.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("the mail password cannot be read: %w", err)
	}
	if info.Size() > maxPasswordFile {
		return "", fmt.Errorf("%s is too large for a password", m.PasswordFile)
	}
	text, err := os.ReadFile(m.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("the mail password cannot be read: %w", err)
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" {
		return "", fmt.Errorf("%s holds no password", m.PasswordFile)
	}
	return password, nil
}

// client makes one talk with the server. What it dials is handed to keep: the library forgets to
// hang up when the talk fails early.
func (m *Mailer) client(timeout time.Duration, keep func(net.Conn)) (*mail.Client, error) {
	host, port, err := m.address()
	if err != nil {
		return nil, err
	}
	_, own, _ := strings.Cut(m.From, "@")
	options := []mail.Option{
		mail.WithPort(port), mail.WithTimeout(timeout), mail.WithHELO(own),
		mail.WithTLSConfig(&tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, RootCAs: m.Roots}),
	}
	switch m.TLS {
	case TLSStart:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	case TLSImplicit:
		options = append(options, mail.WithSSL())
	default:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	}
	if m.TLS != TLSImplicit { // there it has to dial by itself, to know that the line is encrypted
		options = append(options, mail.WithDialContextFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err == nil {
				keep(conn)
			}
			return conn, err
		}))
	}
	if m.User != "" {
		password, err := m.password()
		if err != nil {
			return nil, err
		}
		kind := mail.SMTPAuthAutoDiscover
		if m.TLS == TLSNone {
			kind = mail.SMTPAuthPlainNoEnc // [Mailer.Check] lets this happen only on this machine
		}
		options = append(options, mail.WithSMTPAuth(kind), mail.WithUsername(m.User), mail.WithPassword(password))
	}
	return mail.NewClient(host, options...)
}

// Send gives one mail to the server.
func (m *Mailer) Send(ctx context.Context, msg *mail.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, smtpTimeout)
	defer cancel()
	timeout := smtpTimeout
	if end, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(end), time.Millisecond) //nolint:forbidigo // a network deadline; the library looks at no context while it reads
	}
	c, err := m.client(timeout, func(conn net.Conn) { context.AfterFunc(ctx, func() { _ = conn.Close() }) })
	if err != nil {
		return err
	}
	return c.DialAndSendWithContext(ctx, msg)
}

// forGood reports whether the server refused a mail in a way that another attempt cannot
// mend: the address or the mail itself, not the connection or the sign-in.
func forGood(err error) bool {
	var refused *mail.SendError
	if !errors.As(err, &refused) || refused.IsTemp() {
		return false
	}
	switch refused.Reason {
	case mail.ErrSMTPRcptTo, mail.ErrSMTPData, mail.ErrSMTPDataClose, mail.ErrGetRcpts:
		return true
	}
	return false
}
