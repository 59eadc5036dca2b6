package review

import (
	_ "embed" // the hook is a file of its own so that a shell can be tested on it
	"slices"
)

//go:embed commit-msg
var commitMsgHook []byte

// CommitMsgHook is the script that people install as .git/hooks/commit-msg: it gives their
// commits a Change-Id. It needs a POSIX shell, awk and git and knows nothing of this server.
func CommitMsgHook() []byte { return slices.Clone(commitMsgHook) }
