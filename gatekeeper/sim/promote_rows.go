package sim

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"gatehouse/gatekeeper/promote"
)

// rows are what a controller keeps of an environment, and what is true about it.
type rows struct {
	promote.State
	config deliveryConfig
	step   promoteStepper
	now    time.Time
	seed   uint64
	log    func(string)

	seq, id int64
	works   []work                   // under way, by whoever holds the lock
	late    []work                   // that may still answer, or answer again
	over    map[int64]promote.Status // how promotions ended
	ran     map[string]bool          // digests that ran well here
	sunk    map[string]bool          // digests that failed, and that nobody has allowed again
	steps   int
	digest  uint64
}

// work is a deploy or a verification, by somebody.
type work struct {
	promotion int64
	attempt   int
	verify    bool
	outcome   promote.Outcome // of one that has answered
}

// mostPromotions is how many promotions a history may have: what one look does for each is a
// fixed number of steps, so that more of them find nothing new.
const mostPromotions = 16

func newRows(d delivery, log func(string)) *rows {
	return &rows{
		State:  promote.State{Environment: "production", Policy: d.config.policy},
		config: d.config, step: d.step, seed: d.seed, log: log,
		now:  time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC),
		over: map[int64]promote.Status{}, ran: map[string]bool{}, sunk: map[string]bool{},
	}
}

func (w *rows) row(id int64) *promote.Promotion {
	i := slices.IndexFunc(w.Promotions, func(p promote.Promotion) bool { return p.ID == id })
	if i < 0 {
		return nil
	}
	return &w.Promotions[i]
}

// must is a row that an action names.
func (w *rows) must(id int64, a promote.Action) *promote.Promotion {
	p := w.row(id)
	if p == nil {
		fail("unknown", "%+v is for no promotion", a)
	}
	return p
}

// mostLooks is after how many looks with something to do they will not end: each promotion takes
// a few states, and what one of them does may move all others once.
const mostLooks = 200

// look carries out what the step says until it says nothing; a crash may cut it.
func (w *rows) look(cut uint32) {
	for n := range mostLooks {
		actions := w.ask()
		if len(actions) == 0 {
			w.quiet()
			return
		}
		if n == 0 && float64(cut%1000)/1000 < w.config.cut {
			actions = actions[:int(cut>>10)%len(actions)]
			w.say("crash after %d actions", len(actions))
			w.carry(actions)
			return
		}
		w.carry(actions)
	}
	fail("endless", "there is still something to do after %d looks: %s", mostLooks, showActions(w.ask()))
}

func (w *rows) carry(actions []promote.Action) {
	for _, a := range actions {
		w.say("  → %s", showActions([]promote.Action{a}))
		w.carryOut(a)
	}
	if w.config.forget {
		w.Promotions = slices.DeleteFunc(w.Promotions, func(p promote.Promotion) bool { return p.Status.Final() })
	}
}

// ask steps, and sees that the step is a pure function of the rows.
func (w *rows) ask() []promote.Action {
	w.steps++
	was := spell(nil, w.State)
	actions := w.step(w.State, w.now)
	if !bytes.Equal(was, spell(nil, w.State)) {
		fail("pure", "the step changed the state that it was given")
	}
	done := spell(nil, actions)
	if (uint64(w.steps)+w.seed)%thorough == 0 { //nolint:gosec // not negative
		if again := w.step(w.State, w.now); !bytes.Equal(done, spell(nil, again)) {
			fail("pure", "the step does something else the second time: %s", showActions(again))
		}
		turned := w.State
		turned.Promotions = slices.Clone(w.Promotions)
		slices.Reverse(turned.Promotions)
		if a, b := lines(actions), lines(w.step(turned, w.now)); !slices.Equal(a, b) {
			fail("order of rows", "with its rows in another order a step does %q instead of %q", b, a)
		}
	}
	w.digest = sum(sum(w.digest, was), done)
	return actions
}

// lines are the actions one by one, in an order that does not follow from that of the rows.
func lines(actions []promote.Action) []string {
	all := make([]string, len(actions))
	for i := range actions {
		all[i] = showActions(actions[i : i+1])
	}
	slices.Sort(all)
	return all
}

func showActions(actions []promote.Action) string {
	s := ""
	for i, a := range actions {
		if i > 0 {
			s += "; "
		}
		s += fmt.Sprintf("%T%+v", a, a)
	}
	return s
}

