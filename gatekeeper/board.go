package gatekeeper

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"time"

	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// The board as pages and the API show it: made of the queue's own types.
type (
	// Board is a queue as people watch it.
	Board = queue.Board
	// BoardEntry is a change on it.
	BoardEntry = queue.BoardEntry
	// Train is a candidate on it.
	Train = queue.Train
	// Standing is where a queued change stands, in words.
	Standing = queue.Standing
)

// IsHotfix says whether a priority is that of a hotfix, which lands in a freeze.
func IsHotfix(priority int) bool { return priority >= queue.Hotfix }

// Moment is a point in a repository's story: a time, or just after an event. The zero value
// is now.
type Moment struct {
	At    time.Time
	Event int64
}

func (m Moment) live() bool { return m.At.IsZero() && m.Event == 0 }

// BoardView is the board of a branch at a moment, and what leads to other moments.
type BoardView struct {
	Repository string     `json:"repository"`
	At         time.Time  `json:"at"`   // the moment that it shows
	Live       bool       `json:"live"` // that is now
	Workers    int        `json:"workers"`
	Board      Board      `json:"board"`
	Standings  []Standing `json:"standings"` // of the board's entries, in their order
	// Back and Forward name the moments of the event before and after: 0 when there is none.
	Back    int64 `json:"back,omitempty"`
	Forward int64 `json:"forward,omitempty"`
	// Day is what a scale of time around the moment shows.
	Day BoardDay `json:"-"`
}

const (
	// boardKind is the kind of the events that hold the boards of a repository as they were
	// after the event that data["through"] names: nothing but a place to begin at.
	boardKind = "queue.board"
	// boardPage is how many events are read at once.
	boardPage = 500
	// boardEvery is how many events a snapshot is apart from the next: that many are folded
	// in some milliseconds.
	boardEvery = boardPage
	// boardSettled is how old an event is when no other with a smaller id can turn up any
	// more: transactions that write events last for milliseconds.
	boardSettled = time.Minute
	// boardSnapshots bounds how many snapshots one look writes, of a story that had none.
	boardSnapshots = 20
	// boardTies is how many snapshots of one moment are looked at for one before an event.
	boardTies = 3
	// boardQuiet is how long a board with nobody on it is carried from snapshot to snapshot.
	boardQuiet = 7 * 24 * time.Hour
)

// Board is the board of a branch as it is now.
func (c *Controller) Board(ctx context.Context, repoID int64, branch string) (Board, error) {
	return c.board(ctx, c.DB.Read(), repoID, branch, Moment{})
}

// BoardAt is the board of a branch as it was: every event up to then counts, none after.
func (c *Controller) BoardAt(ctx context.Context, repoID int64, branch string, at time.Time) (Board, error) {
	return c.board(ctx, c.DB.Read(), repoID, branch, Moment{At: at})
}

// WatchBoard shows the board of a branch at a moment, to whoever may read the branch.
func (c *Controller) WatchBoard(ctx context.Context, actor account.Actor, repoName, branch string, m Moment) (BoardView, error) {
	q := c.DB.Read()
	r, err := c.Repos.ByName(ctx, q, repoName)
	if err != nil {
		return BoardView{}, err
	}
	if err := c.May(ctx, actor, account.Read, r.Resource(branch)); err != nil {
		return BoardView{}, err
	}
	v := BoardView{Repository: r.Name, Live: m.live(), At: c.Now(), Workers: max(c.Workers, 1)}
	if !m.At.IsZero() && m.At.Before(v.At) {
		v.At = m.At
	}
	if v.Board, err = c.board(ctx, q, r.ID, branch, m); err != nil {
		return v, err
	}
	if m.Event != 0 {
		v.At = v.Board.At
	}
	if v.Live {
		tip, err := c.tipOf(ctx, r, branch)
		if err != nil {
			return v, err
		}
		v.Board.Tip = string(tip)
	} else if v.Forward, err = c.nextOnBoard(ctx, q, r.ID, v.Board); err != nil {
		return v, err
	}
	v.Back = max(v.Board.Event-1, 0)
	state := v.Board.State(v.Workers, v.At)
	if v.Live { // the events do not tell of the plan
		if err := c.holdOnBoard(ctx, q, r, branch, &state, v.At); err != nil {
			return v, err
		}
	}
	v.Standings = standings(state, v.At)
	v.Day, err = c.boardDay(ctx, q, r.ID, branch, v.At)
	return v, err
}

// holdOnBoard holds what waits now for a window of the branch's plan.
func (c *Controller) holdOnBoard(ctx context.Context, q db.Querier, r repo.Repository, branch string, state *queue.State, now time.Time) error {
	policy, _, err := c.PlanAt(ctx, r, branch)
	if fault.Is(err, fault.Internal) {
		return err
	}
	if err != nil || len(state.Entries) == 0 { // who cannot read the plan is told so with each change
		return nil
	}
	shut, err := shutWindows(ctx, q, branchKey{r.ID, branch}, policy, now)
	holdForWindows(state.Entries, shut)
	return err
}

func (c *Controller) tipOf(ctx context.Context, r repo.Repository, branch string) (git.OID, error) {
	g, err := c.Repos.Open(r)
	if err != nil {
		return "", err
	}
	return g.RefOID(ctx, headsPrefix+branch)
}

