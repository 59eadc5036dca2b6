package runner

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Where things are for a stage inside the walls.
const (
	workAt   = "/work"
	cacheAt  = "/cache"
	homeAt   = "/home/stage"
	tmpAt    = "/tmp"
	hostName = "gate"
)

// bind shows a path of the host to a stage.
type bind struct {
	Source, Target string
	Write          bool
}

// link is a symbolic link of the sandbox's root.
type link struct{ To, At string }

// view is what a stage sees of the file system, besides /proc, /dev and what it owns.
type view struct {
	Binds []bind
	Links []link
	// Masks are folders inside binds that must not show through.
	Masks []string
	// Shm is the size of /dev/shm in bytes.
	Shm int64
}

// systemDirs are the operating system; on most systems all but /usr are links into it.
var systemDirs = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}

// systemFiles are what programs expect in /etc and nobody keeps secret. The rest of /etc is not
// shown: it has keys and passwords of services.
var systemFiles = []string{
	"/etc/alternatives", "/etc/ca-certificates", "/etc/fonts", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
	"/etc/localtime", "/etc/mime.types", "/etc/pki/tls/certs", "/etc/protocols", "/etc/services", "/etc/ssl/certs", "/etc/ssl/openssl.cnf",
	"/etc/terminfo", "/etc/timezone",
}

// networkFiles are what a stage with network needs besides.
var networkFiles = []string{"/etc/resolv.conf"}

