package queue

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Phase is what becomes of a queued change just now.
type Phase string

// The phases, the farthest first.
const (
	PhaseLanding Phase = "landing" // the branch is being moved
	PhasePassed  Phase = "passed"  // its test has passed: it lands when those ahead of it have
	PhaseTesting Phase = "testing" // a candidate with it is being tested
	PhaseWaiting Phase = "waiting" // nothing with it is being tested yet
	PhaseHeld    Phase = "held"    // somebody said that it waits
	PhaseStuck   Phase = "stuck"   // it stands on a change that is not on its way
)

// Standing is where a queued change stands, in the words that the page, the API, the command
// line and a waiting push all use.
type Standing struct {
	Change   int64 `json:"change"`
	Position int   `json:"position"` // 1 is the first in the queue; 0 is not queued
	// Ahead is how many changes before it share something with it: those are all that it
	// lands behind.
	Ahead int   `json:"ahead"`
	Phase Phase `json:"phase,omitempty"`
	// WaitsFor is what must happen before it lands, the nearest first.
	WaitsFor []string `json:"waits_for,omitempty"`
	// Low and High are an estimate of how long it takes until the change lands: if all that
	// is being tried passes, and if something is tried again. They mean nothing without Known.
	Low   time.Duration `json:"-"`
	High  time.Duration `json:"-"`
	Known bool          `json:"-"`
	// ETA is the estimate in words, "4–9 min"; "" when there is none.
	ETA string `json:"eta,omitempty"`
	// Doing is what becomes of it now, "being tested on top of change 12".
	Doing string `json:"doing,omitempty"`
	// Sentence is all of it on one line, without the number of the change.
	Sentence string `json:"sentence"`
}

// The bounds of an estimate.
const (
	// etaOverdue is which part of a run's usual time a run that has used it up is taken to need yet.
	etaOverdue = 10
	// etaSure is the risk below which nothing is expected to be tried again.
	etaSure = 0.02
	// etaLanding is how long the moving of the branch takes at most.
	etaLanding = 30 * time.Second
	// etaNamed is how many changes a sentence names before it counts.
	etaNamed = 3
)

// Words is where one change stands. One that is not queued has no Position.
func Words(s State, change int64, now time.Time) Standing {
	for _, st := range Standings(s, now) {
		if st.Change == change {
			return st
		}
	}
	return Standing{Change: change, Sentence: "not in the queue"}
}

// Standings is where every queued change stands, in the order of the queue.
//
// The estimate is of two passes over the order. The low end gives each change the time that
// its own run still needs (or would, from when a worker is free), and lets it land no sooner
// than those that it lands behind. The high end adds one whole run for every change that is
// expected to fail among those and itself, at least one as long as any of them may.
func Standings(s State, now time.Time) []Standing {
	own := s.clone()
	e := forecast{look: view(&own, now)}
	e.tests()
	all := make([]Standing, 0, len(e.order))
	for i := range e.order {
		all = append(all, e.standing(i))
	}
	return all
}

// forecast is what the estimates of one state are made from, by position.
type forecast struct {
	*look
	tried     []*Candidate    // that says most about the entry
	test      []time.Duration // until its test is through
	risk      []float64       // that it fails
	ahead     [][]int
	low, high []time.Duration
	known     []bool
	busy      bool // no worker is free
}

// tests finds out what tries each entry and when that will be through.
func (e *forecast) tests() {
	n := len(e.order)
	e.tried, e.test, e.risk = make([]*Candidate, n), make([]time.Duration, n), make([]float64, n)
	e.ahead, e.low, e.high, e.known = make([][]int, n), make([]time.Duration, n), make([]time.Duration, n), make([]bool, n)
	var workers []time.Duration // until each is free
	for c := range e.Candidates {
		k := &e.Candidates[c]
		if k.Run.State == RunRunning {
			workers = append(workers, e.left(k))
		}
		for _, m := range k.Members {
			if i, queued := e.at[m.Change]; queued && e.order[i].PS == m.PS && e.better(k, e.tried[i], i) {
				e.tried[i] = k
			}
		}
	}
	e.busy = len(workers) >= max(1, e.Workers)
	for len(workers) < max(1, e.Workers) {
		workers = append(workers, 0)
	}
	for i, entry := range e.order {
		e.risk[i] = 1 - e.Model.Passes(entry)
		k := e.tried[i]
		switch {
		case k != nil && k.Run.State == RunPassed, e.isLanding(entry.Change):
			e.risk[i] = 0
		case k != nil:
			e.test[i] = e.left(k)
		case entry.Held == "":
			slices.Sort(workers)
			workers[0] += usualTime(entry)
			e.test[i] = workers[0]
		}
	}
}

