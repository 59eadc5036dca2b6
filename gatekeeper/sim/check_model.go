package sim

import (
	"slices"
	"strconv"
	"time"

	"gatehouse/gatekeeper/queue"
)

// model is a small world around one queue: what its rows say, what is on its way to the queue
// and back, and the truth about the changes, which only the model knows.
type model struct {
	seed    uint64
	config  modelConfig
	now     time.Time
	latest  time.Time // the latest that the clock has shown
	workers int

	root       *modelCommit
	commits    map[string]*modelCommit
	branches   []*modelBranch
	changes    []*modelChange // by number, from 1
	candidates []*modelCandidate
	landed     []queue.Landed
	runs       int64
	asked      int64 // the highest number of what the queue asked for before it last crashed

	pending []queue.Action // asked for and not carried out
	inbox   []message      // happened and not told
	answers []queue.Event  // that have been told, to be told again
	lost    bool           // something was never told: only the rows know
	pushes  int64          // by administrators
}

// modelConfig is what kind of world a history plays in.
type modelConfig struct {
	branches, workers, targets int
	bad, clash, textual, stale float64
	flake, errored, gone       float64 // how a run that passes ends instead
	wide                       float64 // touches everything
	whole                      bool
	batch                      int
}

type modelBranch struct {
	name   string
	tip    *modelCommit
	seq    int64
	green  time.Time // when a run on it last passed
	proven bool      // the queue made its tip
	frozen string
	batch  int
	whole  bool
}

// modelChange is a row of a change: its newest patch set, and how it asks to land.
type modelChange struct {
	number   int64
	branch   *modelBranch
	ps       int
	status   fateOf
	at       time.Time
	core     []string // what it really touches
	wide     bool     // it really touches everything
	extra    []string // what the plan says that it touches besides
	barrier  bool     // the plan says that it touches everything
	stack    int64    // the change that it was written on
	parents  []int64
	group    int64
	with     []int64
	priority int
	held     string
	takes    time.Duration
	mends    int64 // the item that breaks the branch, which it mends
}

type fateOf int

const (
	outside fateOf = iota
	queued
	landedNow
)

type modelCandidate struct {
	id       int64
	branch   *modelBranch
	members  []queue.Member
	on       []queue.Member
	seq      int64
	base     *modelCommit
	commit   *modelCommit // nil when it conflicts
	conflict string
	whole    bool
	proven   bool
	runs     []*modelRun
}

type modelRun struct {
	id      int64
	of      *modelCandidate
	state   queue.RunState // RunNone when it was cancelled or lost
	flaked  bool
	started time.Time
	ended   time.Time
	told    bool // the queue has taken the verdict in
}

// message is something that the queue will be told. Those of one stream arrive in their order.
type message struct {
	stream int64
	event  queue.Event // nil to tell of the entry as its row is by then
	change int64
}

// The streams besides those of changes (their numbers) and of candidates (negative).
const (
	streamBranches = 0
	streamWorkers  = 1 << 40
)

func newModel(seed uint64, c modelConfig) *model {
	m := &model{seed: seed, config: c, now: epoch, latest: epoch, workers: c.workers, commits: map[string]*modelCommit{}}
	m.root = m.commit(nil, queue.Member{})
	for i := range c.branches {
		b := &modelBranch{name: "1/b" + strconv.Itoa(i), seq: 7, batch: c.batch, whole: c.whole}
		b.tip = m.with(m.root, queue.Member{Change: -1000 - int64(i)})
		m.branches = append(m.branches, b)
	}
	return m
}

func (m *model) change(number int64) *modelChange { return m.changes[number-1] }

func (c *modelChange) member() queue.Member { return queue.Member{Change: c.number, PS: c.ps} }

func (c *modelChange) targets() []string {
	return slices.Concat(c.core, c.extra)
}

// entry is what the queue is told of a change that is queued.
func (m *model) entry(c *modelChange) queue.Entry {
	unlanded := func(list []int64) []int64 {
		return slices.DeleteFunc(slices.Clone(list), func(p int64) bool { return m.change(p).status == landedNow })
	}
	return queue.Entry{Change: c.number, PS: c.ps, Branch: c.branch.name, EnqueuedAt: c.at, Targets: c.targets(), Barrier: c.wide || c.barrier,
		Parents: unlanded(c.parents), With: unlanded(c.with), Priority: c.priority, Held: c.held, Takes: c.takes,
		Author: strconv.FormatInt(c.number%3, 10), Size: float64(c.number % 7)}
}

