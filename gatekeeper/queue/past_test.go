package queue

import (
	"slices"
	"testing"
)

// What was only supposed to have landed leaves no trace, also of targets that are named twice.
func TestPastTakesBack(t *testing.T) {
	s := newPast(0)
	touching := func(target string) []int64 {
		var found []int64
		for x := s.byTarget[target]; x > 0; x = s.touches[x-1].before {
			found = append(found, s.all[s.touches[x-1].n].Change)
		}
		return found
	}
	s.add(Landed{Seq: 1, Change: 1, Targets: []string{"a", "b"}})
	s.add(Landed{Seq: 2, Change: 2, Targets: []string{"b", "b", "a"}, Barrier: true})
	s.add(Landed{Seq: 3, Change: 3, Targets: []string{"c"}})
	if a, b := touching("a"), touching("b"); !slices.Equal(a, []int64{2, 1}) || !slices.Equal(b, []int64{2, 2, 1}) {
		t.Errorf("a by %v, b by %v", a, b)
	}
	s.forgetLast()
	s.forgetLast()
	if a, b, c := touching("a"), touching("b"), touching("c"); !slices.Equal(a, []int64{1}) || !slices.Equal(b, []int64{1}) || len(c) > 0 {
		t.Errorf("a by %v, b by %v, c by %v", a, b, c)
	}
	if len(s.all) != 1 || len(s.barriers) > 0 || len(s.at) != 1 {
		t.Errorf("%+v", s)
	}
}
