package gatekeeper

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
)

const (
	// maxJumps is how many windows are waited for, one behind the other, until the time is right.
	maxJumps = 50
	// maxSupposedTime is how far from now a supposed time may be: nothing in a plan reaches further.
	maxSupposedTime = 10 * 366 * 24 * time.Hour
)

var (
	supposedAccept = regexp.MustCompile(`^approve:([a-z0-9][a-z0-9._-]*):([A-Za-z0-9][A-Za-z0-9._-]*)$`)
	supposedMetric = regexp.MustCompile(`^metric:([A-Za-z0-9][A-Za-z0-9._/-]{0,99})=([+-]?[0-9][0-9.eE+-]{0,30})$`)
	supposedSoak   = regexp.MustCompile(`^soak:([A-Za-z0-9][A-Za-z0-9._-]*)=([0-9][0-9.a-z]{0,20})$`)
	supposedStatus = regexp.MustCompile(`^status:([!-~]{1,200})=(?i:(pass|fail)(?:ed|es|s)?)$`)
	supposedBypass = regexp.MustCompile(`^bypass:([A-Za-z0-9][A-Za-z0-9._-]*)$`)
	supposedTime   = regexp.MustCompile(`^time:([0-9TZ:.+-]{10,40})$`)
	saidAccepts    = regexp.MustCompile(`^([a-z0-9][a-z0-9._-]*) approves (?:it )?at (?:gate )?([A-Za-z0-9][A-Za-z0-9._-]*)$`)
	saidMetric     = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._/-]{0,99}) is ([+-]?[0-9][0-9.eE+-]{0,30})$`)
	saidSoak       = regexp.MustCompile(`^(?:it )?served in ([A-Za-z0-9][A-Za-z0-9._-]*) for ([0-9][0-9.a-z]{0,20})$`)
	saidBypass     = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]*) is left out$`)
)

// parseDelivery reads what-ifs about what gates ask for beside votes and stages: "bob approves at
// gate accepted", "p95_ms is 100", "ci/windows passes", "the time is right", "unit is left out"; for
// programs approve:bob:accepted, metric:p95_ms=100, status:ci/windows=passed,
// time:2026-12-01T08:00:00Z, bypass:unit. A soak is read, and then refused with the reason.
func parseDelivery(text string) (Supposition, bool) {
	first := func(all ...*regexp.Regexp) []string {
		for _, one := range all {
			if m := one.FindStringSubmatch(text); m != nil {
				return m
			}
		}
		return nil
	}
	if text == "the time is right" {
		return Supposition{Kind: supposeTime}, true
	}
	if m := first(supposedTime); m != nil {
		at, err := time.Parse(time.RFC3339, m[1])
		return Supposition{Kind: supposeTime, At: at.UTC()}, err == nil
	}
	if m := first(supposedAccept, saidAccepts); m != nil {
		return Supposition{Kind: supposeAccept, Account: m[1], Name: m[2]}, true
	}
	if m := first(supposedMetric, saidMetric); m != nil {
		v, err := strconv.ParseFloat(m[2], 64)
		return Supposition{Kind: supposeMetric, Name: m[1], Number: v}, err == nil && !math.IsInf(v, 0)
	}
	if m := first(supposedSoak, saidSoak); m != nil {
		return Supposition{Kind: supposeSoak, Name: m[1]}, true
	}
	if m := first(supposedStatus); m != nil {
		state := plan.Failed
		if strings.EqualFold(m[2], "pass") {
			state = plan.Passed
		}
		return Supposition{Kind: supposeStatus, Name: m[1], State: state}, true
	}
	if m := first(supposedBypass, saidBypass); m != nil {
		return Supposition{Kind: supposeBypass, Name: m[1]}, true
	}
	return Supposition{}, false
}

// deliveryWords are the supposition behind "if", as gates say it.
func (s Supposition) deliveryWords() string {
	switch s.Kind {
	case supposeAccept:
		return s.Account + " approves at gate " + s.Name
	case supposeMetric:
		return s.Name + " is " + strconv.FormatFloat(s.Number, 'g', 6, 64)
	case supposeSoak:
		return "it served in " + s.Name + " for long enough"
	case supposeStatus:
		if s.State == plan.Passed {
			return s.Name + " passes"
		}
		return s.Name + " fails"
	case supposeTime:
		if s.At.IsZero() {
			return "the time is right"
		}
		return "it is " + s.At.UTC().Format("2006-01-02 15:04 MST")
	case supposeBypass:
		return s.Name + " is left out"
	default:
		panic("gatekeeper: unknown supposition " + s.Kind)
	}
}

// meant reads words that can mean several things as the plan has them: what passes is a stage,
// or the status of another system; who approves votes, or, where no gate asks for votes and one
// for an approval, gives that.
func (f *facts) meant(s Supposition) Supposition {
	switch {
	case s.Kind == supposeStage && !slices.Contains(f.plan.StageOrder(), s.Stage) && slices.Contains(f.contexts(), s.Stage):
		return Supposition{Kind: supposeStatus, Name: s.Stage, State: s.State}
	case s.Kind == supposeVote && s.Label == "" && s.Value == 0:
		gates := f.accepting()
		votes := slices.ContainsFunc(f.plan.Landing(), func(g plan.Gate) bool {
			return slices.ContainsFunc(g.Require, func(c plan.Criterion) bool { _, is := c.(plan.Review); return is })
		})
		if !votes && len(gates) == 1 {
			return Supposition{Kind: supposeAccept, Account: s.Account, Name: gates[0]}
		}
	}
	return s
}

