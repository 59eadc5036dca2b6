package sim

import (
	"errors"
	"slices"
	"testing"
	"time"

	"gatehouse/gatekeeper/promote"
)

// No history of an environment breaks a rule.
func TestCheckPromotionHistories(t *testing.T) {
	const histories = 3000
	s, err := CheckPromotions(0, histories, nil)
	var broken *Violation
	if errors.As(err, &broken) {
		t.Fatalf("%v\n%s", err, broken.Story)
	}
	if err != nil || s.Histories != histories {
		t.Errorf("%+v, %v", s, err)
	}
}

// The same seed replays to the same bytes, and no other seed does.
func TestCheckPromotionsReplays(t *testing.T) {
	seen := map[uint64]uint64{}
	for seed := range uint64(300) {
		first, second := newDelivery(seed).play(nil), newDelivery(seed).play(nil)
		if first.digest != second.digest || first.steps != second.steps || first.steps == 0 {
			t.Errorf("seed %d: %d steps to %x, then %d to %x", seed, first.steps, first.digest, second.steps, second.digest)
		}
		if other, taken := seen[first.digest]; taken {
			t.Errorf("seeds %d and %d have the same digest", other, seed)
		}
		seen[first.digest] = seed
	}
}

// Each action is met in the histories: a rule about one that never comes would hold by itself.
func TestCheckPromotionsMeetsAll(t *testing.T) {
	met := map[string]int{}
	for seed := range uint64(500) {
		d := newDelivery(seed)
		d.step = func(s promote.State, now time.Time) []promote.Action {
			actions := promote.Step(s, now)
			for _, a := range actions {
				switch a := a.(type) {
				case promote.SetState:
					met[string(a.Status)]++
				case promote.Fail:
					met[string(a.Status)]++
				case promote.Deploy:
					met["deploy "+string(a.Kind)]++
				case promote.Supersede:
					met["supersede"]++
				case promote.Verify:
					met["verify"]++
				case promote.Succeed:
					met["succeed"]++
				case promote.RollBack:
					met["roll back"]++
				case promote.AddVeto:
					met["veto"]++
				case promote.ReleaseLock:
					met["release"]++
				case promote.MarkBroken:
					met["broken"]++
				case promote.MarkUnbroken:
					met["unbroken"]++
				case promote.Expire:
					met["expire"]++
				}
			}
			return actions
		}
		d.play(nil)
	}
	for _, what := range []string{"REQUESTED", "ELIGIBLE", "HELD", "REJECTED", "FAILED", "ROLLED_BACK", "deploy forward", "deploy rollback", "deploy hotfix",
		"supersede", "verify", "succeed", "roll back", "veto", "release", "broken", "unbroken", "expire"} {
		if met[what] < 20 {
			t.Errorf("%q is met %d times", what, met[what])
		}
	}
}

// deaf is the step that does not see something about its state.
func deaf(hide func(*promote.State)) promoteStepper {
	return func(s promote.State, now time.Time) []promote.Action {
		s.Promotions, s.Vetoes, s.Instances = slices.Clone(s.Promotions), slices.Clone(s.Vetoes), slices.Clone(s.Instances)
		hide(&s)
		return promote.Step(s, now)
	}
}

// deafTo is the step that does not see something about each promotion.
func deafTo(hide func(*promote.Promotion)) promoteStepper {
	return deaf(func(s *promote.State) {
		for i := range s.Promotions {
			hide(&s.Promotions[i])
		}
	})
}

// lazy is the step that leaves out one kind of action.
func lazy[A promote.Action](s promote.State, now time.Time) []promote.Action {
	return slices.DeleteFunc(promote.Step(s, now), func(a promote.Action) bool { _, is := a.(A); return is })
}

// twisted is the step that does one kind of action in another way.
func twisted[A promote.Action](twist func(*A)) promoteStepper {
	return func(s promote.State, now time.Time) []promote.Action {
		actions := promote.Step(s, now)
		for i, a := range actions {
			if a, is := a.(A); is {
				twist(&a)
				actions[i] = any(a).(promote.Action) //nolint:forcetypeassert // it was one
			}
		}
		return actions
	}
}

