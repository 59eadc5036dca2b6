package sim

import (
	"errors"
	"flag"
	"math/rand/v2"
	"testing"
)

var (
	checkSeed      = flag.Uint64("check.seed", 0, "the first seed of TestCheckRandomHistories; 0 draws one")
	checkHistories = flag.Int("check.histories", 3000, "how many histories it plays")
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

func TestCheckRandomHistories(t *testing.T) {
	seed := *checkSeed
	if seed == 0 {
		seed = rand.Uint64() >> 16
	}
	t.Logf("seed %d", seed)
	s := check(t, seed, *checkHistories)
	t.Logf("%+v", s)
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
