package review

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

const (
	// maxSearches and maxWatches are how many one account keeps.
	maxSearches = 50
	maxWatches  = 50
	// maxSearchName fits on a button.
	maxSearchName = 40
)

// SavedSearch is a search that somebody keeps under a name.
type SavedSearch struct {
	Name, Query string
}

// SavedSearches lists what actor has saved, by name.
func (s *Service) SavedSearches(ctx context.Context, actor account.Actor) ([]SavedSearch, error) {
	var all []SavedSearch
	err := each(ctx, s.DB.Read(), "saved searches", `SELECT name, query FROM searches WHERE account_id = $1 ORDER BY name`, []any{actor.ID}, func(row scanner) error {
		var one SavedSearch
		err := row.Scan(&one.Name, &one.Query)
		all = append(all, one)
		return err
	})
	return all, err
}

// SaveSearch keeps a search under a name, in place of one with the same name. It must be one
// that can be understood.
func (s *Service) SaveSearch(ctx context.Context, actor account.Actor, name, query string) error {
	const op = "review.SaveSearch"
	name, query = strings.Join(strings.Fields(name), " "), strings.TrimSpace(query)
	if err := person(op, actor); err != nil {
		return err
	}
	if name == "" || len(name) > maxSearchName || !printable(name, false) {
		return fault.Newf(fault.Invalid, op, "the name of a search has 1 to %d plain characters", maxSearchName)
	}
	if query == "" {
		return fault.New(fault.Invalid, op, "there is nothing to save", "search for something first")
	}
	if _, err := s.Search(ctx, actor, Search{Query: query, Limit: 1}); err != nil {
		return err
	}
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM searches WHERE account_id = $1 AND name <> $2`, actor.ID, name).Scan(&n); err != nil {
			return fmt.Errorf("review: saved searches: %w", err)
		}
		if n >= maxSearches {
			return fault.New(fault.TooLarge, op, fmt.Sprintf("you have %d saved searches", n), "forget one first")
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO searches (account_id, name, query, created_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (account_id, name) DO UPDATE SET query = excluded.query`, actor.ID, name, query, db.Micros(s.Now()))
		if err != nil {
			return fmt.Errorf("review: save a search: %w", err)
		}
		return nil
	})
}

// ForgetSearch removes a saved search.
func (s *Service) ForgetSearch(ctx context.Context, actor account.Actor, name string) error {
	const op = "review.ForgetSearch"
	if err := person(op, actor); err != nil {
		return err
	}
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		done, err := db.Touched(tx.ExecContext(ctx, `DELETE FROM searches WHERE account_id = $1 AND name = $2`, actor.ID, name))
		if err != nil {
			return fmt.Errorf("review: forget a search: %w", err)
		}
		if !done {
			return fault.Newf(fault.NotFound, op, "you have no search called %q", clip(name))
		}
		return nil
	})
}

