package queue

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var boardStart = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// story makes events: "kind change key=value key=value…", a minute apart; a value goes on
// to the next word with a "=" in it.
func story(lines ...string) []BoardEvent {
	var all []BoardEvent
	for i, line := range lines {
		words := strings.Fields(line)
		e := BoardEvent{ID: int64(i + 1), At: boardStart.Add(time.Duration(i) * time.Minute), Kind: words[0], Data: map[string]string{}}
		if _, err := fmt.Sscan(words[1], &e.Change); err != nil {
			panic(err)
		}
		key := ""
		for _, word := range words[2:] {
			if k, v, found := strings.Cut(word, "="); found {
				key = k
				e.Data[k] = v
			} else {
				e.Data[key] += " " + word
			}
		}
		all = append(all, e)
	}
	return all
}

func told(events []BoardEvent) *Board {
	b := &Board{Branch: "main"}
	for _, e := range events {
		b.Apply(e)
	}
	return b
}

// drawn is a board in a few characters: the entries with marks, the trains, the news.
func drawn(b *Board) string {
	var s []string
	for _, e := range b.Entries {
		text := fmt.Sprintf("%d.%d", e.Change, e.PS)
		if e.Held != nil {
			text += " held(" + e.Held.words() + ")"
		}
		if e.Priority != 0 {
			text += fmt.Sprintf(" priority(%d)", e.Priority)
		}
		s = append(s, text)
	}
	s = append(s, "|")
	for _, t := range b.Trains {
		if t.Tried {
			s = append(s, fmt.Sprintf("%d:%v/%v=%s", t.ID, t.Members, t.On, t.State))
		}
	}
	s = append(s, "|")
	for _, n := range b.News {
		s = append(s, fmt.Sprintf("%s %d", n.Kind, n.Change))
	}
	return strings.Join(s, " ")
}

