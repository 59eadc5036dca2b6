package notify

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/gitserver/fault"
	"gatehouse/review"
	"gatehouse/web/notify/notifytest"
)

func (w *world) hook(n NewWebhook) (Webhook, string) {
	w.t.Helper()
	w.s.Networks = loopbackNetworks()
	h, secret, err := w.s.AddWebhook(w.ctx, w.repo.ID, w.actor("alice"), n)
	w.must(err)
	return h, secret
}

// A generic webhook gets each event once, as the documented JSON, signed as standardwebhooks.com has it.
func TestGenericWebhook(t *testing.T) {
	w := newWorld(t)
	sink := notifytest.NewHook(t)
	_, secret := w.hook(NewWebhook{Kind: Generic, URL: sink.URL + "/in?x=1"})
	id := w.change(w.repo, "alice", "Greet")
	w.work()
	w.says("bob", id, -1, "Nearly.", review.NewComment{Path: "a.go", Line: 3, Body: "Why?"})
	w.work()
	all := sink.Requests()
	if len(all) != 2 {
		t.Fatalf("%d requests", len(all))
	}
	r := all[1]
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	w.must(err)
	want := "v1," + base64.StdEncoding.EncodeToString(sign(key, r.Header.Get("Webhook-Id")+"."+r.Header.Get("Webhook-Timestamp")+"."+r.Body))
	if r.Method != "POST" || r.Path != "/in?x=1" || r.Header.Get("Webhook-Signature") != want || r.Header.Get("X-Gatehouse-Event") != "vote" || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%+v, want the signature %s", r, want)
	}
	var p Payload
	w.must(json.Unmarshal([]byte(r.Body), &p))
	if p.Event != "vote" || p.Delivery != r.Header.Get("Webhook-Id") || p.Change.Number != id || p.Change.Subject != "Greet" || p.Change.Owner.Name != "alice" || p.Actor.Name != "bob" ||
		p.Message != "Nearly." || len(p.Comments) != 1 || p.Comments[0] != (PayloadComment{"a.go", 3, "Why?"}) || p.Repository.Name != "team/hello" ||
		p.Change.URL != fmt.Sprintf("https://gate.test/c/%d", id) || p.Text != "Bob Example voted Code-Review-1 and wrote a comment" || p.Data["votes"] != "Code-Review-1" {
		t.Errorf("%+v", p)
	}
	if strings.Contains(r.Body, "@example.test") {
		t.Error("the payload has somebody's address")
	}
	w.work()
	if len(sink.Requests()) != 2 {
		t.Error("an event was sent twice")
	}
}