// better says whether k tells more about the entry at i than what was found before.
func (e *forecast) better(k, than *Candidate, i int) bool {
	if k.Run.State != RunPassed && k.Run.State != RunRunning || !e.holds(k, e.order[i]) {
		return false
	}
	return than == nil || k.Run.State == RunPassed || than.Run.State == RunRunning && e.left(k) < e.left(than)
}

// holds says whether what the candidate assumes can still come true for the entry.
func (e *forecast) holds(k *Candidate, entry *Entry) bool {
	landed := func(change int64) bool {
		return slices.ContainsFunc(e.Landed, func(l Landed) bool { return l.Branch == k.Branch && l.Change == change && l.Seq > k.Seq })
	}
	for _, on := range k.On {
		i, queued := e.at[on.Change]
		if queued && e.order[i].PS != on.PS || !queued && !landed(on.Change) {
			return false
		}
	}
	for _, l := range e.Landed {
		if l.Branch == k.Branch && l.Seq > k.Seq && !has(k.On, l.Change) && !has(k.Members, l.Change) && conflict(l.Branch, l.Targets, l.Barrier, entry) {
			return false
		}
	}
	return true
}

// left is how long the candidate's run still needs: as long as its slowest member's usually
// does, less what has passed.
func (e *forecast) left(k *Candidate) time.Duration {
	if k.Run.State != RunRunning {
		return 0
	}
	usual := time.Duration(0)
	for _, m := range k.Members {
		if i, queued := e.at[m.Change]; queued {
			usual = max(usual, usualTime(e.order[i]))
		}
	}
	usual = cmp.Or(usual, boardTakes)
	return max(usual-e.now.Sub(k.Run.StartedAt), usual/etaOverdue)
}

func usualTime(e *Entry) time.Duration { return cmp.Or(e.Takes, boardTakes) }

func (e *forecast) isLanding(change int64) bool {
	return slices.ContainsFunc(e.Landings, func(l Landing) bool {
		return slices.ContainsFunc(l.Parts, func(p Part) bool { return has(p.Members, change) })
	})
}

// standing says where the entry at i stands; those before it have been asked already.
func (e *forecast) standing(i int) Standing {
	entry := e.order[i]
	st := Standing{Change: entry.Change, Position: i + 1}
	stuck := e.parents(i)
	expected := e.risk[i]
	e.low[i] = e.test[i]
	e.known[i] = stuck == ""
	for j := range i {
		parent := slices.Contains(entry.Parents, e.order[j].Change)
		if e.order[j].Held != "" && !parent || !parent && !conflict(e.order[j].Branch, e.order[j].Targets, e.order[j].Barrier, entry) {
			continue
		}
		e.ahead[i] = append(e.ahead[i], j)
		e.low[i], e.high[i] = max(e.low[i], e.low[j]), max(e.high[i], e.high[j])
		e.known[i] = e.known[i] && e.known[j]
		expected += e.risk[j]
	}
	st.Ahead = len(e.ahead[i])
	again := 0
	if expected > etaSure {
		again = max(1, int(math.Round(expected)))
	}
	e.high[i] = max(e.high[i], e.low[i]+time.Duration(again)*usualTime(entry), e.low[i]+etaLanding)
	if entry.Held != "" {
		e.known[i] = false
	}
	frozen := ""
	if b := e.branches[entry.Branch]; b != nil && entry.Priority < Hotfix {
		frozen = b.Frozen
	}
	e.words(i, &st, stuck, frozen)
	st.Known = e.known[i] && frozen == ""
	if st.Known {
		st.Low, st.High = e.low[i], e.high[i]
		st.ETA = timeSpan(st.Low, st.High)
	}
	st.Sentence = fmt.Sprintf("number %d: %s", st.Position, st.Doing)
	switch {
	case st.Phase == PhaseLanding:
		st.Sentence = st.Doing
	case st.Known:
		st.Sentence += ", lands in " + st.ETA
	}
	return st
}

