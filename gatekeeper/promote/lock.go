package promote

import (
	"fmt"
	"time"
)

// entering takes in what came of those that hold the lock, and of those that lost it.
func (l *look) entering() {
	if h := l.Lock.Holder; h != 0 && !l.Lock.Alive {
		if p := l.promotion(h); p == nil || !p.Status.Enters() {
			l.do(ReleaseLock{Holder: h})
			return
		}
	}
	for i := range l.Promotions {
		if p := &l.Promotions[i]; p.Status.Enters() {
			l.attempt(p)
		}
	}
}

// attempt looks at what a promotion's last attempt came to.
func (l *look) attempt(p *Promotion) {
	if h := l.Lock.Holder; h != 0 && h != p.ID {
		l.crowded(p, h)
		return
	}
	r := p.result()
	if l.answered(p.ID) { // a crash cut what was decided then, and it stays so
		by := r.Outcome
		if by == OutcomePending || by == OutcomePassed {
			by = OutcomeErrored
		}
		l.failed(p, p.what()+" was given up"+because(r.Why), by)
		return
	}
	switch r.Outcome {
	case OutcomePassed:
		if p.Status == Deploying && p.Verifies {
			l.do(Verify{Promotion: p.ID, Attempt: p.Attempts})
			return
		}
		if l.Broken != "" {
			l.do(MarkUnbroken{})
		}
		l.do(Succeed{Promotion: p.ID})
	case OutcomeFailed:
		l.failed(p, p.what()+" failed"+because(r.Why), OutcomeFailed)
	case OutcomeStopped:
		l.failed(p, p.what()+" was stopped"+because(r.Why), OutcomeStopped)
	case OutcomeErrored:
		l.errored(p, because(r.Why), r.due(l.now, p.Attempts))
	case OutcomePending:
		if l.Lock.Holder != p.ID || !l.Lock.Alive {
			l.errored(p, ": who worked on it is gone", l.now)
		}
	default:
		panic(fmt.Sprintf("promote: unknown outcome %q", r.Outcome))
	}
}

// crowded ends a promotion that another one has taken the lock from, which is no fault of what
// was built, and nothing to go back from: the other one is entering.
func (l *look) crowded(p *Promotion, holder int64) {
	why := fmt.Sprintf("the machinery failed: promotion %d holds the lock of %s", holder, l.Environment)
	r := p.result()
	verdict := r.Outcome == OutcomeFailed
	if verdict {
		why = p.what() + " failed" + because(r.Why)
		l.bans(p, why)
	}
	l.do(Fail{Promotion: p.ID, Status: Failed, Errored: !verdict, Why: why})
}

// bans keeps out what failed until a person allows it again.
func (l *look) bans(p *Promotion, why string) {
	if l.veto(p.Digest) == nil {
		l.do(AddVeto{Digest: p.Digest, Because: p.ID, Why: why})
	}
}

// result is what the last attempt came to as far as its state has got; that of another attempt
// is none.
func (p *Promotion) result() Result {
	r := p.Deployed
	if p.Status == Verifying {
		r = p.Verified
	}
	if r.Attempt != p.Attempts {
		return Result{}
	}
	return r
}

// what is the part of the attempt that the promotion is in.
func (p *Promotion) what() string {
	if p.Status == Verifying {
		return "the verification of " + short(p.Digest)
	}
	return "the deploy of " + short(p.Digest)
}

// due is when the next attempt begins after one that the machinery broke. A clock that was moved
// back does not make it wait longer.
func (r Result) due(now time.Time, attempts int) time.Time {
	pause := time.Duration(attempts) * RetryPause
	at := r.At.Add(pause)
	if at.Sub(now) > pause {
		return now
	}
	return at
}

// errored tries again what the machinery broke, when it may enter still. Otherwise, and when it
// was tried often enough, it has failed: what it left behind is nothing to wait on.
func (l *look) errored(p *Promotion, why string, due time.Time) {
	w := l.judge(p)
	why = fmt.Sprintf("the machinery failed in %s, attempt %d of %d%s", p.what(), p.Attempts, MaxAttempts, why)
	switch {
	case w.status != Eligible:
		l.failed(p, why+"; it may not enter again: "+w.why, OutcomeErrored)
	case p.Attempts >= MaxAttempts:
		l.failed(p, why, OutcomeErrored)
	case !due.After(l.now):
		l.do(Deploy{Promotion: p.ID, Attempt: p.Attempts + 1, Kind: l.kind(p)})
	}
}

// failed ends an attempt that came to nothing, and goes back when the plan says so. The promotion
// ends last: until then a look does again what a crash cut.
func (l *look) failed(p *Promotion, why string, by Outcome) {
	if by == OutcomeFailed {
		l.bans(p, why)
	}
	end := Fail{Promotion: p.ID, Status: Failed, Why: why, Errored: by == OutcomeErrored}
	back := l.answered(p.ID) || l.Policy.RollBackDeploy && p.Status == Deploying || l.Policy.RollBackVerify && p.Status == Verifying || by == OutcomeStopped
	switch {
	case l.kind(p) == Rollback:
		l.breaks("the rollback failed: " + why + ". " + mend)
	case back && l.goBack(p.ID, p.Digest, why):
		end.Status = RolledBack
	}
	l.do(end)
}
