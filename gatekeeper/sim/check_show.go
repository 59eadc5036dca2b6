package sim

import (
	"fmt"
	"strings"

	"gatehouse/gatekeeper/queue"
)

func showMember(x queue.Member) string {
	if x.Change < 0 {
		kind := [...]string{"a push", "a push that breaks", "a push that mends"}
		return kind[x.PS]
	}
	return fmt.Sprintf("%d.%d", x.Change, x.PS)
}

func showMembers(list []queue.Member) string {
	words := make([]string, len(list))
	for i, x := range list {
		words[i] = showMember(x)
	}
	return "[" + strings.Join(words, " ") + "]"
}

func showTry(branch string, members, on []queue.Member) string {
	return strings.TrimSpace(branch + " " + showMembers(members) + " on " + showMembers(on))
}

func showParts(parts []queue.Part) string {
	var s strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&s, " %s from %s by candidates %v: %s", p.Branch, p.Old, p.Candidates, showMembers(p.Members))
	}
	return s.String()
}

// showAction is an action in one line.
func showAction(a queue.Action) string {
	switch a := a.(type) {
	case queue.Try:
		return fmt.Sprintf("try %s, attempt %d", showTry(a.Branch, a.Members, a.On), a.Attempt)
	case queue.Land:
		return "land" + showParts(a.Parts)
	case queue.Eject:
		return fmt.Sprintf("eject %s %s by candidate %d: %s", showMember(a.Member), a.Reason, a.Candidate, a.Words)
	case queue.Cancel:
		return fmt.Sprintf("cancel run %d of candidate %d: %s", a.Run, a.Candidate, a.Reason)
	default:
		return fmt.Sprintf("%+v", a)
	}
}

// showEvent is an event in one line.
func showEvent(e queue.Event) string {
	switch e := e.(type) {
	case queue.Enqueued:
		return "enqueued " + showEntry(e.Entry)
	case queue.Removed:
		return fmt.Sprintf("removed %d, landed %t", e.Change, e.Landed)
	case queue.BranchSet:
		b := e.Branch
		return fmt.Sprintf("branch %s at %s, seq %d, frozen %q, batch %d, whole %t", b.Name, b.Tip, b.Seq, b.Frozen, b.MaxBatch, b.Whole)
	case queue.WorkersSet:
		return fmt.Sprintf("workers %d", e.Workers)
	case queue.Tried:
		if e.Conflict != "" {
			return fmt.Sprintf("tried %s: candidate %d: %s", showTry(e.Branch, e.Members, e.On), e.ID, e.Conflict)
		}
		return fmt.Sprintf("tried %s: candidate %d run %d commit %s on %s", showTry(e.Branch, e.Members, e.On), e.ID, e.Run, e.Commit, e.Base)
	case queue.RunEnded:
		state := string(e.State)
		if e.State == queue.RunNone {
			state = "LOST"
		}
		return fmt.Sprintf("run %d of candidate %d at %s ended %s", e.Run, e.Candidate, e.Commit, state)
	case queue.LandDone:
		return fmt.Sprintf("landed %t:%s", e.Landed, showParts(e.Parts))
	case queue.Tick:
		return "tick"
	default:
		return fmt.Sprintf("%+v", e)
	}
}

func showEntry(e queue.Entry) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%d.%d for %s targets %v", e.Change, e.PS, e.Branch, e.Targets)
	if e.Barrier {
		s.WriteString(" barrier")
	}
	if len(e.Parents) > 0 {
		fmt.Fprintf(&s, " parents %v", e.Parents)
	}
	if len(e.With) > 0 {
		fmt.Fprintf(&s, " with %v", e.With)
	}
	if e.Priority != 0 {
		fmt.Fprintf(&s, " priority %d", e.Priority)
	}
	if e.Held != "" {
		s.WriteString(" held")
	}
	return s.String()
}

// showState is what a rebuilt state holds, for the story.
func showState(s queue.State) string {
	var w strings.Builder
	fmt.Fprintf(&w, "workers %d", s.Workers)
	for _, b := range s.Branches {
		fmt.Fprintf(&w, "\n          %s", showEvent(queue.BranchSet{Branch: b}))
	}
	for _, e := range s.Entries {
		fmt.Fprintf(&w, "\n          entry %s", showEntry(e))
	}
	for _, k := range s.Candidates {
		fmt.Fprintf(&w, "\n          candidate %d %s seq %d base %s run %d %s refusals %d errors %d %s", k.ID, showTry(k.Branch, k.Members, k.On), k.Seq, k.Base, k.Run.ID, k.Run.State, k.Run.Refusals, k.Run.Errors, k.Conflict)
	}
	for _, l := range s.Landed {
		fmt.Fprintf(&w, "\n          landed %d on %s as %d, targets %v barrier %t", l.Change, l.Branch, l.Seq, l.Targets, l.Barrier)
	}
	for _, l := range s.Landings {
		fmt.Fprintf(&w, "\n          landing%s", showParts(l.Parts))
	}
	return w.String()
}
