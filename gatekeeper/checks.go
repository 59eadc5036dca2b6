package gatekeeper

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"gatehouse/gatekeeper/annotate"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/git"
	"gatehouse/review"
)

// Checks is what the stages of a patch set say about its lines. None of it decides anything.
type Checks struct {
	Change   int64         `json:"change"`
	PatchSet int           `json:"patch_set"`
	Stages   []StageChecks `json:"stages"` // those that reported something, in the order of their first run
	// Added is how many lines the patch set adds that a profile knows, Missed how many of them
	// no test ran, in any stage.
	Added  int `json:"added_lines"`
	Missed int `json:"added_lines_missed"`

	// Coverage is what profiles say about the files that the patch set changes, all stages together.
	Coverage []FileCoverage `json:"coverage,omitempty"`
}

// FileCoverage is what profiles say about the lines of a file.
type FileCoverage struct {
	Path   string         `json:"path"`
	Lines  string         `json:"lines"`            // "3:7+ 8- 9~": ran, did not, ran in part
	Missed []int          `json:"missed,omitempty"` // lines that the patch set adds and no test ran
	Marks  annotate.Lines `json:"-"`                // Lines, to look up
}

// StageChecks is what one stage reported.
type StageChecks struct {
	Stage    string    `json:"stage"`
	StageRun int64     `json:"stage_run"`
	Commit   git.OID   `json:"commit"` // what it tested
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
	Notices  int       `json:"notices"`
	Dropped  int       `json:"dropped,omitempty"` // findings that were not kept
	Notes    []string  `json:"notes,omitempty"`   // what could not be read
	CoverRun int       `json:"cover_run,omitempty"`
	CoverAll int       `json:"cover_all,omitempty"` // lines of the repository that can run
	Findings []Finding `json:"findings,omitempty"`

	executed int64
	tree     git.OID
}

// Finding is an annotation in the lines of the patch set.
type Finding struct {
	annotate.Annotation
	Stage    string `json:"stage"`
	StageRun int64  `json:"stage_run"`
	// Tested is the line in what was tested, where the patch set does not have it: the branch
	// does, or the two differ there.
	Tested int `json:"tested_line,omitempty"`
}

// Checks reads what the newest verdicts on a patch set came with; patch set 0 is the current
// one. Lines are those of the patch set.
func (c *Controller) Checks(ctx context.Context, actor account.Actor, change int64, ps int) (Checks, error) {
	ch, err := c.Review.Get(ctx, actor, change)
	if err != nil {
		return Checks{}, err
	}
	if ps == 0 {
		ps = ch.Current
	}
	q := c.DB.Read()
	set, err := c.Review.PatchSet(ctx, q, change, ps)
	if err != nil {
		return Checks{}, err
	}
	checks, err := stageChecks(ctx, q, change, ps)
	if err != nil || len(checks.Stages) == 0 {
		return checks, err
	}
	r, err := c.Repos.ByID(ctx, q, ch.Repo)
	if err != nil {
		return Checks{}, err
	}
	g, err := c.Repos.Open(r)
	if err != nil {
		return Checks{}, err
	}
	marks := map[string]annotate.Lines{}
	for i := range checks.Stages {
		s := &checks.Stages[i]
		if err := s.readFindings(ctx, q); err != nil {
			return Checks{}, err
		}
		files, err := coverageOf(ctx, q, s.executed)
		if err != nil {
			return Checks{}, err
		}
		move, err := c.movesTo(ctx, g, s, files, set)
		if err != nil {
			return Checks{}, err
		}
		s.move(move)
		merge(marks, files, move)
	}
	return checks, c.cover(ctx, g, &checks, marks, set)
}

// merge adds what one stage says about lines to what the others said.
func merge(sum, files map[string]annotate.Lines, m moves) {
	for path, lines := range files {
		if sum[path] == nil {
			sum[path] = annotate.Lines{}
		}
		for line, mark := range lines {
			if now := m.line(path, line); now != 0 {
				sum[path][now] = annotate.Better(sum[path][now], mark)
			}
		}
	}
}

// cover tells which of the lines that the patch set adds no test ran. A line without a letter
// or a digit, such as a closing brace, is not counted: nobody could test it alone.
func (c *Controller) cover(ctx context.Context, g *git.Repo, checks *Checks, marks map[string]annotate.Lines, set review.PatchSet) error {
	if len(marks) == 0 {
		return nil
	}
	hunks, err := c.hunks(ctx, g, set.Parent, set.Commit, slices.Sorted(maps.Keys(marks)))
	if err != nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(marks)) {
		f := FileCoverage{Path: path, Marks: marks[path], Lines: marks[path].String()}
		for _, h := range hunks[path] {
			for _, l := range h.Lines {
				mark := f.Marks[l.New]
				if l.Kind != '+' || mark == annotate.None || !strings.ContainsFunc(l.Text, isWord) {
					continue
				}
				checks.Added++
				if mark == annotate.Missed {
					checks.Missed++
					f.Missed = append(f.Missed, l.New)
				}
			}
		}
		checks.Coverage = append(checks.Coverage, f)
	}
	return nil
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// StageReport is what one stage run reported beside its result, in the lines of what it tested.
type StageReport struct {
	Findings []annotate.Annotation `json:"findings"`
	Dropped  int                   `json:"dropped,omitempty"`
	Notes    []string              `json:"notes,omitempty"`
	CoverRun int                   `json:"cover_run,omitempty"`
	CoverAll int                   `json:"cover_all,omitempty"`
}

// StageReport reads what a stage run reported, for whoever may read it.
func (c *Controller) StageReport(ctx context.Context, actor account.Actor, id int64) (StageReport, error) {
	s, err := c.Stage(ctx, actor, id)
	if err != nil {
		return StageReport{}, err
	}
	q := c.DB.Read()
	r := StageReport{Findings: []annotate.Annotation{}}
	err = each(ctx, q, `SELECT dropped, notes, cover_run, cover_all FROM stage_reports WHERE stage_run_id = $1`, []any{s.executed()}, func(rows *sql.Rows) error {
		var notes string
		err := rows.Scan(&r.Dropped, &notes, &r.CoverRun, &r.CoverAll)
		r.Notes = splitNotes(notes)
		return err
	})
	if err != nil {
		return StageReport{}, fmt.Errorf("gatekeeper: report of stage run %d: %w", id, err)
	}
	found, err := annotationsOf(ctx, q, s.executed())
	r.Findings = append(r.Findings, found...)
	return r, err
}
