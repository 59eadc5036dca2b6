package sim

import "math/bits"

// set is a set of changes.
type set []uint64

func newSet(n int) set { return make(set, (n+63)/64) }

func (s set) add(i int)    { s[i/64] |= 1 << (i % 64) }
func (s set) remove(i int) { s[i/64] &^= 1 << (i % 64) }

// join adds all of another set.
func (s set) join(o set) {
	for k, w := range o {
		s[k] |= w
	}
}

// and is what both have, as a new set.
func (s set) and(o set) set {
	both := make(set, len(s))
	for k, w := range o {
		both[k] = s[k] & w
	}
	return both
}

// meets says whether both have something.
func (s set) meets(o set) bool {
	for k, w := range o {
		if s[k]&w != 0 {
			return true
		}
	}
	return false
}

// list is what it has, in order.
func (s set) list() []int {
	var all []int
	for k, w := range s {
		for ; w != 0; w &= w - 1 {
			all = append(all, k*64+bits.TrailingZeros64(w))
		}
	}
	return all
}

// sharing is, for each change, those that it may conflict with as far as a policy can see.
func (t *Trace) sharing() []set {
	n := len(t.Changes)
	all := make([]set, n)
	for i := range all {
		all[i] = newSet(n)
		for j := range i {
			if t.Share(i, j) {
				all[i].add(j)
				all[j].add(i)
			}
		}
	}
	return all
}
