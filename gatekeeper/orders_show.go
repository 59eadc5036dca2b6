package gatekeeper

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
)

// QueueStatus is the queue of a branch as it is now, for terminals and programs: the board
// with what it means for each change.
type QueueStatus struct {
	Repository string    `json:"repository"`
	Branch     string    `json:"branch"`
	Tip        string    `json:"tip"`
	At         time.Time `json:"at"`
	Workers    int       `json:"workers" doc:"How many candidates can be tested at once."`
	// Frozen says why nothing but hotfixes lands now: by somebody's order, by the plan, or both.
	Frozen      string         `json:"frozen,omitempty" doc:"Why nothing but hotfixes lands now."`
	FrozenUntil time.Time      `json:"frozen_until,omitzero" doc:"When that ends by itself."`
	Entries     []QueuedChange `json:"entries" doc:"In the order of the queue."`
	Candidates  []Train        `json:"candidates" doc:"Those that are tested, and those that say where an entry stands."`
	News        []queue.News   `json:"news" doc:"Who landed and who left, newest first."`
}

// QueuedChange is a change in the queue.
type QueuedChange struct {
	Position int       `json:"position" doc:"1 is the first."`
	Change   int64     `json:"change"`
	PS       int       `json:"patch_set"`
	Subject  string    `json:"subject"`
	Owner    string    `json:"owner"`
	Since    time.Time `json:"since"`
	Targets  []string  `json:"targets,omitempty" doc:"What it touches: changes that share no target do not wait for each other."`
	Barrier  bool      `json:"barrier,omitempty" doc:"It shares something with every change."`
	Parents  []int64   `json:"parents,omitempty" doc:"Changes that land before it."`
	Priority int       `json:"priority,omitempty" doc:"100 is promoted, 1000 and above a hotfix."`
	Promoted string    `json:"promoted,omitempty" doc:"Who promoted it, and why."`
	Held     string    `json:"held,omitempty" doc:"Who holds it, and why."`
	State    string    `json:"state" enum:"landing,passed,testing,waiting,held,stuck"`
	Words    string    `json:"words" doc:"Where it stands, in a sentence."`
	WaitsFor []string  `json:"waits_for,omitempty" doc:"The nearest first."`
	ETA      *Estimate `json:"eta,omitempty" doc:"Until it lands; without it nobody knows."`
	// Candidate is the one that says most about where the change stands.
	Candidate int64 `json:"candidate,omitempty" doc:"The one that says most about where it stands."`
}

// Estimate is a span of time: if all that is being tried passes, and if something has to be
// tried again.
type Estimate struct {
	Low   int64  `json:"low" doc:"Seconds."`
	High  int64  `json:"high" doc:"Seconds."`
	Words string `json:"words"`
}

