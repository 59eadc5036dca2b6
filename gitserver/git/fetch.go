package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatehouse/gitserver/fault"
)

const (
	// maxAsked bounds the names of one look at another server: they stand in its arguments.
	maxAsked = 200
	// weighEvery is how often the objects of a fetch are weighed while they come.
	weighEvery = 500 * time.Millisecond
)

// LsRemoteRefs lists the refs of the server at url with exactly these full names, or below
// them where a name ends in "/*". What is not there is left out.
func (r *Repo) LsRemoteRefs(ctx context.Context, url string, auth Auth, names ...string) ([]Ref, error) {
	const op = "git.LsRemoteRefs"
	if len(names) == 0 || len(names) > maxAsked {
		return nil, fault.Newf(fault.Invalid, op, "1 to %d names", maxAsked)
	}
	for _, name := range names {
		if below, ok := strings.CutSuffix(name, "/*"); ok {
			name = below + "/x"
		}
		if err := checkOutside(name); err != nil {
			return nil, err
		}
	}
	env, err := r.remoteEnv(op, url, auth)
	if err != nil {
		return nil, err
	}
	args := append([]string{"ls-remote", "--quiet", "--refs", "--", url}, names...)
	out, err := r.git.run(ctx, child{args: args, env: env, wall: lsRemoteWall, max: maxRefListing})
	if err != nil {
		return nil, remoteFault(op, err)
	}
	var refs []Ref
	for line := range strings.Lines(string(out)) {
		oid, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok || !isHex(oid, oidLen) {
			return nil, fault.New(fault.Unavailable, op, "the other server's list of refs is unreadable", "")
		}
		if asked(name, names) { // git matches the end of a name: refs/x/refs/heads/main is not meant
			refs = append(refs, Ref{Name: name, OID: OID(oid), Peeled: OID(oid)})
		}
	}
	return refs, nil
}

// checkOutside is [CheckRefName] for names that are read from another server and never made
// here: forges call the head of a pull request refs/pull/N/head.
func checkOutside(name string) error {
	if below, ok := strings.CutSuffix(name, "/head"); ok {
		name = below + "/x"
	}
	return CheckRefName(name)
}

func asked(name string, names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		if below, ok := strings.CutSuffix(n, "*"); ok {
			return strings.HasPrefix(name, below) && checkOutside(name) == nil
		}
		return n == name
	})
}

// Fetch brings what refs of another server hold into the quarantine, and moves no ref. The
// objects are checked as those of a push are; what the tips do not need is thrown out by
// [Quarantine.Keep].
func (q *Quarantine) Fetch(ctx context.Context, url string, refs []string, auth Auth, limits PackLimits) error {
	const op = "git.Fetch"
	limits = limits.withDefaults()
	if len(refs) == 0 || len(refs) > maxAsked {
		return fault.Newf(fault.Invalid, op, "1 to %d refs", maxAsked)
	}
	for _, ref := range refs {
		if err := checkOutside(ref); err != nil {
			return err
		}
	}
	if q.migrated.Load() {
		return errors.New("git: fetch: the objects have migrated")
	}
	env, err := q.view.remoteEnv(op, url, auth)
	if err != nil {
		return err
	}
	args := []string{"-c", "fetch.fsckObjects=true", "-c", "fetch.unpackLimit=1"}
	for severity := range strings.SplitSeq(strings.TrimPrefix(fsckSeverities, "="), ",") {
		args = append(args, "-c", "fetch.fsck."+severity)
	}
	args = append(args, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance",
		"--no-recurse-submodules", "--no-prune", "--refmap=", "--", url)
	weighed, stop := q.weigh(ctx, limits.Bytes)
	_, err = q.base.git.run(weighed, child{args: append(args, refs...), env: env, wall: limits.Wall})
	stop()
	q.sent = math.MaxInt // nobody counted: Keep sets the wanted ones apart
	if size, sizeErr := q.size(); sizeErr == nil && size > limits.Bytes {
		return fault.New(fault.TooLarge, op, fmt.Sprintf("what the other server sends is larger than %d bytes", limits.Bytes), "bring it in smaller parts")
	}
	if err != nil {
		return remoteFault(op, err)
	}
	return nil
}

// weigh gives a context that ends when the quarantine grows beyond limit: git has no bound of
// its own for what a fetch brings.
func (q *Quarantine) weigh(ctx context.Context, limit int64) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		look := time.NewTicker(weighEvery)
		defer look.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-look.C:
			}
			if size, err := q.size(); err == nil && size > limit {
				cancel()
				return
			}
		}
	}()
	return ctx, func() { cancel(); <-ended }
}

// size is how many bytes the quarantine takes.
func (q *Quarantine) size() (int64, error) {
	var total int64
	err := filepath.WalkDir(q.dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreAbsent(err)
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return ignoreAbsent(err)
	})
	return total, err
}

// ignoreAbsent lets pass that a temporary file was renamed while the folder was read.
func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// PushExactly moves one branch of another server from old ([Zero]: it is not there) to to, a
// commit that follows from old, and in no other case: when the branch is anywhere else there
// it is a Conflict; when that server does not want it, Refused. Nothing is rewound.
func (r *Repo) PushExactly(ctx context.Context, url, ref string, old, to OID, auth Auth) error {
	const op = "git.PushExactly"
	if err := checkRefspecs(op, []string{string(to) + ":" + ref}, false, "refs/heads/"); err != nil {
		return err
	}
	if err := valid(op, old, to); err != nil {
		return err
	}
	expected := ""
	if !old.IsZero() {
		forward, err := r.IsAncestor(ctx, old, to)
		if err != nil {
			return err
		}
		if !forward {
			return fault.Newf(fault.Refused, op, "%s does not follow from %s", to.Short(), old.Short())
		}
		expected = string(old)
	}
	env, err := r.remoteEnv(op, url, auth)
	if err != nil {
		return err
	}
	// The lease makes it a compare-and-swap there; that it only goes forward was seen above.
	args := []string{"push", "--porcelain", "--quiet", "--no-verify", "--no-follow-tags", "--no-signed", "--recurse-submodules=no",
		"--force-with-lease=" + ref + ":" + expected, "--", url, string(to) + ":" + ref}
	var out strings.Builder
	if _, err = r.git.run(ctx, child{args: args, env: env, stdout: &out, wall: pushWall}); err == nil {
		return nil
	}
	return pushFault(op, out.String(), err)
}
