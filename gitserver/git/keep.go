package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gatehouse/gitserver/fault"
)

// Keep throws out of the quarantine what the tips do not need: objects of refs that were
// refused, and objects that the pack carried beside what its refs reach. [Quarantine.Check]
// judges only what tips reach, and any object of a repository can be fetched by its name, so
// whatever is left over must not migrate. The tips have passed Check.
func (q *Quarantine) Keep(ctx context.Context, tips []OID) error {
	if err := valid("git.Keep", tips...); err != nil {
		return err
	}
	if q.migrated.Load() {
		return errors.New("git: keep: the objects have migrated")
	}
	if q.sent <= q.reached && sameOIDs(tips, q.checked) {
		return nil // nothing came that the tips do not reach
	}
	kept, err := os.MkdirTemp(q.base.path("objects"), quarantinePrefix+"*")
	if err != nil {
		return fmt.Errorf("git: keep: %w", err)
	}
	if err := q.repackInto(ctx, kept, tips); err != nil {
		return errors.Join(err, os.RemoveAll(kept))
	}
	old := q.dir
	q.base.git.readers.closeAll(q.view)
	q.dir = kept
	if err := os.RemoveAll(old); err != nil {
		return fmt.Errorf("git: keep: %w", err)
	}
	return nil
}

// repackInto writes what the tips reach and no ref does into a quarantine folder.
func (q *Quarantine) repackInto(ctx context.Context, dir string, tips []OID) error {
	if err := os.MkdirAll(filepath.Join(dir, "pack"), 0o700); err != nil {
		return fmt.Errorf("git: keep: %w", err)
	}
	var in strings.Builder
	for _, tip := range tips {
		in.WriteString(string(tip) + "\n")
	}
	refs, err := q.base.Refs(ctx)
	if err != nil {
		return err
	}
	in.WriteString("--not\n") // pack-objects knows no --all here
	for _, ref := range refs {
		in.WriteString(string(ref.OID) + "\n")
	}
	_, err = q.base.git.run(ctx, child{
		args: []string{"pack-objects", "--revs", "--non-empty", "-q", filepath.Join(dir, "pack", "pack")},
		env:  q.view.env(), stdin: strings.NewReader(in.String()), wall: maxCheckWall,
	})
	if err != nil {
		return fault.Wrap(err, fault.Internal, "git.Keep", "the accepted objects could not be set apart")
	}
	return nil
}

// sameOIDs compares as sets.
func sameOIDs(a, b []OID) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}
