package notify

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// The reasons why somebody is told, strongest first.
const (
	reasonOwner     = "owner"       // of the change
	reasonMentioned = "mentioned"   // by name, in what was written
	reasonReviewer  = "reviewer"    // was asked to review, or did
	reasonUploader  = "uploader"    // pushed a patch set of somebody else's change
	reasonCC        = "cc"          // was asked to be told
	reasonTurn      = "turn"        // somebody, or the server, made it their turn
	reasonWatching  = "watching"    // watches the repository, or what the change touches
	reasonOwn       = "maintaining" // owns the repository
	reasonServer    = "server"      // what the server tells of itself
)

// Who an event of a kind is for, beside those whom its text mentions.
type group int

const (
	toOwner group = 1 << iota
	toReviewers
	toCC
	toWatchers
	toRepoOwners
	toNamed // the accounts that the event names
)

const (
	toInvolved = toOwner | toReviewers | toCC
	toAll      = toInvolved | toWatchers
)

// news is what is told of events of one kind.
type news struct {
	to     group
	server bool // the server did it: nobody is left out as the one who did
	talk   bool // somebody wrote something: may come in a digest
	silent func(subject) bool
	named  string               // for toNamed: where the event has their ids
	reason string               // and why they are told
	words  func(subject) string // what was done, after the name of who did it
}

// actor is who did it, 0 for the server.
func (n news) actor(e event.Event) int64 {
	if n.server {
		return 0
	}
	return e.Account
}

func says(text string) func(subject) string { return func(subject) string { return text } }

// newsOf is the table of everything that is told. A kind that is not here is silent.
var newsOf = map[string]news{
	"patchset.created": {to: toAll, words: func(s subject) string {
		if n := s.event.Data["patch_set"]; n != "1" {
			return "uploaded patch set " + n + patchSetKind(s.event.Data["kind"])
		}
		return "asks for review of a new change"
	}},
	"comment": {to: toAll, talk: true, words: func(s subject) string { return "wrote " + remarks(s.event.Data["comments"]) }},
	"vote": {to: toAll, talk: true, words: func(s subject) string {
		text := "voted " + s.event.Data["votes"]
		if n := s.event.Data["comments"]; n != "" && n != "0" {
			text += " and wrote " + remarks(n)
		}
		return text
	}},
	"reviewer.added":   {to: toNamed, named: "accounts", reason: reasonReviewer, words: says("asks you to review it")},
	"cc.added":         {to: toNamed, named: "accounts", reason: reasonCC, words: says("lets you know of it")},
	"attention":        {to: toNamed, named: "added", reason: reasonTurn, words: attentionWords, silent: attentionSilent},
	"change.wip":       {to: toAll, words: says("marked it ready for review"), silent: func(s subject) bool { return s.change.WIP }},
	"change.abandoned": {to: toAll, words: says("abandoned it")},
	"change.restored":  {to: toAll, words: says("took it up again")},
	"submit.requested": {to: toOwner, words: says("asked to land it")},
	"submit.withdrawn": {to: toOwner, words: says("took the wish to land it back")},
	"queue.held":       {to: toOwner, words: says("holds it back in the queue")},
	"queue.released":   {to: toOwner, words: says("released it in the queue")},
	"queue.ejected":    {to: toOwner, server: true, words: func(s subject) string { return because("was put out of the queue", s.event.Data["words"]) }},
	"run.ended":        {to: toOwner, server: true, words: runWords, silent: runSilent},
	"landed":           {to: toAll, server: true, words: func(s subject) string { return "landed on " + s.change.Branch + " as " + short(s.event.Data["commit"]) }},
	"primary.red":      {to: toRepoOwners, server: true, words: redWords},
	"mirror.diverged": {to: toRepoOwners, server: true, words: func(s subject) string {
		return "a mirror has gone its own way and is stopped: " + s.event.Data["reason"]
	}},
}

func remarks(n string) string {
	switch n {
	case "1":
		return "a comment"
	case "", "0":
		return "a message"
	}
	return n + " comments"
}

func patchSetKind(kind string) string {
	switch kind {
	case review.KindTrivialRebase:
		return ", the same difference on another parent"
	case review.KindMessageEdit:
		return ", with another message"
	case review.KindNoChange:
		return ", which says the same"
	}
	return ""
}

