package notify

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/review"
)

// A mail is whole: its headers thread it, say what it is and how to stop it; text and HTML say
// the same, with the words of `gate why`.
func TestMail(t *testing.T) {
	w := newWorld(t)
	id := w.change(w.repo, "alice", "Greet — in Ünïcode")
	w.work()
	w.says("bob", id, -1, "Nearly there.", review.NewComment{Path: "server.go", Line: 25, Body: "This counts bytes.\n\nIs it meant?"})
	w.quiet()
	mails := w.mails()
	if len(mails) != 1 {
		t.Fatalf("mails went to %q", w.mailed())
	}
	m := mails[0]
	thread := fmt.Sprintf("<gatehouse.c%d@gate.test>", id)
	for name, want := range map[string]string{
		"To": `"Alice Example" <alice@example.test>`, "From": `"Bob Example (Gatehouse)" <gate@gate.test>`,
		"In-Reply-To": thread, "References": thread, "List-Id": "<team.hello.gate.test>", "Auto-Submitted": "auto-generated", "Precedence": "bulk",
		"List-Unsubscribe-Post": "List-Unsubscribe=One-Click", "Reply-To": "",
		"X-Gatehouse-Change": fmt.Sprint(id), "X-Gatehouse-Repository": "team/hello", "X-Gatehouse-Branch": "main", "X-Gatehouse-Patch-Set": "1",
		"X-Gatehouse-Owner": "alice", "X-Gatehouse-Kind": "vote", "X-Gatehouse-Reason": "owner", "X-Gatehouse-State": "open", "X-Gatehouse-Turn": "yes",
		"X-Gatehouse-Change-Key": fmt.Sprintf("I%040x", id), "X-Gatehouse-Commit": fmt.Sprintf("%040x", id), "X-Gatehouse-Url": fmt.Sprintf("https://gate.test/c/%d", id),
	} {
		if got := m.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if !strings.HasPrefix(m.header.Get("Message-Id"), fmt.Sprintf("<gatehouse.c%d.e", id)) || !strings.HasPrefix(m.header.Get("List-Unsubscribe"), "<https://gate.test/unsubscribe/") {
		t.Errorf("Message-ID %q, List-Unsubscribe %q", m.header.Get("Message-Id"), m.header.Get("List-Unsubscribe"))
	}
	if m.subject != fmt.Sprintf("Change %d in team/hello (main): Greet — in Ünïcode", id) {
		t.Errorf("subject %q", m.subject)
	}
	for _, words := range []string{
		"Bob Example voted Code-Review-1 and wrote a comment", "Nearly there.", "server.go:25", "This counts bytes.", "Is it meant?",
		"open: review: needs 1 approval of Code-Review+2", "who: anyone who may vote", "next: vote Code-Review+2",
		"Nobody reads answers to this mail: answer at https://gate.test/c/", "you own the change",
	} {
		for part, text := range map[string]string{"text": m.text, "html": m.html} {
			if !strings.Contains(strings.ReplaceAll(text, "&#43;", "+"), words) {
				t.Errorf("the %s lacks %q:\n%s", part, words, text)
			}
		}
	}
	if strings.Contains(m.text, "smoke") || strings.Contains(m.text, "is running") || strings.Contains(m.text, "Patch Set 1:") {
		t.Errorf("the text says more than is missing:\n%s", m.text)
	}
	for _, line := range strings.Split(m.raw, "\n") {
		if len(line) > 998 {
			t.Errorf("a line has %d bytes", len(line))
		}
	}
}

// A new change brings its commit message; the next mail about it is in the same thread.
func TestMailThread(t *testing.T) {
	w := newWorld(t)
	w.s.Mail.ReplyTo = "team@example.test"
	w.exec(`INSERT INTO watches (id, account_id, repo_id, created_at) VALUES (1, $1, $2, 1)`, w.people["bob"].ID, w.repo.ID)
	id := w.change(w.repo, "alice", "Greet")
	w.quiet()
	w.says("carol", id, 2, "")
	w.quiet()
	var first, second parsed
	for _, m := range w.mails() {
		if m.to == "bob@example.test" {
			first, second = second, m
		}
	}
	if !strings.Contains(first.text, "Because.") || first.header.Get("X-Gatehouse-Reason") != "watching" {
		t.Errorf("the first mail: %s", first.text)
	}
	if first.header.Get("References") == "" || first.header.Get("References") != second.header.Get("References") || first.subject != second.subject || first.header.Get("Message-Id") == second.header.Get("Message-Id") {
		t.Error("the two are no thread")
	}
	if first.header.Get("Reply-To") != "<team@example.test>" || !strings.Contains(first.text, "goes to team@example.test and not to the change") {
		t.Errorf("Reply-To %q", first.header.Get("Reply-To"))
	}
}

// What happens to a change in a while is one mail, and one that is never quiet is mailed of all the same.
func TestMailsAreFolded(t *testing.T) {
	w := newWorld(t)
	id := w.change(w.repo, "alice", "Greet")
	w.work()
	for i := range 5 {
		w.says("bob", id, 0, fmt.Sprintf("thought %d", i))
		w.work()
		w.pass(QuietTime / 2)
		w.work()
	}
	if got := w.mailed(); got != "" {
		t.Fatalf("mails before it was quiet: %s", got)
	}
	w.quiet()
	mails := w.mails()
	if len(mails) != 1 {
		t.Fatalf("%d mails", len(mails))
	}
	for i := range 5 {
		if !strings.Contains(mails[0].text, fmt.Sprintf("thought %d", i)) {
			t.Errorf("thought %d is not in the mail:\n%s", i, mails[0].text)
		}
	}
	for range 2 * int(longestWait/QuietTime) { // never quiet
		w.says("bob", id, 0, "more")
		w.work()
		w.pass(QuietTime - time.Second)
		w.work()
	}
	if got := len(w.mails()); got < 2 || got > 4 {
		t.Errorf("%d mails of an hour that was never quiet", got)
	}
}

// A flood about one change is told to the end.
func TestFloodAboutOneChange(t *testing.T) {
	w := newWorld(t)
	id := w.change(w.repo, "alice", "Greet")
	w.work()
	for range maxFolded + 3 {
		w.event(event.Event{Kind: "comment", Repo: w.repo.ID, Change: id, Account: w.people["bob"].ID, Data: map[string]string{"comments": "1"}})
	}
	w.quiet()
	w.pass(time.Minute)
	w.work()
	if left := w.count(`SELECT COUNT(*) FROM notifications WHERE mail = 'soon'`); len(w.mails()) != 2 || left != 0 {
		t.Errorf("%d mails, %d notifications left", len(w.mails()), left)
	}
}

// No storm: after so many mails in an hour the rest is one summary, which is told once.
func TestMailsAnHour(t *testing.T) {
	w := newWorld(t)
	const more = 7
	var all []int64
	for i := range MailsPerHour + more {
		all = append(all, w.change(w.repo, "alice", fmt.Sprintf("change %d", i)))
	}
	w.quiet()
	for _, id := range all {
		w.says("bob", id, 1, "")
	}
	w.quiet()
	if got := len(w.mails()); got != MailsPerHour {
		t.Fatalf("%d mails in the hour", got)
	}
	w.pass(time.Hour)
	w.work()
	mails := w.mails()
	if len(mails) != MailsPerHour+1 {
		t.Fatalf("%d mails after the hour", len(mails))
	}
	summary := mails[MailsPerHour]
	if summary.subject != fmt.Sprintf("Summary: %d notifications about %d changes", more, more) || strings.Count(summary.text, "Bob Example voted") != more {
		t.Errorf("%s\n%s", summary.subject, summary.text)
	}
	if !strings.Contains(summary.text, "Stop all mail from this server") || summary.header.Get("In-Reply-To") != "" {
		t.Errorf("the summary's headers: %v", summary.header)
	}
	w.pass(2 * time.Hour)
	w.work()
	if got := len(w.mails()); got != MailsPerHour+1 {
		t.Errorf("%d mails in the end", got)
	}
}

func TestPreferences(t *testing.T) {
	for name, c := range map[string]struct {
		wish   Preferences
		mailed int // of: a vote that makes it alice's turn, a mention, a landing
		later  int // a day later
	}{
		"usual":       {usual, 1, 1},
		"none":        {Preferences{Mail: MailNone, Comments: CommentsSoon, Own: true}, 0, 0},
		"turn":        {Preferences{Mail: MailTurn, Comments: CommentsSoon, Own: true}, 1, 1},
		"digest":      {Preferences{Mail: MailAll, Comments: CommentsDaily, Own: true}, 1, 2},
		"digest only": {Preferences{Mail: MailAll, Comments: CommentsHourly, Own: false}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.prefer("alice", c.wish)
			id := w.change(w.repo, "alice", "Greet")
			w.work()
			w.says("bob", id, -1, "no")
			w.event(eventLanded(w, id))
			w.quiet()
			mails := func() int { return strings.Count(w.mailed(), "alice") }
			if got := mails(); got != c.mailed {
				t.Errorf("%d mails, want %d", got, c.mailed)
			}
			w.pass(25 * time.Hour)
			w.work()
			if got := mails(); got != c.later {
				t.Errorf("%d mails a day later, want %d", got, c.later)
			}
			if w.told("alice") == "" {
				t.Error("the pages told nothing")
			}
		})
	}
}

