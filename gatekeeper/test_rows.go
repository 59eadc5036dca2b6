package gatekeeper

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"gatehouse/gatekeeper/plan"
	"gatehouse/migrations/db"
)

const (
	// maxTestRows is how many results of one stage run are kept for the history of tests,
	// failures first.
	maxTestRows = 2_000
	// maxTestsShown is how many of them every reader of the stage run is given.
	maxTestsShown = 500
	// maxTestMessage is the length in bytes of the words that are kept of a failure in the
	// history; the log has the rest.
	maxTestMessage = 300
)

// testID is the id of a test, made of what it is called. 63 bits of a digest: two tests of a
// repository that shared one would share a history.
func testID(repo int64, stage, test string) int64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %s %s", repo, len(stage), stage, test))
	return int64(binary.BigEndian.Uint64(sum[:8]) >> 1) //nolint:gosec // 63 bits
}

// keepTests writes down how each test of a stage run ended. Tests that were not executed for
// it say nothing new.
func (c *Controller) keepTests(ctx context.Context, tx *db.Tx, w *stageWork, s StageRun) error {
	if s.Tests == nil || (s.State != plan.Passed && s.State != plan.Failed) {
		return nil
	}
	var tests, results [][]any
	seen := map[int64]bool{}
	for _, k := range s.Tests.Cases { // failures first
		name := k.FullName()
		id := testID(w.run.repo, s.Stage, name)
		if seen[id] || len(results) == maxTestRows {
			continue
		}
		seen[id] = true
		tests = append(tests, []any{id, w.run.repo, s.Stage, name, k.Package})
		results = append(results, []any{s.ID, id, len(results), string(k.Status), k.Duration.Microseconds(), firstWords(k.Output), db.Micros(s.FinishedAt)})
	}
	// In one order everywhere: two reports at once must not wait for each other.
	slices.SortFunc(tests, func(a, b []any) int { return cmp.Compare(a[0].(int64), b[0].(int64)) })
	if err := insert(ctx, tx, `INSERT INTO tests (id, repo_id, stage, test, package)`, tests, `ON CONFLICT (id) DO NOTHING`); err != nil {
		return fmt.Errorf("gatekeeper: tests of stage run %d: %w", s.ID, err)
	}
	err := insert(ctx, tx, `INSERT INTO test_results (stage_run_id, test_id, position, status, micros, message, at)`, results, "")
	if err != nil {
		return fmt.Errorf("gatekeeper: tests of stage run %d: %w", s.ID, err)
	}
	return nil
}

// firstWords is the line of a test's output that tells most: the first that is no frame of
// the tool's.
func firstWords(output string) string {
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" || line == "…" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		if len(line) > maxTestMessage {
			line = strings.ToValidUTF8(line[:maxTestMessage], "") + "…"
		}
		return line
	}
	return ""
}

// shownTests is what every reader of a stage run is given of its tests.
func shownTests(t *plan.Tests) *plan.Tests {
	if t == nil || len(t.Cases) <= maxTestsShown {
		return t
	}
	shown := *t
	shown.Cases, shown.Truncated = t.Cases[:maxTestsShown], true
	return &shown
}
