package queue

import (
	"fmt"
	"slices"
	"strings"
)

const (
	maxDepth  = 64   // changes ahead that a candidate may stand on
	likely    = 0.5  // who is at least this likely to land is stood on
	worthMain = 0.25 // how likely the likeliest path must be needed to be tried
)

// want is a candidate that would be of use.
type want struct {
	on, members []int
	needed      float64
	spare       bool
}

func (v *look) plan() {
	beliefs := v.believe()
	lands := make([]float64, len(v.order)) // probability that each lands
	have := map[string]*Candidate{}
	for n := range v.Candidates {
		k := &v.Candidates[n]
		if k.Conflict != "" || v.stands(k) == void {
			continue
		}
		have[v.signature(k)] = k
	}
	for i, e := range v.order {
		b := &beliefs[i]
		p := b.passes
		if v.landing(e.Change) {
			lands[i] = 1
			continue
		}
		if e.Held != "" {
			continue
		}
		ahead, ok := v.before(i, maxDepth)
		w := want{members: []int{i}, needed: 1}
		for _, j := range ahead {
			if lands[j] >= likely {
				w.on = append(w.on, j)
				w.needed *= lands[j]
			} else {
				w.needed *= 1 - lands[j]
			}
		}
		lands[i] = p * (1 - b.weak)
		if !ok || w.needed < worthMain {
			// alone
			w = want{members: []int{i}, needed: w.needed}
			continue
		}
		v.try(have, w)
	}
}

func (v *look) key(branch string, on, members []int) string {
	var s strings.Builder
	s.WriteString(branch)
	for _, i := range on {
		fmt.Fprintf(&s, " %d", v.order[i].Change)
	}
	s.WriteByte('|')
	for _, i := range members {
		fmt.Fprintf(&s, " %d", v.order[i].Change)
	}
	return s.String()
}

// signature names what a candidate still assumes and still tries.
func (v *look) signature(k *Candidate) string {
	var on, members []int
	for _, m := range k.On {
		if i, queued := v.at[m.Change]; queued {
			on = append(on, i)
		}
	}
	for _, m := range k.Members {
		if i, queued := v.at[m.Change]; queued {
			members = append(members, i)
		}
	}
	slices.Sort(on)
	return v.key(k.Branch, on, members)
}

func (v *look) try(have map[string]*Candidate, w want) {
	if v.running >= v.Workers {
		return
	}
	branch := v.order[w.members[0]].Branch
	key := v.key(branch, w.on, w.members)
	k := have[key]
	if k != nil && (k.Run.State == RunRunning || k.Run.State == RunPassed) {
		return
	}
	if k == nil {
		v.Candidates = append(v.Candidates, Candidate{Branch: branch, Members: v.members(w.members), On: v.members(w.on), Seq: v.branches[branch].Seq})
		k = &v.Candidates[len(v.Candidates)-1]
		have[key] = k
	}
	k.Run = Run{State: RunRunning, StartedAt: v.now, Errors: k.Run.Errors, Refusals: k.Run.Refusals}
	v.running++
	v.actions = append(v.actions, Try{Branch: branch, Members: k.Members, On: k.On, Attempt: 1 + k.Run.Errors + k.Run.Refusals, Spare: w.spare})
}

func (v *look) members(list []int) []Member {
	all := make([]Member, 0, len(list))
	for _, i := range list {
		all = append(all, Member{v.order[i].Change, v.order[i].PS})
	}
	return all
}
