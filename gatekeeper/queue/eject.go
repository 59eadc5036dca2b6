package queue

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// MaxErrors is how many runs of one candidate may end ERRORED before its entry is ejected:
// twice can be bad luck of the machinery, three times in a row needs a person.
const MaxErrors = 3

// broken says that the machinery does not get a candidate done: another run is not asked for.
func (k *Candidate) broken() bool { return k.Run.State == RunErrored && k.Run.Errors >= MaxErrors }

// redPause is how long a branch that is red waits before it is looked at again.
const redPause = 10 * time.Minute

// eject takes out who cannot land: who does not merge onto the branch, who has failed often
// enough while the branch itself was green, who waits for itself, and whose runs the
// machinery does not get done.
func (v *look) eject() {
	var out []Eject
	v.beliefs = v.believe()
	cycles := v.cycles()
	for i, e := range v.order {
		b := &v.beliefs[i]
		x := Eject{Member: Member{e.Change, e.PS}}
		last, sentenced := v.sentenced(i)
		switch {
		case v.landing(e.Change):
			continue
		case cycles[e.Change]:
			x.Reason, x.Words = EjectCycle, "it waits for changes that wait for it: make them land together, or cut the circle"
		case b.conflict != nil:
			x.Reason, x.Words, x.Candidate = EjectConflict, b.conflict.Conflict, b.conflict.ID
		case sentenced:
			if !v.green(i, last) {
				continue
			}
			x.Reason, x.Words, x.Candidate = EjectRefused, cmp.Or(last.Run.Reason, "its stages refused it"), last.ID
			if b.proved {
				v.Model = v.Model.LearnPairs(1, 1)
			}
		case b.broken != nil:
			x.Reason, x.Candidate = EjectErrored, b.broken.ID
			x.Words = fmt.Sprintf("its stages could not be run, %d times: %s", b.broken.Run.Errors, b.broken.Run.Reason)
		default:
			continue
		}
		out = append(out, x)
	}
	if len(out) == 0 {
		return
	}
	gone := map[int64]bool{}
	for _, x := range out {
		v.actions = append(v.actions, x)
		gone[x.Change] = true
		if x.Reason == EjectRefused {
			v.Model = v.Model.Learn(v.order[v.at[x.Change]], false)
		}
	}
	v.Entries = slices.DeleteFunc(slices.Clone(v.Entries), func(e Entry) bool { return gone[e.Change] })
	v.index()
	v.forget()
	v.beliefs = v.believe()
}

// green says that it is not the branch, or what all runs need, that made a candidate of an entry
// fail: what it was made on has passed as what it is, and a run has passed since it began. One
// that passed may be what mends the machines: when somebody else has failed by itself as well,
// it takes the bare branch, or two runs that have nothing in common.
func (v *look) green(i int, failed *Candidate) bool {
	b, sound := v.branches[failed.Branch], v.sound(failed)
	since := func(at time.Time) bool {
		return !at.Before(failed.Run.StartedAt) && !at.After(v.now) // a clock may have been set back
	}
	bare := v.bare(b.Name)
	if k := bare; k != nil && k.Run.State == RunPassed && (sound || k.Seq == failed.Seq) && (since(k.Run.StartedAt) || since(k.Run.EndedAt)) {
		return true
	}
	if !since(b.GreenAt) || bare != nil && bare.Run.Refusals > 0 && bare.Run.State != RunPassed && b.GreenAt.Before(bare.Run.StartedAt) {
		return false
	}
	if sound && !v.othersFail(i) {
		return true
	}
	for n, late := range v.Greens[b.Name] {
		if !since(late.To) || !sound && late.Seq != failed.Seq {
			continue
		}
		if len(late.In) == 0 {
			return true
		}
		for _, early := range v.Greens[b.Name][n+1:] {
			if since(early.To) && (sound || early.Seq == failed.Seq) && late.From.Before(early.To) && apart(late.In, early.In) {
				return true
			}
		}
	}
	return false
}

func apart(a, b []int64) bool {
	return !slices.ContainsFunc(a, func(c int64) bool { return slices.Contains(b, c) })
}

