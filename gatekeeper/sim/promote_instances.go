package sim

import (
	"slices"

	"gatehouse/gatekeeper/promote"
)

// happenInstance makes something happen in an ephemeral environment.
func (w *rows) happenInstance(x happening) {
	if x.kind == delLand && w.id < mostPromotions {
		w.id++
		w.Instances = append(slices.Clone(w.Instances), promote.Instance{ID: w.id, Change: int64(x.a % 3), PatchSet: int(x.b % 4), Since: w.now})
		w.say("instance %+v", w.Instances[len(w.Instances)-1])
		return
	}
	if len(w.Instances) == 0 {
		return
	}
	w.Instances = slices.Clone(w.Instances)
	at := int(x.a) % len(w.Instances)
	switch i := &w.Instances[at]; x.b % 8 {
	case 0:
		w.say("change %d is closed", i.Change)
		i.Closed = true
	case 1, 2:
		if i.Ending {
			w.Instances = slices.Delete(w.Instances, at, at+1)
		}
	default:
		w.say("instance %d serves", i.ID)
		i.Ready = true
	}
}

// needless says that nobody needs an instance any more.
func (w *rows) needless(i promote.Instance) bool {
	if i.Closed || w.Policy.TTL > 0 && w.now.Sub(i.Since) >= w.Policy.TTL {
		return true
	}
	return slices.ContainsFunc(w.Instances, func(o promote.Instance) bool {
		newer := o.PatchSet > i.PatchSet || o.PatchSet == i.PatchSet && o.ID > i.ID
		return o.Change == i.Change && o.Ready && !o.Ending && newer
	})
}

func (w *rows) expire(a promote.Expire) {
	at := slices.IndexFunc(w.Instances, func(i promote.Instance) bool { return i.ID == a.Instance })
	if at < 0 || w.Instances[at].Ending || a.Why == "" {
		fail("expire", "instance %d ends for %q", a.Instance, a.Why)
	}
	// What took its place may end in the same look.
	i := w.Instances[at]
	if !w.needless(i) && !slices.ContainsFunc(w.Instances, func(o promote.Instance) bool {
		return o.Change == i.Change && o.Ready && o.ID != i.ID && o.PatchSet >= i.PatchSet
	}) {
		fail("expire", "instance %d is needed, and ends for %q", a.Instance, a.Why)
	}
	w.Instances = slices.Clone(w.Instances)
	w.Instances[at].Ending = true
}

// quietInstances fails when an instance stays that nobody needs, or nobody looks when its time is over.
func (w *rows) quietInstances() {
	wake := promote.Wake(w.State, w.now)
	for _, i := range w.Instances {
		if i.Ending {
			continue
		}
		if w.needless(i) {
			fail("expire", "nobody needs instance %d", i.ID)
		}
		if end := i.Since.Add(w.Policy.TTL); w.Policy.TTL > 0 && (wake.IsZero() || wake.After(end)) {
			fail("asleep", "the time of instance %d is over at %v, and the next look is at %v", i.ID, end, wake)
		}
	}
}
