package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// groupPrefix starts a member of a role that is a group of accounts.
const groupPrefix = "group:"

// anyone stands in Reason.Who for everybody with the permission to vote.
const anyone = "anyone who may vote"

// kindBypass is the kind of the reason that a gate was left out for.
const kindBypass = "bypass"

// Evaluate is what the gate says about the evidence at a time: quarantines, approvals and
// bypasses end, soaks and windows come. See [GateState] for the logic. What other gates say is
// taken from the evidence; [Judge] asks them too.
func Evaluate(g Gate, e Evidence, now time.Time) Verdict {
	v := Verdict{Gate: g.Name, Line: g.Line}
	e.quarantined, e.left = g.quarantined(now), g.leftOut(e, now)
	for _, c := range g.Require {
		v.Reasons = append(v.Reasons, evaluate(g, c, e, now)...)
	}
	v.State = conjunction(v.Reasons)
	if b, left := e.bypassOf(g.Name, g.Bypassable, g.LeftOutBy, now); left {
		v.State = GateBypassed
		v.Reasons = append([]Reason{b.reason(kindBypass, "gate "+g.Name, g.Line)}, v.Reasons...)
	}
	for _, r := range v.Reasons {
		if r.At.After(now) && (v.Next.IsZero() || r.At.Before(v.Next)) {
			v.Next = r.At
		}
	}
	return v
}

func evaluate(g Gate, c Criterion, e Evidence, now time.Time) []Reason {
	switch c := c.(type) {
	case Review:
		return []Reason{evaluateReview(c, e)}
	case Owners:
		return []Reason{evaluateOwners(c, e)}
	case Stages:
		return evaluateStages(g, c, e)
	case TestLimits:
		return []Reason{evaluateTests(g, c, e)}
	case Approve:
		return []Reason{evaluateApprove(g, c, e, now)}
	case Metric:
		return []Reason{evaluateMetric(g, c, e)}
	case Soak:
		return []Reason{evaluateSoak(g, c, e, now)}
	case GateEvidence:
		return evaluateEvidence(c, e, now)
	case Window:
		return []Reason{evaluateWindow(g, c, now)}
	case External:
		return []Reason{evaluateExternal(g, c, e)}
	default:
		panic(fmt.Sprintf("plan: unknown criterion %T", c))
	}
}

// conjunction is the state of several reasons that all must hold. Without any reason it is
// CLOSED: nothing was asked, so nothing was shown.
func conjunction(reasons []Reason) GateState {
	strictest := []GateState{Refused, GateErrored, Inconclusive, Closed, Waiting}
	for _, state := range strictest {
		if slices.ContainsFunc(reasons, func(r Reason) bool { return r.State == state }) {
			return state
		}
	}
	open := len(reasons) > 0 && !slices.ContainsFunc(reasons, func(r Reason) bool { return !r.State.Passes() })
	if open {
		return Open
	}
	return Closed
}

// evaluateReview counts one vote of each voter. A veto needs no role: whoever may vote may
// refuse.
func evaluateReview(c Review, e Evidence) Reason {
	r := Reason{Kind: "review", Line: c.Line, Who: approvers(c)}
	approved := map[string]bool{}
	var votes, discounted, vetoes []string
	for _, v := range e.Votes {
		if v.Label != c.Label || v.Value == 0 {
			continue
		}
		text := fmt.Sprintf("%s %s%+d", v.By, v.Label, v.Value)
		votes = append(votes, text)
		switch {
		case c.Veto != 0 && v.Value <= c.Veto:
			vetoes = append(vetoes, v.By)
		case v.Value < c.Value:
		case related(c, v) != "":
			discounted = append(discounted, v.By+" is the "+related(c, v))
		case !inRoles(c, v):
			discounted = append(discounted, v.By+" is not in "+strings.Join(c.By, ", "))
		default:
			approved[v.By] = true
		}
	}
	slices.Sort(votes)
	r.Evidence = strings.Join(votes, ", ")
	if len(discounted) > 0 {
		slices.Sort(discounted)
		r.Evidence += "; does not count: " + strings.Join(discounted, ", ")
	}
	need := fmt.Sprintf("%s%+d%s", c.Label, c.Value, from(c))
	switch {
	case len(vetoes) > 0:
		slices.Sort(vetoes)
		r.State, r.Who = Refused, vetoes
		r.What = fmt.Sprintf("%s refused with %s%+d", strings.Join(vetoes, ", "), c.Label, c.Veto)
		r.Next = "push a patch set that answers the objection, or have the vote changed"
	case len(approved) >= c.Min:
		r.State, r.Who = Open, nil
		r.What = fmt.Sprintf("has %s", times(len(approved), need))
	default:
		r.State = Closed
		r.What = fmt.Sprintf("needs %s, has %d", times(c.Min, need), len(approved))
		r.Next = fmt.Sprintf("vote %s%+d", c.Label, c.Value)
	}
	return r
}

