package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"gatehouse/gitserver/fault"
)

// Check holds what the push adds against the quarantine's Policy, and makes sure that nothing
// which the new tips reach is missing. What existing refs reach is neither read nor judged.
// The first flaw found is a Refused or TooLarge fault that names the commit or the path.
func (q *Quarantine) Check(ctx context.Context, newTips []OID) error {
	const op = "git.Check"
	if err := valid(op, newTips...); err != nil {
		return err
	}
	if len(newTips) == 0 {
		return nil
	}
	if err := q.tipsAreCommits(ctx, newTips); err != nil {
		return err
	}
	c := &checker{policy: q.Policy, repo: q.view,
		commits: map[OID]commitShape{}, large: map[OID]int64{}, clean: map[OID]bool{}}
	if err := c.connectivity(ctx, newTips); err != nil {
		return err
	}
	if err := c.headers(ctx); err != nil {
		return err
	}
	return c.content(ctx)
}

// tipsAreCommits refuses tags of trees and blobs: nothing here reviews or tests those.
func (q *Quarantine) tipsAreCommits(ctx context.Context, tips []OID) error {
	return q.view.withReader(ctx, func(b *reader) error {
		for _, tip := range tips {
			oid := tip
			for depth := 0; ; depth++ {
				kind, size, err := b.info(oid)
				switch {
				case fault.Is(err, fault.NotFound):
					return refusal("the object "+oid.Short(), "is not in the push, nor here", "push again")
				case err != nil:
					return err
				}
				if kind == "commit" {
					break
				}
				if kind != "tag" || depth == maxTagDepth || size > MaxCommit {
					return refusal("the tip "+tip.Short(), "is not a commit or a tag of one", "push a commit")
				}
				var raw bytes.Buffer
				if _, err := b.contents(oid, MaxCommit, &raw); err != nil {
					return err
				}
				line, _, _ := strings.Cut(raw.String(), "\n")
				next, ok := strings.CutPrefix(line, "object ")
				if !ok || !isHex(next, oidLen) {
					return refusal("the tag "+oid.Short(), "is not readable", "make it again with git tag")
				}
				oid = OID(next)
			}
		}
		return nil
	})
}

// commitShape is what the check of trees needs of a commit.
type commitShape struct {
	tree    OID
	parents []OID
}

// checker is one run of Check.
type checker struct {
	policy Policy
	repo   *Repo // reads through the quarantine

	order   []OID // new commits
	commits map[OID]commitShape
	tags    []OID
	large   map[OID]int64 // new blobs beyond the limit
	clean   map[OID]bool  // directories that were looked at
	paths   int
	commit  OID // the one whose changes are being read
}

// connectivity walks from the tips to what existing refs reach, as git itself does after a
// fetch, and notes each new object's type and size.
func (c *checker) connectivity(ctx context.Context, tips []OID) error {
	const op = "git.Check"
	var in strings.Builder
	for _, t := range tips {
		in.WriteString(string(t) + "\n")
	}
	from, to := io.Pipe()
	walked := make(chan error, 1)
	go func() {
		_, err := c.repo.git.run(ctx, child{
			args: []string{"rev-list", "--objects", "--no-object-names", "--stdin", "--not", "--all"},
			env:  c.repo.env(), stdin: strings.NewReader(in.String()), stdout: to,
			max: MaxPushNew * (oidLen + 1), wall: maxCheckWall,
		})
		_ = to.CloseWithError(err) // never fails
		walked <- err
	}()
	_, err := c.repo.git.run(ctx, child{
		args: []string{"cat-file", "--batch-check", "--buffer"},
		env:  c.repo.env(), stdin: from, stdout: &recordWriter{end: '\n', take: c.object}, max: -1, wall: maxCheckWall,
	})
	_ = from.CloseWithError(errors.New("git: check: ended")) // never fails
	walkErr := <-walked
	var f *fault.Error
	switch {
	case exitCode(walkErr) >= 0:
		return fault.Wrap(walkErr, fault.Refused, op, "the push is not complete: "+complaint(stderrOf(walkErr)))
	case fault.Is(walkErr, fault.TooLarge):
		return fault.New(fault.TooLarge, op, fmt.Sprintf("the push has more than %d new objects", MaxPushNew), "push in smaller parts")
	case errors.As(err, &f):
		return f
	case walkErr != nil || err != nil:
		return fmt.Errorf("git: check: %w", errors.Join(walkErr, err))
	}
	return nil
}

