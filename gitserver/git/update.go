package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"

	"gatehouse/gitserver/fault"
)

// RefUpdate is one step of a ref transaction.
type RefUpdate struct {
	Ref string // full name
	// Old is what the ref must hold now: [Zero] means it must not exist, "" means anything.
	Old OID
	New OID // [Zero] deletes
}

// maxRefUpdates bounds one transaction: far beyond a push (256 refs), within an import's tags.
const maxRefUpdates = 50_000

// UpdateRefs makes all updates or none, durably, in one transaction of git's. A ref that no
// longer holds its Old is a Conflict: somebody else moved it first. why goes to the reflog.
// A symbolic ref is Refused, because to write through it moves a ref that nobody named.
// Once begun it does not stop with ctx, so that its outcome is always known.
func (r *Repo) UpdateRefs(ctx context.Context, updates []RefUpdate, why string) error {
	const op = "git.UpdateRefs"
	if r.q != nil && !r.q.migrated.Load() {
		return fmt.Errorf("git: update refs: the objects are still in quarantine")
	}
	if len(updates) == 0 {
		return nil
	}
	if len(updates) > maxRefUpdates {
		return fault.Newf(fault.TooLarge, op, "more than %d refs at once", maxRefUpdates)
	}
	script, err := r.updateScript(updates)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("git: update refs: %w", err)
	}
	crash("git.refs.before")
	// From here on it ends by itself: a client that goes away must not leave locks behind, nor
	// a caller that does not know whether the ref has moved.
	ctx = context.WithoutCancel(ctx)
	out, err := r.git.run(ctx, child{
		args:  []string{"update-ref", "-z", "--stdin", "-m", reflogLine(why)},
		env:   r.env(),
		stdin: bytes.NewReader(script),
	})
	if err != nil {
		return r.whyNotUpdated(ctx, updates, string(out), err)
	}
	if !bytes.Contains(out, []byte("commit: ok")) {
		return errors.New("git: update refs: git did not confirm the commit")
	}
	if err := r.syncRefs(updates); err != nil {
		return err
	}
	crash("git.refs.after")
	return nil
}

// updateScript writes what update-ref -z --stdin reads, after checking every name.
func (r *Repo) updateScript(updates []RefUpdate) ([]byte, error) {
	const op = "git.UpdateRefs"
	var b bytes.Buffer
	seen := map[string]bool{}
	b.WriteString("start\x00")
	for _, u := range updates {
		if err := CheckRefName(u.Ref); err != nil {
			return nil, err
		}
		if strings.HasPrefix(u.Ref, "refs/replace/") {
			return nil, fault.New(fault.Refused, op, "refs/replace/ changes what every reader sees and is never written", "")
		}
		if seen[u.Ref] {
			return nil, fault.Newf(fault.Invalid, op, "%s is named twice", u.Ref)
		}
		seen[u.Ref] = true
		sym, err := r.symbolic(u.Ref)
		if err != nil {
			return nil, fmt.Errorf("git: update refs: %w", err)
		}
		if sym {
			return nil, fault.Newf(fault.Refused, op, "%s is a symbolic ref; name the ref it points at", u.Ref)
		}
		if err := valid(op, u.New); err != nil {
			return nil, err
		}
		if u.Old != "" {
			if err := valid(op, u.Old); err != nil {
				return nil, err
			}
		}
		b.WriteString("option no-deref\x00")
		switch {
		case u.New == Zero && u.Old == Zero:
			fmt.Fprintf(&b, "verify %s\x00%s\x00", u.Ref, Zero)
		case u.New == Zero:
			fmt.Fprintf(&b, "delete %s\x00%s\x00", u.Ref, u.Old)
		default:
			fmt.Fprintf(&b, "update %s\x00%s\x00%s\x00", u.Ref, u.New, u.Old)
		}
	}
	b.WriteString("prepare\x00commit\x00")
	return b.Bytes(), nil
}

// whyNotUpdated turns a failed transaction into a fault. It looks at the refs, not at git's
// words: when one of them does not hold its Old, somebody else was first.
func (r *Repo) whyNotUpdated(ctx context.Context, updates []RefUpdate, out string, cause error) error {
	const op = "git.UpdateRefs"
	if strings.Contains(out, "prepare: ok") {
		// Every lock was held and every Old was right: what failed is the writing itself.
		return fmt.Errorf("git: update refs: commit: %w", cause)
	}
	names := make([]string, len(updates))
	for i, u := range updates {
		names[i] = u.Ref
	}
	if len(names) > 100 { // beyond that a listing of all is shorter than the argument list
		names = nil
	}
	refs, err := r.Refs(ctx, names...)
	if err != nil {
		return errors.Join(cause, err)
	}
	now := make(map[string]OID, len(refs))
	for _, f := range refs {
		now[f.Name] = f.OID
	}
	for _, u := range updates {
		held, ok := now[u.Ref]
		if !ok {
			held = Zero
		}
		if u.Old != "" && held != u.Old {
			return &fault.Error{Kind: fault.Conflict, Op: op, Err: cause,
				Public: u.Ref + " has moved on to " + shown(held), Next: "fetch it and try again"}
		}
	}
	for _, u := range updates {
		if rival := r.rival(ctx, u); rival != "" {
			return &fault.Error{Kind: fault.Refused, Op: op, Err: cause,
				Public: u.Ref + " cannot stand beside " + rival, Next: "choose another name"}
		}
	}
	return fmt.Errorf("git: update refs: %w", cause)
}

// rival is a ref that occupies part of the name of a ref to be made (a/b against a), "" when
// there is none.
func (r *Repo) rival(ctx context.Context, u RefUpdate) string {
	if u.New == Zero {
		return ""
	}
	below, err := r.Refs(ctx, u.Ref+"/")
	if err != nil {
		return ""
	}
	if len(below) > 0 {
		return below[0].Name
	}
	for dir := filepath.Dir(u.Ref); strings.Count(dir, "/") >= 2; dir = filepath.Dir(dir) {
		if held, err := r.RefOID(ctx, dir); err == nil && held != Zero {
			return dir
		}
	}
	return ""
}

// syncRefs flushes what a transaction may have touched: the files, packed-refs, reflogs, and
// the directories that name them.
func (r *Repo) syncRefs(updates []RefUpdate) error {
	var dirs []string
	for _, u := range updates {
		for _, name := range []string{r.path(u.Ref), r.path("logs", u.Ref)} {
			if err := syncFile(name); err != nil && !absent(err) {
				return fmt.Errorf("git: sync refs: %w", err)
			}
			dirs = append(dirs, filepath.Dir(name))
		}
	}
	if err := syncFile(r.path("packed-refs")); err != nil && !absent(err) {
		return fmt.Errorf("git: sync refs: %w", err)
	}
	return syncUp(r.dir, dirs...)
}

// absent reports whether err says that a file is not there (or, for a ref that was replaced
// by a directory meanwhile, is no file).
func absent(err error) bool {
	return errors.Is(err, syscall.ENOENT) || isNotDir(err)
}

// isNotDir reports whether a parent of the name is a file.
func isNotDir(err error) bool { return errors.Is(err, syscall.ENOTDIR) }

// shown is an object name for people.
func shown(o OID) string {
	if o.IsZero() {
		return "nothing"
	}
	return o.Short()
}

// reflogLine makes one line of why.
func reflogLine(why string) string {
	line := strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, clip(why))
	if strings.TrimSpace(line) == "" {
		return "update"
	}
	return line
}
