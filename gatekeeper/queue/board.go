package queue

import (
	"slices"
	"time"
)

// Board is the queue of one branch as people watch it: a fold over what happened. [Board.Apply]
// is the only way that it changes, and it looks at nothing but the event, so that the board of
// a past moment is the events up to then, and the board of now is not made in another way.
type Board struct {
	Branch string `json:"branch"`
	// Event and At are of the newest event that changed what the board shows.
	Event   int64        `json:"event"`
	At      time.Time    `json:"at"`
	Tip     string       `json:"tip,omitempty"` // as far as the events tell: what landed last
	Seq     int64        `json:"seq"`           // landings seen
	Freeze  *Freeze      `json:"freeze,omitempty"`
	Entries []BoardEntry `json:"entries"` // in the order of the queue
	// Trains are the candidates, in the order in which they were tried. Some are of no
	// interest any more, or not yet: see [Board.Running] and [Board.TrainOf].
	Trains []Train `json:"trains"`
	News   []News  `json:"news"` // who landed and who left, newest first
	// Holds are those of changes that are not in the queue, and count when they enter.
	Holds []Hold `json:"holds,omitempty"`
	// Took are the durations of the last runs that passed, in milliseconds.
	Took   []int64       `json:"took,omitempty"`
	Landed []BoardLanded `json:"landed,omitempty"` // the last landings, oldest first
}

// BoardEntry is a change on the board.
type BoardEntry struct {
	Change   int64     `json:"change"`
	PS       int       `json:"patch_set"`
	Subject  string    `json:"subject"`
	Owner    string    `json:"owner"`
	Targets  []string  `json:"targets,omitempty"`
	Barrier  bool      `json:"barrier,omitempty"`
	Parents  []int64   `json:"parents,omitempty"`
	Priority int       `json:"priority,omitempty"`
	Asked    string    `json:"priority_by,omitempty"`     // who gave the priority
	Why      string    `json:"priority_reason,omitempty"` // and what for
	Held     *Hold     `json:"held,omitempty"`
	Since    time.Time `json:"since"`
}

// Hold is a person's word that a change waits.
type Hold struct {
	Change int64  `json:"change"`
	By     string `json:"by"`
	Reason string `json:"reason"`
}

// Freeze is a person's word that nothing but hotfixes lands on the branch.
type Freeze struct {
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Until  time.Time `json:"until,omitzero"` // zero is until somebody thaws it
}

// Stop is a patch set on a train's way.
type Stop struct {
	Change int64 `json:"change"`
	PS     int   `json:"patch_set"`
}

// TrainState is how a candidate stands.
type TrainState string

// The states of a candidate.
const (
	TrainRunning  TrainState = "RUNNING"
	TrainPassed   TrainState = "PASSED"
	TrainRefused  TrainState = "REFUSED"
	TrainErrored  TrainState = "ERRORED"
	TrainCanceled TrainState = "CANCELED"
	TrainConflict TrainState = "CONFLICT"
	TrainLanded   TrainState = "LANDED"
)

// Train is a candidate: its members are tried together, as if those it stands on had landed.
type Train struct {
	ID      int64        `json:"candidate"`
	Tried   bool         `json:"tried,omitempty"` // the queue asked for it: until then it is the check of some change
	Members []Stop       `json:"members,omitempty"`
	On      []Stop       `json:"on,omitempty"`
	Seq     int64        `json:"seq"`
	Base    string       `json:"base,omitempty"`
	Commit  string       `json:"commit,omitempty"`
	State   TrainState   `json:"state"`
	Words   string       `json:"words,omitempty"` // why it stands so, when that is not plain
	Run     int64        `json:"run,omitempty"`
	Attempt int          `json:"attempt,omitempty"`
	Spare   bool         `json:"spare,omitempty"`
	Started time.Time    `json:"started,omitzero"`
	Ended   time.Time    `json:"ended,omitzero"`
	Stages  []TrainStage `json:"stages,omitempty"`
	Flakes  int          `json:"flakes,omitempty"` // tests that failed and were found to be of two minds
}

// TrainStage is one stage of a candidate's run.
type TrainStage struct {
	Name    string    `json:"stage"`
	Run     int64     `json:"stage_run,omitempty"`
	State   string    `json:"state"`
	Reused  bool      `json:"reused,omitempty"` // the result is that of an earlier run of the same inputs
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
}

// NewsKind is how a change left the board.
type NewsKind string

// The ways off the board.
const (
	NewsLanded  NewsKind = "landed"
	NewsEjected NewsKind = "ejected"
	NewsLeft    NewsKind = "left"
)

// News is that a change landed or left.
type News struct {
	Kind      NewsKind  `json:"kind"`
	At        time.Time `json:"at"`
	Change    int64     `json:"change"`
	PS        int       `json:"patch_set"`
	Subject   string    `json:"subject"`
	Owner     string    `json:"owner"`
	Reason    string    `json:"reason,omitempty"` // an [EjectReason]
	Words     string    `json:"words,omitempty"`
	Commit    string    `json:"commit,omitempty"`
	Candidate int64     `json:"candidate,omitempty"`
	Run       int64     `json:"run,omitempty"`
	Group     string    `json:"group,omitempty"` // landings with the same group landed at once
}

// BoardLanded is what later candidates are compared with.
type BoardLanded struct {
	Change  int64    `json:"change"`
	Seq     int64    `json:"seq"`
	Targets []string `json:"targets,omitempty"`
	Barrier bool     `json:"barrier,omitempty"`
}

