package promote

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// want is what a promotion should be, and why.
type want struct {
	status Status
	why    string
	until  time.Time // when that may change by time alone
	by     int64     // what supersedes it
}

// judge says whether a promotion may enter, as if it was alone.
func (l *look) judge(p *Promotion) want {
	kind, veto := l.kind(p), l.veto(p.Digest)
	switch {
	case kind == Rollback && !l.good(p.Digest):
		return want{status: Rejected, why: short(p.Digest) + " never ran well in " + l.Environment + ": ask for it as a promotion"}
	case kind == Rollback:
		if veto != nil && p.automatic() {
			return want{status: Rejected, why: "there is a veto on " + short(p.Digest) + said(veto.By, veto.Why)}
		}
	case l.Policy.RefuseBypassed && len(p.Bypassed) > 0:
		return want{status: Rejected, why: l.Environment + " takes nothing for which a gate or stage was left out, and " + strings.Join(p.Bypassed, ", ") + " was"}
	case l.Policy.Hand && p.RequestedBy == "":
		return want{status: Requested, why: "somebody must ask for its promotion", until: p.NextAt}
	case !p.GatesOpen:
		return want{status: Requested, why: orElse(p.GatesWhy, "its gates are not open"), until: p.NextAt}
	}
	return l.hold(p, kind, veto)
}

// hold says what about the environment keeps a promotion out.
func (l *look) hold(p *Promotion, kind Kind, veto *Veto) want {
	switch {
	case veto != nil:
		return want{status: Held, why: "there is a veto on " + short(p.Digest) + said(veto.By, veto.Why) + ": it enters when somebody lifts that"}
	case !p.automatic() && !l.admits(p):
		return want{status: Held, why: l.Environment + " is pinned to " + short(l.Pin.Digest) + said(l.Pin.By, l.Pin.Why) + ": nothing else enters before somebody lifts that"}
	case kind == Forward && l.shut(p):
		return want{status: Held, why: l.Environment + " is broken: " + l.Broken}
	case kind == Forward:
		if until, why, frozen := l.frozen(); frozen {
			return want{status: Held, why: why, until: until}
		}
	}
	return want{status: Eligible}
}

// shut says that the environment is broken, and that nobody asked for p. Where there is nothing
// left to go back to, the only way is forward, and it is open.
func (l *look) shut(p *Promotion) bool {
	return l.Broken != "" && p.RequestedBy == "" && l.lastGood("") != nil
}

// frozen says until when promotions are held up: zero is until somebody lifts it.
func (l *look) frozen() (until time.Time, why string, frozen bool) {
	for _, f := range l.Freezes {
		if !f.Until.IsZero() && !f.Until.After(l.now) {
			continue
		}
		if !frozen || f.Until.IsZero() || !until.IsZero() && f.Until.After(until) {
			until, why = f.Until, l.Environment+" is frozen"+said(f.By, f.Why)
		}
		frozen = true
		if until.IsZero() {
			break
		}
	}
	return until, why, frozen
}

// wants are what those that wait should be, at their places in Promotions.
func (l *look) wants() []want {
	wants := make([]want, len(l.Promotions))
	for i := range l.Promotions {
		if p := &l.Promotions[i]; p.Status.Waits() {
			wants[i] = l.judge(p)
		}
	}
	l.supersede(wants)
	if l.Policy.Each {
		l.inOrder(wants)
	}
	l.turns(wants)
	return wants
}

// supersede ends those in whose place another one enters, or did.
func (l *look) supersede(wants []want) {
	for i := range l.Promotions {
		if p := &l.Promotions[i]; p.Status.Waits() && wants[i].status != Rejected && l.passed(p) {
			wants[i] = want{status: Superseded, by: l.Current.Promotion, why: l.Environment + " runs what landed later, or the same"}
		}
	}
	judged := slices.Clone(wants)
	for i := range l.Promotions {
		p := &l.Promotions[i]
		if !p.Status.Waits() || !judged[i].status.Waits() {
			continue
		}
		if by := l.replacement(p, judged); by != nil {
			wants[i] = want{status: Superseded, by: by.ID, why: fmt.Sprintf("promotion %d enters in its place", by.ID)}
		}
	}
}

// passed says that what runs landed later than p, or is the same, and nobody asked for p.
func (l *look) passed(p *Promotion) bool {
	return l.kind(p) != Rollback && p.RequestedBy == "" &&
		(p.older(&l.State) || p.Seq == l.Current.Seq && p.Digest == l.Current.Digest)
}