func redWords(s subject) string {
	what := fmt.Sprintf("%s landed on %s elsewhere and is red: ", short(s.event.Data["commit"]), s.event.Data["branch"])
	if n := s.event.Data["change"]; n != "" && n != "0" {
		return what + "change " + n + " takes it back"
	}
	return what + "it is not taken back: " + s.event.Data["reason"]
}

func runWords(s subject) string { return because("was refused by its stages", s.event.Data["reason"]) }

// because adds a reason, when there is one.
func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}

// attentionSilent leaves out turns that follow from what is told anyway: a vote, a patch set, a
// landing. Told are those that somebody gave by hand, and that a change is ready to land.
func attentionSilent(s subject) bool {
	reason := s.event.Data["reason"]
	return s.event.Data["added"] == "" || reason != "asked for attention" && !strings.HasPrefix(reason, "said: ") && s.event.Account != 0
}

func attentionWords(s subject) string {
	reason := s.event.Data["reason"]
	if said, ok := strings.CutPrefix(reason, "said: "); ok {
		return "asks for your attention: " + said
	}
	if s.event.Account == 0 {
		return "needs you: " + reason
	}
	return "asks for your attention"
}

// runSilent leaves out runs that passed, were superseded, or failed by the machinery: what
// they come to is told when the change lands or is refused.
func runSilent(s subject) bool { return s.event.Data["state"] != "REFUSED" || s.change.ID == 0 }

func short(commit string) string {
	const letters = 10
	if len(commit) > letters {
		return commit[:letters]
	}
	return commit
}

// person is somebody who is told.
type person struct {
	account int64
	reason  string
	turn    bool
}

// audience is everybody who is told of an event: once each, for the strongest reason, never
// who did it, and only who may read what it is about.
func (s *Service) audience(ctx context.Context, q db.Querier, sub subject, n news) ([]person, error) {
	var all []person
	seen := map[int64]bool{0: true, n.actor(sub.event): true}
	add := func(reason string, ids ...int64) {
		for _, id := range ids {
			if !seen[id] && len(all) < maxAudience {
				seen[id] = true
				all = append(all, person{account: id, reason: reason})
			}
		}
	}
	if sub.change.ID != 0 {
		if err := s.involved(ctx, q, sub, n, add); err != nil {
			return nil, err
		}
	}
	if n.to&toNamed != 0 {
		for _, text := range strings.Fields(sub.event.Data[n.named]) {
			if id, err := strconv.ParseInt(text, 10, 64); err == nil {
				add(n.reason, id)
			}
		}
	}
	if n.to&toRepoOwners != 0 {
		owners, err := s.repoOwners(ctx, q, sub.repo.ID)
		if err != nil {
			return nil, err
		}
		add(reasonOwn, owners...)
	}
	return s.readers(ctx, q, sub, all)
}

// turns marks those whose turn it is.
func (s *Service) turns(ctx context.Context, q db.Querier, change int64, all []person) error {
	if change == 0 {
		return nil
	}
	set, err := s.Review.Attention(ctx, q, change)
	for _, a := range set {
		for i := range all {
			all[i].turn = all[i].turn || all[i].account == a.Account
		}
	}
	return err
}

// involved adds who has to do with a change. Of one that is work in progress watchers hear
// nothing, and reviewers hear only what is said.
func (s *Service) involved(ctx context.Context, q db.Querier, sub subject, n news, add func(string, ...int64)) error {
	c, to := sub.change, n.to
	if c.WIP {
		to &^= toWatchers
		if !n.talk {
			to &^= toReviewers | toCC
		}
	}
	if to&toOwner != 0 {
		add(reasonOwner, c.Owner)
	}
	if n.talk {
		for _, name := range strings.Fields(sub.event.Data["mentions"]) {
			a, err := s.Accounts.ByName(ctx, q, name)
			if err != nil && !fault.Is(err, fault.NotFound) {
				return err
			}
			add(reasonMentioned, a.ID)
		}
	}
	for _, r := range sub.reviewed {
		if !r.CC && to&toReviewers != 0 {
			add(reasonReviewer, r.Account)
		}
	}
	if to&toOwner != 0 {
		set, err := s.Review.PatchSet(ctx, q, c.ID, c.Current)
		if err != nil {
			return err
		}
		add(reasonUploader, set.Uploader)
	}
	for _, r := range sub.reviewed {
		if r.CC && to&toCC != 0 {
			add(reasonCC, r.Account)
		}
	}
	if to&toWatchers != 0 {
		watchers, err := s.watchers(ctx, q, sub)
		if err != nil {
			return err
		}
		add(reasonWatching, watchers...)
	}
	return nil
}

