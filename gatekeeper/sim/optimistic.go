package sim

// NewOptimistic is a queue that believes in everybody: each change is built at once on all
// before it that it may conflict with, without a window.
func NewOptimistic(t *Trace, _ int) Policy {
	q := newNNFI(t, lanes)
	return &q
}
