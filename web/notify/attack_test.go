package notify

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/review"
	"gatehouse/web/notify/notifytest"
)

// A subject, a branch, a message or a name of somebody else's never becomes a header, a second
// recipient, a part of its own, or markup.
func TestMailIsInert(t *testing.T) {
	evil := "Fix\r\nBcc: victim@example.test\r\nX-Evil: 1\r\n\r\n<script>alert(1)</script>\u202e\x00 <img src=x onerror=alert(2)>"
	w := newWorld(t)
	id := w.change(w.repo, "alice", "plain")
	w.work()
	w.exec(`UPDATE changes SET subject = $1, topic = $1 WHERE id = $2`, strings.ReplaceAll(evil, "\x00", ""), id)
	w.exec(`UPDATE accounts SET full_name = $1 WHERE id = $2`, "Bob\r\nBcc: victim@example.test \"<x@y>", w.people["bob"].ID)
	w.says("bob", id, -1, "Please\r\n.\r\nMAIL FROM:<evil@example.test>\r\n</div><script>alert(3)</script>\n--boundary\n"+strings.ReplaceAll(evil, "\x00", ""),
		review.NewComment{Path: "a\r\nBcc: b.go", Line: 1, Body: "<b>bold</b> & <a href='javascript:alert(4)'>x</a>"})
	w.quiet()
	mails := w.mails()
	if len(mails) != 1 || mails[0].to != "alice@example.test" {
		t.Fatalf("%d mails: %s", len(mails), w.mailed())
	}
	m := mails[0]
	for _, name := range []string{"Bcc", "X-Evil", "Cc"} {
		if m.header.Get(name) != "" {
			t.Errorf("the mail has a header %s: %q", name, m.header.Get(name))
		}
	}
	for name, values := range m.header {
		for _, v := range values {
			if strings.ContainsAny(v, "\r\n\x00") || len(values) > 1 {
				t.Errorf("header %s is %q", name, values)
			}
		}
	}
	if !strings.HasPrefix(m.subject, "Change 1 in team/hello (main): Fix Bcc: victim@example.test X-Evil: 1 ") || !strings.Contains(m.subject, "[U+202E]") {
		t.Errorf("subject %q", m.subject)
	}
	for _, markup := range []string{"<script", "<img", "<b>", "javascript:alert(4)'>"} {
		if strings.Contains(m.html, markup) {
			t.Errorf("the HTML has %q", markup)
		}
	}
	if !strings.Contains(m.html, "&lt;script&gt;alert(3)") || !strings.Contains(m.text, "<script>alert(3)") {
		t.Error("the words are gone; they should be there, and inert")
	}
	if strings.ContainsRune(m.text+m.html, '\u202e') {
		t.Error("an override is in the mail")
	}
}

// What somebody may not read is told to nobody: not on the page, not by mail, also when the
// right is taken away between the event, the fold and the attempt to send.
func TestUnreadableIsNotTold(t *testing.T) {
	w := newWorld(t)
	secret := w.newRepo("secret", true)
	w.grant(secret, "bob", "write")
	w.grant(secret, "carol", "write")
	id := w.change(secret, "alice", "Hidden plans")
	w.ask(id, "alice", "bob", "carol")
	w.transactRevoke(secret.ID, "carol") // before she was told
	w.work()
	if w.told("carol") != "" || w.told("bob") == "" {
		t.Fatalf("carol was told %q, bob %q", w.told("carol"), w.told("bob"))
	}
	w.transactRevoke(secret.ID, "bob") // told, and not mailed yet
	w.quiet()
	if got := w.told("bob"); got != "" {
		t.Errorf("bob still reads %q", got)
	}
	if got := w.mailed(); got != "" {
		t.Errorf("mails went to %s", got)
	}
	var state string
	w.must(w.s.DB.Read().QueryRowContext(w.ctx, `SELECT state FROM mails WHERE account_id = $1`, w.people["bob"].ID).Scan(&state))
	if state != stateDropped {
		t.Errorf("bob's mail is %s", state)
	}
	// A mention calls nobody who may not read, and a watcher of everything hears nothing.
	w.exec(`INSERT INTO watches (id, account_id, repo_id, created_at) VALUES (1, $1, $2, 1)`, w.people["dora"].ID, secret.ID)
	w.exec(`INSERT INTO watches (id, account_id, branch, created_at) VALUES (2, $1, 'main', 1)`, w.people["bob"].ID)
	w.says("admin", id, 0, "@dora @bob look at this")
	w.quiet()
	if w.told("dora") != "" || w.told("bob") != "" || strings.Contains(w.mailed(), "dora") {
		t.Errorf("dora was told %q, bob %q, mails to %s", w.told("dora"), w.told("bob"), w.mailed())
	}
}

