package review

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
)

// Proposal is a push of commits for a branch.
type Proposal struct {
	Repo repo.Repository
	// Git reads what was pushed, through its quarantine.
	Git     *git.Repo
	Actor   account.Actor
	Branch  string // short name
	Tip     git.OID
	Options PushOptions
	// Direct says that it was pushed to the branch itself: it asks to land.
	Direct bool
	// Origin, when it is not "", is where the commits were fetched from: their keys are made of
	// it, whatever their messages say, and whoever brings more from there may add to them.
	Origin string
	// Owner is whose the new changes are, 0 for Actor.
	Owner int64
}

func (p Proposal) owner() int64 {
	if p.Owner != 0 {
		return p.Owner
	}
	return p.Actor.ID
}

// Prepared is a push that was checked and can be held.
type Prepared struct {
	proposal Proposal
	items    []item
	labels   []Label
	votes    map[string]int // by the labels' own names
	asked    []Reviewer
	// reverts and pickedFrom are of a new change that the server makes from another.
	reverts, pickedFrom int64
}

// item is one commit of a push, oldest first.
type item struct {
	commit git.Commit
	key    Key
	digest string
	paths  []string // that it touches
	expect int      // the current patch set that it was made from, 0 for whichever: see [Service.hold]
}

// first is the first parent, "" of a root commit.
func first(c git.Commit) git.OID {
	if len(c.Parents) == 0 {
		return ""
	}
	return c.Parents[0]
}

// Prepare reads and checks a push completely and writes nothing. What it refuses it refuses
// with one of: Invalid (the commits or options make no sense), Denied, NotFound (no such
// branch), Refused (nothing new, closed change), TooLarge.
func (s *Service) Prepare(ctx context.Context, p Proposal) (*Prepared, error) {
	p.Options.Submit = p.Options.Submit || p.Direct
	if err := p.Options.check(); err != nil {
		return nil, err
	}
	if err := person("review.Prepare", p.Actor); err != nil {
		return nil, err
	}
	if err := s.mayPush(ctx, p); err != nil {
		return nil, err
	}
	commits, err := s.series(ctx, &p)
	if err != nil {
		return nil, err
	}
	prep := &Prepared{proposal: p}
	if prep.items, err = s.identify(p, commits); err != nil {
		return nil, err
	}
	// Under a plan that cannot be read no vote is kept or given; but the push that mends the
	// plan must get in.
	if prep.labels, err = s.labels(ctx, p.Repo, p.Branch); err != nil && (!fault.Is(err, fault.Refused) || len(p.Options.Votes) > 0) {
		return nil, err
	}
	if prep.votes, err = checkVotes("review.Prepare", prep.labels, p.Options.Votes); err != nil {
		return nil, err
	}
	if prep.asked, err = s.findReviewers(ctx, p.Options); err != nil {
		return nil, err
	}
	if _, err := s.plan(ctx, p.Git, prep); err != nil {
		return nil, err
	}
	return prep, nil
}

// mayPush asks for every right that the options need.
func (s *Service) mayPush(ctx context.Context, p Proposal) error {
	needs := []account.Verb{account.Propose}
	if p.Options.Submit {
		needs = append(needs, account.Submit)
	}
	if len(p.Options.Votes) > 0 {
		needs = append(needs, account.Vote)
	}
	for _, verb := range needs {
		if err := s.Accounts.May(ctx, s.DB.Read(), p.Actor, verb, p.Repo.Resource(p.Branch)); err != nil {
			return err
		}
	}
	return nil
}

// person refuses acts that need somebody's name on them.
func person(op string, a account.Actor) error {
	if a.ID == 0 {
		return fault.New(fault.Unauthenticated, op, "only an account can do this: its name stays on the change", "sign in as an account")
	}
	return nil
}

// series lists the commits of the push that the branch does not have, oldest first.
func (s *Service) series(ctx context.Context, p *Proposal) ([]git.Commit, error) {
	const op = "review.Prepare"
	branchTip, err := p.Git.RefOID(ctx, "refs/heads/"+p.Branch)
	if err != nil {
		return nil, err
	}
	if branchTip.IsZero() {
		next := "push to refs/for/ and the name of a branch that exists"
		if p.Repo.Gates(p.Branch) {
			next = "an owner begins it: git push REMOTE HEAD:" + clip(p.Branch)
		}
		return nil, fault.New(fault.NotFound, op, fmt.Sprintf("branch %s not found", clip(p.Branch)), next)
	}
	if !p.Repo.Gates(p.Branch) {
		return nil, fault.New(fault.Refused, op, fmt.Sprintf("branch %s is not gated, so nothing is held for it", clip(p.Branch)),
			"push to refs/heads/"+p.Branch+", or ask an owner to gate the branch")
	}
	tip, err := p.Git.Resolve(ctx, string(p.Tip))
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, op, "what was pushed is not a commit")
	}
	p.Tip = tip
	if _, related, err := p.Git.MergeBase(ctx, branchTip, tip); err != nil {
		return nil, err
	} else if !related {
		return nil, fault.New(fault.Invalid, op, "no common ancestry", fmt.Sprintf("start from a commit of %s: git fetch, then rebase onto it", p.Branch))
	}
	commits, err := p.Git.Commits(ctx, []git.OID{tip}, []git.OID{branchTip}, maxSeries)
	if fault.Is(err, fault.TooLarge) {
		return nil, fault.New(fault.TooLarge, op, fmt.Sprintf("the number of pushed changes in a batch exceeds the max limit %d", maxSeries),
			fmt.Sprintf("git fetch, and check with git log that only your commits are missing from %s; push the first %d, then the rest", p.Branch, maxSeries))
	}
	if err != nil {
		return nil, err
	}
	if len(commits) == 0 {
		return nil, fault.New(fault.Refused, op, "no new changes", fmt.Sprintf("%s has commit %s already", p.Branch, tip.Short()))
	}
	for _, c := range commits {
		if len(c.Message) > maxCommitMessage {
			return nil, fault.New(fault.TooLarge, op, fmt.Sprintf("commit %s: the message is longer than %d bytes", c.OID.Short(), maxCommitMessage), "shorten it: git commit --amend")
		}
	}
	return commits, nil
}

