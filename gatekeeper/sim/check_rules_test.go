package sim

import (
	"slices"
	"testing"
	"time"

	"gatehouse/gatekeeper/queue"
)

// plain says that the event changes no entry and no branch by itself.
func plain(e queue.Event) bool {
	switch e.(type) {
	case queue.Tick, queue.RunEnded, queue.Tried:
		return true
	default:
		return false
	}
}

// blind is the queue that does not see something about its entries.
func blind(hide func(*queue.Entry)) stepper {
	return func(s queue.State, e queue.Event, now time.Time) (queue.State, []queue.Action) {
		if !plain(e) {
			return queue.Step(s, e, now)
		}
		shown := s
		shown.Entries = slices.Clone(s.Entries)
		for i := range shown.Entries {
			hide(&shown.Entries[i])
		}
		next, actions := queue.Step(shown, e, now)
		for i, e := range next.Entries {
			at := slices.IndexFunc(s.Entries, func(was queue.Entry) bool { return was.Change == e.Change })
			next.Entries[i] = s.Entries[at]
		}
		return next, actions
	}
}

// without is the queue that asks for less than it says that it did.
func without[A queue.Action](s queue.State, e queue.Event, now time.Time) (queue.State, []queue.Action) {
	next, actions := queue.Step(s, e, now)
	return next, slices.DeleteFunc(actions, func(a queue.Action) bool { _, is := a.(A); return is })
}

// The checker finds every rule broken by a queue that breaks it.
func TestCheckFindsBrokenRules(t *testing.T) {
	odd := false
	for _, c := range []struct {
		rule  string
		queue stepper
	}{
		{"pure", func(s queue.State, e queue.Event, now time.Time) (queue.State, []queue.Action) {
			next, actions := queue.Step(s, e, now)
			if len(s.Entries) > 0 {
				s.Entries[0].Size++
			}
			return next, actions
		}},
		{"pure", func(s queue.State, e queue.Event, now time.Time) (queue.State, []queue.Action) {
			next, actions := queue.Step(s, e, now)
			if odd = !odd; odd {
				slices.Reverse(actions)
			}
			return next, actions
		}},
		{"panic", func(s queue.State, e queue.Event, now time.Time) (queue.State, []queue.Action) {
			if len(s.Entries) > 3 {
				panic("too many")
			}
			return queue.Step(s, e, now)
		}},
		{"book", func(s queue.State, e queue.Event, now time.Time) (queue.State, []queue.Action) {
			next, actions := queue.Step(s, e, now)
			if len(next.Entries) > 2 {
				next.Entries = next.Entries[:2]
			}
			return next, actions
		}},
		{"leak", without[queue.Cancel]},
		{"book", without[queue.Try]},
		{"book", without[queue.Land]},
		{"twice", func(s queue.State, e queue.Event, now time.Time) (queue.State, []queue.Action) {
			next, actions := queue.Step(s, e, now)
			for _, a := range actions {
				if _, try := a.(queue.Try); try {
					return next, append(actions, a)
				}
			}
			return next, actions
		}},
		{"workers", func(s queue.State, e queue.Event, now time.Time) (queue.State, []queue.Action) {
			if _, set := e.(queue.WorkersSet); set {
				return queue.Step(s, e, now)
			}
			s.Workers += 3
			next, actions := queue.Step(s, e, now)
			next.Workers -= 3
			return next, actions
		}},
		{"held", blind(func(e *queue.Entry) { e.Held = "" })},
		{"parents", blind(func(e *queue.Entry) { e.Parents = nil })},
		{"with", blind(func(e *queue.Entry) { e.With = nil })},
		{"tested", blind(func(e *queue.Entry) { e.Barrier, e.Targets = false, []string{e.Targets[0] + string(rune(e.Change))} })},
		{"frozen", func(s queue.State, e queue.Event, now time.Time) (queue.State, []queue.Action) {
			if !plain(e) {
				return queue.Step(s, e, now)
			}
			open := s
			open.Branches = slices.Clone(s.Branches)
			for i := range open.Branches {
				open.Branches[i].Frozen = ""
			}
			next, actions := queue.Step(open, e, now)
			for i := range next.Branches {
				next.Branches[i].Frozen = s.Branches[i].Frozen
			}
			return next, actions
		}},
		{"moved", func(s queue.State, e queue.Event, now time.Time) (queue.State, []queue.Action) {
			next, actions := queue.Step(s, e, now)
			for i, a := range actions {
				if l, land := a.(queue.Land); land {
					l.Parts = slices.Clone(l.Parts)
					l.Parts[0].Old = "c0"
					actions[i], next.Landings[len(next.Landings)-1] = l, queue.Landing(l)
				}
			}
			return next, actions
		}},
		{"tested", func(s queue.State, e queue.Event, now time.Time) (queue.State, []queue.Action) {
			if end, ok := e.(queue.RunEnded); ok && end.State == queue.RunRefused {
				end.State = queue.RunPassed
				next, actions := queue.Step(s, end, now)
				for i := range next.Branches {
					next.Branches[i].GreenAt = s.Branches[i].GreenAt
				}
				return next, actions
			}
			return queue.Step(s, e, now)
		}},
		{"eject", func(s queue.State, e queue.Event, now time.Time) (queue.State, []queue.Action) {
			next, actions := queue.Step(s, e, now)
			if end, ok := e.(queue.RunEnded); ok && end.State == queue.RunRefused && len(next.Entries) > 0 {
				x := next.Entries[0]
				next.Entries = next.Entries[1:]
				actions = append(actions, queue.Eject{Member: queue.Member{Change: x.Change, PS: x.PS}, Reason: queue.EjectRefused, Words: "unit failed"})
			}
			return next, actions
		}},
		{"stale", func(s queue.State, e queue.Event, now time.Time) (queue.State, []queue.Action) {
			if end, ok := e.(queue.RunEnded); ok {
				for _, k := range s.Candidates {
					if k.ID == end.Candidate { // whatever run and commit it is of
						end.Run, end.Commit = k.Run.ID, k.Commit
					}
				}
				e = end
			}
			return queue.Step(s, e, now)
		}},
		{"stuck", func(s queue.State, e queue.Event, now time.Time) (queue.State, []queue.Action) {
			next, actions := without[queue.Land](s, e, now)
			if _, done := e.(queue.LandDone); !done {
				next.Landings = s.Landings
			}
			return next, actions
		}},
		{"endless", func(s queue.State, e queue.Event, now time.Time) (queue.State, []queue.Action) {
			if end, ok := e.(queue.RunEnded); ok { // every run is lost
				end.State = queue.RunNone
				next, actions := queue.Step(s, end, now)
				for i := range next.Branches {
					if b := &next.Branches[i]; e.(queue.RunEnded).State == queue.RunPassed && slices.ContainsFunc(s.Candidates, func(k queue.Candidate) bool {
						return k.ID == end.Candidate && k.Run.ID == end.Run && k.Branch == b.Name && k.Run.State == queue.RunRunning && k.Commit == end.Commit
					}) {
						b.GreenAt = now
					}
				}
				return next, actions
			}
			return queue.Step(s, e, now)
		}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			broken := map[string]int{}
			for seed := range uint64(enoughHistories) {
				h := newHistory(seed)
				h.queue = c.queue
				if v := h.play(nil).violation; v != nil {
					if broken[v.Rule]++; v.Rule == c.rule {
						return
					}
				}
			}
			t.Errorf("the rule %q was not found broken in %d histories, but %v", c.rule, enoughHistories, broken)
		})
	}
}

