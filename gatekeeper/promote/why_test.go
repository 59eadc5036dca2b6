package promote

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// What time alone decides has a time, and all that waits has words.
func TestWhy(t *testing.T) {
	hour := noon.Add(time.Hour)
	frozen := func(s *State) { s.Freezes = []Freeze{{Why: "weekend", Until: hour}} }
	soaks := func(p *Promotion) { p.GatesOpen, p.GatesWhy, p.NextAt = false, "soaks", hour }
	for _, x := range []struct {
		name  string
		state State
		id    int64
		words string
		next  time.Time
		wake  time.Time
	}{
		{"gates", production(ready(5, in(Requested), soaks)), 5, "soaks", hour, hour},
		{"gates without words", production(ready(5, in(Requested), closed(""))), 5, "gates are not open", time.Time{}, time.Time{}},
		{"time that has passed", production(ready(5, in(Requested), soaks, func(p *Promotion) { p.NextAt = noon })), 5, "soaks", noon, time.Time{}},
		{"nobody asked", production(ready(5, in(Requested))).with(func(s *State) { s.Policy.Hand = true }), 5, "somebody must ask", time.Time{}, time.Time{}},
		{"freeze", production(ready(5)).with(frozen), 5, "frozen (weekend)", hour, hour},
		{"freeze of nobody", production().with(frozen), 5, "promotion 5 is not one of production", time.Time{}, time.Time{}},
		{"next", production(ready(5)), 5, "it enters next", time.Time{}, time.Time{}},
		{"another's turn", production(ready(5), ready(6, attempts(Deploying, 1))).holding(6, true), 5, "waits for promotion 6", time.Time{}, time.Time{}},
		{"each after one that soaks", production(ready(5, in(Requested), soaks), ready(6)).with(func(s *State) { s.Policy.Each = true }), 6, "promotion 5 landed before", hour, hour},
		{"deploying", production(ready(5, attempts(Deploying, 1))).holding(5, true), 5, "is being deployed", time.Time{}, time.Time{}},
		{"verifying again", production(ready(5, attempts(Verifying, 2))).holding(5, true), 5, "is being verified, attempt 2 of 3", time.Time{}, time.Time{}},
		{"tries again", production(ready(5, attempts(Deploying, 2), deployed(2, OutcomeErrored, "no route"))).holding(5, true), 5, "no route; it is tried again", noon.Add(2 * RetryPause), noon.Add(2 * RetryPause)},
		{"done", production(ready(5, attempts(Deploying, 2), deployed(2, OutcomePassed, ""))).holding(5, true), 5, "is done", time.Time{}, time.Time{}},
		{"over", production(ready(5, in(Failed), func(p *Promotion) { p.Why = "port in use" })), 5, "port in use", time.Time{}, time.Time{}},
	} {
		words, next := Why(x.state, noon, x.id)
		if !strings.Contains(words, x.words) || !next.Equal(x.next) {
			t.Errorf("%s: %q until %v, not %q until %v", x.name, words, next, x.words, x.next)
		}
		if wake := Wake(x.state, noon); !wake.Equal(x.wake) {
			t.Errorf("%s: wakes at %v, not at %v", x.name, wake, x.wake)
		}
	}
}

func TestCandidates(t *testing.T) {
	s := production(ready(7, in(Requested), closed("soaks")), ready(2, by("ann")), ready(6), ready(5),
		ready(8, without("load")), ready(9, as(Rollback), func(p *Promotion) { p.Version = version(3) }), ready(10, attempts(Deploying, 1)))
	got := Candidates(s.holding(10, true), noon)
	var order []int64
	for _, c := range got {
		order = append(order, c.Promotion)
		if c.Why == "" || c.May == (c.Promotion == 7) || c.Next || c.Older != (c.Promotion == 2 || c.Promotion == 9) {
			t.Errorf("%+v", c)
		}
	}
	if !slices.Equal(order, []int64{9, 2, 6, 7}) {
		t.Errorf("order is %v", order)
	}
	if len(got) > 1 && !strings.Contains(got[1].Why, "older than what runs") {
		t.Errorf("%q does not warn", got[1].Why)
	}
	s.Promotions = s.Promotions[:6]
	if got := Candidates(s, noon); !got[0].Next || got[0].Promotion != 9 || got[1].Next {
		t.Errorf("%+v", got)
	}
}

// An instance ends with its time, with its change, or when another took its place.
func TestExpire(t *testing.T) {
	s := State{Environment: "preview", Policy: Policy{Ephemeral: true, TTL: 2 * time.Hour}, Instances: []Instance{
		{ID: 1, Change: 1, PatchSet: 1, Since: noon.Add(-2 * time.Hour), Ready: true},
		{ID: 2, Change: 2, PatchSet: 1, Since: noon.Add(-time.Hour), Ready: true, Closed: true},
		{ID: 3, Change: 3, PatchSet: 1, Since: noon.Add(-time.Hour), Ready: true},
		{ID: 4, Change: 3, PatchSet: 2, Since: noon, Ready: true},
		{ID: 5, Change: 3, PatchSet: 3, Since: noon},                                     // is not there yet
		{ID: 6, Change: 6, PatchSet: 1, Since: noon.Add(-90 * time.Minute), Ready: true}, // stays
		{ID: 7, Change: 6, PatchSet: 1, Since: noon, Ready: true, Ending: true},          // took no place
		{ID: 8, Change: 8, PatchSet: 1, Since: noon.Add(-9 * time.Hour), Ending: true},   // was told
		{ID: 9, Change: 9, PatchSet: 1, Since: noon.Add(-time.Minute), Ready: true},      // and the same
		{ID: 10, Change: 9, PatchSet: 1, Since: noon, Ready: true},                       // patch set again
		{ID: 11, Change: 11, PatchSet: 1, Since: noon.Add(9 * time.Hour), Ready: true},   // a clock went back
	}}
	if got := show(Step(s, noon)); got != "expire 1; expire 2; expire 3; expire 9" {
		t.Errorf("does %s", got)
	}
	if got := Wake(s, noon); !got.Equal(noon.Add(30 * time.Minute)) {
		t.Errorf("wakes at %v", got)
	}
	s.Policy.TTL = 0
	if got := show(Step(s, noon)); got != "expire 2; expire 3; expire 9" {
		t.Errorf("without a time does %s", got)
	}
	if got := Wake(s, noon); !got.IsZero() {
		t.Errorf("without a time wakes at %v", got)
	}
}

// What a step does follows neither from the order of the rows nor from a step before.
func TestStepIsPure(t *testing.T) {
	s := production(ready(5), ready(6, as(Hotfix)), ready(7, in(Requested), closed("soaks")), ready(3, as(Rollback), by("ann")), ready(2, by("bob")))
	was := slices.Clone(s.Promotions)
	first := strings.Split(show(Step(s, noon)), "; ")
	if !slices.EqualFunc(s.Promotions, was, func(a, b Promotion) bool { return a.ID == b.ID && a.Status == b.Status && a.Why == b.Why }) {
		t.Error("the step wrote into the state")
	}
	slices.Reverse(s.Promotions)
	second := strings.Split(show(Step(s, noon)), "; ")
	slices.Sort(first)
	slices.Sort(second)
	if !slices.Equal(first, second) {
		t.Errorf("%v, and in the other order %v", first, second)
	}
}
