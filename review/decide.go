package review

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
)

// action is what becomes of one commit of a push.
type action int

const (
	create  action = iota // a new change
	update                // a new patch set of a change
	same                  // the current patch set of a change says the same: only options count
	tracked               // an older patch set of a change below the tip: nothing to do
)

// step is one commit of a push and what becomes of it.
type step struct {
	item
	action action
	change Change   // as it is now; of a new change its number alone
	prev   PatchSet // the current patch set before this push
	kind   string
}

// known is what the rows say about the commits of a push, by key and by commit.
type known struct {
	byKey    map[Key]Change
	byID     map[int64]Change
	byCommit map[git.OID]PatchSet
	current  map[int64]PatchSet
}

// plan decides what becomes of every commit of a push, from the rows as they are now.
// Prepare asks it to refuse early, Hold asks it again under the lock.
func (s *Service) plan(ctx context.Context, g *git.Repo, prep *Prepared) ([]step, error) {
	k, err := s.lookUp(ctx, s.DB.Read(), prep)
	if err != nil {
		return nil, err
	}
	steps := make([]step, 0, len(prep.items))
	for i := range prep.items {
		st, err := s.decide(ctx, g, prep, k, i)
		if err != nil {
			return nil, err
		}
		steps = append(steps, st)
	}
	settleNoChange(steps)
	if err := s.checkOptions(ctx, prep, steps); err != nil {
		return nil, err
	}
	return steps, nil
}

// decide decides about the i-th commit alone.
func (s *Service) decide(ctx context.Context, g *git.Repo, prep *Prepared, k *known, i int) (step, error) {
	it := &prep.items[i]
	isTip := i == len(prep.items)-1
	if ps, ok := k.byCommit[it.commit.OID]; ok {
		ch := k.byID[ps.Change]
		return decideHeld(*it, ch, ps, isTip)
	}
	if it.digest == "" {
		from := first(it.commit)
		if from == "" {
			from = git.EmptyTree
		}
		digest, err := g.DiffDigest(ctx, from, it.commit.OID)
		if err != nil {
			return step{}, err
		}
		if it.paths, err = touchedPaths(ctx, g, it.commit); err != nil {
			return step{}, err
		}
		it.digest = digest
	}
	ch, ok := k.byKey[it.key]
	if !ok {
		return step{item: *it, action: create, kind: KindFirst}, nil
	}
	if ch.Status != Open {
		return step{}, closed(ch)
	}
	if it.expect != 0 && it.expect != ch.Current {
		return step{}, overtaken(ch, it.expect)
	}
	if err := s.mayAddPatchSet(ctx, prep.proposal, ch); err != nil {
		return step{}, err
	}
	if ch.Current >= maxPatchSets {
		return step{}, fault.New(fault.TooLarge, "review.Prepare", fmt.Sprintf("change %d has %d patch sets already", ch.ID, ch.Current),
			"abandon it and start a new change: delete the Change-Id line and amend")
	}
	prev := k.current[ch.ID]
	before, err := g.Commit(ctx, prev.Commit)
	if err != nil {
		return step{}, err
	}
	kind := classify(before, prev.DiffDigest, it.commit, it.digest)
	return step{item: *it, action: update, change: ch, prev: prev, kind: kind}, nil
}

// decideHeld decides about a commit that is a patch set already.
func decideHeld(it item, ch Change, ps PatchSet, isTip bool) (step, error) {
	st := step{item: it, action: tracked, change: ch, prev: ps}
	switch {
	case ch.Status == Open && ps.Number == ch.Current:
		st.action = same
	case ch.Status == Abandoned, isTip && ch.Status != Open:
		return step{}, closed(ch)
	case isTip:
		return step{}, fault.New(fault.Refused, "review.Prepare",
			fmt.Sprintf("commit %s already exists in change %d", it.commit.OID.Short(), ch.ID),
			fmt.Sprintf("it is patch set %d of %d; to go back to it, git commit --amend it and push again", ps.Number, ch.Current))
	}
	return st, nil
}

