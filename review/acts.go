package review

import (
	"context"
	"crypto/sha1" //nolint:gosec // a Change-Id is a name that nobody has to guess, not a secret
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// maxConflictsNamed is how many paths a refusal names.
const maxConflictsNamed = 10

// conflictsIn says which files stand in the way, and what to do by hand.
func conflictsIn(op, what string, paths []string, next string) error {
	named := paths
	more := ""
	if len(named) > maxConflictsNamed {
		more = fmt.Sprintf(" and %d more", len(named)-maxConflictsNamed)
		named = named[:maxConflictsNamed]
	}
	return fault.New(fault.Conflict, op, fmt.Sprintf("%s conflicts in %s%s", what, strings.Join(named, ", "), more), next)
}

// target finds the tip of a gated branch that something is proposed for.
func (s *Service) target(ctx context.Context, op string, r repo.Repository, branch string) (git.OID, error) {
	branch = strings.TrimPrefix(branch, "refs/heads/")
	g, err := s.Repos.Open(r)
	if err != nil {
		return "", err
	}
	if err := git.CheckRefName("refs/heads/" + branch); err != nil {
		return "", err
	}
	tip, err := g.RefOID(ctx, "refs/heads/"+branch)
	switch {
	case err != nil:
		return "", err
	case tip.IsZero():
		return "", fault.New(fault.NotFound, op, fmt.Sprintf("branch %s not found", clip(branch)), "name a branch of "+r.Name)
	case !r.Gates(branch):
		return "", fault.New(fault.Refused, op, fmt.Sprintf("branch %s is not gated, so nothing is held for it", clip(branch)), "push to it, or ask an owner to gate it")
	}
	return tip, nil
}

// rewrite writes the commit anew: another tree, parent or message, the same author.
func (s *Service) rewrite(ctx context.Context, g *git.Repo, op string, actor account.Actor, own git.Commit, tree, parent git.OID, message string, key Key) (git.OID, error) {
	if len(own.ExtraHeaders["encoding"]) > 0 {
		return "", garbles(op)
	}
	message, err := withKey(op, message, key)
	if err != nil {
		return "", err
	}
	committer, err := s.signature(ctx, actor, s.after(own))
	if err != nil {
		return "", err
	}
	return g.WriteCommit(ctx, tree, []git.OID{parent}, own.Author, committer, message)
}

// garbles refuses to rewrite a message that would come out as something else.
func garbles(op string) error {
	return fault.New(fault.Refused, op, "the commit's message is not in UTF-8, and to write it anew would garble it", "do it in a working copy and push")
}

// CherryPick proposes what a change does for another branch of its repository: a new change,
// or the next patch set of the open one there with the same Change-Id. ps is the patch set to
// take, 0 for the current one; message replaces its message unless "". A private change is
// picked as a private one.
func (s *Service) CherryPick(ctx context.Context, actor account.Actor, id int64, ps int, branch, message string) (Held, error) {
	const op = "review.CherryPick"
	c, r, err := s.actOn(ctx, op, actor, id)
	if err != nil {
		return Held{}, err
	}
	branch = strings.TrimPrefix(branch, "refs/heads/")
	if err := s.Accounts.May(ctx, s.DB.Read(), actor, account.Propose, r.Resource(branch)); err != nil {
		return Held{}, err
	}
	if branch == c.Branch {
		return Held{}, fault.New(fault.Invalid, op, fmt.Sprintf("change %d is for %s already", c.ID, branch), "name another branch, or rebase it")
	}
	tip, err := s.target(ctx, op, r, branch)
	if err != nil {
		return Held{}, err
	}
	if ps == 0 {
		ps = c.Current
	}
	from, err := s.PatchSet(ctx, s.DB.Read(), c.ID, ps)
	if err != nil {
		return Held{}, err
	}
	there, err := changes(ctx, s.DB.Read(), `WHERE c.repo_id = $1 AND c.branch = $2 AND c.change_key = $3`, r.ID, branch, c.Key)
	if err != nil {
		return Held{}, err
	}
	m := made{op: op, actor: actor, repo: r, branch: branch, key: Key(c.Key), pickedFrom: c.ID,
		options: PushOptions{Private: c.Private, Message: fmt.Sprintf("Cherry picked from change %d, patch set %d", c.ID, ps)},
		write:   func(g *git.Repo) (git.OID, error) { return s.writePicked(ctx, g, actor, c, from, tip, branch, message) }}
	if len(there) > 0 {
		m.expect = there[0].Current
	}
	return s.hold(ctx, m)
}

func (s *Service) writePicked(ctx context.Context, g *git.Repo, actor account.Actor, c Change, from PatchSet, tip git.OID, branch, message string) (git.OID, error) {
	const op = "review.CherryPick"
	own, err := g.Commit(ctx, from.Commit)
	if err != nil {
		return "", err
	}
	if len(own.Parents) > 1 {
		return "", fault.New(fault.Refused, op, "a merge commit cannot be picked", "merge it in a working copy and push")
	}
	tree, conflicts, err := g.PickTree(ctx, tip, own.OID)
	if err != nil {
		return "", err
	}
	if len(conflicts) > 0 {
		return "", conflictsIn(op, fmt.Sprintf("patch set %d on %s", from.Number, branch), conflicts,
			fmt.Sprintf("in a working copy of %s: git fetch REMOTE %s && git cherry-pick FETCH_HEAD, mend the files, and push to refs/for/%s", branch, HoldingRef(c.ID, from.Number), branch))
	}
	onto, err := g.Commit(ctx, tip)
	if err != nil {
		return "", err
	}
	if tree == onto.Tree {
		return "", fault.New(fault.Refused, op, fmt.Sprintf("%s has all of it already", branch), "")
	}
	if strings.TrimSpace(message) == "" {
		message = addFooter(own.Message, fmt.Sprintf("(cherry picked from commit %s)", own.OID))
	}
	return s.rewrite(ctx, g, op, actor, own, tree, tip, message, Key(c.Key))
}

// Revert proposes to take a landed change back: a new change on the tip of its branch. reason
// goes into its message and may be "".
func (s *Service) Revert(ctx context.Context, actor account.Actor, id int64, reason string) (Held, error) {
	const op = "review.Revert"
	if err := checkReason(op, reason); err != nil {
		return Held{}, err
	}
	c, r, err := s.actOn(ctx, op, actor, id)
	if err != nil {
		return Held{}, err
	}
	if err := s.Accounts.May(ctx, s.DB.Read(), actor, account.Propose, r.Resource(c.Branch)); err != nil {
		return Held{}, err
	}
	if c.Status != Landed {
		return Held{}, fault.New(fault.Conflict, op, fmt.Sprintf("change %d has not landed, so there is nothing to take back", c.ID), "abandon it instead")
	}
	tip, err := s.target(ctx, op, r, c.Branch)
	if err != nil {
		return Held{}, err
	}
	what, err := s.landedAs(ctx, s.DB.Read(), c)
	if err != nil {
		return Held{}, err
	}
	key := s.newKey(actor, c, tip)
	return s.hold(ctx, made{
		op: op, actor: actor, repo: r, branch: c.Branch, key: key, reverts: c.ID, options: PushOptions{Topic: c.Topic},
		write: func(g *git.Repo) (git.OID, error) { return s.writeRevert(ctx, g, actor, c, what, tip, reason, key) },
	})
}

// landedAs is the commit whose difference a change brought: the one it landed as, but its own
// where that one brought others too.
func (s *Service) landedAs(ctx context.Context, q db.Querier, c Change) (git.OID, error) {
	var together int
	err := q.QueryRowContext(ctx, `SELECT count(*) FROM changes WHERE repo_id = $1 AND landed_commit = $2`, c.Repo, string(c.LandedCommit)).Scan(&together)
	if err != nil {
		return "", fmt.Errorf("review: what landed with change %d: %w", c.ID, err)
	}
	if together == 1 {
		return c.LandedCommit, nil
	}
	ps, err := s.PatchSet(ctx, q, c.ID, c.LandedPS)
	return ps.Commit, err
}

// newKey is a Change-Id that no other change has.
func (s *Service) newKey(actor account.Actor, c Change, tip git.OID) Key {
	sum := sha1.Sum(fmt.Appendf(nil, "%s %d %s %d %d", s.URL, c.ID, tip, actor.ID, s.Now().UnixNano())) //nolint:gosec // see the import
	return Key(fmt.Sprintf("I%x", sum))
}

func (s *Service) writeRevert(ctx context.Context, g *git.Repo, actor account.Actor, c Change, what, tip git.OID, reason string, key Key) (git.OID, error) {
	const op = "review.Revert"
	tree, conflicts, err := g.RevertTree(ctx, tip, what)
	if err != nil {
		return "", err
	}
	if len(conflicts) > 0 {
		return "", conflictsIn(op, "taking it back", conflicts, fmt.Sprintf("in a working copy of %s: git revert %s, mend the files, and push", c.Branch, what.Short()))
	}
	onto, err := g.Commit(ctx, tip)
	if err != nil {
		return "", err
	}
	if tree == onto.Tree {
		return "", fault.New(fault.Refused, op, fmt.Sprintf("nothing of change %d is left on %s to take back", c.ID, c.Branch), "")
	}
	who, err := s.signature(ctx, actor, s.Now())
	if err != nil {
		return "", err
	}
	if reason = strings.TrimSpace(reason); reason == "" {
		reason = "none given"
	}
	message := fmt.Sprintf("%s\n\nThis reverts commit %s, by which change %d landed.\n\nReason for revert: %s\n\nChange-Id: %s\n",
		revertSubject(c.Subject), c.LandedCommit, c.ID, reason, key)
	return g.WriteCommit(ctx, tree, []git.OID{tip}, who, who, message)
}

var revertedSubject = regexp.MustCompile(`^Revert(?:\^([1-9][0-9]{0,3}))? "(.*)"$`)

// revertSubject is the subject of a revert; of a revert of a revert Revert^2 "…", as Gerrit
// counts them.
func revertSubject(subject string) string {
	m := revertedSubject.FindStringSubmatch(subject)
	if m == nil {
		return `Revert "` + subject + `"`
	}
	times := 1
	if m[1] != "" {
		times, _ = strconv.Atoi(m[1]) // the pattern lets digits through alone
	}
	return fmt.Sprintf(`Revert^%d "%s"`, times+1, m[2])
}
