package assembly

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
)

const (
	// scriptTimeout bounds a script when nobody else does: a slow cloud brings a machine up in that.
	scriptTimeout = 30 * time.Minute
	// maxScriptOutput is how much of a script's output is read for what it tells.
	maxScriptOutput = 1 << 20
	// tryAgain is the exit code by which a script says that the machinery is at fault (EX_TEMPFAIL
	// in sysexits.h).
	tryAgain = 75
)

// script is one run of a script of the repository, in the sandbox and with network.
type script struct {
	op, what string
	spec     Spec
	text     string
	env      map[string]string // beside what the spec tells
	bare     bool              // without the artifact
}

// Checkout makes the tree of the script: the commit, and the artifact in a folder whose name no
// commit can have known, so that no link of the commit leads elsewhere from there.
func (s script) checkout(artifact string) unpacked {
	return func(ctx context.Context, dir string) error {
		if s.spec.Tree == nil {
			return errors.New("no commit to check out")
		}
		if err := s.spec.Tree(ctx, dir); err != nil || s.bare {
			return err
		}
		if s.spec.Unpack == nil {
			return errors.New("no artifact to unpack")
		}
		into := filepath.Join(dir, artifact)
		if err := os.Mkdir(into, 0o755); err != nil { //nolint:gosec // the script reads it
			return err
		}
		return s.spec.Unpack(ctx, into)
	}
}

// run returns what the script printed. Exit code 75, and a sandbox that does not work, are the
// machinery's fault; every other end but 0 is the code's.
func (s script) run(ctx context.Context, r *runner.Runner) (string, error) {
	env := maps.Clone(s.spec.Secrets)
	if env == nil {
		env = map[string]string{}
	}
	maps.Copy(env, s.spec.told())
	maps.Copy(env, s.env)
	text := s.text
	artifact := ".gate-artifact-" + strings.ToLower(rand.Text())
	if !s.bare {
		text = "export GATE_ARTIFACT=\"$PWD/" + artifact + "\"\n" + text
	}
	book := &logbook{also: s.spec.Log}
	out := &capture{left: maxScriptOutput}
	log := newMask(book, s.spec.Secrets)
	result := r.Run(ctx, runner.Request{
		StageRun: s.spec.ID, RepoID: s.spec.RepoID, Trust: s.spec.Trust, Repo: s.checkout(artifact), Commit: git.OID(s.spec.Commit),
		Stage: plan.Stage{Name: s.spec.Environment, Run: text, Timeout: scriptTimeout, Network: true, Env: s.spec.Env},
		Env:   env, Log: io.MultiWriter(out, log),
	})
	log.flush()
	words := hide(afterWords(fmt.Sprintf("%s ended: %s", s.what, result.Reason), book.last()), s.spec.Secrets)
	switch state := plan.StageState(result.State); {
	case state == plan.Passed:
		return out.String(), nil
	case state == plan.Failed && result.ExitCode != tryAgain, state == plan.TimedOut:
		return out.String(), fault.New(fault.Refused, s.op, words, "see its log")
	default:
		return out.String(), fault.New(fault.Unavailable, s.op, words, "")
	}
}

// capture keeps the first bytes.
type capture struct {
	bytes.Buffer
	left int
}

// Write keeps what fits and takes all.
func (c *capture) Write(p []byte) (int, error) {
	keep := p[:min(len(p), c.left)]
	c.left -= len(keep)
	_, err := c.Buffer.Write(keep)
	return len(p), err
}

// line is the value of the last line NAME=value of a script's output, or "".
func line(output, name string) string {
	value := ""
	for l := range strings.Lines(output) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(l), name+"="); ok {
			value = v
		}
	}
	return value
}
