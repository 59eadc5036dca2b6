package promote

import (
	"slices"
	"time"
)

// look is one look at a state.
type look struct {
	State
	now     time.Time
	actions []Action
}

// Step says what to do next, and nothing when there is nothing to do before something happens
// or [Wake] comes. It changes nothing of s.
func Step(s State, now time.Time) []Action {
	l := &look{State: s, now: now}
	if s.Policy.Ephemeral {
		l.expire()
		return l.actions
	}
	l.entering()
	if len(l.actions) > 0 { // what it rests on is not so any more
		return l.actions
	}
	l.recall()
	if len(l.actions) > 0 {
		return l.actions
	}
	l.waiting()
	return l.actions
}

func (l *look) do(a Action) { l.actions = append(l.actions, a) }

// waiting moves those that wait to where they belong, and then lets the first one in.
func (l *look) waiting() {
	wants := l.wants()
	var first *Promotion
	for i := range l.Promotions {
		p := &l.Promotions[i]
		if !p.Status.Waits() {
			continue
		}
		if wants[i].status == Eligible && p.Status == Eligible {
			first = p
			continue
		}
		l.settle(p, wants[i])
	}
	if first != nil {
		l.do(Deploy{Promotion: first.ID, Attempt: first.Attempts + 1, Kind: l.kind(first)})
	}
}

// settle takes a promotion one state on towards what it should be.
func (l *look) settle(p *Promotion, w want) {
	switch {
	case w.status == Superseded:
		l.do(Supersede{Promotion: p.ID, By: w.by, Why: w.why})
	case w.status == Rejected:
		if p.automatic() { // it goes back to something else, then
			l.goBack(p.Because, p.Digest, w.why)
		}
		l.do(SetState{Promotion: p.ID, Status: Rejected, Why: w.why})
	case w.status == Held && p.Status == Requested:
		l.do(SetState{Promotion: p.ID, Status: Eligible})
	case w.status == Held && p.Status == Held && p.Why == w.why && p.Until.Equal(w.until):
	case w.status == Held:
		l.do(SetState{Promotion: p.ID, Status: Held, Why: w.why, Until: w.until})
	case w.status != p.Status:
		// Why it waits for its gates is not written down: it changes all the time.
		l.do(SetState{Promotion: p.ID, Status: w.status})
	}
}

// recall goes back from what runs when a person said that it may not.
func (l *look) recall() {
	v := l.veto(l.Current.Digest)
	if v == nil || !v.RollBack || l.Broken != "" || l.holder() != 0 {
		return
	}
	if slices.ContainsFunc(l.Promotions, func(p Promotion) bool {
		return p.Status.Waits() && (p.automatic() || l.kind(&p) == Rollback && l.judge(&p).status == Eligible)
	}) {
		return
	}
	l.goBack(l.Current.Promotion, l.Current.Digest, short(v.Digest)+" may not run"+said(v.By, v.Why))
}

// goBack asks for a rollback to what ran well last and is not the digest that failed; without
// one the environment is broken. It says which of the two it came to.
func (l *look) goBack(because int64, failed, why string) bool {
	to := l.lastGood(failed)
	if to == nil {
		l.breaks(why + "; nothing ran well in " + l.Environment + " before that it could go back to. " + mend)
		return false
	}
	if !l.answered(because) {
		l.do(RollBack{To: *to, Because: because, Why: why})
	}
	return true
}

// answered says that a rollback because of the promotion waits, and may enter.
func (l *look) answered(because int64) bool {
	return because != 0 && slices.ContainsFunc(l.Promotions, func(p Promotion) bool {
		return p.Kind == Rollback && p.Because == because && p.Status.Waits() && l.veto(p.Digest) == nil
	})
}

// mend says what a person can do about a broken environment.
const mend = "Land a fix and ask for its promotion, ask for a rollback by hand, or say that the environment is mended."

func (l *look) breaks(why string) {
	if l.Broken != why {
		l.do(MarkBroken{Why: why})
	}
}

// lastGood is what to go back to: the pinned digest when it ran well here, else the last that did.
func (l *look) lastGood(failed string) *Version {
	var last *Version
	for i := len(l.Good) - 1; i >= 0; i-- {
		g := &l.Good[i]
		if g.Digest == failed || l.veto(g.Digest) != nil {
			continue
		}
		if l.Pin == nil || l.Pin.Digest == g.Digest {
			return g
		}
		if last == nil {
			last = g
		}
	}
	return last
}

// holder is who is entering, 0 for nobody: who lost the lock is still in the way.
func (s *State) holder() int64 {
	for i := range s.Promotions {
		if s.Promotions[i].Status.Enters() {
			return s.Promotions[i].ID
		}
	}
	return s.Lock.Holder
}

func (s *State) veto(digest string) *Veto {
	for i := range s.Vetoes {
		if s.Vetoes[i].Digest == digest {
			return &s.Vetoes[i]
		}
	}
	return nil
}

func (s *State) good(digest string) bool {
	return slices.ContainsFunc(s.Good, func(g Version) bool { return g.Digest == digest })
}

func (s *State) promotion(id int64) *Promotion {
	for i := range s.Promotions {
		if s.Promotions[i].ID == id {
			return &s.Promotions[i]
		}
	}
	return nil
}

// automatic says that it is a rollback by [RollBack], even if somebody asked for it since.
func (p *Promotion) automatic() bool {
	return p.Kind == Rollback && (p.RequestedBy == "" || p.Because != 0)
}

// kind is what a promotion comes to here: one that a person asked for, of what is older than
// what runs and ran well here, is a rollback by hand.
func (s *State) kind(p *Promotion) Kind {
	if p.Kind == Forward && p.RequestedBy != "" && p.older(s) && s.good(p.Digest) {
		return Rollback
	}
	return p.Kind
}

// older says that it landed before what runs.
func (p *Promotion) older(s *State) bool { return s.Current.Digest != "" && p.Seq < s.Current.Seq }
