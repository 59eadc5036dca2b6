package notify

import (
	"context"
	"fmt"

	"gatehouse/gitserver/account"
	"gatehouse/migrations/db"
)

// watchers are the accounts that watch a change's repository, its branch, or what it touches.
// A watch that is a search finds changes on the dashboard and tells nothing.
func (s *Service) watchers(ctx context.Context, q db.Querier, sub subject) ([]int64, error) {
	rows, err := q.QueryContext(ctx, `SELECT DISTINCT w.account_id, w.branch FROM watches w WHERE w.query = '' AND (w.repo_id = $1 OR w.repo_id = 0)
		AND (w.repo_id <> 0 OR w.branch <> '' OR w.path <> '')
		AND (w.path = '' OR EXISTS (SELECT 1 FROM search_terms t WHERE t.change_id = $2 AND t.field IN ('path', 'part') AND t.term = w.path))
		ORDER BY w.account_id`, sub.repo.ID, sub.change.ID)
	if err != nil {
		return nil, fmt.Errorf("notify: watchers: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []int64
	for rows.Next() {
		var id int64
		var branch string
		if err := rows.Scan(&id, &branch); err != nil {
			return nil, fmt.Errorf("notify: watchers: %w", err)
		}
		if branch == "" || account.Matches(branch, sub.change.Branch) {
			all = append(all, id)
		}
	}
	return all, rows.Err()
}
