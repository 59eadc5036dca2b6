package git

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"gatehouse/gitserver/fault"
)

// quarantinePrefix begins the name of every quarantine's folder, below objects/.
const quarantinePrefix = "incoming-"

// Quarantine holds the objects of one incoming push (or one merge) apart, until it is known
// that they are wanted. Nobody else sees them. It is for one user at a time.
type Quarantine struct {
	// Policy is what [Quarantine.Check] holds new content against; set it before Check.
	Policy Policy

	base     *Repo // where the objects migrate to
	view     *Repo // base, reading through the quarantine
	dir      string
	migrated atomic.Bool

	sent    int   // objects that came
	reached int   // new objects that the checked tips reach
	checked []OID // the tips that were checked
}

// Quarantine opens an empty quarantine. The caller ends it with Migrate or Discard.
func (r *Repo) Quarantine(ctx context.Context) (*Quarantine, error) {
	if r.q != nil {
		return nil, errors.New("git: quarantine: a quarantine has none of its own")
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("git: quarantine: %w", err)
	}
	dir, err := os.MkdirTemp(r.path("objects"), quarantinePrefix+"*")
	if err != nil {
		return nil, fmt.Errorf("git: quarantine: %w", err)
	}
	q := &Quarantine{Policy: DefaultPolicy(r.git.Now), base: r, dir: dir}
	q.view = &Repo{git: r.git, dir: r.dir, q: q}
	return q, nil
}

// Repo is the repository with the quarantined objects in it; once they have migrated, the
// repository as everybody sees it. Its refs are the repository's.
func (q *Quarantine) Repo() *Repo { return q.view }

// env makes a child read from, and write to, the quarantine.
func (q *Quarantine) env() []string {
	if q.migrated.Load() {
		return nil
	}
	return []string{
		"GIT_OBJECT_DIRECTORY=" + q.dir,
		"GIT_ALTERNATE_OBJECT_DIRECTORIES=" + q.base.path("objects"),
		"GIT_QUARANTINE_PATH=" + q.dir, // git itself then refuses to move a ref
	}
}

// inQuarantine reports whether what r writes goes to a quarantine.
func (r *Repo) inQuarantine() bool { return r.q != nil && !r.q.migrated.Load() }

// PackLimits bounds one incoming pack. A zero field means the default.
type PackLimits struct {
	Bytes   int64         // as sent
	Objects int           // as the pack's header declares
	Wall    time.Duration // for receiving and checking
}

// Defaults of PackLimits.
const (
	maxPackBytes   = 4 << 30          // a large repository's whole history
	maxPackObjects = 10_000_000       // the same
	maxPackWall    = 60 * time.Minute // the same, over a slow line
)

func (l PackLimits) withDefaults() PackLimits {
	if l.Bytes == 0 {
		l.Bytes = maxPackBytes
	}
	if l.Objects == 0 {
		l.Objects = maxPackObjects
	}
	if l.Wall == 0 {
		l.Wall = maxPackWall
	}
	return l
}

// fsckSeverities raises to errors what git only remarks upon (git-fsck: msg-id); with
// --strict its warnings are errors already.
const fsckSeverities = "=badFilemode=error,gitmodulesParse=error,gitattributesSymlink=error," +
	"gitignoreSymlink=error,mailmapSymlink=error,badTagName=error"

// packHeaderLen is "PACK", a version and a count (gitformat-pack).
const packHeaderLen = 12

// TakePack reads one pack from in and keeps it in the quarantine after git has checked every
// object in it. in may stay open behind the pack (a peer that waits for its answer); then it
// is read from until it ends, so the caller ends it. git's progress goes to progress unless nil.
func (q *Quarantine) TakePack(ctx context.Context, in io.Reader, limits PackLimits, progress io.Writer) error {
	const op = "git.TakePack"
	limits = limits.withDefaults()
	head := make([]byte, packHeaderLen)
	if _, err := io.ReadFull(in, head); err != nil {
		return fault.Wrap(err, fault.Invalid, op, "the pack ends before its header does")
	}
	if string(head[:4]) != "PACK" {
		return fault.New(fault.Invalid, op, "what was sent is not a pack", "")
	}
	count := binary.BigEndian.Uint32(head[8:])
	if int64(count) > int64(limits.Objects) {
		return fault.New(fault.TooLarge, op, fmt.Sprintf("the push has %d objects; the limit is %d", count, limits.Objects), "push in smaller parts")
	}
	args := []string{"index-pack", "--stdin", "--fix-thin", "--strict" + fsckSeverities,
		"--max-input-size=" + strconv.FormatInt(limits.Bytes, 10), "--threads=2"}
	if progress != nil {
		args = append(args, "-v")
	}
	counted := &countReader{from: io.MultiReader(bytes.NewReader(head), in)}
	out, err := q.base.git.run(ctx, child{
		args: args, env: q.view.env(), stdin: counted, live: true, stderr: progress, wall: limits.Wall,
	})
	if err != nil {
		if counted.n.Load() > limits.Bytes {
			return fault.New(fault.TooLarge, op, fmt.Sprintf("the push is larger than %d bytes", limits.Bytes), "push in smaller parts")
		}
		if exitCode(err) >= 0 {
			return fault.Wrap(err, fault.Invalid, op, "git refused the pushed objects: "+complaint(stderrOf(err)))
		}
		return fmt.Errorf("git: take pack: %w", err)
	}
	q.sent += int(count)
	if count > 0 {
		return nil
	}
	// A push of what is here already sends a pack without objects: not worth a file for ever.
	name := strings.TrimSpace(strings.TrimPrefix(string(out), "pack"))
	for _, ext := range []string{".pack", ".idx", ".rev"} {
		if err := os.Remove(filepath.Join(q.dir, "pack", "pack-"+name+ext)); err != nil && !absent(err) {
			return fmt.Errorf("git: take pack: %w", err)
		}
	}
	return nil
}