// Star marks a change for actor, or takes the mark away.
func (s *Service) Star(ctx context.Context, actor account.Actor, id int64, on bool) error {
	c, _, err := s.actOn(ctx, "review.Star", actor, id)
	if err != nil {
		return err
	}
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		query, args := `INSERT INTO stars (account_id, change_id, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, []any{actor.ID, c.ID, db.Micros(s.Now())}
		if !on {
			query, args = `DELETE FROM stars WHERE account_id = $1 AND change_id = $2`, args[:2]
		}
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return fmt.Errorf("review: star change %d: %w", c.ID, err)
		}
		return nil
	})
}

// Starred tells which of the changes actor has starred.
func (s *Service) Starred(ctx context.Context, actor account.Actor, ids []int64) (map[int64]bool, error) {
	found := map[int64]bool{}
	if actor.ID == 0 || len(ids) == 0 {
		return found, nil
	}
	args := []any{actor.ID}
	for _, id := range ids {
		args = append(args, id)
	}
	err := each(ctx, s.DB.Read(), "stars", `SELECT change_id FROM stars WHERE account_id = $1 AND change_id IN (`+marks(2, len(ids))+`)`, args, func(row scanner) error {
		var id int64
		err := row.Scan(&id)
		found[id] = true
		return err
	})
	return found, err
}

// Watch says which changes somebody wants to see: those of a repository, a branch, below a
// path, or that a search finds; empty fields narrow nothing.
type Watch struct {
	ID           int64
	Repo         int64
	RepoName     string
	Branch, Path string
	Query        string
	CreatedAt    time.Time
}

// Watches lists what actor watches, oldest first.
func (s *Service) Watches(ctx context.Context, actor account.Actor) ([]Watch, error) {
	var all []Watch
	err := each(ctx, s.DB.Read(), "watches", `SELECT w.id, w.repo_id, COALESCE(r.name, ''), w.branch, w.path, w.query, w.created_at
		FROM watches w LEFT JOIN repositories r ON r.id = w.repo_id WHERE w.account_id = $1 ORDER BY w.id`, []any{actor.ID}, func(row scanner) error {
		var w Watch
		var created int64
		err := row.Scan(&w.ID, &w.Repo, &w.RepoName, &w.Branch, &w.Path, &w.Query, &created)
		w.CreatedAt = db.Time(created)
		all = append(all, w)
		return err
	})
	return all, err
}

// AddWatch has actor watch; the same again changes nothing.
func (s *Service) AddWatch(ctx context.Context, actor account.Actor, w Watch) (Watch, error) {
	const op = "review.AddWatch"
	if err := person(op, actor); err != nil {
		return Watch{}, err
	}
	w.Branch = strings.TrimPrefix(strings.TrimSpace(w.Branch), "refs/heads/")
	w.Path, w.Query = strings.Trim(strings.TrimSpace(w.Path), "/"), strings.TrimSpace(w.Query)
	if w.Repo == 0 && w.Branch == "" && w.Path == "" && w.Query == "" {
		return Watch{}, fault.New(fault.Invalid, op, "this watches everything", "name a repository, a branch, a path or a search")
	}
	if len(w.Path) > maxPath || len(w.Branch) > maxTopic || !printable(w.Branch, false) || !printable(w.Path, false) {
		return Watch{}, fault.Newf(fault.Invalid, op, "the branch or the path cannot be one")
	}
	if w.Repo != 0 {
		r, err := s.Repos.ByID(ctx, s.DB.Read(), w.Repo)
		if err != nil {
			return Watch{}, err
		}
		if err := s.Accounts.May(ctx, s.DB.Read(), actor, account.Read, r.Resource("")); err != nil {
			return Watch{}, err
		}
		w.RepoName = r.Name
	}
	if strings.Contains(strings.ToLower(w.Query), "is:watched") {
		return Watch{}, fault.New(fault.Invalid, op, "a watch cannot be for what is watched", "search for something else")
	}
	if _, err := s.Search(ctx, actor, Search{Query: w.Query, Limit: 1}); err != nil {
		return Watch{}, err
	}
	return w, s.DB.Transact(ctx, func(tx *db.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM watches WHERE account_id = $1`, actor.ID).Scan(&n); err != nil {
			return fmt.Errorf("review: watches: %w", err)
		}
		if n >= maxWatches {
			return fault.New(fault.TooLarge, op, fmt.Sprintf("you watch %d things", n), "stop watching one first")
		}
		id, err := tx.NextID(ctx, db.RowIDs)
		if err != nil {
			return err
		}
		w.CreatedAt = s.Now()
		_, err = tx.ExecContext(ctx, `INSERT INTO watches (id, account_id, repo_id, branch, path, query, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (account_id, repo_id, branch, path, query) DO NOTHING`, id, actor.ID, w.Repo, w.Branch, w.Path, w.Query, db.Micros(w.CreatedAt))
		if err != nil {
			return fmt.Errorf("review: watch: %w", err)
		}
		return tx.QueryRowContext(ctx, `SELECT id FROM watches WHERE account_id = $1 AND repo_id = $2 AND branch = $3 AND path = $4 AND query = $5`,
			actor.ID, w.Repo, w.Branch, w.Path, w.Query).Scan(&w.ID)
	})
}

// RemoveWatch has actor watch no more.
func (s *Service) RemoveWatch(ctx context.Context, actor account.Actor, id int64) error {
	const op = "review.RemoveWatch"
	if err := person(op, actor); err != nil {
		return err
	}
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		done, err := db.Touched(tx.ExecContext(ctx, `DELETE FROM watches WHERE id = $1 AND account_id = $2`, id, actor.ID))
		if err != nil {
			return fmt.Errorf("review: stop watching: %w", err)
		}
		if !done {
			return fault.Newf(fault.NotFound, op, "you have no such watch")
		}
		return nil
	})
}
