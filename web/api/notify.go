package api

import (
	"context"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/web/notify"
)

// Notification is one thing that an account is told.
type Notification struct {
	ID         int64     `json:"id"`
	Event      string    `json:"event" doc:"The kind of event, as vote."`
	At         time.Time `json:"at"`
	Actor      string    `json:"actor,omitempty" doc:"Who did it; empty is the server."`
	Text       string    `json:"text" doc:"What was done, after the name of who did it."`
	Reason     string    `json:"reason" doc:"owner, mentioned, reviewer, uploader, cc, turn, watching, maintaining or server."`
	Turn       bool      `json:"turn" doc:"It is the account's turn."`
	Read       bool      `json:"read"`
	Repository string    `json:"repository,omitempty"`
	Branch     string    `json:"branch,omitempty"`
	Change     int64     `json:"change,omitempty"`
	Subject    string    `json:"subject,omitempty"`
}

// Reading says which notifications are read.
type Reading struct {
	IDs    []int64 `json:"ids,omitempty" maxItems:"500"`
	Change int64   `json:"change,omitempty" minimum:"0" doc:"Those about this change."`
	UpTo   int64   `json:"up_to,omitempty" minimum:"0" doc:"This one and all older ones."`
}

// Preferences are what an account wants mailed.
type Preferences struct {
	Mail     string `json:"mail" enum:"all,turn,none"`
	Comments string `json:"comments" enum:"soon,hourly,daily" doc:"When reviews and comments are mailed."`
	Own      bool   `json:"own" doc:"Mail about what the server does with the account's own changes."`
	Stopped  string `json:"stopped,omitempty" readOnly:"true" doc:"Why no mail is sent although it is wanted; saving begins anew."`
	Sends    bool   `json:"server_sends_mail,omitempty" readOnly:"true"`
}

// PreferencesChange changes some of the preferences.
type PreferencesChange struct {
	Mail     *string `json:"mail,omitempty" enum:"all,turn,none"`
	Comments *string `json:"comments,omitempty" enum:"soon,hourly,daily"`
	Own      *bool   `json:"own,omitempty"`
}

// Mute says whether mail about a change is stopped.
type Mute struct {
	Mute bool `json:"mute"`
}

// Webhook is another server that is told what happens in a repository.
type Webhook struct {
	ID        int64     `json:"id"`
	Kind      string    `json:"kind" enum:"generic,slack,matrix"`
	URL       string    `json:"url" doc:"Of Slack's only the host: the rest is the secret."`
	Room      string    `json:"room,omitempty"`
	Events    []string  `json:"events" doc:"None is all."`
	State     string    `json:"state" doc:"on, paused by somebody, or stopped after too many failures."`
	Reason    string    `json:"reason,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	Secret    string    `json:"secret,omitempty" doc:"One that was made: shown now and never again."`
}

// NewWebhook is what a webhook is made of.
type NewWebhook struct {
	Kind   string   `json:"kind" enum:"generic,slack,matrix"`
	URL    string   `json:"url" maxLength:"2000" doc:"Where to send; for matrix the home server."`
	Room   string   `json:"room,omitempty" maxLength:"500" doc:"For matrix, as !abc:example.org."`
	Secret string   `json:"secret,omitempty" maxLength:"4000" doc:"generic: what deliveries are signed with, made when it is left out; matrix: an access token."`
	Events []string `json:"events,omitempty" maxItems:"100"`
}

// WebhookChange pauses a webhook, or has it go on.
type WebhookChange struct {
	Paused bool `json:"paused"`
}

// Delivery is one message to a webhook.
type Delivery struct {
	ID        int64      `json:"id"`
	Delivery  string     `json:"delivery" doc:"Its name, the same in each attempt."`
	Event     string     `json:"event"`
	State     string     `json:"state" doc:"waiting, delivered or failed."`
	Reason    string     `json:"reason,omitempty"`
	Status    int        `json:"status,omitempty" doc:"HTTP status of the last answer."`
	Answer    string     `json:"answer,omitempty"`
	Attempts  int        `json:"attempts"`
	NextTry   *time.Time `json:"next_try,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	Body      string     `json:"body"`
}

// WebhookPath names a webhook in a path.
type WebhookPath struct {
	RepositoryPath
	ID int64 `path:"id"`
}

