// Package sim plays workloads against the merge queue on a virtual clock: pre-drawn traces
// and generated ones, with the production [queue.Step] and, for comparison, the policies of
// other merge queues, all under the same rules.
package sim

import (
	"encoding/json"
	"fmt"
	"os"
)

// Trace is a workload whose luck was drawn beforehand, so that every policy meets the same.
// Times are minutes.
type Trace struct {
	Name        string  `json:"name"`
	Seed        int64   `json:"seed"`
	RatePerHour float64 `json:"rate_per_hour"`
	Hours       float64 `json:"hours"`
	// Workers are the worker counts to run it with.
	Workers []int `json:"workers"`
	// BatchBeta is by how much of its time a build grows with each member after the first.
	BatchBeta float64 `json:"batch_beta"`
	// FlakeP is the probability with which the flakes were drawn.
	FlakeP float64 `json:"flake_p"`
	// Analyzer says that only changes that share a module may conflict; without it any may.
	Analyzer bool `json:"analyzer"`
	// History holds decided changes that a learner may be warmed with.
	History []Change `json:"history"`
	// Changes come in the order of their arrival; the index is the id.
	Changes []Change `json:"changes"`
}

// Change is one change of a trace. Whether it passes, what it conflicts with and which of its
// builds flake is hidden from every policy but the oracle.
type Change struct {
	Arrival   float64 `json:"t"`
	Minutes   float64 `json:"d"`
	OK        int     `json:"ok"`
	Author    int     `json:"a"`
	Size      float64 `json:"s"`
	Modules   []int   `json:"m"`
	Conflicts []int   `json:"c"`
	Flakes    []int   `json:"f"`
}

// Load reads a trace.
func Load(path string) (*Trace, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the caller names the file
	if err != nil {
		return nil, fmt.Errorf("sim: trace: %w", err)
	}
	var t Trace
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, fmt.Errorf("sim: trace %s: %w", path, err)
	}
	return &t, t.check()
}

// check refuses a trace that cannot be played.
func (t *Trace) check() error {
	for i, c := range t.Changes {
		switch {
		case c.Minutes <= 0:
			return fmt.Errorf("sim: change %d of trace %s takes %v minutes", i, t.Name, c.Minutes)
		case i > 0 && c.Arrival < t.Changes[i-1].Arrival:
			return fmt.Errorf("sim: change %d of trace %s arrives before the one above it: sort them by time", i, t.Name)
		}
		for _, j := range c.Conflicts {
			if j < 0 || j >= i {
				return fmt.Errorf("sim: change %d of trace %s conflicts with %d, which is no earlier change", i, t.Name, j)
			}
		}
	}
	return nil
}
