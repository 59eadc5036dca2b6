package plan

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// evaluateApprove counts each person's newest approval at this gate that has not run out.
func evaluateApprove(g Gate, c Approve, e Evidence, now time.Time) Reason {
	r := Reason{Kind: "approve", Line: c.Line}
	newest := g.newestApprovals(e.Approvals)
	var counted, discounted []string
	var ends []time.Time
	for by, a := range newest {
		as := Review{By: c.By, Not: c.Not, Members: c.Members}
		vote := Vote{By: by, Groups: a.Groups, Is: a.Is}
		end := a.At.Add(c.Expires)
		switch {
		case related(as, vote) != "":
			discounted = append(discounted, by+" is the "+related(as, vote))
		case !inRoles(as, vote):
			discounted = append(discounted, by+" is not in "+strings.Join(c.By, ", "))
		case c.Expires > 0 && !now.Before(end):
			discounted = append(discounted, by+"'s approval ran out")
		default:
			counted, ends = append(counted, by), append(ends, end)
		}
	}
	slices.Sort(counted)
	slices.Sort(discounted)
	if len(counted) > 0 {
		r.Evidence = "approved by " + strings.Join(counted, ", ")
	}
	if len(discounted) > 0 {
		r.Evidence = strings.TrimPrefix(r.Evidence+"; does not count: "+strings.Join(discounted, ", "), "; ")
	}
	need := "approval" + from(Review{By: c.By, Not: c.Not})
	if c.Min > 1 {
		need = strconv.Itoa(c.Min) + " approvals" + from(Review{By: c.By, Not: c.Not})
	}
	if len(counted) < c.Min {
		r.State, r.Who = Closed, c.able(counted, e.Parts)
		r.What = fmt.Sprintf("needs %s, has %d", need, len(counted))
		r.Next = "approve it at gate " + g.Name
		return r
	}
	r.State, r.What = Open, "approved by "+strings.Join(counted, ", ")
	if c.Expires > 0 { // it holds while enough of them do
		slices.SortFunc(ends, func(a, b time.Time) int { return b.Compare(a) })
		r.At = ends[c.Min-1]
	}
	return r
}

// able names who could approve and has not: an approval of somebody who has a part in the change
// would not count where the plan says so.
func (c Approve) able(counted []string, parts map[string][]string) []string {
	if len(c.By) == 0 {
		if len(c.Not) == 0 {
			return []string{anyone}
		}
		return []string{anyone + ", but the " + strings.Join(c.Not, " and the ")}
	}
	var names []string
	for _, m := range c.Members {
		if !slices.Contains(counted, m) && related(Review{Not: c.Not}, Vote{Is: parts[m]}) == "" {
			names = append(names, m)
		}
	}
	if len(names) == 0 {
		return []string{"nobody in " + strings.Join(c.By, ", ") + " who has not approved or taken part"}
	}
	return names
}

// newestApprovals is the last approval of each person at the gate, of what the gate is about.
func (g Gate) newestApprovals(all []Approval) map[string]Approval {
	newest := map[string]Approval{}
	for _, a := range all {
		if a.Gate != g.Name || a.OfChange != (g.Subject == SubjectChange) {
			continue
		}
		if was, twice := newest[a.By]; !twice || a.At.After(was.At) {
			newest[a.By] = a
		}
	}
	return newest
}

// evaluateMetric compares a number that a stage before the gate measured.
func evaluateMetric(g Gate, c Metric, e Evidence) Reason {
	r := Reason{Kind: kindMetric, Line: c.Line}
	lost := g.lost(e)
	measured, found := e.Metrics[c.Name]
	found = found && (measured.Stage == "" || slices.ContainsFunc(g.Needs, func(n Need) bool { return n.Stage == measured.Stage }))
	left := ""
	for _, n := range g.Needs {
		if !n.Metrics && n.Stage != measured.Stage {
			continue
		}
		stage := g.stageReason(n, e, lost)
		if stage.State == GateBypassed {
			left = stage.What
		}
		if !stage.State.Passes() && (!found || n.Stage == measured.Stage) {
			return Reason{Kind: kindMetric, Line: c.Line, State: stage.State, Stage: n.Stage,
				What: "no " + c.Name + ": " + stage.What, Evidence: stage.Evidence, Who: stage.Who, Next: stage.Next, At: stage.At}
		}
	}
	switch {
	case found && !math.IsNaN(measured.Value) && !math.IsInf(measured.Value, 0):
		r.Stage = measured.Stage
		return judgeMetric(r, c, measured.Value, e.Baselines)
	case found:
		r.State, r.What, r.Next = Inconclusive, c.Name+" is no number", "see what "+measured.Stage+" wrote"
	case left != "":
		r.State, r.What = GateBypassed, c.Name+" was not measured: "+left
	default:
		r.State, r.What = Inconclusive, "nothing measured "+c.Name
		r.Next = "have a stage before the gate write it to the file that `results: {metrics: …}` names"
	}
	return r
}

