package web

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"
)

// spent is the time that processors worked, here and in the children that have ended. On a
// machine that others use it says more than a clock on the wall: it does not grow with the
// neighbours.
type spent struct{ own, git time.Duration }

func spentSoFar(b *testing.B) spent {
	b.Helper()
	of := func(who int) time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return spent{own: of(syscall.RUSAGE_SELF), git: of(syscall.RUSAGE_CHILDREN)}
}

func (s spent) since(before spent) spent { return spent{s.own - before.own, s.git - before.git} }

// report prints milliseconds of processor for each turn of the loop.
func (s spent) report(b *testing.B) {
	b.Helper()
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 / float64(b.N) }
	b.ReportMetric(each(s.own), "own-cpu-ms")
	b.ReportMetric(each(s.git), "git-cpu-ms")
}

// besideGit prints how long plain git takes for the difference of a change's page, in the same
// run on the same machine, and the page's 95th percentile as a multiple of git's.
func (w *world) besideGit(b *testing.B, path string, times []time.Duration) {
	b.Helper()
	var change int64
	if _, err := fmt.Sscanf(path, "/c/%d", &change); err != nil || len(times) == 0 {
		return // a page that shows no difference
	}
	ps, err := w.web.Review.PatchSet(b.Context(), w.web.DB.Read(), change, 1)
	w.must(err)
	var plain []time.Duration
	for range times {
		begin := time.Now()
		w.git("diff", "-M", string(ps.Parent), string(ps.Commit))
		plain = append(plain, time.Since(begin))
	}
	slices.Sort(plain)
	slices.Sort(times)
	at := (len(times)*95+99)/100 - 1
	b.ReportMetric(float64(plain[at].Microseconds())/1000, "git-diff-p95-ms")
	b.ReportMetric(float64(times[at])/float64(plain[at]), "of-git-diff")
}