func (s *Server) notifyRoutes() {
	add(s, route{id: "list-notifications", at: "GET /accounts/{name}/notifications", summary: "List what an account was told, newest first"}, s.listNotifications)
	add(s, route{id: "read-notifications", at: "POST /accounts/{name}/notifications/read", summary: "Mark notifications as read"}, s.readNotifications)
	add(s, route{id: "get-preferences", at: "GET /accounts/{name}/preferences", summary: "Show what an account wants mailed"}, s.getPreferences)
	add(s, route{id: "set-preferences", at: "PATCH /accounts/{name}/preferences", summary: "Change what is mailed"}, s.setPreferences)
	add(s, route{id: "mute-change", at: "PUT /changes/{number}/mute", summary: "Stop, or start, one's own mail about a change"}, s.muteChange)

	const hooks = "/repositories/{repository}/webhooks"
	add(s, route{id: "list-webhooks", at: "GET " + hooks, summary: "List webhooks and how they are"}, s.listWebhooks)
	add(s, route{id: "add-webhook", at: "POST " + hooks, summary: "Add a webhook", status: 201}, s.addWebhook)
	add(s, route{id: "change-webhook", at: "PATCH " + hooks + "/{id}", summary: "Pause a webhook, or have it go on, also a stopped one"}, s.changeWebhook)
	add(s, route{id: "remove-webhook", at: "DELETE " + hooks + "/{id}", summary: "Remove a webhook"}, s.removeWebhook)
	add(s, route{id: "test-webhook", at: "POST " + hooks + "/{id}/test", summary: "Send a test"}, s.testWebhook)
	add(s, route{id: "list-deliveries", at: "GET " + hooks + "/{id}/deliveries", summary: "List a webhook's deliveries, newest first"}, s.listDeliveries)
	add(s, route{id: "redeliver", at: "POST " + hooks + "/{id}/deliveries/{delivery}/redeliver", summary: "Send a delivery once more, under its name"}, s.redeliver)
}

// ownAccount finds the account of a path. What it is told is its own: administrators too see only theirs.
func (s *Server) ownAccount(who account.Actor, name string) (int64, error) {
	if err := person(who); err != nil {
		return 0, err
	}
	if name != "self" && name != who.Name {
		return 0, fault.New(fault.Denied, "api.notifications", "what an account is told is for itself alone", "ask for /accounts/self/…")
	}
	return who.ID, nil
}

func (s *Server) listNotifications(ctx context.Context, who account.Actor, in *struct {
	AccountPath
	All bool `query:"all" doc:"Read ones too."`
}) (*answer[list[Notification]], error) {
	id, err := s.ownAccount(who, in.Name)
	if err != nil {
		return nil, err
	}
	found, _, err := s.Notify.List(ctx, id, !in.All)
	if err != nil {
		return nil, err
	}
	var all []Notification
	for _, n := range found {
		all = append(all, Notification{
			ID: n.ID, Event: n.Kind, At: n.At, Actor: n.Who, Text: n.Text, Reason: n.Reason, Turn: n.Turn, Read: n.Read,
			Repository: n.RepoName, Branch: n.Branch, Change: n.Change, Subject: n.Subject,
		})
	}
	return listed(all), nil
}

func (s *Server) readNotifications(ctx context.Context, who account.Actor, in *struct {
	AccountPath
	body[Reading]
}) (*nothing, error) {
	id, err := s.ownAccount(who, in.Name)
	if err != nil {
		return nil, err
	}
	return nil, s.Notify.MarkRead(ctx, id, notify.Reading{IDs: in.Body.IDs, Change: in.Body.Change, UpTo: in.Body.UpTo})
}

func (s *Server) preferencesOf(ctx context.Context, id int64) (*answer[Preferences], error) {
	p, err := s.Notify.Preferences(ctx, id)
	if err != nil {
		return nil, err
	}
	return &answer[Preferences]{Preferences{Mail: string(p.Mail), Comments: string(p.Comments), Own: p.Own, Stopped: p.Stopped, Sends: s.Notify.Mail != nil}}, nil
}

func (s *Server) getPreferences(ctx context.Context, who account.Actor, in *AccountPath) (*answer[Preferences], error) {
	id, err := s.ownAccount(who, in.Name)
	if err != nil {
		return nil, err
	}
	return s.preferencesOf(ctx, id)
}

func (s *Server) setPreferences(ctx context.Context, who account.Actor, in *struct {
	AccountPath
	body[PreferencesChange]
}) (*answer[Preferences], error) {
	id, err := s.ownAccount(who, in.Name)
	if err != nil {
		return nil, err
	}
	p, err := s.Notify.Preferences(ctx, id)
	if err != nil {
		return nil, err
	}
	if in.Body.Mail != nil {
		p.Mail = notify.MailWish(*in.Body.Mail)
	}
	if in.Body.Comments != nil {
		p.Comments = notify.CommentsWish(*in.Body.Comments)
	}
	if in.Body.Own != nil {
		p.Own = *in.Body.Own
	}
	if err := s.Notify.SetPreferences(ctx, id, p); err != nil {
		return nil, err
	}
	return s.preferencesOf(ctx, id)
}