// judgeMetric compares a value with the limits, and with what runs where it is compared with.
func judgeMetric(r Reason, c Metric, value float64, baselines map[string]map[string]float64) Reason {
	r.Evidence = c.Name + " " + figure(value)
	r.Next = "mend it and push a patch set, or recheck if the machine was busy"
	switch {
	case c.Max != nil && value > *c.Max:
		r.State, r.What = Refused, fmt.Sprintf("%s is %s, at most %s is allowed", c.Name, figure(value), figure(*c.Max))
		return r
	case c.Min != nil && value < *c.Min:
		r.State, r.What = Refused, fmt.Sprintf("%s is %s, at least %s is asked for", c.Name, figure(value), figure(*c.Min))
		return r
	}
	r.State, r.What = Open, c.Name+" is "+figure(value)
	if c.Against == "" {
		r.Next = ""
		return r
	}
	base, known := baselines[c.Against][c.Name]
	if !known || math.IsNaN(base) || math.IsInf(base, 0) {
		r.What += fmt.Sprintf("; nothing runs in %s to compare it with", c.Against)
		r.Next = ""
		return r
	}
	slack := math.Abs(base) * c.Worse
	worse, limit := value < base-slack, base-slack
	if c.Lower {
		worse, limit = value > base+slack, base+slack
	}
	r.What += fmt.Sprintf(", in %s it is %s", c.Against, figure(base))
	if worse {
		r.State = Refused
		r.What += fmt.Sprintf(": worse than %s, which is %s%% worse", figure(limit), figure(c.Worse*100))
		return r
	}
	r.Next = ""
	return r
}

