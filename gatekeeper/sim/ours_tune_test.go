package sim

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var ref = map[string][4]float64{ // oracle p50 p95 landed/h cost
	"p500w500": {38.5, 95.1, 303, 34.5}, "p300w300": {30.5, 88.2, 209.5, 33.2}, "p500w200": {48.5, 109.5, 264.5, 34.5}, "hot500": {55.1, 135.1, 235.5, 35.8},
	"s10w4": {15.2, 22.1, 7.5, 16.2}, "s20w4": {123.1, 222.3, 14, 16.8}, "s20w16": {15.1, 18.4, 15.8, 16.8}, "flaky2": {30.5, 88.2, 209.5, 33.2},
	"s10w4fl": {15.2, 22.1, 7.5, 16.2}, "fail20": {30, 85.6, 184, 38.1}, "beta5": {40.1, 96.9, 179, 33.2}}

func TestTune(t *testing.T) {
	dir := os.Getenv("TRACES")
	if dir == "" {
		t.Skip()
	}
	fs, _ := filepath.Glob(dir + "/*.json")
	var g [4]float64
	n := 0.0
	for _, f := range fs {
		tr, err := Load(f)
		if err != nil {
			t.Fatal(err)
		}
		if only := os.Getenv("ONLY"); only != "" && !strings.Contains(","+only+",", ","+tr.Name+",") {
			continue
		}
		w := NewWorld(tr, tr.Workers[0])
		begin := time.Now()
		o := NewOurs(tr, tr.Workers[0], func() time.Duration { return time.Since(begin) })
		w.Play(o, tr.Hours*60*10)
		r := w.Measure("ours")
		x := ref[tr.Name]
		a := [4]float64{r.P50 / x[0], r.P95 / x[1], r.LandedPerHour / x[2], r.PerLandedCost / x[3]}
		fmt.Printf("%-9s p50 %.2f p95 %.2f p99 %.0f thr %.2f cost %.2f b/ch %.2f rej %d false %d und %d step p99 %v  %.1fs\n", tr.Name, a[0], a[1], r.P99, a[2], a[3], r.BuildsPerChange, r.Rejected, r.FalseRejections, r.Undecided, o.(*ours).DecisionP99(), time.Since(begin).Seconds())
		for i := range g {
			g[i] += math.Log(a[i])
		}
		n++
	}
	fmt.Printf("geomean p50 %.3f p95 %.3f thr %.3f cost %.3f\n", math.Exp(g[0]/n), math.Exp(g[1]/n), math.Exp(g[2]/n), math.Exp(g[3]/n))
}
