package gatekeeper

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/queue"
	"gatehouse/review"
)

// kindQueue is the kind of the requirements that the queue states.
const kindQueue = "queue"

// reading is a look at a branch and those that share its queue that moves nothing: it takes no
// locks, and shows what was so a moment ago.
func (c *Controller) reading(ctx context.Context, k branchKey) (*round, error) {
	keys, err := together(ctx, c.DB.Read(), k)
	if err != nil {
		return nil, err
	}
	r := &round{Controller: c, name: k.name()}
	for _, key := range keys {
		in, err := c.Repos.ByID(ctx, c.DB.Read(), key.repo)
		if err != nil {
			return nil, err
		}
		t := &tick{round: r, lock: branchLock{repo: in, branch: key.branch}}
		if t.git, err = c.Repos.Open(in); err != nil {
			return nil, err
		}
		if err := t.read(ctx); err != nil {
			return nil, err
		}
		if t.tip.IsZero() || !in.Gates(key.branch) {
			continue
		}
		if t.row, _, err = readQueueBranch(ctx, c.DB.Read(), key); err != nil {
			return nil, err
		}
		r.ticks = append(r.ticks, t)
	}
	return r, nil
}

// place is where a queued change stands.
type place struct {
	queue.Standing
	missing int64 // what it lands only together with, and is not in its queue; 0 when nothing is missing
	red     int64 // the newest run of the bare branch, when that was refused; 0 when not
}

// placeOf says where a queued change stands.
func (c *Controller) placeOf(ctx context.Context, f *facts) (place, error) {
	r, err := c.reading(ctx, branchKey{f.repo.ID, f.change.Branch})
	if err != nil {
		return place{}, err
	}
	state, err := r.state(ctx)
	if err != nil {
		return place{}, err
	}
	p := place{Standing: queue.Words(state, f.change.ID, c.Now())}
	queued := map[int64]bool{}
	for _, e := range state.Entries {
		if e.Change == f.change.ID {
			awaitsWindow(&p.Standing, e.Held)
		}
		queued[e.Change] = true
	}
	for _, e := range state.Entries {
		if e.Change == f.change.ID {
			if i := slices.IndexFunc(e.With, func(id int64) bool { return !queued[id] }); i >= 0 {
				p.missing = e.With[i]
			}
		}
	}
	for _, k := range state.Candidates {
		if len(k.Members) == 0 && k.Branch == (branchKey{f.repo.ID, f.change.Branch}).name() && k.Run.State == queue.RunRefused {
			p.red = k.Run.ID
		}
	}
	for _, on := range f.depends.On { // what depends on it in turn lands with it, from one queue
		back, err := c.Review.ResolveDepends(ctx, c.DB.Read(), on)
		if err != nil {
			return p, err
		}
		if on.Status == review.Open && !queued[on.ID] && slices.ContainsFunc(back.On, func(ch review.Change) bool { return ch.ID == f.change.ID }) {
			p.missing = on.ID
		}
	}
	return p, nil
}

// queueRequirement says what the queue does with the change and what it waits for.
func (f *facts) queueRequirement(p place) Requirement {
	r := Requirement{Name: kindQueue, Kind: kindQueue, State: string(plan.Waiting), Reason: p.Doing, Evidence: waits(p.WaitsFor), Left: p.ETA}
	if p.red != 0 && p.Phase != queue.PhasePassed {
		r.Reason += fmt.Sprintf("; %s itself fails its stages (run %d): nobody leaves the queue for that", f.change.Branch, p.red)
		r.Next = fmt.Sprintf("mend %s: what mends it lands first", f.change.Branch)
	}
	if p.missing != 0 {
		r.Reason = fmt.Sprintf("it lands only together with change %d, which is not in the same queue", p.missing)
		r.Next = fmt.Sprintf("gate why %d says what that one waits for; branches share a queue by `land.queue` of their plans", p.missing)
	}
	return r
}

func waits(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return "waits for " + strings.Join(all, ", then ")
}

// queueWords are what the queue does with the change.
func (e Explanation) queueWords() string {
	for _, r := range e.Requirements {
		if r.Kind == kindQueue {
			return r.Reason
		}
	}
	return "it waits for its turn"
}

// ejectionRequirement says why the queue put the patch set out, and how to see it for oneself.
func (c *Controller) ejectionRequirement(f *facts) Requirement {
	r := Requirement{Name: kindQueue, Kind: kindQueue, State: string(plan.Refused), Reason: f.ejected.Words, Who: []string{f.name(f.change.Owner)},
		Next: fmt.Sprintf("push a new patch set; gate recheck %d has this one tried again", f.change.ID)}
	if f.ejected.Candidate != 0 && f.ejected.Reason == queue.EjectRefused {
		r.Next = "try the very tree: " + c.fetchTested(f.repo.Name, f.ejected.Candidate) + "; then " + r.Next
	}
	if f.run != nil {
		r.Evidence = fmt.Sprintf("run %d", f.run.ID)
	}
	return r
}
