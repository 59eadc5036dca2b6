package sim

import (
	"fmt"
	"slices"
	"time"

	"gatehouse/gatekeeper/promote"
)

// happen makes one thing happen, if it can, and looks sometimes.
func (w *rows) happen(x happening) {
	w.now = w.now.Add(time.Duration(x.c%300) * time.Second)
	switch {
	case x.kind == delClock:
		w.now = w.now.Add(time.Duration(int64(x.a%(96*3600))-48*3600) * time.Second)
		w.say("the clock jumps")
	case x.kind == delLook:
	case w.Policy.Ephemeral:
		w.happenInstance(x)
	case x.kind == delProgress:
		w.progress(x)
	case x.kind == delLand, x.kind == delAgain:
		w.land(x)
	case x.kind >= delLose:
		w.disturb(x)
	default:
		w.person(x)
	}
	if x.kind == delLook || x.c>>9%2 == 0 {
		w.look(x.c >> 10)
	}
}

// chance is whether the number falls under a probability.
func chance(x uint32, p float64) bool { return float64(x%1000)/1000 < p }

// land makes a change land, or asks again for what has landed.
func (w *rows) land(x happening) {
	if w.id >= mostPromotions {
		return
	}
	p := promote.Promotion{Kind: promote.Forward, Verifies: x.a%3 != 0}
	if x.kind == delAgain && w.seq > 0 {
		p.Version = w.version(1 + int64(x.b)%w.seq)
	} else {
		w.seq++
		p.Version = w.version(w.seq)
	}
	if x.a>>4%8 == 0 {
		p.Kind = promote.Hotfix
	}
	if chance(x.b>>3, w.config.bypass) {
		p.Bypassed = []string{"smoke"}
	}
	w.add(p)
	w.gates(&w.Promotions[len(w.Promotions)-1], x.b>>13, w.config.closed)
	w.say("lands: %s %d as %d, gates open %v, without %v", p.Kind, p.Seq, w.id, w.Promotions[len(w.Promotions)-1].GatesOpen, p.Bypassed)
}

// version is what landed as the seq-th; some build to the same as the one before.
func (w *rows) version(seq int64) promote.Version {
	built := seq
	if scatter(w.seed^uint64(seq))%8 == 0 { //nolint:gosec // not negative
		built = max(1, seq-1)
	}
	return promote.Version{Digest: fmt.Sprintf("sha256:%04d", built), Commit: fmt.Sprintf("c%d", seq), Seq: seq, Run: seq}
}

// gates are judged: open, or closed, sometimes until a time.
func (w *rows) gates(p *promote.Promotion, x uint32, closed float64) {
	p.GatesOpen, p.GatesWhy, p.NextAt = !chance(x, closed), "", time.Time{}
	if !p.GatesOpen {
		p.GatesWhy = "an approval is missing"
		if x>>10%2 == 0 {
			p.GatesWhy, p.NextAt = "it soaks", w.now.Add(time.Duration(1+x>>11%600)*time.Minute)
		}
	}
}

// progress ends what somebody works at, as the version has it or the machinery.
func (w *rows) progress(x happening) {
	if len(w.works) == 0 {
		return
	}
	k := w.works[0]
	p := w.row(k.promotion)
	switch {
	case p == nil:
		w.works = nil
		return
	case chance(x.a, w.config.error):
		k.outcome = promote.OutcomeErrored
	case w.bad(p.Digest, k.verify):
		k.outcome = promote.OutcomeFailed
	default:
		k.outcome = promote.OutcomePassed
	}
	w.end(k)
}

// bad says that a version fails, in its deploy or when it is verified.
func (w *rows) bad(digest string, verify bool) bool {
	roll := scatter(sum(w.seed, []byte(digest)))
	return chance(uint32(roll%1000), w.config.bad) && (roll>>20%2 == 0) == verify //nolint:gosec // small
}

func (w *rows) end(k work) {
	w.say("promotion %d, attempt %d, verify %v: %s", k.promotion, k.attempt, k.verify, k.outcome)
	w.works = nil
	w.answer(k)
	w.late = append(w.late, k)
}

