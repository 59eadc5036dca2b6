package sim

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"gatehouse/gatekeeper/queue"
)

// player plays one history: it steps the queue through what the model makes happen, and holds
// every step to the rules.
type player struct {
	*model
	queue stepper
	told  *told
	state queue.State

	steps  int
	digest uint64
	learnt *queue.Model // whose bytes are summed up in sum
	sum    uint64
	seen   map[int64]bool // runs that it was told of
	hidden bool           // the rows know candidates that it was never told of
	log    func(string)   // nil when nobody reads it
}

// thorough is on how many steps one is looked at closely.
const thorough = 8

// stepper is [queue.Step], but in tests of the rules themselves.
type stepper func(queue.State, queue.Event, time.Time) (queue.State, []queue.Action)

func newPlayer(seed uint64, c modelConfig, s stepper) *player {
	p := &player{model: newModel(seed, c), queue: s, seen: map[int64]bool{}}
	p.state = p.rebuilt(nil, nil)
	p.told = learn(p.state, p.landed)
	return p
}

// step is one event, the queue's answer to it, and the judgement on that.
func (p *player) step(e queue.Event) {
	p.steps++
	before := p.state
	p.note(e)
	closely := (uint64(p.steps)+p.seed)%thorough == 0
	var was []byte
	if closely {
		was = spell(nil, before)
	}
	stale := p.told.take(e, p.now)
	next, actions := p.queue(before, e, p.now)
	if p.log != nil {
		p.story(e, actions)
	}
	if closely {
		p.pure(before, was, next, actions, e)
	}
	if stale {
		p.nothingNew(before, e, next, actions)
	}
	if t, ok := e.(queue.Tried); ok {
		if stale {
			actions = p.stopOrphan(t, actions)
		}
		p.seen[t.Run] = true
	}
	p.judge(p.told, actions)
	p.state = next
	p.told.agrees(next)
	p.pending = append(p.pending, actions...)
	p.remember(e, actions)
}

// note marks the verdict that the event tells as told.
func (p *player) note(e queue.Event) {
	if t, ok := e.(queue.Tried); ok && t.Run != 0 {
		for _, r := range p.candidate(t.ID).runs {
			r.told = r.told || r.id < t.Run && r.state != queue.RunRunning
		}
	}
	end, ok := e.(queue.RunEnded)
	if !ok || !p.told.live(end) {
		return
	}
	for _, r := range p.candidate(end.Candidate).runs {
		r.told = r.told || r.id == end.Run
	}
}

// stopOrphan takes the stop of a run that came too late out of the actions: nobody has known
// the run, so that it is judged here.
func (p *player) stopOrphan(e queue.Tried, actions []queue.Action) []queue.Action {
	live := slices.ContainsFunc(p.told.runs, func(r liveRun) bool { return r.run == e.Run })
	i := slices.IndexFunc(actions, func(a queue.Action) bool {
		c, ok := a.(queue.Cancel)
		return ok && c.Run == e.Run && c.Candidate == e.ID
	})
	switch {
	case i < 0 && e.Run != 0 && !p.seen[e.Run]:
		fail("leak", "run %d was started for nobody and is not stopped", e.Run)
	case i >= 0 && !live:
		p.pending = append(p.pending, actions[i])
		return slices.Delete(slices.Clone(actions), i, i+1)
	}
	return actions
}

// pure fails when the step wrote into what it was given, or does something else the second time.
func (p *player) pure(before queue.State, was []byte, next queue.State, actions []queue.Action, e queue.Event) {
	if !bytes.Equal(was, spell(nil, before)) {
		fail("pure", "the step changed the state that it was given")
	}
	again, same := p.queue(before, e, p.now)
	if !bytes.Equal(spell(spell(nil, next), actions), spell(spell(nil, again), same)) {
		fail("pure", "the step does something else the second time: %s", showAll(same))
	}
}

// nothingNew fails when an event that says nothing new does something, but what a tick does.
func (p *player) nothingNew(before queue.State, e queue.Event, next queue.State, actions []queue.Action) {
	if _, tick := e.(queue.Tick); tick {
		return
	}
	tick, would := p.queue(before, queue.Tick{}, p.now)
	if t, ok := e.(queue.Tried); ok { // whose run may be stopped
		stops := func(a queue.Action) bool {
			c, ok := a.(queue.Cancel)
			return ok && c.Run == t.Run && c.Candidate == t.ID
		}
		actions, would = slices.DeleteFunc(slices.Clone(actions), stops), slices.DeleteFunc(slices.Clone(would), stops)
	}
	if len(actions) == 0 && bytes.Equal(spell(nil, before), spell(nil, next)) {
		return
	}
	if !bytes.Equal(spell(nil, actions), spell(nil, would)) {
		fail("stale", "%s is no news, and led to %s instead of %s", showEvent(e), showAll(actions), showAll(would))
	}
	if !bytes.Equal(spell(nil, next), spell(nil, tick)) {
		fail("stale", "%s is no news, and changed the state", showEvent(e))
	}
}

