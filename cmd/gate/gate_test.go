package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
)

func TestEveryKindHasAnExitCode(t *testing.T) {
	for kind := fault.Internal; kind <= fault.Unavailable; kind++ {
		if code := exitCode(fault.New(kind, "test", "no", "")); code == exitOK {
			t.Errorf("%s exits with 0", kind)
		}
	}
	if code := exitCode(errors.New("disk on fire")); code != exitFailed {
		t.Errorf("an unclassified error exits with %d", code)
	}
}

// parser builds the command tree without running anything.
func parser(t *testing.T) *kong.Kong {
	t.Helper()
	var tree commands
	none := func(string) (string, bool) { return "", false }
	k, err := newParser(&tree, &process{stdout: io.Discard, stderr: io.Discard, layers: newLayers(none)})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestExamplesAreOfCommandsThatExist(t *testing.T) {
	k := parser(t)
	paths := map[string]*kong.Node{"": k.Model.Node}
	err := kong.Visit(k.Model.Node, func(node kong.Visitable, next kong.Next) error {
		if n, ok := node.(*kong.Node); ok {
			paths[strings.TrimPrefix(strings.TrimPrefix(n.FullPath(), "gate"), " ")] = n
		}
		return next(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, lines := range examples {
		if paths[path] == nil {
			t.Errorf("there are examples for %q, which is no command", path)
		}
		for _, line := range lines {
			_, rest, ok := strings.Cut(line, "gate ")
			if !ok {
				t.Errorf("%q does not show gate", line)
				continue
			}
			noun, _, _ := strings.Cut(rest, " ")
			if paths[noun] == nil {
				t.Errorf("%q: there is no command %q", line, noun)
			}
		}
	}
}

// byValue says that a flag or a setting of this name would hold a secret, and not the file that does.
func byValue(name string) bool {
	return !strings.HasSuffix(name, "-file") && slices.ContainsFunc([]string{"token", "password", "secret"}, func(word string) bool { return strings.Contains(name, word) })
}

// Every command that answers has --json, and none takes a secret as the value of a flag.
func TestConventions(t *testing.T) {
	for _, leaf := range parser(t).Model.Leaves(true) {
		var flags []string
		for _, group := range leaf.AllFlags(true) {
			for _, f := range group {
				flags = append(flags, f.Name)
				if byValue(f.Name) {
					t.Errorf("%s --%s would show a secret on the command line", leaf.FullPath(), f.Name)
				}
			}
		}
		reads := slices.Contains([]string{"list", "show", "why", "grants", "rules", "check", "doctor", "version"}, leaf.Name)
		if reads && !slices.Contains(flags, "json") {
			t.Errorf("%s has no --json", leaf.FullPath())
		}
		if leaf.Help == "" {
			t.Errorf("%s has no help", leaf.FullPath())
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{"1": 1, "4096": 4096, "1B": 1, "64KiB": 64 << 10, "100MiB": 100 << 20, "2GiB": 2 << 30} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "0", "1.5GiB", "GiB", "9999999999GiB", "12 parsecs", "1MB"} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
	if s := Size(100 << 20).String(); s != "100MiB" {
		t.Errorf("100 MiB is shown as %s", s)
	}
}

func TestDidYouMean(t *testing.T) {
	known := []string{"http", "ssh", "database", "log-level"}
	for word, want := range map[string]string{"htp": "http", "databse": "database", "loglevel": "log-level", "zzzzzz": ""} {
		got := didYouMean(word, known)
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("didYouMean(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestCleanMakesTextHarmless(t *testing.T) {
	for text, want := range map[string]string{
		"plain, äöü 漢字": "plain, äöü 漢字", "\x1b[2Jgone": "?[2Jgone", "a\u202eb": "a?b", "two\nlines": "two?lines", "zero\u200bwidth": "zero?width",
	} {
		if got := clean(text); got != want {
			t.Errorf("clean(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]bool{"127.0.0.1:80": true, "[::1]:80": true, "localhost:80": true, "0.0.0.0:80": false, ":80": false, "10.0.0.1:80": false, "example.org:80": false} {
		if got := isLoopback(address); got != want {
			t.Errorf("isLoopback(%s) = %t", address, got)
		}
	}
	s := Settings{URL: "https://git.example.org/", TLSCert: "x"}
	s.addressed("0.0.0.0:443", "0.0.0.0:29418")
	if s.URL != "https://git.example.org" || s.SSHURL != "ssh://git.example.org:29418" {
		t.Errorf("behind a name: %s, %s", s.URL, s.SSHURL)
	}
	s = Settings{}
	s.addressed("127.0.0.1:8080", "127.0.0.1:29418")
	if s.URL != "http://127.0.0.1:8080" || s.SSHURL != "ssh://127.0.0.1:29418" {
		t.Errorf("on this machine: %s, %s", s.URL, s.SSHURL)
	}
}

// A token is sent to the server that was named, and nowhere else.
func TestRedirectsStayOnTheHost(t *testing.T) {
	from, _ := http.NewRequest(http.MethodGet, "https://gate.test/a", nil)
	for target, followed := range map[string]bool{"https://gate.test/b": true, "https://evil.test/b": false, "http://gate.test/b": false, "https://gate.test:444/b": false} {
		to, _ := http.NewRequest(http.MethodGet, target, nil)
		if err := sameHost(to, []*http.Request{from}); (err == nil) != followed {
			t.Errorf("%s: %v", target, err)
		}
	}
}

func TestInProcessStreamsAndEnds(t *testing.T) {
	ended := make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		w.Header().Set("X-Test", "yes")
		w.WriteHeader(http.StatusTeapot)
		w.Header().Set("X-Test", "too late")
		_, _ = io.WriteString(w, "begun")
		<-r.Context().Done() // as a log that is followed
	})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://gate.invalid/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := inProcess{handler, account.Local()}.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	begun := make([]byte, len("begun"))
	if _, err := io.ReadFull(resp.Body, begun); err != nil || resp.StatusCode != http.StatusTeapot || resp.Header.Get("X-Test") != "yes" {
		t.Errorf("%v %d %v", err, resp.StatusCode, resp.Header)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	<-ended // closing the answer ends the request
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (inProcess{http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), account.Local()}).RoundTrip(r.WithContext(ctx)); err == nil {
		t.Error("a request that was given up was answered")
	}
}

// While a server starts, verbs on its folder wait; while it runs, no second one starts.
func TestLocks(t *testing.T) {
	dir := t.TempDir()
	release, err := lockServer(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockServer(dir); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a second server: %v", err)
	}
	if !serverRuns(dir) {
		t.Error("the server is not seen")
	}
	release()
	if serverRuns(dir) {
		t.Error("a server is seen that has gone")
	}
	one, err := lockShared(dir)
	if err != nil {
		t.Fatal(err)
	}
	two, err := lockShared(dir)
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	go func() {
		release, err := lockStarting(dir)
		if err == nil {
			release()
		}
		started <- err
	}()
	one()
	select {
	case <-started:
		t.Error("a server started while a verb was at work")
	default:
	}
	two()
	if err := <-started; err != nil {
		t.Error(err)
	}
}

func TestWriteWholeLeavesNothingHalf(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "x")
	for _, text := range []string{"one", "two"} {
		if err := writeWhole(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeWhole(filepath.Join(dir, "missing", "x"), nil); err == nil {
		t.Error("a folder that is not there took a file")
	}
	left, err := filepath.Glob(filepath.Join(dir, ".new-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left over: %v %v", left, err)
	}
}

// The settings that a running server and a verb on its folder see are the same table.
func TestSettingsTable(t *testing.T) {
	env := map[string]string{"GATE_WORKERS": "3", "GATE_INSECURE_HTTP": "true", "GATE_STAGE_ENV": "A=1,B=2"}
	s, err := loadSettings(func(name string) (string, bool) { v, ok := env[name]; return v, ok }, "--data="+t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if s.workers() != 3 || !s.Insecure || s.stageEnv()["B"] != "2" || s.MaxPack != 2<<30 {
		t.Errorf("%+v", s)
	}
	for _, name := range settingNames() {
		if byValue(name) {
			t.Errorf("%s would be a secret by value", name)
		}
	}
	if odd := strangers([]string{"GATE_HTTP=x", "GATE_HTPP=x", "GATE_TOKEN=x", "GATE_TEST_DATABASE=x", "PATH=x"}); !slices.Equal(odd, []string{"GATE_HTPP"}) {
		t.Errorf("strangers = %v", odd)
	}
}

func TestComplainTellsTheNextStep(t *testing.T) {
	var out bytes.Buffer
	complain(&out, fault.New(fault.Denied, "x", "you may not", "ask somebody"))
	if out.String() != "gate: you may not\nnext: ask somebody\n" {
		t.Errorf("%q", out.String())
	}
}

func TestSampleArchives(t *testing.T) {
	dir := t.TempDir()
	for _, name := range append(slices.Clone(demoHistory), demoFirst, demoSecond, demoBad) {
		head, err := unpack(name, dir)
		if err != nil {
			t.Fatal(err)
		}
		env, message := signature(head)
		if name != demoSecond && (len(env) < 4 || len(message) < 10) {
			t.Errorf("%s: %v, %q", name, env, message)
		}
	}
}

func TestTableKeepsItsColumns(t *testing.T) {
	var out bytes.Buffer
	err := printTable(&out, "ID URL STATE REASON", [][]string{{"1", "ssh://a", "synced", ""}, {"22", "ssh://longer", "retrying", "no route"}, {"3", "", "", ""}})
	want := "ID  URL           STATE     REASON\n" +
		"1   ssh://a       synced\n" +
		"22  ssh://longer  retrying  no route\n" +
		"3\n"
	if err != nil || out.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, &out, want)
	}
}

func TestAnswersAreJSONWithoutEscapes(t *testing.T) {
	var out bytes.Buffer
	if err := printJSON(&out, map[string]string{"a": "<&>"}); err != nil || !strings.Contains(out.String(), "<&>") || !json.Valid(out.Bytes()) {
		t.Errorf("%v %s", err, &out)
	}
}
