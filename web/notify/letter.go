package notify

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

const (
	// maxMessage and maxRemark bound, in characters, what a mail quotes of one text; the page has it whole.
	maxMessage = 4000
	maxRemark  = 1500
	// maxRemarks bounds the comments that a mail quotes of one review.
	maxRemarks = 30
	// maxSubject bounds a change's subject in the subject of a mail.
	maxSubject = 120
)

// letter is what a mail says, before it is text or HTML.
type letter struct {
	Subject  string
	About    *aboutChange // nil: a summary
	Entries  []entry
	Left     int // notifications that the mail only counts
	Why      *whyView
	Reason   string // why the reader gets it
	URL      string // where to answer
	Stop     string // where to stop the mail
	StopWhat string
	Settings string // where to choose what is mailed
	ReplyTo  string // who reads answers; "" is nobody
	Answer   string // the address whose mail becomes a comment; "" for none
}

// aboutChange is the change that a mail is about.
type aboutChange struct {
	Number              int64
	Title, Repo, Branch string
	Owner, Key, Commit  string
	PatchSet            int
	State               string
	Message             string // the commit message, when the change is new to the reader
	kinds               []string
	turn                bool
	reason              string
}

// entry is one thing that happened.
type entry struct {
	Who, Did string
	At       time.Time
	Message  string
	Remarks  []remark
	Change   string // in a summary: which change
	URL      string
	Turn     bool
}

// whyView is where a change stands, in the words of `gate why`.
type whyView struct {
	Summary string
	Needs   []need
}

type need struct{ Name, State, Reason, Who, Next string }

// reasonWords say why somebody gets a mail.
var reasonWords = map[string]string{
	reasonOwner: "you own the change", reasonMentioned: "somebody called you by name", reasonReviewer: "you review the change",
	reasonUploader: "you uploaded the current patch set", reasonCC: "you are on the change's CC", reasonTurn: "it is your turn", reasonWatching: "you watch what it touches",
	reasonOwn: "you own the repository", reasonServer: "it is about your account",
}

// entryOf is what a notification tells, with what was written at the time.
func (s *Service) entryOf(ctx context.Context, q db.Querier, n Notification, names map[int64]account.Account, sub subject) (entry, error) {
	e := entry{Did: clean(n.Text), At: n.At, Turn: n.Turn}
	if a := names[n.Actor]; n.Actor != 0 {
		e.Who = displayName(a)
	}
	switch {
	case sub.change.ID != 0:
		e.Change = fmt.Sprintf("Change %d in %s: %s", sub.change.ID, sub.repo.Name, oneLine(sub.change.Subject, maxSubject))
		e.URL = s.URL + "/c/" + strconv.FormatInt(sub.change.ID, 10)
	case sub.repo.ID != 0:
		e.Change, e.URL = sub.repo.Name, s.URL+"/"+sub.repo.Name
	}
	if t := newsOf[n.Kind]; !t.talk && n.Kind != "change.abandoned" && n.Kind != "change.restored" {
		return e, nil
	}
	w, err := s.said(ctx, q, event.Event{ID: n.Event, Change: n.Change, Account: n.Actor})
	if err != nil {
		return e, err
	}
	e.Message = clip(clean(w.own()), maxMessage)
	for i, r := range w.Remarks {
		if i >= maxRemarks {
			e.Message += fmt.Sprintf("\n\n(and %s more on the page)", plural(len(w.Remarks)-i, "comment", "comments"))
			break
		}
		e.Remarks = append(e.Remarks, remark{oneLine(r.Path, maxMessage), r.Line, clip(clean(r.Body), maxRemark), r.thread})
	}
	return e, nil
}

func displayName(a account.Account) string {
	if a.FullName != "" {
		return oneLine(a.FullName, maxSubject)
	}
	return a.Name
}

