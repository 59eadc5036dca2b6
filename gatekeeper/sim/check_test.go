package sim

import (
	"errors"
	"testing"
)

func check(t *testing.T, seed uint64, histories int) Summary {
	t.Helper()
	s, err := Check(seed, histories, nil)
	var broken *Violation
	if errors.As(err, &broken) {
		t.Fatalf("%v\n%s", err, broken.Story)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The rules of progress, which a history in a few hundred still breaks: by a circle of changes
// that land together over branches, by runs that are stopped and asked for again, or by a
// state that knows less of older failures than the rows. Nothing lands wrongly by them, and
// nobody is sent away wrongly.
var progress = map[string]bool{"stuck": true, "endless": true, "leak": true, "rebuilt": true}

// mostUnfinished is how many of the histories may break a rule of progress.
const mostUnfinished = 15

// No history breaks a rule of safety.
func TestCheckHistories(t *testing.T) {
	const histories = 3000
	unfinished := 0
	for seed := range uint64(histories) {
		switch v := newHistory(seed).play(nil).violation; {
		case v == nil:
		case progress[v.Rule]:
			unfinished++
		default:
			t.Errorf("seed %d breaks the rule %q: %v", seed, v.Rule, v)
		}
	}
	t.Logf("%d of %d histories break a rule of progress", unfinished, histories)
	if unfinished > mostUnfinished {
		t.Errorf("%d of %d histories break a rule of progress, more than the %d that are known", unfinished, histories, mostUnfinished)
	}
}

// The same seed replays to the same bytes, and no other seed does.
func TestCheckReplays(t *testing.T) {
	seen := map[uint64]uint64{}
	for seed := range uint64(300) {
		first, second := newHistory(seed).play(nil), newHistory(seed).play(nil)
		if first.digest != second.digest || first.steps != second.steps {
			t.Errorf("seed %d: %d steps to %x, then %d to %x", seed, first.steps, first.digest, second.steps, second.digest)
		}
		if other, taken := seen[first.digest]; taken {
			t.Errorf("seeds %d and %d have the same digest", other, seed)
		}
		seen[first.digest] = seed
	}
}

// What Check says of some seeds does not depend on how they are spread over the cores.
func TestCheckAddsUp(t *testing.T) {
	clean := uint64(0)
	for newHistory(clean).play(nil).violation != nil || newHistory(clean+1).play(nil).violation != nil {
		clean++
	}
	first, second := check(t, clean, 2), check(t, clean, 2)
	if first != second || first.Histories != 2 || first.Steps == 0 || first.Digest == check(t, clean, 1).Digest {
		t.Errorf("%+v, then %+v", first, second)
	}
}
