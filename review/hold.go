package review

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// maxHolds is how often a push is decided anew because another process was faster. Inside
// one process pushes to a repository take turns, so this is about several servers.
const maxHolds = 5

// Held is what became of one commit of a push.
type Held struct {
	Change   Change
	PatchSet PatchSet
	New      bool // the change is new
	// Unchanged says that the commit's patch set was there already and only options counted.
	Unchanged bool
	// Theirs says that the options ask for what is its owner's to change, and the pusher may not.
	Theirs bool
	// VotesVoided are the votes on the patch set before that do not count for this one, as
	// "bob Code-Review+2".
	VotesVoided []string
}

// errMoved says that the rows are not as they were when the push was decided.
var errMoved = errors.New("review: the change moved meanwhile")

// Hold makes a prepared push durable: first its holding refs, then its rows. The objects must
// have left the quarantine. A push that somebody else's overtook becomes the next patch set,
// if it still may, or a Conflict; when Hold returns an error nothing is held.
func (s *Service) Hold(ctx context.Context, prep *Prepared) ([]Held, error) {
	p := prep.proposal
	g, err := s.Repos.Open(p.Repo)
	if err != nil {
		return nil, err
	}
	unlock := s.lock(p.Repo.ID)
	defer unlock()
	numbers := map[Key]int64{}
	for range maxHolds {
		steps, err := s.plan(ctx, g, prep)
		if err != nil {
			return nil, err
		}
		if err := s.number(ctx, steps, numbers); err != nil {
			return nil, err
		}
		refs := holdingRefs(steps)
		if len(refs) > 0 {
			err := g.UpdateRefs(ctx, refs, "push by "+p.Actor.Name)
			if fault.Is(err, fault.Conflict) {
				continue
			}
			if err != nil {
				return nil, err
			}
		}
		crash("review.hold.refs")
		held, err := s.write(ctx, prep, steps)
		if err != nil {
			// The caller may be gone; what it left must not block the next push.
			err = errors.Join(err, s.dropOrphans(context.WithoutCancel(ctx), g, p.Repo.ID, refs))
		}
		if errors.Is(err, errMoved) || db.IsUnique(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		crash("review.hold.rows")
		ids := make([]int64, 0, len(held))
		for _, h := range held {
			ids = append(ids, h.Change.ID)
		}
		s.wake(p.Repo.ID, ids...)
		return held, nil
	}
	return nil, fault.New(fault.Conflict, "review.Hold", "somebody else is pushing to the same change at this moment", "git push again")
}

// number gives every new change its number. A number that is not used in the end is lost.
func (s *Service) number(ctx context.Context, steps []step, numbers map[Key]int64) error {
	lack := 0
	for _, st := range steps {
		if _, has := numbers[st.key]; st.action == create && !has {
			lack++
		}
	}
	if lack > 0 {
		var taken []int64
		err := s.DB.Transact(ctx, func(tx *db.Tx) error {
			taken = taken[:0]
			for range lack {
				id, err := tx.NextID(ctx, db.ChangeIDs)
				if err != nil {
					return err
				}
				taken = append(taken, id)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, st := range steps {
			if _, has := numbers[st.key]; st.action == create && !has {
				numbers[st.key], taken = taken[0], taken[1:]
			}
		}
		crash("review.hold.numbers")
	}
	for i := range steps {
		if steps[i].action == create {
			steps[i].change.ID = numbers[steps[i].key]
		}
	}
	return nil
}

// holdingRefs are the refs that a push makes; none of them may exist.
func holdingRefs(steps []step) []git.RefUpdate {
	var refs []git.RefUpdate
	for _, st := range steps {
		if st.action == create || st.action == update {
			refs = append(refs, git.RefUpdate{Ref: HoldingRef(st.change.ID, st.change.Current+1), Old: git.Zero, New: st.commit.OID})
		}
	}
	return refs
}

// write writes the rows of a push in one transaction, if they still are as they were decided upon.
func (s *Service) write(ctx context.Context, prep *Prepared, steps []step) ([]Held, error) {
	var held []Held
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		held = held[:0]
		w := writer{Service: s, tx: tx, prep: prep, now: s.Now().UTC().Truncate(time.Microsecond)}
		for i := range steps {
			h, err := w.step(ctx, steps[i], i == len(steps)-1)
			if err != nil {
				return err
			}
			if h != nil {
				held = append(held, *h)
			}
		}
		return tx.Enqueue(ctx, repo.BranchJob(prep.proposal.Repo.ID, prep.proposal.Branch))
	})
	return held, err
}

// writer writes the rows of one push.
type writer struct {
	*Service
	tx   *db.Tx
	prep *Prepared
	now  time.Time
}

// step writes one commit; nil when there is nothing to write.
func (w *writer) step(ctx context.Context, st step, isTip bool) (*Held, error) {
	if st.action == tracked {
		return nil, nil
	}
	h := &Held{Change: st.change, PatchSet: st.prev, New: st.action == create, Unchanged: st.action == same}
	var err error
	if !h.New {
		if h.Change, err = w.Load(ctx, w.tx, st.change.ID); err == nil && (h.Change.Current != st.change.Current || h.Change.Status != Open || h.Change.Branch != st.change.Branch) {
			err = errMoved
		}
	}
	if err != nil {
		return nil, err
	}
	whom, err := w.quiet(ctx, *h)
	if err != nil {
		return nil, err
	}
	ctx = quietly(ctx, whom)
	switch st.action {
	case create:
		err = w.create(ctx, st, h)
	case update:
		err = w.update(ctx, st, h)
	}
	if err != nil {
		return nil, err
	}
	if err := w.options(ctx, h, isTip); err != nil {
		return nil, err
	}
	h.Change, err = w.Load(ctx, w.tx, h.Change.ID)
	return h, err
}

// patchSet is the row of a new patch set.
func (w *writer) patchSet(st step, number int) PatchSet {
	c := st.commit
	return PatchSet{
		Change: st.change.ID, Number: number, Commit: c.OID, Tree: c.Tree, Parent: first(c), Parents: len(c.Parents),
		Uploader: w.prep.proposal.Actor.ID, AuthorName: clean(c.Author.Name), AuthorEmail: clean(c.Author.Email),
		CommitterEmail: clean(c.Committer.Email), CoAuthors: coAuthors(clean(c.Message)), Message: clean(c.Message), Kind: st.kind,
		DiffDigest: st.digest, Description: w.prep.proposal.Options.Message, CreatedAt: w.now,
	}
}

// clean makes text of a commit fit for every database: UTF-8 without zero bytes.
func clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// maxSubject keeps a subject on one line of a list; the message has the rest.
const maxSubject = 300

func subject(c git.Commit) string {
	text := strings.Join(strings.Fields(clean(c.Subject())), " ")
	if len(text) > maxSubject {
		return strings.ToValidUTF8(text[:maxSubject], "") + "…"
	}
	if text == "" {
		return "(no subject)"
	}
	return text
}

func (w *writer) create(ctx context.Context, st step, h *Held) error {
	p := w.prep.proposal
	h.Change = Change{
		ID: st.change.ID, Repo: p.Repo.ID, Branch: p.Branch, Key: string(st.key), Topic: p.Options.Topic, Subject: subject(st.commit),
		Owner: p.owner(), Status: Open, WIP: p.Options.WIP, Private: p.Options.Private, Current: 1, CreatedAt: w.now, UpdatedAt: w.now,
		Reverts: w.prep.reverts, PickedFrom: w.prep.pickedFrom,
	}
	h.PatchSet = w.patchSet(st, 1)
	if err := insertChange(ctx, w.tx, h.Change); err != nil {
		return err
	}
	if err := insertPatchSet(ctx, w.tx, h.PatchSet, st.commit.Parents); err != nil {
		return err
	}
	if err := indexTerms(ctx, w.tx, h.PatchSet, st.paths); err != nil {
		return err
	}
	if err := w.note(ctx, w.tx, h.Change, "change.created", p.Actor.ID, nil); err != nil {
		return err
	}
	return w.uploaded(ctx, h, "")
}

func (w *writer) update(ctx context.Context, st step, h *Held) error {
	h.Change.Current++
	h.Change.SubmitBy = 0
	h.PatchSet = w.patchSet(st, h.Change.Current)
	_, err := w.tx.ExecContext(ctx, `UPDATE changes SET current_ps = $1, subject = $2, submit_by = 0, submit_at = 0, updated_at = $3 WHERE id = $4`,
		h.Change.Current, subject(st.commit), db.Micros(w.now), h.Change.ID)
	if err != nil {
		return fmt.Errorf("review: new patch set of change %d: %w", h.Change.ID, err)
	}
	if err := insertPatchSet(ctx, w.tx, h.PatchSet, st.commit.Parents); err != nil {
		return err
	}
	if err := indexTerms(ctx, w.tx, h.PatchSet, st.paths); err != nil {
		return err
	}
	story, err := w.carryVotes(ctx, st, h)
	if err != nil {
		return err
	}
	return w.uploaded(ctx, h, story)
}

// carryVotes copies the votes whose label says so to the new patch set; the others stay
// where they were given and count no more. It returns what to say about it.
func (w *writer) carryVotes(ctx context.Context, st step, h *Held) (string, error) {
	before, err := votes(ctx, w.tx, `v.change_id = $1 AND v.ps = $2`, h.Change.ID, st.prev.Number)
	if err != nil || len(before) == 0 {
		return "", err
	}
	before = Bound(h.Change, st.prev, before)
	ids := make([]int64, 0, len(before))
	for _, v := range before {
		ids = append(ids, v.Account)
	}
	people, err := w.Accounts.Names(ctx, w.tx, ids)
	if err != nil {
		return "", err
	}
	var copied []string
	for _, v := range before {
		text := fmt.Sprintf("%s %s%s", people[v.Account].Name, v.Label, signed(v.Value))
		label, ok := findLabel(w.prep.labels, v.Label)
		if !ok || !label.keeps(h.PatchSet.Kind) {
			h.VotesVoided = append(h.VotesVoided, text)
			continue
		}
		if v.CopiedFrom == 0 {
			v.CopiedFrom = v.PS
		}
		v.PS, v.Commit, v.DiffDigest = h.PatchSet.Number, h.PatchSet.Commit, h.PatchSet.DiffDigest
		if err := putVote(ctx, w.tx, v); err != nil {
			return "", err
		}
		copied = append(copied, text)
	}
	var story []string
	if len(copied) > 0 {
		story = append(story, "Votes kept: "+strings.Join(copied, ", "))
	}
	if len(h.VotesVoided) > 0 {
		story = append(story, "Votes that no longer count: "+strings.Join(h.VotesVoided, ", "))
	}
	return strings.Join(story, "\n"), nil
}

// uploaded tells the change's story and the world of a new patch set.
func (w *writer) uploaded(ctx context.Context, h *Held, story string) error {
	text := fmt.Sprintf("Uploaded patch set %d", h.PatchSet.Number)
	switch h.PatchSet.Kind {
	case KindTrivialRebase:
		text += ": the same difference on another parent"
	case KindMessageEdit:
		text += ": only the message was edited"
	case KindNoChange:
		text += ": another commit that says the same"
	}
	parts := slices.DeleteFunc([]string{text, story, h.PatchSet.Description}, func(s string) bool { return s == "" })
	if err := w.say(ctx, w.tx, h.Change.ID, h.PatchSet.Number, h.PatchSet.Uploader, strings.Join(parts, "\n\n")); err != nil {
		return err
	}
	if err := w.note(ctx, w.tx, h.Change, "patchset.created", h.PatchSet.Uploader, map[string]string{
		"patch_set": fmt.Sprint(h.PatchSet.Number), "kind": h.PatchSet.Kind, "commit": string(h.PatchSet.Commit)}); err != nil {
		return err
	}
	return w.attend(ctx, w.tx, h.Change.ID, deed{kind: deedUploaded, by: h.PatchSet.Uploader, reason: fmt.Sprintf("uploaded patch set %d", h.PatchSet.Number)})
}