// What a board remembers of what is over.
const (
	maxNews   = 30  // a screen of them
	maxAside  = 100 // candidates of changes that are not queued: they may enter with their check
	maxTook   = 31  // an odd number, for a median over about a day
	maxLanded = 200 // candidates do not live longer
	maxHolds  = 500
)

// boardTakes is how long a run is taken to take as long as none has passed.
const boardTakes = 5 * time.Minute

// Takes is how long a run takes: the median of those that passed last.
func (b *Board) Takes() time.Duration {
	if len(b.Took) == 0 {
		return boardTakes
	}
	sorted := slices.Sorted(slices.Values(b.Took))
	return time.Duration(sorted[len(sorted)/2]) * time.Millisecond
}

// Frozen says why nothing lands at the moment now, "" when it may.
func (b *Board) Frozen(now time.Time) string {
	f := b.Freeze
	switch {
	case f == nil, !f.Until.IsZero() && !now.Before(f.Until):
		return ""
	case f.Reason == "":
		return "frozen"
	}
	return f.Reason
}

// Entry finds a change on the board.
func (b *Board) Entry(change int64) *BoardEntry {
	i := slices.IndexFunc(b.Entries, func(e BoardEntry) bool { return e.Change == change })
	if i < 0 {
		return nil
	}
	return &b.Entries[i]
}

func (b *Board) queued(s Stop) bool {
	e := b.Entry(s.Change)
	return e != nil && e.PS == s.PS
}

// aboard says whether a queued patch set is a member of the train.
func (b *Board) aboard(t *Train) bool { return slices.ContainsFunc(t.Members, b.queued) }

// Running lists the candidates that are being tested for the queue: those of its changes, and
// of the bare tip.
func (b *Board) Running() []*Train {
	var all []*Train
	for i := range b.Trains {
		if t := &b.Trains[i]; t.bare() || t.State == TrainRunning && b.aboard(t) {
			all = append(all, t)
		}
	}
	return all
}

// TrainOf is the candidate that says most about where the change stands: one that passed,
// else one that is running, else the newest; nil when there is none.
func (b *Board) TrainOf(change int64) *Train {
	e := b.Entry(change)
	if e == nil {
		return nil
	}
	var best *Train
	for i := range b.Trains {
		t := &b.Trains[i]
		if !slices.Contains(t.Members, Stop{e.Change, e.PS}) || !b.stillTrue(t) {
			continue
		}
		if best == nil || t.rank() >= best.rank() {
			best = t
		}
	}
	return best
}

func (t *Train) rank() int {
	switch {
	case t.State == TrainPassed:
		return 3
	case t.State == TrainRunning && !t.Spare:
		return 2
	case t.State == TrainRunning:
		return 1
	}
	return 0
}

// stillTrue says whether what the train stands on is in the queue as it was, or has landed.
func (b *Board) stillTrue(t *Train) bool {
	for _, on := range t.On {
		landed := slices.ContainsFunc(b.Landed, func(l BoardLanded) bool { return l.Change == on.Change && l.Seq > t.Seq })
		if !landed && !b.queued(on) {
			return false
		}
	}
	return true
}

// State is the board as the queue's own state, for [Standings]: what the events do not tell
// (the model, who goes together) is left out.
func (b *Board) State(workers int, now time.Time) State {
	s := State{Workers: workers, Branches: []Branch{{Name: b.Branch, Tip: b.Tip, Seq: b.Seq, Frozen: b.Frozen(now)}}}
	takes := b.Takes()
	for _, e := range b.Entries {
		entry := Entry{Change: e.Change, PS: e.PS, Branch: b.Branch, EnqueuedAt: e.Since, Targets: e.Targets, Barrier: e.Barrier,
			Parents: e.Parents, Priority: e.Priority, Takes: takes, Author: e.Owner}
		if e.Held != nil {
			entry.Held = e.Held.words()
		}
		s.Entries = append(s.Entries, entry)
	}
	for i := range b.Trains {
		t := &b.Trains[i]
		if !t.Tried && len(t.Members) == 0 {
			continue
		}
		k := Candidate{ID: t.ID, Branch: b.Branch, Members: toMembers(t.Members), On: toMembers(t.On), Seq: t.Seq, Base: t.Base, Commit: t.Commit,
			Run: Run{ID: t.Run, StartedAt: t.Started, EndedAt: t.Ended}}
		switch t.State {
		case TrainRunning, TrainPassed, TrainRefused, TrainErrored:
			k.Run.State = RunState(t.State)
		case TrainConflict:
			k.Conflict = t.Words
		case TrainCanceled, TrainLanded:
		}
		s.Candidates = append(s.Candidates, k)
	}
	for _, l := range b.Landed {
		s.Landed = append(s.Landed, Landed{Branch: b.Branch, Seq: l.Seq, Change: l.Change, Targets: l.Targets, Barrier: l.Barrier})
	}
	return s
}

func toMembers(stops []Stop) []Member {
	all := make([]Member, 0, len(stops))
	for _, s := range stops {
		all = append(all, Member(s))
	}
	return all
}

func (h *Hold) words() string {
	switch {
	case h.Reason == "":
		return "held by " + h.By
	case h.By == "":
		return h.Reason
	}
	return h.By + ": " + h.Reason
}