// A private change of a public repository is told to its people only.
func TestPrivateChangeIsTold(t *testing.T) {
	w := newWorld(t)
	id := w.change(w.repo, "alice", "Quiet fix")
	w.must(w.s.Review.SetPrivate(w.ctx, w.actor("alice"), id, true))
	w.exec(`INSERT INTO watches (id, account_id, repo_id, created_at) VALUES (1, $1, $2, 1)`, w.people["dora"].ID, w.repo.ID)
	w.ask(id, "alice", "bob")
	w.says("alice", id, 0, "@carol what do you think?")
	w.quiet()
	if w.told("dora") != "" || w.told("bob") == "" {
		t.Errorf("dora was told %q, bob %q", w.told("dora"), w.told("bob"))
	}
}

func TestPublicAddresses(t *testing.T) {
	for address, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1": true, "::ffff:8.8.8.8": true,
		"127.0.0.1": false, "127.9.9.9": false, "::1": false, "::": false, "0.0.0.0": false, "0.1.2.3": false,
		"10.0.0.1": false, "172.16.0.1": false, "192.168.1.1": false, "100.64.1.1": false, "169.254.169.254": false,
		"fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd00::1": false, "ff02::1": false, "224.0.0.1": false, "255.255.255.255": false,
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::127.0.0.1": false, "64:ff9b::7f00:1": false, "64:ff9b:1::1": false,
		"2002:7f00:1::1": false, "2001:0:1::1": false, "2001:db8::1": false, "198.18.0.1": false, "203.0.113.9": false, "240.0.0.1": false, "192.0.0.8": false, "fec0::1": false,
	} {
		ip, err := netip.ParseAddr(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := public(ip); got != want {
			t.Errorf("public(%s) = %t", address, got)
		}
	}
}

// The address that is dialled decides, not the name: a name that answers with an inner address
// the second time gains nothing, and neither do numbers in odd clothes.
func TestWebhooksStayOutside(t *testing.T) {
	w := newWorld(t)
	inner := notifytest.NewHook(t)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(inner.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"https://127.0.0.1:" + port, "http://[::1]:" + port, "https://169.254.169.254/latest", "https://[::ffff:10.0.0.1]/", "http://8.8.8.8/"} {
		_, _, err := w.s.AddWebhook(w.ctx, w.repo.ID, w.actor("alice"), NewWebhook{Kind: Generic, URL: address})
		if !fault.Is(err, fault.Refused) {
			t.Errorf("%s: %v, want a refusal", address, err)
		}
	}
	for _, address := range []string{"ftp://x.test/", "https://", "https://user:secret@x.test/", "//x.test", "https://x.test/#f", "https://x.test:0/", "https://x.test:99999/", "https://x\ny.test/", "file:///etc/passwd", "https:x.test", "gopher://x/", strings.Repeat("a", 3000)} {
		_, _, err := w.s.AddWebhook(w.ctx, w.repo.ID, w.actor("alice"), NewWebhook{Kind: Generic, URL: address})
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v, want invalid", address, err)
		}
	}
	// localhost is a name: it is found out when it is dialled. So are 2130706433 and 0x7f.1 where a resolver knows them.
	for _, host := range []string{"localhost", "2130706433", "0x7f.1", "127.1"} {
		h, _, err := w.s.AddWebhook(w.ctx, w.repo.ID, w.actor("alice"), NewWebhook{Kind: Generic, URL: "http://" + host + ":" + port + "/x"})
		if err != nil {
			t.Fatal(err)
		}
		d, err := w.s.TestWebhook(w.ctx, w.repo.ID, h.ID)
		if err != nil {
			t.Fatal(err)
		}
		w.work()
		all, err := w.s.Deliveries(w.ctx, w.repo.ID, h.ID)
		if err != nil || len(all) != 1 || all[0].ID != d.ID || all[0].Attempts != 1 || all[0].State != stateWaiting {
			t.Fatalf("%s: %+v, %v", host, all, err)
		}
		if host == "localhost" && all[0].Reason != errPlace.Error() {
			t.Errorf("%s: %q", host, all[0].Reason)
		}
		if strings.Contains(all[0].Reason, "127.") || strings.Contains(all[0].Reason, "::1") {
			t.Errorf("the reason tells how the name resolves: %q", all[0].Reason)
		}
	}
	if n := len(inner.Requests()); n != 0 {
		t.Errorf("%d requests reached the inside", n)
	}
}

