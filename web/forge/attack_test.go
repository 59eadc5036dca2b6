package forge_test

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // that it does not count is tested
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/gatekeeper/entrance"
	"gatehouse/web/forge/forgetest"
)

// Ways to pass for the forge. Each is refused with 401, leaves no notice, and the honest
// delivery under the same name is taken after it.
func TestForgeries(t *testing.T) {
	worlds := map[string]*world{}
	sha256Of := func(r *http.Request) string {
		return strings.TrimPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256=")
	}
	for name, c := range map[string]struct {
		vendor string
		forge  func(w *world, r *http.Request, body []byte)
	}{
		"the signature is gone": {forgetest.GitHub, func(_ *world, r *http.Request, _ []byte) { r.Header.Del("X-Hub-Signature-256") }},
		"an empty one":          {forgetest.GitHub, func(_ *world, r *http.Request, _ []byte) { r.Header.Set("X-Hub-Signature-256", "") }},
		"only the old algorithm": {forgetest.GitHub, func(w *world, r *http.Request, body []byte) {
			sha1Signed(w, r, body)
			r.Header.Del("X-Hub-Signature-256")
		}},
		"the algorithm is named wrongly": {forgetest.GitHub, func(_ *world, r *http.Request, _ []byte) { r.Header.Set("X-Hub-Signature-256", "sha1="+sha256Of(r)) }},
		"no algorithm":                   {forgetest.GitHub, func(_ *world, r *http.Request, _ []byte) { r.Header.Set("X-Hub-Signature-256", sha256Of(r)) }},
		"the beginning of it": {forgetest.GitHub, func(_ *world, r *http.Request, _ []byte) {
			r.Header.Set("X-Hub-Signature-256", "sha256="+sha256Of(r)[:62])
		}},
		"another secret": {forgetest.GitHub, func(_ *world, r *http.Request, _ []byte) {
			r.Header.Set("X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64))
		}},
		"it is there twice": {forgetest.GitHub, func(_ *world, r *http.Request, _ []byte) {
			r.Header.Add("X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64))
		}},
		"another vendor's scheme": {forgetest.GitHub, func(w *world, r *http.Request, _ []byte) {
			r.Header.Del("X-Hub-Signature-256")
			r.Header.Set("X-Gitlab-Token", w.vendor.Secret)
		}},
		"the secret in the address": {forgetest.GitHub, func(w *world, r *http.Request, _ []byte) {
			r.Header.Del("X-Hub-Signature-256")
			r.URL.RawQuery = "token=" + w.vendor.Secret
		}},
		"gitea: one of two is wrong": {forgetest.Forgejo, func(_ *world, r *http.Request, _ []byte) { r.Header.Set("X-Gitea-Signature", strings.Repeat("0", 64)) }},
		"gitea: GitHub's header alone": {forgetest.Gitea, func(_ *world, r *http.Request, _ []byte) {
			r.Header.Set("X-Hub-Signature-256", "sha256="+r.Header.Get("X-Gitea-Signature"))
			r.Header.Del("X-Gitea-Signature")
		}},
		"gitlab: the time is old": {forgetest.GitLab, func(w *world, r *http.Request, body []byte) { gitlabSigned(w, r, body, time.Now().Add(-time.Hour)) }},
		"gitlab: the time is to come": {forgetest.GitLab, func(w *world, r *http.Request, body []byte) {
			gitlabSigned(w, r, body, time.Now().Add(time.Hour))
		}},
		"gitlab: the time was changed": {forgetest.GitLab, func(_ *world, r *http.Request, _ []byte) {
			r.Header.Set("Webhook-Timestamp", fmt.Sprint(time.Now().Unix()+1))
		}},
		"gitlab: the name was changed":     {forgetest.GitLab, func(_ *world, r *http.Request, _ []byte) { r.Header.Set("Webhook-Id", "another") }},
		"gitlab: a scheme of no signature": {forgetest.GitLab, func(_ *world, r *http.Request, _ []byte) { r.Header.Set("Webhook-Signature", "v0,") }},
		"gitlab: a wrong token": {forgetest.GitLab, func(w *world, r *http.Request, _ []byte) {
			r.Header.Del("Webhook-Signature")
			r.Header.Set("X-Gitlab-Token", w.vendor.Secret[:10])
		}},
		"gitlab: a wrong signature beside the right token": {forgetest.GitLab, func(w *world, r *http.Request, _ []byte) {
			r.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(make([]byte, 32)))
			r.Header.Set("X-Gitlab-Token", w.vendor.Secret)
		}},
		"gerrit: nobody":           {forgetest.Gerrit, func(_ *world, r *http.Request, _ []byte) { r.Header.Del("Authorization") }},
		"gerrit: an empty token":   {forgetest.Gerrit, func(_ *world, r *http.Request, _ []byte) { r.Header.Del("Authorization"); r.URL.RawQuery = "token=" }},
		"gerrit: a wrong password": {forgetest.Gerrit, func(_ *world, r *http.Request, _ []byte) { r.SetBasicAuth("gerrit", "wrong") }},
		"gerrit: two tokens": {forgetest.Gerrit, func(w *world, r *http.Request, _ []byte) {
			r.Header.Del("Authorization")
			r.URL.RawQuery = "token=" + w.vendor.Secret + "&token=x"
		}},
	} {
		w := worlds[c.vendor]
		if w == nil {
			w = newWorld(t, c.vendor, nil)
			worlds[c.vendor] = w
		}
		number, before := len(w.open())+1, len(w.open())
		delivery := fmt.Sprint("d-", number)
		w.commit(number, fmt.Sprint("file", number), "a\n")
		event, body := w.vendor.Opened(w.proposes(int64(number)))
		r := w.vendor.Request(w.hook(), delivery, event, body)
		c.forge(w, r, body)
		if a := w.send(r); a.Code != http.StatusUnauthorized {
			t.Errorf("%s: %+v", name, a)
		}
		for _, d := range w.deliveries() {
			if d.State != entrance.Rejected && (d.Name == delivery || d.Notice.Number == int64(number)) {
				t.Errorf("%s: %+v", name, d)
			}
		}
		if open := w.open(); len(open) != before {
			t.Errorf("%s: %+v", name, open)
		}
		w.delivers(delivery, event, body) // the honest one
		if len(w.open()) != before+1 {
			t.Fatalf("%s: the honest one came to %+v", name, w.deliveries())
		}
	}
}

func sha1Signed(w *world, r *http.Request, body []byte) {
	m := hmac.New(sha1.New, []byte(w.vendor.Secret))
	m.Write(body)
	r.Header.Set("X-Hub-Signature", "sha1="+hex.EncodeToString(m.Sum(nil)))
}

// gitlabSigned signs the delivery at another time.
func gitlabSigned(w *world, r *http.Request, body []byte, at time.Time) {
	fresh := w.vendor.RequestAt(w.hook(), r.Header.Get("Webhook-Id"), r.Header.Get("X-Gitlab-Event"), body, at)
	r.Header = fresh.Header
}

// An older GitLab sends the secret itself; Gerrit may have it in the address.
func TestPlainSecrets(t *testing.T) {
	for vendor, change := range map[string]func(w *world, r *http.Request){
		forgetest.GitLab: func(w *world, r *http.Request) {
			for _, h := range []string{"Webhook-Signature", "Webhook-Id", "Webhook-Timestamp"} {
				r.Header.Del(h)
			}
			r.Header.Set("X-Gitlab-Token", w.vendor.Secret)
		},
		forgetest.Gerrit: func(w *world, r *http.Request) {
			r.Header.Del("Authorization")
			r.URL.RawQuery = "token=" + w.vendor.Secret
		},
	} {
		w := newWorld(t, vendor, nil)
		w.commit(1, "a.txt", "a\n")
		event, body := w.vendor.Opened(w.proposes(7))
		r := w.vendor.Request(w.hook(), "d-1", event, body)
		change(w, r)
		if a := w.send(r); a.Code != http.StatusAccepted {
			t.Errorf("%s: %+v", vendor, a)
		}
	}
}

// After the secret was replaced the one before counts for a day, and then no more.
func TestARotatedSecret(t *testing.T) {
	w := newWorld(t, forgetest.GitHub, nil)
	before := w.vendor.Secret
	made, err := w.Rotate(w.ctx, w.e, "", "")
	must(t, err)
	ping := func(secret string, n int) int {
		w.vendor.Secret = secret
		body := fmt.Appendf(nil, `{"zen":%d}`, n)
		return w.send(w.vendor.Request(w.hook(), fmt.Sprint("p-", n), "ping", body)).Code
	}
	if a, b := ping(before, 1), ping(made, 2); a != http.StatusAccepted || b != http.StatusAccepted {
		t.Errorf("%d %d", a, b)
	}
	later := func() time.Time { return time.Now().Add(25 * time.Hour) }
	w.Now, w.hooks.Now = later, later
	if a, b := ping(before, 3), ping(made, 4); a != http.StatusUnauthorized || b != http.StatusAccepted {
		t.Errorf("a day later: %d %d", a, b)
	}
}

// Bodies of a known sender that name what cannot be, or another repository.
func TestBodiesThatCannotBe(t *testing.T) {
	w := newWorld(t, forgetest.GitHub, nil)
	pull := func(branch, number string) string {
		return fmt.Sprintf(`{"action":"opened","repository":{"full_name":"acme/hello"},"pull_request":{"number":%s,"base":{"ref":%q},"head":{"sha":"x"}}}`, number, branch)
	}
	for name, c := range map[string]struct {
		event, body, kind string
		code              int
	}{
		"a ref that climbs":        {"pull_request", pull("../../config", "1"), "", 400},
		"a ref that is an option":  {"pull_request", pull("--upload-pack=id", "1"), "", 400},
		"a ref with a refspec":     {"pull_request", pull("main:refs/heads/other", "1"), "", 400},
		"a number below nothing":   {"pull_request", pull("main", "-1"), "", 400},
		"a number in words":        {"pull_request", pull("main", `"1"`), "", 400},
		"a number with a point":    {"pull_request", pull("main", "1.5"), "", 400},
		"two bodies in one":        {"pull_request", pull("main", "1") + pull("main", "2"), "", 400},
		"a group that is no group": {"merge_group", `{"action":"checks_requested","repository":{"full_name":"acme/hello"},"merge_group":{"head_ref":"refs/heads/main","base_ref":"refs/heads/main","head_sha":"x"}}`, "", 400},
		"a form":                   {"pull_request", "payload=%7B%7D", "application/x-www-form-urlencoded", 400},
		"another repository":       {"pull_request", strings.Replace(pull("main", "1"), "acme/hello", "evil/hello", 1), "", 202},
		"an event of no interest":  {"star", `{"action":"created","repository":{"full_name":"acme/hello"}}`, "", 202},
	} {
		r := w.vendor.Request(w.hook(), name, c.event, []byte(c.body))
		if c.kind != "" {
			r.Header.Set("Content-Type", c.kind)
		}
		if a := w.send(r); a.Code != c.code || c.code == 202 && a.State != string(entrance.Ignored) {
			t.Errorf("%s: %+v", name, a)
		}
	}
	r := w.vendor.Request(w.hook(), "zipped", "ping", []byte("{}"))
	r.Header.Set("Content-Encoding", "gzip")
	if a := w.send(r); a.Code != http.StatusBadRequest {
		t.Errorf("an encoded body: %+v", a)
	}
	if a := w.send(w.vendor.Request(w.hook(), "star", "star", []byte(`{"repository":{"full_name":"acme/hello"}}`))); a.Code != http.StatusAccepted {
		t.Errorf("%+v", a)
	}
	if a := w.send(w.vendor.Request(w.hook(), "star", "star", []byte(`{"repository":{"full_name":"acme/hello"},"x":1}`))); a.Code != http.StatusBadRequest {
		t.Errorf("a name for another body: %+v", a)
	}
	get, err := http.NewRequest(http.MethodGet, w.hook(), nil)
	must(t, err)
	if a := w.send(get); a.Code != http.StatusMethodNotAllowed {
		t.Errorf("%+v", a)
	}
	if open := w.open(); len(open) != 0 {
		t.Errorf("%+v", open)
	}
}

// Solum's trigger: GitHub's bodies at another address, without a word on which event it is.
func TestSolumsTrigger(t *testing.T) {
	w := newWorld(t, forgetest.GitHub, nil)
	w.vendor.Writer("mona")
	w.commit(1, "a.txt", "a\n")
	p := w.proposes(7)
	_, body := w.vendor.Opened(p)
	trigger := strings.Replace(w.hook(), "/hooks/", "/v1/triggers/", 1)
	send := func(name string, body []byte) answered {
		r := w.vendor.Request(trigger, name, "", body)
		r.Header.Del("X-GitHub-Event")
		return w.send(r)
	}
	if a := send("s-1", body); a.Code != http.StatusAccepted {
		t.Fatalf("%+v", a)
	}
	w.settled()
	if len(w.open()) != 1 {
		t.Fatalf("%+v", w.deliveries())
	}
	comment := fmt.Appendf(nil, `{"action":"created","repository":{"full_name":"acme/hello"},"comment":{"body":"solum retry tests","commit_id":%q,"user":{"login":"mona"}}}`, p.Head)
	if a := send("s-2", comment); a.Code != http.StatusAccepted {
		t.Fatalf("%+v", a)
	}
	w.settled()
	if d := w.deliveries()[0]; d.State != entrance.Accepted {
		t.Errorf("%+v", d)
	}
}
