package runner

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/gatekeeper/plan"
)

const token = "s3cr3t~t0ken+value"

// A stage is told its secrets, and whatever it does with them, nothing that is kept shows them.
func TestSecrets(t *testing.T) {
	t.Setenv("PATH", os.Getenv("PATH"))
	everyMode(t, func(t *testing.T, mode Mode) {
		f := newFixture(t, mode)
		key := []byte("first line of the key\nsecond line of the key\n")
		req := Request{RepoID: 1, Secrets: []Secret{
			{Name: "token", Env: "TOKEN", Value: []byte(token)}, {Name: "key", File: "key.pem", Value: key}, {Name: "token-file", File: "token", Value: []byte(token)},
		}}
		req.Stage = plan.Stage{Run: `set -e
test ${#TOKEN} = 18
test "$(cat "$GATE_SECRETS/token")" = "$TOKEN"
test "$(stat -c %a "$GATE_SECRETS/token")" = 400
test "$(stat -c %u "$GATE_SECRETS/token")" = "$(id -u)"
test "$(wc -l < "$GATE_SECRETS/key.pem")" = 2
if grep -lF "$TOKEN" /proc/[0-9]*/cmdline 2>/dev/null; then exit 7; fi
echo "whole $TOKEN"
for c in s3c r3 t~t 0ken +va lue; do printf %s $c; sleep 0.02; done; echo
printf %s "$TOKEN" | base64
printf %s "user:$TOKEN" | base64
printf %s "$TOKEN" | od -An -tx1 | tr -d ' \n'; echo
cat "$GATE_SECRETS/key.pem"
tail -n 1 "$GATE_SECRETS/key.pem"
echo "$TOKEN" >&2
mkdir -p "out/$TOKEN"; touch "out/$TOKEN/x$TOKEN"; find out
set -x; true "$TOKEN"`}
		result, log := f.run(t, req)
		wantState(t, result, log, passed)
		for _, part := range []string{token, "s3cr3t", "ken+value", "line of the key", "c2VjcjN0", "czNjcjN0", "7333637233747e"} {
			if strings.Contains(log, part) {
				t.Errorf("%q shows in\n%s", part, log)
			}
		}
		if !strings.Contains(log, "whole ***\n***\n") || !strings.Contains(log, "out/***/x***\n") {
			t.Errorf("output:\n%s", log)
		}
		// Nothing is left for the next one.
		look := `test -z "$TOKEN$GATE_SECRETS" && test ! -e /secrets`
		if mode != None { // without walls /tmp is everybody's
			look += ` && ! grep -rsqF '` + token + `' /cache /tmp "$HOME"`
		}
		result, log = f.run(t, Request{RepoID: 1, Stage: plan.Stage{Run: look}})
		wantState(t, result, log, passed)
	})
}

// A secret in the name of a test, of a results file or of an artifact, or in a report, is masked too.
func TestSecretsInResults(t *testing.T) {
	everyMode(t, func(t *testing.T, mode Mode) {
		f := newFixture(t, mode)
		withStore(t, f)
		secrets := []Secret{{Name: "token", Env: "TOKEN", Value: []byte(token)}}
		result, log := f.run(t, Request{Secrets: secrets, Stage: plan.Stage{
			Run: `{ printf '{"Action":"output","Package":"p","Test":"T/%s","Output":"%s\\n"}\n' "$TOKEN" "$TOKEN"
printf '{"Action":"fail","Package":"p","Test":"T/%s"}\n' "$TOKEN"; } > out.json; echo x > a.go; echo "a.go:1: $TOKEN is wrong"`,
			Results: map[string]string{plan.GoTest: "out.json"}, Annotations: []plan.Report{{Kind: plan.Lines}},
		}})
		wantState(t, result, log, passed)
		if result.Tests == nil || result.Tests.Failed == 0 || len(result.Findings.Kept) != 1 {
			t.Fatalf("%+v", result)
		}
		for _, c := range result.Tests.Cases {
			if strings.Contains(c.Name+c.Output, token) || c.Status == plan.CaseFailed && strings.Contains(c.Name, "/") && c.Name != "T/***" {
				t.Errorf("case %+v", c)
			}
		}
		if m := result.Findings.Kept[0].Message; m != "*** is wrong" {
			t.Errorf("finding %q", m)
		}
		result, log = f.run(t, Request{Secrets: secrets, Stage: plan.Stage{
			Run: `mkdir a; ln -s "/etc/$TOKEN" "a/$TOKEN"`, Produces: map[string]string{"a": "a"},
		}, ArtifactTypes: map[string]string{"a": plan.BundleArtifact}})
		wantState(t, result, log, failed)
		if strings.Contains(result.Reason, token) || !strings.Contains(result.Reason, "***") {
			t.Errorf("reason %q", result.Reason)
		}
	})
}

