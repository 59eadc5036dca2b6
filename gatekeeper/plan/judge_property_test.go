package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// genDelivery writes a random plan that delivers: stages and gates of all kinds before and after
// the landing, each after some that were written before it.
func genDelivery(t *rapid.T) *Plan {
	var stages, gates, before, after strings.Builder
	var pre, post []string
	pick := func(from []string, what string) []string {
		if len(from) == 0 {
			return nil
		}
		return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 0, min(3, len(from)), rapid.ID).Draw(t, what)
	}
	kinds := []string{"review: {min: 1}", "external: {context: ci}", "window: {deny: [\"TUE 00:00-WED 12:00\"]}", "approve: {min: 1, expires: 2d}"}
	pre = []string{"build"}
	for i := range rapid.IntRange(0, 5).Draw(t, "before") {
		name := fmt.Sprint("n", i)
		if rapid.Bool().Draw(t, name+" is a gate") {
			subject, after, asks := SubjectArtifact, strings.Join(append(pick(pre[1:], name), "build"), ", "), rapid.SampledFrom(kinds).Draw(t, name+" asks")
			if strings.HasPrefix(asks, "approve") {
				subject = SubjectChange
			}
			fmt.Fprintf(&gates, "  %s: {subject: %s, after: [%s], require: [{stages: passed}, {%s}]}\n", name, subject, after, asks)
			before.WriteString(name + ", ")
		} else {
			fmt.Fprintf(&stages, "  %s: {run: x, after: [%s], bypassable: {by: [all]}}\n", name, strings.Join(pick(pre, name), ", "))
		}
		pre = append(pre, name)
	}
	post = []string{"staging"}
	kinds = append(kinds[1:], "soak: {environment: staging, min: 5h}", "metric: {name: m, max: 1}", "evidence: {gates: [all]}")
	for i := range rapid.IntRange(0, 5).Draw(t, "after") {
		name := fmt.Sprint("p", i)
		if rapid.Bool().Draw(t, name+" is a gate") {
			fmt.Fprintf(&gates, "  %s: {subject: artifact, after: [%s], require: [{stages: passed}, {%s}], bypassable: {by: [all]}}\n", name, strings.Join(append(pick(post[1:], name), "staging"), ", "), rapid.SampledFrom(kinds).Draw(t, name+" asks"))
		} else {
			fmt.Fprintf(&stages, "  %s: {run: x, after: [%s]}\n", name, strings.Join(append(pick(post, name), "land"), ", "))
		}
		post = append(post, name)
		after.WriteString(", " + name)
	}
	text := `version: 1
artifacts: {app: {}}
environments: {staging: {class: standing}}
roles: {all: [bob]}
stages:
  build: {run: x, produces: {app: app}}
` + stages.String() + `  staging: {run: x, network: true, after: [land], environment: staging, deploy: {artifact: app, run: x}, results: {metrics: m}}
  last: {run: x, after: [staging` + after.String() + `]}
gates:
` + gates.String() + `  all: {subject: artifact, after: [` + strings.Join(pre, ", ") + `], require: [{stages: passed}]}
land: {after: [` + before.String() + `all]}
`
	p, problems := Parse(File, []byte(text))
	if len(problems) > 0 {
		t.Fatalf("%s\n%v", text, problems)
	}
	return p
}