// readers leaves those who may read what it is about, as their rights are now.
func (s *Service) readers(ctx context.Context, q db.Querier, sub subject, all []person) ([]person, error) {
	var may []person
	for _, p := range all {
		ok, err := s.mayRead(ctx, q, p.account, sub)
		if err != nil {
			return nil, err
		}
		if ok {
			may = append(may, p)
		}
	}
	return may, s.turns(ctx, q, sub.change.ID, may)
}

// mayRead asks the one decision point, for an account as it is now; a disabled one may nothing.
func (s *Service) mayRead(ctx context.Context, q db.Querier, id int64, sub subject) (bool, error) {
	actor, err := s.Accounts.Actor(ctx, q, id, account.MethodLocal)
	if err == nil && sub.change.ID != 0 {
		return s.Review.Sees(ctx, q, actor, sub.change)
	}
	if err == nil {
		err = s.Accounts.May(ctx, q, actor, account.Read, sub.repo.Resource(""))
	}
	switch fault.KindOf(err) {
	case fault.Denied, fault.NotFound, fault.Unauthenticated:
		return false, nil
	}
	return err == nil, err
}

// repoOwners are the accounts that own a repository, themselves or by a group.
func (s *Service) repoOwners(ctx context.Context, q db.Querier, repo int64) ([]int64, error) {
	return ids(ctx, q, `SELECT g.subject_id FROM grants g WHERE g.repo_id = $1 AND g.role = $2 AND g.branch = '' AND g.subject_kind = $3
		UNION SELECT m.account_id FROM grants g JOIN group_members m ON m.group_id = g.subject_id
		WHERE g.repo_id = $1 AND g.role = $2 AND g.branch = '' AND g.subject_kind <> $3 ORDER BY 1`, repo, string(account.RoleOwn), string(account.ToAccount))
}

func ids(ctx context.Context, q db.Querier, query string, args ...any) ([]int64, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("notify: list accounts: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("notify: list accounts: %w", err)
		}
		all = append(all, id)
	}
	return all, rows.Err()
}

// words is what somebody wrote in one go: the message of a review and its comments.
type words struct {
	Message string
	Remarks []remark
}

type remark struct {
	Path   string // "" is the change as a whole
	Line   int
	Body   string
	thread int64 // the comment that began it
}

// Where is the place of a remark, as "server.go:25".
func (r remark) Where() string {
	switch {
	case r.Path == "":
		return "the change"
	case r.Line == 0:
		return r.Path
	}
	return r.Path + ":" + strconv.Itoa(r.Line)
}

// said reads what was written with an event. It was written in the event's transaction, just
// before it, and all rows take their ids from one sequence: it is what the actor wrote between
// the change's event before and this one.
func (s *Service) said(ctx context.Context, q db.Querier, e event.Event) (words, error) {
	var w words
	var before int64
	err := q.QueryRowContext(ctx, `SELECT COALESCE(MAX(id), 0) FROM events WHERE change_id = $1 AND id < $2 AND account_id = $3`,
		e.Change, e.ID, e.Account).Scan(&before)
	if err != nil {
		return w, fmt.Errorf("notify: words of event %d: %w", e.ID, err)
	}
	messages, err := s.Review.Messages(ctx, q, e.Change)
	if err != nil {
		return w, err
	}
	for _, m := range messages {
		if m.ID > before && m.ID < e.ID && m.Author == e.Account {
			w.Message = m.Body
		}
	}
	comments, err := s.Review.Comments(ctx, q, e.Change)
	if err != nil {
		return w, err
	}
	for _, c := range comments {
		if c.ID > before && c.ID < e.ID && c.Author == e.Account {
			thread := c.ID
			if c.ReplyTo != 0 {
				thread = c.ReplyTo
			}
			w.Remarks = append(w.Remarks, remark{c.Path, c.Line, c.Body, thread})
		}
	}
	return w, nil
}

// storyHead is how the story of a change begins an entry: what the words of the event say as well.
var storyHead = regexp.MustCompile(`^(Patch Set \d+:[^\n]*|Uploaded patch set[^\n]*|Asked to land[^\n]*|Took back the wish[^\n]*|Abandoned|Restored|Marked as[^\n]*)(\n\n\(\d+ comments?\))?(\n\n)?`)

// own is the message without the words that the server put before it.
func (w words) own() string { return strings.TrimSpace(storyHead.ReplaceAllString(w.Message, "")) }
