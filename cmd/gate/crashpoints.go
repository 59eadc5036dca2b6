//go:build crashpoints

package main

import (
	"os"
	"syscall"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/entrance"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/mirror"
	"gatehouse/review"
)

// GATE_CRASH_AT names the crash point at which a server built for the crash tests kills
// itself with SIGKILL, as a power cut would.
func init() {
	at := os.Getenv("GATE_CRASH_AT")
	if at == "" {
		return
	}
	die := func(name string) {
		if name == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way; do nothing more
		}
	}
	git.CrashPoint, mirror.CrashPoint, review.CrashPoint, gatekeeper.CrashPoint, entrance.CrashPoint = die, die, die, die, die
	deliver.CrashPoint = die
}
