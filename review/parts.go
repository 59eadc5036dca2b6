package review

import (
	"slices"
	"strings"

	"gatehouse/gitserver/account"
)

// Part is what an account has to do with a change.
type Part string

// The parts. Somebody may have several.
const (
	Author    Part = "author"    // wrote a patch set, or is named as its co-author
	Uploader  Part = "uploader"  // pushed a patch set
	Committer Part = "committer" // is the committer of a patch set
)

// Bound are the votes that were given on exactly this patch set of this change: its number,
// commit, difference and branch (I4).
func Bound(c Change, ps PatchSet, votes []Vote) []Vote {
	var bound []Vote
	for _, v := range votes {
		if v.Change == c.ID && v.PS == ps.Number && v.Commit == ps.Commit && v.DiffDigest == ps.DiffDigest && v.Branch == c.Branch {
			bound = append(bound, v)
		}
	}
	return bound
}

// Parts is what an account has to do with a change, over all its patch sets: whoever wrote or
// pushed any of them has a part in what would land (I5). Addresses are compared whatever
// their case.
func Parts(sets []PatchSet, who account.Account) []Part {
	same := func(email string) bool {
		return who.Email != "" && strings.EqualFold(strings.TrimSpace(email), who.Email)
	}
	var author, uploader, committer bool
	for _, ps := range sets {
		author = author || same(ps.AuthorEmail) || slices.ContainsFunc(ps.CoAuthors, same)
		uploader = uploader || ps.Uploader == who.ID
		committer = committer || same(ps.CommitterEmail)
	}
	var parts []Part
	for _, p := range []struct {
		has  bool
		part Part
	}{{author, Author}, {uploader, Uploader}, {committer, Committer}} {
		if p.has {
			parts = append(parts, p.part)
		}
	}
	return parts
}
