package e2e_test

import (
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"gatehouse/web/notify/notifytest"
)

// sinks are a mail server and a web server that a script's server sends to.
type sinks struct {
	mail *notifytest.SMTP
	hook *notifytest.Hook
}

// sinksUp starts them: their addresses are $MAIL_SINK and $HOOK_SINK.
func (s *script) sinksUp(_ []string) {
	s.world.sinks = sinks{notifytest.NewSMTP(s.world), notifytest.NewHook(s.world)}
	s.Setenv("MAIL_SINK", s.world.sinks.mail.Addr)
	s.Setenv("HOOK_SINK", s.world.sinks.hook.URL)
}

// mailed waits until somebody has a mail that matches every pattern, and writes it to the file mail.
func (s *script) mailed(args []string) {
	if len(args) < 2 {
		s.Fatalf("usage: mailed NAME REGEXP…")
	}
	var all []string
	found := s.look(func() bool {
		all = nil
		for _, m := range s.world.sinks.mail.Mails() {
			text := s.readable(m.Text)
			all = append(all, "to "+m.To+"\n"+text)
			if m.To == args[0]+"@example.test" && s.matches(text, args[1:]) {
				s.keep("mail", text)
				return true
			}
		}
		return false
	})
	if !found {
		s.Fatalf("%s has no mail that matches %q; mails:\n%s", args[0], args[1:], strings.Join(all, "\n\n"))
	}
}

// hooked waits until the web server was sent something that matches every pattern, and writes it to the file hook.
func (s *script) hooked(args []string) {
	if len(args) == 0 {
		s.Fatalf("usage: hooked REGEXP…")
	}
	var all []string
	found := s.look(func() bool {
		all = nil
		for _, r := range s.world.sinks.hook.Requests() {
			var b strings.Builder
			b.WriteString(r.Method + " " + r.Path + "\n")
			if err := r.Header.Write(&b); err != nil {
				return false
			}
			text := strings.ReplaceAll(b.String(), "\r", "") + "\n" + r.Body
			all = append(all, text)
			if s.matches(text, args) {
				s.keep("hook", text)
				return true
			}
		}
		return false
	})
	if !found {
		s.Fatalf("nothing was sent that matches %q; sent:\n%s", args, strings.Join(all, "\n\n"))
	}
}

func (s *script) keep(name, text string) {
	s.Check(os.WriteFile(filepath.Join(s.Getenv("WORK"), name), []byte(text), 0o600))
}

func (s *script) matches(text string, patterns []string) bool {
	for _, p := range patterns {
		ok, err := regexp.MatchString("(?m)"+p, text)
		s.Check(err)
		if !ok {
			return false
		}
	}
	return true
}

// readable is a mail with its headers decoded and its first part as text.
func (s *script) readable(raw string) string {
	m, err := mail.ReadMessage(strings.NewReader(raw))
	s.Check(err)
	var b strings.Builder
	for name, values := range m.Header {
		text, err := new(mime.WordDecoder).DecodeHeader(values[0])
		s.Check(err)
		b.WriteString(name + ": " + text + "\n")
	}
	b.WriteString("\n")
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	s.Check(err)
	var body io.Reader = m.Body
	if params["boundary"] != "" {
		part, err := multipart.NewReader(m.Body, params["boundary"]).NextPart()
		s.Check(err)
		body = part
	}
	text, err := io.ReadAll(body)
	s.Check(err)
	return b.String() + strings.ReplaceAll(string(text), "\r", "")
}
