package review

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
)

// Janitor removes the holding refs that no row knows: what a crash left between the refs and
// the rows of a push that nobody was told had succeeded. The caller makes sure that no other
// process takes pushes.
func (s *Service) Janitor(ctx context.Context, repository repo.Repository) error {
	g, err := s.Repos.Open(repository)
	if err != nil {
		return err
	}
	defer s.lock(repository.ID)()
	refs, err := g.Refs(ctx, holdingPrefix)
	if err != nil {
		return err
	}
	var held []git.RefUpdate
	for _, ref := range refs {
		if _, _, ok := parseHoldingRef(ref.Name); ok {
			held = append(held, git.RefUpdate{Ref: ref.Name, New: ref.OID})
		}
	}
	return s.dropOrphans(ctx, g, repository.ID, held)
}

// parseHoldingRef is the opposite of [HoldingRef].
func parseHoldingRef(name string) (change int64, ps int, ok bool) {
	parts := strings.Split(strings.TrimPrefix(name, holdingPrefix), "/")
	if len(parts) != 3 {
		return 0, 0, false
	}
	change, err1 := strconv.ParseInt(parts[1], 10, 64)
	ps, err2 := strconv.Atoi(parts[2])
	return change, ps, err1 == nil && err2 == nil && HoldingRef(change, ps) == name
}

// dropOrphans deletes those of the made holding refs that no row knows. It asks the rows,
// because a transaction that failed for this process may still have been committed.
func (s *Service) dropOrphans(ctx context.Context, g *git.Repo, repository int64, made []git.RefUpdate) error {
	if len(made) == 0 {
		return nil
	}
	known := map[string]bool{}
	err := each(ctx, s.DB.Read(), "list holding refs", `SELECT p.change_id, p.number FROM patch_sets p JOIN changes c ON c.id = p.change_id
		WHERE c.repo_id = $1`, []any{repository}, func(row scanner) error {
		var change int64
		var ps int
		err := row.Scan(&change, &ps)
		known[HoldingRef(change, ps)] = true
		return err
	})
	if err != nil {
		return err
	}
	var drop []git.RefUpdate
	for _, ref := range made {
		if !known[ref.Ref] {
			drop = append(drop, git.RefUpdate{Ref: ref.Ref, Old: ref.New, New: git.Zero})
		}
	}
	if err := g.UpdateRefs(ctx, drop, "left by a push that was cut"); err != nil {
		return fmt.Errorf("review: drop holding refs: %w", err)
	}
	return nil
}
