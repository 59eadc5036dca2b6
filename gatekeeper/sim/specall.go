package sim

// NewSpecAll speculates on everything: every change is as likely to land as not, so the workers
// go to both branches of everybody, the shortest paths first.
func NewSpecAll(t *Trace, _ int) Policy {
	tr := newTree(t, func(int) float64 { return .5 })
	tr.blind = true
	return tr
}