// accepting are the gates before the landing that ask for approvals, contexts the statuses that
// they ask for.
func (f *facts) accepting() (names []string) {
	for _, g := range f.plan.Landing() {
		if asksApproval(g) {
			names = append(names, g.Name)
		}
	}
	return names
}

func (f *facts) contexts() (names []string) {
	for _, g := range f.plan.Landing() {
		for _, c := range g.Require {
			if x, is := c.(plan.External); is {
				names = append(names, x.Context)
			}
		}
	}
	return names
}

// moreOfItsOwn is the evidence beside votes and results with lists that nobody else has.
func (f *facts) moreOfItsOwn() *plan.Evidence {
	e := plan.Evidence{}
	if f.more != nil {
		e = *f.more
	}
	e.Approvals, e.Statuses, e.Bypasses = slices.Clone(e.Approvals), slices.Clone(e.Statuses), slices.Clone(e.Bypasses)
	e.Metrics = maps.Clone(e.Metrics)
	if e.Metrics == nil {
		e.Metrics = map[string]plan.Measured{}
	}
	return &e
}

// takeDelivery takes a supposition about what gates ask for beside votes and stages as given.
func (f *facts) takeDelivery(s Supposition, voters map[string]plan.Vote) error {
	unknown := func(what, known string) error {
		return fault.New(fault.Invalid, "gatekeeper.Suppose", fmt.Sprintf("no gate before the landing asks for %s %q", what, clipped(s.Name)), known)
	}
	asks := func(is func(c plan.Criterion) bool) bool {
		return slices.ContainsFunc(f.plan.Landing(), func(g plan.Gate) bool { return slices.ContainsFunc(g.Require, is) })
	}
	switch s.Kind {
	case supposeAccept:
		if !slices.Contains(f.accepting(), s.Name) {
			return unknown("approvals at", "gates that do: "+strings.Join(append(f.accepting(), "no more"), ", "))
		}
		v := voters[s.Account]
		f.more.Approvals = append(f.more.Approvals, plan.Approval{Gate: s.Name, By: v.By, Groups: v.Groups, Is: v.Is, At: f.now, OfChange: f.asksApproval(s.Name)})
	case supposeMetric:
		if !asks(func(c plan.Criterion) bool { m, is := c.(plan.Metric); return is && m.Name == s.Name }) {
			return unknown("the metric", "gate plan explain says what gates ask for")
		}
		f.more.Metrics[s.Name] = plan.Measured{Value: s.Number, At: f.now}
	case supposeSoak:
		return fault.New(fault.Invalid, "gatekeeper.Suppose", "gates ask for a soak behind the landing alone, and a what-if ends there", "gate env show says what an environment waits for")
	case supposeStatus:
		if !slices.Contains(f.contexts(), s.Name) {
			return unknown("the status", "statuses that gates ask for: "+strings.Join(append(f.contexts(), "no more"), ", "))
		}
		f.posted(s.Name, s.State)
	case supposeTime:
		return f.comes(s.At)
	case supposeBypass:
		if _, err := bypassRule(f.plan, s.Name); err != nil {
			return err
		}
		f.more.Bypasses = append(f.more.Bypasses, plan.Bypass{Node: s.Name, By: "somebody who may", Reason: "as supposed", At: f.now})
	default:
		return fault.Newf(fault.Invalid, "gatekeeper.Suppose", "%q is nothing that can be supposed", clipped(s.Kind))
	}
	f.judgeRun()
	return nil
}

// posted lets somebody who may have said how an outside system's work ended.
func (f *facts) posted(context string, state plan.StageState) {
	for _, g := range f.plan.Landing() {
		for _, c := range g.Require {
			x, is := c.(plan.External)
			if !is || x.Context != context {
				continue
			}
			s := plan.Status{Context: context, State: state, By: "somebody", At: f.now}
			if len(x.Members) > 0 {
				s.By = x.Members[0]
				if group, of := strings.CutPrefix(s.By, groupMember); of {
					s.By, s.Groups = "somebody", []string{group}
				}
			}
			f.more.Statuses = append(f.more.Statuses, s)
		}
	}
}

// comes lets it be a certain time; zero is the first at which no window is shut.
func (f *facts) comes(at time.Time) error {
	if !at.IsZero() {
		if d := at.Sub(f.now); d > maxSupposedTime || d < -maxSupposedTime {
			return fault.New(fault.Invalid, "gatekeeper.Suppose", "this time is too far away", "suppose one within ten years")
		}
		f.now = at
		f.judgeRun()
		return nil
	}
	for range maxJumps {
		next := time.Time{}
		for _, v := range f.verdicts() {
			for _, r := range v.Reasons {
				if r.Kind == kindWindow && r.State == plan.Waiting && (next.IsZero() || r.At.Before(next)) {
					next = r.At
				}
			}
		}
		if next.IsZero() {
			break
		}
		f.now = next
	}
	f.judgeRun()
	return nil
}