// board folds the events up to the moment, from the last snapshot before it.
func (c *Controller) board(ctx context.Context, q db.Querier, repoID int64, branch string, m Moment) (Board, error) {
	boards, through, err := lastBoards(ctx, q, repoID, m, c.Now())
	if err != nil {
		return Board{}, err
	}
	b := boards.of(branch)
	for {
		page, err := event.Of(ctx, q, event.Story{Repo: repoID, Kinds: queue.BoardKinds(), After: through, Limit: boardPage})
		if err != nil {
			return Board{}, err
		}
		for _, e := range page {
			if m.Event != 0 && e.ID > m.Event || !m.At.IsZero() && e.At.After(m.At) {
				return *b, nil
			}
			b.Apply(boardEvent(e))
			through = e.ID
		}
		if len(page) < boardPage {
			return *b, nil
		}
	}
}

// nextOnBoard finds the next event that changes what the board shows, 0 when there is none.
func (c *Controller) nextOnBoard(ctx context.Context, q db.Querier, repoID int64, b Board) (int64, error) {
	page, err := event.Of(ctx, q, event.Story{Repo: repoID, Kinds: queue.BoardKinds(), After: b.Event, Limit: boardPage})
	if err != nil {
		return 0, err
	}
	text, err := json.Marshal(b) // a copy: the fold writes into what the board points to
	if err != nil {
		return 0, fmt.Errorf("gatekeeper: board of %s: %w", b.Branch, err)
	}
	var ahead Board
	if err := json.Unmarshal(text, &ahead); err != nil {
		return 0, fmt.Errorf("gatekeeper: board of %s: %w", b.Branch, err)
	}
	for _, e := range page {
		if ahead.Apply(boardEvent(e)); ahead.Event > b.Event {
			return ahead.Event, nil
		}
	}
	return 0, nil
}

// boards are those of one repository, by branch.
type boards map[string]*Board

func (b boards) of(branch string) *Board {
	if b[branch] == nil {
		b[branch] = &Board{Branch: branch}
	}
	return b[branch]
}

// apply takes an event in on every board; one of a branch that has none yet gives it one.
func (b boards) apply(e queue.BoardEvent) {
	if branch := e.Data["branch"]; branch != "" {
		b.of(branch)
	}
	for _, one := range b {
		one.Apply(e)
	}
}

// boardEvent is an event as the board takes it. A branch may be named by its job's key.
func boardEvent(e event.Event) queue.BoardEvent {
	if id, branch, err := repo.ParseBranchKey(e.Data["branch"]); err == nil && id == e.Repo {
		e.Data["branch"] = branch
	}
	return queue.BoardEvent{ID: e.ID, At: e.At, Kind: e.Kind, Change: e.Change, Data: e.Data}
}

// lastBoards reads the newest snapshot that holds nothing from after the moment, and the id
// of the last event in it; without one the boards are empty and the id is 0.
func lastBoards(ctx context.Context, q db.Querier, repoID int64, m Moment, now time.Time) (boards, int64, error) {
	until, ties := now, 1
	switch {
	case m.Event != 0:
		at, err := event.TimeOf(ctx, q, repoID, m.Event)
		if err != nil {
			return nil, 0, err
		}
		if !at.IsZero() {
			until = at
		}
		ties = boardTies
	case !m.At.IsZero():
		until = m.At
	}
	found, err := event.Last(ctx, q, repoID, boardKind, until, ties)
	if err != nil {
		return nil, 0, err
	}
	for _, e := range found {
		through, err := strconv.ParseInt(e.Data["through"], 10, 64)
		if err != nil {
			return nil, 0, fmt.Errorf("gatekeeper: snapshot %d: %w", e.ID, err)
		}
		if m.Event != 0 && through > m.Event {
			continue
		}
		all := boards{}
		if err := json.Unmarshal([]byte(e.Data["boards"]), &all); err != nil {
			return nil, 0, fmt.Errorf("gatekeeper: snapshot %d: %w", e.ID, err)
		}
		return all, through, nil
	}
	return boards{}, 0, nil
}

// keepBoards writes snapshots of a repository's boards, one for every boardEvery events that
// have settled since the last. Maintenance calls it: without snapshots boards are only slow.
func (c *Controller) keepBoards(ctx context.Context, repoID int64) error {
	for range boardSnapshots {
		more, err := c.keepBoard(ctx, repoID)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func (c *Controller) keepBoard(ctx context.Context, repoID int64) (more bool, err error) {
	q := c.DB.Read()
	all, through, err := lastBoards(ctx, q, repoID, Moment{}, c.Now())
	if err != nil {
		return false, err
	}
	page, err := event.Of(ctx, q, event.Story{Repo: repoID, Kinds: queue.BoardKinds(), After: through, Limit: boardEvery})
	if err != nil || len(page) < boardEvery {
		return false, err
	}
	last := page[len(page)-1]
	if c.Now().Sub(last.At) < boardSettled {
		return false, nil
	}
	for _, e := range page {
		all.apply(boardEvent(e))
	}
	maps.DeleteFunc(all, func(_ string, b *Board) bool { return len(b.Entries) == 0 && last.At.Sub(b.At) > boardQuiet })
	text, err := json.Marshal(all)
	if err != nil {
		return false, fmt.Errorf("gatekeeper: boards of repository %d: %w", repoID, err)
	}
	return true, c.DB.Transact(ctx, func(tx *db.Tx) error {
		_, err := event.Append(ctx, tx, event.Event{At: last.At, Kind: boardKind, Repo: repoID,
			Data: map[string]string{"through": strconv.FormatInt(last.ID, 10), "boards": string(text)}})
		return err
	})
}
