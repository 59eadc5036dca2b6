package sim

import "testing"

// Two changes that share a module: the second lands on the first, not before it.
func TestOracleLandsInOrder(t *testing.T) {
	w := NewWorld(&Trace{Name: "two", Hours: 1, Analyzer: true, Changes: []Change{
		{Arrival: 0, Minutes: 10, OK: 1, Modules: []int{1}},
		{Arrival: 1, Minutes: 2, OK: 1, Modules: []int{1}},
		{Arrival: 2, Minutes: 3, OK: 1, Modules: []int{2}},
		{Arrival: 3, Minutes: 3, OK: 0, Modules: []int{2}},
	}}, 4)
	w.Play(NewOracle(w.Trace, 4), 1e9)
	r := w.Measure("oracle")
	if r.Landed != 3 || r.Rejected != 1 || r.FalseRejections != 0 || r.P50 != 9 || r.WorkerMinutes != 18 {
		t.Errorf("%+v", r)
	}
}
