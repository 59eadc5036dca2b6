package gatekeeper

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
	"gatehouse/review"
)

// maxSuppositions is how many things one what-if supposes: beyond that it answers nothing.
const maxSuppositions = 20

// The kinds of suppositions.
const (
	supposeVote   = "vote"
	supposeStage  = "stage"
	supposeSubmit = "submit"
	supposeReady  = "ready"
	supposePublic = "public"
	supposeLanded = "landed"
	supposeAccept = "approve"
	supposeMetric = "metric"
	supposeSoak   = "soak"
	supposeStatus = "status"
	supposeTime   = "time"
	supposeBypass = "bypass"
)

// Supposition is one thing that a what-if takes as given.
type Supposition struct {
	Kind    string          `json:"kind" enum:"vote,stage,submit,ready,public,landed,approve,metric,soak,status,time,bypass"`
	Account string          `json:"account,omitempty"` // who votes
	Label   string          `json:"label,omitempty"`   // on what; "" is the label that the gates ask for
	Value   int             `json:"value,omitempty"`   // 0 is what approves
	Stage   string          `json:"stage,omitempty"`
	State   plan.StageState `json:"state,omitempty"` // PASSED or FAILED
	Change  int64           `json:"change,omitempty"`
	// Name is of the gate that is approved, the metric, the environment, the status, or of what
	// is left out; Number what was measured.
	Name   string    `json:"name,omitempty"`
	Number float64   `json:"number,omitempty"`
	At     time.Time `json:"at,omitzero"` // zero is when the time is right
}