// parents names a change that the entry stands on and that is not on its way, "" when all are.
func (e *forecast) parents(i int) string {
	for _, p := range e.order[i].Parents {
		if j, queued := e.at[p]; !queued || j > i {
			return fmt.Sprintf("change %d", p)
		}
	}
	return ""
}

// words fills in what the change does and what it waits for.
func (e *forecast) words(i int, st *Standing, stuck, frozen string) {
	entry, k := e.order[i], e.tried[i]
	behind := e.names(e.ahead[i])
	switch {
	case e.isLanding(entry.Change):
		st.Phase, st.Doing = PhaseLanding, "landing now"
		e.low[i], e.high[i] = 0, etaLanding
		return
	case entry.Held != "":
		st.Phase, st.Doing = PhaseHeld, "held: "+strings.TrimPrefix(entry.Held, "held ")
		st.WaitsFor = []string{"somebody to release it"}
		return
	case stuck != "":
		st.Phase, st.Doing = PhaseStuck, "stands on "+stuck+", which is not in the queue"
		st.WaitsFor = []string{stuck + " to be queued and land"}
		return
	case k != nil && k.Run.State == RunPassed:
		st.Phase, st.Doing = PhasePassed, "tested and good"
	case k != nil:
		st.Phase, st.Doing = PhaseTesting, "being tested"+e.company(k, entry.Change)
		st.WaitsFor = append(st.WaitsFor, "its test")
	default:
		st.Phase, st.Doing = PhaseWaiting, "waits for its turn"
		if e.busy {
			st.Doing = "waits for a free worker"
			st.WaitsFor = append(st.WaitsFor, "a free worker")
		}
		st.WaitsFor = append(st.WaitsFor, "its test")
	}
	if behind != "" {
		st.WaitsFor = append(st.WaitsFor, behind+" to land")
		if st.Phase != PhaseTesting {
			st.Doing += ", behind " + behind
		}
	}
	if frozen != "" {
		st.WaitsFor = append(st.WaitsFor, "the freeze to end")
		st.Doing += ", and the branch is frozen: " + frozen
	}
}

// company says with whom, and on top of whom, a candidate tries a change.
func (e *forecast) company(k *Candidate, change int64) string {
	var with, on []int
	for _, m := range k.Members {
		if i, queued := e.at[m.Change]; queued && m.Change != change {
			with = append(with, i)
		}
	}
	for _, m := range k.On {
		if i, queued := e.at[m.Change]; queued {
			on = append(on, i)
		}
	}
	slices.Sort(with)
	slices.Sort(on)
	text := ""
	if len(with) > 0 {
		text = " together with " + e.names(with)
	}
	if len(on) > 0 {
		text += " on top of " + e.names(on)
	}
	return text
}

// names lists changes as people do, the last of many counted: "changes 7, 9 and 12".
func (e *forecast) names(positions []int) string {
	var all []string
	for _, i := range positions {
		all = append(all, fmt.Sprint(e.order[i].Change))
	}
	switch {
	case len(all) == 0:
		return ""
	case len(all) == 1:
		return "change " + all[0]
	case len(all) > etaNamed+1:
		all = append(all[len(all)-etaNamed:], fmt.Sprintf("%d more", len(all)-etaNamed))
	}
	return "changes " + strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
}

// timeSpan is a range of time as people say it: no finer than its ends are certain.
func timeSpan(low, high time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case high <= time.Minute:
		return "under a minute"
	case high < 90*time.Minute:
		a, b := int(low/time.Minute), int((high+time.Minute-1)/time.Minute)
		if a == 0 {
			return fmt.Sprintf("under %d min", b)
		}
		return fromTo(fmt.Sprint(a), fmt.Sprint(b)) + " min"
	case high < 2*day:
		a, b := low.Hours(), high.Hours()
		return fromTo(halfHours(math.Floor(2*a)/2), halfHours(math.Ceil(2*b)/2)) + " h"
	}
	return fromTo(fmt.Sprint(int(low/day)), fmt.Sprint(int((high+day-1)/day))) + " days"
}

func fromTo(a, b string) string {
	if a == b {
		return a
	}
	return a + "–" + b
}

func halfHours(hours float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", hours), ".0") }
