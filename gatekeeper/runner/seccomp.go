package runner

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Parts of struct seccomp_data (linux/seccomp.h).
const (
	dataNumber = 0
	dataArch   = 4
	dataArg0   = 16 // its lower half, on the little-endian machines that we know
	dataArg1   = 24
	// x32 is the bit of the second set of numbers that amd64 kernels may know.
	x32 = 0x40000000
)

// refused are system calls that no build or test needs and that reach deep into the kernel. They
// answer EPERM.
var refused = []uint32{
	unix.SYS_ADD_KEY, unix.SYS_BPF, unix.SYS_DELETE_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSOPEN,
	unix.SYS_FSPICK, unix.SYS_INIT_MODULE, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_KEXEC_LOAD, unix.SYS_KEYCTL, unix.SYS_MOUNT,
	unix.SYS_MOUNT_SETATTR, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_OPEN_TREE, unix.SYS_PERF_EVENT_OPEN,
	unix.SYS_PIVOT_ROOT, unix.SYS_QUOTACTL, unix.SYS_REBOOT, unix.SYS_REQUEST_KEY, unix.SYS_SETNS, unix.SYS_SWAPOFF, unix.SYS_SWAPON,
	unix.SYS_UMOUNT2, unix.SYS_USERFAULTFD,
}

// absent are calls that answer ENOSYS, so that programs fall back to others: io_uring goes past
// this filter, and the filter cannot see the flags of clone3.
var absent = []uint32{unix.SYS_CLONE3, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER, unix.SYS_IO_URING_SETUP}

// filter gives this thread, and so the stage, the seccomp filter. On machines whose calls we do
// not know it does nothing: the walls stand without it.
func filter() error {
	var arch uint32
	switch runtime.GOARCH {
	case "amd64":
		arch = unix.AUDIT_ARCH_X86_64
	case "arm64":
		arch = unix.AUDIT_ARCH_AARCH64
	default:
		return nil
	}
	program := rules(arch)
	p := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]} //nolint:gosec // some dozens
	_, _, errno := unix.Syscall(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&p)))
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	return nil
}

// rules is the filter's program. Each rule jumps over its answer when it does not apply.
func rules(arch uint32) []unix.SockFilter {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	jump := func(how uint16, k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | how | unix.BPF_K, Jt: yes, Jf: no, K: k}
	}
	answer := func(a uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: a} }
	deny := answer(unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM))
	missing := answer(unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS))

	program := []unix.SockFilter{
		load(dataArch), jump(unix.BPF_JEQ, arch, 1, 0), missing, // other machines' numbers mean other calls
		load(dataNumber), jump(unix.BPF_JGE, x32, 0, 1), missing,
	}
	for _, call := range refused {
		program = append(program, jump(unix.BPF_JEQ, call, 0, 1), deny)
	}
	for _, call := range absent {
		program = append(program, jump(unix.BPF_JEQ, call, 0, 1), missing)
	}
	// A user namespace would give capabilities in it, and with them more of the kernel.
	for _, call := range []uint32{unix.SYS_UNSHARE, unix.SYS_CLONE} {
		program = append(program, jump(unix.BPF_JEQ, call, 0, 4), load(dataArg0),
			jump(unix.BPF_JSET, unix.CLONE_NEWUSER, 0, 1), deny, answer(unix.SECCOMP_RET_ALLOW))
	}
	// TIOCSTI types into a terminal.
	program = append(program, jump(unix.BPF_JEQ, unix.SYS_IOCTL, 0, 3), load(dataArg1), jump(unix.BPF_JEQ, unix.TIOCSTI, 0, 1), deny)
	return append(program, answer(unix.SECCOMP_RET_ALLOW))
}