// carryOut writes an action into the rows, if the rules allow it.
func (w *rows) carryOut(a promote.Action) {
	switch a := a.(type) {
	case promote.SetState:
		p := w.must(a.Promotion, a)
		w.judgeState(p, a)
		w.move(p, a.Status)
		p.Why, p.Until = a.Why, a.Until
	case promote.Supersede:
		p := w.must(a.Promotion, a)
		w.judgeSupersede(p, a)
		w.move(p, promote.Superseded)
	case promote.Deploy:
		p := w.must(a.Promotion, a)
		w.judgeDeploy(p, a)
		w.move(p, promote.Deploying)
		p.Attempts = a.Attempt
		w.begin(work{promotion: p.ID, attempt: a.Attempt})
	case promote.Verify:
		p := w.must(a.Promotion, a)
		w.judgeVerify(p, a)
		w.move(p, promote.Verifying)
		w.begin(work{promotion: p.ID, attempt: a.Attempt, verify: true})
	case promote.Succeed:
		p := w.must(a.Promotion, a)
		w.judgeSucceed(p)
		w.move(p, promote.Succeeded)
		w.Current = promote.Current{Version: p.Version, Promotion: p.ID, Since: w.now, Assembly: "READY"}
		w.Good = append(slices.Clone(w.Good), p.Version)
		w.ran[p.Digest] = true
		w.Lock = promote.Lock{}
	case promote.Fail:
		p := w.must(a.Promotion, a)
		w.judgeFail(p, a)
		if result(p).Outcome == promote.OutcomeFailed {
			w.sunk[p.Digest] = true
		}
		w.move(p, a.Status)
		if w.Lock.Holder == p.ID {
			w.Lock = promote.Lock{}
		}
	default:
		w.carryOutOther(a)
	}
}

func (w *rows) carryOutOther(a promote.Action) {
	switch a := a.(type) {
	case promote.RollBack:
		w.judgeRollBack(a)
		w.add(promote.Promotion{Version: a.To, Kind: promote.Rollback, Because: a.Because, Verifies: a.To.Seq%2 == 0})
	case promote.AddVeto:
		if w.vetoed(a.Digest) != nil {
			fail("veto", "%s has a veto already", a.Digest)
		}
		w.Vetoes = append(slices.Clone(w.Vetoes), promote.Veto{Digest: a.Digest, Why: a.Why})
	case promote.ReleaseLock:
		if p := w.row(a.Holder); w.Lock.Holder != a.Holder || w.Lock.Alive || p != nil && p.Status.Enters() {
			fail("lock", "the lock of %d is taken from it", a.Holder)
		}
		w.Lock = promote.Lock{}
	case promote.MarkBroken:
		if a.Why == "" {
			fail("silent", "it is broken without words")
		}
		w.Broken = a.Why
	case promote.MarkUnbroken:
		if w.Broken == "" {
			fail("again", "it is not broken")
		}
		w.Broken = ""
	case promote.Expire:
		w.expire(a)
	default:
		fail("action", "unknown action %T", a)
	}
}

// move takes a promotion to another state.
func (w *rows) move(p *promote.Promotion, to promote.Status) {
	if ended, over := w.over[p.ID]; over {
		fail("over", "promotion %d ended as %s, and is to be %s", p.ID, ended, to)
	}
	if !promote.Transition(p.Status, to) {
		fail("transition", "promotion %d goes from %s to %s", p.ID, p.Status, to)
	}
	p.Status, p.Why, p.Until = to, "", time.Time{}
	if to.Final() {
		w.over[p.ID] = to
	}
}

// begin gives the lock and the work to somebody; whoever had it before may still answer.
func (w *rows) begin(k work) {
	w.late = append(w.late, w.works...)
	w.works = []work{k}
	w.Lock = promote.Lock{Holder: k.promotion, Alive: true}
}

// add adds a promotion that waits.
func (w *rows) add(p promote.Promotion) {
	w.id++
	p.ID, p.Status = w.id, promote.Requested
	w.Promotions = append(w.Promotions, p)
}

// answer writes what came of a work, unless a later attempt has answered.
func (w *rows) answer(k work) {
	p := w.row(k.promotion)
	if p == nil {
		return
	}
	at := &p.Deployed
	if k.verify {
		at = &p.Verified
	}
	if at.Attempt <= k.attempt {
		*at = promote.Result{Attempt: k.attempt, Outcome: k.outcome, Why: "as it went", At: w.now}
	}
}

// result is what the promotion's last attempt came to, nothing when it has not.
func result(p *promote.Promotion) promote.Result {
	r := p.Deployed
	if p.Status == promote.Verifying {
		r = p.Verified
	}
	if r.Attempt != p.Attempts {
		return promote.Result{}
	}
	return r
}

func (w *rows) vetoed(digest string) *promote.Veto {
	i := slices.IndexFunc(w.Vetoes, func(v promote.Veto) bool { return v.Digest == digest })
	if i < 0 {
		return nil
	}
	return &w.Vetoes[i]
}
