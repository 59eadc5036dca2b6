// Package runner executes one stage run: the command of a stage, on the tree of a candidate, in a
// sandbox, with its output kept and everything that it started ended.
//
// # The sandbox
//
// There are three ways to run a stage, and [Detect] tries which of the first two works here:
//
//   - bubblewrap: the bwrap program makes the namespaces and mounts.
//   - embedded: this binary does the same itself, and confines itself with Landlock on top.
//   - none: no walls, only limits. It is never chosen by itself.
//
// Whichever it is, the server starts itself once more (see [Main]) as the stage's init: the first
// process in the sandbox, which sets the limits, starts the shell, reaps and samples what runs, and
// tells the server how the shell ended. Init holds one end of a pipe from the server. When that
// pipe closes, because the server wants the stage to end or because the server was killed, init
// ends, and with it, by the kernel's hand, every process in its namespace.
//
// In the walls a stage sees: its tree at /work, a private /tmp and home, a cache at /cache that
// the repository's stages share, /usr and the few files of /etc that programs expect, its own
// /proc and a minimal /dev, and what the owner of the server added with [Toolchain]. It has no
// network but its own loopback, unless its plan says `network: true`; then it has the server's
// network, the server's own ports on loopback included. When the server runs as root, a stage has
// a user id that nobody else on the machine has, one for each repository; otherwise it is the
// server's user in a user namespace. It has no capabilities and cannot gain any, and may not make
// user namespaces of its own.
//
// # The cache
//
// A cache that outlives a stage is a way from one stage to the next. It is keyed by repository, so
// that repositories do not meet, and by [Request.Trust], so that the caller can keep what nobody
// has approved apart from what is about to land. Home and /tmp are always fresh.
//
// [Request.Stage] may also name folders of its tree that outlive it. They are copies, outside of what
// stages see, keyed in the same way: one is put into the tree before the stage begins and taken from
// it when it has PASSED, so that stages which run at once do not meet.
//
// # Artifacts
//
// What a stage produces is taken into the artifact store when it has PASSED, through the root of its
// tree; what is missing or is not what it should be makes it FAILED. What it uses is put into the tree
// before it begins, over nothing and through no link.
//
// # Secrets
//
// Secrets reach init through its pipe, and the stage as variables, or as files in memory that the
// sandbox has for itself. All that is kept of the stage, log and result, passes through a mask first.
//
// # Services
//
// Services are started by init before the script, in the same walls and with the same limits, each
// when the one before it answers. One that is not ready makes the stage FAILED: its command is the
// code's. Whatever becomes of them later is the script's to notice, and they end with it.
//
// # The limits
//
// What runs for ever ([Request.Forever]) has no limit of time, and of its output the first bytes and
// the last are kept.
//
// Time, output, size of files, open files, processes (with threads) and memory are bounded by
// [Limits]. Memory is bounded twice: RLIMIT_DATA for each process, which stops the fast ones, and a
// sampler for all of them together. RLIMIT_AS is not used: runtimes with large reservations (Go's
// race detector, Java) run into it long before they use memory. Whoever passes the memory limit has
// FAILED, since the code did it.
//
// # The verdict
//
// PASSED and FAILED are about the code, TIMED_OUT is its limit, CANCELED is the caller's wish, and
// ERRORED is the machinery: the sandbox did not start, the tree could not be checked out, the
// shell was killed from outside, the disk ran full. A stage that passed but did not leave the
// results or the artifacts that its plan names has FAILED.
//
// Invariants: when [Runner.Run] has returned, no process of the stage lives and its work folder is
// gone; the log never holds more than its limit and a mark (and, of what runs for ever, its end);
// nothing that a stage leaves behind is read, nor anything handed to it written, through a link that
// leads out of its tree; no value of a secret stands in the log, in the result or in the arguments
// of a process that we start.
package runner
