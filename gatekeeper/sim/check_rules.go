package sim

import (
	"fmt"
	"maps"
	"slices"

	"gatehouse/gatekeeper/queue"
)

// Violation is a rule that the queue broke.
type Violation struct {
	Seed  uint64 // of the history: with it and one history it is played again
	Rule  string
	Words string
	Story string // the shortest history found that breaks the rule, for people
}

func (v *Violation) Error() string {
	return fmt.Sprintf("sim: seed %d breaks the rule %q: %s", v.Seed, v.Rule, v.Words)
}

// fail ends a history. Whoever plays it recovers.
func fail(rule, words string, args ...any) {
	panic(&Violation{Rule: rule, Words: fmt.Sprintf(words, args...)})
}

// leastErrors is how often the machinery must have failed before a change may leave for it.
const leastErrors = 3

// judge holds the actions of a step to the rules, and notes them.
func (m *model) judge(t *told, actions []queue.Action) {
	tries := false
	were := maps.Clone(t.entries)
	for _, a := range actions {
		switch a := a.(type) {
		case queue.Try:
			m.judgeTry(t, a)
			t.asked = append(t.asked, a)
			tries = true
		case queue.Land:
			m.judgeLand(t, a)
			t.landings = append(t.landings, a)
		case queue.Eject:
			m.judgeEject(t, were, a)
			t.gone(a.Change, false)
		case queue.Cancel:
			t.cancelled(a)
		default:
			fail("action", "unknown action %T", a)
		}
	}
	if n := len(t.asked) + len(t.runs); tries && n > t.workers {
		fail("workers", "%d runs are under way or asked for, and there are %d workers", n, t.workers)
	}
}

func (t *told) cancelled(a queue.Cancel) {
	i := slices.IndexFunc(t.runs, func(r liveRun) bool { return r.candidate == a.Candidate && r.run == a.Run })
	if i < 0 {
		fail("cancel", "the run %d of candidate %d is stopped, which is not under way", a.Run, a.Candidate)
	}
	t.runs = slices.Delete(t.runs, i, i+1)
	if a.Reason == "" {
		fail("words", "the run %d is stopped without a reason", a.Run)
	}
}

func (m *model) judgeTry(t *told, a queue.Try) {
	words := showTry(a.Branch, a.Members, a.On)
	b, known := t.branches[a.Branch]
	if !known {
		fail("try", "%s: there is no such branch", words)
	}
	if slices.ContainsFunc(t.asked, func(have queue.Try) bool {
		return have.Branch == a.Branch && slices.Equal(have.Members, a.Members) && slices.Equal(have.On, a.On)
	}) {
		fail("twice", "%s is asked for again before it is answered", words)
	}
	if a.Attempt < 1 {
		fail("try", "%s is attempt %d", words, a.Attempt)
	}
	if n := m.refusals(a); n >= mostRefusals {
		fail("again", "%s is asked for again after %d runs of it failed", words, n)
	}
	all := slices.Concat(a.On, a.Members)
	for n, x := range all {
		if m.commits[b.Tip].has(x) { // another run of what stood on it before it landed
			continue
		}
		e, in := t.entries[x.Change]
		switch {
		case !in || e.PS != x.PS || e.Branch != a.Branch:
			fail("try", "%s: %d.%d is not queued for it", words, x.Change, x.PS)
		case slices.ContainsFunc(all[:n], func(y queue.Member) bool { return x.Change == y.Change }):
			fail("try", "%s names %d twice", words, x.Change)
		case n >= len(a.On) && e.Held != "":
			fail("held", "%s: %d is held", words, x.Change)
		}
		for _, p := range e.Parents {
			up, in := t.entries[p]
			if n >= len(a.On) && !in {
				fail("parents", "%s: %d waits for %d, which is not queued", words, x.Change, p)
			}
			if in && up.Branch == a.Branch && !slices.ContainsFunc(all[:n], func(y queue.Member) bool { return y.Change == p }) {
				fail("parents", "%s: %d is tried without its parent %d below it", words, x.Change, p)
			}
		}
	}
	if most := max(1, b.MaxBatch); len(a.Members) > most && !oneGroup(t, a.Members) {
		fail("batch", "%s tries %d changes, and %d is the most", words, len(a.Members), most)
	}
}

// mostRefusals is how often the same candidate may fail before another run of it is a waste.
const mostRefusals = 4

