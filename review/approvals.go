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

// Question is what [Approvals] is asked about one change.
type Question struct {
	Change Change
	// Sets are all patch sets of the change; the current one is judged.
	Sets  []PatchSet
	Votes []Vote
	Label Label
	// Value is the least vote that approves; 0 is the label's Max.
	Value int
	// Min is how many people must have approved.
	Min int
	// Not excludes those who have one of these parts in the change.
	Not []Part
	// Account finds a voter; false for one that is disabled or gone, whose votes do not count.
	Account func(id int64) (account.Account, bool)
	// By tells whose approval counts, nil for everybody's. It does not limit vetoes.
	By func(id int64) bool
}

// Answer is what the votes on one label come to.
type Answer struct {
	OK        bool    // enough approvals and no veto
	Approvers []int64 // whose approvals count
	Vetoes    []int64 // who blocks
	Excluded  []int64 // who approved and may not: has a part in the change, or is not asked
}

// Approvals counts the votes on a label. An approval is a vote of at least Value by somebody
// who is asked and has no excluded part in the change; each account counts once. A vote of
// the label's Min vetoes when the label says so, whoever gives it: also an author may stop
// their own change.
func Approvals(q Question) Answer {
	var a Answer
	i := slices.IndexFunc(q.Sets, func(ps PatchSet) bool { return ps.Number == q.Change.Current })
	if i < 0 {
		return a
	}
	value := q.Value
	if value == 0 {
		value = q.Label.Max
	}
	seen := map[int64]bool{}
	for _, v := range Bound(q.Change, q.Sets[i], q.Votes) {
		if v.Label != q.Label.Name || seen[v.Account] {
			continue
		}
		seen[v.Account] = true
		who, ok := q.Account(v.Account)
		switch {
		case !ok:
		case q.Label.Veto && v.Value <= q.Label.Min:
			a.Vetoes = append(a.Vetoes, v.Account)
		case v.Value < value:
		case q.By != nil && !q.By(v.Account), excluded(Parts(q.Sets, who), q.Not):
			a.Excluded = append(a.Excluded, v.Account)
		default:
			a.Approvers = append(a.Approvers, v.Account)
		}
	}
	a.OK = len(a.Vetoes) == 0 && len(a.Approvers) >= q.Min
	return a
}

func excluded(parts, not []Part) bool {
	return slices.ContainsFunc(parts, func(p Part) bool { return slices.Contains(not, p) })
}
