package gatekeeper

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// maker makes candidates for one branch, each step of them once: what a patch set on a base
// comes to never changes, so it is kept in rows, and a candidate that stands on ten changes
// costs one merge when nine of them were merged for another.
type maker struct {
	*Controller
	repo   repo.Repository
	branch string
	git    *git.Repo
	how    string
	known  map[queue.Member]proposal
}

func (c *Controller) maker(r repo.Repository, branch string, g *git.Repo, how string) *maker {
	return &maker{Controller: c, repo: r, branch: branch, git: g, how: how, known: map[queue.Member]proposal{}}
}

// standOn sets the base of a candidate: the tip with what it stands on folded onto it, or the
// reason why there is none.
func (m *maker) standOn(ctx context.Context, k *candidate, tip git.OID) error {
	steps, err := m.fold(ctx, tip, k.On)
	if err != nil {
		return err
	}
	k.Base = tip
	if len(steps) == 0 {
		return nil
	}
	last := steps[len(steps)-1]
	if last.Conflict != "" {
		k.Base, k.Ground = "", string(tip)+" "+membersText(k.On)
		k.Conflict = fmt.Sprintf("it stands on change %d, which does not merge: %s", k.On[len(steps)-1].Change, last.Conflict)
		return nil
	}
	k.Base = last.Commit
	return nil
}

// fold does one step after the other and stops behind the first that conflicts.
func (m *maker) fold(ctx context.Context, base git.OID, members []queue.Member) ([]merged, error) {
	steps := make([]merged, 0, len(members))
	for _, member := range members {
		step, err := m.step(ctx, base, member)
		if err != nil {
			return nil, err
		}
		steps = append(steps, step)
		if step.Conflict != "" {
			break
		}
		base = step.Commit
	}
	return steps, nil
}

