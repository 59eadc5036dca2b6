package web

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/review"
)

// BenchmarkChangePage makes the page of a change of 2,000 lines, with nothing in the cache and
// with everything. It reports the bytes that a browser gets.
func BenchmarkChangePage(b *testing.B) {
	w, r := hello(b)
	var old, new strings.Builder
	old.WriteString("package main\n")
	new.WriteString("package main\n")
	for i := range 1000 {
		fmt.Fprintf(&old, "func f%d(a int) string { return fmt.Sprint(a, %q) }\n", i, "old")
		fmt.Fprintf(&new, "func f%d(a, b int) string { return fmt.Sprint(a+b, %q) }\n", i, "new")
	}
	w.git("checkout", "-q", "HEAD~1")
	w.commit("alice", "Begin\n", map[string]string{"big.go": old.String()})
	w.git("push", "-q", w.dir(r), "HEAD:refs/heads/main")
	w.commit("alice", "Change it all\n\n"+changeID(5), map[string]string{"big.go": new.String()})
	w.propose(r, "alice", review.PushOptions{})
	c := w.session("bob")
	for _, form := range []string{"split", "unified"} {
		for _, cold := range []bool{true, false} {
			b.Run(form+"/"+pick(cold, "cold", "warm"), func(b *testing.B) {
				size := 0
				for b.Loop() {
					if cold {
						w.web.colors = lru[source]{most: maxColorCache}
					}
					size = len(c.get("/c/2?file=big.go&diff=" + form).ok(200).body)
				}
				b.ReportMetric(float64(size), "bytes")
			})
		}
	}
}
