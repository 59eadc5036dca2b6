package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"strconv"
	"strings"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// Payload is what a generic webhook is sent. Fields are only ever added.
type Payload struct {
	Event      string            `json:"event"`      // the kind, as "vote"
	Delivery   string            `json:"delivery"`   // the same in each attempt
	At         time.Time         `json:"at"`         // when it happened
	Text       string            `json:"text"`       // the event in one sentence
	Repository PayloadRepository `json:"repository"` //
	Change     *PayloadChange    `json:"change"`     // null: it is about the repository
	Actor      *PayloadAccount   `json:"actor"`      // who did it; null is the server
	Message    string            `json:"message"`    // what was written with it
	Comments   []PayloadComment  `json:"comments"`   //
	Data       map[string]string `json:"data"`       // what the kind of event says besides
}

// PayloadRepository is a repository in a payload.
type PayloadRepository struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// PayloadChange is a change in a payload.
type PayloadChange struct {
	Number   int64          `json:"number"`
	Key      string         `json:"change_id"`
	Subject  string         `json:"subject"`
	Branch   string         `json:"branch"`
	Topic    string         `json:"topic"`
	Status   review.Status  `json:"status"`
	PatchSet int            `json:"patch_set"`
	Owner    PayloadAccount `json:"owner"`
	URL      string         `json:"url"`
}

// PayloadAccount is an account in a payload: never its address.
type PayloadAccount struct {
	Name     string `json:"name"`
	FullName string `json:"full_name"`
}

// PayloadComment is a comment in a payload.
type PayloadComment struct {
	Path string `json:"path"`
	Line int    `json:"line"`
	Body string `json:"body"`
}

func accountPayload(a account.Account) PayloadAccount {
	return PayloadAccount{a.Name, a.FullName}
}

// payload says what an event is, as its transaction's reader sees it.
func (s *Service) payload(ctx context.Context, q db.Querier, sub subject, n news, delivery string) (Payload, error) {
	names, err := s.Accounts.Names(ctx, q, []int64{sub.change.Owner, n.actor(sub.event)})
	if err != nil {
		return Payload{}, err
	}
	p := Payload{
		Event: sub.event.Kind, Delivery: delivery, At: sub.event.At, Data: sub.event.Data, Comments: []PayloadComment{},
		Repository: PayloadRepository{sub.repo.Name, s.URL + "/" + sub.repo.Name},
	}
	if p.Data == nil {
		p.Data = map[string]string{}
	}
	e := entry{Did: oneLine(n.words(sub), maxText)}
	if a, ok := names[n.actor(sub.event)]; ok {
		who := accountPayload(a)
		p.Actor, e.Who = &who, displayName(a)
	}
	p.Text = e.line()
	if sub.change.ID == 0 {
		return p, nil
	}
	c := sub.change
	p.Change = &PayloadChange{c.ID, c.Key, c.Subject, c.Branch, c.Topic, c.Status, c.Current, accountPayload(names[c.Owner]), s.URL + "/c/" + strconv.FormatInt(c.ID, 10)}
	if n.talk {
		w, err := s.said(ctx, q, sub.event)
		if err != nil {
			return p, err
		}
		p.Message = clip(w.own(), maxMessage)
		for i, r := range w.Remarks {
			if i < maxRemarks {
				p.Comments = append(p.Comments, PayloadComment{r.Path, r.Line, clip(r.Body, maxRemark)})
			}
		}
	}
	return p, nil
}

// body is a payload as a kind of webhook wants it.
func (p Payload) body(kind HookKind) (string, error) {
	switch kind {
	case Generic:
		return encode(p)
	case Slack:
		return encode(map[string]any{"text": p.slack(), "unfurl_links": false, "unfurl_media": false})
	case Matrix:
		plain, formatted := p.matrix()
		return encode(map[string]string{"msgtype": "m.notice", "body": plain, "format": "org.matrix.custom.html", "formatted_body": formatted})
	}
	panic("notify: unknown kind of webhook " + string(kind))
}

func encode(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", fmt.Errorf("notify: payload: %w", err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

const (
	// chatWords and chatTexts bound, in characters, what a chat is told of a message, and of how many comments.
	chatWords = 500
	chatTexts = 5
)

// slackText makes text of other people inert in Slack: & < > are its only markup that links or
// calls people (docs.slack.dev, "Formatting message text"); the letters of mrkdwn get a
// zero-width neighbour nowhere, they only change how a word looks.
var slackText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// slack is the event in Slack's markup.
func (p Payload) slack() string {
	text := slackText.Replace(oneLine(p.Text, maxText))
	if p.Change == nil {
		return text + " in <" + p.Repository.URL + "|" + slackText.Replace(p.Repository.Name) + ">"
	}
	title := strings.ReplaceAll(slackText.Replace(oneLine(p.Change.Subject, maxSubject)), "|", "¦")
	text = fmt.Sprintf("<%s|%d %s> (%s, %s)\n%s", p.Change.URL, p.Change.Number, title, slackText.Replace(p.Repository.Name), slackText.Replace(oneLine(p.Change.Branch, maxSubject)), text)
	for _, quoted := range p.quotes() {
		text += "\n" + indented(slackText.Replace(quoted), "> ")
	}
	return text
}

// matrix is the event as plain text and as the HTML that Matrix has.
func (p Payload) matrix() (plain, formatted string) {
	what := oneLine(p.Text, maxText)
	if p.Change == nil {
		return p.Repository.Name + ": " + what, fmt.Sprintf(`<a href="%s">%s</a>: %s`, html.EscapeString(p.Repository.URL), html.EscapeString(p.Repository.Name), html.EscapeString(what))
	}
	title := fmt.Sprintf("%d %s", p.Change.Number, oneLine(p.Change.Subject, maxSubject))
	place := p.Repository.Name + ", " + oneLine(p.Change.Branch, maxSubject)
	plain = fmt.Sprintf("%s (%s): %s %s", title, place, what, p.Change.URL)
	formatted = fmt.Sprintf(`<a href="%s">%s</a> (%s): %s`, html.EscapeString(p.Change.URL), html.EscapeString(title), html.EscapeString(place), html.EscapeString(what))
	for _, quoted := range p.quotes() {
		plain += "\n" + indented(quoted, "> ")
		formatted += "<blockquote>" + strings.ReplaceAll(html.EscapeString(quoted), "\n", "<br>") + "</blockquote>"
	}
	return plain, formatted
}

// quotes are the texts that a chat is told.
func (p Payload) quotes() []string {
	var all []string
	if p.Message != "" {
		all = append(all, clip(clean(p.Message), chatWords))
	}
	for i, c := range p.Comments {
		if i >= chatTexts {
			return append(all, fmt.Sprintf("and %s more", plural(len(p.Comments)-i, "comment", "comments")))
		}
		all = append(all, oneLine(remark{Path: c.Path, Line: c.Line}.Where(), maxText)+"\n"+clip(clean(c.Body), chatWords))
	}
	return all
}
