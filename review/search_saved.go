package review

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gatehouse/gitserver/fault"
)

// saved is a saved search of the searcher's.
func (c *compiler) saved(ctx context.Context, n *node, must bool) (string, error) {
	if _, err := c.self(n); err != nil {
		return "", err
	}
	all, err := c.SavedSearches(ctx, c.actor)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(all, func(s SavedSearch) bool { return strings.EqualFold(s.Name, n.value) })
	if i < 0 {
		return "", wrong(n.at, fmt.Sprintf("you have no search called %q", clip(n.value)), "save one on the page of all changes")
	}
	return c.nested(ctx, n, all[i].Query, must)
}

// nested compiles a search inside another.
func (c *compiler) nested(ctx context.Context, n *node, query string, must bool) (string, error) {
	if c.depth++; c.depth > maxSavedDepth {
		return "", wrong(n.at, "saved searches name each other too deep", "write one of them out")
	}
	defer func() { c.depth-- }()
	inner, err := parseQuery(query)
	if err == nil && inner == nil {
		return "1 = 1", nil
	}
	var text string
	if err == nil {
		text, err = c.compile(ctx, inner, must)
	}
	if err != nil {
		said, next := fault.Public(err)
		return "", wrong(n.at, fmt.Sprintf("in %q: %s", clip(query), said), next)
	}
	return "(" + text + ")", nil
}

// watched are the changes that the searcher watches.
func (c *compiler) watched(ctx context.Context, n *node) (string, error) {
	if _, err := c.self(n); err != nil {
		return "", err
	}
	all, err := c.Watches(ctx, c.actor)
	if err != nil {
		return "", err
	}
	watches := []string{"1 = 0"}
	for _, w := range all {
		parts := []string{"1 = 1"}
		if w.Repo != 0 {
			parts = append(parts, "c.repo_id = "+c.arg(w.Repo))
		}
		if w.Branch != "" {
			parts = append(parts, "c.branch = "+c.arg(w.Branch))
		}
		if w.Path != "" {
			part, err := c.file(ctx, &node{op: "file", value: w.Path, at: n.at}, false)
			if err != nil {
				return "", err
			}
			parts = append(parts, part)
		}
		if w.Query != "" {
			part, err := c.nested(ctx, n, w.Query, false)
			if err != nil {
				return "", err
			}
			parts = append(parts, part)
		}
		watches = append(watches, strings.Join(parts, " AND "))
	}
	return "(" + strings.Join(watches, ") OR (") + ")", nil
}
