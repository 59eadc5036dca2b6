package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"gatehouse/gitserver/fault"
)

// Two locks stand in a data folder. "lock" is held by the one server on it, for as long as it
// runs. "start.lock" keeps the repairs of a starting server, which remove what looks left
// over, apart from the verbs of the command line on the same folder: those share it.
const (
	serverLock = "lock"
	startLock  = "start.lock"
)

// lockServer makes this process the one server of the folder; its pid goes into the file for
// those who ask who it is.
func lockServer(dir string) (release func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, serverLock), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.Newf(fault.Invalid, "gate.lock", "the data folder cannot be used: %v", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		who, _ := os.ReadFile(f.Name()) // only for the message
		_ = f.Close()
		return nil, fault.New(fault.Unavailable, "gate.lock",
			fmt.Sprintf("another server (process %s) runs on %s", strings.TrimSpace(string(who)), dir), "stop it first, or choose another folder with --data")
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("gate: lock %s: %w", dir, err)
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, fmt.Sprintf("%d\n", os.Getpid()))); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("gate: lock %s: %w", dir, err)
	}
	return func() { _ = f.Close() }, nil // closing lets the lock go
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// serverRuns reports whether a server holds the folder.
func serverRuns(dir string) bool {
	f, err := os.Open(filepath.Join(dir, serverLock))
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// lockShared waits until no server is starting on the folder, and keeps one from starting
// until it is released.
func lockShared(dir string) (release func(), err error) { return lockStart(dir, syscall.LOCK_SH) }

// lockStarting waits until no verb works on the folder, and keeps them out until it is released.
func lockStarting(dir string) (release func(), err error) { return lockStart(dir, syscall.LOCK_EX) }

func lockStart(dir string, how int) (func(), error) {
	f, err := os.OpenFile(filepath.Join(dir, startLock), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.Newf(fault.Invalid, "gate.lock", "the data folder cannot be used: %v", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("gate: lock %s: %w", dir, err)
	}
	return func() { _ = f.Close() }, nil
}
