package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
)

// installed are the files and folders that change whenever a program of the operating system
// is installed, upgraded or removed: what package managers write down, and where programs are.
var installed = []string{
	"/etc/os-release", "/var/lib/dpkg/status", "/var/lib/rpm/rpmdb.sqlite", "/lib/apk/db/installed", "/var/lib/pacman/local",
	"/usr/bin", "/usr/sbin", "/usr/lib", "/usr/local", "/usr/local/bin", "/usr/local/go/VERSION",
}

// Identity names what stages run with besides their own files: the walls and limits, the
// toolchain that the owner shows them, and the programs of the machine as far as a look at
// them tells. Where it is the same, a stage can be expected to come to the same result.
func (r *Runner) Identity() string {
	sum := sha256.New()
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(sum, format+"\x00", args...) }
	l := r.Limits.withDefaults()
	say("%s %s/%s", r.Sandbox, runtime.GOOS, runtime.GOARCH)
	say("%d %d %d %d %d", l.Memory, l.Processes, l.Output, l.FileSize, l.OpenFiles)
	for _, name := range slices.Sorted(maps.Keys(r.Toolchain.Env)) {
		say("%s=%s", name, r.Toolchain.Env[name])
	}
	for _, path := range slices.Concat(installed, r.Toolchain.ReadOnly) {
		if info, err := os.Stat(path); err == nil {
			say("%s %d %d", path, info.Size(), info.ModTime().UnixNano())
		} else {
			say("%s", path) // one that is not there is told apart from one that is
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}
