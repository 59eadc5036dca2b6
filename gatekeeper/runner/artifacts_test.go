package runner

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/gatekeeper/artifact"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/git"
)

func withStore(t *testing.T, f *fixture) *artifact.Store {
	t.Helper()
	s, err := artifact.New(filepath.Join(f.data, "artifacts"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	f.Artifacts = s
	return s
}

// One build, handed on: what a stage produced is, byte for byte, what the next one uses.
func TestProducedAndUsed(t *testing.T) {
	everyMode(t, func(t *testing.T, mode Mode) {
		f := newFixture(t, mode)
		s := withStore(t, f)
		stage := plan.Stage{
			Run: "set -e; mkdir -p out site/img; printf '#!/bin/sh\necho served\n' > out/app; chmod 755 out/app\n" +
				"echo page > site/index.html; ln -s ../index.html site/img/link; echo '{\"p95_ms\": 12.5}' > m.json",
			Produces: map[string]string{"server": "out/app", "site": "site"}, Results: map[string]string{plan.Metrics: "m.json"},
		}
		types := map[string]string{"site": plan.BundleArtifact}
		result, log := f.run(t, Request{RepoID: 1, Stage: stage, ArtifactTypes: types})
		wantState(t, result, log, passed)
		if len(result.Artifacts) != 2 || result.Artifacts[0].Name != "server" || !result.Artifacts[0].Executable || result.Artifacts[1].Name != "site" {
			t.Fatalf("%+v", result.Artifacts)
		}
		if want := map[string]float64{"p95_ms": 12.5}; !maps.Equal(result.Metrics, want) {
			t.Errorf("metrics %v", result.Metrics)
		}
		for _, a := range result.Artifacts {
			if err := s.Verify(t.Context(), a); err != nil {
				t.Error(err)
			}
		}
		again, log := f.run(t, Request{RepoID: 2, Stage: stage, ArtifactTypes: types})
		wantState(t, again, log, passed)
		if again.Artifacts[0] != result.Artifacts[0] || again.Artifacts[1] != result.Artifacts[1] {
			t.Errorf("made again: %+v and %+v", again.Artifacts, result.Artifacts)
		}
		used, log := f.run(t, Request{RepoID: 1, Stage: plan.Stage{Run: "bin/app; cat www/deep/img/link; echo x >> bin/app && touch www/deep/new bin/new"}, Uses: []Handed{
			{Artifact: result.Artifacts[0], Path: "bin/app"}, {Artifact: result.Artifacts[1], Path: "www/deep"},
		}})
		wantState(t, used, log, passed)
		if log != "served\npage\n" {
			t.Errorf("output %q", log)
		}
		// What it did to its copy did nothing to the store.
		for _, a := range result.Artifacts {
			if err := s.Verify(t.Context(), a); err != nil {
				t.Error(err)
			}
		}
	})
}

// A stage names as its artifact what is not its own, or is not there.
func TestProducesAttacks(t *testing.T) {
	tests := map[string]struct{ run, path, typ, reason string }{
		"missing":             {"true", "out/app", "", `it did not leave its artifact "a" at "out/app": there is no file "out/app"`},
		"a link to passwd":    {"ln -s /etc/passwd a", "a", "", "leads out"},
		"a link to the data":  {"ln -s ../../../secret a", "a", "", "leads out"},
		"a folder's link":     {"ln -s / out", "out/etc/passwd", "", "leads out"},
		"a path upwards":      {"true", "../../x", "", "not a path below"},
		"an absolute path":    {"true", "/etc/passwd", "", "not a path below"},
		"a pipe":              {"mkfifo a", "a", "", "not a regular file"},
		"too large":           {"head -c 2000001 /dev/zero > a", "a", "", `"a" is larger than 2000000 bytes`},
		"a hole":              {"truncate -s 3G a", "a", "", "is larger than"},
		"a folder for a file": {"mkdir a", "a", "", "not a regular file"},
		"links in a bundle":   {"mkdir a; ln -s /etc/passwd a/p", "a", plan.BundleArtifact, `the link "p" leads out`},
		"a lying image": {`mkdir -p i/blobs/sha256; cd i; echo '{"imageLayoutVersion":"1.0.0"}' > oci-layout; h=$(printf %064d 0); echo evil > blobs/sha256/$h
			echo '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:'$h'","size":5}]}' > index.json`,
			"i", plan.OCIImage, "is not that, but"},
	}
	everyMode(t, func(t *testing.T, mode Mode) {
		for name, tt := range tests {
			t.Run(name, func(t *testing.T) {
				f := newFixture(t, mode)
				s := withStore(t, f)
				f.Limits.Artifact = 2_000_000
				if err := os.WriteFile(filepath.Join(f.data, "secret"), []byte("SECRET"), 0o644); err != nil { //nolint:gosec // on purpose
					t.Fatal(err)
				}
				result, log := f.run(t, Request{Stage: plan.Stage{Run: tt.run, Produces: map[string]string{"a": tt.path}}, ArtifactTypes: map[string]string{"a": tt.typ}})
				wantState(t, result, log, failed)
				if !strings.Contains(result.Reason, tt.reason) || !strings.Contains(result.Reason, `"a"`) || result.Artifacts != nil {
					t.Errorf("%+v; want %q", result, tt.reason)
				}
				for k := range s.All() {
					t.Errorf("kept: %+v", k)
				}
			})
		}
	})
}

// linked is a source whose tree has links where artifacts shall go.
type linked struct{ out string }

func (l linked) Checkout(_ context.Context, _ git.OID, dir string) error {
	return errors.Join(os.Symlink("/etc/passwd", filepath.Join(dir, "link")), os.Symlink(l.out, filepath.Join(dir, "out")),
		os.WriteFile(filepath.Join(dir, "file"), []byte("old"), 0o600))
}

func TestUsesAttacks(t *testing.T) {
	everyMode(t, func(t *testing.T, mode Mode) {
		f := newFixture(t, mode)
		withStore(t, f)
		made, log := f.run(t, Request{Stage: plan.Stage{Run: "echo new > a", Produces: map[string]string{"a": "a"}}})
		wantState(t, made, log, passed)
		outside := t.TempDir()
		for _, path := range []string{"link", "out/a", "file", "file/a", "../a", "/tmp/a", "a/../../a", ".", ""} {
			result, log := f.run(t, Request{Repo: linked{outside}, Stage: plan.Stage{Run: "echo begun"}, Uses: []Handed{{Artifact: made.Artifacts[0], Path: path}}})
			wantState(t, result, log, failed)
			if log != "" || !strings.Contains(result.Reason, `the artifact "a" cannot be handed to it`) {
				t.Errorf("at %q: %q, %q", path, result.Reason, log)
			}
		}
		if left, err := os.ReadDir(outside); err != nil || len(left) != 0 {
			t.Errorf("written outside: %v, %v", left, err)
		}
		// What is not in the store is the machinery's fault, and so is a worker without one.
		lost := made.Artifacts[0]
		if err := f.Artifacts.Remove(lost); err != nil {
			t.Fatal(err)
		}
		result, log := f.run(t, Request{Stage: plan.Stage{Run: "true"}, Uses: []Handed{{Artifact: lost, Path: "a"}}})
		wantState(t, result, log, errored)
		f.Artifacts = nil
		result, log = f.run(t, Request{Stage: plan.Stage{Run: "echo begun", Produces: map[string]string{"a": "a"}}})
		wantState(t, result, log, errored)
		if log != "" || !strings.Contains(result.Reason, "keeps none") {
			t.Errorf("%q, %q", result.Reason, log)
		}
	})
}

func TestMetricsThatAreNone(t *testing.T) {
	f := newFixture(t, Embedded)
	needMode(t, Embedded)
	for run, reason := range map[string]string{
		"echo '{\"a\": \"b\"}' > m": `its metrics file "m" does not parse`, "true": `it did not write its results file "m"`, "ln -s /etc/passwd m": "cannot be read",
	} {
		result, log := f.run(t, Request{Stage: plan.Stage{Run: run, Results: map[string]string{plan.Metrics: "m"}}})
		wantState(t, result, log, failed)
		if !strings.Contains(result.Reason, reason) || result.Metrics != nil {
			t.Errorf("%+v; want %q", result, reason)
		}
	}
}
