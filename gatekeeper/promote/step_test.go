package promote

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC) // a Friday

// digest is a digest that begins with the letter.
func digest(letter string) string { return "sha256:" + strings.Repeat(letter, 64) }

func version(seq int64) Version {
	return Version{Digest: digest(fmt.Sprintf("%x", seq)), Commit: fmt.Sprintf("c%d", seq), Seq: seq, Run: 100 + seq}
}

// ready is a promotion of the seq-th landing, with all gates open, with the same number.
func ready(seq int64, change ...func(*Promotion)) Promotion {
	p := Promotion{ID: seq, Version: version(seq), Kind: Forward, Status: Eligible, GatesOpen: true, Verifies: true}
	for _, c := range change {
		c(&p)
	}
	return p
}

func in(s Status) func(*Promotion)   { return func(p *Promotion) { p.Status = s } }
func by(who string) func(*Promotion) { return func(p *Promotion) { p.RequestedBy = who } }
func as(k Kind) func(*Promotion)     { return func(p *Promotion) { p.Kind = k } }
func closed(why string) func(*Promotion) {
	return func(p *Promotion) { p.GatesOpen, p.GatesWhy = false, why }
}
func without(n ...string) func(*Promotion)   { return func(p *Promotion) { p.Bypassed = n } }
func held(why string) func(*Promotion)       { return func(p *Promotion) { p.Status, p.Why = Held, why } }
func answers(id int64) func(*Promotion)      { return func(p *Promotion) { p.Because = id } }
func heldUntil(t time.Time) func(*Promotion) { return func(p *Promotion) { p.Until = t } }

// attempts is a promotion that holds the lock for the n-th time.
func attempts(s Status, n int) func(*Promotion) {
	return func(p *Promotion) {
		p.Status, p.Attempts = s, n
		if s == Verifying {
			p.Deployed = Result{Attempt: n, Outcome: OutcomePassed, At: noon}
		}
	}
}

func deployed(n int, o Outcome, why string) func(*Promotion) {
	return func(p *Promotion) { p.Deployed = Result{Attempt: n, Outcome: o, Why: why, At: noon} }
}

func verified(n int, o Outcome, why string) func(*Promotion) {
	return func(p *Promotion) { p.Verified = Result{Attempt: n, Outcome: o, Why: why, At: noon} }
}

// production is a standing environment that runs the 4th landing, and rolls back.
func production(ps ...Promotion) State {
	return State{
		Environment: "production",
		Policy:      Policy{RollBackDeploy: true, RollBackVerify: true, RefuseBypassed: true},
		Current:     Current{Version: version(4), Promotion: 4, Since: noon.Add(-time.Hour), Assembly: "READY"},
		Good:        []Version{version(3), version(4)},
		Promotions:  ps,
	}
}

func (s State) with(change func(*State)) State {
	change(&s)
	return s
}

// holding is the state with the lock taken.
func (s State) holding(id int64, alive bool) State {
	s.Lock = Lock{Holder: id, Alive: alive}
	return s
}

// show is actions as lines, without what they say to people.
func show(actions []Action) string {
	lines := make([]string, len(actions))
	for i, a := range actions {
		switch a := a.(type) {
		case SetState:
			lines[i] = fmt.Sprintf("%d %s", a.Promotion, a.Status)
		case Supersede:
			lines[i] = fmt.Sprintf("%d SUPERSEDED by %d", a.Promotion, a.By)
		case Deploy:
			lines[i] = fmt.Sprintf("deploy %d/%d %s", a.Promotion, a.Attempt, a.Kind)
		case Verify:
			lines[i] = fmt.Sprintf("verify %d/%d", a.Promotion, a.Attempt)
		case Succeed:
			lines[i] = fmt.Sprintf("succeed %d", a.Promotion)
		case Fail:
			lines[i] = fmt.Sprintf("%d %s", a.Promotion, a.Status)
			if a.Errored {
				lines[i] += " errored"
			}
		case RollBack:
			lines[i] = fmt.Sprintf("roll back to %d because of %d", a.To.Seq, a.Because)
		case AddVeto:
			lines[i] = "veto " + short(a.Digest)[:1]
		case ReleaseLock:
			lines[i] = fmt.Sprintf("release %d", a.Holder)
		case MarkBroken:
			lines[i] = "broken"
		case MarkUnbroken:
			lines[i] = "unbroken"
		case Expire:
			lines[i] = fmt.Sprintf("expire %d", a.Instance)
		}
	}
	return strings.Join(lines, "; ")
}

