package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/gatekeeper/artifact"
	"gatehouse/gatekeeper/attest"
	"gatehouse/gitserver/fault"
)

// What was fetched is verified with nothing but files; what was changed is not.
func TestVerifyOffline(t *testing.T) {
	dir := t.TempDir()
	keys, err := attest.Open(filepath.Join(dir, "keys"))
	check(t, err)
	other, err := attest.Open(filepath.Join(dir, "other"))
	check(t, err)
	file := filepath.Join(dir, "server")
	check(t, os.WriteFile(file, []byte("content"), 0o600))
	digests, err := artifact.DigestsOf(t.Context(), file)
	check(t, err)
	from := artifact.Provenance{Builder: "b", Repository: "https://gate.example.test/hello", Commit: "c0ffee", Stage: "build"}
	statement := func(digest string) []byte {
		text, err := artifact.Statement([]artifact.Artifact{{Name: "server", Digest: digest}}, from)
		check(t, err)
		return text
	}
	sign := func(k *attest.Keys, kind string, text []byte) {
		signed, err := k.Sign(kind, text)
		check(t, err)
		check(t, os.WriteFile(file+envelopeSuffix, append(signed, '\n'), 0o600))
	}
	sign(keys, artifact.StatementPayload, statement(digests[0]))
	_, err = keys.Rotate()
	check(t, err)
	public, err := keys.Public()
	check(t, err)
	trusted := filepath.Join(dir, "gate.pub")
	check(t, os.WriteFile(trusted, attest.PEM(public), 0o600))

	run := func(edit func(*artifactVerifyCmd)) (string, error) {
		c := &artifactVerifyCmd{File: file, Key: []string{trusted}}
		edit(c)
		var out bytes.Buffer
		err := c.Run(&process{ctx: context.Background(), stdout: &out})
		return out.String(), err
	}
	as := func(*artifactVerifyCmd) {}
	out, err := run(as)
	if err != nil || !strings.Contains(out, "from commit c0ffee") || !strings.Contains(out, public[1].ID) {
		t.Errorf("%q, %v", out, err)
	}
	out, err = run(func(c *artifactVerifyCmd) {
		c.JSON, c.Repo, c.Commit, c.Stage = true, from.Repository+"/", "c0ffee", "build"
	})
	var v Verified
	if err != nil || json.Unmarshal([]byte(out), &v) != nil || v.Digest != digests[0] || v.Repository != from.Repository {
		t.Errorf("%q, %v", out, err)
	}
	refused := func(what, words string, kind fault.Kind, edit func(*artifactVerifyCmd)) {
		t.Helper()
		if out, err := run(edit); !fault.Is(err, kind) || !strings.Contains(fault.Sentence(err), words) || out != "" {
			t.Errorf("%s: %q, %v", what, out, err)
		}
	}
	refused("another repository", "from another repository", fault.Refused, func(c *artifactVerifyCmd) { c.Repo = "https://gate.example.test/evil" })
	refused("another commit", "from another commit", fault.Refused, func(c *artifactVerifyCmd) { c.Commit = "feed" })
	refused("another stage", "from another stage", fault.Refused, func(c *artifactVerifyCmd) { c.Stage = "unit" })
	refused("no envelope", "with the signed provenance", fault.NotFound, func(c *artifactVerifyCmd) { c.Envelope = file + ".no" })
	refused("no key", "the public key", fault.NotFound, func(c *artifactVerifyCmd) { c.Key = []string{file + ".no"} })
	refused("a private key", "private key", fault.Invalid, func(c *artifactVerifyCmd) { c.Key = []string{filepath.Join(dir, "keys/0002.key")} })
	refused("an envelope that is none", "no DSSE envelope", fault.Invalid, func(c *artifactVerifyCmd) { c.Envelope = file })

	check(t, os.WriteFile(file, []byte("Content"), 0o600))
	refused("another file", "about another artifact", fault.Refused, as)
	sign(other, artifact.StatementPayload, statement(digests[0]))
	refused("another server", "none of the keys that are trusted", fault.Refused, as)
	sign(keys, "text/plain", statement(digests[0]))
	refused("another type", "no statement about artifacts", fault.Refused, as)
	sign(keys, artifact.StatementPayload, []byte(`{"_type":"https://in-toto.io/Statement/v1"}`))
	refused("another predicate", "with a predicate of the type", fault.Invalid, as)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
