package assembly

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
)

// place is where the scripts of the tests deploy to: a web service that takes notes.
type place struct {
	*httptest.Server
	notes  syncBuffer
	broken bool
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			fmt.Fprintln(&p.notes, strings.TrimPrefix(r.URL.Path, "/"))
		case p.broken:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

// told are the notes since the last look.
func (p *place) told() string {
	p.notes.mu.Lock()
	defer p.notes.mu.Unlock()
	defer p.notes.b.Reset()
	return p.notes.b.String()
}

// placeScript deploys to a place by telling it all that it knows.
const placeScript = `test -z "$GATE_ARTIFACT" || test -x "$GATE_ARTIFACT/service" || exit 99
curl -sf -X POST "$PLACE/$GATE_ACTION/$GATE_ASSEMBLY/${GATE_DIGEST%%%%d*}/$GATE_ENVIRONMENT/$GATE_PREVIOUS_DIGEST/$GATE_HANDLE/$GATE_FAILED"
%s
`

func commandSpec(t *testing.T, p *place, deploy string) (*Command, Spec) {
	t.Helper()
	tree := t.TempDir()
	if err := os.WriteFile(filepath.Join(tree, "tell.sh"), fmt.Appendf(nil, placeScript, ""), 0o600); err != nil {
		t.Fatal(err)
	}
	s := spec(t, 7, "PLACE="+p.URL)
	s.Tree = copyTo(tree)
	s.Secrets = map[string]string{"TOKEN": "hunter2hunter2"}
	s.Ready = plan.Probe{HTTP: "/", Within: 2 * time.Second}
	s.Scripts = plan.Scripts{Deploy: ". ./tell.sh\n" + deploy, Verify: ". ./tell.sh", Rollback: ". ./tell.sh", Destroy: ". ./tell.sh"}
	return NewCommand(CommandConfig{Runner: newRunner(t.TempDir()), Recall: func(_ context.Context, repo int64, environment, commit string) (Recalled, error) {
		if repo != s.RepoID || environment != s.Environment || commit != s.Commit {
			return Recalled{}, fmt.Errorf("asked for %d %s %s", repo, environment, commit)
		}
		return Recalled{Tree: s.Tree, Secrets: s.Secrets}, nil
	}}), s
}

func TestCommandLife(t *testing.T) {
	p := newPlace(t)
	d, s := commandSpec(t, p, "echo GATE_ADDRESS=http://127.0.0.1:1; echo GATE_HANDLE=vm-17; echo GATE_ADDRESS=$PLACE; echo token $TOKEN")
	var log syncBuffer
	s.Log, s.PreviousDigest, s.Previous = &log, "sha256:before", &Instance{Driver: plan.DriverProcess, Address: "http://127.0.0.1:2"}
	i, err := d.Deploy(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if i.Address != p.URL || strings.Contains(string(i.Handle), "hunter2") || !strings.Contains(log.String(), "token [masked]\n") {
		t.Errorf("%+v %s, log %q", i, i.Handle, log.String())
	}
	if got, want := p.told(), "deploy/7/sha256:/preview/sha256:before//\nverify/7/sha256:/preview/sha256:before/vm-17/\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if same, err := d.Adopt(t.Context(), s, i); err != nil || same.Address != i.Address {
		t.Errorf("%+v, %v", same, err)
	}
	wantHealth(t, d, i, Ready)
	p.broken = true
	if words := wantHealth(t, d, i, Degraded); words != "/ answers 503" {
		t.Errorf("%q", words)
	}
	if err := d.Destroy(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	if got, want := p.told(), "destroy/7/sha256:/preview//vm-17/\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestCommandFails(t *testing.T) {
	const good = "; echo GATE_HANDLE=vm; echo GATE_ADDRESS=$PLACE"
	tests := []struct {
		name, deploy string
		edit         func(*place, *Spec)
		failed       bool
		want, told   string
	}{
		{"says no", "echo no room; exit 1", nil, true, "exit code 1; its last words: no room", "rollback/7/sha256:/preview///deploy"},
		{"try again", "echo busy; exit 75", nil, false, "busy", "rollback/7/sha256:/preview///deploy"},
		{"no address", "true", nil, true, "did not say where", "rollback/7/sha256:/preview///deploy"},
		{"no web address", "echo GATE_ADDRESS=$(pwd)", nil, true, "no address of an assembly", "rollback/7/sha256:/preview///deploy"},
		{"the cloud's own", "echo GATE_ADDRESS=http://169.254.169.254:80", nil, true, "no assembly is at", "rollback/7/sha256:/preview///deploy"},
		{"a secret in its handle", "echo GATE_HANDLE=x-$TOKEN; echo GATE_ADDRESS=$PLACE", nil, true, "put a secret", ""},
		{"a secret in an address", "echo GATE_ADDRESS=http://x:$TOKEN@127.0.0.1:80", nil, true, "put a secret", ""},
		{"a long handle", "echo GATE_HANDLE=$(head -c 5000 /dev/zero | tr '\\0' x); echo GATE_ADDRESS=$PLACE", nil, true, "longer than 4096 bytes", ""},
		{"never answers", "true" + good, func(p *place, _ *Spec) { p.broken = true }, true, "/ answers 503", "rollback/7/sha256:/preview//vm/probe"},
		{"does not verify", "true" + good, func(_ *place, s *Spec) { s.Scripts.Verify = "echo wrong; exit 3" }, true, "the script verify ended: exit code 3; its last words: wrong", "rollback/7/sha256:/preview//vm/verify"},
		{"no way back", "exit 1", func(_ *place, s *Spec) { s.Scripts.Rollback = "" }, true, "exit code 1", "destroy/7/sha256:/preview///deploy"},
		{"no way back from what ran", "exit 1", func(_ *place, s *Spec) { s.Scripts.Rollback, s.Previous = "", &Instance{} }, true, "exit code 1", ""},
		{"and no way back works", "exit 1", func(_ *place, s *Spec) { s.Scripts.Rollback = "exit 2" }, true, "taking it back failed too: the script rollback ended: exit code 2", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlace(t)
			d, s := commandSpec(t, p, tt.deploy)
			if tt.edit != nil {
				tt.edit(p, &s)
			}
			i, err := d.Deploy(t.Context(), s)
			if err == nil || Failed(err) != tt.failed || i.Address != "" {
				t.Fatalf("%+v, %v", i, err)
			}
			words := fault.Sentence(err)
			if !strings.Contains(words, tt.want) || strings.Contains(words, "hunter2") {
				t.Errorf("%q, want %q", words, tt.want)
			}
			if got := p.told(); !strings.Contains(got, tt.told) {
				t.Errorf("told %q, want %q", got, tt.told)
			}
		})
	}
	d, s := commandSpec(t, newPlace(t), "")
	s.Scripts.Deploy = ""
	if _, err := d.Deploy(t.Context(), s); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
}

// A commit may have links in it; the artifact is not unpacked through one.
func TestArtifactsStayInTheirFolder(t *testing.T) {
	outside := t.TempDir()
	p := newPlace(t)
	d, s := commandSpec(t, p, "echo GATE_ADDRESS=$PLACE")
	tree := s.Tree
	s.Tree = func(ctx context.Context, dir string) error {
		if err := tree(ctx, dir); err != nil {
			return err
		}
		for _, name := range []string{".gate-artifact", ".gate-artifact-", "artifact"} {
			if err := os.Symlink(outside, filepath.Join(dir, name)); err != nil {
				return err
			}
		}
		return nil
	}
	if _, err := d.Deploy(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("unpacked outside: %v, %v", left, err)
	}
}
