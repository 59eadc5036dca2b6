package web

import (
	"fmt"
	"net/http"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/review"
)

// maxOpenCount is where counting the open changes of a repository stops.
const maxOpenCount = 100

// readable lists the repositories that the reader may see.
func (w *Web) readable(c *call) ([]repo.Repository, error) {
	all, err := w.Repos.List(c.ctx(), w.DB.Read())
	if err != nil {
		return nil, err
	}
	var seen []repo.Repository
	for _, r := range all {
		switch err := w.may(c, account.Read, r.Resource("")); fault.KindOf(err) {
		case fault.NotFound, fault.Denied, fault.Unauthenticated:
		default:
			if err != nil {
				return nil, err
			}
			seen = append(seen, r)
		}
	}
	return seen, nil
}

type repoRow struct {
	repo.Repository
	Open string
}

func (w *Web) repositories(c *call) error {
	seen, err := w.readable(c)
	if err != nil {
		return err
	}
	var v struct{ Rows []repoRow }
	for _, r := range seen {
		open, err := w.Review.List(c.ctx(), c.actor, review.Filter{Repo: r.ID, Status: review.Open, Limit: maxOpenCount})
		if err != nil {
			return err
		}
		row := repoRow{Repository: r, Open: fmt.Sprint(len(open))}
		if len(open) == maxOpenCount {
			row.Open += "+"
		}
		v.Rows = append(v.Rows, row)
	}
	return w.render(c, http.StatusOK, "repositories", "Repositories", v, withUp("/"))
}