// refusals counts the runs of the candidate that failed, as far as the queue was told.
func (m *model) refusals(a queue.Try) int {
	n := 0
	for _, k := range m.candidates {
		if len(a.Members) == 0 { // a red branch is looked at again and again
			break
		}
		if k.branch.name != a.Branch || !slices.Equal(k.members, a.Members) || k.commit == nil {
			continue
		}
		base, conflict := m.fold(k.branch.tip, a.On)
		if conflict != "" || base != k.base {
			continue
		}
		for _, r := range k.runs {
			if r.told && r.state == queue.RunRefused {
				n++
			}
		}
	}
	return n
}

// oneGroup says whether all of the members must land together.
func oneGroup(t *told, members []queue.Member) bool {
	return slices.ContainsFunc(members, func(m queue.Member) bool { // one of them may not have been told yet
		all := together(m, t.entries)
		return !slices.ContainsFunc(members, func(x queue.Member) bool { return !slices.Contains(all, x) })
	})
}

// judgeEject is about one who is sent away from among the entries.
func (m *model) judgeEject(t *told, entries map[int64]queue.Entry, a queue.Eject) {
	e, in := t.entries[a.Change]
	if !in || e.PS != a.PS {
		fail("eject", "%d.%d is sent away and is not queued", a.Change, a.PS)
	}
	for _, l := range t.landings {
		if in, _ := lands(l, a.Change); in {
			fail("eject", "%d is sent away while it lands", a.Change)
		}
	}
	if a.Words == "" && a.Reason != queue.EjectErrored {
		fail("words", "%d is sent away without a word", a.Change)
	}
	ground := func(branch string) *modelCommit { return m.commits[t.branches[branch].Tip] }
	refusals, flakes, errors := m.record(a.Member, entries)
	switch a.Reason {
	case queue.EjectRefused:
		if refusals < 1 {
			fail("eject", "%d.%d is sent away, and no run with it failed", a.Change, a.PS)
		}
		now := func(branch string) *modelCommit { return m.branch(branch).tip } // it may not have been told yet
		if flakes < 1 && !m.guilty(ground, a.Member, entries) && !m.guilty(now, a.Member, entries) {
			red := ""
			if m.red(ground(e.Branch)) {
				red = " and the branch is red"
			}
			fail("innocent", "%d.%d is sent away and is good on what has landed; bad luck failed %d of its runs%s", a.Change, a.PS, flakes, red)
		}
	case queue.EjectConflict:
		for _, x := range together(a.Member, entries) {
			if _, clash := m.unmergeable(ground(entries[x.Change].Branch), x); clash {
				return
			}
		}
		fail("innocent", "%d.%d is sent away for a conflict and merges onto what has landed", a.Change, a.PS)
	case queue.EjectErrored:
		if errors < leastErrors {
			fail("eject", "%d.%d is sent away for broken machinery after %d runs", a.Change, a.PS, errors)
		}
	case queue.EjectCycle:
		if !cyclic(entries, a.Change) {
			fail("eject", "%d is sent away for waiting for itself, and does not", a.Change)
		}
	default:
		fail("eject", "%d is sent away for %q", a.Change, a.Reason)
	}
}

// record counts the runs that said no with the change, or one that it must land with, among
// their members, as far as the queue was told.
func (m *model) record(x queue.Member, entries map[int64]queue.Entry) (refusals, flakes, errors int) {
	all := together(x, entries)
	for _, k := range m.candidates {
		if !slices.ContainsFunc(k.members, func(y queue.Member) bool { return slices.Contains(all, y) }) {
			continue
		}
		for _, r := range k.runs {
			switch {
			case !r.told:
			case r.state == queue.RunRefused:
				refusals++
				if r.flaked {
					flakes++
				}
			case r.state == queue.RunErrored:
				errors++
			}
		}
	}
	return refusals, flakes, errors
}

// cyclic says whether a change is among its own ancestors, where those that must land with
// each other are one.
func cyclic(entries map[int64]queue.Entry, change int64) bool {
	seen := map[int64]bool{}
	next := slices.Clone(entries[change].Parents)
	for len(next) > 0 {
		c := next[0]
		next = next[1:]
		if c == change {
			return true
		}
		if !seen[c] {
			seen[c] = true
			next = append(next, entries[c].Parents...)
			next = append(next, entries[c].With...)
		}
	}
	return false
}

func lands(l queue.Land, change int64) (bool, *queue.Part) {
	for n, p := range l.Parts {
		if slices.ContainsFunc(p.Members, func(x queue.Member) bool { return x.Change == change }) {
			return true, &l.Parts[n]
		}
	}
	return false, nil
}