// No secret lies on the disk while the stage runs, but for the folder of its own without walls.
func TestSecretsAreNotOnDisk(t *testing.T) {
	everyMode(t, func(t *testing.T, mode Mode) {
		f := newFixture(t, mode)
		var found []string
		log := writerFunc(func(p []byte) (int, error) {
			found = nil
			_ = filepath.WalkDir(f.data, func(name string, _ os.DirEntry, err error) error {
				if text, e := os.ReadFile(name); err == nil && e == nil && bytes.Contains(text, []byte(token)) {
					found = append(found, name)
				}
				return nil
			})
			cmdlines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, name := range cmdlines {
				if text, err := os.ReadFile(name); err == nil && bytes.Contains(text, []byte(token)) {
					found = append(found, name)
				}
			}
			return len(p), nil
		})
		result := f.Run(t.Context(), Request{Repo: files{}, Log: log, Stage: plan.Stage{Run: `cat "$GATE_SECRETS/t"; echo`}, Secrets: []Secret{
			{Name: "t", File: "t", Env: "T", Value: []byte(token)},
		}})
		wantState(t, result, "", passed)
		if mode == None && len(found) == 1 && strings.HasSuffix(found[0], "/secrets/t") {
			return
		}
		if len(found) != 0 {
			t.Errorf("found in %q", found)
		}
	}, Bubblewrap, Embedded, None)
}

func TestSecretsThatAreRefused(t *testing.T) {
	value := []byte(token)
	tests := []struct {
		secret       Secret
		state, words string
	}{
		{Secret{Env: "A", Value: []byte("short")}, errored, "less than 8 bytes"},
		{Secret{Env: "A", Value: nil}, errored, "less than 8 bytes"},
		{Secret{Env: "A", Value: []byte("a        \n")}, errored, "less than 8 bytes"},
		{Secret{Env: "A", Value: bytes.Repeat(value, 10000)}, errored, "more than 65536 bytes"},
		{Secret{Env: "A", Value: append([]byte{0}, value...)}, errored, "zero byte"},
		{Secret{Value: value}, failed, "neither a variable nor a file"},
		{Secret{Env: "A=B", Value: value}, failed, "cannot be in the variable"},
		{Secret{Env: "1A", Value: value}, failed, "cannot be in the variable"},
		{Secret{Env: "GATE_SECRETS", Value: value}, failed, "cannot be in the variable"},
		{Secret{File: "../evil", Value: value}, failed, "cannot be in the file"},
		{Secret{File: "/etc/evil", Value: value}, failed, "cannot be in the file"},
		{Secret{File: "..", Value: value}, failed, "cannot be in the file"},
		{Secret{File: "a/b", Value: value}, failed, "cannot be in the file"},
		{Secret{File: "twice", Value: value}, failed, "each name once"},
	}
	f := newFixture(t, Embedded)
	for _, tt := range tests {
		result, log := f.run(t, Request{Stage: plan.Stage{Run: "echo begun"}, Secrets: []Secret{{File: "twice", Value: value}, tt.secret}})
		wantState(t, result, log, tt.state)
		if log != "" || !strings.Contains(result.Reason, tt.words) || strings.Contains(result.Reason, token) {
			t.Errorf("%.40q: %q; want %q", tt.secret.Value, result.Reason, tt.words)
		}
	}
	_ = os.MkdirAll(f.Work, 0o700) // for the fixture, which looks into it
}
