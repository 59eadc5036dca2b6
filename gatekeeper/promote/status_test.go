package promote

import "testing"

// All ways are listed here: each state is reached from REQUESTED, and only what is over has no
// way on.
func TestTransitions(t *testing.T) {
	ways := map[Status][]Status{
		Requested:  {Eligible, Superseded, Rejected, Canceled},
		Eligible:   {Requested, Held, Deploying, Superseded, Rejected, Canceled},
		Held:       {Requested, Eligible, Held, Superseded, Rejected, Canceled},
		Deploying:  {Deploying, Verifying, Succeeded, Failed, RolledBack},
		Verifying:  {Deploying, Succeeded, Failed, RolledBack},
		Succeeded:  nil,
		Failed:     nil,
		RolledBack: nil,
		Superseded: nil,
		Rejected:   nil,
		Canceled:   nil,
	}
	if len(ways) != len(Statuses()) {
		t.Errorf("%d states, and ways of %d", len(Statuses()), len(ways))
	}
	for _, from := range Statuses() {
		allowed := map[Status]bool{}
		for _, to := range ways[from] {
			allowed[to] = true
		}
		for _, to := range Statuses() {
			if Transition(from, to) != allowed[to] {
				t.Errorf("from %s to %s is %v", from, to, Transition(from, to))
			}
		}
		if from.Final() != (len(ways[from]) == 0) {
			t.Errorf("%s is final: %v", from, from.Final())
		}
	}
	reached := map[Status]bool{}
	var walk func(Status)
	walk = func(s Status) {
		if reached[s] {
			return
		}
		reached[s] = true
		for _, to := range ways[s] {
			walk(to)
		}
	}
	walk(Requested)
	for _, s := range Statuses() {
		if !reached[s] {
			t.Errorf("%s is never reached", s)
		}
	}
}

func TestTransitionOfNoState(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a state that is none has ways on")
		}
	}()
	Transition("LIMBO", Succeeded)
}
