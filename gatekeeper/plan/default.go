package plan

// Names of the gates that a plan without `gates` gets.
const (
	defaultReview = "review"
	defaultStages = "stages"
)

// Default is the plan of a repository without a plan file: one approval by somebody else than
// the author and the uploader, no stages, landing by merge.
func Default() *Plan {
	p := &Plan{
		File:    File,
		Version: 1,
		Labels:  []Label{codeReview()},
		Gates:   []Gate{{Name: defaultReview, Subject: SubjectChange, Require: []Criterion{defaultApproval()}}},
		Land:    Land{After: []string{defaultReview}, How: Merge},
		Roles:   map[string][]string{},
		lines:   map[string]int{},
	}
	p.fillLand()
	p.resolve()
	return p
}

// codeReview is the label that a plan has when it does not define it.
func codeReview() Label { return Label{Name: CodeReview, Min: -2, Max: 2, Veto: true} }

func defaultApproval() Review {
	return Review{Label: CodeReview, Value: 2, Min: 1, Not: []string{Author, Uploader}}
}
