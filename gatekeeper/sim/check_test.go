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

// No history breaks a rule.
func TestCheckHistories(t *testing.T) {
	check(t, 0, 3000)
}

// Seeds of histories that once broke a rule, by what they found.
var found = map[string][]uint64{
	"a run was stopped and asked for again, for ever":                      {983, 1089, 1663, 1813, 2677, 3173},
	"changes that land together over branches were kept apart":             {1464, 1533, 2616, 4145, 7489},
	"a circle over those that land together was not seen":                  {3961},
	"an answer to an earlier life was taken for that to a later ask":       {1664, 4222, 7760},
	"a refusal from before a red branch was mended counted":                {3823, 28040, 31556},
	"older failures were forgotten when the same candidate was tried anew": {19549},
	"what stands on each other was tried in an order that it had left":     {34282},
	"a branch stayed red when nobody doubted it any more":                  {51862},
	"nothing was tried again that had failed twice, and counted for less":  {5556, 9203, 12422, 20710, 21464},
	"who failed by the machinery alone was neither tried nor sent away":    {79513, 86241, 87495},
	"what stood on a red tip counted once another landing had mended it":   {99234},
	"a verdict that came too late counted in the rows only":                {11908, 21675, 75457, 85336},
	"what passed on another patch set than landed took failures back":      {519272},
	"what landed past the queue was not told yet":                          {38819, 43104, 43144},
}

func TestCheckFoundSeeds(t *testing.T) {
	for what, seeds := range found {
		for _, seed := range seeds {
			if v := newHistory(seed).play(nil).violation; v != nil {
				t.Errorf("%s again: %v", what, v)
			}
		}
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