// step is what the patch set on base comes to, from the rows or made now.
func (m *maker) step(ctx context.Context, base git.OID, member queue.Member) (merged, error) {
	var s merged
	err := m.DB.Read().QueryRowContext(ctx, `SELECT commit_oid, tree_oid, conflict FROM merges
		WHERE repo_id = $1 AND base_oid = $2 AND change_id = $3 AND ps = $4 AND how = $5`,
		m.repo.ID, string(base), member.Change, member.PS, m.how).Scan(&s.Commit, &s.Tree, &s.Conflict)
	if err == nil {
		return s, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return s, fmt.Errorf("gatekeeper: merge of change %d: %w", member.Change, err)
	}
	p, err := m.proposal(ctx, member)
	if err != nil {
		return s, err
	}
	s, paths, err := mergeOnto(ctx, m.git, p, base, m.how)
	if err != nil {
		return s, err
	}
	if len(paths) > 0 {
		if s.Conflict, err = m.conflictWords(ctx, base, member, paths); err != nil {
			return s, err
		}
	}
	return s, m.DB.Transact(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO merges (repo_id, base_oid, change_id, ps, how, commit_oid, tree_oid, conflict, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`,
			m.repo.ID, string(base), member.Change, member.PS, m.how, string(s.Commit), string(s.Tree), s.Conflict, db.Micros(m.Now()))
		if err != nil {
			return fmt.Errorf("gatekeeper: keep merge of change %d: %w", member.Change, err)
		}
		return nil
	})
}

// maxConflictPaths is how many paths a sentence names.
const maxConflictPaths = 5

// conflictWords names the paths in conflict and the change that they conflict with: the last
// below that touched the first of them.
func (m *maker) conflictWords(ctx context.Context, base git.OID, member queue.Member, paths []string) (string, error) {
	named := paths
	if len(named) > maxConflictPaths {
		named = named[:maxConflictPaths]
	}
	words := "conflicts in " + strings.Join(named, ", ")
	if more := len(paths) - len(named); more > 0 {
		words += fmt.Sprintf(" and %d more", more)
	}
	touched, err := m.git.Log(ctx, base, paths[0], 0, 1)
	if err != nil || len(touched) == 0 {
		return words, nil // a path that git names with marks of its own
	}
	var other int64
	var subject string
	err = m.DB.Read().QueryRowContext(ctx, `SELECT c.id, c.subject FROM changes c WHERE c.id <> $1 AND c.repo_id = $2 AND (
			EXISTS (SELECT 1 FROM patch_sets p WHERE p.change_id = c.id AND p.commit_oid = $3)
			OR EXISTS (SELECT 1 FROM landings l WHERE l.change_id = c.id AND l.new_oid = $3)
			OR EXISTS (SELECT 1 FROM merges g WHERE g.change_id = c.id AND g.commit_oid = $3)) ORDER BY c.id LIMIT 1`,
		member.Change, m.repo.ID, string(touched[0].OID)).Scan(&other, &subject)
	if errors.Is(err, sql.ErrNoRows) {
		return words, nil
	}
	if err != nil {
		return "", fmt.Errorf("gatekeeper: who touched %s: %w", paths[0], err)
	}
	return fmt.Sprintf("%s with change %d (%s)", words, other, subject), nil
}

func (m *maker) proposal(ctx context.Context, member queue.Member) (proposal, error) {
	if p, ok := m.known[member]; ok {
		return p, nil
	}
	var p proposal
	var err error
	if p.change, err = m.Review.Load(ctx, m.DB.Read(), member.Change); err != nil {
		return p, err
	}
	if p.ps, err = m.Review.PatchSet(ctx, m.DB.Read(), member.Change, member.PS); err != nil {
		return p, err
	}
	if p.own, err = m.git.Commit(ctx, p.ps.Commit); err != nil {
		return p, err
	}
	m.known[member] = p
	return p, nil
}

// candidate returns that of the members on base, made when it is new. On and Seq of want say
// what the base is: the branch after so many landings, with these on top. For one that was
// made before, these are what it counts as from now on; for a check it stays what it is.
func (m *maker) candidate(ctx context.Context, want candidate) (*candidate, error) {
	want.Repo, want.Branch, want.How = m.repo.ID, m.branch, m.how
	have, err := m.find(ctx, want)
	if err != nil {
		return nil, err
	}
	fresh := have == nil
	if fresh {
		have = &want
		if have.Conflict == "" {
			if err := m.complete(ctx, have); err != nil {
				return nil, err
			}
		}
	}
	if err := m.follow(ctx, have); err != nil {
		return nil, err
	}
	var k candidate
	err = m.DB.Transact(ctx, func(tx *db.Tx) error {
		k = *have
		if fresh {
			return insertCandidate(ctx, tx, &k, db.Micros(m.Now()))
		}
		return adopt(ctx, tx, &k, want)
	})
	if err != nil || !fresh || k.Commit == "" || len(k.Members) == 0 {
		return &k, err
	}
	ref := git.RefUpdate{Ref: candidateRef(k.ID), New: k.Commit}
	return &k, m.git.UpdateRefs(ctx, []git.RefUpdate{ref}, "candidate")
}

func (m *maker) find(ctx context.Context, want candidate) (*candidate, error) {
	all, err := queryCandidates(ctx, m.DB.Read(), `k.repo_id = $1 AND k.branch = $2 AND k.base_oid = $3 AND k.ground = $4 AND k.how = $5 AND k.members = $6`,
		m.repo.ID, m.branch, string(want.Base), want.Ground, m.how, membersText(want.Members))
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return all[0], nil
}

// complete merges the members on the base.
func (m *maker) complete(ctx context.Context, k *candidate) error {
	if len(k.Members) == 0 {
		tip, err := m.git.Commit(ctx, k.Base)
		k.Commit, k.Tree = k.Base, tip.Tree
		return err
	}
	steps, err := m.fold(ctx, k.Base, k.Members)
	if err != nil {
		return err
	}
	last := steps[len(steps)-1]
	if last.Conflict != "" {
		k.Conflict = last.Conflict
		if len(k.Members) > 1 {
			k.Conflict = fmt.Sprintf("change %d %s", k.Members[len(steps)-1].Change, last.Conflict)
		}
		return nil
	}
	k.Commit, k.Tree = last.Commit, last.Tree
	for _, s := range steps {
		k.Landed = append(k.Landed, s.Commit)
	}
	if m.how != plan.Merge || len(k.Members) == 1 {
		return nil
	}
	var all []proposal
	for _, member := range k.Members {
		p, err := m.proposal(ctx, member)
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	if k.Commit, err = mergeBatch(ctx, m.git, all, k.Base, k.Tree); err != nil {
		return err
	}
	for i := range k.Landed {
		k.Landed[i] = k.Commit
	}
	return nil
}

// follow finds the plan that the candidate's runs follow: the policy of what it stands on,
// which is the branch's when it lands, with its own actions. A plan that nobody can follow is
// a reason why there is no candidate.
func (m *maker) follow(ctx context.Context, k *candidate) error {
	if k.Conflict != "" {
		return nil
	}
	p, err := m.composed(ctx, m.git, k.Base, k.Commit)
	switch {
	case fault.Is(err, fault.Internal):
		return err
	case err != nil:
		k.Conflict, k.Commit, k.Tree = fault.Sentence(err), "", ""
	default:
		k.Plan = p.Digest()
	}
	return nil
}