// othersFail says that one that does not land with the entry has failed by itself on its branch.
func (v *look) othersFail(i int) bool {
	e := v.order[i]
	for j := range v.beliefs {
		if o := v.order[j]; j != i && v.beliefs[j].strong > 0 && o.Branch == e.Branch && !slices.Contains(e.With, o.Change) {
			return true
		}
	}
	return false
}

// sound says that what a candidate was made on has passed as what it is: a landing of the queue
// made the tip below, or what it stands on landed on just that tip, and runs test all that is in
// them. After another landing in between that says nothing: it may be what mended the branch.
func (v *look) sound(k *Candidate) bool {
	return k.Proven || v.branches[k.Branch].Whole && len(k.On) > 0 && !slices.ContainsFunc(k.On, func(m Member) bool {
		return !v.hasLanded(k, m) || v.stories[k.Branch].seqOf(m.Change) > k.Seq+int64(len(k.On))
	})
}

// outdated says that a candidate was made on a tip that came past the queue, and is not the tip any
// more: whether that tip was sound can never be known, what failed on it is tried again.
func (v *look) outdated(k *Candidate) bool {
	b := v.branches[k.Branch]
	return b != nil && !k.asked() && k.Seq < b.Seq && !v.sound(k)
}

// doubted are the branches on which somebody would leave if it were known that they are green,
// or may when the run of it that is under way has ended.
func (v *look) doubted(tested []bool) map[string]bool {
	found := map[string]bool{}
	for i, e := range v.order {
		b := &v.beliefs[i]
		if last, sentenced := v.sentenced(i); sentenced && !v.green(i, last) || tested != nil && tested[i] && b.strong > 0 && b.passes < accused {
			found[e.Branch] = true
		}
	}
	return found
}

// bare is the newest candidate of the bare branch, nil when there is none.
func (v *look) bare(branch string) *Candidate {
	for n := len(v.Candidates) - 1; n >= 0; n-- {
		if k := &v.Candidates[n]; k.Branch == branch && len(k.Members) == 0 {
			return k
		}
	}
	return nil
}

// red says that the bare tip has failed often enough, and nothing has passed since.
func (v *look) red(branch string) bool {
	k := v.bare(branch)
	return k != nil && k.Seq == v.branches[branch].Seq && k.Run.Refusals >= enoughRefusals && k.Run.State != RunPassed && v.branches[branch].GreenAt.Before(k.Run.StartedAt)
}

// lookAtBare has the bare tip tried where somebody has failed and nobody passed since, and
// again and again while it is red, for nobody is tried on it then.
func (v *look) lookAtBare(tested []bool) {
	doubted := v.doubted(tested)
	for i := range v.Branches {
		name := v.Branches[i].Name
		if !doubted[name] && !v.red(name) || v.running >= v.Workers || v.busy(name) {
			continue
		}
		k := v.bare(name)
		switch {
		case k == nil || k.Seq != v.branches[name].Seq && k.Run.State != RunRunning:
			v.Candidates = append(v.Candidates, Candidate{Branch: name, Seq: v.branches[name].Seq})
			k = &v.Candidates[len(v.Candidates)-1]
		case k.Run.State == RunRunning, tested != nil && k.Run.State == RunPassed && v.now.Sub(k.Run.StartedAt) < redPause:
			continue
		case (k.Run.Refusals >= enoughRefusals || k.Run.Errors >= MaxErrors) && v.now.Sub(k.Run.EndedAt) < redPause && !v.now.Before(k.Run.EndedAt):
			continue
		}
		v.ask(k, false)
	}
}

// ask asks for a run of a candidate.
func (v *look) ask(k *Candidate, spare bool) {
	v.Asked++
	k.Run = Run{State: RunRunning, StartedAt: v.now, Ask: v.Asked, Errors: k.Run.Errors, Refusals: k.Run.Refusals, Reason: k.Run.Reason}
	v.running++
	v.actions = append(v.actions, Try{Ask: v.Asked, Branch: k.Branch, Members: k.Members, On: k.On, Attempt: 1 + k.Run.Errors + k.Run.Refusals, Spare: spare})
}
