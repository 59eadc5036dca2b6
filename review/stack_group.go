package review

import (
	"context"
	"slices"

	"gatehouse/migrations/db"
)

// StackPlace says where in a stack a change of a list stands.
type StackPlace struct {
	Stack int64 // the number of the change at its bottom, as far as the list goes
	Place int   // from 1, which lands first
	Size  int
}

// Stacked puts the changes of a list that stand on each other beside each other, the last to
// land first, where the first of them stood, and says each one's place. Changes that stand
// alone keep theirs.
func (s *Service) Stacked(ctx context.Context, q db.Querier, list []Change) ([]Change, map[int64]StackPlace, error) {
	below, err := s.standsOn(ctx, q, list)
	if err != nil || len(below) == 0 {
		return list, nil, err
	}
	byID, joined := map[int64]Change{}, map[int64][]int64{}
	for _, c := range list {
		byID[c.ID] = c
	}
	for up, downs := range below {
		for _, down := range downs {
			joined[up], joined[down] = append(joined[up], down), append(joined[down], up)
		}
	}
	places := map[int64]StackPlace{}
	ordered := make([]Change, 0, len(list))
	done := map[int64]bool{}
	for _, c := range list {
		if done[c.ID] {
			continue
		}
		group := reach(c.ID, joined)
		height := heights(group, below)
		slices.SortFunc(group, func(a, b int64) int {
			if height[a] != height[b] {
				return height[b] - height[a]
			}
			return int(b - a)
		})
		for i, id := range group {
			done[id] = true
			ordered = append(ordered, byID[id])
			if len(group) > 1 {
				places[id] = StackPlace{Stack: group[len(group)-1], Place: len(group) - i, Size: len(group)}
			}
		}
	}
	return ordered, places, nil
}

// standsOn lists for each change of a list those of the list that it stands on.
func (s *Service) standsOn(ctx context.Context, q db.Querier, list []Change) (map[int64][]int64, error) {
	in := map[int64]bool{}
	var ids []any
	for _, c := range list {
		in[c.ID] = true
		ids = append(ids, c.ID)
	}
	found := map[int64][]int64{}
	for part := range slices.Chunk(ids, maxIn) {
		err := each(ctx, q, "stacks of a list", `SELECT c.id, d.id FROM changes c
			JOIN patch_set_parents pp ON pp.change_id = c.id AND pp.ps = c.current_ps
			JOIN patch_sets p ON p.commit_oid = pp.parent_oid AND p.change_id <> c.id
			JOIN changes d ON d.id = p.change_id AND d.repo_id = c.repo_id AND d.branch = c.branch
			WHERE c.id IN (`+marks(1, len(part))+`)`, part, func(row scanner) error {
			var up, down int64
			err := row.Scan(&up, &down)
			if in[down] && !slices.Contains(found[up], down) {
				found[up] = append(found[up], down)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// reach are all that are joined with one, itself among them.
func reach(from int64, joined map[int64][]int64) []int64 {
	seen, todo := map[int64]bool{from: true}, []int64{from}
	for i := 0; i < len(todo); i++ {
		for _, next := range joined[todo[i]] {
			if !seen[next] {
				seen[next] = true
				todo = append(todo, next)
			}
		}
	}
	return todo
}

// heights say how many changes each stands above. Commits cannot stand on each other in a
// circle, but patch sets of two changes can; a round for each is enough either way.
func heights(group []int64, below map[int64][]int64) map[int64]int {
	height := map[int64]int{}
	for range group {
		moved := false
		for _, id := range group {
			for _, down := range below[id] {
				if h := height[down] + 1; h > height[id] && h < len(group) {
					height[id], moved = h, true
				}
			}
		}
		if !moved {
			break
		}
	}
	return height
}