// countReader counts what has been read.
type countReader struct {
	from io.Reader
	n    atomic.Int64
}

// Read reads on.
func (r *countReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.n.Add(int64(n))
	return n, err
}

// complaint picks from git's stderr the line that says what is wrong, made harmless.
func complaint(stderr string) string {
	best := ""
	for _, line := range strings.FieldsFunc(stderr, func(c rune) bool { return c == '\n' || c == '\r' }) {
		if text, ok := strings.CutPrefix(line, "error: "); ok {
			best = text
			break
		}
		if text, ok := strings.CutPrefix(line, "fatal: "); ok && best == "" {
			best = text
		}
	}
	if best == "" {
		best = "no reason given"
	}
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return '?'
	}, clip(best))
}

// Migrate moves the objects into the repository, durably. It may be called again after it
// succeeded or failed.
func (q *Quarantine) Migrate(ctx context.Context) error {
	if q.migrated.Load() {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("git: migrate: %w", err)
	}
	crash("git.migrate.before")
	if err := q.migrate(); err != nil {
		return err
	}
	crash("git.migrate.after")
	return nil
}

// packParts in the order in which they must appear: the index makes git see the pack.
var packParts = []string{".pack", ".rev", ".idx"}

// migrate does what Migrate says, without crash points: merges pass through here too.
func (q *Quarantine) migrate() error {
	objects := q.base.path("objects")
	touched, err := q.migrateLoose(objects)
	if err != nil {
		return fmt.Errorf("git: migrate: %w", err)
	}
	for _, ext := range packParts {
		names, err := filepath.Glob(filepath.Join(q.dir, "pack", "pack-*"+ext))
		if err != nil {
			return fmt.Errorf("git: migrate: %w", err)
		}
		for _, name := range names {
			if err := syncFile(name); err != nil {
				return fmt.Errorf("git: migrate: %w", err)
			}
			// A pack is named by its content: to replace one of the same name changes nothing
			// for its readers, and mends one that a crash cut.
			if err := os.Rename(name, filepath.Join(objects, "pack", filepath.Base(name))); err != nil {
				return fmt.Errorf("git: migrate: %w", err)
			}
			touched = append(touched, filepath.Join(objects, "pack"))
		}
	}
	if err := syncUp(objects, touched...); err != nil {
		return err
	}
	q.migrated.Store(true)
	q.base.git.readers.closeAll(q.view)
	if err := os.RemoveAll(q.dir); err != nil {
		return fmt.Errorf("git: migrate: %w", err)
	}
	return nil
}

// migrateLoose moves loose objects and returns the directories they went to.
func (q *Quarantine) migrateLoose(objects string) ([]string, error) {
	var touched []string
	fans, err := os.ReadDir(q.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, fan := range fans {
		if !isHex(fan.Name(), 2) {
			continue
		}
		files, err := os.ReadDir(filepath.Join(q.dir, fan.Name()))
		if err != nil {
			return nil, err
		}
		to := filepath.Join(objects, fan.Name())
		for _, file := range files {
			if !isHex(file.Name(), oidLen-2) {
				continue
			}
			from := filepath.Join(q.dir, fan.Name(), file.Name())
			if err := syncFile(from); err != nil {
				return nil, err
			}
			if err := moveInto(from, to); err != nil {
				return nil, err
			}
			touched = append(touched, to)
		}
	}
	return touched, nil
}

// moveInto moves a file into a directory, which maintenance may remove while it is empty.
func moveInto(from, dir string) error {
	const tries = 8
	var err error
	for range tries {
		if err = os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err = os.Rename(from, filepath.Join(dir, filepath.Base(from))); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

// Discard forgets the objects. After Migrate it does nothing.
func (q *Quarantine) Discard() error {
	if q.migrated.Load() {
		return nil
	}
	q.base.git.readers.closeAll(q.view)
	if err := os.RemoveAll(q.dir); err != nil {
		return fmt.Errorf("git: discard quarantine: %w", err)
	}
	return nil
}
