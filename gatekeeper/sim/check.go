package sim

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// Summary is what checking came to.
type Summary struct {
	Histories int    `json:"histories"`
	Steps     int64  `json:"steps"`
	Digest    string `json:"digest"` // over all states and actions: the same seeds give the same
}

// Check plays random histories against [queue.Step] and holds every step to the rules; seeds
// from the given one on, one for each history. A model world next to the queue says what is
// true: which changes pass, which fail together, which runs meet bad luck. In it answers come
// late, in another order, twice or never, people change their minds, branches move, and the
// state is thrown away and rebuilt from rows. After each step it checks that
//
//   - what lands is what passed, on what it passed on as far as that may matter, from the true
//     tip, once, in the order of stacks, with those that it must land with, and that it is good;
//   - nothing but hotfixes lands on frozen branches, and held changes are not tried;
//   - nobody good is sent away, but for bad luck twice;
//   - runs under way never exceed the workers, none is forgotten, nothing is asked for twice;
//   - what is no news changes nothing, and a step is a pure function.
//
// When the random part is over it plays on fairly, and nobody who can be decided may be left.
//
// The first history, by seed, that breaks a rule is shrunk and returned as a [*Violation].
// report is called now and then with how many histories have been played.
func Check(seed uint64, histories int, report func(done int)) (Summary, error) {
	return checkAll(seed, histories, report, func(seed uint64) outcome { return newHistory(seed).play(nil) }, explain)
}

// checkAll plays the histories on all cores.
func checkAll(seed uint64, histories int, report func(int), play func(uint64) outcome, explain func(*Violation) *Violation) (Summary, error) {
	outcomes := make([]outcome, histories)
	var next, done atomic.Int64
	var failed atomic.Bool
	var group sync.WaitGroup
	var reporting sync.Mutex
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for !failed.Load() {
				i := int(next.Add(1)) - 1
				if i >= histories {
					return
				}
				outcomes[i] = play(seed + uint64(i))
				if outcomes[i].violation != nil {
					failed.Store(true)
				}
				if n := done.Add(1); n%reportEvery == 0 && report != nil {
					reporting.Lock()
					report(int(n))
					reporting.Unlock()
				}
			}
		})
	}
	group.Wait()
	s := Summary{Histories: int(done.Load())}
	digest := uint64(0)
	for _, o := range outcomes {
		if o.violation != nil {
			return s, explain(o.violation)
		}
		s.Steps += int64(o.steps)
		digest = scatter(digest ^ o.digest)
	}
	s.Digest = fmt.Sprintf("%016x", digest)
	return s, nil
}

// reportEvery is after how many histories Check reports.
const reportEvery = 1000

// explain finds a short history that breaks the rule, and tells its story.
func explain(v *Violation) *Violation {
	short := newHistory(v.Seed).shrink(v.Rule)
	if shrunk := short.play(nil).violation; shrunk != nil {
		v.Words = shrunk.Words
	}
	v.Story = short.story()
	return v
}