// see decides what the stage sees.
func (j *job) see() (view, error) {
	v := view{Shm: j.limits.Memory / shmShare}
	for _, dir := range systemDirs {
		info, err := os.Lstat(dir)
		if err != nil {
			continue // not every system has it
		}
		if info.Mode()&os.ModeSymlink == 0 {
			v.Binds = append(v.Binds, bind{Source: dir, Target: dir})
			continue
		}
		to, err := os.Readlink(dir)
		if err != nil {
			return view{}, fmt.Errorf("runner: %w", err)
		}
		v.Links = append(v.Links, link{To: to, At: dir})
	}
	files := systemFiles
	if j.req.Stage.Network {
		files = slices.Concat(files, networkFiles)
	}
	for _, file := range files {
		if source, err := filepath.EvalSymlinks(file); err == nil {
			v.Binds = append(v.Binds, bind{Source: source, Target: file})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(j.etc())) {
		v.Binds = append(v.Binds, bind{Source: filepath.Join(j.dir, "etc", name), Target: "/etc/" + name})
	}
	v.Binds = append(v.Binds,
		bind{Source: filepath.Join(j.dir, "tmp"), Target: tmpAt, Write: true},
		bind{Source: filepath.Join(j.dir, "home"), Target: homeAt, Write: true},
		bind{Source: j.tree, Target: workAt, Write: true})
	if j.cache != "" {
		v.Binds = append(v.Binds, bind{Source: j.cache, Target: cacheAt, Write: true})
	}
	if err := j.show(&v); err != nil {
		return view{}, err
	}
	return v, nil
}

// show adds what the owner allows, and masks what must stay hidden.
func (j *job) show(v *view) error {
	var hidden []string
	for _, dir := range append([]string{j.runner.Work, j.runner.Cache}, j.runner.Hide...) {
		if dir == "" {
			continue
		}
		abs, err := filepath.Abs(dir)
		if err != nil {
			return fmt.Errorf("runner: %w", err)
		}
		hidden = append(hidden, abs)
		if real, err := filepath.EvalSymlinks(abs); err == nil && real != abs {
			hidden = append(hidden, real)
		}
	}
	for _, path := range j.runner.Toolchain.ReadOnly {
		source, err := filepath.EvalSymlinks(path)
		if err != nil || !filepath.IsAbs(path) {
			return fmt.Errorf("the sandbox shall show %q, which is not an existing absolute path", path)
		}
		for _, dir := range hidden {
			if within(dir, source) || within(source, dir) {
				return fmt.Errorf("the sandbox shall show %q, but %q must stay hidden", path, dir)
			}
		}
		v.Binds = append(v.Binds, bind{Source: source, Target: filepath.Clean(path)})
	}
	for _, dir := range hidden {
		for _, b := range v.Binds {
			if within(dir, b.Source) && !within(b.Source, j.dir) {
				v.Masks = append(v.Masks, filepath.Join(b.Target, strings.TrimPrefix(dir, b.Source)))
			}
		}
	}
	return nil
}

// within reports whether path is dir or inside it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// goBin is where Go's own archive installs; Debian's go is in /usr/bin.
const goBin = "/usr/local/go/bin"

// env is the environment of the stage: nothing of the server's, then what the owner, the plan and
// the caller say.
func (j *job) env() []string {
	home, tmp, cache := homeAt, tmpAt, cacheAt
	if j.runner.Sandbox == None {
		home, tmp, cache = filepath.Join(j.dir, "home"), filepath.Join(j.dir, "tmp"), j.cache
	}
	env := map[string]string{
		"PATH": goBin + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME": home, "TMPDIR": tmp, "USER": "stage", "LOGNAME": "stage", "SHELL": "/bin/sh",
		"LANG": "C.UTF-8", "TERM": "dumb", "CI": "true",
	}
	if j.cache != "" {
		env["XDG_CACHE_HOME"] = filepath.Join(cache, "xdg")
		env["GOCACHE"] = filepath.Join(cache, "go-build")
		env["GOMODCACHE"] = filepath.Join(cache, "go-mod")
	}
	maps.Copy(env, j.runner.Toolchain.Env)
	maps.Copy(env, j.req.Stage.Env)
	for _, s := range j.req.Secrets {
		if s.Env != "" {
			env[s.Env] = string(s.Value)
		}
	}
	maps.Copy(env, j.req.Env)
	if len(j.secretFiles()) > 0 {
		env[secretsVar] = j.secretsDir()
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}

// bwrapArgs are the arguments that make bubblewrap show v and start init in it.
func (j *job) bwrapArgs() []string {
	args := []string{"--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"}
	if !j.req.Stage.Network {
		args = append(args, "--unshare-net")
	}
	if j.user < 0 {
		args = append(args, "--unshare-user", "--uid", strconv.Itoa(insider), "--gid", strconv.Itoa(insider))
	} else {
		// Init changes the user of the stage, and needs nothing else.
		args = append(args, "--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")
	}
	args = append(args, "--hostname", hostName, "--die-with-parent", "--new-session", "--as-pid-1", "--clearenv")
	for _, l := range j.view.Links {
		args = append(args, "--symlink", l.To, l.At)
	}
	for _, b := range j.view.Binds {
		for _, dir := range parents(b.Target) { // bwrap would make missing ones for its own user only
			args = append(args, "--perms", "0755", "--dir", dir)
		}
		how := "--ro-bind"
		if b.Write {
			how = "--bind"
		}
		args = append(args, how, b.Source, b.Target)
	}
	for _, dir := range j.view.Masks {
		args = append(args, "--perms", "0000", "--tmpfs", dir, "--remount-ro", dir)
	}
	if len(j.secretFiles()) > 0 {
		args = append(args, "--size", strconv.Itoa(secretsSize), "--perms", "1777", "--tmpfs", secretsAt)
	}
	return append(args, "--proc", "/proc", "--dev", "/dev",
		"--size", strconv.FormatInt(j.view.Shm, 10), "--perms", "1777", "--tmpfs", "/dev/shm",
		"--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/",
		"--", fmt.Sprintf("/proc/self/fd/%d", exeFD), initArg, j.dir)
}

// parents are the folders above path, outermost first.
func parents(path string) []string {
	var all []string
	for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) {
		all = append(all, dir)
	}
	slices.Reverse(all)
	return all
}
