package gatekeeper

import (
	"context"
	"fmt"
	"strings"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/review"
)

// committer signs candidates. Its time is the patch set's, so that the same patch set on the
// same base is the same commit whenever and wherever it is made.
const (
	committerName  = "Gatehouse"
	committerEmail = "gatehouse@localhost"
)

// proposal is a patch set with its change and commit: what candidates are made of.
type proposal struct {
	change review.Change
	ps     review.PatchSet
	own    git.Commit
}

// merged is what a patch set on a base came to; Conflict says why it came to nothing.
type merged struct {
	Commit, Tree git.OID
	Conflict     string
}

// mergeOnto merges the patch set onto base the way the plan says. What it cannot do comes
// back as words in Conflict, for people; paths are those in conflict.
//
// merge and fast-forward bring the patch set's own commit onto the branch, and with it all
// of its history, so they refuse a patch set whose history holds a commit that has not
// landed: it would land unreviewed. rebase and squash take only the patch set's difference.
func mergeOnto(ctx context.Context, g *git.Repo, p proposal, base git.OID, how string) (m merged, paths []string, err error) {
	own, branch := p.own, p.change.Branch
	if how == plan.Rebase || how == plan.FastForward {
		if len(own.Parents) == 1 && own.Parents[0] == base {
			return merged{Commit: own.OID, Tree: own.Tree}, nil, nil // already there: what was pushed is what lands
		}
	}
	var tree git.OID
	switch how {
	case plan.FastForward:
		return merged{Conflict: fmt.Sprintf("%s has moved on and the plan lands by fast-forward only: rebase onto it and push again", branch)}, nil, nil
	case plan.Rebase:
		if len(own.Parents) > 1 {
			return merged{Conflict: "a merge commit cannot be rebased: push single commits, or set land.how to merge or squash"}, nil, nil
		}
		tree, paths, err = g.PickTree(ctx, base, own.OID)
	case plan.Squash:
		if len(own.Parents) == 1 {
			tree, paths, err = g.PickTree(ctx, base, own.OID)
		} else {
			tree, paths, err = mergeOnly(ctx, g, own, base)
		}
	case plan.Merge:
		tree, paths, err = mergeOnly(ctx, g, own, base)
	default:
		panic("gatekeeper: unknown way to land: " + how)
	}
	if unlanded, ok := err.(*unlandedError); ok { //nolint:errorlint // made two calls below, never wrapped
		return merged{Conflict: unlanded.words()}, nil, nil
	}
	if err != nil || len(paths) > 0 {
		return merged{Conflict: "conflicts in " + strings.Join(paths, ", ")}, paths, err
	}
	committer := git.Signature{Name: committerName, Email: committerEmail, When: p.ps.CreatedAt}
	author, message, parents := own.Author, own.Message, []git.OID{base}
	if how == plan.Merge {
		author, message, parents = committer, mergeMessage([]proposal{p}), []git.OID{base, own.OID}
	}
	oid, err := g.WriteCommit(ctx, tree, parents, author, committer, message)
	return merged{Commit: oid, Tree: tree}, nil, err
}

// mergeMessage is the message of the merge commit that lands the changes.
func mergeMessage(all []proposal) string {
	if len(all) == 1 {
		p := all[0]
		return fmt.Sprintf("Merge change %d: %s\n\nLands patch set %d of change %d (%s).\n",
			p.change.ID, p.change.Subject, p.ps.Number, p.change.ID, p.change.Key)
	}
	var names, lines strings.Builder
	for i, p := range all {
		switch {
		case i == 0:
		case i == len(all)-1:
			names.WriteString(" and ")
		default:
			names.WriteString(", ")
		}
		fmt.Fprintf(&names, "%d", p.change.ID)
		fmt.Fprintf(&lines, "Lands patch set %d of change %d (%s): %s\n", p.ps.Number, p.change.ID, p.change.Key, p.change.Subject)
	}
	return "Merge changes " + names.String() + "\n\n" + lines.String()
}

// mergeBatch is the one merge commit that lands several changes: its tree is what merging
// them one after the other came to. Its first parent is the base, so that the branch gains
// exactly the commit that was tested.
func mergeBatch(ctx context.Context, g *git.Repo, all []proposal, base, tree git.OID) (git.OID, error) {
	below := map[git.OID]bool{}
	when := all[0].ps.CreatedAt
	for _, p := range all {
		for _, parent := range p.own.Parents {
			below[parent] = true
		}
		if p.ps.CreatedAt.After(when) {
			when = p.ps.CreatedAt
		}
	}
	parents := []git.OID{base}
	for _, p := range all {
		if !below[p.own.OID] { // of a stack its top brings the rest
			parents = append(parents, p.own.OID)
		}
	}
	signature := git.Signature{Name: committerName, Email: committerEmail, When: when}
	return g.WriteCommit(ctx, tree, parents, signature, signature, mergeMessage(all))
}

// unlanded is why a merge is refused: these commits would land with the patch set.
type unlandedError struct{ commits []git.Commit }

func (e *unlandedError) Error() string { return "history holds commits that have not landed" }

func (e *unlandedError) words() string {
	if len(e.commits) == 0 {
		return "its history holds many commits that have not landed: rebase it onto the branch and push again"
	}
	first := e.commits[0]
	return fmt.Sprintf("its history holds commit %s (%s) that has not landed: rebase it onto the branch and push again", first.OID.Short(), first.Subject())
}

// mergeOnly merges own onto base if own is the only commit that the merge would bring.
func mergeOnly(ctx context.Context, g *git.Repo, own git.Commit, base git.OID) (git.OID, []string, error) {
	const enough = 50 // more than this need not be counted to say no
	brought, err := g.Commits(ctx, []git.OID{own.OID}, []git.OID{base}, enough)
	if err != nil && !fault.Is(err, fault.TooLarge) {
		return "", nil, err
	}
	if len(brought) > 1 || fault.Is(err, fault.TooLarge) {
		return "", nil, &unlandedError{brought}
	}
	return g.MergeTree(ctx, base, own.OID)
}
