package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"gatehouse/gatekeeper/promote"
)

// CheckPromotions plays random histories of environments against [promote.Step] and holds every
// step to the rules, in the way of [Check]. Next to it stands a controller that keeps rows and
// believes nothing: it carries the actions out, sometimes only some of them, and looks again. In
// it changes land, gates open and close, people pin, veto, ask, withdraw and freeze, plans
// change, workers get lost and answer late or twice, locks vanish, and clocks jump. It checks that
//
//   - at most one promotion enters at any time, and each attempt is one more;
//   - nothing enters with a closed gate, a refused bypass, a veto, past a pin, into a freeze or
//     unasked, where that may not be, all at the time of the lock; and nothing by itself that is
//     older than what runs, or out of its order;
//   - a result counts for its attempt only, what is over stays so, and what failed does not come
//     back before a person allows it;
//   - after a failure it goes back to what ran well, or says that it is broken, and never twice;
//   - looks end, and then nothing waits that could enter, and nothing without words;
//   - a step is a pure function, and the order of the rows is of no effect.
func CheckPromotions(seed uint64, histories int, report func(done int)) (Summary, error) {
	return checkAll(seed, histories, report, func(seed uint64) outcome { return newDelivery(seed).play(nil) },
		func(v *Violation) *Violation {
			short := newDelivery(v.Seed).shrink(v.Rule)
			if shrunk := short.play(nil).violation; shrunk != nil {
				v.Words = shrunk.Words
			}
			v.Story = short.story()
			return v
		})
}

// The kinds of happenings in the life of an environment.
const (
	delProgress = iota // somebody at work gets on
	delLook
	delLand
	delGate
	delAsk
	delBack
	delCancel
	delFreeze
	delPin
	delVeto
	delLift
	delMend
	delLose
	delLate
	delLock
	delClock
	delPlan
	delAgain
	delKinds
)

// promoteStepper is [promote.Step], but in tests of the rules themselves.
type promoteStepper func(promote.State, time.Time) []promote.Action

// delivery is one random life of an environment.
type delivery struct {
	seed   uint64
	config deliveryConfig
	step   promoteStepper
	list   []happening
}

// deliveryConfig is how likely what is in a history, from 0 to 1.
type deliveryConfig struct {
	policy promote.Policy
	bad    float64 // versions whose deploy or verification fails
	error  float64 // attempts that the machinery breaks
	closed float64 // gates that are closed when a change lands
	bypass float64
	cut    float64 // looks whose actions a crash cuts
	forget bool    // the rows of what is over are not shown to the step
}

// newDelivery draws the world and what happens in it; each leaves some kinds out.
func newDelivery(seed uint64) delivery {
	r := rand.New(rand.NewPCG(seed, scatter(seed^delKinds))) //nolint:gosec // it has to be repeatable
	pick := func(list ...float64) float64 { return list[r.IntN(len(list))] }
	coin := func() bool { return r.IntN(2) == 0 }
	d := delivery{seed: seed, step: promote.Step, config: deliveryConfig{
		policy: promote.Policy{Hand: r.IntN(3) == 0, Each: r.IntN(3) == 0, RollBackDeploy: coin(), RollBackVerify: coin(), RefuseBypassed: coin()},
		bad:    pick(0, .2, .5), error: pick(0, .1, .4), closed: pick(0, .3, .8), bypass: pick(0, .1, .3), cut: pick(0, .1, .4), forget: coin()}}
	if r.IntN(10) == 0 {
		d.config.policy = promote.Policy{Ephemeral: true, TTL: time.Duration(r.IntN(3)) * time.Hour}
	}
	weights := [delKinds]int{delProgress: 30, delLook: 20, delLand: 12}
	total := 0
	for kind := range weights {
		if kind > delLand {
			weights[kind] = []int{0, 0, 2, 5}[r.IntN(4)]
		}
		total += weights[kind]
	}
	for range leastHappenings + r.IntN(mostHappenings-leastHappenings) {
		at, kind := r.IntN(total), 0
		for ; at >= weights[kind]; kind++ {
			at -= weights[kind]
		}
		d.list = append(d.list, happening{kind, r.Uint32(), r.Uint32(), r.Uint32()})
	}
	return d
}

// play plays the history, with a line for each thing that happens when log is not nil.
func (d delivery) play(log func(string)) (o outcome) {
	w := newRows(d, log)
	defer func() {
		o.steps, o.digest = w.steps, w.digest
		o.violation = violated(recover(), d.seed)
	}()
	w.say("world: %+v", d.config)
	for _, x := range d.list {
		w.happen(x)
	}
	w.settle()
	return o
}

// shrink leaves out what the violation does not need.
func (d delivery) shrink(rule string) delivery {
	d.list = shrink(d.list, func(list []happening) bool {
		short := d
		short.list = list
		return short.play(nil).breaks(rule)
	})
	return d
}

// story is what happens in the history, for people.
func (d delivery) story() string {
	var s strings.Builder
	o := d.play(func(line string) { s.WriteString(line + "\n") })
	o.tell(&s)
	return s.String()
}

// say adds a line to the story.
func (w *rows) say(words string, args ...any) {
	if w.log != nil {
		w.log(w.now.Format(time.DateTime) + " " + fmt.Sprintf(words, args...))
	}
}
