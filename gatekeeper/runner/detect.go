package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/git"
)

// probeTimeout bounds a try of a sandbox, which takes some ten milliseconds.
const probeTimeout = 20 * time.Second

// Detect finds the best sandbox that really works here, by running a stage in it. When none does,
// the error says of each why not, and what to do.
func Detect(ctx context.Context) (Mode, error) {
	var errs []error
	for _, mode := range []Mode{Bubblewrap, Embedded} {
		err := Probe(ctx, mode)
		if err == nil {
			return mode, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", mode, err))
	}
	return "", fmt.Errorf("no sandbox works here:\n%w", errors.Join(errs...))
}

// probeScript passes where the walls stand: its own processes only, no way to the secret, no
// writing outside, a shell that is not its own init.
const probeScript = `set -e
test "$(cat hello)" = hello
test "$$" != 1
test ! -e "$SECRET"
! (: > /usr/probe) 2>/dev/null
! (: > /probe) 2>/dev/null
: > /tmp/probe
echo fine`

// Probe runs a stage in mode and says what keeps it from working.
func Probe(ctx context.Context, mode Mode) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	dir, err := os.MkdirTemp("", "gate-probe-")
	if err != nil {
		return fmt.Errorf("runner: probe: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder that the system clears as well
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		return fmt.Errorf("runner: probe: %w", err)
	}
	var out bytes.Buffer
	r := &Runner{Work: filepath.Join(dir, "work"), Sandbox: mode}
	result := r.Run(ctx, Request{
		Stage: plan.Stage{Run: probeScript}, Repo: probeTree{}, Log: &out, Env: map[string]string{"SECRET": secret},
	})
	if result.State == passed && strings.TrimSpace(out.String()) == "fine" {
		return nil
	}
	return fmt.Errorf("%s %s%s", result.State, result.Reason, strings.TrimSpace(" "+out.String()))
}

// probeTree is the source of the probe's stage.
type probeTree struct{}

// Checkout writes the one file that the probe looks for.
func (probeTree) Checkout(_ context.Context, _ git.OID, dir string) error {
	return os.WriteFile(filepath.Join(dir, "hello"), []byte("hello\n"), 0o644) //nolint:gosec // the stage reads it
}
