package queue

import (
	"math"
	"slices"
)

// belief is what the evidence of the runs says about one entry.
type belief struct {
	passes float64    // probability that it is good
	proved bool       // it has passed, somewhere
	with   []int      // candidates (by index) that passed with it in them
	failed int        // failed runs with it among the members
	strong int        // failed runs of it, or of those that land with it, on what has landed
	last   *Candidate // the newest of those
	// A candidate of it alone that cannot be merged onto the branch, and one that the machinery
	// could not run.
	conflict, broken *Candidate
}

const (
	provedPasses   = 0.995 // of a change that has passed: it may have by luck
	enoughRefusals = 2     // runs of a candidate on others that may fail, and of those that land together before they leave
	mostRefusals   = 4     // runs after which it leaves whatever else is known
	accused        = 0.2   // how likely good one is at most whose leaving is prepared for
	rounds         = 8     // of weighing failures against each other
	surelyBad      = 0.02  // how likely good one is at most that leaves
	surely         = 1e-6
)

// failure is a run that said no: one of those in it is bad, or two of them clash, or luck.
type failure struct {
	k     *Candidate
	in    []int     // entries that it may be due to
	clash []float64 // for each, how likely it goes with all that it was put on
	other float64   // how likely it is due to none of them alone
}

// believe weighs all runs of the candidates that are known: a run that passed clears those in
// it, a run that failed blames them, the less the likelier the others are to blame.
func (v *look) believe() []belief {
	all := make([]belief, len(v.order))
	prior := make([]float64, len(v.order))
	for i, e := range v.order {
		prior[i] = v.Model.Passes(e)
	}
	cleared := v.clear(all)
	clash := v.Model.Clash()
	for i := range all {
		if all[i].proved {
			prior[i] = provedPasses * math.Pow(1-clash, float64(v.unmet(i, all[i].with, cleared[i])))
		}
		all[i].passes = prior[i]
	}
	var failures []failure
	for n := range v.Candidates {
		k := &v.Candidates[n]
		times := k.Run.Refusals
		if k.Conflict != "" {
			times = enoughRefusals // a merge that conflicts does so each time
		}
		if k.Run.Errors >= MaxErrors {
			times++ // the machinery does not get it done: perhaps it is one of them
		}
		if times == 0 || k.Run.State == RunPassed || len(k.Members) == 0 || v.moved(k) || v.outdated(k) {
			continue
		}
		if k.Conflict == "" && v.lucky(k, all) {
			if !k.broken() && !v.givenUp(k) {
				continue
			}
			times = 0 // they are good, and it is not tried again all the same
		}
		if f, ok := v.failure(k, times, clash, all); ok {
			if times > 0 {
				failures = append(failures, f)
			}
			v.accuse(f, times, all, cleared)
		}
	}
	weigh(all, prior, failures)
	return all
}

// clear takes in what passed, and says at which landing of its branch each entry last did.
func (v *look) clear(all []belief) []int64 {
	cleared := make([]int64, len(v.order))
	for n := range v.Candidates {
		k := &v.Candidates[n]
		if k.Run.State != RunPassed {
			continue
		}
		whole := v.branches[k.Branch] != nil && v.branches[k.Branch].Whole
		for at, m := range slices.Concat(k.Members, k.On) {
			i, queued := v.at[m.Change]
			if !queued || v.order[i].PS != m.PS {
				continue
			}
			all[i].with = append(all[i].with, n)
			if at < len(k.Members) || whole {
				all[i].proved = true
				cleared[i] = max(cleared[i], k.Seq)
			}
		}
	}
	return cleared
}

