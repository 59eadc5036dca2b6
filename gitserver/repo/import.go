package repo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
)

const (
	heads = "refs/heads/"
	tags  = "refs/tags/"
	// importing is where an import's refs wait, hidden from clients, until all are there.
	importing = "refs/gate/import/"
)

// Import copies the branches and tags of an upstream into r, which has none of its own yet,
// and takes over its default branch. All refs appear at once or none; an import that was cut
// can be started again, and one that is complete is done again without effect. What is there
// already and differs is a Conflict: an import never goes around the gate.
func (s *Store) Import(ctx context.Context, r Repository, url string, auth git.Auth) error {
	const op = "repo.Import"
	from, err := ParseAddress(url, auth.AllowLocal)
	if err != nil {
		return err
	}
	g, err := s.Open(r)
	if err != nil {
		return err
	}
	offered, err := g.LsRemote(ctx, from.URL, auth)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, op, "the upstream cannot be read")
	}
	if err := acceptable(op, offered); err != nil {
		return err
	}
	head, err := g.RemoteHead(ctx, from.URL, auth)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, op, "the upstream cannot be read")
	}
	if err := clearImport(ctx, g); err != nil {
		return err
	}
	refspecs := []string{"+" + heads + "*:" + importing + "heads/*", "+" + tags + "*:" + importing + "tags/*"}
	if err := g.FetchFrom(ctx, from.URL, refspecs, auth); err != nil {
		return fault.Wrap(err, fault.Unavailable, op, "the upstream cannot be fetched")
	}
	if err := publish(ctx, g, op); err != nil {
		return errors.Join(err, clearImport(ctx, g))
	}
	branch := upstreamDefault(offered, head, r.DefaultBranch)
	_, err = s.setDefault(ctx, g, r.ID, branch, func(now Repository) []string {
		if slices.Equal(now.Gated, []string{now.DefaultBranch}) {
			return []string{branch} // nobody chose: the gate follows the default branch
		}
		return gatedWith(now, branch)
	}, nil)
	return err
}

// acceptable looks at the names before anything is fetched.
func acceptable(op string, offered []git.Ref) error {
	branches := 0
	for _, ref := range offered {
		if strings.HasPrefix(ref.Name, heads) {
			branches++
		} else if !strings.HasPrefix(ref.Name, tags) {
			continue
		}
		if err := git.CheckRefName(ref.Name); err != nil {
			return fault.New(fault.Refused, op, fmt.Sprintf("the upstream has a ref that this server does not take: %q", clip(ref.Name)), "rename or delete it upstream, then import again")
		}
	}
	if branches == 0 {
		return fault.New(fault.Refused, op, "the upstream has no branches", "push the first branch here, or import when there is one")
	}
	return nil
}

// publish turns the waiting refs into branches and tags in one transaction.
func publish(ctx context.Context, g *git.Repo, op string) error {
	waiting, err := g.Refs(ctx, importing)
	if err != nil {
		return fmt.Errorf("repo: import: %w", err)
	}
	mine, err := g.Refs(ctx, heads, tags)
	if err != nil {
		return fmt.Errorf("repo: import: %w", err)
	}
	have := make(map[string]git.OID, len(mine))
	for _, ref := range mine {
		have[ref.Name] = ref.OID
	}
	var updates []git.RefUpdate
	for _, ref := range waiting {
		name := "refs/" + strings.TrimPrefix(ref.Name, importing)
		updates = append(updates, git.RefUpdate{Ref: ref.Name, Old: ref.OID, New: git.Zero})
		switch have[name] {
		case "":
			updates = append(updates, git.RefUpdate{Ref: name, Old: git.Zero, New: ref.OID})
		case ref.OID: // an import that was cut after this
		default:
			return fault.New(fault.Conflict, op, fmt.Sprintf("this repository has its own %s already", clip(name)), "import into a new repository")
		}
		delete(have, name)
	}
	for name := range have {
		return fault.New(fault.Conflict, op, fmt.Sprintf("this repository has its own %s already", clip(name)), "import into a new repository")
	}
	if err := g.UpdateRefs(ctx, updates, "import"); err != nil {
		return fmt.Errorf("repo: import: %w", err)
	}
	return nil
}

