package sim

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"

	"gatehouse/gatekeeper/queue"
)

// happening is one thing that happens in a history. Its numbers choose among what is possible
// when it happens, so that it means something whatever else is left out.
type happening struct {
	kind    int
	a, b, c uint32
}

// The kinds of happenings.
const (
	hapProgress = iota // something under way gets on
	hapArrive
	hapTick
	hapRepush
	hapRemove
	hapReenter
	hapFreeze
	hapWorkers
	hapPush
	hapLandOutside
	hapPlan
	hapHold
	hapPriority
	hapDepend
	hapClock
	hapCrash
	hapRepeat
	hapCompare
	hapKinds
)

// history is one random life of a queue.
type history struct {
	seed   uint64
	config modelConfig
	queue  stepper
	list   []happening
}

// The sizes of a history.
const (
	leastHappenings = 20
	mostHappenings  = 90
	mostChanges     = 14
)

// newHistory draws the world and what happens in it. Each history leaves some kinds out, which
// brings about more than doing a little of everything each time (Groce and others: Swarm
// testing, 2012).
func newHistory(seed uint64) history {
	r := rand.New(rand.NewPCG(seed, scatter(seed))) //nolint:gosec // it has to be repeatable
	pick := func(list ...float64) float64 { return list[r.IntN(len(list))] }
	count := func(list ...int) int { return list[r.IntN(len(list))] }
	h := history{seed: seed, queue: queue.Step, config: modelConfig{
		branches: count(1, 1, 1, 2, 3), workers: count(1, 2, 3, 4, 6, 12), targets: count(1, 2, 4, 8),
		bad: pick(0, .1, .3), clash: pick(0, .1, .3), textual: pick(0, .05, .2), stale: pick(0, 0, .05),
		flake: pick(0, .1, .3), errored: pick(0, .1, .3), gone: pick(0, .1),
		wide: pick(0, .1, 1), whole: r.IntN(2) == 0, batch: count(0, 1, 2, 4, 8)}}
	weights := [hapKinds]int{hapProgress: 60, hapArrive: 14, hapTick: 2}
	for kind := hapRepush; kind < hapKinds; kind++ {
		weights[kind] = count(0, 0, 1, 3)
	}
	total := 0
	for _, w := range weights {
		total += w
	}
	draw := func(kind int) {
		h.list = append(h.list, happening{kind, r.Uint32(), r.Uint32(), r.Uint32()})
	}
	for range 1 + r.IntN(4) {
		draw(hapArrive)
	}
	for range leastHappenings + r.IntN(mostHappenings-leastHappenings) {
		at, kind := r.IntN(total), 0
		for ; at >= weights[kind]; kind++ {
			at -= weights[kind]
		}
		draw(kind)
	}
	return h
}

// outcome is how playing a history went.
type outcome struct {
	steps     int
	digest    uint64
	violation *Violation
}

// play plays the history, with a line for each thing that happens when log is not nil.
func (h history) play(log func(string)) (o outcome) {
	p := newPlayer(h.seed, h.config, h.queue)
	p.log = log
	defer func() {
		o.steps, o.digest = p.steps, p.digest
		o.violation = violated(recover(), h.seed)
	}()
	if log != nil {
		log(fmt.Sprintf("world: %+v", h.config))
		log("        starts with " + showState(p.state))
	}
	for _, x := range h.list {
		p.happen(x)
	}
	p.settle()
	return o
}

// violated is what a history ended with before its time, nil when it did not.
func violated(broken any, seed uint64) *Violation {
	var v *Violation
	switch broken := broken.(type) {
	case nil:
		return nil
	case *Violation:
		v = broken
	default:
		v = &Violation{Rule: "panic", Words: fmt.Sprint(broken), Story: string(debug.Stack())}
	}
	v.Seed = seed
	return v
}

// shrink leaves out what the violation does not need: ever smaller stretches, as long as the
// same rule is broken (Zeller, Hildebrandt: Simplifying and isolating failure-inducing input, 2002).
func (h history) shrink(rule string) history {
	h.list = shrink(h.list, func(list []happening) bool {
		short := h
		short.list = list
		return short.play(nil).breaks(rule)
	})
	return h
}

// breaks says that the history broke the rule.
func (o outcome) breaks(rule string) bool { return o.violation != nil && o.violation.Rule == rule }

func shrink(list []happening, fails func([]happening) bool) []happening {
	for size := len(list) / 2; size > 0; {
		smaller := false
		for at := 0; at < len(list); {
			short := slices.Delete(slices.Clone(list), at, min(at+size, len(list)))
			if fails(short) {
				list, smaller = short, true
			} else {
				at += size
			}
		}
		if !smaller || size > 1 {
			size /= 2
		}
	}
	return list
}

// story is what happens in the history, for people.
func (h history) story() string {
	var s strings.Builder
	o := h.play(func(line string) { s.WriteString(line + "\n") })
	o.tell(&s)
	return s.String()
}

// tell adds how the history ended to its story.
func (o outcome) tell(s *strings.Builder) {
	if o.violation == nil {
		return
	}
	fmt.Fprintf(s, "BROKEN  %s: %s\n", o.violation.Rule, o.violation.Words)
	if o.violation.Rule == "panic" {
		s.WriteString(o.violation.Story)
	}
}
