// Package notifytest has what tests send to: a mail server and a web server that keep what
// they are sent and answer what they are told to. They listen on this machine only.
package notifytest

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds one connection: only what is stuck reaches it.
const patience = time.Minute

// Mail is what the sink was sent.
type Mail struct {
	From, To string
	Text     string // headers and body, with plain line ends
	User     string // who signed in
	TLS      bool
}

// SMTP is a mail server that keeps what it is sent.
type SMTP struct {
	Addr  string
	Roots *x509.CertPool // what its certificate is checked with

	listener net.Listener
	config   *tls.Config
	mu       sync.Mutex
	mails    []Mail
	answers  map[string][]string
	plain    bool
	password string
}

// NewSMTP starts a mail server that offers STARTTLS, and stops it with the test.
func NewSMTP(t testing.TB) *SMTP {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cert, roots := certificate(t)
	s := &SMTP{Addr: l.Addr().String(), Roots: roots, listener: l, config: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, answers: map[string][]string{}}
	var wg sync.WaitGroup
	open := map[net.Conn]bool{}
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			open[conn] = true
			s.mu.Unlock()
			wg.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for conn := range open {
			_ = conn.Close() // a client that never hangs up
		}
		s.mu.Unlock()
		wg.Wait()
	})
	return s
}

// WithoutTLS makes the server offer no STARTTLS.
func (s *SMTP) WithoutTLS() { s.mu.Lock(); defer s.mu.Unlock(); s.plain = true }

// Password makes the server want it from everybody.
func (s *SMTP) Password(p string) { s.mu.Lock(); defer s.mu.Unlock(); s.password = p }

// Answer makes the server answer the next commands that begin with verb so, one each.
func (s *SMTP) Answer(verb string, lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[verb] = append(s.answers[verb], lines...)
}

// Mails is what was sent so far, oldest first.
func (s *SMTP) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

func (s *SMTP) scripted(verb string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if all := s.answers[verb]; len(all) > 0 {
		s.answers[verb] = all[1:]
		return all[0]
	}
	return ""
}

func (s *SMTP) wants() (password string, plain bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.password, s.plain
}

// serve is one connection.
func (s *SMTP) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience)) //nolint:forbidigo // a network deadline
	in := bufio.NewReader(conn)
	say := func(line string) { _, _ = conn.Write([]byte(line + "\r\n")) }
	var m Mail
	password, plain := s.wants()
	say("220 sink ready")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, rest, _ := strings.Cut(line, " ")
		verb = strings.ToUpper(verb)
		if scripted := s.scripted(verb); scripted != "" {
			say(scripted)
			continue
		}
		switch verb {
		case "EHLO", "HELO":
			offer := "250-sink\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-AUTH PLAIN\r\n"
			if !plain && !m.TLS {
				offer += "250-STARTTLS\r\n"
			}
			say(offer + "250 SIZE 1000000")
		case "STARTTLS":
			say("220 go ahead")
			encrypted := tls.Server(conn, s.config)
			if encrypted.Handshake() != nil {
				return
			}
			conn, in, m = encrypted, bufio.NewReader(encrypted), Mail{TLS: true}
			say = func(line string) { _, _ = encrypted.Write([]byte(line + "\r\n")) }
		case "AUTH":
			_, secret, _ := strings.Cut(rest, " ")
			raw, _ := base64.StdEncoding.DecodeString(secret)
			parts := strings.Split(string(raw), "\x00")
			if len(parts) != 3 || parts[2] != password {
				say("535 5.7.8 wrong")
				continue
			}
			m.User = parts[1]
			say("235 2.7.0 welcome")
		case "MAIL":
			if password != "" && m.User == "" {
				say("530 5.7.0 sign in first")
				continue
			}
			m.From = rest
			say("250 2.1.0 ok")
		case "RCPT":
			m.To = strings.Trim(strings.TrimPrefix(rest, "TO:"), "<>")
			say("250 2.1.5 ok")
		case "DATA":
			say("354 go on")
			text, err := readData(in)
			if err != nil {
				return
			}
			if scripted := s.scripted("."); scripted != "" {
				say(scripted)
				continue
			}
			m.Text = text
			s.mu.Lock()
			s.mails = append(s.mails, m)
			s.mu.Unlock()
			say("250 2.0.0 kept")
		case "RSET", "NOOP":
			say("250 2.0.0 ok")
		case "QUIT":
			say("221 2.0.0 bye")
			return
		default:
			say("502 5.5.2 what?")
		}
	}
}

func readData(in *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "." {
			return b.String(), nil
		}
		b.WriteString(strings.TrimPrefix(line, ".") + "\n")
	}
}

// certificate makes one for this machine.
func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sink"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}