// Who only wants to hear of their turn hears of nothing else, but of being called.
func TestOnlyMyTurn(t *testing.T) {
	w := newWorld(t)
	w.prefer("dora", Preferences{Mail: MailTurn, Comments: CommentsDaily, Own: true})
	w.exec(`INSERT INTO watches (id, account_id, repo_id, created_at) VALUES (1, $1, $2, 1)`, w.people["dora"].ID, w.repo.ID)
	id := w.change(w.repo, "alice", "Greet")
	w.quiet()
	w.says("bob", id, 1, "fine")
	w.quiet()
	if got := w.mailed(); strings.Contains(got, "dora") {
		t.Fatalf("mails went to %s", got)
	}
	w.says("bob", id, 0, "@dora should know")
	w.quiet()
	if got := w.mailed(); !strings.Contains(got, "dora") {
		t.Errorf("mails went to %s", got)
	}
}

func TestPreferencesAreChecked(t *testing.T) {
	w := newWorld(t)
	for _, bad := range []Preferences{{}, {Mail: "loud", Comments: CommentsSoon}, {Mail: MailAll, Comments: "never"}} {
		if err := w.s.SetPreferences(w.ctx, w.people["bob"].ID, bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// A link stops mail about its change, at once and also for what waits; another stops all.
func TestUnsubscribe(t *testing.T) {
	w := newWorld(t)
	id := w.change(w.repo, "alice", "Greet")
	other := w.change(w.repo, "alice", "Other")
	w.work()
	sub := Subscription{w.people["alice"].ID, id}
	w.says("bob", id, 1, "")
	w.work()
	w.must(w.s.Unsubscribe(w.ctx, sub))
	w.quiet()
	w.says("bob", id, 0, "again")
	w.quiet()
	if got := w.mailed(); got != "" {
		t.Errorf("mails went to %s", got)
	}
	w.says("bob", other, 1, "")
	w.quiet()
	if got := w.mailed(); got != "alice" {
		t.Errorf("mails went to %q", got)
	}
	w.must(w.s.Resubscribe(w.ctx, sub))
	if on, err := w.s.Subscribed(w.ctx, sub); err != nil || !on {
		t.Error(on, err)
	}
	w.must(w.s.Unsubscribe(w.ctx, Subscription{Account: sub.Account}))
	w.says("bob", id, 0, "more")
	w.quiet()
	if got := w.mailed(); got != "alice" {
		t.Errorf("mails went to %q", got)
	}
}

// A server that is down gets the mail later, once, under the same name; one that refuses the
// address is not asked for ever.
func TestMailIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	id := w.change(w.repo, "alice", "Greet")
	w.work()
	w.smtp.Answer("RCPT", "451 4.7.1 greylisted")
	w.smtp.Answer(".", "452 4.3.1 full")
	w.says("bob", id, 1, "")
	w.quiet()
	if n := w.count(`SELECT attempts FROM mails`); len(w.mails()) != 0 || n != 1 {
		t.Fatalf("%d mails after %d attempts", len(w.mails()), n)
	}
	w.pass(firstMailPause)
	w.work()
	w.pass(2 * firstMailPause)
	w.work()
	if n := w.count(`SELECT COUNT(*) FROM mails WHERE state = 'sent' AND attempts = 3`); len(w.mails()) != 1 || n != 1 {
		t.Errorf("%d mails, %d rows", len(w.mails()), n)
	}
	w.pass(time.Hour)
	w.work()
	if len(w.mails()) != 1 {
		t.Error("it was sent twice")
	}
}

func TestMailIsGivenUpLoudly(t *testing.T) {
	w := newWorld(t)
	id := w.change(w.repo, "alice", "Greet")
	w.work()
	for range maxRefused {
		w.smtp.Answer("RCPT", "550 5.1.1 no such user")
		w.says("bob", id, 0, "hello")
		w.quiet()
	}
	if !w.logged("given up") || !strings.Contains(w.told("alice"), "no more mail is sent to you, because your mail server refused 3 in a row") {
		t.Errorf("alice was told:\n%s", w.told("alice"))
	}
	w.says("bob", id, 0, "anybody there?")
	w.quiet()
	p, err := w.s.Preferences(w.ctx, w.people["alice"].ID)
	w.must(err)
	if len(w.mails()) != 0 || !strings.Contains(p.Stopped, "no such user") {
		t.Errorf("%d mails, stopped because %q", len(w.mails()), p.Stopped)
	}
	w.must(w.s.SetPreferences(w.ctx, w.people["alice"].ID, p))
	w.says("bob", id, 0, "now?")
	w.quiet()
	if len(w.mails()) != 1 {
		t.Errorf("%d mails after the preferences were saved", len(w.mails()))
	}
}

// A mail server that stays down is given up after a day, and its reader is told.
func TestDeadMailServer(t *testing.T) {
	w := newWorld(t)
	w.s.Mail.Server = "127.0.0.1:1" // nobody listens
	id := w.change(w.repo, "alice", "Greet")
	w.work()
	w.says("bob", id, 1, "")
	w.quiet()
	for range mailTries {
		w.pass(longestMailPause)
		w.work()
	}
	if n := w.count(`SELECT attempts FROM mails WHERE state = 'failed'`); n != mailTries || !strings.Contains(w.told("alice"), "mail to you could not be sent") || !w.logged("given up") {
		t.Errorf("%d attempts; alice was told:\n%s", n, w.told("alice"))
	}
	if p, err := w.s.Preferences(w.ctx, w.people["alice"].ID); err != nil || p.Stopped != "" {
		t.Errorf("the server's trouble stopped alice's mail: %+v %v", p, err)
	}
}

// The password never goes over an open line, and a server without STARTTLS gets no mail.
func TestMailServerSettings(t *testing.T) {
	w := newWorld(t)
	secret := filepath.Join(t.TempDir(), "password")
	w.must(os.WriteFile(secret, []byte("open sesame\n"), 0o600))
	w.smtp.Password("open sesame")
	m := *w.s.Mail
	m.User, m.PasswordFile = "gate", secret
	w.must(m.Check())
	w.must(m.TestMail(w.ctx, "bob@example.test", "gate.test", w.clock()))
	if got := w.smtp.Mails(); len(got) != 1 || got[0].User != "gate" || !got[0].TLS {
		t.Fatalf("%+v", got)
	}
	w.must(os.WriteFile(secret, []byte("wrong"), 0o600))
	if err := m.TestMail(w.ctx, "bob@example.test", "gate.test", w.clock()); !fault.Is(err, fault.Unavailable) || strings.Contains(fault.Sentence(err), "wrong\n") {
		t.Errorf("a wrong password: %v", err)
	}
	w.smtp.WithoutTLS()
	if err := m.TestMail(w.ctx, "bob@example.test", "gate.test", w.clock()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("without STARTTLS: %v", err)
	}
	if len(w.smtp.Mails()) != 1 {
		t.Error("a mail went out in the clear")
	}
	m.Roots = nil
	if err := m.TestMail(w.ctx, "bob@example.test", "gate.test", w.clock()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("with an unknown certificate: %v", err)
	}
	good := Mailer{Server: "mail.example.org:587", TLS: TLSStart, From: "gate@example.org"}
	for name, change := range map[string]func(*Mailer){
		"no port": func(m *Mailer) { m.Server = "mail.example.org" }, "port 0": func(m *Mailer) { m.Server = "mail.example.org:0" },
		"no from": func(m *Mailer) { m.From = "" }, "a name in from": func(m *Mailer) { m.From = "Gate <gate@example.org>" },
		"two lines": func(m *Mailer) { m.From = "gate@example.org\r\nBcc: x@y" }, "kind of TLS": func(m *Mailer) { m.TLS = "ssl3" },
		"no password": func(m *Mailer) { m.User = "gate" }, "clear password": func(m *Mailer) { m.TLS, m.User, m.PasswordFile = TLSNone, "gate", secret },
		"reply": func(m *Mailer) { m.ReplyTo = "nobody" },
	} {
		bad := good
		change(&bad)
		if good.Check() != nil || !fault.Is(bad.Check(), fault.Invalid) {
			t.Errorf("%s: %v", name, bad.Check())
		}
	}
}

// A server that stops in the middle of a mail leaves it waiting.
func TestAStoppedServerKeepsTheMail(t *testing.T) {
	w := newWorld(t)
	id := w.change(w.repo, "alice", "Greet")
	w.work()
	w.says("bob", id, 1, "")
	w.work()
	w.pass(2 * QuietTime)
	w.work()
	if n := w.count(`SELECT COUNT(*) FROM mails WHERE state = 'sent'`); n != 1 {
		t.Fatalf("%d mails", n)
	}
	// As a crash leaves it between the server's yes and our row: it goes out again under its name.
	w.exec(`UPDATE mails SET state = 'waiting', attempts = 0`)
	var mail int64
	w.must(w.s.DB.Read().QueryRowContext(w.ctx, `SELECT id FROM mails`).Scan(&mail))
	if _, err := w.s.send(w.ctx, fmt.Sprint(mail)); err != nil {
		t.Fatal(err)
	}
	mails := w.mails()
	if len(mails) != 2 || mails[0].header.Get("Message-Id") != mails[1].header.Get("Message-Id") {
		t.Errorf("%d mails, named %q and %q", len(mails), mails[0].header.Get("Message-Id"), mails[len(mails)-1].header.Get("Message-Id"))
	}
}
