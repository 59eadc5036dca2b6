package plan

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fiveGates is the plan of the field: review, smoke test, integration test, performance test,
// accepted for production.
const fiveGates = `version: 1
app: hello
outcomes:
  test-only: {reach: [unit]}
  check: {reach: [review, smoke]}
  preview: {reach: [preview]}
  preview-untested: {reach: [preview], bypass: [unit], by: [maintainers]}
  deliver: {reach: [production]}
artifacts:
  server: {type: file}
environments:
  preview: {class: ephemeral, ttl: 48h, dns: {name: "{{change}}.preview.example.test", optional: true}}
  it: {class: ephemeral, ttl: 2h}
  perf: {class: shared}
  staging: {class: standing, lock: exclusive}
  production:
    class: standing
    lock: exclusive
    secrets: [database-url]
    dns: {name: hello.example.test, provider: rfc2136, zone: example.test}
    promote: {mode: auto, select: newest}
    accept_bypassed: false
    freeze: [{deny: "FRI 15:00-MON 08:00", tz: Europe/Berlin}]
    rollback: {when: [deploy-failed, verify-failed]}
stages:
  unit: {run: go test -json ./... > unit.json, results: {gotest: unit.json}, timeout: 10m, bypassable: {by: [maintainers], reason: required}}
  build: {run: go build -o out/hello ./cmd/hello, produces: {server: out/hello}}
  preview: {after: [build, unit], environment: preview, deploy: {artifact: server, run: ./server, ready: {http: /healthz, within: 60s}}}
  integration:
    after: [smoke]
    environment: it
    deploy: {artifact: server, run: ./server}
    run: go test -tags=integration ./it/...
    network: true
  load: {after: [land], environment: perf, deploy: {artifact: server, run: ./server}, run: ./load.sh, network: true, results: {metrics: load.json}, bypassable: {by: [release-managers], expires: 1d}}
  staging: {after: [land], environment: staging, deploy: {artifact: server, run: ./server}}
  production:
    after: [accepted]
    environment: production
    deploy: {artifact: server, run: ./server, strategy: blue-green}
    verify: {for: 15m, http: /healthz, status: 200}
gates:
  review: {subject: change, require: [{review: {min: 1, by: [maintainers], not: [author, uploader]}}]}
  smoke: {subject: artifact, after: [unit, preview], require: [{stages: passed}, {tests: {failed: 0, min: 1}}], bypassable: {by: [maintainers], reason: required, expires: 24h}}
  integrated: {subject: artifact, after: [integration], require: [{stages: passed}]}
  performance: {subject: artifact, after: [load], require: [{metric: {name: p95_ms, max: 120}}, {metric: {name: rps, better: higher, regression: {against: production, max: 10%}}}]}
  accepted:
    subject: artifact
    after: [performance, staging]
    require:
      - soak: {environment: staging, min: 12h}
      - approve: {min: 2, by: [release-managers], not: [author], expires: 72h}
      - evidence: {gates: [review, smoke, integrated, performance], fresh: 14d}
land: {after: [review, smoke, integrated], how: rebase}
roles: {maintainers: [alice, bob], release-managers: [carol, dan, erin]}
`

func nodesOf(p *Plan) (stages, gates []string) {
	for _, s := range p.Stages {
		stages = append(stages, s.Name)
	}
	for _, g := range p.Gates {
		gates = append(gates, g.Name)
	}
	return stages, gates
}

func TestCut(t *testing.T) {
	p := mustParse(t, fiveGates)
	before := []string{"review", "smoke", "integrated"}
	for _, c := range []struct {
		outcome        string
		gating, gates  string
		deliver, after string
		lands          bool
	}{
		{"test-only", "unit", "", "", "review smoke integrated", false},
		{"check", "unit build preview", "review smoke", "", "review smoke integrated", false},
		{"preview", "unit build preview", "", "", "review smoke integrated", false},
		{"preview-untested", "unit build preview", "", "", "review smoke integrated", false},
		{"deliver", "unit build preview integration", strings.Join(before, " "), "load staging production", "review smoke integrated performance accepted", true},
		{"", "unit build preview integration", strings.Join(before, " "), "load staging production", "review smoke integrated performance accepted", true},
		{"unknown", "", "", "", "review smoke integrated", false},
	} {
		g := p.Gating(c.outcome)
		stages, gates := nodesOf(g)
		if strings.Join(stages, " ") != c.gating || strings.Join(gates, " ") != c.gates || g.Lands() != c.lands {
			t.Errorf("%q gates %v %v lands %t", c.outcome, stages, gates, g.Lands())
		}
		d := p.Delivering(c.outcome)
		stages, gates = nodesOf(d)
		if strings.Join(stages, " ") != c.deliver || strings.Join(gates, " ") != c.after || !d.Landed {
			t.Errorf("%q delivers %v %v", c.outcome, stages, gates)
		}
	}
	if got := p.Gating("").Digest(); got == p.Digest() || got == p.Gating("check").Digest() {
		t.Error("plans that run otherwise have one digest")
	}
	if d := Default().Delivering(""); len(d.Stages) != 0 || !Default().Gating("").Lands() {
		t.Error("the default plan delivers")
	}
}

