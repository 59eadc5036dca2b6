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
		commits: map[OID]commitShape{}, large: map[OID]int64{}}
	if err := c.connectivity(ctx, newTips); err != nil {
		return err
	}
	q.reached, q.checked = c.reached, newTips
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
	trees   treeCache
	paths   int
	reached int // new objects
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
	c.reached++
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

// content judges what each new commit adds to its parents. The trees are compared here, path
// by path, instead of by git, which lists a whole comparison in memory before it says
// anything: a dozen objects can unfold to more paths than there is memory.
func (c *checker) content(ctx context.Context) error {
	for _, oid := range c.order {
		shape := c.commits[oid]
		before := make([]OID, 0, len(shape.parents))
		for _, p := range shape.parents {
			tree, err := c.treeOf(ctx, p)
			if err != nil {
				return err
			}
			before = append(before, tree)
		}
		if err := c.directory(ctx, "", shape.tree, before); err != nil {
			return inCommit(oid, err)
		}
	}
	for oid, size := range c.large { // reached, but by no path: then it is no file of ours
		return c.policy.tooLarge("object "+oid.Short(), size)
	}
	return nil
}

// treeOf is the top directory of a commit, new or old.
func (c *checker) treeOf(ctx context.Context, commit OID) (OID, error) {
	if shape, ok := c.commits[commit]; ok {
		return shape.tree, nil
	}
	e, err := c.repo.entryAt(ctx, commit, "")
	return e.OID, err
}

// directory judges one directory of a new commit against the same directory of each parent,
// where there is one. A parent that has the very same needs no look.
func (c *checker) directory(ctx context.Context, path string, tree OID, before []OID) error {
	if slices.Contains(before, tree) {
		return nil
	}
	entries, err := c.trees.read(ctx, c.repo, tree)
	if err != nil {
		return err
	}
	old := make([]map[string]Entry, len(before))
	for i, oid := range before {
		list, err := c.trees.read(ctx, c.repo, oid)
		if err != nil {
			return err
		}
		old[i] = make(map[string]Entry, len(list))
		for _, e := range list {
			old[i][e.Name] = e
		}
	}
	if err := checkTwins(path, entries, old); err != nil {
		return err
	}
	for _, e := range entries {
		ch := pathChange{Entry: e, path: e.Name}
		if path != "" {
			ch.path = path + "/" + e.Name
		}
		for _, names := range old {
			if was, ok := names[e.Name]; ok {
				ch.old = append(ch.old, was)
			}
		}
		if slices.ContainsFunc(ch.old, func(was Entry) bool { return was.OID == e.OID && was.Mode == e.Mode }) {
			continue
		}
		if err := c.change(ctx, ch); err != nil {
			return err
		}
	}
	return nil
}

// pathChange is one path that a new commit adds or changes.
type pathChange struct {
	Entry
	path string
	old  []Entry // of the parents that have the path
}

// inCommit adds the commit to the words of a refusal.
func inCommit(oid OID, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Refused && f.Kind != fault.TooLarge {
		return err
	}
	named := *f
	named.Public += ", in commit " + oid.Short()
	return &named
}

// change judges one path, and what is below it.
func (c *checker) change(ctx context.Context, ch pathChange) error {
	if c.paths++; c.paths > MaxPushPaths {
		return fault.New(fault.TooLarge, "git.Check", fmt.Sprintf("the push changes more than %d paths", MaxPushPaths), "push in smaller parts")
	}
	if len(ch.old) == 0 {
		if err := checkName(ch.path); err != nil {
			return err
		}
	}
	if !slices.ContainsFunc(ch.old, func(was Entry) bool { return was.Mode == ch.Mode }) {
		if err := c.policy.checkMode(ch.path, ch.Mode); err != nil {
			return err
		}
	}
	switch ch.Mode {
	case modeTree:
		if strings.Count(ch.path, "/") >= maxWalkDepth {
			return refusal(quoteName(ch.path), "is too many directories deep", renameIt)
		}
		var before []OID
		for _, was := range ch.old {
			if was.Mode == modeTree {
				before = append(before, was.OID)
			}
		}
		return c.directory(ctx, ch.path, ch.OID, before)
	case modeGitlink:
		return nil
	case modeSymlink:
		target, err := c.repo.Blob(ctx, ch.OID, maxLinkBytes)
		if fault.Is(err, fault.TooLarge) {
			return refusal("the link "+quoteName(ch.path), "is longer than 4096 bytes", "")
		}
		if err != nil {
			return err
		}
		return c.policy.checkLink(ch.path, string(target))
	}
	if size, ok := c.large[ch.OID]; ok {
		return c.policy.tooLarge(ch.path, size)
	}
	if FoldName(ch.path) == ".gitmodules" {
		return c.modules(ctx, ch.OID)
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

// checkTwins refuses two names in one directory that some file system takes for the same,
// unless the directory of a parent had both already.
func checkTwins(dir string, entries []Entry, old []map[string]Entry) error {
	first := make(map[string]string, len(entries))
	for _, e := range entries {
		folded := FoldName(e.Name)
		other, ok := first[folded]
		if !ok {
			first[folded] = e.Name
			continue
		}
		known := slices.ContainsFunc(old, func(names map[string]Entry) bool {
			_, a := names[other]
			_, b := names[e.Name]
			return a && b
		})
		if !known {
			return refusal("the names "+quoteName(other)+" and "+quoteName(e.Name)+" in "+quoteName("/"+dir),
				"are the same for some file systems", renameIt)
		}
	}
	return nil
}

// maxTreeCache bounds the entries of directories kept in memory during a check: consecutive
// commits share nearly all of theirs.
const maxTreeCache = 200_000

// treeCache keeps directories that were read, until they are too many.
type treeCache struct {
	trees   map[OID][]Entry
	entries int
}

// read gives the entries of a directory.
func (t *treeCache) read(ctx context.Context, r *Repo, oid OID) (entries []Entry, err error) {
	if entries, ok := t.trees[oid]; ok {
		return entries, nil
	}
	err = r.withReader(ctx, func(b *reader) (err error) {
		entries, err = b.tree(oid)
		return err
	})
	if err != nil {
		return nil, err
	}
	if t.entries += len(entries) + 1; t.entries > maxTreeCache || t.trees == nil {
		t.trees, t.entries = map[OID][]Entry{}, len(entries)+1
	}
	t.trees[oid] = entries
	return entries, nil
}