var (
	supposedVote   = regexp.MustCompile(`^vote:([a-z0-9][a-z0-9._-]*)(?::([A-Za-z0-9-]+))?=([+-]?\d{1,3})$`)
	supposedStage  = regexp.MustCompile(`^stage:([A-Za-z0-9][A-Za-z0-9._-]*)=(?i:(pass|fail)(?:ed|es|s)?)$`)
	supposedLanded = regexp.MustCompile(`^change:(\d{1,18})=landed$`)
	saidVote       = regexp.MustCompile(`^([a-z0-9][a-z0-9._-]*) votes (?:([A-Za-z][A-Za-z0-9-]*?) ?)?([+-]\d{1,3})$`)
	saidApproves   = regexp.MustCompile(`^([a-z0-9][a-z0-9._-]*) approves$`)
	saidStage      = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._/:-]{0,199}) (passes|fails)$`)
	saidLands      = regexp.MustCompile(`^(?:change )?(\d{1,18}) lands$`)
)

// ParseSuppositions reads what-ifs as people write them ("alice approves and integration
// passes", "change 11 lands", "it is submitted") or as programs do (vote:alice=+2,
// vote:bob:Verified=-1, stage:integration=passed, change:11=landed, submit, ready, public,
// and those of [parseDelivery]).
func ParseSuppositions(texts []string) ([]Supposition, error) {
	var all []Supposition
	for _, text := range texts {
		for part := range strings.SplitSeq(strings.ReplaceAll(text, ",", " and "), " and ") {
			if part = strings.Join(strings.Fields(part), " "); part == "" {
				continue
			}
			if len(all) == maxSuppositions {
				return nil, fault.Newf(fault.TooLarge, "gatekeeper.Suppose", "more than %d things are supposed at once", maxSuppositions)
			}
			s, ok := parseSupposition(part)
			if !ok {
				return nil, fault.New(fault.Invalid, "gatekeeper.Suppose", fmt.Sprintf("%q is nothing that can be supposed", clipped(part)),
					"write `alice approves`, `bob votes Code-Review-1`, `unit passes`, `unit fails`, `bob approves at gate NAME`, `p95_ms is 100`, `the time is right`, `unit is left out`, `change 11 lands`, submit, ready or public")
			}
			all = append(all, s)
		}
	}
	return all, nil
}

func clipped(text string) string {
	const most = 60
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return strings.ToValidUTF8(text, "�")
}

func parseSupposition(text string) (Supposition, bool) {
	number := func(text string) int { n, _ := strconv.Atoi(text); return n } // the patterns let few digits through alone
	long := func(text string) int64 { n, _ := strconv.ParseInt(text, 10, 64); return n }
	ended := func(word string) plan.StageState {
		if strings.HasPrefix(strings.ToLower(word), "pass") {
			return plan.Passed
		}
		return plan.Failed
	}
	switch text {
	case "submit", "it is submitted", "somebody submits", "somebody asks to land it":
		return Supposition{Kind: supposeSubmit}, true
	case "ready", "it is ready", "it is marked ready":
		return Supposition{Kind: supposeReady}, true
	case "public", "it is public", "it is shown":
		return Supposition{Kind: supposePublic}, true
	}
	if m := supposedVote.FindStringSubmatch(text); m != nil {
		return Supposition{Kind: supposeVote, Account: m[1], Label: m[2], Value: number(m[3])}, number(m[3]) != 0
	}
	if m := supposedStage.FindStringSubmatch(text); m != nil {
		return Supposition{Kind: supposeStage, Stage: m[1], State: ended(m[2])}, true
	}
	if m := supposedLanded.FindStringSubmatch(text); m != nil {
		return Supposition{Kind: supposeLanded, Change: long(m[1])}, true
	}
	if m := saidLands.FindStringSubmatch(text); m != nil {
		return Supposition{Kind: supposeLanded, Change: long(m[1])}, true
	}
	if m := saidApproves.FindStringSubmatch(text); m != nil {
		return Supposition{Kind: supposeVote, Account: m[1]}, true
	}
	if m := saidVote.FindStringSubmatch(text); m != nil {
		return Supposition{Kind: supposeVote, Account: m[1], Label: m[2], Value: number(m[3])}, number(m[3]) != 0
	}
	if m := saidStage.FindStringSubmatch(text); m != nil {
		return Supposition{Kind: supposeStage, Stage: m[1], State: ended(m[2])}, true
	}
	return parseDelivery(text)
}

// words are the supposition behind "if".
func (s Supposition) words() string {
	switch s.Kind {
	case supposeVote:
		return fmt.Sprintf("%s votes %s%+d", s.Account, s.Label, s.Value)
	case supposeStage:
		if s.State == plan.Passed {
			return s.Stage + " passes"
		}
		return s.Stage + " fails"
	case supposeSubmit:
		return "somebody asks to land it"
	case supposeReady:
		return "it is marked ready"
	case supposePublic:
		return "it is shown to everybody"
	case supposeLanded:
		return fmt.Sprintf("change %d lands", s.Change)
	default:
		return s.deliveryWords()
	}
}

// complete fills in what the plan says: the label and the value that approve.
func (f *facts) complete(s Supposition) (Supposition, error) {
	if s = f.meant(s); s.Kind != supposeVote {
		return s, nil
	}
	if s.Label == "" {
		s.Label = f.plan.Labels[0].Name
		for _, g := range f.plan.Landing() {
			for _, c := range g.Require {
				if r, ok := c.(plan.Review); ok {
					s.Label = r.Label
				}
			}
		}
	}
	i := slices.IndexFunc(f.plan.Labels, func(l plan.Label) bool { return strings.EqualFold(l.Name, s.Label) })
	if i < 0 {
		return s, fault.Newf(fault.Invalid, "gatekeeper.Suppose", "there is no label %q on this branch", clipped(s.Label))
	}
	label := f.plan.Labels[i]
	if s.Label = label.Name; s.Value == 0 {
		s.Value = label.Max
	}
	if s.Value < label.Min || s.Value > label.Max {
		return s, fault.Newf(fault.Invalid, "gatekeeper.Suppose", "%s goes from %+d to %+d", label.Name, label.Min, label.Max)
	}
	return s, nil
}

// supposing are the facts as they would be: a pure function of them and what is supposed.
// voters are who votes, with what each is to the change.
func (f *facts) supposing(all []Supposition, voters map[string]plan.Vote) (*facts, error) {
	to := *f
	to.ballots, to.parents, to.depends.On, to.more = slices.Clone(f.ballots), slices.Clone(f.parents), slices.Clone(f.depends.On), f.moreOfItsOwn()
	for _, s := range all {
		if err := to.take(s, voters); err != nil {
			return nil, err
		}
	}
	return &to, nil
}

// take takes one supposition as given. f is a copy whose lists are its own.
func (f *facts) take(s Supposition, voters map[string]plan.Vote) error {
	const op = "gatekeeper.Suppose"
	switch s.Kind {
	case supposeVote:
		v := voters[s.Account]
		v.Label, v.Value = s.Label, s.Value
		f.ballots = slices.DeleteFunc(f.ballots, func(b plan.Vote) bool { return b.By == v.By && b.Label == v.Label })
		f.ballots = append(f.ballots, v)
	case supposeStage:
		if !slices.Contains(f.plan.StageOrder(), s.Stage) {
			return fault.New(fault.Invalid, op, fmt.Sprintf("the plan has no stage %q", clipped(s.Stage)), "its stages: "+strings.Join(f.plan.StageOrder(), ", "))
		}
		f.ranStage(s.Stage, s.State)
	case supposeSubmit:
		if f.unable = false; f.change.SubmitBy == 0 {
			f.change.SubmitBy = f.change.Owner
		}
	case supposeReady:
		f.change.WIP = false
	case supposePublic:
		f.change.Private = false
	case supposeLanded:
		found := false
		for i := range f.parents {
			if f.parents[i].Change == s.Change {
				f.parents[i].Status, found = review.Landed, true
			}
		}
		for i := range f.depends.On {
			if f.depends.On[i].ID == s.Change {
				f.depends.On[i].Status, found = review.Landed, true
			}
		}
		if !found {
			return fault.Newf(fault.Invalid, op, "change %d does not wait for change %d", f.change.ID, s.Change)
		}
	default:
		return f.takeDelivery(s, voters)
	}
	return nil
}