func TestBoardFollowsTheStory(t *testing.T) {
	lines := []struct{ event, want string }{
		{"queue.entered 10 branch=main ps=1 subject=Greet owner=alice targets=ui", "10.1 | |"},
		{"candidate.tried 10 branch=main candidate=1 run=5 members=10.1 on= base=aa commit=bb attempt=1", "10.1 | 1:[{10 1}]/[]=RUNNING |"},
		{"run.started 10 branch=main ps=1 run=5 candidate=1", "10.1 | 1:[{10 1}]/[]=RUNNING |"},
		{"stage.started 10 run=5 stage=unit stage_run=50", "10.1 | 1:[{10 1}]/[]=RUNNING |"},
		{"queue.entered 11 branch=main ps=2 subject=Log owner=bob targets=ui,api", "10.1 11.2 | 1:[{10 1}]/[]=RUNNING |"},
		{"queue.entered 99 branch=other ps=1 subject=Elsewhere owner=bob", "10.1 11.2 | 1:[{10 1}]/[]=RUNNING |"},
		{"candidate.tried 99 branch=other candidate=9 run=90 members=99.1 on=", "10.1 11.2 | 1:[{10 1}]/[]=RUNNING |"},
		{"run.started 11 branch=main ps=2 run=6 candidate=2", "10.1 11.2 | 1:[{10 1}]/[]=RUNNING |"}, // before it is known whose it is
		{"stage.ended 11 run=6 stage=build state=PASSED reused=1", "10.1 11.2 | 1:[{10 1}]/[]=RUNNING |"},
		{"candidate.tried 11 branch=main candidate=2 run=6 members=11.2 on=10.1 base=bb commit=cc attempt=1", "10.1 11.2 | 1:[{10 1}]/[]=RUNNING 2:[{11 2}]/[{10 1}]=RUNNING |"},
		{"stage.ended 10 run=5 stage=unit state=PASSED", "10.1 11.2 | 1:[{10 1}]/[]=RUNNING 2:[{11 2}]/[{10 1}]=RUNNING |"},
		{"run.ended 10 run=5 candidate=1 state=PASSED", "10.1 11.2 | 1:[{10 1}]/[]=PASSED 2:[{11 2}]/[{10 1}]=RUNNING |"},
		{"queue.landed 10 ps=1 commit=bb candidate=1", "11.2 | 2:[{11 2}]/[{10 1}]=RUNNING | landed 10"},
		{"queue.held 11 by=carol reason=docs first", "11.2 held(carol: docs first) | 2:[{11 2}]/[{10 1}]=RUNNING | landed 10"},
		{"queue.held 12 by=carol reason=not yet", "11.2 held(carol: docs first) | 2:[{11 2}]/[{10 1}]=RUNNING | landed 10"},
		{"queue.entered 12 branch=main ps=1 subject=Fix owner=bob targets=api", "11.2 held(carol: docs first) 12.1 held(carol: not yet) | 2:[{11 2}]/[{10 1}]=RUNNING | landed 10"},
		{"queue.released 11 by=carol", "11.2 12.1 held(carol: not yet) | 2:[{11 2}]/[{10 1}]=RUNNING | landed 10"},
		{"queue.priority 12 priority=1000 by=dan reason=outage", "12.1 held(carol: not yet) priority(1000) 11.2 | 2:[{11 2}]/[{10 1}]=RUNNING | landed 10"},
		{"candidate.conflict 12 branch=main members=12.1 on= words=a.go conflicts with change 11", "12.1 held(carol: not yet) priority(1000) 11.2 | 2:[{11 2}]/[{10 1}]=RUNNING 0:[{12 1}]/[]=CONFLICT | landed 10"},
		{"run.ended 11 run=6 candidate=2 state=REFUSED reason=TestAdd failed", "12.1 held(carol: not yet) priority(1000) 11.2 | 2:[{11 2}]/[{10 1}]=REFUSED 0:[{12 1}]/[]=CONFLICT | landed 10"},
		{"candidate.tried 11 branch=main candidate=2 run=7 members=11.2 on=10.1 base=bb commit=cc attempt=2", "12.1 held(carol: not yet) priority(1000) 11.2 | 2:[{11 2}]/[{10 1}]=RUNNING 0:[{12 1}]/[]=CONFLICT | landed 10"},
		{"run.ended 11 run=6 candidate=2 state=PASSED", "12.1 held(carol: not yet) priority(1000) 11.2 | 2:[{11 2}]/[{10 1}]=RUNNING 0:[{12 1}]/[]=CONFLICT | landed 10"},
		{"run.canceled 11 run=7 candidate=2 reason=moved on", "12.1 held(carol: not yet) priority(1000) 11.2 | 2:[{11 2}]/[{10 1}]=CANCELED 0:[{12 1}]/[]=CONFLICT | landed 10"},
		{"queue.ejected 11 ps=2 reason=REFUSED words=TestAdd failed twice candidate=2 run=7", "12.1 held(carol: not yet) priority(1000) | 2:[{11 2}]/[{10 1}]=CANCELED 0:[{12 1}]/[]=CONFLICT | ejected 11 landed 10"},
		{"queue.left 12 reason=withdrawn", "| 2:[{11 2}]/[{10 1}]=CANCELED 0:[{12 1}]/[]=CONFLICT | left 12 ejected 11 landed 10"},
		{"queue.entered 12 branch=main ps=2 subject=Fix owner=bob", "12.2 held(carol: not yet) | 2:[{11 2}]/[{10 1}]=CANCELED 0:[{12 1}]/[]=CONFLICT | ejected 11 landed 10"},
	}
	b := &Board{Branch: "main"}
	var texts []string
	for i, line := range lines {
		texts = append(texts, line.event)
		events := story(texts...)
		b.Apply(events[i])
		if got := drawn(b); strings.TrimSpace(got) != line.want {
			t.Fatalf("after %s\n got %s\nwant %s", line.event, got, line.want)
		}
		if again := told(events); drawn(again) != drawn(b) {
			t.Fatalf("told again: %s", drawn(again))
		}
	}
	if b.Tip != "bb" || b.Seq != 1 {
		t.Errorf("tip %s after %d landings", b.Tip, b.Seq)
	}
	if n := b.News[0]; n.Words != "TestAdd failed twice" || n.Reason != string(EjectRefused) || n.Owner != "bob" || n.Subject != "Log" {
		t.Errorf("news %+v", n)
	}
	if b.Takes() != 10*time.Minute { // run 5, from the second event to the twelfth
		t.Errorf("a run takes %s", b.Takes())
	}
}

// A board that was written down in the middle of a story and read again ends as one that
// was not: that is what lets the time machine begin at a snapshot.
func TestBoardGoesOnFromASnapshot(t *testing.T) {
	events := longStory(300)
	whole, err := json.Marshal(told(events))
	if err != nil {
		t.Fatal(err)
	}
	for cut := 0; cut < len(events); cut += 29 {
		text, err := json.Marshal(told(events[:cut]))
		if err != nil {
			t.Fatal(err)
		}
		var b Board
		if err := json.Unmarshal(text, &b); err != nil {
			t.Fatal(err)
		}
		for _, e := range events[cut:] {
			b.Apply(e)
		}
		got, err := json.Marshal(&b)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(whole) {
			t.Fatalf("cut after %d:\n got %s\nwant %s", cut, got, whole)
		}
	}
}

// longStory is a queue at work: n changes enter, are tried, and land or leave.
func longStory(n int) []BoardEvent {
	var lines []string
	for i := 1; i <= n; i++ {
		lines = append(lines,
			fmt.Sprintf("queue.entered %d branch=main ps=1 subject=s owner=o%d targets=t%d", i, i%5, i%3),
			fmt.Sprintf("candidate.tried %d branch=main candidate=%d run=%d members=%d.1 on=%d.1 base=b commit=c%d attempt=1", i, 1000+i, 2000+i, i, i-1, i),
			fmt.Sprintf("stage.started %d run=%d stage=unit stage_run=%d", i, 2000+i, 3000+i),
			fmt.Sprintf("run.started %d branch=main ps=1 run=%d candidate=%d", 7000+i, 5000+i, 6000+i)) // the check of a change that never queues
		if done := i - 4; done > 0 {
			switch {
			case done%7 == 0:
				lines = append(lines, fmt.Sprintf("run.ended %d run=%d candidate=%d state=REFUSED reason=no", done, 2000+done, 1000+done),
					fmt.Sprintf("queue.ejected %d ps=1 reason=REFUSED words=no candidate=%d run=%d", done, 1000+done, 2000+done))
			case done%11 == 0:
				lines = append(lines, fmt.Sprintf("queue.held %d by=x reason=y", done))
			default:
				lines = append(lines, fmt.Sprintf("stage.ended %d run=%d stage=unit state=PASSED", done, 2000+done),
					fmt.Sprintf("run.ended %d run=%d candidate=%d state=PASSED", done, 2000+done, 1000+done),
					fmt.Sprintf("queue.landed %d ps=1 commit=c%d candidate=%d", done, done, 1000+done))
			}
		}
	}
	return story(lines...)
}

