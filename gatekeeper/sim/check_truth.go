package sim

import (
	"fmt"
	"slices"

	"gatehouse/gatekeeper/queue"
)

// A modelCommit is what a branch, or a candidate, contains: the list of its items, newest
// first. Equal lists are one commit, as equal merges of equal trees are.
type modelCommit struct {
	id     string
	parent *modelCommit
	item   queue.Member
	next   map[queue.Member]*modelCommit
}

// Items that no change made have a negative number that is theirs alone, and say by their
// patch set what they do.
const (
	itemPlain = iota // changes something
	itemRed          // breaks the branch
	itemFix          // mends it
)

func (c *modelCommit) has(x queue.Member) bool {
	for ; c != nil; c = c.parent {
		if c.item == x {
			return true
		}
	}
	return false
}

// items lists what the commit contains, oldest first.
func (c *modelCommit) items() []queue.Member {
	var all []queue.Member
	for ; c.parent != nil; c = c.parent {
		all = append(all, c.item)
	}
	slices.Reverse(all)
	return all
}

// with is the commit that adds an item; adding what is there adds nothing.
func (m *model) with(c *modelCommit, x queue.Member) *modelCommit {
	if c.has(x) {
		return c
	}
	if next := c.next[x]; next != nil {
		return next
	}
	return m.commit(c, x)
}

func (m *model) commit(parent *modelCommit, x queue.Member) *modelCommit {
	c := &modelCommit{id: fmt.Sprintf("c%d", len(m.commits)), parent: parent, item: x, next: map[queue.Member]*modelCommit{}}
	if parent != nil {
		parent.next[x] = c
	}
	m.commits[c.id] = c
	return c
}

// fold merges the items one by one; it says with what the first that does not merge conflicts.
func (m *model) fold(c *modelCommit, items []queue.Member) (*modelCommit, string) {
	for _, x := range items {
		if c.has(x) {
			continue
		}
		if y, clash := m.unmergeable(c, x); clash {
			return nil, fmt.Sprintf("%d.%d conflicts with %d.%d", x.Change, x.PS, y.Change, y.PS)
		}
		c = m.with(c, x)
	}
	return c, ""
}

// unmergeable says whether an item does not merge onto a commit, and because of what there.
func (m *model) unmergeable(c *modelCommit, x queue.Member) (queue.Member, bool) {
	if m.chance(m.config.stale, 'o', x, queue.Member{}) {
		return queue.Member{}, true
	}
	for _, y := range c.items() {
		if y.Change == x.Change && y.PS != x.PS || m.meet(x, y) && m.chance(m.config.textual, 't', x, y) {
			return y, true
		}
	}
	return queue.Member{}, false
}

// bad says that a change fails by itself.
func (m *model) bad(x queue.Member) bool {
	return x.Change > 0 && m.change(x.Change).mends == 0 && m.chance(m.config.bad, 'b', x, queue.Member{})
}

// shy says that a bad change shows only in runs that test its own targets.
func (m *model) shy(x queue.Member) bool {
	return m.chance(0.5, 's', x, queue.Member{})
}

// clash says that two changes are good, and fail together.
func (m *model) clash(x, y queue.Member) bool {
	return m.meet(x, y) && m.chance(m.config.clash, 'p', x, y)
}

// meet says whether two changes touch the same, as far as the truth goes: what an entry says
// of its targets is never less. Who was written on top of another goes well with it.
func (m *model) meet(x, y queue.Member) bool {
	if x.Change <= 0 || y.Change <= 0 || x.Change == y.Change {
		return false
	}
	a, b := m.change(x.Change), m.change(y.Change)
	if m.kin(a, b) {
		return false
	}
	return a.wide || b.wide || slices.ContainsFunc(a.core, func(t string) bool { return slices.Contains(b.core, t) })
}

// kin says that one of the two was written on the other, or both together.
func (m *model) kin(a, b *modelChange) bool {
	if a.number > b.number {
		a, b = b, a
	}
	for up := b; ; up = m.change(up.stack) {
		if up.number == a.number || up.group != 0 && up.group == a.group {
			return true
		}
		if up.stack == 0 {
			return false
		}
	}
}

// red says that the commit is broken whatever is put on top of it, but for a change that mends it.
func (m *model) red(c *modelCommit) bool {
	broken := int64(0)
	mended := map[int64]bool{}
	for _, x := range c.items() {
		switch {
		case x.Change < 0 && x.PS == itemRed:
			broken = x.Change
		case x.Change < 0 && x.PS == itemFix:
			broken = 0
		case x.Change > 0:
			mended[m.change(x.Change).mends] = true
		}
	}
	return broken != 0 && !mended[broken]
}

// passes says how a run ends that meets no bad luck.
func (m *model) passes(k *modelCandidate) bool {
	if m.red(k.commit) {
		return false
	}
	all := k.commit.items()
	clashes := func(x queue.Member) bool {
		return slices.ContainsFunc(all, func(y queue.Member) bool { return m.clash(x, y) })
	}
	for _, x := range k.members {
		if m.bad(x) || clashes(x) {
			return false
		}
	}
	for _, x := range k.on {
		if m.bad(x) && (k.whole || !m.shy(x)) || k.whole && clashes(x) {
			return false
		}
	}
	return true
}

// guilty says that a change cannot land on the ground as it is by its own fault, or by that of
// one that it must land with.
func (m *model) guilty(ground func(branch string) *modelCommit, x queue.Member, entries map[int64]queue.Entry) bool {
	for _, y := range together(x, entries) {
		if m.bad(y) {
			return true
		}
		for _, z := range ground(entries[y.Change].Branch).items() {
			if m.clash(y, z) {
				return true
			}
		}
	}
	return false
}

// together lists a change and all that must land with it.
func together(x queue.Member, entries map[int64]queue.Entry) []queue.Member {
	all := []queue.Member{x}
	for n := 0; n < len(all); n++ {
		for _, c := range entries[all[n].Change].With {
			if e, queued := entries[c]; queued && !slices.ContainsFunc(all, func(y queue.Member) bool { return y.Change == c }) {
				all = append(all, queue.Member{Change: c, PS: e.PS})
			}
		}
	}
	return all
}

// chance is drawn once for the seed, the kind and the items, in either order.
func (m *model) chance(p float64, kind byte, x, y queue.Member) bool {
	if p == 0 {
		return false
	}
	if x.Change > y.Change {
		x, y = y, x
	}
	h := scatter(m.seed ^ uint64(kind))
	for _, n := range []int64{x.Change, int64(x.PS), y.Change, int64(y.PS)} {
		h = scatter(h ^ uint64(n)) //nolint:gosec // bits are bits
	}
	return float64(h>>11)/(1<<53) < p
}

// scatter is the finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom
// number generators, 2014).
func scatter(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
