package runner

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// samplePause is the time between two looks at what the stage uses. What grows faster than a
// fifth of a second can show is stopped by the limits of each process.
const samplePause = 200 * time.Millisecond

// process is what /proc tells of one.
type process struct {
	pid, parent, threads int
	memory               int64 // bytes that are its own, in memory or swapped out
}

// sample watches the sums that no rlimit bounds, and ends a stage that passes one.
func (in *initProcess) sample() {
	for range time.Tick(samplePause) {
		var memory int64
		var threads int
		for _, p := range in.stageProcesses() {
			memory += p.memory
			threads += p.threads
		}
		over := ""
		switch {
		case memory > in.orders.Memory:
			over = overMemory
		case threads > in.orders.Processes:
			over = overProcesses
		default:
			continue
		}
		in.say(report{Ended: true, Code: -1, Over: over})
		in.end(1)
	}
}

// stageProcesses are all processes of the stage.
func (in *initProcess) stageProcesses() []process {
	self := os.Getpid()
	if in.orders.Mode == None {
		return descendants(self)
	}
	var all []process
	for _, p := range processes() {
		if p.pid != self { // all that this /proc shows is ours
			all = append(all, p)
		}
	}
	return all
}

// descendants are the processes below pid.
func descendants(pid int) []process {
	children := map[int][]process{}
	for _, p := range processes() {
		children[p.parent] = append(children[p.parent], p)
	}
	var below []process
	for next := children[pid]; len(next) > 0; {
		p := next[0]
		next = append(next[1:], children[p.pid]...)
		below = append(below, p)
	}
	return below
}

// processes are all that /proc shows.
func processes() []process {
	entries, _ := os.ReadDir("/proc") // without /proc there is nothing to see
	var all []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if text, err := os.ReadFile(filepath.Join("/proc", e.Name(), "status")); err == nil { // else it has just ended
			all = append(all, parseStatus(pid, text))
		}
	}
	return all
}

// parseStatus reads /proc/PID/status: see proc_pid_status(5).
func parseStatus(pid int, text []byte) process {
	p := process{pid: pid}
	for line := range bytes.Lines(text) {
		name, value, _ := bytes.Cut(line, []byte{':'})
		fields := bytes.Fields(value)
		if len(fields) == 0 {
			continue
		}
		n, err := strconv.ParseInt(string(fields[0]), 10, 64)
		if err != nil {
			continue
		}
		switch string(name) {
		case "PPid":
			p.parent = int(n)
		case "Threads":
			p.threads = int(n)
		case "RssAnon", "VmSwap":
			p.memory += n << 10
		}
	}
	return p
}
