package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// firstUser is the first of the user ids that stages get when the server runs as root. systemd's
	// map of user ids leaves 0x70000000 to 0x7fffffff to nobody.
	firstUser = 0x70000000
	// users is how many of them are used; repositories share one when there are more.
	users = 1 << 16
	// insider is the user id that a stage sees itself under when the server is not root.
	insider = 1000
)

// stageUser is the uid (and gid) that a stage gets, or -1 for the server's own. Processes are
// counted per user, and files belong to one, so each repository has its own.
func stageUser(mode Mode, repo int64) int {
	if mode == None || os.Geteuid() != 0 {
		return -1
	}
	return firstUser + int(repo%users)
}

// folders makes what the stage finds beside its tree.
func (j *job) folders() error {
	for name, mode := range map[string]os.FileMode{"tree": 0o755, "tmp": 0o777 | os.ModeSticky, "home": 0o755, "etc": 0o755, "root": 0o755} {
		dir := filepath.Join(j.dir, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		if err := os.Chmod(dir, mode); err != nil {
			return err
		}
		if name == "tmp" || name == "home" {
			if err := j.own(dir, false); err != nil {
				return err
			}
		}
	}
	for name, text := range j.etc() {
		path := filepath.Join(j.dir, "etc", name)
		err := os.WriteFile(path, []byte(text), 0o600)
		if err := errors.Join(err, os.Chmod(path, 0o644)); err != nil { //nolint:gosec // the stage reads it
			return err
		}
	}
	if j.runner.Cache == "" || j.req.RepoID == 0 {
		return nil
	}
	cache, err := filepath.Abs(j.runner.Cache)
	if err != nil {
		return err
	}
	j.cache = filepath.Join(cache, cacheName(j.req.RepoID, j.req.Trust))
	if err := os.MkdirAll(j.cache, 0o700); err != nil {
		return err
	}
	return j.own(j.cache, false)
}

// cacheName is the folder of a cache. Trust is the caller's word, and only a word.
func cacheName(repo int64, trust string) string {
	name := strconv.FormatInt(repo, 10)
	if trust == "" {
		return name
	}
	return name + "-" + strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '_'
	}, trust)
}

// etc are the files of /etc that would tell about the host, in words of our own.
func (j *job) etc() map[string]string {
	uid := j.user
	if uid < 0 {
		uid = insider
	}
	return map[string]string{
		"passwd": fmt.Sprintf("root:x:0:0:root:/nonexistent:/usr/sbin/nologin\nstage:x:%d:%d:stage:%s:/bin/sh\n"+
			"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n", uid, uid, homeAt),
		"group":         fmt.Sprintf("root:x:0:\nstage:x:%d:\nnogroup:x:65534:\n", uid),
		"nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
		"hosts":         "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 " + hostName + "\n",
	}
}

// own gives path to the stage's user, with all that is in it when deep.
func (j *job) own(path string, deep bool) error {
	if j.user < 0 {
		return nil
	}
	if !deep {
		return os.Lchown(path, j.user, j.user)
	}
	return filepath.WalkDir(path, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(name, j.user, j.user)
	})
}

// enoughDisk says whether dir's file system has room for another stage.
func enoughDisk(dir string, spare int64) error {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return fmt.Errorf("runner: look at the disk: %w", err)
	}
	if free := int64(s.Bavail) * s.Bsize; free < spare { //nolint:gosec // sizes of real disks
		return fmt.Errorf("the disk of the server is nearly full: %d MiB left, %d MiB are kept free", free>>20, spare>>20)
	}
	return nil
}

// removeTree removes dir, in which a stage may have taken its own permissions away, as Go's module
// cache does. Nobody else writes in it any more, so that nothing moves while it is walked.
func removeTree(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() { // a link to a folder is not one
			return err
		}
		return os.Chmod(name, 0o700) //nolint:gosec // a folder, to remove it
	})
	return errors.Join(ignoreMissing(err), os.RemoveAll(dir))
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Janitor ends the stages that a killed server left behind and removes their work folders. The
// caller is the only server with this Work folder.
func (r *Runner) Janitor() error {
	work, err := filepath.Abs(r.Work)
	if err != nil {
		return fmt.Errorf("runner: janitor: %w", err)
	}
	if err := endInits(work + string(filepath.Separator)); err != nil {
		return fmt.Errorf("runner: janitor: %w", err)
	}
	if r.Cache != "" {
		if err := sweepCaches(r.Cache); err != nil {
			return fmt.Errorf("runner: janitor: %w", err)
		}
	}
	entries, err := os.ReadDir(work)
	if err != nil {
		return ignoreMissing(err)
	}
	for _, e := range entries {
		if err := removeTree(filepath.Join(work, e.Name())); err != nil {
			return fmt.Errorf("runner: janitor: %w", err)
		}
	}
	return nil
}

// endInits waits for the end of the inits whose work folder begins with prefix, which is the end of
// all that they started. Nobody holds the other end of their pipes any more, so they are ending,
// and without walls they need a moment to do so; those that take long are killed.
func endInits(prefix string) error {
	for round := range killRounds {
		pids := initsOf(prefix)
		if len(pids) == 0 {
			return nil
		}
		if round < killRounds/2 {
			pids = nil
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("kill %d: %w", pid, err)
			}
		}
		pause()
	}
	return errors.New("a stage does not die")
}

// initsOf lists the inits whose work folder begins with prefix.
func initsOf(prefix string) []int {
	var pids []int
	entries, _ := os.ReadDir("/proc") // without /proc there is nothing to find
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil {
			continue // it has just ended
		}
		args := strings.Split(string(text), "\x00")
		if len(args) >= 3 && args[1] == initArg && strings.HasPrefix(args[2], prefix) {
			pids = append(pids, pid)
		}
	}
	return pids
}