func (v *look) failure(k *Candidate, times int, clash float64, all []belief) (failure, bool) {
	f := failure{k: k}
	luck := math.Pow(v.Model.Flakes(), float64(times))
	whole := slices.Concat(k.On, k.Members)
	for at, m := range whole {
		i, queued := v.at[m.Change]
		switch {
		case queued && v.queued(k.Branch, m):
			f.in = append(f.in, i)
			goes := 1.0
			if v.lanes {
				goes = math.Pow(1-clash, float64(v.unclear(i, whole[:at], all)))
			} else if at >= len(k.On) {
				goes = math.Pow(1-clash, float64(len(k.On)))
			}
			f.clash = append(f.clash, goes)
		case !v.hasLanded(k, m):
			return f, false // one that is gone may have been the reason
		}
	}
	good := math.Pow(1-clash, float64(len(k.Members)*(len(k.Members)-1)/2))
	if v.lanes {
		good = 1 // that two of them clash is the later one's
	}
	f.other = 1 - good*(1-luck)
	return f, true
}

// accuse counts a failure that only one member, or one group that lands together, explains:
// all else in it has landed.
func (v *look) accuse(f failure, times int, all []belief, cleared []int64) {
	together := true
	for _, i := range f.in {
		b, e := &all[i], v.order[i]
		own := has(f.k.Members, e.Change)
		if own {
			b.failed += times
		}
		together = together && own && (i == f.in[0] || slices.Contains(v.order[f.in[0]].With, e.Change))
	}
	if !together || f.k.Conflict != "" && f.k.Seq != v.branches[f.k.Branch].Seq {
		return
	}
	for _, i := range f.in {
		b, e := &all[i], v.order[i]
		if len(f.in) == 1 && b.proved && f.k.Seq < cleared[i] {
			continue
		}
		last := !v.mayLandBy(b, e) // no other run will bring it in
		switch {
		case f.k.Conflict != "":
			b.conflict = f.k
		case f.k.Run.Refusals > 0 && (times > 0 || last && v.givenUp(f.k)):
			b.strong += f.k.Run.Refusals
			if b.last == nil || !f.k.Run.StartedAt.Before(b.last.Run.StartedAt) {
				b.last = f.k
			}
		}
		if f.k.broken() && last {
			b.broken = f.k
		}
	}
}

// givenUp says that a candidate on the tip has failed too often to be tried once more.
func (v *look) givenUp(k *Candidate) bool {
	b := v.branches[k.Branch]
	return b != nil && k.Seq == b.Seq && k.Run.Refusals >= mostRefusals
}

// mayLandBy says that a run of the entry has passed by which it may land yet.
func (v *look) mayLandBy(b *belief, e *Entry) bool {
	return slices.ContainsFunc(b.with, func(n int) bool { return v.st[n] != void && has(v.Candidates[n].Members, e.Change) })
}

// weigh finds how likely each entry is good, given all failures: each failure speaks against
// an entry by how badly the others explain it.
func weigh(all []belief, prior []float64, failures []failure) {
	if len(failures) == 0 {
		return
	}
	odds := map[int]float64{}
	for range rounds {
		clear(odds)
		for _, f := range failures {
			good := 1 - f.other
			for n, i := range f.in {
				good *= max(all[i].passes*f.clash[n], surely)
			}
			for n, i := range f.in {
				fails := 1 - good/max(all[i].passes*f.clash[n], surely) // if i is good
				odds[i] -= math.Log(max(fails, surely))
			}
		}
		for i, evidence := range odds {
			good := logit(bounded(prior[i])) - evidence
			was := logit(bounded(all[i].passes))
			all[i].passes = 1 / (1 + math.Exp(-(was+good)/2))
		}
	}
}

func bounded(p float64) float64 { return min(max(p, surely), 1-surely) }

// sentenced says that enough runs said no to an entry, and tells the newest of them: that it is good
// all the same has become unlikely. Of those that land together nobody can tell which it was: they
// leave when their runs have failed often enough.
func (v *look) sentenced(i int) (*Candidate, bool) {
	b := &v.beliefs[i]
	enough := mostRefusals
	if len(v.order[i].With) > 0 {
		enough = enoughRefusals
	}
	return b.last, b.strong > 0 && b.passes <= surelyBad || b.strong >= enough
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
