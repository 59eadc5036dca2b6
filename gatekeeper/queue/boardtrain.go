package queue

import (
	"slices"
	"strings"
	"time"
)

func (b *Board) train(id int64) *Train {
	if id == 0 {
		return nil
	}
	i := slices.IndexFunc(b.Trains, func(t Train) bool { return t.ID == id })
	if i < 0 {
		return nil
	}
	return &b.Trains[i]
}

func (b *Board) trainByRun(run int64) *Train {
	if run == 0 {
		return nil
	}
	i := slices.IndexFunc(b.Trains, func(t Train) bool { return t.Run == run })
	if i < 0 {
		return nil
	}
	return &b.Trains[i]
}

// tried learns of a candidate. Its run may be known already: that of the check, or one that
// has ended; then it stands as it does.
func (b *Board) tried(e BoardEvent) bool {
	id := e.number("candidate")
	if !b.mine(e) {
		return false
	}
	t := b.train(id)
	if t == nil {
		b.Trains = append(b.Trains, Train{ID: id, Seq: b.Seq, State: TrainRunning, Started: e.At})
		t = &b.Trains[len(b.Trains)-1]
	}
	t.Tried, t.Members, t.On = true, parseStops(e.Data["members"]), parseStops(e.Data["on"])
	t.Base, t.Commit = e.Data["base"], e.Data["commit"]
	t.Spare, t.Attempt = isYes(e.Data["spare"]), int(e.number("attempt"))
	if run := e.number("run"); run != t.Run {
		t.begin(run, e)
	}
	if len(t.On) == 0 && t.Base != "" {
		b.Tip = t.Base
	}
	return true
}

// begin starts the train's next run.
func (t *Train) begin(run int64, e BoardEvent) {
	t.Run, t.State, t.Words, t.Stages, t.Flakes = run, TrainRunning, "", nil, 0
	t.Started, t.Ended = e.At, time.Time{}
}

// conflicted learns of a candidate that could not be made.
func (b *Board) conflicted(e BoardEvent) bool {
	if !b.mine(e) {
		return false
	}
	t := Train{ID: e.number("candidate"), Tried: true, Members: parseStops(e.Data["members"]), On: parseStops(e.Data["on"]), Seq: b.Seq,
		State: TrainConflict, Words: e.Data["words"], Started: e.At, Ended: e.At}
	b.Trains = slices.DeleteFunc(b.Trains, func(have Train) bool {
		return have.State == TrainConflict && slices.Equal(have.Members, t.Members) && slices.Equal(have.On, t.On)
	})
	b.Trains = append(b.Trains, t)
	return true
}

func (b *Board) runStarted(e BoardEvent) bool {
	id := e.number("candidate")
	if id == 0 || !b.mine(e) {
		return false
	}
	t := b.train(id)
	if t == nil { // a check, or the queue's word about it comes after
		b.Trains = append(b.Trains, Train{ID: id, Seq: b.Seq})
		t = &b.Trains[len(b.Trains)-1]
		if ps := int(e.number("ps")); e.Change != 0 && ps != 0 {
			t.Members = []Stop{{e.Change, ps}}
		}
	}
	if run := e.number("run"); run != t.Run {
		t.begin(run, e)
	}
	return t.Tried || b.aboard(t)
}

func (b *Board) runEnded(e BoardEvent) bool {
	t := b.trainByRun(e.number("run"))
	if t == nil || t.State != TrainRunning {
		return false
	}
	t.Ended, t.Words = e.At, e.Data["reason"]
	switch state := RunState(e.Data["state"]); state {
	case RunPassed:
		t.State = TrainPassed
		if t.Tried {
			b.Took = append(b.Took, t.Ended.Sub(t.Started).Milliseconds())
			b.Took = slices.Clone(b.Took[max(0, len(b.Took)-maxTook):])
		}
	case RunRefused, RunErrored:
		t.State = TrainState(state)
	default: // cancelled, superseded
		t.State = TrainCanceled
	}
	return t.Tried || b.aboard(t)
}

func (b *Board) runCanceled(e BoardEvent) bool {
	t := b.trainByRun(e.number("run"))
	if t == nil || t.State == TrainCanceled {
		return false
	}
	t.State, t.Words, t.Ended = TrainCanceled, e.Data["reason"], e.At
	return t.Tried || b.aboard(t)
}

// stage finds a stage of the run that the event names, adding it when it is new.
func (b *Board) stage(e BoardEvent) (*Train, *TrainStage) {
	t, name := b.trainByRun(e.number("run")), e.Data["stage"]
	if t == nil || name == "" {
		return nil, nil
	}
	i := slices.IndexFunc(t.Stages, func(s TrainStage) bool { return s.Name == name })
	if i < 0 {
		t.Stages = append(t.Stages, TrainStage{Name: name})
		i = len(t.Stages) - 1
	}
	return t, &t.Stages[i]
}

func (b *Board) stageStarted(e BoardEvent) bool {
	t, s := b.stage(e)
	if s == nil {
		return false
	}
	*s = TrainStage{Name: s.Name, Run: e.number("stage_run"), State: stageRunning, Started: e.At}
	return t.Tried || b.aboard(t)
}

const stageRunning = "RUNNING"

func (b *Board) stageEnded(e BoardEvent) bool {
	t, s := b.stage(e)
	if s == nil {
		return false
	}
	s.State, s.Ended, s.Reused = strings.ToUpper(e.Data["state"]), e.At, isYes(e.Data["reused"])
	if n := e.number("stage_run"); n != 0 {
		s.Run = n
	}
	return t.Tried || b.aboard(t)
}

func (b *Board) flake(e BoardEvent) bool {
	t := b.trainByRun(e.number("run"))
	if t == nil {
		return false
	}
	t.Flakes++
	return t.Tried || b.aboard(t)
}
