package gatekeeper

import (
	"slices"

	"gatehouse/gatekeeper/plan"
)

// ranStage lets a stage have ended in the run that says where the change stands.
func (f *facts) ranStage(stage string, state plan.StageState) {
	run := runRow{}
	if f.run != nil {
		run = *f.run
	}
	was := run.latest()[stage]
	ended := StageRun{Stage: stage, Attempt: was.Attempt + 1, State: state, Reason: "as supposed", StartedAt: f.now, FinishedAt: f.now}
	if state == plan.Passed {
		ended.Tests = f.enoughTests(stage, was.Tests)
		f.enoughMeasured(stage)
	}
	run.Stages = append(slices.Clone(run.Stages), ended)
	if f.check == nil || f.run == f.check {
		f.check = &run
	}
	f.run = &run
	f.judgeRun()
}

// judgeRun lets the run be as its stages have it, by the rule that ends runs.
func (f *facts) judgeRun() {
	if f.run == nil {
		return
	}
	run := *f.run
	state, _ := plan.RunVerdict(f.plan, f.evidence(), f.now)
	run.State = RunState(state)
	if f.run == f.check {
		f.check = &run
	}
	f.run = &run
}

// enoughTests are the results of a stage that passes: what the gates ask for.
func (f *facts) enoughTests(stage string, was *plan.Tests) *plan.Tests {
	ran := 0
	if was != nil {
		ran = was.Passed + was.Failed
	}
	for _, g := range f.plan.Landing() {
		for _, c := range g.Require {
			limit, ok := c.(plan.TestLimits)
			if ok && slices.ContainsFunc(g.Needs, func(n plan.Need) bool { return n.Stage == stage }) {
				ran = max(ran, limit.Min, 1)
			}
		}
	}
	if ran == 0 {
		return nil
	}
	return &plan.Tests{Passed: ran}
}

// enoughMeasured lets a stage that passes have measured what the gates ask for, where nothing is
// measured yet.
func (f *facts) enoughMeasured(stage string) {
	for _, g := range f.plan.Landing() {
		if !slices.ContainsFunc(g.Needs, func(n plan.Need) bool { return n.Stage == stage && n.Metrics }) {
			continue
		}
		for _, c := range g.Require {
			m, ok := c.(plan.Metric)
			if !ok {
				continue
			}
			f.more = f.moreOfItsOwn()
			if was, known := f.more.Metrics[m.Name]; known && was.Stage != stage {
				continue
			}
			f.more.Metrics[m.Name] = plan.Measured{Value: f.goodEnough(m), At: f.now}
		}
	}
}

// goodEnough is a number that a criterion takes.
func (f *facts) goodEnough(m plan.Metric) float64 {
	var tries []float64
	for _, limit := range []*float64{m.Max, m.Min} {
		if limit != nil {
			tries = append(tries, *limit)
		}
	}
	tries = append(tries, f.more.Baselines[m.Against][m.Name], 0)
	for _, v := range tries {
		e := plan.Evidence{Metrics: map[string]plan.Measured{m.Name: {Value: v}}, Baselines: f.more.Baselines}
		if plan.Evaluate(plan.Gate{Require: []plan.Criterion{m}}, e, f.now).State == plan.Open {
			return v
		}
	}
	return tries[0]
}
