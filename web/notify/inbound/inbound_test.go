package inbound

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"gatehouse/gitserver/fault"
	"gatehouse/web/notify"
)

// mailbox takes answers to a few addresses, and can be told to fail.
type mailbox struct {
	mu    sync.Mutex
	taken []string
	fails error
}

func (m *mailbox) Answering(address string) (notify.Answering, error) {
	if address != "answer+one@gate.test" && address != "answer+two@gate.test" {
		return notify.Answering{}, fault.New(fault.NotFound, "x", "nobody is at this address", "")
	}
	return notify.Answering{Account: int64(len(address)), Change: 1}, nil
}

func (m *mailbox) Answer(_ context.Context, a notify.Answering, id, text string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fails != nil {
		return m.fails
	}
	m.taken = append(m.taken, id+" "+text)
	return nil
}

// talk is a client that says lines and reads replies.
type talk struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func dial(t *testing.T, box *mailbox) *talk {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	s := &Server{Domain: "gate.test", Taker: box, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &talk{t, conn, bufio.NewReader(conn)}
	c.reply("220")
	c.say("EHLO client.test", "250")
	return c
}

func (c *talk) reply(code string) string {
	c.t.Helper()
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("reading: %v", err)
		}
		if len(line) > 3 && line[3] == '-' {
			continue
		}
		if !strings.HasPrefix(line, code) {
			c.t.Errorf("reply %q, want %s", line, code)
		}
		return line
	}
}

func (c *talk) say(line, code string) string {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.conn, "%s\r\n", line); err != nil {
		c.t.Fatal(err)
	}
	return c.reply(code)
}

func (c *talk) mail(from, to, body, code string) string {
	c.t.Helper()
	c.say("MAIL FROM:<"+from+">", "250")
	c.say("RCPT TO:<"+to+">", "250")
	c.say("DATA", "354")
	return c.say(strings.ReplaceAll(body, "\n", "\r\n")+"\r\n.", code)
}

const plainMail = "From: Alice <alice@elsewhere.test>\nMessage-ID: <m1@x>\nSubject: Re: Change 1\n\nLooks good.\n\nOn Monday, Bob wrote:\n> a\n> b\n\n-- \nAlice\n"

func TestDialogue(t *testing.T) {
	box := &mailbox{}
	c := dial(t, box)
	c.mail("alice@elsewhere.test", "answer+one@gate.test", plainMail, "250")
	if len(box.taken) != 1 || box.taken[0] != "<m1@x> Looks good." {
		t.Errorf("taken %q", box.taken)
	}
	c.say("MAIL FROM:<x@y.test>", "250")
	if got := c.say("RCPT TO:<root@gate.test>", "550"); !strings.Contains(got, "5.1.1 nobody is at this address") {
		t.Errorf("%q", got)
	}
	c.say("DATA", "50") // no recipient: 502 or 503
	c.say("RSET", "250")
	if got := c.mail("x@y.test", "answer+one@gate.test", "Message-ID: <m2@x>\nSubject: x\n\n> only what was quoted\n", "554"); !strings.Contains(got, "plain text") {
		t.Errorf("%q", got)
	}
	c.mail("x@y.test", "answer+one@gate.test", "no header at all\n", "554")
	for _, auto := range []string{"Auto-Submitted: auto-replied", "Precedence: bulk", "X-Auto-Response-Suppress: All", "List-Id: <a.b>", "Content-Type: multipart/report; boundary=x"} {
		c.mail("x@y.test", "answer+one@gate.test", auto+"\nMessage-ID: <a@x>\n\nI am on holiday.\n", "250")
	}
	c.mail("", "answer+one@gate.test", "Message-ID: <b@x>\n\nDelivery failed.\n", "250")
	if len(box.taken) != 1 {
		t.Errorf("programs were heard: %q", box.taken)
	}
	box.fails = fault.New(fault.Denied, "x", "you may not comment\nhere ☃", "")
	if got := c.mail("x@y.test", "answer+two@gate.test", plainMail, "550"); strings.ContainsAny(got[:len(got)-2], "\n\r☃") {
		t.Errorf("%q", got)
	}
	box.fails = fmt.Errorf("database: password hunter2")
	if got := c.mail("x@y.test", "answer+two@gate.test", plainMail, "451"); strings.Contains(got, "hunter2") {
		t.Errorf("a cause was told: %q", got)
	}
	box.fails = nil
	c.mail("x@y.test", "answer+two@gate.test", plainMail, "250") // sent again
	c.say("QUIT", "221")
}

