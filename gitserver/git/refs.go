package git

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"

	"gatehouse/gitserver/fault"
)

// Ref is one ref.
type Ref struct {
	Name   string
	OID    OID // what the ref holds: a commit, or a tag object
	Peeled OID // the object behind a tag object, else OID
}

// maxRefListing bounds a listing: about half a million refs.
const maxRefListing = 128 << 20

// Refs lists the refs below the prefixes ("refs/heads/"; an exact name is one too), all refs
// when there is none, sorted by name.
func (r *Repo) Refs(ctx context.Context, prefixes ...string) ([]Ref, error) {
	for _, p := range prefixes {
		if strings.ContainsAny(p, "*?[\\\x00") || !strings.HasPrefix(p, "refs/") {
			return nil, fault.Newf(fault.Invalid, "git.Refs", "%s is no prefix of ref names", quoteName(p))
		}
	}
	var said bytes.Buffer
	args := append([]string{"for-each-ref", "--format=%(objectname) %(*objectname) %(refname)", "--"}, prefixes...)
	out, err := r.git.run(ctx, child{args: args, env: r.env(), max: maxRefListing, stderr: &said})
	if err != nil {
		return nil, fmt.Errorf("git: list refs: %w", err)
	}
	if said.Len() > 0 {
		// git passes over a ref that it cannot read, with a warning; whoever decides by refs must not.
		return nil, fmt.Errorf("git: list refs: %s", clip(strings.TrimSpace(said.String())))
	}
	return parseRefs(out)
}

// parseRefs reads lines of "OID PEELED-OR-NOTHING NAME".
func parseRefs(out []byte) ([]Ref, error) {
	var refs []Ref
	for len(out) > 0 {
		line, rest, _ := bytes.Cut(out, []byte("\n"))
		out = rest
		fields := strings.SplitN(string(line), " ", 3)
		if len(fields) != 3 || !isHex(fields[0], oidLen) {
			return nil, fmt.Errorf("git: list refs: unreadable line %q", clip(string(line)))
		}
		ref := Ref{Name: fields[2], OID: OID(fields[0]), Peeled: OID(fields[0])}
		if fields[1] != "" {
			ref.Peeled = OID(fields[1])
		}
		refs = append(refs, ref)
	}
	return refs, nil
}

// Head is the ref that HEAD points at, as "refs/heads/main", which need not exist yet.
func (r *Repo) Head(ctx context.Context) (string, error) {
	out, err := r.run(ctx, "symbolic-ref", "HEAD")
	if err != nil {
		return "", fmt.Errorf("git: read HEAD: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// SetHead points HEAD at a branch ("refs/heads/main"), which need not exist yet.
func (r *Repo) SetHead(ctx context.Context, branch string) error {
	if err := CheckRefName(branch); err != nil {
		return err
	}
	if !strings.HasPrefix(branch, "refs/heads/") {
		return fault.Newf(fault.Invalid, "git.SetHead", "%s is not a branch", quoteName(branch))
	}
	if _, err := r.run(ctx, "symbolic-ref", "HEAD", branch); err != nil {
		return fmt.Errorf("git: set HEAD: %w", err)
	}
	if err := syncFile(r.path("HEAD")); err != nil {
		return fmt.Errorf("git: set HEAD: %w", err)
	}
	return syncUp(r.dir, r.dir)
}

// maxRev is longer than any ref name with some ~ and ^ behind it.
const maxRev = maxRefName + 56

// Resolve names the commit that rev (a ref name, short or full, an object name or its first
// digits, with ~ and ^ steps) stands for, through tags. Searches of the history (":/text",
// "@{1 day ago}", "^{/text}") are not understood. Nothing found is NotFound.
func (r *Repo) Resolve(ctx context.Context, rev string) (OID, error) {
	const op = "git.Resolve"
	missing := fault.Newf(fault.NotFound, op, "there is no commit %s", quoteName(rev))
	if rev == "" || len(rev) > maxRev || rev[0] == '-' || strings.ContainsAny(rev, ":{}*?[\\ \x7f") ||
		strings.Contains(rev, "..") || strings.IndexFunc(rev, func(c rune) bool { return c < ' ' }) >= 0 {
		return "", missing
	}
	out, err := r.run(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", rev+"^{commit}")
	switch {
	case exitCode(err) == 1, exitCode(err) == 128:
		return "", missing
	case err != nil:
		return "", fmt.Errorf("git: resolve: %w", err)
	}
	return ParseOID(strings.TrimSpace(string(out)))
}

// RefOID is what the ref of that full name holds, [Zero] when there is no such ref. A ref that
// is there is read without starting a process: every page and every tick asks for some.
func (r *Repo) RefOID(ctx context.Context, ref string) (OID, error) {
	if oid, ok := r.readRef(ctx, ref); ok {
		return oid, nil
	}
	refs, err := r.Refs(ctx, ref)
	if err != nil {
		return "", err
	}
	for _, f := range refs {
		if f.Name == ref {
			return f.OID, nil
		}
	}
	return Zero, nil
}

// described are names that git reads as "the commit whose name begins so" when there is no such
// ref, as git describe prints them.
var described = regexp.MustCompile(`-g[0-9a-f]+$`)

// readRef asks a running cat-file what a ref holds. Only a ref that is there gets an answer: a
// missing one, a broken one and one whose object is missing look alike here, and are left to
// whoever lists refs. git tries a full name as it stands first, and [CheckRefName] lets no ref
// be made that it would try next ("refs/tags/refs/heads/main").
func (r *Repo) readRef(ctx context.Context, ref string) (oid OID, ok bool) {
	if CheckRefName(ref) != nil || described.MatchString(ref) {
		return "", false
	}
	err := r.withReader(ctx, func(b *reader) error {
		var err error
		oid, err = b.named(ref)
		return err
	})
	return oid, err == nil
}

// symbolic reports whether ref is a symbolic ref. Those are always loose files that begin
// with "ref:", or, from very old gits, symbolic links.
func (r *Repo) symbolic(ref string) (bool, error) {
	name := r.path(ref)
	info, err := os.Lstat(name)
	switch {
	case err != nil && (os.IsNotExist(err) || isNotDir(err)):
		return false, nil
	case err != nil:
		return false, err
	case info.Mode()&os.ModeSymlink != 0:
		return true, nil
	case info.IsDir():
		return false, nil
	}
	text, err := os.ReadFile(name)
	if os.IsNotExist(err) { // deleted or packed since
		return false, nil
	}
	return bytes.HasPrefix(bytes.TrimLeft(text, " \t"), []byte("ref:")), err
}
