package git

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gatehouse/gitserver/fault"
)

func TestAddresses(t *testing.T) {
	for url, want := range map[string]string{"https://example.test/a.git": "https", "ssh://git@example.test/a": "ssh", "ssh://example.test:2222/a": "ssh",
		"git@example.test:a/b.git": "ssh", "/srv/a.git": "file", "http://127.0.0.1:1/a": "http"} {
		if kind, err := remoteKind("", url, true); err != nil || kind != want {
			t.Errorf("%s is %q %v", url, kind, err)
		}
		_, err := remoteKind("", url, false)
		if local := want == "file" || want == "http"; local != (err != nil) {
			t.Errorf("%s when local is not allowed: %v", url, err)
		}
	}
	for _, url := range []string{"", "-x", "--upload-pack=x", "ext::sh -c x", "ext::sh", "fd::7", "file:///etc", "git://example.test/x", "ftp://example.test/x", "https://user:pass@example.test/x",
		"https://token@example.test/x", "ssh://git:pass@example.test/x", "ssh://-oProxyCommand=x/y", "ssh://a@-oProxyCommand=x/y", "a@-oProxyCommand=x:y", "-oProxyCommand=x:y", "host:-x",
		"https://example.test/a b", "https://example.test/a\nb", "https://", "https:///x", "relative/path", "../x", "transport::https://x/y"} {
		if kind, err := remoteKind("", url, true); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q is %q, %v", url, kind, err)
		}
	}
}

func TestFetchAndPush(t *testing.T) {
	up, w, a := seeded(t, map[string]string{"f": "1\n"})
	ctx := t.Context()
	local := Auth{AllowLocal: true}
	tag := w.raw("tag", "object "+string(a)+"\ntype commit\ntag v1\ntagger "+ann+"\n\nx\n")
	must(t, send(t, up, w, []OID{tag}, a))
	must(t, up.UpdateRefs(ctx, []RefUpdate{{"refs/tags/v1", Zero, tag}}, ""))

	r := newRepo(t)
	refs, err := r.LsRemote(ctx, up.Dir(), local)
	if want := []Ref{{"HEAD", a, a}, {"refs/heads/main", a, a}, {"refs/tags/v1", tag, a}}; err != nil || !slices.Equal(refs, want) {
		t.Errorf("offered %v %v", refs, err)
	}
	must(t, r.FetchFrom(ctx, up.Dir(), []string{"+refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*"}, local))
	refs, err = r.Refs(ctx)
	if want := []Ref{{"refs/heads/main", a, a}, {"refs/tags/v1", tag, a}}; err != nil || !slices.Equal(refs, want) {
		t.Errorf("fetched %v %v", refs, err)
	}
	must(t, r.Fsck(ctx))

	b := w.commit("b", map[string]string{"f": "2\n"})
	must(t, send(t, r, w, []OID{b}, a))
	must(t, r.UpdateRefs(ctx, []RefUpdate{{"refs/heads/main", a, b}}, ""))
	must(t, r.PushTo(ctx, up.Dir(), []string{"refs/heads/main:refs/heads/main", string(b) + ":refs/heads/copy"}, local))
	if held, err := up.RefOID(ctx, "refs/heads/main"); err != nil || held != b {
		t.Errorf("upstream holds %s %v", held, err)
	}
	w.git("checkout", "-q", string(a))
	c := w.commit("c", map[string]string{"f": "3\n"})
	must(t, send(t, r, w, []OID{c}, a))
	err = r.PushTo(ctx, up.Dir(), []string{string(c) + ":refs/heads/main"}, local)
	wantKind(t, err, fault.Conflict)
	if held, err := up.RefOID(ctx, "refs/heads/main"); err != nil || held != b {
		t.Errorf("upstream was rewound to %s %v", held, err)
	}
	for _, bad := range []string{"+refs/heads/main:refs/heads/main", ":refs/heads/main", "refs/heads/main", "--force", "--all", "refs/heads/main:refs/gate/x", "main:refs/heads/main",
		"refs/heads/main:refs/heads/a\nb", "refs/heads/*:refs/heads/x"} {
		wantKind(t, r.PushTo(ctx, up.Dir(), []string{bad}, local), fault.Invalid)
	}
	for _, bad := range []string{"refs/heads/*:refs/replace/*", "refs/heads/*:*", "--upload-pack=x", "refs/heads/a\nrefs/heads/main:refs/heads/b"} {
		wantKind(t, r.FetchFrom(ctx, up.Dir(), []string{bad}, local), fault.Invalid)
	}
	_, err = r.LsRemote(ctx, t.TempDir(), local)
	wantKind(t, err, fault.NotFound)
	_, err = r.LsRemote(ctx, up.Dir(), Auth{})
	wantKind(t, err, fault.Invalid)
}

