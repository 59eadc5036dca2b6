package sim

import (
	"slices"
	"time"

	"gatehouse/gatekeeper/promote"
)

// mostAttempts is how often a promotion may take the lock.
const mostAttempts = 3

// back says that a promotion leads back to what ran well, so that its gates are not asked.
func (w *rows) back(p *promote.Promotion) bool {
	switch p.Kind {
	case promote.Rollback:
		return true
	case promote.Forward:
		return p.RequestedBy != "" && w.Current.Digest != "" && p.Seq < w.Current.Seq && w.ran[p.Digest]
	default:
		return false
	}
}

// unasked says that a promotion is a rollback of the machine's own, even if somebody joined in.
func unasked(p *promote.Promotion) bool {
	return p.Kind == promote.Rollback && (p.RequestedBy == "" || p.Because != 0)
}

// bar is the rule that keeps a promotion out now, "" for none: all that must be so when it takes
// the lock, whatever it is that others do.
func (w *rows) bar(p *promote.Promotion) string {
	back := w.back(p)
	switch {
	case back && !w.ran[p.Digest]:
		return "never good"
	case !back && w.Policy.RefuseBypassed && len(p.Bypassed) > 0:
		return "bypass"
	case !back && w.Policy.Hand && p.RequestedBy == "":
		return "hand"
	case !back && !p.GatesOpen:
		return "gates"
	case w.vetoed(p.Digest) != nil:
		return "veto"
	case w.Pin != nil && w.Pin.Digest != p.Digest && !unasked(p):
		return "pin"
	case back || p.Kind == promote.Hotfix:
		return ""
	case w.Broken != "" && p.RequestedBy == "" && w.returns():
		return "broken"
	case slices.ContainsFunc(w.Freezes, func(f promote.Freeze) bool { return f.Until.IsZero() || w.now.Before(f.Until) }):
		return "freeze"
	}
	return ""
}

// returns says that there is something to go back to.
func (w *rows) returns() bool {
	for digest := range w.ran {
		if w.vetoed(digest) == nil {
			return true
		}
	}
	return false
}

// passing says that a promotion is barred by nothing that a person decided about its digest.
func passing(bar string) bool { return bar == "" || bar == "freeze" || bar == "broken" }

func (w *rows) judgeDeploy(p *promote.Promotion, a promote.Deploy) {
	if bar := w.bar(p); bar != "" {
		fail(bar, "promotion %d enters", p.ID)
	}
	if w.sunk[p.Digest] {
		fail("comes back", "promotion %d brings back %s, which failed", p.ID, p.Digest)
	}
	if a.Attempt != p.Attempts+1 || a.Attempt > mostAttempts {
		fail("attempts", "attempt %d of promotion %d after %d", a.Attempt, p.ID, p.Attempts)
	}
	own := w.Lock.Holder == p.ID && (!w.Lock.Alive || result(p).Outcome == promote.OutcomeErrored)
	if w.Lock.Holder != 0 && !own {
		fail("two", "promotion %d takes the lock of %d", p.ID, w.Lock.Holder)
	}
	for i := range w.Promotions {
		q := &w.Promotions[i]
		if q.ID == p.ID {
			continue
		}
		if q.Status.Enters() {
			fail("two", "promotion %d enters while %d does", p.ID, q.ID)
		}
		if p.Status.Waits() && q.Status.Waits() {
			w.judgeOrder(p, q)
		}
	}
	if p.RequestedBy == "" && p.Kind != promote.Rollback && p.Status.Waits() && p.Seq < w.Current.Seq {
		fail("backwards", "promotion %d enters by itself, and is older than what runs", p.ID)
	}
}

// judgeOrder fails when q should have entered before p.
func (w *rows) judgeOrder(p, q *promote.Promotion) {
	free := w.bar(q) == ""
	switch {
	case w.back(p):
		if free && w.back(q) && p.RequestedBy == "" && q.RequestedBy != "" {
			fail("turn", "promotion %d enters before %d, which a person asked for", p.ID, q.ID)
		}
	case free && (w.back(q) || q.Kind == promote.Hotfix && p.Kind == promote.Forward && (q.RequestedBy != "" || q.Seq >= w.Current.Seq)):
		fail("turn", "promotion %d enters before the %s %d", p.ID, q.Kind, q.ID)
	case p.Kind != q.Kind || p.RequestedBy != q.RequestedBy || !free:
	case w.Policy.Each && q.Seq < p.Seq && q.Seq >= w.Current.Seq:
		fail("turn", "promotion %d enters before %d, which landed before it", p.ID, q.ID)
	case !w.Policy.Each && q.Seq > p.Seq:
		fail("turn", "promotion %d enters, and %d is newer", p.ID, q.ID)
	}
}