// genEvidence makes up evidence for the plan.
func genEvidence(t *rapid.T, p *Plan) Evidence {
	ago := rapid.Custom(func(t *rapid.T) time.Time {
		return noon.Add(-time.Duration(rapid.IntRange(0, 72).Draw(t, "hours")) * time.Hour)
	})
	e := Evidence{Stages: map[string]StageState{}, Gates: map[string]GateState{}, Opened: map[string]time.Time{}, Metrics: map[string]Measured{}, Soaks: map[string]Soaked{}}
	for _, s := range p.Stages {
		e.Stages[s.Name] = rapid.SampledFrom([]StageState{Passed, Passed, Passed, Failed, Errored, Running, Skipped, Bypassed, ""}).Draw(t, s.Name)
	}
	for _, g := range p.Gates {
		e.Gates[g.Name] = rapid.SampledFrom([]GateState{Open, Open, GateBypassed, Refused, Waiting}).Draw(t, g.Name)
		if rapid.Bool().Draw(t, g.Name+" approved") {
			e.Approvals = append(e.Approvals, Approval{Gate: g.Name, By: "bob", At: ago.Draw(t, "at"), OfChange: g.Subject == SubjectChange})
		}
		if rapid.IntRange(0, 4).Draw(t, g.Name+" left out") == 0 {
			e.Bypasses = append(e.Bypasses, Bypass{Node: g.Name, By: "bob", Reason: "x", At: ago.Draw(t, "at"), Until: noon.Add(time.Hour)})
		}
	}
	if rapid.Bool().Draw(t, "voted") {
		e.Votes = []Vote{{Label: CodeReview, Value: rapid.SampledFrom([]int{-2, 1, 2}).Draw(t, "vote"), By: "bob"}}
	}
	if rapid.Bool().Draw(t, "posted") {
		e.Statuses = []Status{{Context: "ci", State: rapid.SampledFrom([]StageState{Passed, Failed, Running, Errored}).Draw(t, "status")}}
	}
	if rapid.Bool().Draw(t, "measured") {
		e.Metrics["m"] = Measured{Value: rapid.Float64Range(0, 2).Draw(t, "m"), Stage: "staging"}
	}
	if rapid.Bool().Draw(t, "served") {
		e.Soaks["staging"] = Soaked{Ready: rapid.Bool().Draw(t, "ready"), Since: ago.Draw(t, "since"), For: time.Duration(rapid.IntRange(0, 9).Draw(t, "for")) * time.Hour}
	}
	return e
}

// What gates say follows from the evidence and the clock alone, and changes by the clock alone
// not before they say.
func TestGatesArePure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := genDelivery(t)
		p := rapid.SampledFrom([]*Plan{whole.Gating(""), whole.Delivering("")}).Draw(t, "plan")
		e := genEvidence(t, p)
		given := fmt.Sprintf("%+v", e)
		digest := p.Digest()
		first := Judge(p, e, noon)
		if again := Judge(p, e, noon); fmt.Sprint(first) != fmt.Sprint(again) {
			t.Fatalf("%v\n%v", first, again)
		}
		if fmt.Sprintf("%+v", e) != given || p.Digest() != digest {
			t.Fatal("judging changed the evidence or the plan")
		}
		soon := noon.AddDate(0, 0, 30)
		for _, v := range first {
			if v.Next.After(noon) && v.Next.Before(soon) {
				soon = v.Next
			}
			if !v.Next.IsZero() && !v.Next.After(noon) {
				t.Fatalf("%s changes in the past: %s", v.Gate, v.Next)
			}
		}
		for _, at := range []time.Time{noon.Add(1), noon.Add(soon.Sub(noon) / 2), soon.Add(-1)} {
			for i, v := range Judge(p, e, at) {
				if v.State != first[i].State {
					t.Fatalf("%s is %s at %s and was %s; %v", v.Gate, v.State, at, first[i].State, first)
				}
			}
		}
	})
}

// Less evidence never opens a gate, and another approval or bypass never shuts one.
func TestGatesAreMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := genDelivery(t)
		p := rapid.SampledFrom([]*Plan{whole.Gating(""), whole.Delivering("")}).Draw(t, "plan")
		e := genEvidence(t, p)
		open := map[string]bool{}
		for _, v := range Judge(p, e, noon) {
			open[v.Gate] = v.State.Passes()
		}
		gate := rapid.SampledFrom(p.Gates).Draw(t, "gate").Name
		stage := rapid.SampledFrom(p.Stages).Draw(t, "stage").Name
		less := func(what string, cut func(e *Evidence)) {
			with := e
			with.Stages, with.Gates, with.Metrics, with.Soaks = maps.Clone(e.Stages), maps.Clone(e.Gates), maps.Clone(e.Metrics), maps.Clone(e.Soaks)
			cut(&with)
			for _, v := range Judge(p, with, noon) {
				if v.State.Passes() && !open[v.Gate] {
					t.Fatalf("without %s gate %s opens: %v", what, v.Gate, v.Reasons)
				}
			}
		}
		less("votes", func(e *Evidence) { e.Votes = nil })
		less("approvals", func(e *Evidence) { e.Approvals = nil })
		less("metrics", func(e *Evidence) { e.Metrics = nil })
		less("soaks", func(e *Evidence) { e.Soaks = nil })
		less("statuses", func(e *Evidence) { e.Statuses = nil })
		less("bypasses", func(e *Evidence) { e.Bypasses = nil })
		less("stage "+stage, func(e *Evidence) { delete(e.Stages, stage) })
		less("gate "+gate, func(e *Evidence) { delete(e.Gates, gate) })
		more := e
		more.Approvals = append(slices.Clone(e.Approvals), Approval{Gate: gate, By: "carol", At: noon})
		more.Bypasses = append(slices.Clone(e.Bypasses), Bypass{Node: gate, By: "carol", Reason: "x", At: noon})
		for _, v := range Judge(p, more, noon) {
			if open[v.Gate] && !v.State.Passes() {
				t.Fatalf("more evidence shuts gate %s: %v", v.Gate, v.Reasons)
			}
		}
	})
}

