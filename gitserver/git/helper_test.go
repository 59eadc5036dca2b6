package git

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/gitserver/fault"
)

// newRepo makes an empty repository.
func newRepo(t testing.TB) *Repo {
	t.Helper()
	g, err := Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	r, err := g.Init(t.Context(), filepath.Join(t.TempDir(), "repo.git"), "main")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// work is an ordinary clone that tests make commits in, with stock git.
type work struct {
	t   testing.TB
	dir string
}

// stockEnv is a plain git environment, independent of who runs the tests.
func stockEnv() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.test", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.test",
		"GIT_AUTHOR_DATE=1700000000 +0100", "GIT_COMMITTER_DATE=1700000000 +0100", "LC_ALL=C"}
}

func newWork(t testing.TB) work {
	t.Helper()
	w := work{t: t, dir: t.TempDir()}
	w.git("init", "-q", "-b", "main", ".")
	return w
}

// try runs stock git and gives its output, stderr included, and its error.
func (w work) try(stdin string, args ...string) (string, error) {
	cmd := exec.Command("git", append([]string{"-c", "core.protectHFS=false", "-c", "core.protectNTFS=false"}, args...)...)
	cmd.Dir = w.dir
	cmd.Env = stockEnv()
	cmd.Stdin = strings.NewReader(stdin)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if err != nil {
		return out.String() + said.String(), err
	}
	return out.String(), nil
}

func (w work) git(args ...string) string { return w.in("", args...) }

func (w work) in(stdin string, args ...string) string {
	w.t.Helper()
	out, err := w.try(stdin, args...)
	if err != nil {
		w.t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return strings.TrimRight(out, "\n")
}

// write puts files into the work tree.
func (w work) write(files map[string]string) {
	w.t.Helper()
	for name, text := range files {
		path := filepath.Join(w.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
}

// commit commits files (all of the work tree) and names the commit.
func (w work) commit(message string, files map[string]string) OID {
	w.t.Helper()
	w.write(files)
	w.git("add", "-A", ".")
	w.git("commit", "-q", "--allow-empty", "-m", message)
	return OID(w.git("rev-parse", "HEAD"))
}

// blob writes an object, without any check.
func (w work) blob(text string) OID {
	return OID(w.in(text, "hash-object", "-w", "--stdin"))
}

// tree writes a tree of "MODE TYPE OID\tNAME" records ended by NUL, in that order.
func (w work) tree(records ...string) OID {
	return OID(w.in(strings.Join(records, "\x00")+"\x00", "mktree", "-z", "--missing"))
}

// raw writes a commit object as it is, without any check.
func (w work) raw(kind, text string) OID {
	return OID(w.in(text, "hash-object", "-t", kind, "-w", "--literally", "--stdin"))
}

// commitTree makes a commit of a tree.
func (w work) commitTree(tree OID, parents ...OID) OID {
	args := []string{"commit-tree", "-m", "x", string(tree)}
	for _, p := range parents {
		args = append(args, "-p", string(p))
	}
	return OID(w.git(args...))
}

// pack packs what tips reach and not does not, thin.
func (w work) pack(tips []OID, not []OID) []byte {
	w.t.Helper()
	var in strings.Builder
	for _, o := range tips {
		in.WriteString(string(o) + "\n")
	}
	for _, o := range not {
		in.WriteString("^" + string(o) + "\n")
	}
	return []byte(w.inRaw(in.String(), "pack-objects", "--revs", "--thin", "--stdout", "-q"))
}

func (w work) inRaw(stdin string, args ...string) string {
	w.t.Helper()
	out, err := w.try(stdin, args...)
	if err != nil {
		w.t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return out
}

// send passes tips through a quarantine: take, check, migrate.
func send(t testing.TB, r *Repo, w work, tips []OID, not ...OID) error {
	t.Helper()
	q, err := r.Quarantine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := q.TakePack(t.Context(), bytes.NewReader(w.pack(tips, not)), PackLimits{}, nil); err != nil {
		discard(t, q)
		return err
	}
	if err := q.Check(t.Context(), tips); err != nil {
		discard(t, q)
		return err
	}
	return q.Migrate(t.Context())
}

// plant brings tips in without any check of content, as an old import might have.
func plant(t testing.TB, r *Repo, w work, tips ...OID) {
	t.Helper()
	q, err := r.Quarantine(t.Context())
	must(t, err)
	must(t, q.TakePack(t.Context(), bytes.NewReader(w.pack(tips, nil)), PackLimits{}, nil))
	must(t, q.Migrate(t.Context()))
}

func discard(t testing.TB, q *Quarantine) {
	t.Helper()
	if err := q.Discard(); err != nil {
		t.Fatal(err)
	}
}

// seeded makes a repository whose main is commit, and the work it came from.
func seeded(t testing.TB, files map[string]string) (*Repo, work, OID) {
	t.Helper()
	r, w := newRepo(t), newWork(t)
	c := w.commit("first", files)
	if err := send(t, r, w, []OID{c}); err != nil {
		t.Fatal(err)
	}
	must(t, r.UpdateRefs(t.Context(), []RefUpdate{{Ref: "refs/heads/main", Old: Zero, New: c}}, "seed"))
	return r, w, c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantKind fails unless err is a fault of that kind.
func wantKind(t testing.TB, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Fatalf("got %v, want a fault of kind %s", err, kind)
	}
}

// sign is a signature of the tests.
func sign(name string) Signature {
	return Signature{Name: name, Email: strings.ToLower(name) + "@example.test", When: time.Unix(1_700_000_000, 0).In(time.FixedZone("", 3600))}
}