// figure writes a number as short as it goes without losing more than a reader minds.
func figure(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

// anyPromoter stands in Reason.Who for everybody who may bring something into an environment.
const anyPromoter = "anyone who may promote"

// evaluateSoak asks how long the artifact has served without a break.
func evaluateSoak(g Gate, c Soak, e Evidence, now time.Time) Reason {
	r := Reason{Kind: "soak", Line: c.Line}
	s, found := e.Soaks[c.Environment]
	served := s.For
	if s.Ready && now.Sub(s.Since) > served {
		served = now.Sub(s.Since)
	}
	switch {
	case found && served >= c.Min:
		r.State, r.What = Open, fmt.Sprintf("served in %s for %s", c.Environment, shortDuration(c.Min))
		return r
	case found && s.Ready:
		r.State, r.At = Waiting, s.Since.Add(c.Min)
		r.What = fmt.Sprintf("has served in %s for %s of %s", c.Environment, shortDuration(served.Truncate(time.Second)), shortDuration(c.Min))
		r.Next = "wait"
		return r
	}
	lost := g.lost(e)
	for _, n := range g.Needs {
		if n.Environment != c.Environment {
			continue
		}
		stage := g.stageReason(n, e, lost)
		if !stage.State.Passes() {
			return Reason{Kind: "soak", Line: c.Line, State: stage.State, Stage: n.Stage, Who: stage.Who,
				What: "not in " + c.Environment + ": " + stage.What, Evidence: stage.Evidence, Next: stage.Next, At: stage.At}
		}
	}
	r.State, r.What, r.Who = Closed, "does not serve in "+c.Environment, []string{anyPromoter}
	if found {
		r.Evidence = fmt.Sprintf("served there for %s of %s", shortDuration(s.For.Truncate(time.Second)), shortDuration(c.Min))
	}
	r.Next = "bring it into " + c.Environment + " again"
	return r
}

// evaluateEvidence asks for the word of other gates.
func evaluateEvidence(c GateEvidence, e Evidence, now time.Time) []Reason {
	var all []Reason
	for _, gate := range c.Gates {
		state, known := e.Gates[gate]
		r := Reason{Kind: "evidence", Line: c.Line, Evidence: string(state)}
		opened := e.Opened[gate]
		see := "see what gate " + gate + " says"
		switch {
		case !known:
			r.State, r.What, r.Next = Closed, "nothing is known of gate "+gate, see
		case state == Refused:
			r.State, r.What, r.Next = Refused, "gate "+gate+" refuses", see
		case state == GateBypassed && c.RefuseBypassed:
			r.State, r.What, r.Next = Closed, "gate "+gate+" was left out, and that is not enough here", "have it open"
		case state == Waiting:
			r.State, r.What = Waiting, "gate "+gate+" waits"
		case state == GateErrored || state == Inconclusive:
			r.State, r.What, r.Next = state, "gate "+gate+" has no verdict", see
		case !state.Passes():
			r.State, r.What, r.Next = Closed, "gate "+gate+" is not open", see
		case c.Fresh == 0:
			r.State, r.What = Open, "gate "+gate+" is "+string(state)
		case opened.IsZero():
			r.State, r.What, r.Next = Inconclusive, "since when gate "+gate+" is open is not known", "recheck"
		case !now.Before(opened.Add(c.Fresh)):
			r.State, r.Next = Closed, "recheck, so that gate "+gate+" opens anew"
			r.What = fmt.Sprintf("gate %s opened more than %s ago", gate, shortDuration(c.Fresh))
		default:
			r.State, r.What, r.At = Open, "gate "+gate+" is "+string(state), opened.Add(c.Fresh)
		}
		all = append(all, r)
	}
	return all
}

// opensFormat is how people read when a window opens.
const opensFormat = "2006-01-02 15:04 MST"

// WindowWords begins what is said of a window that is shut, and nothing else that holds a change.
const WindowWords = "waits for window "

// evaluateWindow asks the clock.
func evaluateWindow(g Gate, c Window, now time.Time) Reason {
	r := Reason{Kind: kindWindow, Line: c.Line}
	why, until := frozenBy(c.Deny, now)
	switch {
	case why == "":
		r.State, r.What = Open, "the time is right"
		r.At, _ = nextFreeze(c.Deny, now)
	case until.IsZero():
		r.State, r.Next = Closed, "change the window in the plan"
		r.What = fmt.Sprintf(WindowWords+"%s, which does not open within a year (%s)", g.Name, why)
	default:
		r.State, r.Next, r.At = Waiting, "wait", until
		r.What = fmt.Sprintf(WindowWords+"%s, opens %s (%s)", g.Name, until.UTC().Format(opensFormat), why)
	}
	return r
}

// evaluateExternal looks for the newest status that somebody who may has posted about the gate's
// subject, or about the commit that was tested.
func evaluateExternal(g Gate, c External, e Evidence) Reason {
	r := Reason{Kind: "external", Line: c.Line, Who: approvers(Review{By: c.By, Members: c.Members})}
	if len(c.By) == 0 {
		r.Who = []string{"whoever posts " + c.Context}
	}
	var newest *Status
	for i, s := range e.Statuses {
		if s.Context != c.Context || s.OfChange && g.Subject == SubjectArtifact || !inRoles(Review{By: c.By, Members: c.Members}, Vote{By: s.By, Groups: s.Groups}) {
			continue
		}
		if newest == nil || !s.At.Before(newest.At) {
			newest = &e.Statuses[i]
		}
	}
	if newest == nil {
		r.State, r.What, r.Next = Waiting, "waits for the status "+c.Context, "post it for the commit of the patch set"
		if g.Subject == SubjectArtifact {
			r.Next = "post it for the digest of the artifact"
		}
		return r
	}
	r.Evidence = strings.TrimSpace(newest.By + " " + newest.URL)
	switch newest.State {
	case Passed:
		r.State, r.What, r.Who = Open, c.Context+" passed", nil
	case Failed, TimedOut:
		r.State, r.What, r.Next = Refused, c.Context+" failed", "see what "+c.Context+" says, then push a patch set that mends it"
	case Errored, Canceled:
		r.State, r.What, r.Next = GateErrored, c.Context+" could not be run", "run it again there"
	case Running, Queued, Blocked, "":
		r.State, r.What = Waiting, c.Context+" is running"
	default:
		r.State, r.What, r.Next = Inconclusive, c.Context+" is in a state that this version does not know", "post it again"
	}
	return r
}
