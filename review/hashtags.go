package review

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// Limits of hashtags: what fits beside a subject.
const (
	maxHashtags = 50
	maxHashtag  = 100 // bytes of one
)

// Hashtags lists the words tied to a change, in order.
func (s *Service) Hashtags(ctx context.Context, q db.Querier, change int64) ([]string, error) {
	var all []string
	err := each(ctx, q, "list hashtags", `SELECT tag FROM hashtags WHERE change_id = $1 ORDER BY tag`, []any{change}, func(row scanner) error {
		var tag string
		err := row.Scan(&tag)
		all = append(all, tag)
		return err
	})
	return all, err
}

// SetHashtags ties words to a change and takes others off. A # before a word is left out.
func (s *Service) SetHashtags(ctx context.Context, actor account.Actor, id int64, add, remove []string) error {
	const op = "review.SetHashtags"
	add, err := checkHashtags(op, add)
	if err != nil {
		return err
	}
	if remove, err = checkHashtags(op, remove); err != nil {
		return err
	}
	c, r, err := s.actOn(ctx, op, actor, id)
	if err != nil {
		return err
	}
	return s.act(ctx, actor, account.Edit, c, r, func(tx *db.Tx, c Change) error {
		return s.setHashtags(ctx, tx, c, actor.ID, add, remove)
	})
}

// checkHashtags cleans hashtags as people write them.
func checkHashtags(op string, tags []string) ([]string, error) {
	var all []string
	for _, tag := range tags {
		tag = strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(tag), "#"))
		if tag == "" || len(tag) > maxHashtag || !printable(tag, false) || strings.ContainsAny(tag, ",#") {
			return nil, fault.New(fault.Invalid, op, fmt.Sprintf("%q cannot be a hashtag", clip(tag)), fmt.Sprintf("use one word of up to %d bytes, without commas", maxHashtag))
		}
		if !slices.Contains(all, tag) {
			all = append(all, tag)
		}
	}
	if len(all) > maxHashtags {
		return nil, fault.Newf(fault.TooLarge, op, "%d hashtags are more than %d", len(all), maxHashtags)
	}
	return all, nil
}

func (s *Service) setHashtags(ctx context.Context, tx *db.Tx, c Change, by int64, add, remove []string) error {
	before, err := s.Hashtags(ctx, tx, c.ID)
	if err != nil {
		return err
	}
	var words []string
	for _, tag := range remove {
		if !slices.Contains(before, tag) || slices.Contains(add, tag) {
			continue
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM hashtags WHERE change_id = $1 AND tag = $2`, c.ID, tag); err != nil {
			return fmt.Errorf("review: hashtags of change %d: %w", c.ID, err)
		}
		before = slices.DeleteFunc(before, func(t string) bool { return t == tag })
		words = append(words, "#"+tag+" removed")
	}
	for _, tag := range add {
		if slices.Contains(before, tag) {
			continue
		}
		if before = append(before, tag); len(before) > maxHashtags {
			return fault.New(fault.TooLarge, "review.SetHashtags", fmt.Sprintf("a change has at most %d hashtags", maxHashtags), "remove some first")
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO hashtags (change_id, tag) VALUES ($1, $2)`, c.ID, tag); err != nil {
			return fmt.Errorf("review: hashtags of change %d: %w", c.ID, err)
		}
		words = append(words, "#"+tag+" added")
	}
	if len(words) == 0 {
		return nil
	}
	return s.tell(ctx, tx, c, by, "hashtags.changed", "Hashtags: "+strings.Join(words, ", "), "")
}