// words are what the actions say to people.
func words(actions []Action) string {
	var all []string
	for _, a := range actions {
		switch a := a.(type) {
		case SetState:
			all = append(all, a.Why)
		case Supersede:
			all = append(all, a.Why)
		case Fail:
			all = append(all, a.Why)
		case RollBack:
			all = append(all, a.Why)
		case AddVeto:
			all = append(all, a.Why)
		case MarkBroken:
			all = append(all, a.Why)
		case Expire:
			all = append(all, a.Why)
		default:
		}
	}
	return strings.Join(all, "\n")
}

// rule is one state, and what a step makes of it.
type rule struct {
	name  string
	state State
	want  string
	says  string // a part of what people are told, "" for anything
}

func (r rule) check(t *testing.T) {
	t.Helper()
	t.Run(r.name, func(t *testing.T) {
		t.Helper()
		got := Step(r.state, noon)
		if show(got) != r.want {
			t.Errorf("does %q, not %q", show(got), r.want)
		}
		if !strings.Contains(words(got), r.says) {
			t.Errorf("says %q, without %q", words(got), r.says)
		}
	})
}

func rules(t *testing.T, all []rule) {
	t.Helper()
	for _, r := range all {
		r.check(t)
	}
}

// What may enter does, the newest of them, when its gates are open in the state that is looked at.
func TestEnters(t *testing.T) {
	each := func(s *State) { s.Policy.Each = true }
	rules(t, []rule{
		{"nothing", production(), "", ""},
		{"gates open", production(ready(5, in(Requested))), "5 ELIGIBLE", ""},
		{"eligible", production(ready(5)), "deploy 5/1 forward", ""},
		{"into what is empty", production(ready(5)).with(func(s *State) { s.Current, s.Good = Current{}, nil }), "deploy 5/1 forward", ""},
		{"gates closed", production(ready(5, in(Requested), closed("2 approvals are missing"))), "", ""},
		{"gates closed before the lock", production(ready(5, closed("an approval expired"))), "5 REQUESTED", ""},
		{"gates closed while held", production(ready(5, held("frozen"), closed("an approval expired"))), "5 REQUESTED", ""},
		{"newest of two", production(ready(5), ready(6)), "5 SUPERSEDED by 6; deploy 6/1 forward", "promotion 6 enters in its place"},
		{"older with closed gates", production(ready(6), ready(5, in(Requested), closed("soaks"))), "5 SUPERSEDED by 6; deploy 6/1 forward", ""},
		{"newer with closed gates", production(ready(5), ready(6, in(Requested), closed("soaks"))), "deploy 5/1 forward", ""},
		{"older than what runs", production(ready(3)), "3 SUPERSEDED by 4", "runs what landed later"},
		{"what runs", production(ready(4, func(p *Promotion) { p.ID = 9 })), "9 SUPERSEDED by 4", ""},
		{"each", production(ready(6), ready(5)).with(each), "6 HELD; deploy 5/1 forward", "promotion 5"},
		{"each, with a closed gate before", production(ready(6), ready(5, in(Requested), closed("soaks"))).with(each), "6 HELD", "promotion 5 landed before it and comes first"},
		{"each, with a veto before", production(ready(6), ready(5, held("there is a veto on 555555555555 (by ann): it enters when somebody lifts that"))).with(each).with(func(s *State) {
			s.Vetoes = []Veto{{Digest: digest("5"), By: "ann"}}
		}), "deploy 6/1 forward", ""},
		{"one that was taken in is not again", production(ready(5, attempts(Deploying, 1))).holding(5, true), "", ""},
		{"while another enters", production(ready(5, attempts(Deploying, 1)), ready(6)).holding(5, true), "6 HELD", "it waits for promotion 5"},
	})
}

// Where people decide, nothing enters before one asked for it.
func TestEntersByHand(t *testing.T) {
	hand := func(s *State) { s.Policy.Hand = true }
	rules(t, []rule{
		{"nobody asked", production(ready(5, in(Requested))).with(hand), "", ""},
		{"nobody asks any more", production(ready(5)).with(hand), "5 REQUESTED", ""},
		{"somebody asked", production(ready(5, by("ann"))).with(hand), "deploy 5/1 forward", ""},
		{"others stay to be asked for", production(ready(5, in(Requested)), ready(6, by("ann"))).with(hand), "deploy 6/1 forward", ""},
		{"two asked for", production(ready(5, by("bob")), ready(6, by("ann"))).with(hand), "5 SUPERSEDED by 6; deploy 6/1 forward", ""},
		{"gates are asked all the same", production(ready(5, by("ann"), closed("soaks"))).with(hand), "5 REQUESTED", ""},
		{"older and good is a rollback", production(ready(3, by("ann"), closed("expired"))).with(hand), "deploy 3/1 rollback", ""},
		{"older and never good", production(ready(2, by("ann"))).with(hand), "deploy 2/1 forward", ""},
		{"older and never good, closed", production(ready(2, by("ann"), closed("expired"))).with(hand), "2 REQUESTED", ""},
		{"asked for where it comes by itself", production(ready(3, by("ann")), ready(5)), "5 HELD; deploy 3/1 rollback", ""},
		{"asked for before what comes by itself", production(ready(2, by("ann")), ready(5)), "5 HELD; deploy 2/1 forward", ""},
	})
}