func times(n int, need string) string {
	if n == 1 {
		return need
	}
	return fmt.Sprintf("%d × %s", n, need)
}

func approvers(c Review) []string {
	if len(c.By) == 0 {
		return []string{anyone}
	}
	return slices.Clone(c.Members)
}

// from tells in words whose votes count.
func from(c Review) string {
	text := ""
	if len(c.By) > 0 {
		text = " from " + strings.Join(c.By, " or ")
	}
	if len(c.Not) > 0 {
		text += ", not from the " + strings.Join(c.Not, " or ")
	}
	return text
}

// related names the relation for which a vote does not count, "" when it counts.
func related(c Review, v Vote) string {
	for _, not := range c.Not {
		if slices.Contains(v.Is, not) {
			return not
		}
	}
	return ""
}

func inRoles(c Review, v Vote) bool {
	if len(c.By) == 0 {
		return true
	}
	return slices.ContainsFunc(c.Members, func(m string) bool {
		group, isGroup := strings.CutPrefix(m, groupPrefix)
		if isGroup {
			return slices.Contains(v.Groups, group)
		}
		return m == v.By
	})
}

func evaluateStages(g Gate, c Stages, e Evidence) []Reason {
	lost := g.lost(e)
	var all []Reason
	for _, n := range g.Needs {
		if len(c.Names) > 0 && !slices.Contains(c.Names, n.Stage) {
			continue
		}
		r := g.stageReason(n, e, lost)
		r.Kind, r.Line = kindStages, c.Line
		all = append(all, r)
	}
	if len(all) == 0 || len(c.Names) > len(all) {
		all = append(all, Reason{Kind: kindStages, Line: c.Line, State: Closed, What: "there is no stage to judge", Next: "name stages in `after` of gate " + g.Name})
	}
	return all
}

// lost finds the needed stages that will not pass any more.
func (g Gate) lost(e Evidence) map[string]bool {
	waits := map[string]waiting{}
	for _, n := range g.Needs {
		waits[n.Stage] = waiting{n.Removed, n.After, n.Gates}
	}
	return lostStages(waits, e)
}