// QueueStatus shows the queue of a branch to whoever may read the branch.
func (c *Controller) QueueStatus(ctx context.Context, actor account.Actor, repoName, branch string) (QueueStatus, error) {
	view, err := c.WatchBoard(ctx, actor, repoName, branch, Moment{})
	if err != nil {
		return QueueStatus{}, err
	}
	q := c.DB.Read()
	r, err := c.Repos.ByName(ctx, q, repoName)
	if err != nil {
		return QueueStatus{}, err
	}
	s := QueueStatus{Repository: view.Repository, Branch: branch, Tip: view.Board.Tip, At: view.At, Workers: view.Workers,
		Entries: []QueuedChange{}, Candidates: []Train{}, News: append([]queue.News{}, view.Board.News...)}
	if git.OID(s.Tip).IsZero() {
		return s, noBranch("gatekeeper.QueueStatus", r.Name, branch)
	}
	policy, _, err := c.PlanAt(ctx, r, branch)
	if err != nil && fault.Is(err, fault.Internal) {
		return s, err
	} // a plan that cannot be read closes the branch, and says so with each change
	if s.Frozen, s.FrozenUntil, err = freezes(ctx, q, r.ID, branch, policy, view.At); err != nil {
		return s, err
	}
	state := view.Board.State(view.Workers, view.At)
	state.Branches[0].Frozen = s.Frozen // the board knows of orders, not of the plan
	if err := c.holdOnBoard(ctx, q, r, branch, &state, view.At); err != nil {
		return s, err
	}
	given, err := orders(ctx, q, changesOf(view.Board))
	if err != nil {
		return s, err
	}
	told := map[int64]bool{}
	for _, st := range standings(state, view.At) {
		e := view.Board.Entry(st.Change)
		entry := QueuedChange{
			Position: st.Position, Change: e.Change, PS: e.PS, Subject: e.Subject, Owner: e.Owner, Since: e.Since, Targets: e.Targets, Barrier: e.Barrier,
			Parents: e.Parents, Priority: e.Priority, Promoted: given[e.Change].Promoted, Held: given[e.Change].Held,
			State: string(st.Phase), Words: st.Sentence, WaitsFor: st.WaitsFor,
		}
		if st.Known {
			entry.ETA = &Estimate{Low: int64(st.Low.Seconds()), High: int64(math.Ceil(st.High.Seconds())), Words: st.ETA}
		}
		if t := view.Board.TrainOf(st.Change); t != nil {
			entry.Candidate, told[t.ID] = t.ID, true
		}
		s.Entries = append(s.Entries, entry)
	}
	for _, t := range view.Board.Trains {
		if told[t.ID] || t.Tried && t.State == queue.TrainRunning {
			s.Candidates = append(s.Candidates, t)
		}
	}
	return s, nil
}

func noBranch(op, repoName, branch string) error {
	return fault.New(fault.NotFound, op, fmt.Sprintf("%s has no branch %s", repoName, branch), "check its name")
}

func changesOf(b Board) []int64 {
	var all []int64
	for _, e := range b.Entries {
		all = append(all, e.Change)
	}
	return all
}

// QueueSummary is a queue in one line.
type QueueSummary struct {
	Repository string `json:"repository"`
	Branch     string `json:"branch"`
	Waiting    int    `json:"waiting" doc:"How many changes are in it."`
	Frozen     string `json:"frozen,omitempty" doc:"Who froze the branch, and why."`
}

// Queues lists the queues that hold a change or are frozen by somebody, of the branches that
// actor may read.
func (c *Controller) Queues(ctx context.Context, actor account.Actor) ([]QueueSummary, error) {
	q := c.DB.Read()
	rows, err := q.QueryContext(ctx, `SELECT repo_id, branch, count(*) FROM queue_entries GROUP BY repo_id, branch
		UNION ALL SELECT repo_id, branch, 0 FROM queue_freezes WHERE until_at = 0 OR until_at > $1`, c.Now().UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: queues: %w", err)
	}
	defer func() { _ = rows.Close() }()
	waiting := map[branchKey]int{}
	for rows.Next() {
		var key branchKey
		var n int
		if err := rows.Scan(&key.repo, &key.branch, &n); err != nil {
			return nil, fmt.Errorf("gatekeeper: queues: %w", err)
		}
		waiting[key] += n
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("gatekeeper: queues: %w", err)
	}
	all := []QueueSummary{}
	for key, n := range waiting {
		r, err := c.Repos.ByID(ctx, q, key.repo)
		if err != nil {
			return nil, err
		}
		switch err := c.May(ctx, actor, account.Read, r.Resource(key.branch)); {
		case fault.Is(err, fault.Internal):
			return nil, err
		case err != nil:
			continue
		}
		one := QueueSummary{Repository: r.Name, Branch: key.branch, Waiting: n}
		f, err := freezeOf(ctx, q, key.repo, key.branch, c.Now())
		if err != nil {
			return nil, err
		}
		if f != nil {
			one.Frozen = freezeWords(*f)
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b QueueSummary) int {
		if byName := strings.Compare(a.Repository, b.Repository); byName != 0 {
			return byName
		}
		return strings.Compare(a.Branch, b.Branch)
	})
	return all, nil
}