// What a person or the plan says about the environment or a digest holds.
func TestHolds(t *testing.T) {
	frozen := func(s *State) { s.Freezes = []Freeze{{Why: "weekend", Until: noon.Add(time.Hour)}} }
	over := func(s *State) { s.Freezes = []Freeze{{Why: "weekend", Until: noon}} }
	lasting := func(s *State) { s.Freezes = append(s.Freezes, Freeze{Why: "incident", By: "ann"}) }
	pin := func(seq int64) func(*State) {
		return func(s *State) { s.Pin = &Pin{Digest: version(seq).Digest, By: "ann", Why: "fair"} }
	}
	veto := func(v ...Veto) func(*State) { return func(s *State) { s.Vetoes = v } }
	broken := func(s *State) { s.Broken = "the rollback failed" }
	rules(t, []rule{
		{"freeze", production(ready(5)).with(frozen), "5 HELD", "production is frozen (weekend)"},
		{"freeze, held before", production(ready(5, held("production is frozen (weekend)"), heldUntil(noon.Add(time.Hour)))).with(frozen), "", ""},
		{"freeze without end", production(ready(5)).with(frozen).with(lasting), "5 HELD", "(by ann: incident)"},
		{"freeze is over", production(ready(5, held("production is frozen (weekend)"))).with(over), "5 ELIGIBLE", ""},
		{"from closed gates into a freeze", production(ready(5, in(Requested))).with(frozen), "5 ELIGIBLE", ""},
		{"the newest is kept in a freeze", production(ready(5), ready(6)).with(frozen), "5 SUPERSEDED by 6; 6 HELD", ""},
		{"hotfix in a freeze", production(ready(5, as(Hotfix)), ready(6)).with(frozen), "6 HELD; deploy 5/1 hotfix", ""},
		{"hotfix with a closed gate", production(ready(5, as(Hotfix), closed("soaks"))).with(frozen), "5 REQUESTED", ""},
		{"rollback in a freeze", production(ready(3, as(Rollback), by("ann"))).with(frozen), "deploy 3/1 rollback", ""},
		{"rollback to what never ran well", production(ready(2, as(Rollback), by("ann"))), "2 REJECTED", "never ran well"},
		{"bypass", production(ready(5, without("smoke", "load"))), "5 REJECTED", "smoke, load"},
		{"bypass where it is taken", production(ready(5, without("smoke"))).with(func(s *State) { s.Policy.RefuseBypassed = false }), "deploy 5/1 forward", ""},
		{"pin on another", production(ready(5)).with(pin(6)), "5 HELD", "pinned to 666666666666 (by ann: fair)"},
		{"pin on it", production(ready(5), ready(6)).with(pin(5)), "6 HELD; deploy 5/1 forward", ""},
		{"pin holds a rollback by hand", production(ready(3, as(Rollback), by("bob"))).with(pin(4)), "3 HELD", "pinned"},
		{"pin does not hold one that nobody asked for", production(ready(3, as(Rollback))).with(pin(6)), "deploy 3/1 rollback", ""},
		{"veto", production(ready(5)).with(veto(Veto{Digest: digest("5"), By: "ann", Why: "loses mail"})), "5 HELD", "(by ann: loses mail)"},
		{"veto on the newer", production(ready(5), ready(6)).with(veto(Veto{Digest: digest("6")})), "6 HELD; deploy 5/1 forward", ""},
		{"broken", production(ready(5)).with(broken), "5 HELD", "production is broken"},
		{"broken, asked for", production(ready(5, by("ann")), ready(6)).with(broken), "6 HELD; deploy 5/1 forward", ""},
		{"broken, asked for, each", production(ready(5, held("production is broken: the rollback failed")), ready(6, by("ann"))).with(broken).with(func(s *State) { s.Policy.Each = true }), "deploy 6/1 forward", ""},
		{"broken, hotfix", production(ready(5, as(Hotfix))).with(broken), "deploy 5/1 hotfix", ""},
		{"broken before anything was good", production(ready(5)).with(broken).with(func(s *State) { s.Current, s.Good = Current{}, nil }), "deploy 5/1 forward", ""},
		{"broken, and nothing good is left", production(ready(5)).with(broken).with(veto(Veto{Digest: digest("3")}, Veto{Digest: digest("4")})), "deploy 5/1 forward", ""},
		{"veto on what runs", production().with(veto(Veto{Digest: digest("4"), By: "ann"})), "", ""},
		{"veto on what runs, going back", production().with(veto(Veto{Digest: digest("4"), By: "ann", RollBack: true})), "roll back to 3 because of 4", "444444444444 may not run (by ann)"},
		{"going back already", production(ready(9, as(Rollback), answers(4), func(p *Promotion) { p.Version = version(3) })).with(veto(Veto{Digest: digest("4"), RollBack: true})), "deploy 9/1 rollback", ""},
		{"veto on all there was", production().with(veto(Veto{Digest: digest("4"), RollBack: true}, Veto{Digest: digest("3")})), "broken", "nothing ran well"},
		{"veto on where it goes back", production(ready(3, as(Rollback), answers(5))).with(veto(Veto{Digest: digest("3")})), "roll back to 4 because of 5; 3 REJECTED", "veto"},
	})
}