// stageReason is what one stage says about whether it passed.
func (g Gate) stageReason(n Need, e Evidence, lost map[string]bool) Reason {
	r := Reason{Stage: n.Stage, Evidence: string(e.Stages[n.Stage])}
	if n.Removed {
		r.State, r.What, r.Next = Refused, removedWords(n.Stage), removedFix(n.Stage)
		return r
	}
	state := e.Stages[n.Stage]
	if b, left := e.left[n.Stage]; left && state != Passed && state != Skipped {
		as := b.reason("", n.Stage, 0)
		as.Stage, as.Evidence = r.Stage, r.Evidence
		return as
	}
	switch state {
	case Failed, TimedOut:
		return g.failedReason(n, e, r)
	case Passed:
		r.State, r.What = Open, n.Stage+" passed"
	case Skipped:
		switch {
		case !branchMatches(n.When, e.Branch):
			r.State, r.What = Open, n.Stage+" was skipped: it does not run on "+e.Branch
		case pathsMatch(n.Paths, e.Changed):
			r.State, r.What = Inconclusive, n.Stage+" was skipped, and the plan does not allow that for this change"
			r.Next = "recheck"
		default:
			r.State, r.What = Open, n.Stage+" was skipped: the change touches none of its paths"
		}
	case Bypassed:
		r.State, r.What = Inconclusive, n.Stage+" was left out, and no bypass says by whom that counts now"
		r.Next, r.Who = "recheck, or have it left out again", n.bypassers()
	case Errored:
		r.State, r.What, r.Next = GateErrored, n.Stage+" could not be run; that says nothing about the change", "recheck"
	case Canceled:
		r.State, r.What, r.Next = GateErrored, n.Stage+" was cancelled; that says nothing about the change", "recheck"
	case Running:
		r.State, r.What = Waiting, n.Stage+" is running"
	case Queued:
		r.State, r.What = Waiting, n.Stage+" waits for a worker"
	case Blocked, "":
		if lost[n.Stage] {
			return g.blockedReason(n, e, r)
		}
		r.State, r.What = Waiting, n.Stage+" has not started"
	default:
		r.State, r.What, r.Next = Inconclusive, fmt.Sprintf("%s is in a state that this version does not know", n.Stage), "recheck"
	}
	return r
}

// bypassers are the roles that may leave the stage out.
func (n Need) bypassers() []string {
	if n.Bypassable == nil {
		return nil
	}
	return slices.Clone(n.Bypassable.By)
}

// failedReason is about a stage whose code did not pass.
func (g Gate) failedReason(n Need, e Evidence, r Reason) Reason {
	r.State, r.What = Refused, n.Stage+" failed"
	r.Next = "read the log of " + n.Stage + ", then push a patch set that mends it"
	if e.Stages[n.Stage] == TimedOut {
		r.What = n.Stage + " ran out of time"
		r.Next = "make it faster or raise its timeout; recheck if the machine was slow"
	}
	if e.forgives(n.Stage) {
		r.State, r.What, r.Next = Open, n.Quarantine.words(r.What), ""
		r.At = n.Quarantine.ends()
	}
	return r
}

// blockedReason is about a stage that never starts: what ended before it decides whether that
// is the code's doing or the machinery's.
func (g Gate) blockedReason(n Need, e Evidence, r Reason) Reason {
	needs := map[string]Need{}
	for _, other := range g.Needs {
		needs[other.Stage] = other
	}
	seen := map[string]bool{}
	todo := slices.Clone(n.After)
	r.State, r.What = GateErrored, n.Stage+" cannot start"
	for _, gate := range n.Gates {
		switch {
		case e.Gates[gate] == Refused:
			r.State, r.What, r.Next = Refused, fmt.Sprintf("%s cannot start: gate %s refuses", n.Stage, gate), "see what gate "+gate+" says"
			return r
		case e.stuck[gate]:
			r.What, r.Next = fmt.Sprintf("%s cannot start: gate %s has no verdict", n.Stage, gate), "recheck"
		}
	}
	for len(todo) > 0 {
		before := todo[0]
		todo = todo[1:]
		if seen[before] || e.passed(before) && !needs[before].Removed {
			continue
		}
		seen[before] = true
		switch state := e.Stages[before]; {
		case needs[before].Removed || state == Failed || state == TimedOut:
			r.State, r.What, r.Next = Refused, fmt.Sprintf("%s cannot start: %s did not pass", n.Stage, before), "mend "+before
			return r
		case state == Errored || state == Canceled:
			r.What, r.Next = fmt.Sprintf("%s cannot start: %s could not be run", n.Stage, before), "recheck"
		default:
			todo = append(todo, needs[before].After...)
		}
	}
	return r
}

func removedWords(stage string) string {
	return "the change removes stage " + stage + ", which the target branch's plan requires"
}

func removedFix(stage string) string {
	return "bring it back; to retire it, land a change that takes it out of the gates first, and remove `" + stage + "` after that"
}
