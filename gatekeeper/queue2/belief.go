package queue

import (
	"slices"
	"time"
)

// belief is what the evidence of the runs says about one entry.
type belief struct {
	passes  float64 // probability that it passes on its own
	proved  bool    // it has passed, somewhere
	provenU []int   // candidates (by index) that passed with it in them
	strong  int     // runs that can only have failed because of it
	first   time.Time
	last    *Candidate // the newest of those
	weak    float64    // blame for failures that others may have caused
	failed  int        // how many runs with it in them failed
}

// believe weighs all runs of the candidates that are known.
func (v *look) believe() []belief {
	all := make([]belief, len(v.order))
	for i, e := range v.order {
		all[i].passes = v.Model.Passes(e)
	}
	passSeq := make([]int64, len(v.order))
	for n := range v.Candidates {
		k := &v.Candidates[n]
		if k.Run.State != RunPassed {
			continue
		}
		proven := k.Members
		if b := v.branches[k.Branch]; b != nil && b.Whole {
			proven = slices.Concat(k.On, k.Members)
		}
		for _, m := range proven {
			if i, queued := v.at[m.Change]; queued && v.order[i].PS == m.PS {
				all[i].proved, all[i].passes = true, provedPasses
				passSeq[i] = max(passSeq[i], k.Seq)
			}
		}
		for _, m := range slices.Concat(k.On, k.Members) {
			if i, queued := v.at[m.Change]; queued && v.order[i].PS == m.PS {
				all[i].provenU = append(all[i].provenU, n)
			}
		}
	}
	for n := range v.Candidates {
		k := &v.Candidates[n]
		failures := k.Run.Refusals
		if k.Conflict != "" {
			failures = enoughRefusals // a merge that conflicts does so each time
		}
		if failures == 0 || k.Run.State == RunPassed {
			continue
		}
		v.blame(k, failures, all, passSeq)
	}
	return all
}

const (
	provedPasses   = 0.995 // of a change that has passed: it may have by luck
	enoughRefusals = 2     // runs that must say no before a change leaves: one may be luck
)

// blame divides a failed candidate among those that may have caused it.
func (v *look) blame(k *Candidate, failures int, all []belief, passSeq []int64) {
	var suspects []int
	onLanded := true
	for _, m := range k.On {
		if i, queued := v.at[m.Change]; queued {
			onLanded = false
			if !all[i].proved {
				suspects = append(suspects, i)
			}
		} else if !v.hasLanded(k.Branch, k.Seq, m.Change) {
			return // it stood on what is gone: nobody else is to blame for certain
		}
	}
	var members []int
	for _, m := range k.Members {
		if i, queued := v.at[m.Change]; queued {
			members = append(members, i)
			all[i].failed++
			if !all[i].proved {
				suspects = append(suspects, i)
			}
		}
	}
	unproved := 0
	for _, i := range members {
		if !all[i].proved {
			unproved++
		}
	}
	sole := -1
	switch {
	case len(members) == 1:
		sole = members[0]
	case unproved == 1:
		for _, i := range members {
			if !all[i].proved {
				sole = i
			}
		}
	}
	if onLanded && sole >= 0 {
		b := &all[sole]
		if len(members) == 1 || !b.proved {
			if k.Seq >= passSeq[sole] || !b.proved {
				b.strong += failures
				if b.first.IsZero() || k.Run.StartedAt.Before(b.first) {
					b.first = k.Run.StartedAt
				}
				b.last = k
				b.passes = min(b.passes, suspectPasses)
			}
			return
		}
	}
	if len(suspects) == 0 { // all are good alone: they do not go together
		suspects = members
	}
	total := 0.0
	for _, i := range suspects {
		total += 1 - all[i].passes
	}
	for _, i := range suspects {
		share := (1 - all[i].passes) / max(total, 1e-9)
		all[i].weak = max(all[i].weak, share)
	}
}

const suspectPasses = 0.15 // of a change that failed once with nobody else to blame

// eject takes out who has failed often enough, and who cannot be merged, unless the branch
// itself is red.
func (v *look) eject() {
	beliefs := v.believe()
	var out []*Entry
	for i, e := range v.order {
		b := &beliefs[i]
		k := b.last
		if k == nil || b.strong < enoughRefusals || v.landing(e.Change) {
			continue
		}
		reason, words := EjectRefused, k.Run.Reason
		if k.Conflict != "" {
			reason, words = EjectConflict, k.Conflict
		}
		v.actions = append(v.actions, Eject{Member: Member{e.Change, e.PS}, Reason: reason, Words: words, Candidate: k.ID})
		out = append(out, e)
	}
	if len(out) == 0 {
		return
	}
	gone := map[int64]bool{}
	for _, e := range out {
		v.Model = v.Model.Learn(e, false)
		gone[e.Change] = true
	}
	v.Entries = slices.DeleteFunc(slices.Clone(v.Entries), func(e Entry) bool { return gone[e.Change] })
	v.index()
	v.forget()
}

func (v *look) landing(change int64) bool {
	for _, l := range v.Landings {
		for _, p := range l.Parts {
			if has(p.Members, change) {
				return true
			}
		}
	}
	return false
}