// A destination that is allowed cannot lead on: a redirect is not followed, a flood is not read.
func TestWebhooksAreNotLedAstray(t *testing.T) {
	w := newWorld(t)
	w.s.Networks = loopbackNetworks()
	secret := notifytest.NewHook(t)
	h := notifytest.NewHook(t)
	made, _, err := w.s.AddWebhook(w.ctx, w.repo.ID, w.actor("alice"), NewWebhook{Kind: Generic, URL: h.URL})
	w.must(err)
	h.Answer(notifytest.Answer{Status: http.StatusTemporaryRedirect, Header: map[string]string{"Location": secret.URL}},
		notifytest.Answer{Status: http.StatusInternalServerError, Body: strings.Repeat("A", 1<<20) + "\x1b[31m"})
	for range 2 {
		_, err = w.s.TestWebhook(w.ctx, w.repo.ID, made.ID)
		w.must(err)
	}
	w.work()
	all, err := w.s.Deliveries(w.ctx, w.repo.ID, made.ID)
	w.must(err)
	if len(secret.Requests()) != 0 || all[1].State != stateFailed || !strings.Contains(all[1].Reason, "redirect") {
		t.Errorf("a redirect was followed, or is no failure: %+v", all[1])
	}
	if all[0].Status != 500 || len([]rune(all[0].Answer)) > maxKeptAnswer {
		t.Errorf("the answer that was kept has %d bytes", len(all[0].Answer))
	}
	// Headers without end.
	endless := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		for range 2000 {
			rw.Header().Add("X-Filler", strings.Repeat("y", 1000))
		}
	}))
	defer endless.Close()
	flood, _, err := w.s.AddWebhook(w.ctx, w.repo.ID, w.actor("alice"), NewWebhook{Kind: Generic, URL: endless.URL})
	w.must(err)
	_, err = w.s.TestWebhook(w.ctx, w.repo.ID, flood.ID)
	w.must(err)
	w.work()
	if all, err := w.s.Deliveries(w.ctx, w.repo.ID, flood.ID); err != nil || all[0].State != stateWaiting || all[0].Reason == "" {
		t.Errorf("%+v, %v", all, err)
	}
}

// Text of other people calls nobody in a chat and links nowhere.
func TestChatsAreInert(t *testing.T) {
	w := newWorld(t)
	id := w.change(w.repo, "alice", "Fix <!channel> <https://evil.test|login> | & more")
	w.says("bob", id, 0, "<!here> <@U123> </blockquote><script>x</script> @room")
	var vote event.Event
	all, err := event.OfChange(w.ctx, w.s.DB.Read(), id, 0)
	w.must(err)
	for _, e := range all {
		if e.Kind == "comment" {
			vote = e
		}
	}
	sub, ok, err := w.s.about(w.ctx, w.s.DB.Read(), vote)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	p, err := w.s.payload(w.ctx, w.s.DB.Read(), sub, newsOf["comment"], "d")
	w.must(err)
	slack, err := p.body(Slack)
	w.must(err)
	var said struct{ Text string }
	w.must(json.Unmarshal([]byte(slack), &said))
	if strings.Contains(said.Text, "<!") || strings.Contains(said.Text, "<@") || strings.Count(said.Text, "<") != 1 || strings.Count(said.Text, "|") != 1 {
		t.Errorf("slack: %q", said.Text)
	}
	matrix, err := p.body(Matrix)
	w.must(err)
	var room map[string]string
	w.must(json.Unmarshal([]byte(matrix), &room))
	if strings.Contains(room["formatted_body"], "<script") || strings.Count(room["formatted_body"], "</blockquote>") != 1 || room["msgtype"] != "m.notice" {
		t.Errorf("matrix: %q", matrix)
	}
}

// An unsubscribe link of one account is no other's, and a change to it is none.
func TestUnsubscribeLinksAreSigned(t *testing.T) {
	w := newWorld(t)
	id := w.change(w.repo, "alice", "x")
	good, err := w.s.Token(Subscription{w.people["bob"].ID, id})
	w.must(err)
	if sub, err := w.s.Subscription(good); err != nil || sub.Account != w.people["bob"].ID || sub.Change != id {
		t.Fatalf("%+v, %v", sub, err)
	}
	parts := strings.Split(good, ".")
	for _, bad := range []string{
		"", ".", "..", good + "x", good[:len(good)-1], parts[0] + ".0." + parts[2], "1." + parts[1] + "." + parts[2],
		"+" + good, "0" + good, parts[0] + "." + parts[1] + ".", "-1.1." + parts[2], strings.Repeat("9", 40) + ".1." + parts[2],
	} {
		if _, err := w.s.Subscription(bad); !fault.Is(err, fault.NotFound) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	other := &Service{Dir: t.TempDir()}
	if forged, err := other.Token(Subscription{w.people["bob"].ID, id}); err != nil || forged == good {
		t.Errorf("another server's key signs the same: %v", err)
	}
}

// A mail server that says nothing does not hold the others up for ever.
func TestSilentMailServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	m := &Mailer{Server: l.Addr().String(), TLS: TLSNone, From: "gate@gate.test"}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := m.TestMail(ctx, "bob@example.test", "https://gate.test", time.Unix(0, 0)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
}
