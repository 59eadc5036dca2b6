package review

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/migrations/db"
)

// Attention says that it is somebody's turn on a change, since when, and why.
type Attention struct {
	Change  int64
	Account int64
	Reason  string // "asked for a review", "replied": what By did; a sentence of its own when By is 0
	By      int64  // who made it so, 0 for the server
	Since   time.Time
}

// deedKind is a kind of thing that moves attention.
type deedKind int

const (
	deedAsked     deedKind = iota // somebody asked whom to review
	deedReplied                   // by voted or commented; whom are those whose threads were answered
	deedUploaded                  // by pushed a patch set
	deedFailed                    // a gate, or the queue, refused it
	deedReady                     // nothing is missing but that somebody asks to land it
	deedLanding                   // by asked to land it
	deedMentioned                 // by named whom
	deedAdded                     // by put whom in, by hand
	deedRemoved                   // by took whom out, by hand
	deedPaused                    // it is work in progress now
	deedStarted                   // it is to be reviewed from now on
	deedClosed                    // it landed or was abandoned
)

// deed is one thing that was done to a change.
type deed struct {
	kind   deedKind
	by     int64 // 0 for the server
	reason string
	whom   []int64
}

// company is who has which part in a change when a deed is done.
type company struct {
	owner, uploader int64
	open, wip       bool
	asked           []int64 // as reviewers
	// took are the others who voted or commented, without those whose votes on the current
	// patch set are all positive: they have nothing left to look at.
	took []int64
}

// turns says whose turn it becomes by a deed, and whose turn is over; all says everybody's.
// The rules are Gerrit's (Documentation/user-attention-set.txt): what somebody has to answer
// puts them in, answering takes them out, and nobody is put in by what they did themselves.
func (c company) turns(d deed) (in, out []int64, all bool) {
	if d.kind == deedClosed || d.kind == deedPaused {
		return nil, nil, true
	}
	if !c.open {
		return nil, nil, false
	}
	owners := []int64{c.owner, c.uploader}
	switch d.kind {
	case deedAsked:
		if !c.wip {
			in = without(d.whom, c.owner)
		}
	case deedReplied:
		out = []int64{d.by}
		switch {
		case !slices.Contains(owners, d.by):
			in = append(owners, d.whom...)
		case !c.wip:
			in = append(slices.Clone(c.took), d.whom...)
		default:
			in = d.whom
		}
	case deedUploaded:
		out = []int64{d.by}
		if !c.wip {
			in = append([]int64{c.owner}, c.took...)
		}
	case deedFailed, deedReady:
		in = []int64{c.owner}
	case deedLanding:
		out = []int64{d.by}
	case deedMentioned:
		in = d.whom
	case deedAdded: // also oneself: a note that one means to look
		return distinct(d.whom), nil, false
	case deedRemoved:
		out = d.whom
	case deedStarted:
		in = without(c.asked, c.owner)
	default:
		panic(fmt.Sprintf("review: unknown deed %d", d.kind))
	}
	return without(distinct(in), d.by), out, false
}

func without(ids []int64, who int64) []int64 {
	return slices.DeleteFunc(slices.Clone(ids), func(id int64) bool { return id == who })
}

// distinct are the ids without 0 and without repetition, in a steady order.
func distinct(ids []int64) []int64 {
	set := map[int64]bool{}
	for _, id := range ids {
		set[id] = true
	}
	delete(set, 0)
	return slices.Sorted(maps.Keys(set))
}