// identify gives every commit its key and makes sure that no two are the same.
func (s *Service) identify(p Proposal, commits []git.Commit) ([]item, error) {
	items := make([]item, 0, len(commits))
	seen := map[Key]bool{}
	keyless := 0
	for i, c := range commits {
		key, err := FindKey(c)
		if p.Origin != "" {
			key, err = originKey(p.Origin, i+1), nil
		}
		if errors.As(err, &errNoKey{}) {
			keyless++
			if !p.Repo.TopicIdentity || p.Options.Topic == "" {
				return nil, s.missingKey(err, p.Repo, c, i == len(commits)-1)
			}
			key, err = topicKey(p.Options.Topic, keyless), nil
		}
		if err != nil {
			return nil, err
		}
		if seen[key] {
			return nil, fault.New(fault.Invalid, "review.Prepare",
				"same Change-Id in multiple changes.\nSquash the commits with the same Change-Id or ensure Change-Ids are unique for each commit",
				fmt.Sprintf("%s is in commit %s and in one before it: git rebase -i, and squash them or delete the line from one", key, c.OID.Short()))
		}
		seen[key] = true
		items = append(items, item{commit: c, key: key})
	}
	return items, nil
}

// missingKey completes the fault of a commit without a key with the commands that mend it.
func (s *Service) missingKey(err error, r repo.Repository, c git.Commit, isTip bool) error {
	var no *fault.Error
	if !errors.As(err, &no) {
		return err
	}
	amend := "git commit --amend --no-edit"
	if !isTip && len(c.Parents) > 0 {
		amend = fmt.Sprintf("git rebase --exec 'git commit --amend --no-edit' %s", c.Parents[0].Short())
	}
	lines := []string{
		"Hint: to automatically insert a Change-Id, install the hook:",
		fmt.Sprintf(`  f="$(git rev-parse --git-path hooks/commit-msg)"; curl -fsSLo "$f" %s/tools/hooks/commit-msg && chmod +x "$f"`, s.URL),
		"and then amend the commit:",
		"  " + amend,
		"Finally, push your changes again",
	}
	if r.TopicIdentity {
		lines = append(lines, "(or name the change by a topic: git push -o topic=NAME …)")
	}
	return no.WithNext(strings.Join(lines, "\n"))
}

// findReviewers looks up the accounts that a push asks.
func (s *Service) findReviewers(ctx context.Context, o PushOptions) ([]Reviewer, error) {
	const op = "review.Prepare"
	if len(o.Reviewers)+len(o.CC) > maxReviewers {
		return nil, fault.Newf(fault.TooLarge, op, "%d reviewers are more than %d", len(o.Reviewers)+len(o.CC), maxReviewers)
	}
	var all []Reviewer
	for i, who := range append(append([]string{}, o.Reviewers...), o.CC...) {
		find := s.Accounts.ByName
		if strings.Contains(who, "@") {
			find = s.Accounts.ByEmail
		}
		a, err := find(ctx, s.DB.Read(), who)
		if fault.Is(err, fault.NotFound) {
			return nil, fault.New(fault.Invalid, op, fmt.Sprintf("reviewer %q is not known here", clip(who)), "use an account's name or e-mail address")
		}
		if err != nil {
			return nil, err
		}
		all = append(all, Reviewer{Account: a.ID, CC: i >= len(o.Reviewers)})
	}
	return all, nil
}

// checkVotes holds votes to the labels and spells them as the labels do.
func checkVotes(op string, labels []Label, given map[string]int) (map[string]int, error) {
	if len(given) > maxLabels {
		return nil, fault.Newf(fault.TooLarge, op, "%d labels are more than %d", len(given), maxLabels)
	}
	checked := map[string]int{}
	for _, name := range labelsVoted(given) {
		label, ok := findLabel(labels, name)
		if !ok {
			var known []string
			for _, l := range labels {
				known = append(known, l.Name)
			}
			return nil, fault.New(fault.Invalid, op, fmt.Sprintf("there is no label %q on this branch", clip(name)), "known labels: "+strings.Join(known, ", "))
		}
		if v := given[name]; v < label.Min || v > label.Max {
			return nil, fault.Newf(fault.Invalid, op, "%s goes from %s to %s", label.Name, signed(label.Min), signed(label.Max))
		}
		checked[label.Name] = given[name]
	}
	return checked, nil
}

// findLabel finds a label whatever the case, as clients that spell labels in lower case need.
func findLabel(labels []Label, name string) (Label, bool) {
	for _, l := range labels {
		if strings.EqualFold(l.Name, name) {
			return l, true
		}
	}
	return Label{}, false
}

// signed is a vote's value as people write it: +2, 0, -1.
func signed(value int) string {
	if value > 0 {
		return fmt.Sprintf("+%d", value)
	}
	return fmt.Sprint(value)
}