func TestLimits(t *testing.T) {
	box := &mailbox{}
	c := dial(t, box)
	c.mail("x@y.test", "answer+one@gate.test", "Message-ID: <m@x>\n\n"+strings.Repeat(strings.Repeat("x", 70)+"\n", maxMail/71+2), "552")
	c.say("MAIL FROM:<x@y.test>", "250")
	for range maxStrangers {
		c.say("RCPT TO:<guess@gate.test>", "550")
	}
	c.say("RCPT TO:<guess@gate.test>", "421")
	if len(box.taken) != 0 {
		t.Errorf("taken %q", box.taken)
	}
}

func TestOwn(t *testing.T) {
	for in, want := range map[string]string{
		"Yes.\n": "Yes.",
		"Yes.\n\nOn Mon, 23 Nov 2026 at 10:00, Bob <bob@x>\nwrote:\n\n> Why?\n> \n": "Yes.",
		"Ja.\n\nAm 23.11.26 um 10:00 schrieb Bob:\n> Warum?\n":                      "Ja.",
		"> Why?\n\nBecause.\n":                              "Because.",
		"> One?\nYes.\n> Two?\nNo.\n\n> rest\n":             "> One?\nYes.\n> Two?\nNo.",
		"Yes.\n\n-----Original Message-----\nFrom: Bob\n":   "Yes.",
		"Yes.\n________________________________\nFrom: Bob": "Yes.",
		"Yes.\n\nFrom: Bob <b@x>\nSent: Monday\nTo: x\n":    "Yes.",
		"Yes.\n-- \nAlice\nACME\n":                          "Yes.",
		"-- \nAlice\n":                                      "",
		"> only\n":                                          "",
		"On it, I wrote a test:\n\n    x\n":                 "On it, I wrote a test:\n\n    x",
	} {
		if got := own(in); got != want {
			t.Errorf("%q\n got %q\nwant %q", in, got, want)
		}
	}
}

func TestRead(t *testing.T) {
	for name, c := range map[string]struct{ mail, want string }{
		"alternative": {"Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nGr=FCn\n--b\nContent-Type: text/html\n\n<b>no</b>\n--b--\n", "Grün"},
		"nested":      {"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\nSGVsbG8=\n--b--\n--a--\n", "Hello"},
		"attachment":  {"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: text/plain\nContent-Disposition: attachment\n\nfile\n--a\nContent-Type: text/plain\n\nwords\n--a--\n", "words"},
		"html only":   {"Content-Type: text/html\n\n<b>x</b>\n", ""},
		"charset":     {"Content-Type: text/plain; charset=none-such\n\nx\n", ""},
		"controls":    {"Content-Type: text/plain\n\na\x1b[31mb\x00\n", "a[31mb"},
		"cut":         {"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Ty", ""},
	} {
		got, err := read([]byte("Message-ID: <x>\n" + c.mail))
		if got.text != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v", name, got.text, err)
		}
	}
	deep := "Content-Type: multipart/mixed; boundary=a\n\n" + strings.Repeat("--a\nContent-Type: multipart/mixed; boundary=a\n\n", 100)
	if _, err := read([]byte(deep)); err == nil {
		t.Error("a mail of a hundred layers was read")
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(plainMail))
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := read(raw)
		if err == nil && !a.auto && strings.TrimSpace(a.text) == "" {
			t.Errorf("an empty answer of %q", raw)
		}
	})
}