// brokenPromotions are steps, each with the rule that it breaks.
func brokenPromotions() []struct {
	rule string
	step promoteStepper
} {
	calls := 0
	return []struct {
		rule string
		step promoteStepper
	}{
		{"pure", func(s promote.State, now time.Time) []promote.Action {
			if len(s.Promotions) > 0 {
				s.Promotions[0].Why += "!"
			}
			return promote.Step(s, now)
		}},
		{"pure", func(s promote.State, now time.Time) []promote.Action {
			if calls++; calls%3 == 0 {
				return nil
			}
			return promote.Step(s, now)
		}},
		{"order of rows", func(s promote.State, now time.Time) []promote.Action {
			s.Promotions = s.Promotions[:min(len(s.Promotions), 2)]
			return promote.Step(s, now)
		}},
		{"panic", func(s promote.State, now time.Time) []promote.Action {
			if len(s.Promotions) > 3 {
				panic("too many")
			}
			return promote.Step(s, now)
		}},
		{"gates", deafTo(func(p *promote.Promotion) { p.GatesOpen = true })},
		{"state", deafTo(func(p *promote.Promotion) { p.Bypassed = nil })},
		{"hand", deaf(func(s *promote.State) { s.Policy.Hand = false })},
		{"veto", deaf(func(s *promote.State) { s.Vetoes = nil })},
		{"pin", deaf(func(s *promote.State) { s.Pin = nil })},
		{"freeze", deaf(func(s *promote.State) { s.Freezes = nil })},
		{"freeze", deafTo(func(p *promote.Promotion) {
			if p.Kind == promote.Forward {
				p.Kind = promote.Hotfix
			}
		})},
		{"broken", deaf(func(s *promote.State) { s.Broken = "" })},
		{"never good", deaf(func(s *promote.State) {
			for _, p := range s.Promotions {
				s.Good = append(s.Good[:len(s.Good):len(s.Good)], p.Version)
			}
		})},
		{"two", deaf(func(s *promote.State) {
			s.Lock = promote.Lock{}
			s.Promotions = slices.DeleteFunc(s.Promotions, func(p promote.Promotion) bool { return p.Status.Enters() })
		})},
		{"attempts", deafTo(func(p *promote.Promotion) {
			p.Deployed.Attempt += min(0, 1-p.Attempts)
			p.Attempts = min(p.Attempts, 1)
		})},
		{"backwards", deaf(func(s *promote.State) { s.Current = promote.Current{} })},
		{"turn", deafTo(func(p *promote.Promotion) { p.Seq = 20 - p.Seq })},
		{"result", deafTo(func(p *promote.Promotion) { p.Deployed.Attempt = p.Attempts })},
		{"result", deafTo(func(p *promote.Promotion) { p.Verifies = false })},
		{"result", twisted(func(a *promote.Fail) { a.Errored = !a.Errored })},
		{"comes back", lazy[promote.AddVeto]},
		{"goes back", lazy[promote.RollBack]},
		{"goes back", deaf(func(s *promote.State) { s.Policy.RollBackDeploy, s.Policy.RollBackVerify = true, true })},
		{"loop", lazy[promote.MarkBroken]},
		{"recall", deaf(func(s *promote.State) {
			for i := range s.Vetoes {
				s.Vetoes[i].RollBack = false
			}
		})},
		{"stuck", lazy[promote.Deploy]},
		{"lock", func(s promote.State, now time.Time) []promote.Action {
			if s.Lock.Alive {
				return []promote.Action{promote.ReleaseLock{Holder: s.Lock.Holder}}
			}
			return promote.Step(s, now)
		}},
		{"silent", twisted(func(a *promote.Supersede) { a.Why = "" })},
		{"silent", twisted(func(a *promote.SetState) { a.Until = time.Time{} })},
		{"supersede", deafTo(func(p *promote.Promotion) { p.RequestedBy = "" })},
		{"supersede", twisted(func(a *promote.Supersede) { a.By = 99 })},
		{"transition", func(s promote.State, now time.Time) []promote.Action {
			for _, p := range s.Promotions {
				if p.Status == promote.Requested && p.GatesOpen && s.Lock.Holder == 0 {
					return []promote.Action{promote.Deploy{Promotion: p.ID, Attempt: 1, Kind: p.Kind}}
				}
			}
			return promote.Step(s, now)
		}},
		{"endless", func(s promote.State, now time.Time) []promote.Action {
			for _, p := range s.Promotions {
				if p.Status == promote.Held {
					return []promote.Action{promote.SetState{Promotion: p.ID, Status: promote.Held, Why: p.Why[:1] + "x" + p.Why, Until: p.Until}}
				}
			}
			return promote.Step(s, now)
		}},
		{"over", deafTo(func(p *promote.Promotion) {
			if p.Status == promote.Succeeded {
				p.Status = promote.Eligible
			}
		})},
		{"unknown", func(s promote.State, now time.Time) []promote.Action {
			return append(promote.Step(s, now), promote.Succeed{Promotion: 99})
		}},
		{"expire", lazy[promote.Expire]},
		{"expire", deaf(func(s *promote.State) {
			for i := range s.Instances {
				s.Instances[i].Closed = true
			}
		})},
	}
}

// The checker finds every rule broken by a step that breaks it.
func TestCheckFindsBrokenPromotions(t *testing.T) {
	const histories = 600
	for at, c := range brokenPromotions() {
		rules := map[string]int{}
		for seed := range uint64(histories) {
			d := newDelivery(seed)
			d.step = c.step
			if v := d.play(nil).violation; v != nil {
				rules[v.Rule]++
			}
			if rules[c.rule] > 0 {
				break
			}
		}
		if rules[c.rule] == 0 {
			t.Errorf("nobody finds that step %d breaks the rule %q, but %v", at, c.rule, rules)
		}
	}
}

// A history that breaks a rule is told in short.
func TestCheckPromotionsTellsShortly(t *testing.T) {
	for seed := range uint64(200) {
		d := newDelivery(seed)
		d.step = lazy[promote.Deploy]
		v := d.play(nil).violation
		if v == nil || v.Rule != "stuck" {
			continue
		}
		short := d.shrink("stuck")
		if len(short.list) > 3 || len(short.story()) == 0 || short.play(nil).violation == nil {
			t.Errorf("seed %d: %d of %d happenings are left\n%s", seed, len(short.list), len(d.list), short.story())
		}
		return
	}
	t.Error("nothing gets stuck")
}
