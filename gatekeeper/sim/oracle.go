package sim

// oracle knows every outcome: one build per change, each good one on exactly what lands
// before it. A doomed change is sent away when its build has ended; the others land when
// everybody before them who may conflict is decided, doomed or not.
type oracle struct {
	line
	good  []bool
	build []*Build
}

// NewOracle is the measure of the others: in order, one build per change, all-knowing.
func NewOracle(t *Trace, _ int) Policy {
	n := len(t.Changes)
	o := &oracle{line: newLine(t, lanes), good: make([]bool, n), build: make([]*Build, n)}
	for i, c := range t.Changes {
		o.good[i] = c.OK == 1
		for _, j := range c.Conflicts {
			o.good[i] = o.good[i] && !o.good[j]
		}
	}
	return o
}

func (o *oracle) Arrive(w *World, change int) {
	w.noFlakes = true
	o.arrive(change)
	o.look(w)
}

func (o *oracle) Ended(w *World, b *Build, _ bool) {
	if i := b.Members[0]; !o.good[i] {
		o.reject(w, i)
	}
	o.look(w)
}

func (o *oracle) look(w *World) {
	o.pass(func(i int) bool {
		if b := o.build[i]; b != nil && b.done && o.good[i] && len(o.before[i]) == 0 {
			o.land(w, b.Members, b)
		}
		return true
	})
	o.pass(func(i int) bool {
		if o.build[i] == nil && w.Free() > 0 {
			var on []int
			for _, j := range o.before[i] {
				if o.good[j] {
					on = append(on, j)
				}
			}
			o.build[i] = w.Start(on, []int{i}, 0)
		}
		return w.Free() > 0
	})
}
