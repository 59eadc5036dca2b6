package git

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gatehouse/gitserver/fault"
)

// Policy is what new content of a push is held against: git's own checks let through names
// that some client turns into something else, links that lead out of the tree, and headers
// that hide things from readers.
type Policy struct {
	Now           func() time.Time // for dates in the future
	MaxBlob       int64            // bytes of one file
	MaxParents    int              // of a commit
	AllowGitlinks bool             // submodules; the server itself never fetches them
	AllowLinksOut bool             // symbolic links that are absolute or leave the tree
}

// Limits of new content.
const (
	MaxBlob       = 100 << 20        // a file that everybody clones for ever
	MaxParents    = 2                // a merge; with more, a diff against one parent hides the others
	MaxName       = 255              // bytes of a name: what file systems take
	MaxPath       = 1024             // bytes of a path: macOS takes no more
	MaxDepth      = 64               // directories inside each other
	MaxFuture     = 24 * time.Hour   // clocks are wrong by a zone, not by more
	MaxPushPaths  = 1_000_000        // changed paths of a push, so that a tree that multiplies itself is given up early
	maxWalkDepth  = 1024             // directories of a tree that was deep before: the walk ends somewhere
	MaxPushNew    = 5_000_000        // new objects of a push
	MaxCommit     = 1 << 20          // bytes of a commit or tag with its message
	MaxTree       = maxTreeBytes     // bytes of one directory
	maxModules    = 256 << 10        // bytes of .gitmodules
	maxCheckWall  = 30 * time.Minute // for one step of a check
	maxCommitList = 500_000          // new commits of a push
)

// DefaultPolicy is the policy of a repository that says nothing about it.
func DefaultPolicy(now func() time.Time) Policy {
	return Policy{Now: now, MaxBlob: MaxBlob, MaxParents: MaxParents}
}

// refusal is the fault of a content rule: what, then why.
func refusal(what, why, next string) error {
	return fault.New(fault.Refused, "git.Check", what+" "+why, next)
}

// renameIt is the next step of most refusals of names.
const renameIt = "rename it, and amend the commit that adds it"

// checkName judges the last part of a path that a commit adds.
func checkName(path string) error {
	name := path[strings.LastIndexByte(path, '/')+1:]
	why := nameFlaw(name)
	switch {
	case why != "":
	case len(path) > MaxPath:
		why = "is a path of more than 1024 bytes"
	case strings.Count(path, "/") >= MaxDepth:
		why = "is more than 64 directories deep"
	default:
		return nil
	}
	return refusal("the name "+quoteName(path), why, renameIt)
}

// nameFlaw says what is wrong with one name in a tree, "" when nothing is.
func nameFlaw(name string) string {
	switch {
	case name == "" || name == "." || name == "..":
		return "is not a name"
	case len(name) > MaxName:
		return "is longer than 255 bytes"
	case !utf8.ValidString(name):
		return "is not valid UTF-8"
	case name[0] == '-':
		return "begins with -, which programs read as an option"
	case strings.HasSuffix(name, ".") || strings.HasSuffix(name, " "):
		return "ends with a dot or a space, which Windows drops"
	}
	for _, r := range name {
		switch {
		case unicode.IsControl(r):
			return "holds a control character"
		case unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			return "holds an invisible or text-reordering character"
		case r == '\\' || r == ':':
			return "holds " + string(r) + ", which separates paths on Windows"
		}
	}
	if isGitDir(name) {
		return "stands for a repository's own folder"
	}
	if isDevice(name) {
		return "is a device on Windows"
	}
	return ""
}

// isGitDir reports whether some file system takes name for .git: by case, by ignorable
// characters (HFS+), or by its short name (NTFS).
func isGitDir(name string) bool {
	plain := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, name)
	plain, _, _ = strings.Cut(plain, ":")
	plain = FoldName(strings.TrimRight(plain, ". "))
	return plain == ".git" || plain == "git~1"
}

// isDevice reports whether Windows opens a device by that name, with or without an extension.
func isDevice(name string) bool {
	stem, _, _ := strings.Cut(strings.ToUpper(name), ".")
	switch stem = strings.TrimRight(stem, " "); stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	if len(stem) < 4 || stem[:3] != "COM" && stem[:3] != "LPT" {
		return false
	}
	switch stem[3:] {
	case "1", "2", "3", "4", "5", "6", "7", "8", "9", "\u00b9", "\u00b2", "\u00b3":
		return true
	}
	return false
}

// checkLink judges the target of a symbolic link. Only leading ".." are allowed: they climb
// real directories, where a later one would climb from wherever another link leads to.
func (p Policy) checkLink(path, target string) error {
	what := "the link " + quoteName(path) + " to " + quoteName(target)
	const next = "make it point inside the tree, without .. behind a name"
	if target == "" || strings.ContainsFunc(target, unicode.IsControl) || strings.ContainsRune(target, '\\') {
		return refusal(what, "has a target that is empty or holds a control character or \\", next)
	}
	parts := strings.Split(target, "/")
	for _, part := range parts {
		if isGitDir(part) {
			return refusal(what, "leads into a repository's own folder", next)
		}
	}
	if p.AllowLinksOut {
		return nil
	}
	if target[0] == '/' || len(target) > 1 && target[1] == ':' {
		return refusal(what, "is absolute", next)
	}
	depth, named := strings.Count(path, "/"), false
	for _, part := range parts {
		switch part {
		case "", ".":
		case "..":
			if depth--; depth < 0 || named {
				return refusal(what, "leaves the tree, or may", next)
			}
		default:
			named = true
		}
	}
	return nil
}

// checkMode lets the modes through that git itself writes.
func (p Policy) checkMode(path, mode string) error {
	switch mode {
	case "100644", modeExec, modeSymlink, modeTree:
		return nil
	case modeGitlink:
		if p.AllowGitlinks {
			return nil
		}
		return refusal(quoteName(path), "is a submodule, which this repository does not take", "add the files themselves, or ask an owner")
	}
	return refusal(quoteName(path), "has the mode "+clip(mode)+", which git does not write", "add the file again")
}
