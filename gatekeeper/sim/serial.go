package sim

// serial builds one change at a time of those that may conflict: each on the branch as it is,
// when everybody before it who may conflict is decided.
type serial struct {
	line
	build []*Build
}

// NewSerial is the queue without speculation, one for each lane.
func NewSerial(t *Trace, _ int) Policy {
	return &serial{line: newLine(t, lanes), build: make([]*Build, len(t.Changes))}
}

func (s *serial) Arrive(w *World, change int) {
	s.arrive(change)
	s.start(w)
}

func (s *serial) Ended(w *World, b *Build, passed bool) {
	if passed {
		s.land(w, b.Members, b)
	} else {
		s.reject(w, b.Members[0])
	}
	s.start(w)
}

func (s *serial) start(w *World) {
	s.pass(func(i int) bool {
		if w.Free() == 0 {
			return false
		}
		if s.build[i] == nil && len(s.before[i]) == 0 {
			s.build[i] = w.Start(nil, []int{i}, 0)
		}
		return true
	})
}
