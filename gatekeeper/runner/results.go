package runner

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"syscall"

	"gatehouse/gatekeeper/plan"
)

// readResults reads the files with test results that a stage left in its tree, and adds them up.
// The stage is over, but what it left is still its own: a link that leads out of the tree is not
// followed, a pipe is not waited for, and a file is read up to max bytes.
func readResults(tree string, results map[string]string, max int64, m *mask) (*plan.Tests, map[string]float64, error) {
	if len(results) == 0 {
		return nil, nil, nil
	}
	root, err := os.OpenRoot(tree)
	if err != nil {
		return nil, nil, fmt.Errorf("runner: results: %w", err)
	}
	defer func() { _ = root.Close() }()
	var all *plan.Tests
	var metrics map[string]float64
	var errs []error
	for _, kind := range slices.Sorted(maps.Keys(results)) {
		text, err := readResult(root, results[kind], max, m)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if kind == plan.Metrics {
			if metrics, err = plan.ReadMetrics(bytes.NewReader(text)); err != nil {
				errs = append(errs, fmt.Errorf("its metrics file %q does not parse: %w", results[kind], err))
			}
			continue
		}
		tests, err := plan.ParseResults(kind, text)
		if err != nil {
			errs = append(errs, fmt.Errorf("its results file %q does not parse: %w", results[kind], err))
			continue
		}
		if all == nil {
			all = &tests
			continue
		}
		all.Passed += tests.Passed
		all.Failed += tests.Failed
		all.Skipped += tests.Skipped
		all.Duration += tests.Duration
		all.Cases = append(all.Cases, tests.Cases...)
		all.Truncated = all.Truncated || tests.Truncated
	}
	return all, metrics, errors.Join(errs...)
}

// readResult reads a file with its secrets masked, before anything of it is cut.
func readResult(root *os.Root, name string, max int64, m *mask) ([]byte, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("it did not write its results file %q", name)
	}
	if err != nil {
		return nil, fmt.Errorf("its results file %q cannot be read", name)
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("its results file %q is not a regular file", name)
	}
	text, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, fmt.Errorf("its results file %q cannot be read", name)
	}
	if int64(len(text)) > max {
		return nil, fmt.Errorf("its results file %q is larger than %d bytes", name, max)
	}
	return m.bytes(text), nil
}
