package account

import (
	"fmt"
	"strings"

	"gatehouse/gitserver/fault"
)

// Role is what somebody is on a repository. Each role may do all that those below it may.
type Role string

// The roles, lowest first.
const (
	RoleNone     Role = ""
	RoleRead     Role = "read"     // see the repository
	RoleWrite    Role = "write"    // propose, comment, vote, ask to land, push to ungated branches, tag
	RoleMaintain Role = "maintain" // edit other people's changes, order and freeze the queue, delete ungated branches
	RoleOwn      Role = "own"      // settings, mirrors, grants
)

// ParseRole reads a role as people write it; "none" is [RoleNone].
func ParseRole(text string) (Role, error) {
	if text == "none" {
		return RoleNone, nil
	}
	if r := Role(text); r.rank() >= 0 {
		return r, nil
	}
	return RoleNone, fault.New(fault.Invalid, "account.ParseRole", fmt.Sprintf("there is no role called %q", clip(text)), "use none, read, write, maintain or own")
}

// rank orders the roles; an unknown one is below all.
func (r Role) rank() int {
	switch r {
	case RoleNone:
		return 0
	case RoleRead:
		return 1
	case RoleWrite:
		return 2
	case RoleMaintain:
		return 3
	case RoleOwn:
		return 4
	default:
		return -1
	}
}

// Includes reports whether r is at least other. A role that nobody knows includes nothing
// and is included by nothing.
func (r Role) Includes(other Role) bool {
	return r.rank() >= 0 && other.rank() >= 0 && r.rank() >= other.rank()
}

// Verb is something that one may or may not do.
type Verb string

// The verbs.
const (
	Read       Verb = "read"       // fetch, see pages and changes
	Propose    Verb = "propose"    // push for review
	Comment    Verb = "comment"    // comment on a change
	Vote       Verb = "vote"       // vote on a change
	Submit     Verb = "submit"     // ask a change to land
	Hold       Verb = "hold"       // hold a change back in the queue, release it, take it out
	Promote    Verb = "promote"    // let a change go before others in the queue, also through a freeze
	Freeze     Verb = "freeze"     // stop all landings on a branch, and start them again
	Deploy     Verb = "deploy"     // promote artifacts by hand, roll back, pin and veto
	Edit       Verb = "edit"       // abandon, restore, rename the topic of … a change
	Push       Verb = "push"       // create or move an ungated branch
	Delete     Verb = "delete"     // delete an ungated branch
	Tag        Verb = "tag"        // create a tag
	Own        Verb = "own"        // settings, mirrors, grants, the first push
	Create     Verb = "create"     // make a repository
	Administer Verb = "administer" // the server and its accounts
)

// Verbs lists every verb: the permission matrix and the settings page walk through it.
func Verbs() []Verb {
	return []Verb{Read, Propose, Comment, Vote, Submit, Hold, Promote, Freeze, Deploy, Edit, Push, Delete, Tag, Own, Create, Administer}
}

// needs is the least role that may do v. ok is false for verbs that no role on a repository
// gives: those are the administrators'.
func (v Verb) needs() (role Role, ok bool) {
	switch v {
	case Read:
		return RoleRead, true
	case Propose, Comment, Vote, Submit, Hold, Push, Tag:
		return RoleWrite, true
	case Promote, Freeze, Deploy, Edit, Delete:
		return RoleMaintain, true
	case Own:
		return RoleOwn, true
	default: // Create, Administer, and whatever nobody has heard of
		return RoleNone, false
	}
}

// onBranch reports whether v is done to one branch, so that a grant on that branch gives it.
func (v Verb) onBranch() bool {
	switch v {
	case Propose, Comment, Vote, Submit, Hold, Promote, Freeze, Deploy, Edit, Push, Delete:
		return true
	default:
		return false
	}
}

// own reports whether v may be done to one's own change, whatever one is on the repository.
func (v Verb) own() bool { return v == Edit || v == Hold }

// ruledBy reports whether a branch rule about the verb rule narrows v: whom a rule keeps from
// submitting to a branch it keeps from arranging what others submitted there.
func (v Verb) ruledBy(rule Verb) bool {
	return v == rule || rule == Submit && (v == Hold || v == Promote)
}

// ruled reports whether a branch rule may narrow v. A tag's rule matches the tag's short name.
func (v Verb) ruled() bool { return v.onBranch() || v == Tag }

// maxPattern bounds a pattern like the names that it means.
const maxPattern = 200

// CheckPattern says whether a branch pattern can be used: see [Matches].
func CheckPattern(pattern string) error {
	const op = "account.CheckPattern"
	bad := pattern == "" || len(pattern) > maxPattern ||
		strings.HasPrefix(pattern, "/") || strings.HasSuffix(pattern, "/") || strings.HasPrefix(pattern, "refs/") ||
		strings.Contains(pattern, "***") || strings.Contains(pattern, "..") || strings.Contains(pattern, "//")
	for _, c := range pattern {
		bad = bad || c <= ' ' || c == 0x7f || strings.ContainsRune("~^:?[]\\", c)
	}
	if bad {
		return fault.New(fault.Invalid, op, fmt.Sprintf("%q is no branch pattern", clip(pattern)),
			"write a branch name as main, with * for any part of a segment and ** for any number of segments, as release/*")
	}
	return nil
}

// Matches reports whether a branch (short name) is one that pattern means: * stands for any
// run of characters without a slash, ** for any run at all, and everything else for itself.
// The work is at most the product of the two lengths, whatever the stars.
func Matches(pattern, branch string) bool {
	if !strings.Contains(pattern, "*") {
		return pattern == branch
	}
	at := make([]bool, len(branch)+1) // at[i]: the pattern so far can stand for branch[:i]
	at[0] = true
	for i := 0; i < len(pattern); i++ {
		if c := pattern[i]; c != '*' {
			for j := len(branch); j > 0; j-- {
				at[j] = at[j-1] && branch[j-1] == c
			}
			at[0] = false
			continue
		}
		deep := strings.HasPrefix(pattern[i:], "**")
		if deep {
			i++
		}
		for j := range len(branch) {
			at[j+1] = at[j+1] || at[j] && (deep || branch[j] != '/')
		}
	}
	return at[len(branch)]
}