// replacement is the promotion that enters in the place of p, nil for none.
func (l *look) replacement(p *Promotion, judged []want) *Promotion {
	var best *Promotion
	for i := range l.Promotions {
		q := &l.Promotions[i]
		if q.Status.Waits() && l.comes(q, judged[i]) && l.replaces(q, p) && (best == nil || l.before(q, best)) {
			best = q
		}
	}
	return best
}

// comes says that nothing but the lock, or what ends by itself, keeps a promotion out.
func (l *look) comes(q *Promotion, w want) bool {
	return w.status == Eligible || w.status == Held && l.admits(q)
}

// admits says that neither a veto nor a pin is in the way.
func (l *look) admits(q *Promotion) bool {
	return l.veto(q.Digest) == nil && (l.Pin == nil || l.Pin.Digest == q.Digest)
}

// replaces says that q, if it comes, leaves no sense in p. What a person asked for is replaced by
// nothing but what a person asked for; and what a person must ask for stays until somebody does.
func (l *look) replaces(q, p *Promotion) bool {
	a, b := l.kind(q), l.kind(p)
	switch {
	case q.ID == p.ID || (a == Rollback) != (b == Rollback):
		return false
	case p.RequestedBy != "" && q.RequestedBy == "":
		return false
	case a == Rollback:
		return q.RequestedBy != "" && p.RequestedBy == "" || q.ID > p.ID
	case l.Policy.Each || l.Policy.Hand && p.RequestedBy == "":
		return false
	default:
		return newer(q, p) && (a == Hotfix || b == Forward)
	}
}

// newer says that q landed after p.
func newer(q, p *Promotion) bool {
	return q.Seq > p.Seq || q.Seq == p.Seq && q.ID > p.ID
}

// inOrder holds up those that landed after one which is still to come.
func (l *look) inOrder(wants []want) {
	judged := slices.Clone(wants)
	for i := range l.Promotions {
		p := &l.Promotions[i]
		if judged[i].status != Eligible || l.kind(p) != Forward {
			continue
		}
		var first *Promotion
		for j := range l.Promotions {
			q := &l.Promotions[j]
			if q.Status.Waits() && l.kind(q) == Forward && newer(p, q) && l.expected(q, judged[j]) && (first == nil || newer(first, q)) {
				first = q
				wants[i] = want{status: Held, until: judged[j].until, why: fmt.Sprintf("promotion %d landed before it and comes first", q.ID)}
			}
		}
	}
}

// expected says that a promotion is one to wait for where all enter in their order. One that does
// not come by itself into what is broken is not: it would keep out what mends.
func (l *look) expected(q *Promotion, w want) bool {
	if l.shut(q) {
		return false
	}
	if l.comes(q, w) {
		return true
	}
	return w.status == Requested && !q.older(&l.State) && l.admits(q) && (!l.Policy.Hand || q.RequestedBy != "")
}

// turns leaves one of those that may enter, and none while somebody does.
func (l *look) turns(wants []want) {
	holder := l.holder()
	first := holder
	if p := l.first(wants); first == 0 && p != nil {
		first = p.ID
	}
	for i, p := range l.Promotions {
		if p.Status.Waits() && wants[i].status == Eligible && (holder != 0 || p.ID != first) {
			wants[i] = want{status: Held, why: fmt.Sprintf("it waits for promotion %d, which enters first", first)}
		}
	}
}

// first is the one to enter next, nil for none.
func (l *look) first(wants []want) *Promotion {
	var best *Promotion
	for i := range l.Promotions {
		if p := &l.Promotions[i]; p.Status.Waits() && wants[i].status == Eligible && (best == nil || l.before(p, best)) {
			best = p
		}
	}
	return best
}

// before says that p enters before q: rollbacks first, then hotfixes, then by their landing, and
// what a person asked for before what comes by itself and would only take its place again.
func (l *look) before(p, q *Promotion) bool {
	a, b := rank(l.kind(p)), rank(l.kind(q))
	switch {
	case a != b:
		return a < b
	case a == rank(Rollback):
		return l.replaces(p, q)
	case l.Policy.Each:
		return newer(q, p)
	case (p.RequestedBy != "") != (q.RequestedBy != ""):
		return p.RequestedBy != ""
	default:
		return newer(p, q)
	}
}

func rank(k Kind) int {
	switch k {
	case Rollback:
		return 0
	case Hotfix:
		return 1
	case Forward:
		return 2
	default:
		panic(fmt.Sprintf("promote: unknown kind %q", k))
	}
}
