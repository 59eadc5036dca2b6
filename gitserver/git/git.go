package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gatehouse/gitserver/fault"
)

// The oldest git that has everything used here (merge-tree --write-tree, cat-file --batch-command).
const (
	minMajor = 2
	minMinor = 39
)

// CrashPoint, when set, is called at named points of durable writes, so that a test can end
// the process there: git.migrate.before, git.migrate.after, git.refs.before, git.refs.after.
var CrashPoint func(name string)

func crash(name string) {
	if CrashPoint != nil {
		CrashPoint(name)
	}
}

// Git is a located git program. It is safe for concurrent use.
type Git struct {
	// Now is the clock that content rules ask about dates in the future.
	Now func() time.Time

	path    string // absolute
	version string
	readers readerPool
}

// Find locates git on PATH and checks that it is recent enough.
func Find(ctx context.Context) (*Git, error) {
	path, err := exec.LookPath("git")
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "git.Find", "git is not installed; install git 2.39 or newer")
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("git: find: %w", err)
	}
	g := &Git{path: path, Now: time.Now}
	out, err := g.run(ctx, child{args: []string{"version"}, env: g.baseEnv()})
	if err != nil {
		return nil, err
	}
	g.version = strings.TrimPrefix(strings.TrimSpace(string(out)), "git version ")
	if !recent(g.version) {
		return nil, fault.New(fault.Unavailable, "git.Find",
			fmt.Sprintf("git %s is too old", g.version),
			fmt.Sprintf("install git %d.%d or newer", minMajor, minMinor))
	}
	return g, nil
}

var versionDigits = regexp.MustCompile(`^(\d+)\.(\d+)`)

// recent reports whether a version such as "2.39.5" is new enough.
func recent(version string) bool {
	m := versionDigits.FindStringSubmatch(version)
	if m == nil {
		return false
	}
	major, err1 := strconv.Atoi(m[1])
	minor, err2 := strconv.Atoi(m[2])
	if err1 != nil || err2 != nil {
		return false
	}
	return major > minMajor || major == minMajor && minor >= minMinor
}

// Version is what git calls itself, as "2.39.5".
func (g *Git) Version() string { return g.version }

// Close ends the idle readers. A Git can be used again afterwards.
func (g *Git) Close() { g.readers.closeAll(nil) }

// repositoryConfig stands in every repository of ours, for the day somebody runs git in it by
// hand; our own children get the same and more by their environment.
const repositoryConfig = `[core]
	repositoryformatversion = 0
	filemode = true
	bare = true
	logAllRefUpdates = true
	fsync = all
	hooksPath = /dev/null
[gc]
	auto = 0
[transfer]
	fsckObjects = true
	unpackLimit = 1
[receive]
	denyNonFastForwards = true
	denyDeletes = true
`

// Init makes a bare repository in dir, which must not exist or be empty, and makes it durable.
// HEAD points at defaultBranch (a short name) before that branch exists.
func (g *Git) Init(ctx context.Context, dir, defaultBranch string) (*Repo, error) {
	const op = "git.Init"
	if err := CheckRefName("refs/heads/" + defaultBranch); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("git: init: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("git: init: %w", err)
	}
	if len(entries) > 0 {
		return nil, fault.New(fault.Conflict, op, "there is something in the repository's folder already", "")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("git: init: %w", err)
	}
	_, err = g.run(ctx, child{
		args: []string{"init", "--quiet", "--bare", "--template=", "--initial-branch=" + defaultBranch, "--", dir},
		env:  g.baseEnv(),
	})
	if err != nil {
		return nil, fmt.Errorf("git: init: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(repositoryConfig), 0o600); err != nil {
		return nil, fmt.Errorf("git: init: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "objects", "pack"), 0o700); err != nil {
		return nil, fmt.Errorf("git: init: %w", err)
	}
	r, err := g.Open(dir)
	if err != nil {
		return nil, err
	}
	// git takes the empty tree for granted, so pushes leave it out; git fsck then misses it.
	if _, err := r.runIn(ctx, "", "hash-object", "-t", "tree", "-w", "--stdin"); err != nil {
		return nil, fmt.Errorf("git: init: %w", err)
	}
	if err := syncTree(dir); err != nil {
		return nil, fmt.Errorf("git: init: %w", err)
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return nil, fmt.Errorf("git: init: %w", err)
	}
	return r, nil
}

// Open opens the bare repository in dir.
func (g *Git) Open(dir string) (*Repo, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("git: open: %w", err)
	}
	for _, name := range []string{"HEAD", "config", "objects", "refs"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return nil, fault.Wrap(err, fault.NotFound, "git.Open", "there is no repository there")
		}
	}
	return &Repo{git: g, dir: dir}, nil
}

// Repo is one bare repository. It is safe for concurrent use.
type Repo struct {
	git *Git
	dir string
	q   *Quarantine // objects are also read from, and only written to, this quarantine
	// veil is what whoever fetches does not get; reads of ours are not under it.
	veil Veil
}

// Dir is the repository's folder.
func (r *Repo) Dir() string { return r.dir }

// path is a name below the repository's folder.
func (r *Repo) path(elem ...string) string {
	return filepath.Join(append([]string{r.dir}, elem...)...)
}
