package sim

// Zuul's defaults for a dependent pipeline: the window of a queue begins at 20 items, grows by
// one with each that lands, is halved by each that fails, and never falls below 3.
const (
	zuulWindow = 20
	zuulFloor  = 3
)

// NewZuul is the gate of Zuul: one shared queue, so one window and no lanes, with the nearest
// non-failing item as the base of the next.
func NewZuul(t *Trace, _ int) Policy {
	q := newNNFI(t, oneLane)
	window := zuulWindow
	q.window = func() int { return window }
	q.decided = func(landed bool) {
		if landed {
			window++
		} else {
			window = max(zuulFloor, window/2)
		}
	}
	return &q
}
