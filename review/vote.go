package review

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// NewComment is a comment to publish.
type NewComment struct {
	Path       string // "" for the patch set as a whole
	Side       string // "" is SideNew
	Line       int
	ReplyTo    int64 // a comment on the same change; the answer goes where that one is
	Body       string
	Unresolved bool
}

// ballot is one person's votes on one patch set.
type ballot struct {
	change   Change
	ps       PatchSet
	voter    int64
	votes    map[string]int
	message  string
	comments int
	now      time.Time
}

// Vote publishes one review: votes, a message and comments together, or nothing of it. ps is
// the patch set that the reviewer looked at, 0 for the current one; votes on one that is not
// current are a Conflict. A value of 0 takes a vote back. Labels are spelled in any case.
func (s *Service) Vote(ctx context.Context, actor account.Actor, id int64, ps int, votes map[string]int, message string, comments []NewComment) error {
	const op = "review.Vote"
	message = strings.TrimSpace(message)
	if len(votes) == 0 && message == "" && len(comments) == 0 {
		return fault.New(fault.Invalid, op, "this review says nothing", "give a vote, a message or a comment")
	}
	if err := checkTexts(op, message, comments); err != nil {
		return err
	}
	c, r, err := s.actOn(ctx, op, actor, id)
	if err != nil {
		return err
	}
	verb := account.Comment
	if len(votes) > 0 {
		verb = account.Vote
		// The plan is git's to tell: it is read before the transaction, as the gate reads it.
		labels, err := s.labels(ctx, r, c.Branch)
		if err != nil {
			return err
		}
		if votes, err = checkVotes(op, labels, votes); err != nil {
			return err
		}
	}
	return s.act(ctx, actor, verb, c, r, func(tx *db.Tx, c Change) error {
		if len(votes) > 0 {
			if err := votable(c, ps); err != nil {
				return err
			}
		}
		number := ps
		if number == 0 {
			number = c.Current
		}
		set, err := s.PatchSet(ctx, tx, c.ID, number)
		if err != nil {
			return err
		}
		b := ballot{change: c, ps: set, voter: actor.ID, votes: votes, message: message, comments: len(comments), now: s.Now().UTC()}
		if err := s.publish(ctx, tx, b, comments); err != nil {
			return err
		}
		return s.cast(ctx, tx, b)
	})
}

// votable refuses votes that could not count.
func votable(c Change, ps int) error {
	if c.Status != Open {
		return fault.New(fault.Conflict, "review.Vote", fmt.Sprintf("change %d is %s: votes no longer count", c.ID, c.Status), "leave the votes out to comment on it")
	}
	if ps != 0 && ps != c.Current {
		return fault.New(fault.Conflict, "review.Vote", fmt.Sprintf("patch set %d of change %d is not the current one", ps, c.ID),
			fmt.Sprintf("look at patch set %d and vote on that", c.Current))
	}
	return nil
}

func checkTexts(op, message string, comments []NewComment) error {
	if err := checkText(op, "message", message); err != nil {
		return err
	}
	if len(comments) > maxComments {
		return fault.New(fault.TooLarge, op, fmt.Sprintf("%d comments are more than %d", len(comments), maxComments), "publish them in parts")
	}
	for i := range comments {
		c := &comments[i]
		if c.Side == "" {
			c.Side = SideNew
		}
		if strings.TrimSpace(c.Body) == "" {
			return fault.New(fault.Invalid, op, "a comment is empty", "write something, or leave it out")
		}
		if err := checkText(op, "comment", c.Body); err != nil {
			return err
		}
		if len(c.Path) > maxPath || !utf8.ValidString(c.Path) || strings.ContainsRune(c.Path, 0) {
			return fault.Newf(fault.Invalid, op, "a comment's path cannot be used")
		}
		if c.Line < 0 || (c.Line > 0 && c.Path == "") || (c.Side != SideNew && c.Side != SideOld) {
			return fault.New(fault.Invalid, op, "a comment's place makes no sense", `a line needs a path, and the side is "new" or "old"`)
		}
	}
	return nil
}

func checkText(op, what, text string) error {
	if len(text) > maxText {
		return fault.Newf(fault.TooLarge, op, "a %s has at most %d bytes", what, maxText)
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return fault.Newf(fault.Invalid, op, "a %s must be UTF-8 text", what)
	}
	return nil
}