// enoughHistories is within how many histories a broken rule must be found.
const enoughHistories = 3000

// A shrunk history breaks the same rule, and its story ends with it.
func TestShrink(t *testing.T) {
	h := newHistory(1)
	h.queue = func(s queue.State, e queue.Event, now time.Time) (queue.State, []queue.Action) {
		if len(s.Entries) == 2 {
			panic("two")
		}
		return queue.Step(s, e, now)
	}
	short := h.shrink("panic")
	if v := short.play(nil).violation; v == nil || v.Rule != "panic" || len(short.list) >= len(h.list) || len(short.list) > 4 {
		t.Errorf("%d of %d are left, and break %v", len(short.list), len(h.list), v)
	}
}

// Equal values are spelled equally, others are not, and what is not exported counts.
func TestSpell(t *testing.T) {
	learnt := (*queue.Model)(nil).Learn(&queue.Entry{Author: "a"}, true)
	same := (*queue.Model)(nil).Learn(&queue.Entry{Author: "a"}, true)
	other := (*queue.Model)(nil).Learn(&queue.Entry{Author: "b"}, true)
	if string(spell(nil, learnt)) != string(spell(nil, same)) || string(spell(nil, learnt)) == string(spell(nil, other)) {
		t.Error("models are not told apart by what they learnt")
	}
	if string(spell(nil, []queue.Event{queue.Tick{}})) == string(spell(nil, []queue.Event{queue.WorkersSet{}})) {
		t.Error("events are not told apart by their kind")
	}
}