// No plan has a dead end: something can start, something runs, a gate that holds a stage says
// who or when, or everything is done. And whoever is named can go on until everything is done.
func TestNoDeadEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := genDelivery(t)
		p := rapid.SampledFrom([]*Plan{whole.Gating(""), whole.Delivering("")}).Draw(t, "plan")
		ends := rapid.SampledFrom([]StageState{Passed, Passed, Passed, Passed, Failed, Errored})
		e := Evidence{Stages: map[string]StageState{}, Metrics: map[string]Measured{}, Soaks: map[string]Soaked{}, Gates: map[string]GateState{}}
		if p.Landed {
			for _, g := range p.Landing() {
				e.Gates[g.Name] = Open
			}
		}
		now := noon
		for round := 0; ; round++ {
			if round > 100 {
				t.Fatalf("no end: %v", e.Stages)
			}
			steps := Next(p, e, now)
			if state, why := RunVerdict(p, e, now); steps.Done {
				if state == RunRunning {
					t.Fatalf("done and running: %v", why)
				}
				return
			}
			moved := false
			for _, name := range steps.Start {
				e.Stages[name], moved = Running, true
			}
			for _, name := range slices.Concat(steps.Skip, steps.Bypass) {
				e.Stages[name], moved = Skipped, true
			}
			for _, s := range p.Stages {
				if e.Stages[s.Name] == Running && !slices.Contains(steps.Start, s.Name) {
					e.Stages[s.Name], moved = ends.Draw(t, s.Name), true
					if s.Name == "staging" && e.Stages[s.Name] == Passed {
						e.Metrics["m"] = Measured{Value: rapid.Float64Range(0, 1.2).Draw(t, "m"), Stage: s.Name}
						e.Soaks["staging"] = Soaked{Ready: true, Since: now}
					}
				}
			}
			if !moved {
				now = act(t, p, &e, now, steps)
			}
		}
	})
}

// act does what the gates that hold stages ask for, and gives the time at which it is done.
func act(t *rapid.T, p *Plan, e *Evidence, now time.Time, steps Steps) time.Time {
	if len(steps.Held) == 0 {
		t.Fatalf("nothing starts, runs or waits: %v", e.Stages)
	}
	wait := time.Time{}
	acted := false
	for _, v := range Judge(p, *e, now) {
		for _, r := range v.Reasons {
			switch {
			case r.State.Passes() || v.State.Passes():
			case r.Kind == "approve":
				g, _ := p.Gate(v.Gate)
				e.Approvals, acted = append(e.Approvals, Approval{Gate: v.Gate, By: "bob", At: now, OfChange: g.Subject == SubjectChange}), true
			case r.Kind == "review":
				e.Votes, acted = []Vote{{Label: CodeReview, Value: 2, By: "bob"}}, true
			case r.Kind == "external" && r.State != Refused:
				e.Statuses, acted = []Status{{Context: "ci", State: rapid.SampledFrom([]StageState{Passed, Failed}).Draw(t, "ci")}}, true
			case !r.At.IsZero():
				wait = sooner(wait, r.At)
			}
			if !r.State.Passes() && r.State != Refused && !ofStages(r.Kind) && r.Kind != "evidence" && len(r.Who) == 0 && r.At.IsZero() {
				t.Fatalf("gate %s waits for nobody: %+v", v.Gate, r)
			}
		}
	}
	if !acted && wait.IsZero() {
		t.Fatalf("nobody can do anything: held %v", steps.Held)
	}
	if !acted {
		return wait
	}
	return now
}