// one is one of the promotions that wait, nil when none does.
func (w *rows) one(x uint32, of func(promote.Status) bool) *promote.Promotion {
	var all []*promote.Promotion
	for i := range w.Promotions {
		if of(w.Promotions[i].Status) {
			all = append(all, &w.Promotions[i])
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[int(x)%len(all)]
}

// person makes somebody decide something.
func (w *rows) person(x happening) {
	digest := w.version(1 + int64(x.a)%max(1, w.seq)).Digest
	switch x.kind {
	case delGate:
		if p := w.one(x.a, func(s promote.Status) bool { return !s.Final() }); p != nil {
			w.gates(p, x.b, .5)
			w.say("the gates of %d are open: %v", p.ID, p.GatesOpen)
		}
	case delAsk:
		if p := w.one(x.a, promote.Status.Waits); p != nil {
			p.RequestedBy = "ann"
			w.say("ann asks for %d", p.ID)
		}
	case delBack:
		if w.seq > 0 && w.id < mostPromotions {
			w.add(promote.Promotion{Version: w.version(1 + int64(x.a)%w.seq), Kind: promote.Rollback, RequestedBy: "bob", Verifies: x.b%2 == 0})
			w.say("bob asks to go back to %s", digest)
		}
	case delCancel:
		w.cancel(x)
	case delFreeze:
		w.freeze(x)
	case delPin:
		w.Pin = nil
		if x.b%2 == 0 {
			w.Pin = &promote.Pin{Digest: digest, By: "ann"}
		}
		w.say("pin: %+v", w.Pin)
	case delVeto:
		if w.vetoed(digest) == nil {
			w.Vetoes = append(slices.Clone(w.Vetoes), promote.Veto{Digest: digest, By: "ann", RollBack: x.b%2 == 0})
			w.say("ann vetoes %s, go back %v", digest, x.b%2 == 0)
		}
	case delLift:
		w.Vetoes = slices.DeleteFunc(slices.Clone(w.Vetoes), func(v promote.Veto) bool { return v.Digest == digest })
		delete(w.sunk, digest)
		w.say("the veto on %s is lifted", digest)
	case delMend:
		w.Broken = ""
		w.say("mended")
	}
}

// cancel withdraws what waits, and stops what enters.
func (w *rows) cancel(x happening) {
	if x.b%2 == 0 && len(w.works) > 0 {
		k := w.works[0]
		k.outcome = promote.OutcomeStopped
		w.end(k)
		return
	}
	if p := w.one(x.a, promote.Status.Waits); p != nil {
		w.say("%d is withdrawn", p.ID)
		w.move(p, promote.Canceled)
	}
}

// freeze adds a freeze, or lifts all.
func (w *rows) freeze(x happening) {
	if x.a%3 == 0 {
		w.Freezes = nil
		w.say("no freeze")
		return
	}
	f := promote.Freeze{Why: "release"}
	if x.a%3 == 1 {
		f.Until = w.now.Add(time.Duration(int64(x.b%600)-60) * time.Minute)
	}
	w.Freezes = append(slices.Clone(w.Freezes), f)
	w.say("freeze until %v", f.Until)
}

// disturb makes the machinery or the plan be otherwise.
func (w *rows) disturb(x happening) {
	switch x.kind {
	case delLose:
		w.say("who holds the lock is gone")
		w.Lock.Alive = false
		w.late, w.works = append(w.late, w.works...), nil
	case delLate:
		if len(w.late) > 0 {
			k := w.late[int(x.a)%len(w.late)]
			if k.outcome == promote.OutcomePending || x.b%4 == 0 {
				k.outcome = []promote.Outcome{promote.OutcomePassed, promote.OutcomeFailed, promote.OutcomeErrored}[x.b>>2%3]
			}
			w.say("late: promotion %d, attempt %d, verify %v: %s", k.promotion, k.attempt, k.verify, k.outcome)
			w.answer(k)
		}
	case delLock:
		w.late, w.works = append(w.late, w.works...), nil
		w.Lock = promote.Lock{}
		if x.a%3 == 0 && w.id > 0 {
			w.Lock = promote.Lock{Holder: 1 + int64(x.b)%w.id, Alive: x.a>>4%2 == 0}
		}
		w.say("the lock is %+v", w.Lock)
	case delPlan:
		p := &w.Policy
		for i, flag := range []*bool{&p.Hand, &p.Each, &p.RollBackDeploy, &p.RollBackVerify, &p.RefuseBypassed} {
			if x.a>>i%4 == 0 {
				*flag = !*flag
			}
		}
		w.say("the plan is %+v", *p)
	}
}

// mostTurns is after how many turns a history that nothing disturbs must have come to rest.
const mostTurns = 400

// settle plays on without disturbance: works end as they must, time passes until each wait that
// has an end is over. Then nobody is entering, and what waits does so for a reason of its own.
func (w *rows) settle() {
	w.config.error, w.config.cut = 0, 0
	for range mostTurns {
		if len(w.works) == 0 {
			w.Lock.Alive = false // nobody works on it
		}
		w.look(0)
		wake := promote.Wake(w.State, w.now)
		switch {
		case len(w.works) > 0 && w.row(w.works[0].promotion) != nil:
			w.progress(happening{})
		case !wake.IsZero():
			w.now = wake
			for i := range w.Promotions {
				if p := &w.Promotions[i]; !p.NextAt.IsZero() && !p.NextAt.After(w.now) {
					p.GatesOpen, p.NextAt = true, time.Time{}
				}
			}
		case slices.ContainsFunc(w.Promotions, func(p promote.Promotion) bool { return p.Status.Enters() }) || w.Lock.Holder != 0 && w.Lock.Alive:
			w.works = nil // the lock says that somebody is at work, and nobody is
		default:
			return
		}
	}
	fail("endless", "there is no end after %d turns", mostTurns)
}
