package artifact

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/gitserver/fault"
)

func TestReadStatement(t *testing.T) {
	d := func(c string) string { return digestPrefix + strings.Repeat(c, 64) }
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := Provenance{
		Builder: "https://gate.example.test", Repository: "https://gate.example.test/hello", Commit: "c0ffee", Tree: "7ree", Stage: "build", Plan: d("9"),
		StageRun: 42, Started: at, Finished: at.Add(time.Minute), Materials: []Material{{"api", d("b")}},
	}
	text, err := Statement([]Artifact{{Name: "server", Digest: d("2")}, {Name: "cli", Digest: d("1")}}, want)
	must(t, err)
	subjects, got, err := ReadStatement(text)
	must(t, err)
	if len(subjects) != 2 || subjects[0] != (Artifact{Name: "cli", Digest: d("1")}) {
		t.Errorf("%+v", subjects)
	}
	again, err := Statement(subjects, got)
	must(t, err)
	if string(again) != string(text) {
		t.Errorf("%s\n%s", again, text)
	}
	for what, text := range map[string]string{
		"nothing": "", "another type": strings.Replace(string(text), "Statement/v1", "Statement/v0.1", 1), "another predicate": strings.Replace(string(text), "provenance/v1", "vsa/v1", 1),
		"no SHA-256": strings.ReplaceAll(string(text), `"sha256"`, `"sha1"`),
	} {
		if _, _, err := ReadStatement([]byte(text)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What was fetched, and what it was made of, have the digest that the store has.
func TestDigestsOf(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	one := newImg()
	one.index(one.manifest("layer 1", "layer 2"))
	for typ, from := range map[string]*os.Root{
		File: tree(t, map[string]string{"server": "x content"}), Bundle: tree(t, map[string]string{"site/a/b": "b", "site/c": "-> a"}), Image: tree(t, one.files),
	} {
		name := map[string]string{File: "server", Bundle: "site", Image: "."}[typ]
		a, err := s.Put(ctx, typ, from, name, large)
		must(t, err)
		_, at, err := place(typ, a.Digest)
		must(t, err)
		for _, path := range []string{filepath.Join(from.Name(), name), filepath.Join(s.root.Name(), at)} {
			if got, err := DigestsOf(ctx, path); err != nil || !slices.Contains(got, a.Digest) {
				t.Errorf("%s %s: %q, %v, want %s", typ, path, got, err, a.Digest)
			}
		}
	}
	// An image that is not what its parts are called.
	for name, text := range one.files {
		if text == "layer 2" {
			one.files[name] = "layer 3"
		}
	}
	if got, err := DigestsOf(ctx, tree(t, one.files).Name()); !fault.Is(err, fault.Refused) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := DigestsOf(ctx, filepath.Join(t.TempDir(), "nothing")); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
}