// clearImport forgets what an earlier import left waiting.
func clearImport(ctx context.Context, g *git.Repo) error {
	left, err := g.Refs(ctx, importing)
	if err != nil {
		return fmt.Errorf("repo: import: %w", err)
	}
	if len(left) == 0 {
		return nil
	}
	var updates []git.RefUpdate
	for _, ref := range left {
		updates = append(updates, git.RefUpdate{Ref: ref.Name, New: git.Zero})
	}
	if err := g.UpdateRefs(ctx, updates, "import: clear"); err != nil {
		return fmt.Errorf("repo: import: %w", err)
	}
	return nil
}

// SetDefaultBranch makes another branch the default one and gates it; what was gated stays so.
// In a repository that has branches it must be one of them. When also is not nil it is called
// in the transaction that writes the row, with the row before and after; its error undoes all.
func (s *Store) SetDefaultBranch(ctx context.Context, r Repository, branch string, also func(tx *db.Tx, before, now Repository) error) (Repository, error) {
	const op = "repo.SetDefaultBranch"
	if err := checkBranch(op, branch); err != nil {
		return Repository{}, err
	}
	g, err := s.Open(r)
	if err != nil {
		return Repository{}, err
	}
	branches, err := g.Refs(ctx, heads)
	if err != nil {
		return Repository{}, fmt.Errorf("repo: default branch: %w", err)
	}
	if len(branches) > 0 && !slices.ContainsFunc(branches, func(ref git.Ref) bool { return ref.Name == heads+branch }) {
		return Repository{}, fault.New(fault.NotFound, op, fmt.Sprintf("%s has no branch %s", r.Name, branch), "push it first")
	}
	return s.setDefault(ctx, g, r.ID, branch, func(now Repository) []string { return gatedWith(now, branch) }, also)
}

func gatedWith(r Repository, branch string) []string {
	if r.Gates(branch) {
		return r.Gated
	}
	return append(slices.Clone(r.Gated), branch)
}

// setDefault writes HEAD, then the row. When a crash comes between, clones check out the new
// branch already and doing it again completes it; the gate goes by the row.
func (s *Store) setDefault(ctx context.Context, g *git.Repo, id int64, branch string, gated func(now Repository) []string, also func(tx *db.Tx, before, now Repository) error) (Repository, error) {
	if err := g.SetHead(ctx, heads+branch); err != nil {
		return Repository{}, fmt.Errorf("repo: default branch: %w", err)
	}
	var before, r Repository
	err := s.DB.Transact(ctx, func(tx *db.Tx) (err error) {
		if before, err = s.ByID(ctx, tx, id); err != nil {
			return err
		}
		r = before
		r.Gated, r.DefaultBranch = gated(before), branch
		list, err := json.Marshal(r.Gated)
		if err != nil {
			return fmt.Errorf("repo: default branch: %w", err)
		}
		if _, err := tx.ExecContext(ctx, `UPDATE repositories SET default_branch = $1, gated = $2 WHERE id = $3`, branch, string(list), id); err != nil {
			return fmt.Errorf("repo: default branch of %s: %w", r.Name, err)
		}
		if also == nil {
			return nil
		}
		return also(tx, before, r)
	})
	// Only after a plain no is it certain that the row stayed as it was.
	if err != nil && before.ID != 0 && fault.KindOf(err) != fault.Internal {
		err = errors.Join(err, g.SetHead(ctx, heads+before.DefaultBranch))
	}
	return r, err
}

// upstreamDefault is the branch that upstream's HEAD points at. An old or strange upstream
// does not say, or points at a branch that it does not have: then it is a branch with HEAD's
// commit or, failing that, any, the likelier names first.
func upstreamDefault(offered []git.Ref, head, usual string) string {
	at := map[string]git.OID{}
	likely := []string{strings.TrimPrefix(head, heads), usual, "main", "master", "trunk"}
	for _, ref := range offered {
		at[ref.Name] = ref.OID
		if branch, ok := strings.CutPrefix(ref.Name, heads); ok {
			likely = append(likely, branch)
		}
	}
	if at[head] != "" && strings.HasPrefix(head, heads) {
		return likely[0]
	}
	for _, branch := range likely {
		if oid := at[heads+branch]; oid != "" && oid == at["HEAD"] {
			return branch
		}
	}
	for _, branch := range likely {
		if at[heads+branch] != "" {
			return branch
		}
	}
	return usual
}
