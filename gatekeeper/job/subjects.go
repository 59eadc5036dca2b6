package job

import "sync"

// subject is what a job is about.
type subject struct{ kind, key string }

// subjects decides which stored jobs lead to a run of a handler. It holds only what is true of
// this process: forgetting it costs an unneeded run, never a lost one.
type subjects struct {
	mu sync.Mutex
	m  map[subject]*subjectState
}

type subjectState struct {
	running bool
	// late is set when a job arrived during the run: the run may have looked too early for it.
	late bool
	// waiting are the jobs that ran here and are stored to run again later.
	waiting map[int64]bool
	// last is the one among waiting whose run was the last; a run of another has covered the rest.
	last int64
}

// begin reports whether the job shall run now. If not, it is covered: a run that is sure to come,
// or one that started after the job's own last run, has done or will do its work.
func (s *subjects) begin(sub subject, job int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.m[sub]
	if st == nil {
		st = &subjectState{waiting: map[int64]bool{}}
		if s.m == nil {
			s.m = map[subject]*subjectState{}
		}
		s.m[sub] = st
	}
	ranBefore := st.waiting[job]
	delete(st.waiting, job)
	switch {
	case st.running:
		st.late = st.late || !ranBefore
		return false
	case ranBefore && st.last != job:
		s.forget(sub, st)
		return false
	default:
		st.running = true
		return true
	}
}

// end is called after each run of job's handler; waits tells that the job stays stored. It reports
// whether the handler must run once more right away.
func (s *subjects) end(sub subject, job int64, waits bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.m[sub]
	if st.late {
		st.late = false
		return true
	}
	s.leave(sub, st, job, waits)
	return false
}

// abandon is [subjects.end] for a run that cannot follow because the engine stops; the job stays stored.
func (s *subjects) abandon(sub subject, job int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.m[sub]
	st.late = false
	s.leave(sub, st, job, true)
}

func (s *subjects) leave(sub subject, st *subjectState, job int64, waits bool) {
	st.running, st.last = false, 0
	if waits {
		st.waiting[job] = true
		st.last = job
	}
	s.forget(sub, st)
}

// forget drops a subject that nothing is known about.
func (s *subjects) forget(sub subject, st *subjectState) {
	if !st.running && len(st.waiting) == 0 {
		delete(s.m, sub)
	}
}