func (w *rows) judgeState(p *promote.Promotion, a promote.SetState) {
	bar := w.bar(p)
	switch a.Status {
	case promote.Requested:
		if bar != "gates" && bar != "hand" {
			fail("state", "promotion %d waits for its gates and is barred by %q", p.ID, bar)
		}
	case promote.Eligible:
		if bar == "gates" || bar == "hand" || bar == "bypass" {
			fail("state", "promotion %d may enter and is barred by %q", p.ID, bar)
		}
	case promote.Held:
		if a.Why == "" || bar == "freeze" && !w.until(a.Until) {
			fail("silent", "promotion %d is held until %v for %q", p.ID, a.Until, a.Why)
		}
		if p.Status == promote.Held && p.Why == a.Why && p.Until.Equal(a.Until) {
			fail("again", "promotion %d is held as it was", p.ID)
		}
	case promote.Rejected:
		if bar != "bypass" && bar != "never good" && !(bar == "veto" && unasked(p)) {
			fail("state", "promotion %d is rejected and barred by %q", p.ID, bar)
		}
	default:
		fail("state", "promotion %d is made %s", p.ID, a.Status)
	}
}

// until says that nothing is frozen at the time, and something is until then.
func (w *rows) until(t time.Time) bool {
	for _, f := range w.Freezes {
		if f.Until.IsZero() {
			return t.IsZero()
		}
	}
	return !slices.ContainsFunc(w.Freezes, func(f promote.Freeze) bool { return f.Until.After(t) }) && t.After(w.now)
}

func (w *rows) judgeSupersede(p *promote.Promotion, a promote.Supersede) {
	q := w.row(a.By)
	switch {
	case a.Why == "":
		fail("silent", "promotion %d is superseded without words", p.ID)
	case a.By == w.Current.Promotion && p.RequestedBy == "" && !unasked(p) && p.Seq <= w.Current.Seq:
	case q == nil || q.ID == p.ID || !q.Status.Waits():
		fail("supersede", "promotion %d is superseded by %d, which does not enter", p.ID, a.By)
	case !passing(w.bar(q)):
		fail("supersede", "promotion %d is superseded by %d, which is kept out: %s", p.ID, q.ID, w.bar(q))
	case p.RequestedBy != "" && q.RequestedBy == "":
		fail("supersede", "promotion %d was asked for, and is superseded by %d, which was not", p.ID, q.ID)
	case w.back(p) != w.back(q):
		fail("supersede", "promotion %d is superseded by %d, of another kind", p.ID, q.ID)
	case w.back(p):
	case w.Policy.Each || q.Seq < p.Seq:
		fail("supersede", "promotion %d is superseded by %d, which is not newer", p.ID, q.ID)
	}
}

func (w *rows) judgeVerify(p *promote.Promotion, a promote.Verify) {
	if p.Status != promote.Deploying || !p.Verifies || result(p).Outcome != promote.OutcomePassed || a.Attempt != p.Attempts {
		fail("result", "promotion %d is verified, attempt %d, after %+v", p.ID, a.Attempt, result(p))
	}
}

func (w *rows) judgeSucceed(p *promote.Promotion) {
	if result(p).Outcome != promote.OutcomePassed || p.Verifies && p.Status != promote.Verifying {
		fail("result", "promotion %d succeeds, %s, after %+v", p.ID, p.Status, result(p))
	}
	if q := w.reply(p); q != nil {
		fail("goes back", "promotion %d succeeds, and %d goes back from it", p.ID, q.ID)
	}
}

func (w *rows) judgeFail(p *promote.Promotion, a promote.Fail) {
	r := result(p)
	switch {
	case a.Why == "":
		fail("silent", "promotion %d fails without words", p.ID)
	case r.Outcome == promote.OutcomeFailed && w.vetoed(p.Digest) == nil:
		fail("comes back", "promotion %d failed, and nothing keeps its digest out", p.ID)
	case a.Errored && r.Outcome == promote.OutcomeFailed, !a.Errored && r.Outcome != promote.OutcomeFailed && r.Outcome != promote.OutcomeStopped:
		fail("result", "promotion %d fails by its machinery %v after %+v", p.ID, a.Errored, r)
	case w.Lock.Holder != 0 && w.Lock.Holder != p.ID:
		return
	case w.reply(p) == nil:
		w.judgeLost(p)
	}
	w.judgeBack(p, a)
}

// judgeLost fails when an attempt has not come to its end.
func (w *rows) judgeLost(p *promote.Promotion) {
	r := result(p)
	lost := r.Outcome == promote.OutcomePending && (w.Lock.Holder != p.ID || !w.Lock.Alive)
	switch {
	case r.Outcome == promote.OutcomeErrored || lost:
		if p.Attempts < mostAttempts && w.bar(p) == "" {
			fail("result", "promotion %d fails for its machinery after %d attempts", p.ID, p.Attempts)
		}
	case r.Outcome != promote.OutcomeFailed && r.Outcome != promote.OutcomeStopped:
		fail("result", "promotion %d fails after %+v", p.ID, r)
	}
}

