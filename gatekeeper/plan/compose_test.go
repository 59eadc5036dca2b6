package plan

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// edit is fiveGates with some of its text replaced.
func edit(t testing.TB, oldnew ...string) *Plan {
	t.Helper()
	text := fiveGates
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(text, oldnew[i]) {
			t.Fatalf("the plan has no %q", oldnew[i])
		}
		text = strings.Replace(text, oldnew[i], oldnew[i+1], 1)
	}
	return mustParse(t, text)
}

func TestComposeSame(t *testing.T) {
	policy := mustParse(t, fiveGates)
	p, problems := Compose(policy, policy)
	if len(problems) > 0 || p.Digest() != policy.Digest() {
		t.Errorf("%v", problems)
	}
	for _, s := range p.Stages {
		if len(s.Notes) > 0 {
			t.Errorf("%s: %q", s.Name, s.Notes)
		}
	}
}

// Where something is deployed, with which secrets, after what and who may leave it out is the
// target branch's to say.
func TestComposeDelivery(t *testing.T) {
	policy := mustParse(t, fiveGates)
	own := edit(t,
		"  unit: {run: go test -json ./... > unit.json,", "  unit: {run: \"true\", when: [nowhere], retry: 5, caches: [c], secrets: [database-url], after: [review],",
		"bypassable: {by: [maintainers], reason: required}}\n  build", "bypassable: {by: [release-managers]}}\n  build",
		"produces: {server: out/hello}", "produces: {server: bin/hello, extra: bin/extra}",
		"  server: {type: file}", "  server: {type: bundle, keep: 1d}\n  extra: {type: file}",
		"  staging: {class: standing, lock: exclusive}", "  staging: {class: standing}\n  mine: {class: ephemeral}",
		"    after: [accepted]\n", "    after: [land]\n",
		"strategy: blue-green", "strategy: replace",
		"    accept_bypassed: false\n", "",
		"outcomes:\n", "outcomes:\n  quick: {reach: [land], bypass: [unit], by: [maintainers]}\n",
		"  load: {after", "  new: {after: [build], run: ./new, network: true, environment: mine, deploy: {artifact: server, run: ./server}, secrets: [], uses: {server: s}, bypassable: {by: [maintainers]}}\n  gone: {after: [build], environment: mine, deploy: {artifact: server, run: ./server}}\n  behind: {after: [gone], run: x}\n  late: {after: [land], run: x}\n  load: {after",
		"reach: [production]", "reach: [production, accepted, new, late, gone, behind]",
	)
	p, problems := Compose(policy, own)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if diff := cmp.Diff(policy.Environments, p.Environments, cmp.Comparer(func(a, b Freeze) bool { return a.Deny == b.Deny })); diff != "" {
		t.Errorf("environments (-policy +composed):\n%s", diff)
	}
	if diff := cmp.Diff(policy.Outcomes, p.Outcomes); diff != "" {
		t.Errorf("outcomes (-policy +composed):\n%s", diff)
	}
	if server, _ := p.Artifact("server"); server.Type != FileArtifact || server.Keep != DefaultKeep || server.Stage != "build" {
		t.Errorf("server = %+v", server)
	}
	if _, made := p.Artifact("extra"); !made {
		t.Error("a new artifact is not made")
	}
	unit, _ := p.Stage("unit")
	if unit.Run != "true" || unit.When != nil || unit.Retry != -1 || unit.Secrets != nil || unit.Caches != nil || !slices.Equal(unit.Bypassable.By, []string{"maintainers"}) {
		t.Errorf("unit = %+v", unit)
	}
	production, _ := p.Stage("production")
	if !slices.Equal(production.After, []string{"accepted"}) || production.Deploy.Strategy != BlueGreen {
		t.Errorf("production = %+v", production)
	}
	if build, _ := p.Stage("build"); !cmp.Equal(build.Produces, map[string]string{"server": "bin/hello", "extra": "bin/extra"}) {
		t.Errorf("build = %+v", build)
	}
	fresh, _ := p.Stage("new")
	wantNotes := []string{"new is new: no gate waits for it", "new has no network", "new has no environment", "new deploys nothing", "new may not be left out"}
	for i := range wantNotes {
		wantNotes[i] += " until this change has landed"
	}
	if diff := cmp.Diff(wantNotes, fresh.Notes); diff != "" || !fresh.New || fresh.Deploy != nil || fresh.Environment != "" || fresh.Bypassable != nil || fresh.Uses["server"] != "s" {
		t.Errorf("new = %+v\n%s", fresh, diff)
	}
	if diff := cmp.Diff([]string{"gone has nothing to run until this change has landed", "behind has nothing to run until this change has landed"}, p.Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	gating, _ := nodesOf(p.Gating(""))
	delivering, _ := nodesOf(p.Delivering(""))
	if !slices.Contains(gating, "new") || slices.Contains(gating, "late") || !slices.Contains(delivering, "late") || slices.Contains(delivering, "new") {
		t.Errorf("gates %v, delivers %v", gating, delivering)
	}
}

func TestComposeRemoved(t *testing.T) {
	policy := mustParse(t, fiveGates)
	t.Run("after the landing", func(t *testing.T) {
		own := edit(t, "  load: {after: [land], environment: perf, deploy: {artifact: server, run: ./server}, run: ./load.sh, network: true, results: {metrics: load.json}, bypassable: {by: [release-managers], expires: 1d}}\n", "",
			"  performance: {subject: artifact, after: [load], require: [{metric: {name: p95_ms, max: 120}}, {metric: {name: rps, better: higher, regression: {against: production, max: 10%}}}]}\n", "",
			"after: [performance, staging]", "after: [staging]", ", performance]", "]")
		p, problems := Compose(policy, own)
		load, ok := p.Stage("load")
		if len(problems) > 0 || !ok || !load.Removed {
			t.Errorf("%v %+v", problems, load)
		}
		if steps := Next(p.Delivering(""), Evidence{Stages: map[string]StageState{"staging": Passed}}, noon); len(steps.Start) > 0 || !steps.Done {
			t.Errorf("what was asked for by load goes on: %+v", steps)
		}
	})
	t.Run("a stage that only deploys", func(t *testing.T) {
		own := edit(t, "  preview: {after: [build, unit], environment: preview, deploy: {artifact: server, run: ./server, ready: {http: /healthz, within: 60s}}}\n", "", "after: [unit, preview]", "after: [unit, build]", "  preview: {reach: [preview]}\n", "", "  preview-untested: {reach: [preview], bypass: [unit], by: [maintainers]}\n", "")
		p, problems := Compose(policy, own)
		if s, _ := p.Stage("preview"); len(problems) > 0 || s.Removed || s.Deploy == nil {
			t.Errorf("%v %+v", problems, s)
		}
	})
	t.Run("a stage that only deploys now", func(t *testing.T) {
		own := edit(t, "    deploy: {artifact: server, run: ./server}\n    run: go test -tags=integration ./it/...\n", "    deploy: {artifact: server, run: ./server}\n")
		p, problems := Compose(policy, own)
		if s, _ := p.Stage("integration"); len(problems) != 1 || !s.Removed {
			t.Errorf("%v %+v", problems, s)
		}
	})
	t.Run("the stage that makes an artifact", func(t *testing.T) {
		own := edit(t, "  build: {run: go build -o out/hello ./cmd/hello, produces: {server: out/hello}}", "  build: {run: make}\n  compile: {run: go build, after: [build], produces: {server: out/hello}}",
			"after: [build, unit]", "after: [compile, unit]")
		p, _ := Compose(policy, own)
		build, _ := p.Stage("build")
		compile, _ := p.Stage("compile")
		if build.Produces["server"] != "out/hello" || compile.Produces != nil {
			t.Errorf("%+v\n%+v", build, compile)
		}
		if preview, _ := p.Stage("preview"); !slices.Equal(preview.After, []string{"build", "unit", "compile"}) {
			t.Errorf("preview comes after %v", preview.After)
		}
	})
}

func TestMatrix(t *testing.T) {
	p := mustParse(t, `version: 1
outcomes: {quick: {reach: [unit-1-25-linux]}}
stages:
  unit: {run: test, timeout: 10m, env: {A: b}, matrix: {GO: ["1.25", "1.26"], OS: [linux, Mac OS]}, results: {tap: x}}
  pack: {run: pack, after: [unit]}
gates:
  all: {after: [unit], require: [{stages: passed}, {tests: {}}]}
  one: {after: [unit-1-25-linux], require: [{stages: [unit-1-25-linux]}]}
  some: {after: [unit, pack], require: [{stages: [unit, pack]}]}
`)
	cells := []string{"unit-1-25-linux", "unit-1-25-mac-os", "unit-1-26-linux", "unit-1-26-mac-os"}
	stages, _ := nodesOf(p)
	if diff := cmp.Diff(append(slices.Clone(cells), "pack"), stages); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	pack, _ := p.Stage("pack")
	all, _ := p.Gate("all")
	some, _ := p.Gate("some")
	if !slices.Equal(pack.After, cells) || !slices.Equal(all.After, cells) || len(some.Require[0].(Stages).Names) != 5 {
		t.Errorf("%v %v %v", pack.After, all.After, some.Require)
	}
	last, _ := p.Stage(cells[3])
	if diff := cmp.Diff(map[string]string{"A": "b", "GO": "1.26", "OS": "Mac OS"}, last.Env); diff != "" || !cmp.Equal(last.Matrix, map[string]string{"GO": "1.26", "OS": "Mac OS"}) || p.Line("stages.unit-1-26-linux.timeout") != 4 {
		t.Errorf("%+v\n%s", last, diff)
	}
	if steps := Next(p, Evidence{}, noon); !slices.Equal(steps.Start, cells) {
		t.Errorf("%+v", steps)
	}
	if got, _ := nodesOf(p.Gating("quick")); !slices.Equal(got, cells[:1]) {
		t.Errorf("quick runs %v", got)
	}
}

func TestBranchMatches(t *testing.T) {
	for _, c := range []struct {
		patterns, branch string
		want             bool
	}{
		{"main", "main", true}, {"main", "feature/main", false}, {"main", "mainline", false}, {"main", "", true},
		{"release/*", "release/1.2", true}, {"release/*", "release", false}, {"release/*", "x/release/1", false}, {"release-*", "release-1", true},
		{"**/main", "a/b/main", true}, {"!main", "x", true}, {"!main", "main", false}, {"release/** !release/0", "release/0", false}, {"release/** !release/0", "release/1/2", true},
	} {
		if got := branchMatches(strings.Fields(c.patterns), c.branch); got != c.want {
			t.Errorf("%s on %q: %t", c.patterns, c.branch, got)
		}
	}
}

// Whatever the candidate's plan says, the policy's gates stand before everything that is
// deployed, and nothing else is.
func TestComposeNeverDeploysMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy, own := genDelivery(t), genDelivery(t)
		p, _ := Compose(policy, own)
		if p.cycle() != nil || len(p.StageOrder()) != len(p.Stages) {
			t.Fatal("the composed plan has a cycle")
		}
		for _, s := range p.Stages {
			required, known := policy.Stage(s.Name)
			if !known && (s.Deploy != nil || s.Environment != "" || len(s.Secrets) > 0 || s.Bypassable != nil || s.Network) {
				t.Fatalf("a new stage gets more: %+v", s)
			}
			if !known {
				continue
			}
			if !sameJSON(s.Deploy, required.Deploy) || s.Environment != required.Environment || !sameJSON(s.Bypassable, required.Bypassable) {
				t.Fatalf("%+v instead of %+v", s, required)
			}
			for _, gate := range policy.behind(required) {
				if !slices.Contains(p.behind(s), gate) {
					t.Fatalf("gate %s does not stand before %s any more", gate, s.Name)
				}
			}
			if policy.afterLand(s.Name) && !p.afterLand(s.Name) {
				t.Fatalf("%s runs before the landing", s.Name)
			}
		}
	})
}
