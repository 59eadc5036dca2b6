package gatekeeper

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"gatehouse/gatekeeper/plan"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// links is what holds queued changes together: which must land before which, and which
// in one go.
type links struct {
	before map[int64][]int64 // the changes that must land first and have not
	with   map[int64][]int64 // the changes that must land in the same landing
}

// linksOf finds the links of the entries of a queue.
func linksOf(ctx context.Context, q db.Querier, branches []branchKey, entries []queueEntry, together map[branchKey]bool) (links, error) {
	stack, err := stackParents(ctx, q, branches)
	if err != nil {
		return links{}, err
	}
	depends, err := openDependencies(ctx, q, entries)
	if err != nil {
		return links{}, err
	}
	cycles := cyclesOf(entries, stack, depends)
	l := links{before: map[int64][]int64{}, with: map[int64][]int64{}}
	for _, e := range entries {
		own := cycles[e.Change]
		for _, on := range depends[e.Change] {
			if !slices.Contains(own, on) { // what depends on each other lands together
				l.before[e.Change] = append(l.before[e.Change], on)
			}
		}
		l.before[e.Change] = append(l.before[e.Change], stack[e.Change]...)
		l.with[e.Change] = slices.DeleteFunc(slices.Clone(own), func(c int64) bool { return c == e.Change })
	}
	return l, l.addTopics(ctx, q, branches, entries, together)
}

// stackParents are the changes below those that are queued, as far as they have not landed.
func stackParents(ctx context.Context, q db.Querier, branches []branchKey) (map[int64][]int64, error) {
	where, args := onBranches("e", branches, string(review.Landed))
	found := map[int64][]int64{}
	err := each(ctx, q, `SELECT e.change_id, c.id FROM queue_entries e
		JOIN patch_set_parents pp ON pp.change_id = e.change_id AND pp.ps = e.ps
		JOIN patch_sets p ON p.commit_oid = pp.parent_oid AND p.change_id <> e.change_id
		JOIN changes c ON c.id = p.change_id AND c.repo_id = e.repo_id AND c.branch = e.branch AND c.status <> $1
		WHERE `+where+` ORDER BY e.change_id, pp.position, c.id`, args, func(rows *sql.Rows) error {
		var child, parent int64
		err := rows.Scan(&child, &parent)
		found[child] = append(found[child], parent)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: stacks in the queue: %w", err)
	}
	return found, nil
}

// openDependencies are the changes that the entries' messages name, as far as they have not
// landed.
func openDependencies(ctx context.Context, q db.Querier, entries []queueEntry) (map[int64][]int64, error) {
	var ids []int64
	for _, e := range entries {
		ids = append(ids, e.Depends...)
	}
	found := map[int64][]int64{}
	if len(ids) == 0 {
		return found, nil
	}
	slices.Sort(ids)
	marks, args := among([]any{string(review.Landed)}, slices.Compact(ids))
	open := map[int64]bool{}
	err := each(ctx, q, `SELECT id FROM changes WHERE status <> $1 AND id IN (`+marks+`)`, args, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		open[id] = true
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: dependencies in the queue: %w", err)
	}
	for _, e := range entries {
		for _, on := range e.Depends {
			if open[on] {
				found[e.Change] = append(found[e.Change], on)
			}
		}
	}
	return found, nil
}

// cyclesOf finds the queued changes that depend on each other, each with all of its cycle
// (Tarjan, "Depth-first search and linear graph algorithms", 1972). A change that is in none
// has no entry.
func cyclesOf(entries []queueEntry, stack, depends map[int64][]int64) map[int64][]int64 {
	queued := map[int64]bool{}
	for _, e := range entries {
		queued[e.Change] = true
	}
	index, low, onPath := map[int64]int{}, map[int64]int{}, map[int64]bool{}
	var path []int64
	cycles := map[int64][]int64{}
	var visit func(v int64)
	visit = func(v int64) {
		index[v] = len(index) + 1
		low[v] = index[v]
		path, onPath[v] = append(path, v), true
		for _, w := range slices.Concat(stack[v], depends[v]) {
			switch {
			case !queued[w]:
			case index[w] == 0:
				visit(w)
				low[v] = min(low[v], low[w])
			case onPath[w]:
				low[v] = min(low[v], index[w])
			}
		}
		if low[v] != index[v] {
			return
		}
		at := slices.Index(path, v)
		component := slices.Clone(path[at:])
		path = path[:at]
		slices.Sort(component)
		for _, w := range component {
			onPath[w] = false
			if len(component) > 1 {
				cycles[w] = component
			}
		}
	}
	for _, e := range entries {
		if index[e.Change] == 0 {
			visit(e.Change)
		}
	}
	return cycles
}

// addTopics joins the open changes of one topic, on the branches whose plan lands them
// together. One that is not queued yet is waited for.
func (l *links) addTopics(ctx context.Context, q db.Querier, branches []branchKey, entries []queueEntry, together map[branchKey]bool) error {
	wanted := map[string]bool{}
	for _, e := range entries {
		if together[e.branchKey] && e.Topic != "" {
			wanted[e.Topic] = true
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	where, args := onBranches("c", branches, string(review.Open))
	topics := map[string][]int64{}
	err := each(ctx, q, `SELECT c.id, c.repo_id, c.branch, c.topic FROM changes c WHERE c.status = $1 AND c.topic <> '' AND `+where+` ORDER BY c.id`,
		args, func(rows *sql.Rows) error {
			var id int64
			var k branchKey
			var topic string
			err := rows.Scan(&id, &k.repo, &k.branch, &topic)
			if wanted[topic] && together[k] {
				topics[topic] = append(topics[topic], id)
			}
			return err
		})
	if err != nil {
		return fmt.Errorf("gatekeeper: topics in the queue: %w", err)
	}
	for _, all := range topics {
		l.join(all)
	}
	return nil
}

// join has changes land together, with all that any of them lands together with already.
func (l *links) join(all []int64) {
	group := slices.Clone(all)
	for _, id := range all {
		group = append(group, l.with[id]...)
	}
	slices.Sort(group)
	group = slices.Compact(group)
	for _, id := range group {
		l.with[id] = slices.DeleteFunc(slices.Clone(group), func(c int64) bool { return c == id })
	}
}

// landsTopics reports whether the changes of a topic land together.
func landsTopics(p *plan.Plan) bool { return p != nil && p.Land.Together == plan.TogetherTopic }
