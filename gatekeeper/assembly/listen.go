package assembly

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// freePort asks the kernel for a port on loopback on which nobody listens. Somebody else may take it
// before the assembly does; [listeners] tells.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // a TCP listener's
	return port, l.Close()
}

// taken reports whether somebody listens on a port of loopback or of all addresses.
func taken(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return true
	}
	_ = l.Close() // it was free, and is again
	return false
}

// listenState is TCP_LISTEN in /proc/net/tcp, see proc(5).
const listenState = "0A"

// listeners are the sockets of this network that listen, inode to port, as /proc tells.
func listeners() map[string]int {
	sockets := map[string]int{}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // a machine without IPv6
		}
		for line := range bytes.Lines(text) {
			fields := strings.Fields(string(line))
			if len(fields) < 10 || fields[3] != listenState {
				continue
			}
			_, hex, _ := strings.Cut(fields[1], ":")
			if port, err := strconv.ParseUint(hex, 16, 16); err == nil {
				sockets[fields[9]] = int(port)
			}
		}
	}
	return sockets
}

// ownership says whose sockets listen on a port.
type ownership int

const (
	nobodys ownership = iota // nothing listens
	ours                     // the assembly's
	foreign                  // at least one is not the assembly's
	unknown                  // /proc does not tell
)

// whose finds out whether what listens on port belongs to the processes below root, which are those
// of one assembly. An assembly that has closed itself to looks (PR_SET_DUMPABLE) is unknown.
func whose(port int, root processTree) ownership {
	var inodes []string
	for inode, p := range listeners() {
		if p == port {
			inodes = append(inodes, inode)
		}
	}
	if len(inodes) == 0 {
		return nobodys
	}
	held, all := root.sockets()
	for _, inode := range inodes {
		switch {
		case slices.Contains(held, inode):
		case all:
			return foreign
		default:
			return unknown
		}
	}
	return ours
}

// processTree is one stage of the runner: its init is known by its folder.
type processTree struct{ prefix string }

// pids are the processes of the tree.
func (t processTree) pids() []int {
	parents := map[int]int{}
	roots := map[int]bool{}
	entries, _ := os.ReadDir("/proc") // without /proc there is nothing to see
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		parents[pid] = parentOf(pid)
		// A sandbox is a child of the server: a command line that only looks like one is none.
		roots[pid] = parents[pid] == os.Getpid() && t.named(pid)
	}
	var below []int
	for pid := range parents {
		for at, steps := pid, 0; at > 1 && steps < len(parents); at, steps = parents[at], steps+1 {
			if roots[at] {
				below = append(below, pid)
				break
			}
		}
	}
	return below
}

// named reports whether the command line of pid names the tree's folder.
func (t processTree) named(pid int) bool {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // gone: it names nothing
	for _, arg := range strings.Split(string(text), "\x00") {
		if strings.HasPrefix(arg, t.prefix) {
			return true
		}
	}
	return false
}

func parentOf(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name may hold anything, brackets too; what comes after its last bracket is numbers.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}

// sockets are the inodes of the sockets that the tree's processes hold; all says whether every
// process could be looked at.
func (t processTree) sockets() (inodes []string, all bool) {
	all = true
	for _, pid := range t.pids() {
		dir := fmt.Sprintf("/proc/%d/fd", pid)
		entries, err := os.ReadDir(dir)
		if err != nil {
			// The sandbox's init is closed to looks, and listens to nobody.
			all = all && (os.IsNotExist(err) || t.named(pid))
			continue
		}
		for _, e := range entries {
			to, err := os.Readlink(filepath.Join(dir, e.Name()))
			if err != nil {
				continue // closed just now
			}
			if inode, ok := strings.CutPrefix(to, "socket:["); ok {
				inodes = append(inodes, strings.TrimSuffix(inode, "]"))
			}
		}
	}
	return inodes, all
}

// ports are those that the tree listens on.
func (t processTree) ports() []int {
	held, _ := t.sockets()
	var ports []int
	for inode, port := range listeners() {
		if slices.Contains(held, inode) {
			ports = append(ports, port)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}
