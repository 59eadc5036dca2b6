package web

import (
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
