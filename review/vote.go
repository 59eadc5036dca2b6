package review

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// Review is what somebody publishes at once.
type Review struct {
	PS       int            // the patch set that the reviewer looked at, 0 for the current one
	Votes    map[string]int // label, in any case, to value; 0 takes a vote back
	Message  string
	Comments []NewComment
	Drafts   bool // publish the actor's drafts on the change with it
}

// ballot is one person's votes on one patch set.
type ballot struct {
	change    Change
	ps        PatchSet
	voter     int64
	votes     map[string]int
	message   string
	comments  []NewComment
	mentioned []account.Account
	now       time.Time
}

// Vote publishes a review without drafts.
func (s *Service) Vote(ctx context.Context, actor account.Actor, id int64, ps int, votes map[string]int, message string, comments []NewComment) error {
	return s.Publish(ctx, actor, id, Review{PS: ps, Votes: votes, Message: message, Comments: comments})
}

// Publish publishes one review: votes, a message, comments and drafts together, or nothing of
// it. Votes on a patch set that is not current are a Conflict.
func (s *Service) Publish(ctx context.Context, actor account.Actor, id int64, rv Review) error {
	const op = "review.Vote"
	rv.Message = strings.TrimSpace(rv.Message)
	if rv.empty() && !rv.Drafts {
		return saysNothing(op)
	}
	if err := rv.check(op); err != nil {
		return err
	}
	c, r, err := s.actOn(ctx, op, actor, id)
	if err != nil {
		return err
	}
	verb := account.Comment
	if len(rv.Votes) > 0 {
		verb = account.Vote
		// The plan is git's to tell: it is read before the transaction, as the gate reads it.
		labels, err := s.labels(ctx, r, c.Branch)
		if err != nil {
			return err
		}
		if rv.Votes, err = checkVotes(op, labels, rv.Votes); err != nil {
			return err
		}
	}
	return s.act(ctx, actor, verb, c, r, func(tx *db.Tx, c Change) error {
		if len(rv.Votes) > 0 {
			if err := votable(c, rv.PS); err != nil {
				return err
			}
		}
		number := rv.PS
		if number == 0 {
			number = c.Current
		}
		set, err := s.PatchSet(ctx, tx, c.ID, number)
		if err != nil {
			return err
		}
		b := ballot{change: c, ps: set, voter: actor.ID, votes: rv.Votes, message: rv.Message, comments: slices.Clone(rv.Comments), now: s.Now().UTC()}
		if rv.Drafts {
			if err := s.takeDrafts(ctx, tx, &b); err != nil {
				return err
			}
			if rv.empty() && len(b.comments) == 0 {
				return saysNothing(op)
			}
		}
		if err := s.publish(ctx, tx, &b, r); err != nil {
			return err
		}
		return s.cast(ctx, tx, b)
	})
}

// empty reports whether there is nothing but drafts to publish.
func (rv Review) empty() bool { return len(rv.Votes) == 0 && rv.Message == "" && len(rv.Comments) == 0 }

func saysNothing(op string) error {
	return fault.New(fault.Invalid, op, "this review says nothing", "give a vote, a message or a comment")
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

// cast writes votes and tells the story of the review.
func (s *Service) cast(ctx context.Context, tx *db.Tx, b ballot) error {
	var words []string
	for _, label := range labelsVoted(b.votes) {
		value := b.votes[label]
		if value == 0 {
			done, err := db.Touched(tx.ExecContext(ctx, `DELETE FROM votes WHERE change_id = $1 AND ps = $2 AND label = $3 AND account_id = $4`,
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
	if len(b.comments) > 0 {
		text += fmt.Sprintf("\n\n(%s)", counted(len(b.comments), "comment"))
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
	data := map[string]string{"patch_set": fmt.Sprint(b.ps.Number), "comments": fmt.Sprint(len(b.comments))}
	if names := namesOf(b.mentioned); names != "" {
		data["mentions"] = names
	}
	if len(b.votes) > 0 {
		kind, data["votes"] = "vote", strings.Join(words, " ")
	}
	if err := s.note(ctx, tx, b.change, kind, b.voter, data); err != nil {
		return err
	}
	return s.reviewed(ctx, tx, b, words)
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
		if err := s.May(ctx, tx, actor, verb, c, r); err != nil {
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
