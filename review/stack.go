package review

import (
	"context"

	"gatehouse/migrations/db"
)

// Related is a change above or below another in its stack.
type Related struct {
	Change Change
	PS     int // the patch set that takes part in the relation
	// Outdated says that a newer patch set of the lower change exists than the one that the
	// upper change stands on.
	Outdated bool
}

// Stack is what a change stands on and what stands on it.
type Stack struct {
	Parents  []Related // in any status: one that was abandoned still is below
	Children []Related // open ones, by their current patch set
}

// Stack derives the neighbours of a change from the parents of patch sets, within its
// repository and branch. Nothing about stacks is stored.
func (s *Service) Stack(ctx context.Context, q db.Querier, c Change) (Stack, error) {
	var st Stack
	err := each(ctx, q, "parents of a change", `SELECT `+changeColumns+`, p.number`+changeTables+`
		JOIN patch_sets p ON p.change_id = c.id
		JOIN patch_set_parents pp ON pp.parent_oid = p.commit_oid
		WHERE pp.change_id = $1 AND pp.ps = $2 AND c.repo_id = $3 AND c.branch = $4 AND c.id <> $1
		ORDER BY pp.position, c.id`, []any{c.ID, c.Current, c.Repo, c.Branch}, func(row scanner) error {
		r, err := scanRelated(row)
		r.Outdated = r.PS != r.Change.Current
		st.Parents = append(st.Parents, r)
		return err
	})
	if err != nil {
		return Stack{}, err
	}
	err = each(ctx, q, "children of a change", `SELECT `+changeColumns+`, p.number`+changeTables+`
		JOIN patch_set_parents pp ON pp.change_id = c.id AND pp.ps = c.current_ps
		JOIN patch_sets p ON p.commit_oid = pp.parent_oid AND p.change_id = $1
		WHERE c.status = $2 AND c.repo_id = $3 AND c.branch = $4 AND c.id <> $1
		ORDER BY c.id`, []any{c.ID, string(Open), c.Repo, c.Branch}, func(row scanner) error {
		r, err := scanRelated(row)
		r.Outdated = r.PS != c.Current
		r.PS = r.Change.Current
		st.Children = append(st.Children, r)
		return err
	})
	return st, err
}

// appended scans columns behind those of a change.
type appended struct {
	row  scanner
	more []any
}

func (a appended) Scan(dest ...any) error { return a.row.Scan(append(dest, a.more...)...) }

func scanRelated(row scanner) (Related, error) {
	var r Related
	var err error
	r.Change, err = scanChange(appended{row, []any{&r.PS}})
	return r, err
}
