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

// The same seeds replay to the same bytes, however the histories are spread over the cores.
func TestCheckReplays(t *testing.T) {
	first, second := check(t, 1, 300), check(t, 1, 300)
	if first != second || first.Digest == "" {
		t.Errorf("%+v, then %+v", first, second)
	}
	if other := check(t, 2, 300); other.Digest == first.Digest {
		t.Errorf("other seeds have the digest %s too", other.Digest)
	}
}
