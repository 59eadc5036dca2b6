package gatekeeper

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

const (
	// maxHistory is how many results of a test are listed, the newest first.
	maxHistory = 100
	// maxTestsFound is how many tests one search lists.
	maxTestsFound = 200
)

// TestRow is how one test ended in a stage run.
type TestRow struct {
	Stage   string          `json:"stage"`
	Test    string          `json:"test"` // with its package, as flakes are called
	Package string          `json:"package,omitempty"`
	Status  plan.CaseStatus `json:"status"`
	Took    time.Duration   `json:"took,omitempty"`    // nanoseconds
	Message string          `json:"message,omitempty"` // the first words of a failure
	// Flakes is how often it failed in the last 30 days without a change's doing.
	Flakes int `json:"flakes,omitempty"`
}

// StageTests lists the tests of a stage run, the failed ones first, for whoever may read it.
// Up to 2,000 are kept for 30 days; Tests of the stage run has the counts of all.
func (c *Controller) StageTests(ctx context.Context, actor account.Actor, id int64) ([]TestRow, error) {
	s, err := c.Stage(ctx, actor, id)
	if err != nil {
		return nil, err
	}
	rows := []TestRow{}
	err = each(ctx, c.DB.Read(), `SELECT t.stage, t.test, t.package, x.status, x.micros, x.message,
			(SELECT COUNT(*) FROM flakes f WHERE f.repo_id = t.repo_id AND f.stage = t.stage AND f.test = t.test AND f.at >= $1)
		FROM test_results x JOIN tests t ON t.id = x.test_id WHERE x.stage_run_id = $2 ORDER BY x.position`,
		[]any{db.Micros(c.Now().Add(-flakeWindow)), s.executed()}, func(r *sql.Rows) error {
			var row TestRow
			var micros int64
			err := r.Scan(&row.Stage, &row.Test, &row.Package, &row.Status, &micros, &row.Message, &row.Flakes)
			row.Took = time.Duration(micros) * time.Microsecond
			rows = append(rows, row)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: tests of stage run %d: %w", id, err)
	}
	return rows, nil
}

// TestCount is what became of a test in the last 30 days.
type TestCount struct {
	Stage    string        `json:"stage"`
	Test     string        `json:"test"`
	Runs     int           `json:"runs"`     // executed; results that were taken over do not count
	Failures int           `json:"failures"` // of the runs
	Flakes   int           `json:"flakes"`   // of the failures, those that were not the change's doing
	Mean     time.Duration `json:"mean"`     // nanoseconds
	Last     time.Time     `json:"last"`
}

// Tests counts the tests of a repository whose names hold text, those that fail most first,
// for whoever may read it. At most 200 are listed.
func (c *Controller) Tests(ctx context.Context, actor account.Actor, repoName, text string) ([]TestCount, error) {
	r, err := c.readable(ctx, actor, repoName)
	if err != nil {
		return nil, err
	}
	since := db.Micros(c.Now().Add(-flakeWindow))
	all := []TestCount{}
	err = each(ctx, c.DB.Read(), `SELECT t.stage, t.test, COUNT(*), SUM(CASE WHEN x.status = 'failed' THEN 1 ELSE 0 END), AVG(x.micros), MAX(x.at),
			(SELECT COUNT(*) FROM flakes f WHERE f.repo_id = t.repo_id AND f.stage = t.stage AND f.test = t.test AND f.at >= $1)
		FROM tests t JOIN test_results x ON x.test_id = t.id
		WHERE t.repo_id = $2 AND x.at >= $3 AND LOWER(t.test) LIKE $4 ESCAPE '!'
		GROUP BY t.id, t.repo_id, t.stage, t.test ORDER BY 4 DESC, 7 DESC, 5 DESC, 2, 1 LIMIT $5`,
		[]any{since, r.ID, since, "%" + likeText(text) + "%", maxTestsFound}, func(r *sql.Rows) error {
			var t TestCount
			var mean float64
			var last int64
			err := r.Scan(&t.Stage, &t.Test, &t.Runs, &t.Failures, &mean, &last, &t.Flakes)
			t.Mean, t.Last = time.Duration(mean)*time.Microsecond, db.Time(last)
			all = append(all, t)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: tests of %s: %w", repoName, err)
	}
	return all, nil
}

// likeText is text as a part of a pattern of LIKE with the escape character "!".
func likeText(text string) string {
	return strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(strings.ToLower(text))
}

// readable finds a repository that the actor may read.
func (c *Controller) readable(ctx context.Context, actor account.Actor, name string) (repo.Repository, error) {
	r, err := c.Repos.ByName(ctx, c.DB.Read(), name)
	if err != nil {
		return repo.Repository{}, err
	}
	return r, c.May(ctx, actor, account.Read, r.Resource(""))
}

// TestHistory is how a test ended in its last runs.
type TestHistory struct {
	TestCount
	Results []TestResult `json:"results"` // the newest first, at most 100
}

// TestResult is how a test ended in one stage run that was executed.
type TestResult struct {
	StageRun int64           `json:"stage_run"`
	Change   int64           `json:"change,omitempty"` // 0 is the branch itself
	PatchSet int             `json:"patch_set,omitempty"`
	Branch   string          `json:"branch"`
	Commit   git.OID         `json:"commit"`
	Status   plan.CaseStatus `json:"status"`
	Took     time.Duration   `json:"took,omitempty"` // nanoseconds
	Message  string          `json:"message,omitempty"`
	// Flake says how the failure was found not to be the change's doing, "" when it was not.
	Flake FlakeKind `json:"flake,omitempty"`
	At    time.Time `json:"at"`
}

// TestHistory reads how a test ended in the last 30 days, for whoever may read the
// repository. Without a stage, the test is looked for in all of them; it must be in one only.
func (c *Controller) TestHistory(ctx context.Context, actor account.Actor, repoName, stage, test string) (TestHistory, error) {
	r, err := c.readable(ctx, actor, repoName)
	if err != nil {
		return TestHistory{}, err
	}
	if stage == "" {
		if stage, err = c.stageOfTest(ctx, r, test); err != nil {
			return TestHistory{}, err
		}
	}
	h := TestHistory{TestCount: TestCount{Stage: stage, Test: test}, Results: []TestResult{}}
	var sum time.Duration
	err = each(ctx, c.DB.Read(), `SELECT x.stage_run_id, r.change_id, r.ps, r.branch, r.commit_oid, x.status, x.micros, x.message, x.at, COALESCE(f.kind, '')
		FROM tests t JOIN test_results x ON x.test_id = t.id JOIN stage_runs s ON s.id = x.stage_run_id JOIN runs r ON r.id = s.run_id
		LEFT JOIN flakes f ON f.stage_run_id = x.stage_run_id AND f.test = t.test
		WHERE t.repo_id = $1 AND t.stage = $2 AND t.test = $3 AND x.at >= $4 ORDER BY x.stage_run_id DESC`,
		[]any{r.ID, stage, test, db.Micros(c.Now().Add(-flakeWindow))}, func(rows *sql.Rows) error {
			var t TestResult
			var micros, at int64
			if err := rows.Scan(&t.StageRun, &t.Change, &t.PatchSet, &t.Branch, &t.Commit, &t.Status, &micros, &t.Message, &at, &t.Flake); err != nil {
				return err
			}
			t.Took, t.At = time.Duration(micros)*time.Microsecond, db.Time(at)
			h.add(t)
			sum += t.Took
			return nil
		})
	if err != nil {
		return TestHistory{}, fmt.Errorf("gatekeeper: history of test %q: %w", test, err)
	}
	if h.Runs == 0 {
		return TestHistory{}, fault.New(fault.NotFound, "gatekeeper.TestHistory", fmt.Sprintf("no test %q ran in stage %s of %s in the last 30 days", test, stage, r.Name), "search for a part of its name")
	}
	h.Mean = sum / time.Duration(h.Runs)
	return h, nil
}

func (h *TestHistory) add(t TestResult) {
	h.Runs++
	if t.Status == plan.CaseFailed {
		h.Failures++
	}
	if t.Flake != "" {
		h.Flakes++
	}
	if h.Last.IsZero() {
		h.Last = t.At
	}
	if len(h.Results) < maxHistory {
		h.Results = append(h.Results, t)
	}
}

// stageOfTest finds the one stage that has the test.
func (c *Controller) stageOfTest(ctx context.Context, r repo.Repository, test string) (string, error) {
	var stages []string
	err := each(ctx, c.DB.Read(), `SELECT stage FROM tests WHERE repo_id = $1 AND test = $2 ORDER BY stage`, []any{r.ID, test}, func(rows *sql.Rows) error {
		var stage string
		err := rows.Scan(&stage)
		stages = append(stages, stage)
		return err
	})
	switch {
	case err != nil:
		return "", fmt.Errorf("gatekeeper: stage of test %q: %w", test, err)
	case len(stages) == 0:
		return "", fault.New(fault.NotFound, "gatekeeper.TestHistory", fmt.Sprintf("no test %q ran in %s in the last 30 days", test, r.Name), "search for a part of its name")
	case len(stages) > 1:
		return "", fault.New(fault.Invalid, "gatekeeper.TestHistory", fmt.Sprintf("test %q runs in several stages", test), "name one of "+strings.Join(stages, ", "))
	}
	return stages[0], nil
}

// Slowest orders tests by how long they took, the slowest first.
func Slowest(a, b TestRow) int {
	return cmp.Or(cmp.Compare(b.Took, a.Took), cmp.Compare(a.Test, b.Test))
}