// attend moves the attention set of a change in the transaction that did the deed. c is read
// anew: the deed may have changed it.
func (s *Service) attend(ctx context.Context, tx *db.Tx, change int64, d deed) error {
	c, err := s.Load(ctx, tx, change)
	if err != nil {
		return err
	}
	who, err := s.company(ctx, tx, c)
	if err != nil {
		return err
	}
	before, err := s.Attention(ctx, tx, change)
	if err != nil {
		return err
	}
	had := map[int64]bool{}
	for _, a := range before {
		had[a.Account] = true
	}
	in, out, all := who.turns(d)
	if all {
		out = slices.Sorted(maps.Keys(had))
	}
	var added, removed []string
	for _, id := range out {
		if !had[id] || slices.Contains(in, id) {
			continue
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM attention WHERE change_id = $1 AND account_id = $2`, change, id); err != nil {
			return fmt.Errorf("review: attention of change %d: %w", change, err)
		}
		removed = append(removed, fmt.Sprint(id))
	}
	for _, id := range in {
		// Whose turn it is already waits since then; the reason is the newest.
		_, err := tx.ExecContext(ctx, `INSERT INTO attention (change_id, account_id, reason, by_id, since) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (change_id, account_id) DO UPDATE SET reason = excluded.reason, by_id = excluded.by_id`,
			change, id, d.reason, d.by, db.Micros(s.Now()))
		if err != nil {
			return fmt.Errorf("review: attention of change %d: %w", change, err)
		}
		if !had[id] {
			added = append(added, fmt.Sprint(id))
		}
	}
	if len(added)+len(removed) == 0 {
		return nil
	}
	return s.note(ctx, tx, c, "attention", d.by, map[string]string{
		"added": strings.Join(added, " "), "removed": strings.Join(removed, " "), "reason": d.reason})
}

// company reads who has which part in a change.
func (s *Service) company(ctx context.Context, q db.Querier, c Change) (company, error) {
	who := company{owner: c.Owner, open: c.Status == Open, wip: c.WIP}
	reviewers, err := s.Reviewers(ctx, q, c.ID)
	if err != nil {
		return who, err
	}
	for _, r := range reviewers {
		if !r.CC {
			who.asked = append(who.asked, r.Account)
		}
	}
	ps, err := s.PatchSet(ctx, q, c.ID, c.Current)
	if err != nil {
		return who, err
	}
	who.uploader = ps.Uploader
	given, err := s.Votes(ctx, q, c.ID)
	if err != nil {
		return who, err
	}
	took, content := map[int64]bool{}, map[int64]bool{}
	for _, v := range given {
		took[v.Account] = true
	}
	for _, v := range Bound(c, ps, given) {
		content[v.Account] = true
	}
	for _, v := range Bound(c, ps, given) {
		content[v.Account] = content[v.Account] && v.Value > 0
	}
	// Every review leaves a message that begins so, also one without votes and comments.
	err = each(ctx, q, "who reviewed", `SELECT DISTINCT author_id FROM comments WHERE change_id = $1
		UNION SELECT DISTINCT author_id FROM messages WHERE change_id = $1 AND author_id <> 0 AND body LIKE 'Patch Set %'`, []any{c.ID}, func(row scanner) error {
		var id int64
		err := row.Scan(&id)
		took[id] = true
		return err
	})
	for id := range took {
		if id != c.Owner && id != ps.Uploader && !content[id] {
			who.took = append(who.took, id)
		}
	}
	slices.Sort(who.took)
	return who, err
}

// answeredThreads are the others who wrote in the threads that by answered at a moment.
func answeredThreads(ctx context.Context, q db.Querier, change, by int64, at time.Time) ([]int64, error) {
	var ids []int64
	err := each(ctx, q, "who is answered", `SELECT DISTINCT m.author_id FROM comments n JOIN comments m ON m.change_id = n.change_id
		AND (m.id = n.reply_to OR m.reply_to = n.reply_to)
		WHERE n.change_id = $1 AND n.author_id = $2 AND n.created_at = $3 AND n.reply_to <> 0 AND m.author_id <> $2`,
		[]any{change, by, db.Micros(at)}, func(row scanner) error {
			var id int64
			err := row.Scan(&id)
			ids = append(ids, id)
			return err
		})
	return ids, err
}

// Attention lists whose turn it is on a change, the longest waiting first.
func (s *Service) Attention(ctx context.Context, q db.Querier, change int64) ([]Attention, error) {
	return attentions(ctx, q, `t.change_id = $1`, change)
}

// AttentionOf lists whose turn it is on each of the changes.
func (s *Service) AttentionOf(ctx context.Context, q db.Querier, ids []int64) (map[int64][]Attention, error) {
	found := map[int64][]Attention{}
	for part := range slices.Chunk(ids, maxIn) {
		args := make([]any, 0, len(part))
		for _, id := range part {
			args = append(args, id)
		}
		all, err := attentions(ctx, q, `t.change_id IN (`+marks(1, len(part))+`)`, args...)
		if err != nil {
			return nil, err
		}
		for _, a := range all {
			found[a.Change] = append(found[a.Change], a)
		}
	}
	return found, nil
}

func attentions(ctx context.Context, q db.Querier, where string, args ...any) ([]Attention, error) {
	var all []Attention
	err := each(ctx, q, "attention", `SELECT t.change_id, t.account_id, t.reason, t.by_id, t.since FROM attention t
		WHERE `+where+` ORDER BY t.since, t.change_id, t.account_id`, args, func(row scanner) error {
		var a Attention
		var since int64
		err := row.Scan(&a.Change, &a.Account, &a.Reason, &a.By, &since)
		a.Since = db.Time(since)
		all = append(all, a)
		return err
	})
	return all, err
}

// GiveTurn puts somebody into the attention set by hand. Whoever may comment may.
func (s *Service) GiveTurn(ctx context.Context, actor account.Actor, id, whom int64, reason string) error {
	return s.byHand(ctx, "review.GiveTurn", actor, id, whom, reason, deedAdded)
}

// TakeTurn takes somebody out of the attention set by hand; oneself needs no reason.
func (s *Service) TakeTurn(ctx context.Context, actor account.Actor, id, whom int64, reason string) error {
	return s.byHand(ctx, "review.TakeTurn", actor, id, whom, reason, deedRemoved)
}

func (s *Service) byHand(ctx context.Context, op string, actor account.Actor, id, whom int64, reason string, kind deedKind) error {
	reason = strings.Join(strings.Fields(reason), " ")
	if err := checkReason(op, reason); err != nil {
		return err
	}
	c, r, err := s.actOn(ctx, op, actor, id)
	if err != nil {
		return err
	}
	verb := account.Comment
	if kind == deedRemoved && whom == actor.ID {
		verb = account.Read // one's own turn is one's own
	}
	if kind == deedAdded {
		if err := s.mayBeAsked(ctx, op, s.DB.Read(), c, r, whom); err != nil {
			return err
		}
	}
	return s.act(ctx, actor, verb, c, r, func(tx *db.Tx, c Change) error {
		if err := mustBeOpen(op, c); err != nil {
			return err
		}
		words := "asked for attention"
		if reason != "" {
			words = "said: " + reason
		}
		return s.attend(ctx, tx, c.ID, deed{kind: kind, by: actor.ID, reason: words, whom: []int64{whom}})
	})
}

// NeedsMending puts the owner of a change into its attention set because a gate or the queue
// refused it. why is a sentence without a full stop.
func (s *Service) NeedsMending(ctx context.Context, tx *db.Tx, change int64, why string) error {
	return s.attend(ctx, tx, change, deed{kind: deedFailed, reason: why})
}

// NeedsLanding puts the owner into the attention set because nothing is missing but that
// somebody asks to land the change.
func (s *Service) NeedsLanding(ctx context.Context, tx *db.Tx, change int64) error {
	return s.attend(ctx, tx, change, deed{kind: deedReady, reason: "it is ready: ask to land it"})
}

// reviewed moves attention after a review: words are its votes.
func (s *Service) reviewed(ctx context.Context, tx *db.Tx, b ballot, words []string) error {
	reason := "replied"
	if len(words) > 0 {
		reason = "voted " + strings.Join(words, " ")
	}
	answered, err := answeredThreads(ctx, tx, b.change.ID, b.voter, b.now)
	if err != nil {
		return err
	}
	if err := s.attend(ctx, tx, b.change.ID, deed{kind: deedReplied, by: b.voter, reason: reason, whom: answered}); err != nil {
		return err
	}
	if len(b.mentioned) == 0 {
		return nil
	}
	var whom []int64
	for _, a := range b.mentioned {
		whom = append(whom, a.ID)
	}
	return s.attend(ctx, tx, b.change.ID, deed{kind: deedMentioned, by: b.voter, reason: "mentioned you", whom: whom})
}
