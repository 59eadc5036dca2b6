package queue

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// BoardEvent is one thing that happened, as the story keeps it.
type BoardEvent struct {
	ID     int64
	At     time.Time
	Kind   string
	Change int64 // 0 when it is about none
	Data   map[string]string
}

// boardKinds are the kinds of event that a board is made of, and how it takes each in. The
// functions report whether what the board shows may have changed.
var boardKinds = map[string]func(*Board, BoardEvent) bool{
	"queue.entered":      (*Board).entered,
	"queue.left":         (*Board).left,
	"queue.ejected":      (*Board).ejected,
	"queue.landed":       (*Board).landed,
	"queue.held":         (*Board).held,
	"queue.released":     (*Board).released,
	"queue.priority":     (*Board).priority,
	"queue.frozen":       (*Board).frozen,
	"queue.thawed":       (*Board).thawed,
	"candidate.tried":    (*Board).tried,
	"candidate.conflict": (*Board).conflicted,
	"run.started":        (*Board).runStarted,
	"run.ended":          (*Board).runEnded,
	"run.canceled":       (*Board).runCanceled,
	"stage.started":      (*Board).stageStarted,
	"stage.ended":        (*Board).stageEnded,
	"flake":              (*Board).flake,
}

// BoardKinds lists the kinds of event that a board is made of.
func BoardKinds() []string {
	kinds := make([]string, 0, len(boardKinds))
	for kind := range boardKinds {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}

// Apply takes in the next event of the repository. Events of other branches and of other
// kinds change nothing. What an event lacks is taken as not known: old events say less.
func (b *Board) Apply(e BoardEvent) {
	take, known := boardKinds[e.Kind]
	if !known || !take(b, e) {
		return
	}
	b.Event, b.At = e.ID, e.At
	b.forget()
}

// mine says whether the event names the board's branch.
func (b *Board) mine(e BoardEvent) bool { return e.Data["branch"] == b.Branch }

func (b *Board) entered(e BoardEvent) bool {
	if !b.mine(e) {
		return false
	}
	entry := BoardEntry{Change: e.Change, PS: int(e.number("ps")), Subject: e.Data["subject"], Owner: e.Data["owner"],
		Targets: commaList(e.Data["targets"]), Barrier: isYes(e.Data["barrier"]), Priority: int(e.number("priority")), Since: e.At}
	for _, p := range commaList(e.Data["parents"]) {
		if n, err := strconv.ParseInt(p, 10, 64); err == nil {
			entry.Parents = append(entry.Parents, n)
		}
	}
	if i := slices.IndexFunc(b.Holds, func(h Hold) bool { return h.Change == e.Change }); i >= 0 {
		hold := b.Holds[i]
		entry.Held = &hold
		b.Holds = slices.Delete(b.Holds, i, i+1)
	}
	if have := b.Entry(e.Change); have != nil {
		if have.PS == entry.PS {
			entry.Since = have.Since
		}
		if entry.Held == nil {
			entry.Held = have.Held
		}
		*have = entry
	} else {
		b.Entries = append(b.Entries, entry)
	}
	b.News = slices.DeleteFunc(b.News, func(n News) bool { return n.Change == e.Change && n.Kind == NewsLeft })
	b.sort()
	return true
}

// sort puts the entries into the order that the queue itself gives them.
func (b *Board) sort() {
	s := State{Branches: []Branch{{}}}
	for _, e := range b.Entries {
		s.Entries = append(s.Entries, Entry{Change: e.Change, EnqueuedAt: e.Since, Parents: e.Parents, Priority: e.Priority})
	}
	order := make(map[int64]int, len(b.Entries))
	for i, e := range view(&s, b.At).order {
		order[e.Change] = i
	}
	slices.SortFunc(b.Entries, func(x, y BoardEntry) int { return order[x.Change] - order[y.Change] })
}

// drop takes a change off the board and says what it was.
func (b *Board) drop(change int64) (BoardEntry, bool) {
	i := slices.IndexFunc(b.Entries, func(e BoardEntry) bool { return e.Change == change })
	if i < 0 {
		return BoardEntry{}, false
	}
	e := b.Entries[i]
	b.Entries = slices.Delete(b.Entries, i, i+1)
	return e, true
}

func (b *Board) tell(n News, e BoardEntry) {
	n.Change, n.PS, n.Subject, n.Owner = e.Change, e.PS, e.Subject, e.Owner
	b.News = slices.Insert(b.News, 0, n)
	b.News = b.News[:min(len(b.News), maxNews)]
}

func (b *Board) left(e BoardEvent) bool {
	entry, found := b.drop(e.Change)
	if !found {
		return false
	}
	if entry.Held != nil { // it is held still when it comes back
		b.hold(*entry.Held)
	}
	b.tell(News{Kind: NewsLeft, At: e.At, Words: e.Data["reason"]}, entry)
	return true
}

func (b *Board) ejected(e BoardEvent) bool {
	entry, found := b.drop(e.Change)
	if !found {
		return false
	}
	if entry.Held != nil {
		b.hold(*entry.Held)
	}
	b.tell(News{Kind: NewsEjected, At: e.At, Reason: e.Data["reason"], Words: e.Data["words"], Candidate: e.number("candidate"), Run: e.number("run")}, entry)
	return true
}

func (b *Board) landed(e BoardEvent) bool {
	entry, found := b.drop(e.Change)
	if !found {
		return false
	}
	b.Seq++
	b.Landed = append(b.Landed, BoardLanded{Change: entry.Change, Seq: b.Seq, Targets: entry.Targets, Barrier: entry.Barrier})
	b.Landed = slices.Clone(b.Landed[max(0, len(b.Landed)-maxLanded):])
	for i := range b.Entries {
		b.Entries[i].Parents = slices.DeleteFunc(b.Entries[i].Parents, func(p int64) bool { return p == entry.Change })
	}
	if commit := e.Data["commit"]; commit != "" {
		b.Tip = commit
	}
	b.tell(News{Kind: NewsLanded, At: e.At, Commit: e.Data["commit"], Candidate: e.number("candidate"), Group: e.Data["group"]}, entry)
	if t := b.train(e.number("candidate")); t != nil && !slices.ContainsFunc(t.Members, b.queued) {
		t.State = TrainLanded
	}
	return true
}

func (b *Board) hold(h Hold) {
	b.Holds = slices.DeleteFunc(b.Holds, func(have Hold) bool { return have.Change == h.Change })
	b.Holds = append(b.Holds, h)
	b.Holds = slices.Clone(b.Holds[max(0, len(b.Holds)-maxHolds):])
}

func (b *Board) held(e BoardEvent) bool {
	h := Hold{Change: e.Change, By: e.Data["by"], Reason: e.Data["reason"]}
	entry := b.Entry(e.Change)
	if entry == nil {
		b.hold(h)
		return false
	}
	entry.Held = &h
	return true
}

func (b *Board) released(e BoardEvent) bool {
	b.Holds = slices.DeleteFunc(b.Holds, func(h Hold) bool { return h.Change == e.Change })
	entry := b.Entry(e.Change)
	if entry == nil {
		return false
	}
	entry.Held = nil
	return true
}

func (b *Board) priority(e BoardEvent) bool {
	entry := b.Entry(e.Change)
	if entry == nil {
		return false
	}
	entry.Priority, entry.Asked, entry.Why = int(e.number("priority")), e.Data["by"], e.Data["reason"]
	b.sort()
	return true
}

func (b *Board) frozen(e BoardEvent) bool {
	if !b.mine(e) {
		return false
	}
	b.Freeze = &Freeze{Reason: e.Data["reason"], By: e.Data["by"], At: e.At, Until: e.moment("until")}
	return true
}

func (b *Board) thawed(e BoardEvent) bool {
	if !b.mine(e) {
		return false
	}
	b.Freeze = nil
	return true
}

// forget drops what is over and more than a board remembers: the trains of nobody who is
// queued, the oldest first.
func (b *Board) forget() {
	queued := make(map[Stop]bool, len(b.Entries))
	for _, e := range b.Entries {
		queued[Stop{e.Change, e.PS}] = true
	}
	aside := 0
	keep := make([]bool, len(b.Trains))
	for i := len(b.Trains) - 1; i >= 0; i-- {
		t := &b.Trains[i]
		keep[i] = t.State != TrainLanded && (slices.ContainsFunc(t.Members, func(s Stop) bool { return queued[s] }) || t.bare())
		if !keep[i] && t.State != TrainLanded {
			aside++
			keep[i] = aside <= maxAside
		}
	}
	i := -1
	b.Trains = slices.DeleteFunc(b.Trains, func(Train) bool { i++; return !keep[i] })
}

// bare says that the train is a run of the branch's tip, and under way.
func (t *Train) bare() bool { return t.Tried && len(t.Members) == 0 && t.State == TrainRunning }

func (e BoardEvent) number(key string) int64 {
	n, err := strconv.ParseInt(e.Data[key], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// moment reads a time: RFC 3339, or microseconds since the epoch as rows hold them.
func (e BoardEvent) moment(key string) time.Time {
	if at, err := time.Parse(time.RFC3339, e.Data[key]); err == nil {
		return at.UTC()
	}
	if n := e.number(key); n > 0 {
		return time.UnixMicro(n).UTC()
	}
	return time.Time{}
}

// parseStops reads "12.1 14.2".
func parseStops(text string) []Stop {
	var all []Stop
	for _, word := range strings.Fields(text) {
		change, ps, _ := strings.Cut(word, ".")
		c, err := strconv.ParseInt(change, 10, 64)
		if err != nil {
			continue
		}
		p, err := strconv.Atoi(ps)
		if err != nil {
			continue
		}
		all = append(all, Stop{c, p})
	}
	return all
}

// commaList reads "ui,api".
func commaList(text string) []string {
	var all []string
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word != "" {
			all = append(all, word)
		}
	}
	return all
}

func isYes(text string) bool { return text != "" && text != "0" && text != "false" }
