package queue

import "slices"

func has(list []Member, change int64) bool {
	return slices.ContainsFunc(list, func(m Member) bool { return m.Change == change })
}

// standing is what has become of a candidate's ground.
type standing int

const (
	void   standing = iota // what would land is not what it tests
	hoped                  // it assumes changes that are still in the queue
	ground                 // all that it stands on has landed
)

// stands compares what has landed since the candidate was made, as far as it conflicts with
// the members, with what it assumed.
func (v *look) stands(k *Candidate) standing {
	for _, l := range v.landed[k.Branch] {
		if l.Seq <= k.Seq || has(k.On, l.Change) || has(k.Members, l.Change) {
			continue
		}
		if len(k.Members) == 0 || l.Barrier {
			return void
		}
		for _, m := range k.Members {
			if i, queued := v.at[m.Change]; queued && conflict(l.Branch, l.Targets, l.Barrier, v.order[i]) {
				return void
			}
		}
	}
	all := ground
	for _, on := range k.On {
		switch i, queued := v.at[on.Change]; {
		case queued && v.order[i].PS == on.PS && v.order[i].Branch == k.Branch:
			all = hoped
		case queued, !v.hasLanded(k.Branch, k.Seq, on.Change):
			return void
		}
	}
	return all
}

func (v *look) hasLanded(branch string, since int64, change int64) bool {
	for _, l := range v.landed[branch] {
		if l.Change == change && l.Seq > since {
			return true
		}
	}
	return false
}

// forget drops the candidates that are of no use: with a member that is not queued as it was
// then, or that stand on what will not be. Their verdicts on their members are kept as long as
// those are queued, their runs are cancelled.
func (v *look) forget() {
	oldest := map[string]int64{}
	v.Candidates = slices.DeleteFunc(v.Candidates, func(k Candidate) bool {
		why := ""
		left := 0
		for _, m := range k.Members {
			switch i, queued := v.at[m.Change]; {
			case !queued && !v.hasLanded(k.Branch, k.Seq, m.Change):
				why = "a change left the queue"
			case queued && v.order[i].PS != m.PS:
				why = "a newer patch set replaced it"
			case queued:
				left++
			}
		}
		if why == "" && left == 0 && len(k.Members) > 0 {
			why = "its changes have landed"
		}
		if why != "" && !(left > 0 && k.Run.State == RunPassed) {
			v.cancel(&k, why)
			return true
		}
		return false
	})
	for i := range v.Candidates {
		k := &v.Candidates[i]
		if k.Run.State == RunRunning && v.stands(k) == void {
			v.cancel(k, "the branch moved on")
			k.Run = Run{Errors: k.Run.Errors, Refusals: k.Run.Refusals}
		}
	}
	v.Candidates = slices.DeleteFunc(v.Candidates, func(k Candidate) bool {
		return k.Run.State == RunNone && k.Run.Refusals == 0 && k.Conflict == "" && v.stands(&k) == void
	})
	for i := range v.Candidates {
		k := &v.Candidates[i]
		if seq, seen := oldest[k.Branch]; !seen || k.Seq < seq {
			oldest[k.Branch] = k.Seq
		}
	}
	v.Landed = slices.DeleteFunc(v.Landed, func(l Landed) bool {
		seq, seen := oldest[l.Branch]
		return !seen || l.Seq <= seq
	})
}

// cancel asks to stop the candidate's run, if it has one that is known to run.
func (v *look) cancel(k *Candidate, why string) {
	if k.Run.State != RunRunning {
		return
	}
	v.running--
	if k.Run.ID != 0 {
		v.actions = append(v.actions, Cancel{Candidate: k.ID, Run: k.Run.ID, Reason: why})
	}
}
