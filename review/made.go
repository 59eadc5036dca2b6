package review

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
)

// made is a commit that the server makes for somebody, to be held as if they had pushed it.
type made struct {
	op                  string
	actor               account.Actor
	repo                repo.Repository
	branch              string
	key                 Key
	expect              int // the current patch set that it is made from; 0 for a new change
	options             PushOptions
	reverts, pickedFrom int64 // of a new change
	// write writes the commit into the quarantine that g reads through.
	write func(g *git.Repo) (git.OID, error)
}

// hold has the commit written in a quarantine, held against the content rules, and held as a
// patch set of the change with the key, or as a new change. What a push may not, it may not.
func (s *Service) hold(ctx context.Context, m made) (h Held, err error) {
	g, err := s.Repos.Open(m.repo)
	if err != nil {
		return Held{}, err
	}
	q, err := g.Quarantine(ctx)
	if err != nil {
		return Held{}, err
	}
	defer func() { err = errors.Join(err, q.Discard()) }()
	q.Policy.Now = s.Now // by which the commit is dated
	p := Proposal{Repo: m.repo, Git: q.Repo(), Actor: m.actor, Branch: m.branch, Options: m.options}
	if err := s.mayPush(ctx, p); err != nil {
		return Held{}, err
	}
	if p.Tip, err = m.write(q.Repo()); err != nil {
		return Held{}, err
	}
	commit, err := q.Repo().Commit(ctx, p.Tip)
	if err != nil {
		return Held{}, err
	}
	if len(commit.Message) > maxCommitMessage {
		return Held{}, fault.New(fault.TooLarge, m.op, fmt.Sprintf("the message is longer than %d bytes", maxCommitMessage), "shorten it")
	}
	if err := q.Check(ctx, []git.OID{p.Tip}); err != nil {
		return Held{}, err
	}
	if s.CheckTip != nil {
		if err := s.CheckTip(ctx, q.Repo(), p.Tip); err != nil {
			return Held{}, err
		}
	}
	prep := &Prepared{proposal: p, reverts: m.reverts, pickedFrom: m.pickedFrom, items: []item{{commit: commit, key: m.key, expect: m.expect}}}
	// Under a plan that cannot be read no vote is kept; but the edit that mends it must get in.
	if prep.labels, err = s.labels(ctx, m.repo, m.branch); err != nil && !fault.Is(err, fault.Refused) {
		return Held{}, err
	}
	if prep.asked, err = s.findReviewers(ctx, m.options); err != nil {
		return Held{}, err
	}
	if _, err := s.plan(ctx, q.Repo(), prep); err != nil {
		return Held{}, err
	}
	if err := q.Migrate(ctx); err != nil {
		return Held{}, err
	}
	crash("review.made.migrated")
	held, err := s.Hold(ctx, prep)
	if err != nil {
		return Held{}, err
	}
	return held[0], nil
}

// overtaken refuses a patch set that was made from one that is not current any more.
func overtaken(c Change, base int) error {
	return fault.New(fault.Conflict, "review.Amend", fmt.Sprintf("patch set %d of change %d is not the current one", base, c.ID),
		fmt.Sprintf("look at patch set %d, and do it again from there", c.Current))
}

// signature is how an account signs the commits that are made for it.
func (s *Service) signature(ctx context.Context, a account.Actor, at time.Time) (git.Signature, error) {
	who, err := s.Accounts.ByID(ctx, s.DB.Read(), a.ID)
	if err != nil {
		return git.Signature{}, err
	}
	name := who.FullName
	if name == "" {
		name = who.Name
	}
	return git.Signature{Name: name, Email: who.Email, When: at}, nil
}

// maxAhead is how far the clock of whoever made a commit may be ahead of ours for what is made
// of it to be dated behind it.
const maxAhead = time.Hour

// after is the time for a commit that is made of another: now, but behind the other's, so that
// an edit which is taken back makes another commit than the one before, within a second too.
func (s *Service) after(c git.Commit) time.Time {
	now := s.Now()
	if next := c.Committer.When.Add(time.Second); now.Before(next) && next.Sub(now) < maxAhead {
		return next
	}
	return now
}

// withKey makes sure that a commit with this message is a patch set of the change with the
// key wherever it is pushed from: it appends the Change-Id where the message has none, and
// refuses one that names another change.
func withKey(op, message string, key Key) (string, error) {
	if strings.TrimSpace(message) == "" {
		return "", fault.New(fault.Invalid, op, "the message is empty", "write what the change does")
	}
	found, err := FindKey(git.Commit{Message: message})
	switch {
	case errors.As(err, &errNoKey{}):
		if nameless(string(key)) {
			return message, nil // its pushes name it by the topic, or it is fetched
		}
		return addFooter(message, "Change-Id: "+string(key)), nil
	case err != nil:
		return "", fault.New(fault.Invalid, op, inMessage(err), "the line of this change is Change-Id: "+string(key))
	case found != key:
		next := "leave the line Change-Id: " + string(key) + " as it is; a new change is made by a push"
		if nameless(string(key)) {
			next = "delete the Change-Id line: this change goes by its topic, or by where it came from"
		}
		return "", fault.New(fault.Invalid, op, fmt.Sprintf("the message names another change, %s", found), next)
	}
	return message, nil
}

// inMessage is what is wrong with a message, without the commit that it is not in yet.
func inMessage(err error) string {
	sentence, _ := fault.Public(err)
	if _, rest, ok := strings.Cut(sentence, ": "); ok {
		return rest
	}
	return sentence
}

// addFooter adds a line to the last paragraph of a message if that holds trailers, else as a
// paragraph of its own.
func addFooter(message, line string) string {
	message = strings.TrimRight(message, "\n \t\r")
	if _, footer := splitFooter(message); footer != "" && trailers(footer) {
		return message + "\n" + line + "\n"
	}
	return message + "\n\n" + line + "\n"
}

// trailers reports whether every line of a paragraph is "Word: text" or goes on from one.
func trailers(paragraph string) bool {
	for i, line := range strings.Split(paragraph, "\n") {
		goesOn := i > 0 && strings.HasPrefix(line, " ")
		if !goesOn && !trailerLine.MatchString(line) {
			return false
		}
	}
	return true
}