func TestEventFilterAndPause(t *testing.T) {
	w := newWorld(t)
	sink := notifytest.NewHook(t)
	h, _ := w.hook(NewWebhook{Kind: Generic, URL: sink.URL, Events: []string{"landed"}, Secret: "plain-secret"})
	id := w.change(w.repo, "alice", "Greet")
	w.event(eventLanded(w, id))
	w.work()
	if all := sink.Requests(); len(all) != 1 || all[0].Header.Get("X-Gatehouse-Event") != "landed" {
		t.Fatalf("%+v", all)
	}
	w.must(w.s.SetWebhook(w.ctx, w.repo.ID, h.ID, false))
	w.event(eventLanded(w, id))
	w.work()
	if len(sink.Requests()) != 1 {
		t.Error("a paused webhook was sent something")
	}
	other := w.newRepo("other", false)
	for name, err := range map[string]error{
		"show": second(w.s.Webhook(w.ctx, other.ID, h.ID)), "test": second(w.s.TestWebhook(w.ctx, other.ID, h.ID)), "list": second(w.s.Deliveries(w.ctx, other.ID, h.ID)),
		"set": w.s.SetWebhook(w.ctx, other.ID, h.ID, true), "remove": w.s.RemoveWebhook(w.ctx, other.ID, h.ID), "redeliver": second(w.s.Redeliver(w.ctx, other.ID, h.ID, 1)),
	} {
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("%s by way of another repository: %v", name, err)
		}
	}
	w.must(w.s.RemoveWebhook(w.ctx, w.repo.ID, h.ID))
	if _, err := os.Stat(filepath.Join(w.s.Dir, hookFile(h.ID))); !os.IsNotExist(err) {
		t.Errorf("the secret stays: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestSlackAndMatrix(t *testing.T) {
	w := newWorld(t)
	sink := notifytest.NewHook(t)
	slack, _ := w.hook(NewWebhook{Kind: Slack, URL: sink.URL + "/services/T0/B0/secret"})
	matrix, _ := w.hook(NewWebhook{Kind: Matrix, URL: sink.URL + "/", Room: "!abc:gate.test", Secret: "token"})
	if strings.Contains(slack.URL, "secret") || matrix.URL != sink.URL {
		t.Errorf("%q %q", slack.URL, matrix.URL)
	}
	id := w.change(w.repo, "alice", "Greet")
	w.work()
	var body map[string]any
	for _, r := range sink.Requests() {
		w.must(json.Unmarshal([]byte(r.Body), &body))
		switch r.Method {
		case "POST":
			want := fmt.Sprintf("<https://gate.test/c/%d|%d Greet> (team/hello, main)\nAlice Example asks for review of a new change", id, id)
			if r.Path != "/services/T0/B0/secret" || body["text"] != want {
				t.Errorf("slack: %s %v, want %q", r.Path, body["text"], want)
			}
		case "PUT":
			if !strings.HasPrefix(r.Path, "/_matrix/client/v3/rooms/%21abc:gate.test/send/m.room.message/msg_") || r.Header.Get("Authorization") != "Bearer token" ||
				body["msgtype"] != "m.notice" || !strings.Contains(body["formatted_body"].(string), "Greet</a>") {
				t.Errorf("matrix: %s %v", r.Path, body)
			}
		}
	}
	if len(sink.Requests()) != 2 {
		t.Errorf("%d requests", len(sink.Requests()))
	}
}

// What fails is tried again under its name, ever more slowly; what failed for good can be sent again by hand.
func TestDeliveriesAreTriedAgain(t *testing.T) {
	w := newWorld(t)
	sink := notifytest.NewHook(t)
	h, _ := w.hook(NewWebhook{Kind: Generic, URL: sink.URL})
	sink.Answer(notifytest.Answer{Status: 503, Header: map[string]string{"Retry-After": "60"}, Body: "busy"}, notifytest.Answer{Status: 500}, notifytest.Answer{Status: 204})
	w.change(w.repo, "alice", "Greet")
	w.work()
	w.pass(30 * time.Second)
	w.work()
	if got := len(sink.Requests()); got != 1 {
		t.Fatalf("%d requests: it wants to be left alone for a minute", got)
	}
	w.pass(31 * time.Second)
	w.work()
	w.pass(time.Minute)
	w.work()
	all := sink.Requests()
	list, err := w.s.Deliveries(w.ctx, w.repo.ID, h.ID)
	w.must(err)
	if len(all) != 3 || all[0].Header.Get("Webhook-Id") != all[2].Header.Get("Webhook-Id") || list[0].State != stateDelivered || list[0].Attempts != 3 || list[0].Status != 204 {
		t.Fatalf("%d requests, %+v", len(all), list[0])
	}
	if _, err := w.s.Redeliver(w.ctx, w.repo.ID, h.ID, list[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.s.Redeliver(w.ctx, w.repo.ID, h.ID, list[0].ID); !fault.Is(err, fault.Conflict) {
		t.Errorf("a delivery that waits was sent again: %v", err)
	}
	w.work()
	if all := sink.Requests(); len(all) != 4 || all[3].Header.Get("Webhook-Id") != all[0].Header.Get("Webhook-Id") {
		t.Errorf("%d requests", len(all))
	}
}

// A destination that is gone stops its webhook, loudly.
func TestDeadWebhookIsStopped(t *testing.T) {
	w := newWorld(t)
	sink := notifytest.NewHook(t)
	h, _ := w.hook(NewWebhook{Kind: Generic, URL: sink.URL})
	for range maxHookFailures {
		sink.Answer(notifytest.Answer{Status: 410})
		w.change(w.repo, "bob", "x")
		w.work()
	}
	stopped, err := w.s.Webhook(w.ctx, w.repo.ID, h.ID)
	w.must(err)
	if stopped.State != HookStopped || !strings.Contains(w.told("alice"), "is stopped: 10 deliveries in a row were given up") || !w.logged("webhook is stopped") {
		t.Errorf("%+v; alice was told:\n%s", stopped, w.told("alice"))
	}
	if strings.Contains(w.told("bob"), "webhook") {
		t.Error("bob owns nothing and was told")
	}
	n := len(sink.Requests())
	w.change(w.repo, "bob", "y")
	w.work()
	if len(sink.Requests()) != n {
		t.Error("a stopped webhook was sent something")
	}
	w.must(w.s.SetWebhook(w.ctx, w.repo.ID, h.ID, true))
	w.change(w.repo, "bob", "z")
	w.work()
	if len(sink.Requests()) != n+1 {
		t.Error("it does not go on")
	}
}

func TestWebhooksAreChecked(t *testing.T) {
	w := newWorld(t)
	for name, n := range map[string]NewWebhook{
		"kind": {Kind: "smoke", URL: "https://x.test"}, "event": {Kind: Generic, URL: "https://x.test", Events: []string{"stage.started"}},
		"slack with a secret": {Kind: Slack, URL: "https://x.test", Secret: "x"}, "matrix without a room": {Kind: Matrix, URL: "https://x.test", Secret: "x"},
		"matrix without a token": {Kind: Matrix, URL: "https://x.test", Room: "!a:x.test"}, "generic with a room": {Kind: Generic, URL: "https://x.test", Room: "!a:x.test"},
		"secret with a line end": {Kind: Generic, URL: "https://x.test", Secret: "a\nb"}, "bad whsec": {Kind: Generic, URL: "https://x.test", Secret: "whsec_!!!"},
		"room": {Kind: Matrix, URL: "https://x.test", Secret: "x", Room: "!a/../b"}, "alias": {Kind: Matrix, URL: "https://x.test", Secret: "x", Room: "#a:x.test"},
	} {
		if _, _, err := w.s.AddWebhook(w.ctx, w.repo.ID, w.actor("alice"), n); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for range maxHooks {
		w.hook(NewWebhook{Kind: Generic, URL: "https://x.test"})
	}
	if _, _, err := w.s.AddWebhook(w.ctx, w.repo.ID, w.actor("alice"), NewWebhook{Kind: Generic, URL: "https://x.test"}); !fault.Is(err, fault.TooLarge) {
		t.Errorf("one too many: %v", err)
	}
	left, err := os.ReadDir(w.s.Dir)
	if err != nil || len(left) != maxHooks {
		t.Errorf("%d secrets for %d webhooks, %v", len(left), maxHooks, err)
	}
	w.exec(`DELETE FROM webhooks WHERE id = (SELECT MIN(id) FROM webhooks)`)
	w.must(w.s.Janitor(w.ctx))
	if left, err := os.ReadDir(w.s.Dir); err != nil || len(left) != maxHooks-1 {
		t.Errorf("%d secrets after the janitor, %v", len(left), err)
	}
}

func TestNetworks(t *testing.T) {
	all, err := ParseNetworks([]string{"10.1.2.3/16", "127.0.0.1", "::ffff:192.168.1.1", "fd00::/8"})
	if err != nil || fmt.Sprint(all) != "[10.1.0.0/16 127.0.0.1/32 192.168.1.1/32 fd00::/8]" {
		t.Errorf("%v, %v", all, err)
	}
	for _, bad := range []string{"", "localhost", "10.0.0.0/99", "fe80::1%eth0"} {
		if _, err := ParseNetworks([]string{bad}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
