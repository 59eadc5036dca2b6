package review

import (
	"context"
	"crypto/sha1" //nolint:gosec // a Change-Id is a name that nobody has to guess, not a secret
	"fmt"
	"strings"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
)

// RevertOutside says what of a branch is to be taken back that is no change of ours.
type RevertOutside struct {
	Repo     repo.Repository
	Branch   string
	From, To git.OID // what came behind From, up to To
	Why      string  // a paragraph of the message
	Trailer  string  // a line of its last one
	Submit   bool    // it asks to land
}

// maxKeys is how many Change-Ids are tried: anybody can work one out and propose under it.
const maxKeys = 20

// Name is the Change-Id, the same each time, so that what was cut in the middle makes no second change.
func (t RevertOutside) Name(try int) Key {
	return Key(fmt.Sprintf("I%x", sha1.Sum(fmt.Appendf(nil, "take back %d %s %s %d", t.Repo.ID, t.Branch, t.To, try)))) //nolint:gosec // see the import
}

// takenBack finds the change that takes it back already, ID 0 when there is none; else the key for one.
func (s *Service) takenBack(ctx context.Context, actor account.Actor, t RevertOutside) (Change, Key, error) {
	for try := range maxKeys {
		there, err := changes(ctx, s.DB.Read(), `WHERE c.repo_id = $1 AND c.branch = $2 AND c.change_key = $3`, t.Repo.ID, t.Branch, string(t.Name(try)))
		if err != nil || len(there) == 0 {
			return Change{}, t.Name(try), err
		}
		if there[0].Owner == actor.ID {
			return there[0], "", nil
		}
	}
	return Change{}, "", fault.New(fault.Conflict, "review.RevertLanded", "every name for the change that would take it back is taken", "revert it by hand")
}

// RevertLanded proposes to take back what landed on a branch without us: a change on its tip. It is
// made once; when it is there already, whatever became of it, that one is the answer. Conflict
// says that more was built on it, Refused that nothing of it is left.
func (s *Service) RevertLanded(ctx context.Context, actor account.Actor, t RevertOutside) (Change, git.OID, error) {
	const op = "review.RevertLanded"
	there, key, err := s.takenBack(ctx, actor, t)
	if err != nil {
		return Change{}, "", err
	}
	if there.ID != 0 {
		first, err := s.PatchSet(ctx, s.DB.Read(), there.ID, 1)
		return there, first.Commit, err
	}
	tip, err := s.target(ctx, op, t.Repo, t.Branch)
	if err != nil {
		return Change{}, "", err
	}
	h, err := s.hold(ctx, made{
		op: op, actor: actor, repo: t.Repo, branch: t.Branch, key: key, options: PushOptions{Submit: t.Submit},
		write: func(g *git.Repo) (git.OID, error) { return s.writeTakeBack(ctx, g, actor, t, tip, key) },
	})
	return h.Change, h.PatchSet.Commit, err
}

func (s *Service) writeTakeBack(ctx context.Context, g *git.Repo, actor account.Actor, t RevertOutside, tip git.OID, key Key) (git.OID, error) {
	const op = "review.RevertLanded"
	tree, conflicts, err := g.RevertRange(ctx, tip, t.From, t.To)
	if err != nil {
		return "", err
	}
	if len(conflicts) > 0 {
		return "", conflictsIn(op, "taking it back", conflicts, fmt.Sprintf("in a working copy of %s: git revert %s, mend the files, and push", t.Branch, t.To.Short()))
	}
	onto, err := g.Commit(ctx, tip)
	if err != nil {
		return "", err
	}
	if tree == onto.Tree {
		return "", fault.New(fault.Refused, op, fmt.Sprintf("nothing of it is left on %s to take back", t.Branch), "")
	}
	what, err := g.Commit(ctx, t.To)
	if err != nil {
		return "", err
	}
	who, err := s.signature(ctx, actor, s.Now())
	if err != nil {
		return "", err
	}
	subject, _, _ := strings.Cut(strings.TrimSpace(strings.ToValidUTF8(what.Message, "�")), "\n")
	reverts := fmt.Sprintf("This reverts commit %s.", t.To)
	if len(what.Parents) == 0 || what.Parents[0] != t.From {
		reverts = fmt.Sprintf("This reverts commit %s and those before it that came with it, behind %s.", t.To, t.From)
	}
	message := fmt.Sprintf("%s\n\n%s\n\n%s\n\n%s\nChange-Id: %s\n", revertSubject(subject), reverts, t.Why, t.Trailer, key)
	return g.WriteCommit(ctx, tree, []git.OID{tip}, who, who, message)
}
