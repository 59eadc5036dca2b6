package runner

import (
	"bufio"
	"bytes"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"gatehouse/gatekeeper/annotate"
	"gatehouse/gatekeeper/plan"
)

// reports gathers what a stage says about lines: from its output while it runs, and from the
// files that it leaves. What cannot be read is noted and changes no verdict.
type reports struct {
	stage    plan.Stage
	findings *annotate.Collector
	profiles annotate.Profiles
	scanner  *annotate.Scanner // nil when the plan does not ask for it
	tree     annotate.Tree
	root     *os.Root // the tree; nil when it cannot be opened
	max      int64
	mask     *mask
}

// reports prepares for the stage's output, which is looked at before it goes into the log.
func (j *job) reports() *reports {
	r := &reports{stage: j.req.Stage, findings: &annotate.Collector{Changed: j.req.Changed}, profiles: annotate.Profiles{Changed: j.req.Changed}, max: j.limits.Results, mask: j.mask}
	r.tree.Roots = []string{j.tree}
	if j.runner.Sandbox != None {
		r.tree.Roots = []string{workAt}
	}
	if root, err := os.OpenRoot(j.tree); err == nil {
		r.root = root
	}
	r.tree.Exists = func(name string) bool {
		if r.root == nil {
			return false
		}
		info, err := r.root.Lstat(name)
		return err == nil && info.Mode().IsRegular()
	}
	s := &annotate.Scanner{Collector: r.findings, Tree: r.tree}
	for _, a := range r.stage.Annotations {
		s.Commands = s.Commands || a.Kind == plan.Commands
		s.Lines = s.Lines || a.Kind == plan.Lines && a.File == ""
	}
	if s.Commands || s.Lines {
		r.scanner = s
		j.req.Log = both{j.req.Log, s}
	}
	return r
}

// both passes output on, and shows it to the scanner.
type both struct {
	log     io.Writer
	scanner *annotate.Scanner
}

// Write fails when the log does.
func (b both) Write(p []byte) (int, error) {
	_, _ = b.scanner.Write(p) // it takes everything
	if b.log == nil {
		return len(p), nil
	}
	return b.log.Write(p)
}

func (r *reports) close() {
	if r.root != nil {
		_ = r.root.Close() // it was only read
	}
}

// read takes in the files that the stage left in its tree.
func (r *reports) read(result *Result) {
	if r.scanner != nil {
		r.scanner.Close()
	}
	if r.root == nil {
		result.Notes = append(result.Notes, "its reports cannot be read")
		return
	}
	for _, a := range r.stage.Annotations {
		if a.File == "" {
			continue
		}
		text, err := readResult(r.root, a.File, r.max, r.mask)
		if err == nil {
			err = r.findings.Parse(a.Kind, text, r.tree)
		}
		note(result, a.File, err)
	}
	for _, kind := range slices.Sorted(maps.Keys(r.stage.Coverage)) {
		name := r.stage.Coverage[kind]
		text, err := readResult(r.root, name, r.max, r.mask)
		if err == nil {
			at := r.tree
			at.Modules = modules(r.root, name)
			err = r.profiles.Parse(kind, text, at)
		}
		note(result, name, err)
	}
	result.Findings, result.Coverage = r.findings.Findings(), r.profiles.Coverage()
}

func note(result *Result, name string, err error) {
	if err != nil {
		text := strings.TrimPrefix(err.Error(), "annotate: ")
		if !strings.Contains(text, name) {
			text = name + ": " + text
		}
		result.Notes = append(result.Notes, strings.ReplaceAll(text, "\n", " "))
	}
}

// maxModuleFile is how much of a go.mod is read: its module line is among the first.
const maxModuleFile = 64 << 10

// modules finds the Go modules that a profile can speak of: those of its folder and of the
// folders above.
func modules(root *os.Root, profile string) map[string]string {
	found := map[string]string{}
	for dir := path.Dir(profile); ; dir = path.Dir(dir) {
		if name := moduleIn(root, path.Join(dir, "go.mod")); name != "" {
			found[name] = strings.TrimPrefix(dir, ".")
		}
		if dir == "." || dir == "/" {
			return found
		}
	}
}

// moduleIn is the module path that a go.mod declares, "" for none.
func moduleIn(root *os.Root, name string) string {
	text, err := readResult(root, name, maxModuleFile, nil)
	if err != nil {
		return ""
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "module "); ok {
			rest, _, _ = strings.Cut(rest, "//")
			return strings.Trim(strings.TrimSpace(rest), "\"`")
		}
	}
	return ""
}
