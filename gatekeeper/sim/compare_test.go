package sim

import (
	"math"
	"testing"
	"time"
)

// One trace on which serial takes twice as long, one on which it does not: the geometric mean is √2.
func TestCompare(t *testing.T) {
	slow, same := tiny(good(0, 10), good(0, 10)), tiny(good(0, 10))
	var all []Comparison
	ticks := time.Time{}
	clock := func() time.Time { ticks = ticks.Add(3 * time.Microsecond); return ticks }
	for _, trace := range []*Trace{slow, same} {
		c, err := Compare(trace, []string{"oracle", "serial"}, 2, Options{Clock: clock})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	if r := all[0].Ratios[1]; r.P50 != 2 || r.Cost != 1 || r.Throughput != 1 || r.DecisionUSP99 != 3 {
		t.Errorf("%+v", r)
	}
	means := Means(all)
	if len(means) != 2 || means[0].P50 != 1 || math.Abs(means[1].P50-math.Sqrt2) > 1e-12 || means[1].Policy != "serial" || means[1].Unfinished {
		t.Errorf("%+v", means)
	}
	if Means(nil) != nil {
		t.Error("means of nothing")
	}
	if _, err := Compare(slow, []string{"best"}, 2, Options{}); err == nil {
		t.Error("an unknown policy was compared")
	}
}