// The five gates from the push to production, step by step.
func TestFiveGates(t *testing.T) {
	p := mustParse(t, fiveGates)
	g := p.Gating("")
	type states = map[string]StageState
	e := Evidence{Stages: states{}, Tests: map[string]Tests{}, Branch: "main"}
	next := func(p *Plan, now time.Time, want string) Steps {
		t.Helper()
		steps := Next(p, e, now)
		if got := strings.Join(steps.Start, " "); got != want {
			t.Fatalf("starts %q, want %q: %+v", got, want, steps)
		}
		for _, name := range steps.Start {
			e.Stages[name] = Passed
		}
		return steps
	}
	next(g, noon, "unit build")
	next(g, noon, "preview")
	if steps := next(g, noon, ""); !steps.Done || steps.Held["integration"] != "" {
		t.Fatalf("smoke refuses without tests: %+v", steps)
	}
	e.Tests["unit"] = Tests{Passed: 3}
	next(g, noon, "integration")
	if state, why := RunVerdict(g, e, noon); state != RunPassed {
		t.Fatalf("%s %v", state, why)
	}
	// it lands
	d := p.Delivering("")
	e = Evidence{Stages: states{}, Gates: map[string]GateState{"review": Open, "smoke": GateBypassed, "integrated": Open},
		Opened: map[string]time.Time{"review": noon, "smoke": noon, "integrated": noon, "performance": noon}}
	next(d, noon, "load staging")
	if steps := next(d, noon, ""); !steps.Done { // nothing was measured, and nothing runs
		t.Fatalf("%+v", steps)
	}
	e.Metrics = map[string]Measured{"p95_ms": {Value: 100, Stage: "load"}, "rps": {Value: 91, Stage: "load"}}
	if steps := next(d, noon, ""); steps.Done || !strings.Contains(steps.Held["production"], "gate accepted: does not serve in staging") {
		t.Fatalf("%+v", steps)
	}
	e.Soaks = map[string]Soaked{"staging": {Ready: true, Since: noon}}
	accepted := func(now time.Time) Verdict {
		all := Judge(d, e, now)
		return all[slices.IndexFunc(all, func(v Verdict) bool { return v.Gate == "accepted" })]
	}
	if v := accepted(noon); v.State != Closed || !v.Next.Equal(noon.Add(12*time.Hour)) {
		t.Fatalf("%+v", v)
	}
	later := noon.Add(12 * time.Hour)
	for _, who := range []string{"carol", "dan"} {
		e.Approvals = append(e.Approvals, Approval{Gate: "accepted", By: who, At: later})
	}
	if v := accepted(later.Add(-1)); v.State != Waiting {
		t.Fatalf("%+v", v)
	}
	if v := accepted(later); v.State != Open || !v.Next.Equal(later.Add(72*time.Hour)) {
		t.Fatalf("%+v", v)
	}
	e.Baselines = map[string]map[string]float64{"production": {"rps": 102}}
	if steps := next(d, later, ""); !steps.Done {
		t.Fatalf("slower than production: %+v", steps)
	}
	if state, why := RunVerdict(d, e, later); state != RunRefused || !strings.Contains(Summary(why), "rps is 91, in production it is 102: worse than 91.8") {
		t.Fatalf("%s %s", state, Summary(why))
	}
	e.Baselines["production"]["rps"] = 101
	next(d, later, "production")
	if state, why := RunVerdict(d, e, later); state != RunPassed {
		t.Fatalf("%s %v", state, why)
	}
}

func TestParseDelivery(t *testing.T) {
	p := mustParse(t, fiveGates)
	production, _ := p.Environment("production")
	production.Freeze = nil
	want := Environment{Name: "production", Class: Standing, Driver: DriverProcess, Secrets: []string{"database-url"}, Promote: PromoteAuto, Select: SelectNewest,
		DNS: &DNS{Name: "hello.example.test", Provider: "rfc2136", Zone: "example.test"}, Rollback: []string{RollbackDeploy, RollbackVerify}, RefuseBypassed: true, Exclusive: true, Line: 16}
	if diff := cmp.Diff(want, production); diff != "" {
		t.Errorf("production (-want +got):\n%s", diff)
	}
	s, _ := p.Stage("production")
	s.Secrets, s.Line = nil, 0
	wantStage := Stage{Name: "production", Timeout: DefaultTimeout, After: []string{"accepted"}, Environment: "production", Retry: -1,
		Deploy: &Deploy{Artifact: "server", Run: "./server", Ready: Probe{Within: time.Minute}, Strategy: BlueGreen, Line: 40},
		Verify: &Verify{For: 15 * time.Minute, Every: DefaultEvery, Probe: Probe{HTTP: "/healthz", Status: 200}, Line: 41}}
	if diff := cmp.Diff(wantStage, s); diff != "" {
		t.Errorf("stage (-want +got):\n%s", diff)
	}
	if a, _ := p.Artifact("server"); a.Stage != "build" || a.Keep != DefaultKeep {
		t.Errorf("%+v", a)
	}
}