// What came of an attempt decides what follows.
func TestResults(t *testing.T) {
	deploying := func(c ...func(*Promotion)) State {
		return production(ready(5, append([]func(*Promotion){attempts(Deploying, 1)}, c...)...)).holding(5, true)
	}
	verifying := func(c ...func(*Promotion)) State {
		return production(ready(5, append([]func(*Promotion){attempts(Verifying, 1)}, c...)...)).holding(5, true)
	}
	none := func(s *State) { s.Policy.RollBackDeploy, s.Policy.RollBackVerify = false, false }
	empty := func(s *State) { s.Current, s.Good = Current{}, nil }
	broken := func(s *State) { s.Broken = "the rollback failed" }
	rules(t, []rule{
		{"deployed", deploying(deployed(1, OutcomePassed, "")), "verify 5/1", ""},
		{"deployed, nothing to verify", deploying(deployed(1, OutcomePassed, ""), func(p *Promotion) { p.Verifies = false }), "succeed 5", ""},
		{"a result of another attempt", deploying(attempts(Deploying, 2), deployed(1, OutcomePassed, "")), "", ""},
		{"a late result", production(ready(5, in(Superseded), deployed(1, OutcomeFailed, "")), ready(3, in(Failed), verified(1, OutcomePassed, ""))), "", ""},
		{"a result before its part", deploying(verified(1, OutcomePassed, "")), "", ""},
		{"verified", verifying(verified(1, OutcomePassed, "")), "succeed 5", ""},
		{"verified, and mended", verifying(verified(1, OutcomePassed, "")).with(broken), "unbroken; succeed 5", ""},
		{"deploy failed", deploying(deployed(1, OutcomeFailed, "port in use")), "veto 5; roll back to 4 because of 5; 5 ROLLED_BACK", "the deploy of 555555555555 failed: port in use"},
		{"verify failed", verifying(verified(1, OutcomeFailed, "5% errors")), "veto 5; roll back to 4 because of 5; 5 ROLLED_BACK", "5% errors"},
		{"verify failed, the plan stays", verifying(verified(1, OutcomeFailed, "")).with(none), "veto 5; 5 FAILED", ""},
		{"failed, nothing good before", deploying(deployed(1, OutcomeFailed, "")).with(empty), "veto 5; broken; 5 FAILED", "Land a fix"},
		{"failed, what is good has a veto", deploying(deployed(1, OutcomeFailed, "")).with(func(s *State) { s.Vetoes = []Veto{{Digest: digest("4")}} }), "veto 5; roll back to 3 because of 5; 5 ROLLED_BACK", ""},
		{"failed, one that is good is pinned", deploying(deployed(1, OutcomeFailed, "")).with(func(s *State) { s.Pin = &Pin{Digest: digest("3")} }), "veto 5; roll back to 3 because of 5; 5 ROLLED_BACK", ""},
		{"failed, itself pinned", deploying(deployed(1, OutcomeFailed, "")).with(func(s *State) { s.Pin = &Pin{Digest: digest("5")} }), "veto 5; roll back to 4 because of 5; 5 ROLLED_BACK", ""},
		{"after a crash that cut the list", production(ready(5, attempts(Deploying, 1), deployed(1, OutcomeFailed, "")), ready(9, as(Rollback), in(Requested), answers(5), func(p *Promotion) { p.Version = version(4) })).
			holding(5, true).with(func(s *State) { s.Vetoes = []Veto{{Digest: digest("5")}} }), "5 ROLLED_BACK", ""},
		{"after a crash, and it would go on", production(ready(5, attempts(Deploying, 1), deployed(1, OutcomePassed, "")), ready(9, as(Rollback), in(Requested), answers(5), func(p *Promotion) { p.Version = version(4) })).
			holding(5, true), "5 ROLLED_BACK errored", "given up"},
		{"a rollback failed", production(ready(3, as(Rollback), attempts(Deploying, 1), deployed(1, OutcomeFailed, "no disk"))).holding(3, true), "veto 3; broken; 3 FAILED", "the rollback failed"},
		{"stopped by a person", deploying(deployed(1, OutcomeStopped, "by ann")).with(none), "roll back to 4 because of 5; 5 ROLLED_BACK", "was stopped: by ann"},
	})
}