// letterOf writes the letter of a mail: about one change, or a summary.
func (s *Service) letterOf(ctx context.Context, m mailRow, to account.Actor, about []told) (letter, error) {
	q := s.DB.Read()
	l := letter{Settings: s.URL + "/settings/notifications", ReplyTo: s.Mail.ReplyTo}
	actors := make([]int64, 0, len(about))
	for _, t := range about {
		actors = append(actors, t.Actor)
	}
	names, err := s.Accounts.Names(ctx, q, actors)
	if err != nil {
		return l, err
	}
	if len(about) > maxFolded {
		l.Left, about = len(about)-maxFolded, about[:maxFolded]
	}
	for _, t := range about {
		e, err := s.entryOf(ctx, q, t.Notification, names, t.sub)
		if err != nil {
			return l, err
		}
		l.Entries = append(l.Entries, e)
	}
	token, err := s.Token(Subscription{m.account, m.change})
	if err != nil {
		return l, err
	}
	l.Stop = s.URL + "/unsubscribe/" + token
	if m.change == 0 {
		return s.summaryLetter(l, about), nil
	}
	return s.changeLetter(ctx, q, l, to, about)
}

func (s *Service) summaryLetter(l letter, about []told) letter {
	changes := map[int64]bool{}
	for _, t := range about {
		if t.Change != 0 {
			changes[t.Change] = true
		}
	}
	count := plural(len(about)+l.Left, "notification", "notifications")
	l.Subject = "Summary: " + count
	if len(changes) > 0 {
		l.Subject += " about " + plural(len(changes), "change", "changes")
	}
	l.URL, l.StopWhat = s.URL+"/notifications", "all mail from this server"
	l.Reason = "it collects what you chose to hear of in one mail, or what went beyond " + plural(MailsPerHour, "mail", "mails") + " an hour"
	return l
}

// changeLetter adds what a letter about one change has.
func (s *Service) changeLetter(ctx context.Context, q db.Querier, l letter, to account.Actor, about []told) (letter, error) {
	sub := about[len(about)-1].sub
	c := sub.change
	owner, err := s.Accounts.ByID(ctx, q, c.Owner)
	if err != nil {
		return l, err
	}
	set, err := s.Review.PatchSet(ctx, q, c.ID, c.Current)
	if err != nil {
		return l, err
	}
	a := &aboutChange{
		Number: c.ID, Title: oneLine(c.Subject, maxSubject), Repo: sub.repo.Name, Branch: oneLine(c.Branch, maxSubject), Owner: owner.Name,
		Key: oneLine(c.Key, maxSubject), Commit: string(set.Commit), PatchSet: c.Current, State: string(c.Status),
	}
	for _, t := range about {
		a.kinds = append(a.kinds, t.Kind)
		a.turn = a.turn || t.Turn
		if a.reason == "" || t.Reason == reasonMentioned {
			a.reason = t.Reason
		}
		if t.Kind == "patchset.created" || t.Kind == "reviewer.added" {
			a.Message = clip(clean(strings.TrimSpace(set.Message)), maxMessage)
		}
	}
	l.About, l.Reason = a, reasonWords[a.reason]
	if l.Answer, err = s.answerTo(to.ID, c.ID, l.Entries); err != nil {
		return l, err
	}
	l.Subject = fmt.Sprintf("Change %d in %s (%s): %s", c.ID, sub.repo.Name, a.Branch, a.Title)
	l.URL, l.StopWhat = s.URL+"/c/"+strconv.FormatInt(c.ID, 10), "mail about this change"
	e, err := s.Explain.Explain(ctx, to, c.ID)
	if err != nil {
		if fault.Is(err, fault.NotFound) || ctx.Err() != nil {
			return l, err
		}
		// The mail is worth sending without it: the page will say.
		s.Log.Warn("notify: a mail goes out without where its change stands", "change", c.ID, "err", err)
		return l, nil
	}
	a.State, l.Why = strings.ToLower(string(e.State)), whyOf(e)
	return l, nil
}

// whyOf is what is missing, as `gate why` says it: requirements that are met, and stages, which
// are the gates' evidence, are left out.
func whyOf(e gatekeeper.Explanation) *whyView {
	v := &whyView{Summary: oneLine(e.Summary, maxText)}
	if e.State == gatekeeper.Landed || e.State == gatekeeper.Abandoned {
		return v
	}
	for _, r := range e.Requirements {
		if r.State == string(plan.Open) || r.Kind == "stage" {
			continue
		}
		v.Needs = append(v.Needs, need{oneLine(r.Name, maxText), strings.ToLower(r.State), oneLine(r.Reason, maxText), oneLine(strings.Join(r.Who, ", "), maxText), oneLine(r.Next, maxText)})
	}
	return v
}