// object takes "OID TYPE SIZE" of one new object.
func (c *checker) object(record []byte) error {
	f := strings.Fields(string(record))
	if len(f) == 2 && f[1] == "missing" {
		return refusal("the object "+OID(f[0]).Short(), "is not in the push, nor here", "push again")
	}
	if len(f) != 3 || !isHex(f[0], oidLen) {
		return fmt.Errorf("git: check: unreadable record %q", clip(string(record)))
	}
	oid := OID(f[0])
	size, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil {
		return fmt.Errorf("git: check: %w", err)
	}
	switch {
	case f[1] == "blob":
		if size > c.policy.MaxBlob {
			c.large[oid] = size
		}
	case f[1] == "tree" && size > MaxTree, f[1] != "tree" && size > MaxCommit:
		return fault.Newf(fault.TooLarge, "git.Check", "the %s %s has %d bytes, which is more than this server takes", f[1], oid.Short(), size)
	case f[1] == "commit":
		if c.order = append(c.order, oid); len(c.order) > maxCommitList {
			return fault.New(fault.TooLarge, "git.Check", fmt.Sprintf("the push has more than %d new commits", maxCommitList), "push in smaller parts, or import the repository")
		}
	case f[1] == "tag":
		c.tags = append(c.tags, oid)
	}
	return nil
}

// headerBatch is how many objects are read in one loan of a reader, whose time is bounded.
const headerBatch = 1000