// serve is smart HTTP of one repository, for fetching.
func serve(t *testing.T, r *Repo, before func(w http.ResponseWriter, q *http.Request) bool) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if before != nil && !before(w, q) {
			return
		}
		o := UploadPackOptions{Stateless: true, Protocol: q.Header.Get("Git-Protocol"), In: q.Body, Out: w}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		if strings.HasSuffix(q.URL.Path, "/info/refs") {
			o.AdvertiseRefs, o.In = true, nil
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			if o.Protocol == "" {
				if _, err := io.WriteString(w, "001e# service=git-upload-pack\n0000"); err != nil {
					t.Error(err)
				}
			}
		}
		if q.Header.Get("Content-Encoding") == "gzip" {
			t.Error("gzip is the transport's to undo")
		}
		if err := r.UploadPack(q.Context(), o); err != nil {
			t.Logf("upload-pack: %v", err)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// Stock git clones and fetches from us, in both protocols; candidates stay out of sight, but
// for those that were refused.
func TestUploadPack(t *testing.T) {
	r, w, a := seeded(t, map[string]string{"f": "1\n"})
	ctx := t.Context()
	w.git("checkout", "-q", "--detach")
	hidden := w.commit("hidden", nil)
	must(t, send(t, r, w, []OID{hidden}, a))
	must(t, r.UpdateRefs(ctx, []RefUpdate{{"refs/gate/candidates/1", Zero, hidden}, {"refs/gate/tested/1", Zero, hidden}, {"refs/changes/01/1/1", Zero, hidden}}, ""))
	s := serve(t, r, nil)
	for _, version := range []string{"0", "2"} {
		client := newWork(t)
		out := client.git("-c", "protocol.version="+version, "ls-remote", s.URL+"/r.git")
		if strings.Contains(out, "refs/gate/candidates") || !strings.Contains(out, "refs/changes/01/1/1") || !strings.Contains(out, "refs/heads/main") {
			t.Errorf("version %s shows %s", version, out)
		}
		client.git("-c", "protocol.version="+version, "fetch", "-q", s.URL+"/r.git", "main:main2", "refs/changes/01/1/1:ps")
		client.git("-c", "protocol.version="+version, "fetch", "-q", s.URL+"/r.git", "refs/gate/tested/1")
		client.git("-c", "protocol.version="+version, "fetch", "-q", s.URL+"/r.git", string(hidden))
		if got := client.git("rev-parse", "main2", "ps"); got != string(a)+"\n"+string(hidden) {
			t.Errorf("version %s fetched %s", version, got)
		}
		if out, err := client.try("", "-c", "protocol.version="+version, "fetch", s.URL+"/r.git", "refs/gate/candidates/1"); err == nil {
			t.Errorf("version %s fetched a candidate: %s", version, out)
		}
	}
	partial := newWork(t)
	partial.git("clone", "-q", "--filter=blob:none", "--no-checkout", s.URL+"/r.git", "p")
	if out, err := partial.try("", "clone", "-q", "--filter=sparse:oid="+string(a), "--no-checkout", s.URL+"/r.git", "q"); err == nil {
		t.Errorf("a costly filter was served: %s", out)
	}
}

// A token goes to the server it is for, not into arguments, not after a redirect.
func TestToken(t *testing.T) {
	r, _, a := seeded(t, nil)
	ctx := t.Context()
	token := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(token, []byte("s3cret\n"), 0o600))
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("bot:s3cret"))
	var mu sync.Mutex
	stolen := ""
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		stolen += q.URL.Path + q.Header.Get("Authorization")
	}))
	t.Cleanup(thief.Close)
	s := serve(t, r, func(w http.ResponseWriter, q *http.Request) bool {
		if strings.HasPrefix(q.URL.Path, "/moved") {
			http.Redirect(w, q, thief.URL+q.URL.Path, http.StatusFound)
			return false
		}
		if q.Header.Get("Authorization") != want {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return false
		}
		return true
	})
	auth := Auth{Username: "bot", TokenFile: token, AllowLocal: true}
	refs, err := r.LsRemote(ctx, s.URL+"/r.git", auth)
	if err != nil || len(refs) != 2 || refs[1].OID != a {
		t.Errorf("%v %v", refs, err)
	}
	if _, err := r.LsRemote(ctx, s.URL+"/moved/r.git", auth); err == nil {
		t.Error("a redirect was followed")
	}
	_, err = r.LsRemote(ctx, s.URL+"/r.git", Auth{AllowLocal: true})
	wantKind(t, err, fault.Denied)
	mu.Lock()
	if stolen != "" {
		t.Errorf("the redirect got %q", stolen)
	}
	mu.Unlock()
	must(t, os.WriteFile(token, []byte("two\nlines"), 0o600))
	_, err = r.LsRemote(ctx, s.URL+"/r.git", auth)
	wantKind(t, err, fault.Invalid)
}

// ssh is called with fixed options, whatever stands in the paths of its files.
func TestSSH(t *testing.T) {
	up, _, a := seeded(t, nil)
	dir := filepath.Join(t.TempDir(), "it's a folder; touch x")
	must(t, os.MkdirAll(dir, 0o700))
	bin := t.TempDir()
	log := filepath.Join(bin, "log")
	script := fmt.Sprintf("#!/bin/sh\nprintf '<%%s>' \"$@\" >%s\nexec git-upload-pack %s\n", log, up.Dir())
	must(t, os.WriteFile(filepath.Join(bin, "ssh"), []byte(script), 0o700))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	r := newRepo(t)
	auth := Auth{SSHKeyFile: filepath.Join(dir, "key"), KnownHosts: filepath.Join(dir, "hosts")}
	refs, err := r.LsRemote(t.Context(), "git@example.test:team/repo.git", auth)
	if err != nil || len(refs) != 2 || refs[1].OID != a {
		t.Fatalf("%v %v", refs, err)
	}
	said, err := os.ReadFile(log)
	must(t, err)
	for _, want := range []string{"<-F></dev/null>", "<BatchMode=yes>", "<IdentitiesOnly=yes>", "<StrictHostKeyChecking=accept-new>",
		`<UserKnownHostsFile="` + auth.KnownHosts + `">`, "<-i><" + auth.SSHKeyFile + ">", "<git@example.test>", "<git-upload-pack 'team/repo.git'>"} {
		if !strings.Contains(string(said), want) {
			t.Errorf("no %s in %s", want, said)
		}
	}
	for _, path := range []string{"relative", "/a\"b", "/a%h", "/a$b"} {
		if _, err := r.LsRemote(t.Context(), "git@example.test:x", Auth{KnownHosts: path}); err == nil {
			t.Errorf("%q was given to ssh", path)
		}
	}
}