// What is over is forgotten: a board does not grow with the story.
func TestBoardStaysSmall(t *testing.T) {
	size := func(n int) int {
		b := told(longStory(n))
		for _, e := range slices.Clone(b.Entries) { // those that are held stay, rightly
			b.Apply(BoardEvent{ID: 1e6, At: b.At, Kind: "queue.released", Change: e.Change, Data: map[string]string{}})
			b.Apply(BoardEvent{ID: 1e6, At: b.At, Kind: "queue.left", Change: e.Change, Data: map[string]string{}})
		}
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		return len(text)
	}
	if early, late := size(300), size(1500); late > early+early/2 {
		t.Errorf("%d bytes after 300 changes, %d after 1500", early, late)
	}
}

func TestTrainOfSaysMost(t *testing.T) {
	b := told(story(
		"queue.entered 10 branch=main ps=1",
		"queue.entered 11 branch=main ps=1",
		"candidate.tried 11 branch=main candidate=1 run=1 members=11.1 on=10.1",
		"candidate.tried 11 branch=main candidate=2 run=2 members=11.1 on= spare=1",
	))
	if got := b.TrainOf(11); got == nil || got.ID != 1 {
		t.Errorf("the spare counts for more: %+v", got)
	}
	b.Apply(BoardEvent{ID: 9, Kind: "queue.left", Change: 10, Data: map[string]string{}})
	if got := b.TrainOf(11); got == nil || got.ID != 2 {
		t.Errorf("one that stands on what left counts: %+v", got)
	}
	b.Apply(BoardEvent{ID: 10, Kind: "queue.entered", Change: 11, Data: map[string]string{"branch": "main", "ps": "2"}})
	if got := b.TrainOf(11); got != nil {
		t.Errorf("an older patch set's counts: %+v", got)
	}
}

func TestFreezeEnds(t *testing.T) {
	b := told(story("queue.frozen 0 branch=main reason=release by=carol until=2026-11-22T10:00:00Z", "queue.frozen 0 branch=other reason=no by=x"))
	if got := b.Frozen(boardStart.Add(59 * time.Minute)); got != "release" {
		t.Errorf("before its end: %q", got)
	}
	if got := b.Frozen(boardStart.Add(time.Hour)); got != "" {
		t.Errorf("after its end: %q", got)
	}
	b.Apply(BoardEvent{ID: 5, Kind: "queue.frozen", Data: map[string]string{"branch": "main", "until": fmt.Sprint(boardStart.Add(time.Minute).UnixMicro())}})
	if !b.Freeze.Until.Equal(boardStart.Add(time.Minute)) {
		t.Errorf("until %s", b.Freeze.Until)
	}
	b.Apply(BoardEvent{ID: 6, Kind: "queue.thawed", Data: map[string]string{"branch": "main"}})
	if b.Freeze != nil {
		t.Error("still frozen")
	}
}

// No story, however garbled, breaks a board.
func FuzzBoard(f *testing.F) {
	f.Add("queue.entered 10 branch=main ps=1\ncandidate.tried 10 branch=main candidate=1 run=5 members=10.1 on=\nrun.ended 10 run=5 state=PASSED\nqueue.landed 10 candidate=1")
	f.Add("queue.entered 1 branch=main ps=1 parents=2\nqueue.entered 2 branch=main ps=1 parents=1")
	f.Fuzz(func(t *testing.T, text string) {
		b := &Board{Branch: "main"}
		for i, line := range strings.Split(text, "\n") {
			words := strings.Fields(line)
			if len(words) < 2 {
				continue
			}
			e := BoardEvent{ID: int64(i + 1), At: boardStart, Kind: words[0], Change: int64(len(words[1])), Data: map[string]string{}}
			for _, word := range words[2:] {
				k, v, _ := strings.Cut(word, "=")
				e.Data[k] = v
			}
			b.Apply(e)
			seen := map[int64]bool{}
			for _, entry := range b.Entries {
				if seen[entry.Change] {
					t.Fatalf("change %d is on the board twice", entry.Change)
				}
				seen[entry.Change] = true
			}
			if got := Standings(b.State(2, boardStart), boardStart); len(got) != len(b.Entries) {
				t.Fatalf("%d standings for %d entries", len(got), len(b.Entries))
			}
		}
	})
}