// headers judges new commit and tag objects.
func (c *checker) headers(ctx context.Context) error {
	each := func(oids []OID, judge func(oid OID, raw []byte) error) error {
		for part := range slices.Chunk(oids, headerBatch) {
			err := c.repo.withReader(ctx, func(b *reader) error {
				for _, oid := range part {
					var raw bytes.Buffer
					if _, err := b.contents(oid, MaxCommit, &raw); err != nil {
						return err
					}
					if err := judge(oid, raw.Bytes()); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
	err := each(c.order, func(oid OID, raw []byte) error {
		if err := c.policy.checkCommit(oid, raw); err != nil {
			return err
		}
		commit, err := parseCommit(oid, raw)
		c.commits[oid] = commitShape{commit.Tree, commit.Parents}
		return err
	})
	if err != nil {
		return err
	}
	return each(c.tags, c.policy.checkTag)
}

// content reads what each new commit adds to its parents (a merge: to all of them), path by
// path, so that a tree which multiplies itself is given up after so many paths.
func (c *checker) content(ctx context.Context) error {
	const op = "git.Check"
	if len(c.order) == 0 {
		return nil
	}
	for _, oid := range c.order {
		if err := c.rootNames(ctx, oid); err != nil {
			return err
		}
	}
	var in strings.Builder
	for _, oid := range c.order {
		in.WriteString(string(oid) + "\n")
	}
	changes := &changeReader{commit: func(oid OID) { c.commit = oid }, change: func(ch pathChange) error { return c.change(ctx, ch) }}
	_, err := c.repo.git.run(ctx, child{
		args: []string{"diff-tree", "--stdin", "-r", "-t", "-c", "-z", "--raw", "--root", "--no-renames", "--no-abbrev",
			"--no-ext-diff", "--ignore-submodules=none"},
		env: c.repo.env(), stdin: strings.NewReader(in.String()),
		stdout: &recordWriter{end: 0, take: changes.take}, max: -1, wall: maxCheckWall,
	})
	var f *fault.Error
	if errors.As(err, &f) {
		return f
	}
	if err != nil {
		return fault.Wrap(err, fault.Refused, op, "git cannot compare the pushed trees: "+complaint(stderrOf(err)))
	}
	if changes.inRecord {
		return errors.New("git: check: the list of changes ended in the middle")
	}
	for oid, size := range c.large { // reached, but by no path: then it is no file of ours
		return c.policy.tooLarge("object "+oid.Short(), size)
	}
	return nil
}

// change judges one path that a new commit adds or changes.
func (c *checker) change(ctx context.Context, ch pathChange) error {
	if c.paths++; c.paths > MaxPushPaths {
		return fault.New(fault.TooLarge, "git.Check", fmt.Sprintf("the push changes more than %d paths", MaxPushPaths), "push in smaller parts")
	}
	if ch.mode == "000000" { // a deletion
		return nil
	}
	added := !slices.ContainsFunc(ch.oldModes, func(m string) bool { return m != "000000" })
	if added {
		if err := checkName(ch.path); err != nil {
			return err
		}
	}
	if !slices.Contains(ch.oldModes, ch.mode) {
		if err := c.policy.checkMode(ch.path, ch.mode); err != nil {
			return err
		}
	}
	switch ch.mode {
	case modeTree:
		var before []OID
		for i, m := range ch.oldModes {
			if m == modeTree {
				before = append(before, ch.oldOIDs[i])
			}
		}
		return c.names(ctx, ch.path, ch.oid, before)
	case modeGitlink:
		return nil
	case modeSymlink:
		target, err := c.repo.Blob(ctx, ch.oid, maxLinkBytes)
		if fault.Is(err, fault.TooLarge) {
			return refusal("the link "+quoteName(ch.path), "is longer than 4096 bytes", "")
		}
		if err != nil {
			return err
		}
		return c.policy.checkLink(ch.path, string(target))
	}
	if size, ok := c.large[ch.oid]; ok {
		return c.policy.tooLarge(ch.path, size)
	}
	if FoldName(ch.path) == ".gitmodules" {
		return c.modules(ctx, ch.oid)
	}
	return nil
}

// modules lets git list the settings of a .gitmodules file, and judges them.
func (c *checker) modules(ctx context.Context, oid OID) error {
	if _, err := c.repo.Blob(ctx, oid, maxModules); err != nil {
		if fault.Is(err, fault.TooLarge) {
			return refusal(".gitmodules", "is larger than 256 KiB", "")
		}
		return err
	}
	out, err := c.repo.run(ctx, "config", "--blob", string(oid), "--list", "-z")
	if exitCode(err) >= 0 {
		return refusal(".gitmodules", "is not readable as git's configuration", "correct it, and amend the commit")
	}
	if err != nil {
		return err
	}
	return checkModules(string(out))
}

// rootNames looks for collisions in a new commit's top directory, which no diff lists.
func (c *checker) rootNames(ctx context.Context, oid OID) error {
	shape := c.commits[oid]
	if c.clean[shape.tree] {
		return nil
	}
	var before []OID
	for _, p := range shape.parents {
		if known, ok := c.commits[p]; ok {
			before = append(before, known.tree)
			continue
		}
		e, err := c.repo.entryAt(ctx, p, "")
		if err != nil {
			return err
		}
		before = append(before, e.OID)
	}
	c.commit = oid
	return c.names(ctx, "", shape.tree, before)
}

// names refuses two names in one directory that some file system takes for the same, unless
// a directory before had both already.
func (c *checker) names(ctx context.Context, dir string, tree OID, before []OID) error {
	if c.clean[tree] {
		return nil
	}
	twins, err := c.twins(ctx, tree)
	if err != nil {
		return err
	}
	if len(twins) == 0 {
		if len(c.clean) < maxClean {
			c.clean[tree] = true
		}
		return nil
	}
	for _, old := range before {
		had, err := c.twins(ctx, old)
		if err != nil {
			return err
		}
		twins = slices.DeleteFunc(twins, func(t [2]string) bool { return slices.Contains(had, t) })
	}
	if len(twins) > 0 {
		return refusal("the names "+quoteName(twins[0][0])+" and "+quoteName(twins[0][1])+" in "+quoteName("/"+dir),
			"are the same for some file systems", renameIt)
	}
	return nil
}

// maxClean bounds the memory of directories that were looked at.
const maxClean = 1_000_000

// twins are the pairs of names in a directory that fold to the same.
func (c *checker) twins(ctx context.Context, tree OID) (pairs [][2]string, err error) {
	var entries []Entry
	err = c.repo.withReader(ctx, func(b *reader) (err error) {
		entries, err = b.tree(tree)
		return err
	})
	if err != nil {
		return nil, err
	}
	first := make(map[string]string, len(entries))
	for _, e := range entries {
		folded := FoldName(e.Name)
		if other, ok := first[folded]; ok {
			pairs = append(pairs, [2]string{other, e.Name})
			continue
		}
		first[folded] = e.Name
	}
	return pairs, nil
}