// What the machinery breaks is tried again, as often as MaxAttempts says, as long as it may enter.
func TestErrors(t *testing.T) {
	later := func(s *State) { s.Promotions[0].Deployed.At = noon.Add(-time.Hour) }
	frozen := func(s *State) { s.Freezes = []Freeze{{Why: "weekend", Until: noon.Add(time.Hour)}} }
	broke := func(n int) State {
		return production(ready(5, attempts(Deploying, n), deployed(n, OutcomeErrored, "no route to host"))).holding(5, false)
	}
	lost := func(n int, c ...func(*Promotion)) State {
		return production(ready(5, append([]func(*Promotion){attempts(Deploying, n)}, c...)...)).holding(5, false)
	}
	rules(t, []rule{
		{"after a pause", broke(1), "", ""},
		{"again", broke(1).with(later), "deploy 5/2 forward", ""},
		{"a clock that went back", broke(1).with(func(s *State) { s.Promotions[0].Deployed.At = noon.Add(time.Hour) }), "deploy 5/2 forward", ""},
		{"too often", broke(3), "roll back to 4 because of 5; 5 ROLLED_BACK errored", "attempt 3 of 3: no route to host"},
		{"too often, the plan stays", broke(3).with(func(s *State) { s.Policy.RollBackDeploy = false }), "5 FAILED errored", ""},
		{"in a freeze by now", broke(1).with(frozen), "roll back to 4 because of 5; 5 ROLLED_BACK errored", "may not enter again: production is frozen"},
		{"dead holder", lost(1), "deploy 5/2 forward", ""},
		{"dead holder, gates closed", lost(1, closed("expired")), "roll back to 4 because of 5; 5 ROLLED_BACK errored", "expired"},
		{"dead holder, too often", lost(3), "roll back to 4 because of 5; 5 ROLLED_BACK errored", "who worked on it is gone"},
		{"dead holder while verifying", lost(1, attempts(Verifying, 1)), "deploy 5/2 forward", ""},
		{"dead holder that was done", lost(1, deployed(1, OutcomePassed, "")), "verify 5/1", ""},
		{"no lock at all", production(ready(5, attempts(Deploying, 1))), "deploy 5/2 forward", ""},
		{"the lock is another's", production(ready(5, attempts(Deploying, 1)), ready(6, attempts(Deploying, 1))).holding(6, true), "5 FAILED errored", "promotion 6 holds the lock"},
		{"the lock is another's, and it had failed", production(ready(5, attempts(Deploying, 1), deployed(1, OutcomeFailed, "port in use")), ready(6, attempts(Deploying, 1))).holding(6, true), "veto 5; 5 FAILED", "port in use"},
		{"the lock is that of one that waits", production(ready(5, attempts(Deploying, 1)), ready(6)).holding(6, false), "release 6", ""},
		{"lock of what is over", production(ready(5, in(Succeeded)), ready(6)).holding(5, false), "release 5", ""},
		{"lock of what is over, at work", production(ready(5, in(Succeeded)), ready(6, held("it waits for promotion 5, which enters first"))).holding(5, true), "", ""},
		{"lock of nobody known", production().holding(77, false), "release 77", ""},
		{"a rollback, again", production(ready(3, as(Rollback), attempts(Deploying, 1))).holding(3, false).with(frozen), "deploy 3/2 rollback", ""},
		{"a rollback, too often", production(ready(3, as(Rollback), attempts(Deploying, 3))).holding(3, false), "broken; 3 FAILED errored", "the rollback failed"},
	})
}
