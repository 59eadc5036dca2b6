// Package inbound takes answers to the server's mails over SMTP and makes comments of them.
//
// It speaks SMTP (RFC 5321) as the last server on the way of a mail: it takes mail for the
// addresses that the server's own mails name as Reply-To, and for nobody else. The address
// says, signed, whose answer it is and to what; it is the only authority. Who the mail says to
// be from, SPF and DKIM are not looked at: whoever knows the address may comment as its owner.
//
// Invariants: a mail is answered with 250 only once its comment is written, or once it is
// known that a program sent it; every other one is refused, so that its sender hears of it.
// Nothing is ever sent. Sizes, times, connections and recipients are bounded.
package inbound

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/emersion/go-smtp"
	"golang.org/x/net/netutil"

	"gatehouse/gitserver/fault"
	"gatehouse/web/notify"
)

const (
	// maxMail is the largest mail in bytes: an answer with what it quotes, and a picture.
	maxMail = 2 << 20
	// maxRecipients of one mail: an answer has one.
	maxRecipients = 5
	// maxConnections at once, and talkTime for each step of a talk: mail servers are few and quick.
	maxConnections = 20
	talkTime       = 30 * time.Second
	// maxStrangers is how many addresses that are nobody's one connection may try.
	maxStrangers = 10
	// publishTime bounds the writing of one comment.
	publishTime = 20 * time.Second
)

// Taker knows the addresses, and publishes: [notify.Service].
type Taker interface {
	Answering(address string) (notify.Answering, error)
	Answer(ctx context.Context, a notify.Answering, id, text string) error
}

// Server takes mail. Its fields are set before Serve.
type Server struct {
	Domain string // how it greets
	Taker  Taker
	Log    *slog.Logger
}

// Serve takes mail on l until ctx ends; it closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{server: s, ctx: ctx}, nil }))
	server.Domain, server.MaxRecipients, server.MaxMessageBytes = s.Domain, maxRecipients, maxMail
	server.ReadTimeout, server.WriteTimeout = talkTime, talkTime
	server.EnableSMTPUTF8 = true
	server.ErrorLog = slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug)
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // what is under way is sent again
	defer stop()
	err := server.Serve(netutil.LimitListener(l, maxConnections))
	if ctx.Err() != nil || errors.Is(err, smtp.ErrServerClosed) {
		return nil
	}
	return err
}

// session is one talk.
type session struct {
	server    *Server
	ctx       context.Context
	nobody    bool // the sender is empty: a report, which is never answered
	to        []notify.Answering
	strangers int
}

func (s *session) Reset()        { s.nobody, s.to = false, nil }
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.nobody = from == ""
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	a, err := s.server.Taker.Answering(to)
	if err != nil {
		if s.strangers++; s.strangers > maxStrangers {
			return &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 7, 0}, Message: "too many addresses that are nobody's"}
		}
		return s.refusal(err, smtp.EnhancedCode{5, 1, 1})
	}
	s.to = append(s.to, a)
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err // the mail is too large, or was cut: the library says so
	}
	mail, err := read(raw)
	switch {
	case mail.auto || s.nobody:
		s.server.Log.Info("a mail that a program sent was dropped", "id", mail.id)
		return nil
	case errors.Is(err, errNoText):
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: err.Error() + ": write above it, as text"}
	case err != nil:
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "this is no mail that can be read"}
	}
	ctx, cancel := context.WithTimeout(s.ctx, publishTime)
	defer cancel()
	for _, to := range s.to { // one that was taken is not taken again when a later one fails
		if err := s.server.Taker.Answer(ctx, to, mail.id, mail.text); err != nil {
			return s.refusal(err, smtp.EnhancedCode{5, 7, 1})
		}
	}
	return nil
}

// refusal is a fault in the words of SMTP: what may be well later is to be sent again.
func (s *session) refusal(err error, code smtp.EnhancedCode) error {
	switch fault.KindOf(err) {
	case fault.Internal:
		s.server.Log.Error("an answer by mail failed", "err", err)
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "the server has a problem of its own"}
	case fault.Unavailable:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: oneLine(fault.Sentence(err))}
	}
	return &smtp.SMTPError{Code: 550, EnhancedCode: code, Message: oneLine(fault.Sentence(err))}
}

// oneLine makes a sentence fit for a reply of SMTP: printable ASCII, in one line.
func oneLine(text string) string {
	const most = 300
	out := []byte{}
	for _, r := range text {
		if r < ' ' || r > '~' {
			r = '?'
		}
		if out = append(out, byte(r)); len(out) == most {
			break
		}
	}
	return string(out)
}
