package runner

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
)

// rootSize bounds the file system of the sandbox's root, which holds mount points only.
const rootSize = "size=4m,mode=755"

// enter makes the walls: it builds the file system that o.View describes in the mount namespace
// that this process was started in, and moves into it.
func enter(o orders) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", o.Root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, rootSize); err != nil {
		return fmt.Errorf("mount the root: %w", err)
	}
	for _, l := range o.View.Links {
		if err := os.Symlink(l.To, filepath.Join(o.Root, l.At)); err != nil {
			return fmt.Errorf("link: %w", err)
		}
	}
	for _, b := range o.View.Binds {
		if err := bindInto(o.Root, b); err != nil {
			return fmt.Errorf("show %s: %w", b.Target, err)
		}
	}
	for _, dir := range o.View.Masks {
		if err := unix.Mount("tmpfs", filepath.Join(o.Root, dir), "tmpfs", unix.MS_RDONLY, "size=4k,mode=000"); err != nil {
			return fmt.Errorf("hide %s: %w", dir, err)
		}
	}
	if err := devices(o.Root, o.View.Shm); err != nil {
		return fmt.Errorf("devices: %w", err)
	}
	proc := filepath.Join(o.Root, "proc")
	if err := os.Mkdir(proc, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("proc", proc, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := mountSecrets(o); err != nil {
		return fmt.Errorf("secrets: %w", err)
	}
	if err := pivot(o.Root); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	if err := unix.Sethostname([]byte(hostName)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	if o.Network {
		return nil
	}
	if err := loopback(); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	return nil
}

// bindInto shows b under root. Programs of the host lose their setuid bits, and devices their
// meaning.
func bindInto(root string, b bind) error {
	target := filepath.Join(root, b.Target)
	info, err := os.Stat(b.Source)
	if err != nil {
		return err
	}
	if err := mountPoint(target, info.IsDir()); err != nil {
		return err
	}
	if err := unix.Mount(b.Source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
	if !b.Write {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(unix.AT_FDCWD, target, unix.AT_RECURSIVE, &attr); err != nil {
		return fmt.Errorf("protect (Linux 5.12 can): %w", err)
	}
	return nil
}

func mountPoint(target string, dir bool) error {
	if dir {
		return os.MkdirAll(target, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_RDONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// deviceNames are the devices that any program may use.
var deviceNames = []string{"null", "zero", "full", "random", "urandom", "tty"}

// devices makes a /dev with nothing in it that belongs to the machine.
func devices(root string, shm int64) error {
	dev := filepath.Join(root, "dev")
	if err := os.Mkdir(dev, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dev, "tmpfs", unix.MS_NOSUID, "size=64k,mode=755"); err != nil {
		return err
	}
	for _, name := range deviceNames {
		target := filepath.Join(dev, name)
		if err := mountPoint(target, false); err != nil {
			return err
		}
		if err := unix.Mount("/dev/"+name, target, "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	for at, to := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
	} {
		if err := os.Symlink(to, filepath.Join(dev, at)); err != nil {
			return err
		}
	}
	for _, m := range []struct{ name, kind, options string }{
		{"shm", "tmpfs", fmt.Sprintf("size=%d,mode=1777", shm)},
		{"pts", "devpts", "newinstance,ptmxmode=0666,mode=620"},
	} {
		target := filepath.Join(dev, m.name)
		if err := os.Mkdir(target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, target, m.kind, unix.MS_NOSUID|unix.MS_NOEXEC, m.options); err != nil {
			return err
		}
	}
	return unix.Mount("", dev, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID, "")
}

// pivot makes root the root, and lets go of the old one.
func pivot(root string) error {
	old := filepath.Join(root, ".old")
	if err := os.Mkdir(old, 0o700); err != nil {
		return err
	}
	if err := unix.PivotRoot(root, old); err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Unmount("/.old", unix.MNT_DETACH); err != nil {
		return err
	}
	if err := os.Remove("/.old"); err != nil {
		return err
	}
	return unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, "")
}

// loopback brings the namespace's own loopback up: many tests listen on it.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

// restrict is the second wall: Landlock, as far as the kernel has it. Where a path to something
// outside should be found, through a bug in a mount for example, Landlock still refuses it.
func restrict() error {
	var rules []landlock.Rule
	entries, err := os.ReadDir("/")
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := "/" + e.Name()
		switch {
		case path == "/dev" || e.Type()&os.ModeSymlink != 0:
		case path == workAt || path == cacheAt || path == tmpAt || strings.HasPrefix(homeAt, path+"/"):
			rules = append(rules, landlock.RWDirs(path).WithRefer())
		case path == "/proc": // its own, and no more than its user id allows
			rules = append(rules, landlock.RWDirs(path))
		default:
			rules = append(rules, landlock.RODirs(path))
		}
	}
	rules = append(rules, landlock.RODirs("/dev"), landlock.RWDirs("/dev/shm").WithRefer(), landlock.RWDirs("/dev/pts").WithIoctlDev())
	for _, name := range deviceNames {
		rules = append(rules, landlock.RWFiles("/dev/"+name).WithIoctlDev())
	}
	best := landlock.V6.BestEffort()
	if err := errors.Join(best.RestrictPaths(rules...), best.RestrictScoped()); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	return nil
}