// closed refuses to add to a change that landed or was abandoned.
func closed(ch Change) error {
	next := fmt.Sprintf("it landed as %s; for a new change delete the Change-Id line: git commit --amend", ch.LandedCommit.Short())
	if ch.Status == Abandoned {
		next = "it is abandoned: restore it and push again, or for a new change delete the Change-Id line: git commit --amend"
	}
	switch {
	case ofTopic(ch.Key):
		next = "choose another topic: git push -o topic=NAME"
	case ofOrigin(ch.Key) && ch.Status == Abandoned:
		next = "restore it: what is proposed there comes in again"
	}
	return fault.New(fault.Refused, "review.Prepare", fmt.Sprintf("change %d closed", ch.ID), next)
}

// mayAddPatchSet lets the owner of a change and those who may edit it add to it, and nobody
// else: a patch set of a stranger's could take the votes of another's work along.
func (s *Service) mayAddPatchSet(ctx context.Context, p Proposal, ch Change) error {
	_, err := s.mayEdit(ctx, s.DB.Read(), p, ch)
	if fault.Is(err, fault.Denied) {
		return fault.New(fault.Denied, "review.Prepare", fmt.Sprintf("cannot add patch set to %d.", ch.ID),
			"only its owner and those who maintain the branch can; push it as a change of your own: delete the Change-Id line and git commit --amend")
	}
	return err
}

// classify says how a commit differs from the patch set before it. What is not surely less
// is rework: a kind decides whether votes are kept.
func classify(before git.Commit, beforeDigest string, after git.Commit, afterDigest string) string {
	author := before.Author.Name == after.Author.Name && before.Author.Email == after.Author.Email
	message := strings.TrimRight(before.Message, "\n") == strings.TrimRight(after.Message, "\n")
	tree := before.Tree == after.Tree
	parents := slices.Equal(before.Parents, after.Parents)
	single := len(before.Parents) == 1 && len(after.Parents) == 1
	switch {
	case !author:
		return KindRework
	case tree && parents && message:
		return KindNoChange
	case tree && parents:
		return KindMessageEdit
	case single && !parents && message && beforeDigest != "" && beforeDigest == afterDigest:
		return KindTrivialRebase
	default:
		return KindRework
	}
}

// settleNoChange treats commits that say the same as what is held: below something new they
// become patch sets, so that the stack stands on what was pushed; else they are left out.
func settleNoChange(steps []step) {
	above := false
	for i := len(steps) - 1; i >= 0; i-- {
		st := &steps[i]
		if st.action == update && st.kind == KindNoChange && !above {
			st.action = same
		}
		above = above || st.action == create || st.action == update
	}
}

// checkOptions holds the options to the changes that they meet, and refuses a push that
// brings nothing at all.
func (s *Service) checkOptions(ctx context.Context, prep *Prepared, steps []step) error {
	o := prep.proposal.Options
	moved := false
	var held []string
	for i, st := range steps {
		if st.action == tracked {
			continue
		}
		isTip := i == len(steps)-1
		if o.Submit && st.change.WIP && !o.Ready && (isTip || st.action == update) {
			return fault.New(fault.Refused, "review.Prepare", fmt.Sprintf("change %d is work in progress and does not land", st.change.ID), "mark it ready in the same push: -o ready")
		}
		if o.Submit && st.change.Private && !o.RemovePrivate && (isTip || st.action == update) {
			return fault.New(fault.Refused, "review.Prepare", fmt.Sprintf("change %d is private and does not land", st.change.ID), "show it to everybody in the same push: -o remove-private")
		}
		if st.action != same {
			moved = true
			continue
		}
		held = append(held, fmt.Sprintf("commit %s is patch set %d of change %d", st.commit.OID.Short(), st.change.Current, st.change.ID))
		if edits(st.change, o) {
			ok, err := s.mayEdit(ctx, s.DB.Read(), prep.proposal, st.change)
			if err != nil && (isTip || !fault.Is(err, fault.Denied)) {
				return err
			}
			moved = moved || ok
		}
		moved = moved || (o.Submit && st.change.SubmitBy == 0 && !st.change.WIP && !st.change.Private)
	}
	if moved || o.Wait || len(prep.votes) > 0 || len(prep.asked) > 0 {
		return nil
	}
	return fault.New(fault.Refused, "review.Prepare", "no new changes", strings.Join(held, "; "))
}