// reply is the rollback that follows a failure by itself, nil for none.
func (w *rows) reply(p *promote.Promotion) *promote.Promotion {
	for i := range w.Promotions {
		if q := &w.Promotions[i]; unasked(q) && q.Because == p.ID && q.Status.Waits() && w.vetoed(q.Digest) == nil {
			return q
		}
	}
	return nil
}

// returning says that the plan, or a person, wants to go back from what the promotion came to.
func (w *rows) returning(p *promote.Promotion) bool {
	return w.Policy.RollBackDeploy && p.Status == promote.Deploying || w.Policy.RollBackVerify && p.Status == promote.Verifying ||
		result(p).Outcome == promote.OutcomeStopped
}

// judgeBack fails when something else follows a failure than what the plan says.
func (w *rows) judgeBack(p *promote.Promotion, a promote.Fail) {
	asked, follows := w.returning(p), w.reply(p) != nil
	there := slices.ContainsFunc(w.Good, func(g promote.Version) bool { return g.Digest != p.Digest && w.vetoed(g.Digest) == nil })
	switch {
	case w.back(p) && (a.Status != promote.Failed || follows || w.Broken == ""):
		fail("loop", "the rollback %d failed and is %s, broken %q", p.ID, a.Status, w.Broken)
	case w.back(p):
	case asked && there && (a.Status != promote.RolledBack || !follows):
		fail("goes back", "promotion %d is %s, and there is something to go back to", p.ID, a.Status)
	case asked && !there && (a.Status != promote.Failed || w.Broken == ""):
		fail("goes back", "promotion %d is %s, broken %q, with nothing to go back to", p.ID, a.Status, w.Broken)
	case (a.Status == promote.RolledBack) != follows:
		fail("goes back", "promotion %d is %s, and a rollback follows: %v", p.ID, a.Status, follows)
	}
}

func (w *rows) judgeRollBack(a promote.RollBack) {
	if !w.ran[a.To.Digest] || w.vetoed(a.To.Digest) != nil || a.Why == "" {
		fail("goes back", "to %+v, for %q", a.To, a.Why)
	}
	if p := w.row(a.Because); p != nil && p.Status.Enters() {
		w.judgeLost(p)
		if !w.returning(p) || w.back(p) {
			fail("goes back", "from promotion %d, and nobody wants that", p.ID)
		}
	}
	for i := range w.Promotions {
		if q := &w.Promotions[i]; unasked(q) && q.Status.Waits() && q.Because == a.Because && w.vetoed(q.Digest) == nil {
			fail("again", "promotion %d is a rollback because of %d already", q.ID, a.Because)
		}
	}
}

// quiet holds what is left when there is nothing to do to the rules.
func (w *rows) quiet() {
	if w.Policy.Ephemeral {
		w.quietInstances()
		return
	}
	busy := w.Lock.Holder != 0
	wake := promote.Wake(w.State, w.now)
	for i := range w.Promotions {
		p := &w.Promotions[i]
		if p.Status.Final() {
			continue
		}
		busy = busy || p.Status.Enters()
		words, next := promote.Why(w.State, w.now, p.ID)
		if words == "" {
			fail("silent", "promotion %d, %s, says %q", p.ID, p.Status, words)
		}
		if next.After(w.now) && (wake.IsZero() || wake.After(next)) {
			fail("asleep", "promotion %d waits until %v, and the next look is at %v", p.ID, next, wake)
		}
		if p.Status.Waits() && w.bar(p) == "freeze" && p.Until.IsZero() == w.ends() {
			fail("silent", "promotion %d is held by a freeze until %v", p.ID, p.Until)
		}
	}
	if busy {
		return
	}
	if v := w.vetoed(w.Current.Digest); v != nil && v.RollBack && w.Broken == "" {
		fail("recall", "%s may not run, and nothing goes back", v.Digest)
	}
	for i := range w.Promotions {
		if p := &w.Promotions[i]; p.Status.Waits() && w.bar(p) == "" && !w.follows(p) {
			fail("stuck", "promotion %d could enter, and is %s: %s", p.ID, p.Status, p.Why)
		}
	}
}

// ends says that all freezes end by themselves.
func (w *rows) ends() bool {
	return !slices.ContainsFunc(w.Freezes, func(f promote.Freeze) bool { return f.Until.IsZero() })
}

// follows says that a promotion waits for one that landed before it, as the plan says.
func (w *rows) follows(p *promote.Promotion) bool {
	return w.Policy.Each && p.Kind == promote.Forward && slices.ContainsFunc(w.Promotions, func(q promote.Promotion) bool {
		bar := w.bar(&q)
		return q.Kind == promote.Forward && q.Status.Waits() && bar == "gates" && w.vetoed(q.Digest) == nil &&
			(w.Pin == nil || w.Pin.Digest == q.Digest) && (q.Seq < p.Seq || q.Seq == p.Seq && q.ID < p.ID)
	})
}