func (s *Server) muteChange(ctx context.Context, who account.Actor, in *struct {
	ChangePath
	body[Mute]
}) (*nothing, error) {
	if err := person(who); err != nil {
		return nil, err
	}
	return nil, s.Notify.Mute(ctx, who, in.Number, in.Body.Mute)
}

func webhookOf(h notify.Webhook, secret string) Webhook {
	events := h.Events
	if events == nil {
		events = []string{}
	}
	return Webhook{ID: h.ID, Kind: string(h.Kind), URL: h.URL, Room: h.Room, Events: events, State: h.State, Reason: h.Reason, CreatedAt: h.CreatedAt, Secret: secret}
}

func (s *Server) listWebhooks(ctx context.Context, who account.Actor, in *RepositoryPath) (*answer[list[Webhook]], error) {
	r, err := s.repository(ctx, who, in.Repository, account.Own)
	if err != nil {
		return nil, err
	}
	found, err := s.Notify.Webhooks(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	var all []Webhook
	for _, h := range found {
		all = append(all, webhookOf(h, ""))
	}
	return listed(all), nil
}

func (s *Server) addWebhook(ctx context.Context, who account.Actor, in *struct {
	RepositoryPath
	body[NewWebhook]
}) (*answer[Webhook], error) {
	r, err := s.repository(ctx, who, in.Repository, account.Own)
	if err != nil {
		return nil, err
	}
	made, secret, err := s.Notify.AddWebhook(ctx, r.ID, who, notify.NewWebhook{
		Kind: notify.HookKind(in.Body.Kind), URL: in.Body.URL, Room: in.Body.Room, Secret: in.Body.Secret, Events: in.Body.Events,
	})
	if err != nil {
		return nil, err
	}
	return &answer[Webhook]{webhookOf(made, secret)}, nil
}

func (s *Server) changeWebhook(ctx context.Context, who account.Actor, in *struct {
	WebhookPath
	body[WebhookChange]
}) (*answer[Webhook], error) {
	r, err := s.repository(ctx, who, in.Repository, account.Own)
	if err != nil {
		return nil, err
	}
	if err := s.Notify.SetWebhook(ctx, r.ID, in.ID, !in.Body.Paused); err != nil {
		return nil, err
	}
	h, err := s.Notify.Webhook(ctx, r.ID, in.ID)
	if err != nil {
		return nil, err
	}
	return &answer[Webhook]{webhookOf(h, "")}, nil
}

func (s *Server) removeWebhook(ctx context.Context, who account.Actor, in *WebhookPath) (*nothing, error) {
	r, err := s.repository(ctx, who, in.Repository, account.Own)
	if err != nil {
		return nil, err
	}
	return nil, s.Notify.RemoveWebhook(ctx, r.ID, in.ID)
}

func deliveryOf(d notify.Delivery) Delivery {
	return Delivery{ID: d.ID, Delivery: d.Name, Event: d.Kind, State: d.State, Reason: d.Reason, Status: d.Status, Answer: d.Answer, Attempts: d.Attempts,
		NextTry: moment(d.NextTry), CreatedAt: d.CreatedAt, Body: d.Body}
}

func (s *Server) testWebhook(ctx context.Context, who account.Actor, in *WebhookPath) (*answer[Delivery], error) {
	r, err := s.repository(ctx, who, in.Repository, account.Own)
	if err != nil {
		return nil, err
	}
	d, err := s.Notify.TestWebhook(ctx, r.ID, in.ID)
	if err != nil {
		return nil, err
	}
	return &answer[Delivery]{deliveryOf(d)}, nil
}

func (s *Server) listDeliveries(ctx context.Context, who account.Actor, in *WebhookPath) (*answer[list[Delivery]], error) {
	r, err := s.repository(ctx, who, in.Repository, account.Own)
	if err != nil {
		return nil, err
	}
	found, err := s.Notify.Deliveries(ctx, r.ID, in.ID)
	if err != nil {
		return nil, err
	}
	var all []Delivery
	for _, d := range found {
		all = append(all, deliveryOf(d))
	}
	return listed(all), nil
}

func (s *Server) redeliver(ctx context.Context, who account.Actor, in *struct {
	WebhookPath
	Delivery int64 `path:"delivery"`
}) (*answer[Delivery], error) {
	r, err := s.repository(ctx, who, in.Repository, account.Own)
	if err != nil {
		return nil, err
	}
	d, err := s.Notify.Redeliver(ctx, r.ID, in.ID, in.Delivery)
	if err != nil {
		return nil, err
	}
	return &answer[Delivery]{deliveryOf(d)}, nil
}