// edits reports whether the options change something of ch that is its owner's to change.
func edits(ch Change, o PushOptions) bool {
	return (o.explicitTop && o.Topic != ch.Topic) || (o.WIP && !ch.WIP) || (o.Ready && ch.WIP) ||
		(o.Private && !ch.Private) || (o.RemovePrivate && ch.Private) || len(o.Hashtags) > 0 || o.Outcome != ""
}

// mayEdit asks whether the pusher may change what belongs to the change's owner.
func (s *Service) mayEdit(ctx context.Context, q db.Querier, p Proposal, ch Change) (bool, error) {
	if p.Origin != "" && strings.HasPrefix(ch.Key, OriginPrefix(p.Origin)) {
		return true, nil // whoever owns it here, it is what stands there
	}
	if err := s.May(ctx, q, p.Actor, account.Edit, ch, p.Repo); err != nil {
		if fault.Is(err, fault.NotFound) { // a private change, and the pusher may propose: so much is known
			err = fault.New(fault.Denied, "review.Prepare", fmt.Sprintf("%s may not edit this change", p.Actor.Name), "ask its owner")
		}
		return false, err
	}
	return true, nil
}

// lookUp reads what is known about the keys and commits of a push, in a few statements.
func (s *Service) lookUp(ctx context.Context, q db.Querier, prep *Prepared) (*known, error) {
	k := &known{byKey: map[Key]Change{}, byID: map[int64]Change{}, byCommit: map[git.OID]PatchSet{}, current: map[int64]PatchSet{}}
	repository, branch := prep.proposal.Repo.ID, prep.proposal.Branch
	for part := range slices.Chunk(prep.items, maxIn) {
		keys := []any{repository, branch}
		commits := []any{repository, branch}
		for _, it := range part {
			keys = append(keys, string(it.key))
			commits = append(commits, string(it.commit.OID))
		}
		found, err := changes(ctx, q, `WHERE c.repo_id = $1 AND c.branch = $2 AND (c.change_key IN (`+marks(3, len(part))+`))`, keys...)
		if err != nil {
			return nil, err
		}
		held, err := patchSets(ctx, q, `p.commit_oid IN (`+marks(3, len(part))+`)
			AND p.change_id IN (SELECT id FROM changes WHERE repo_id = $1 AND branch = $2)`, commits...)
		if err != nil {
			return nil, err
		}
		for _, ps := range held {
			k.byCommit[ps.Commit] = ps
		}
		for _, ch := range found {
			k.byKey[Key(ch.Key)] = ch
			k.byID[ch.ID] = ch
		}
	}
	return k, k.complete(ctx, q)
}

// complete adds the changes of held commits and the current patch set of every change.
func (k *known) complete(ctx context.Context, q db.Querier) error {
	var lack []any
	for _, ps := range k.byCommit {
		if _, ok := k.byID[ps.Change]; !ok {
			lack = append(lack, ps.Change)
		}
	}
	for part := range slices.Chunk(lack, maxIn) {
		found, err := changes(ctx, q, `WHERE c.id IN (`+marks(1, len(part))+`)`, part...)
		if err != nil {
			return err
		}
		for _, ch := range found {
			k.byID[ch.ID] = ch
		}
	}
	var ids []any
	for id := range k.byID {
		ids = append(ids, id)
	}
	for part := range slices.Chunk(ids, maxIn) {
		found, err := patchSets(ctx, q, `p.change_id IN (`+marks(1, len(part))+`)
			AND p.number = (SELECT current_ps FROM changes WHERE id = p.change_id)`, part...)
		if err != nil {
			return err
		}
		for _, ps := range found {
			k.current[ps.Change] = ps
		}
	}
	return nil
}