// publish writes the comments of a review.
func (s *Service) publish(ctx context.Context, tx *db.Tx, b ballot, comments []NewComment) error {
	if len(comments) == 0 {
		return nil
	}
	var there int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM comments WHERE change_id = $1`, b.change.ID).Scan(&there); err != nil {
		return fmt.Errorf("review: count comments of change %d: %w", b.change.ID, err)
	}
	if there+len(comments) > maxThreads {
		return fault.Newf(fault.TooLarge, "review.Vote", "change %d has %d comments, and %d is the most", b.change.ID, there, maxThreads)
	}
	for _, n := range comments {
		c := Comment{Change: b.change.ID, PS: b.ps.Number, Path: n.Path, Side: n.Side, Line: n.Line, ReplyTo: n.ReplyTo}
		if n.ReplyTo != 0 {
			if err := threadOf(ctx, tx, &c); err != nil {
				return err
			}
		}
		id, err := tx.NextID(ctx, db.RowIDs)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO comments (id, change_id, ps, path, side, line, reply_to, author_id, body, unresolved, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			id, c.Change, c.PS, c.Path, c.Side, c.Line, c.ReplyTo, b.voter, n.Body, db.Bool(n.Unresolved), db.Micros(b.now))
		if err != nil {
			return fmt.Errorf("review: comment on change %d: %w", b.change.ID, err)
		}
	}
	return nil
}

// threadOf puts an answer where the thread began; answers to answers join the same thread.
func threadOf(ctx context.Context, tx *db.Tx, c *Comment) error {
	found := false
	err := each(ctx, tx, "find a thread", `SELECT id, reply_to, ps, path, side, line FROM comments WHERE id = $1 AND change_id = $2`,
		[]any{c.ReplyTo, c.Change}, func(row scanner) error {
			var id, root int64
			err := row.Scan(&id, &root, &c.PS, &c.Path, &c.Side, &c.Line)
			if found = true; root != 0 {
				id = root
			}
			c.ReplyTo = id
			return err
		})
	if err == nil && !found {
		return fault.Newf(fault.NotFound, "review.Vote", "there is no comment %d on change %d to answer", c.ReplyTo, c.Change)
	}
	return err
}

// cast writes votes and tells the story of the review.
func (s *Service) cast(ctx context.Context, tx *db.Tx, b ballot) error {
	var words []string
	for _, label := range labelsVoted(b.votes) {
		value := b.votes[label]
		if value == 0 {
			done, err := touched(tx.ExecContext(ctx, `DELETE FROM votes WHERE change_id = $1 AND ps = $2 AND label = $3 AND account_id = $4`,
				b.change.ID, b.ps.Number, label, b.voter))
			if err != nil {
				return fmt.Errorf("review: take back a vote on change %d: %w", b.change.ID, err)
			}
			if done {
				words = append(words, "-"+label)
			}
			continue
		}
		words = append(words, label+signed(value))
		err := putVote(ctx, tx, Vote{Change: b.change.ID, PS: b.ps.Number, Label: label, Account: b.voter, Value: value,
			Commit: b.ps.Commit, DiffDigest: b.ps.DiffDigest, Branch: b.change.Branch, CreatedAt: b.now})
		if err != nil {
			return err
		}
	}
	text := strings.TrimSpace(fmt.Sprintf("Patch Set %d: %s", b.ps.Number, strings.Join(words, " ")))
	if b.comments > 0 {
		text += fmt.Sprintf("\n\n(%s)", counted(b.comments, "comment"))
	}
	if b.message != "" {
		text += "\n\n" + b.message
	}
	if err := s.say(ctx, tx, b.change.ID, b.ps.Number, b.voter, text); err != nil {
		return err
	}
	if b.voter != b.change.Owner {
		if err := addReviewer(ctx, tx, b.change.ID, b.voter, stateReviewer, db.Micros(b.now)); err != nil {
			return err
		}
	}
	kind := "comment"
	data := map[string]string{"patch_set": fmt.Sprint(b.ps.Number), "comments": fmt.Sprint(b.comments)}
	if len(b.votes) > 0 {
		kind, data["votes"] = "vote", strings.Join(words, " ")
	}
	return s.note(ctx, tx, b.change, kind, b.voter, data)
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// actOn finds what somebody wants to act on, if they may see it.
func (s *Service) actOn(ctx context.Context, op string, actor account.Actor, id int64) (Change, repo.Repository, error) {
	if err := person(op, actor); err != nil {
		return Change{}, repo.Repository{}, err
	}
	c, err := s.Get(ctx, actor, id)
	if err != nil {
		return Change{}, repo.Repository{}, err
	}
	r, err := s.Repos.ByID(ctx, s.DB.Read(), c.Repo)
	return c, r, err
}

// act does something to a change in one transaction, after asking whether actor may, and has
// the branch looked at and watchers woken. do sees the change as it is in the transaction.
func (s *Service) act(ctx context.Context, actor account.Actor, verb account.Verb, c Change, r repo.Repository, do func(tx *db.Tx, c Change) error) error {
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		resource := r.Resource(c.Branch)
		resource.ChangeOwner = c.Owner
		if err := s.Accounts.May(ctx, tx, actor, verb, resource); err != nil {
			return err
		}
		now, err := s.Load(ctx, tx, c.ID)
		if err != nil {
			return err
		}
		if err := do(tx, now); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE changes SET updated_at = $1 WHERE id = $2`, db.Micros(s.Now()), c.ID)
		if err != nil {
			return fmt.Errorf("review: change %d: %w", c.ID, err)
		}
		return tx.Enqueue(ctx, repo.BranchJob(c.Repo, c.Branch))
	})
	if err != nil {
		return err
	}
	s.wake(c.Repo, c.ID)
	return nil
}