// remember adds the step to the digest.
func (p *player) remember(e queue.Event, actions []queue.Action) {
	s := p.state
	if s.Model != p.learnt {
		p.learnt, p.sum = s.Model, sum(0, spell(nil, s.Model))
	}
	s.Model = nil
	b := spell(make([]byte, 0, 2048), s)
	b = spell(b, p.now)
	b = spell(b, []queue.Event{e})
	b = spell(b, actions)
	p.digest = sum(p.digest^p.sum, b)
}

// sum is FNV-1a over the bytes, eight at a time, started from what came before.
func sum(start uint64, b []byte) uint64 {
	h := start ^ 14695981039346656037
	for len(b) >= 8 {
		h = (h ^ (uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56)) * 1099511628211
		h ^= h >> 29
		b = b[8:]
	}
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return scatter(h)
}

// deliver tells the queue the i-th message.
func (p *player) deliver(i int) {
	msg := p.inbox[i]
	p.inbox = slices.Delete(p.inbox, i, i+1)
	if msg.event != nil {
		switch msg.event.(type) {
		case queue.Tried, queue.RunEnded, queue.LandDone:
			p.answers = append(p.answers, msg.event)
		}
		p.step(msg.event)
		return
	}
	if c := p.change(msg.change); c.status == queued {
		if c.at.IsZero() {
			c.at = p.now
		}
		p.step(queue.Enqueued{Entry: p.entry(c)})
	}
}

// carry carries the i-th of the actions out.
func (p *player) carry(i int, refuse bool) {
	a := p.pending[i]
	p.pending = slices.Delete(p.pending, i, i+1)
	if p.log != nil {
		p.say("does " + showAction(a))
	}
	p.carryOut(a, refuse)
}

// crash throws the state away and reads it from the rows. Landings that are under way stay so
// when keep says it; all else that was asked for is forgotten.
func (p *player) crash(keep bool) {
	p.pending = slices.DeleteFunc(p.pending, func(a queue.Action) bool {
		_, land := a.(queue.Land)
		return !keep || !land
	})
	var landings []queue.Landing
	for _, a := range p.pending {
		landings = append(landings, queue.Landing(a.(queue.Land))) //nolint:forcetypeassert // the others are gone
	}
	p.inbox, p.lost, p.hidden = nil, false, false
	for _, k := range p.candidates {
		for _, r := range k.runs {
			r.told, p.seen[r.id] = r.state != queue.RunRunning, true
			if r.state == queue.RunRunning && !p.remembered(k) { // nobody is queued who needs it
				r.state, r.ended = queue.RunNone, p.now
			}
		}
	}
	for _, c := range p.changes {
		if c.at.IsZero() {
			c.at = p.now
		}
	}
	p.asked = p.state.Asked
	p.state = p.rebuilt(p.state.Model, landings)
	p.told = learn(p.state, p.landed)
	if p.log != nil {
		p.say("crash; rebuilt: " + showState(p.state))
	}
	p.step(queue.Tick{})
}

// compare fails when a state that has heard all does not do what one from the rows would.
func (p *player) compare() {
	if p.lost || p.hidden || len(p.pending) > 0 || len(p.inbox) > 0 || p.unheard() {
		return
	}
	_, live := p.queue(p.state, queue.Tick{}, p.now)
	_, fresh := p.queue(p.rebuilt(p.state.Model, nil), queue.Tick{}, p.now)
	if a, b := weighty(live), weighty(fresh); a != b {
		fail("rebuilt", "a tick leads to %s, and to %s on the state rebuilt from rows", a, b)
	}
}

// unheard says that the rows have a verdict which the queue did not take in: the run ended just
// before it was stopped, and by then the queue had given it up (I7). A state from the rows knows
// more then, by a true verdict, and may decide what the one that lived cannot. All other verdicts
// are told, so that nothing else is excused by it.
func (p *player) unheard() bool {
	for _, k := range p.candidates {
		for _, r := range k.runs {
			if !r.told && (r.state == queue.RunPassed || p.remembered(k) && (r.state == queue.RunRefused || r.state == queue.RunErrored)) {
				return true
			}
		}
	}
	return false
}

// weighty are the actions that decide something; which runs are worth asking for may depend
// on what a state has forgotten.
func weighty(actions []queue.Action) string {
	return showAll(slices.DeleteFunc(slices.Clone(actions), func(a queue.Action) bool {
		switch a.(type) {
		case queue.Land, queue.Eject:
			return false
		default:
			return true
		}
	}))
}

func showAll(actions []queue.Action) string {
	if len(actions) == 0 {
		return "nothing"
	}
	var s []byte
	for i, a := range actions {
		if i > 0 {
			s = append(s, "; "...)
		}
		s = append(s, showAction(a)...)
	}
	return string(s)
}

// say adds a line to the story.
func (p *player) say(line string) {
	if p.log != nil {
		p.log("        " + line)
	}
}

func (p *player) story(e queue.Event, actions []queue.Action) {
	p.log(fmt.Sprintf("%s %s", p.now.Format(time.TimeOnly), showEvent(e)))
	for _, a := range actions {
		p.log("       → " + showAction(a))
	}
}