func (b *modelBranch) told() queue.Branch {
	return queue.Branch{Name: b.name, Tip: b.tip.id, Seq: b.seq, GreenAt: b.green, Proven: b.proven, Frozen: b.frozen, MaxBatch: b.batch, BatchCost: 0.1, Whole: b.whole}
}

func (m *model) branch(name string) *modelBranch {
	for _, b := range m.branches {
		if b.name == name {
			return b
		}
	}
	return nil
}

func (m *model) candidate(id int64) *modelCandidate {
	if id < 1 || id > int64(len(m.candidates)) {
		return nil
	}
	return m.candidates[id-1]
}

func (k *modelCandidate) newest() *modelRun {
	if len(k.runs) == 0 {
		return nil
	}
	return k.runs[len(k.runs)-1]
}

// running are the runs that are under way.
func (m *model) running() []*modelRun {
	var all []*modelRun
	for _, k := range m.candidates {
		if r := k.newest(); r != nil && r.state == queue.RunRunning {
			all = append(all, r)
		}
	}
	return all
}

// send puts a message on its way.
func (m *model) send(stream int64, e queue.Event) {
	m.inbox = append(m.inbox, message{stream: stream, event: e})
}

// tell puts the news of a change's entry on its way.
func (m *model) tell(c *modelChange) {
	m.inbox = append(m.inbox, message{stream: c.number, change: c.number})
}

func (m *model) tellBranch(b *modelBranch) {
	m.send(streamBranches, queue.BranchSet{Branch: b.told()})
}

// move is a push of an administrator to the branch.
func (m *model) move(b *modelBranch, tip *modelCommit) {
	b.tip, b.proven = tip, false
	b.seq++
	m.landed = append(m.landed, queue.Landed{Branch: b.name, Seq: b.seq, Barrier: true})
	m.tellBranch(b)
}

// pushed is a commit of an administrator on top of another.
func (m *model) pushed(c *modelCommit, kind int) *modelCommit {
	m.pushes++
	return m.with(c, queue.Member{Change: -m.pushes, PS: kind})
}

// leave takes a change out of the queue.
func (m *model) leave(c *modelChange) {
	c.status = outside
	m.send(c.number, queue.Removed{Change: c.number})
}

// rebuilt is the state as the controller reads it from its rows.
func (m *model) rebuilt(learnt *queue.Model, landings []queue.Landing) queue.State {
	s := queue.State{Workers: m.workers, Model: learnt, Landings: landings, Asked: m.asked}
	for _, b := range m.branches {
		s.Branches = append(s.Branches, b.told())
	}
	for _, c := range m.changes {
		if c.status == queued {
			s.Entries = append(s.Entries, m.entry(c))
		}
	}
	oldest := map[string]int64{}
	for _, k := range m.candidates {
		if !m.remembered(k) {
			continue
		}
		s.Candidates = append(s.Candidates, k.row())
		if seq, seen := oldest[k.branch.name]; !seen || k.seq < seq {
			oldest[k.branch.name] = k.seq
		}
	}
	for _, l := range m.landed {
		if seq, seen := oldest[l.Branch]; seen && l.Seq > seq {
			s.Landed = append(s.Landed, l)
		}
	}
	return s
}

// remembered says whether a rebuilt state has the candidate: one with a queued change, or a run
// of what the branch is now.
func (m *model) remembered(k *modelCandidate) bool {
	if len(k.members) == 0 {
		return k.commit == k.branch.tip
	}
	return slices.ContainsFunc(k.members, func(x queue.Member) bool { return m.change(x.Change).status == queued })
}

// row is the candidate as the queue sees it.
func (k *modelCandidate) row() queue.Candidate {
	row := queue.Candidate{ID: k.id, Branch: k.branch.name, Members: k.members, On: k.on, Seq: k.seq, Proven: k.proven, Base: k.base.id, Conflict: k.conflict}
	if k.commit != nil {
		row.Commit = k.commit.id
	}
	for _, r := range k.runs {
		row.Run.ID, row.Run.State, row.Run.StartedAt, row.Run.EndedAt = r.id, r.state, r.started, r.ended
		switch r.state {
		case queue.RunRefused:
			row.Run.Refusals++
			row.Run.Reason = refusedWords
		case queue.RunErrored:
			row.Run.Errors++
		case queue.RunNone, queue.RunRunning, queue.RunPassed:
		}
	}
	return row
}

const refusedWords = "unit failed"
