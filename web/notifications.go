package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/web/notify"
)

// maxBell is the largest number that the bell shows.
const maxBell = 99

// bellView is the bell in the head of every page.
type bellView struct{ Unread int }

// Count is the number in the bell.
func (b bellView) Count() string {
	if b.Unread > maxBell {
		return strconv.Itoa(maxBell) + "+"
	}
	return strconv.Itoa(b.Unread)
}

// unread counts what the bell shows; nobody who is not signed in has one.
func (w *Web) unread(ctx context.Context, c *call) (bellView, error) {
	if !c.signedIn() || w.Notify == nil {
		return bellView{}, nil
	}
	n, err := w.Notify.Unread(ctx, c.actor.ID)
	return bellView{n}, err
}

// ringing sends the bell on a stream whenever its number has changed.
func (w *Web) ringing(c *call, s *stream) (func(ctx context.Context) error, error) {
	have, err := w.unread(c.ctx(), c)
	return func(ctx context.Context) error {
		now, err := w.unread(ctx, c)
		if err != nil || now == have {
			return err
		}
		have = now
		html, err := w.renderPart(c, "notifications", "bell", now)
		if err != nil {
			return err
		}
		return s.emit("parts", "", html)
	}, err
}

// newsGroup is what somebody was told of one change, or of one other thing.
type newsGroup struct {
	URL    string
	Number int64 // of the change, 0 for none
	Title  string
	Repo   string
	Branch string
	Unread int
	Turn   bool
	Muted  bool    // no mail about it
	IDs    []int64 // the unread ones
	Items  []newsItem
	More   int // items that the page does not list
	Newest time.Time
}

type newsItem struct {
	Who, Text, Why string
	At             time.Time
	Read           bool
}

// maxNewsItems is how many items of one change the page lists.
const maxNewsItems = 5

// whyTold says in a word why somebody is told.
var whyTold = map[string]string{
	"owner": "your change", "reviewer": "you review it", "mentioned": "mentioned you", "uploader": "your patch set", "cc": "on CC",
	"turn": "your turn", "watching": "you watch it", "maintaining": "your repository", "server": "about your account",
}

type notificationsView struct {
	Groups []newsGroup
	All    bool // read ones too
	More   bool
	Unread int
	UpTo   int64
	MailOn bool
}

func (w *Web) notificationsOf(ctx context.Context, c *call, all bool) (notificationsView, error) {
	v := notificationsView{All: all}
	listed, more, err := w.Notify.List(ctx, c.actor.ID, !all)
	if err != nil {
		return v, err
	}
	v.More = more
	muted, err := w.Notify.Mutes(ctx, c.actor.ID)
	if err != nil {
		return v, err
	}
	at := map[string]int{}
	for _, n := range listed {
		v.UpTo = max(v.UpTo, n.ID)
		key := fmt.Sprint(n.Repo, "/", n.Change)
		i, known := at[key]
		if !known {
			i = len(v.Groups)
			at[key] = i
			v.Groups = append(v.Groups, newsGroup{URL: n.URL, Number: n.Change, Title: n.Subject, Repo: n.RepoName, Branch: n.Branch, Newest: n.At, Muted: muted[n.Change]})
		}
		g := &v.Groups[i]
		if !n.Read {
			g.Unread++
			g.Turn = g.Turn || n.Turn
			g.IDs = append(g.IDs, n.ID)
		}
		if len(g.Items) >= maxNewsItems {
			g.More++
			continue
		}
		g.Items = append(g.Items, newsItem{n.Who, n.Line(), whyTold[n.Reason], n.At, n.Read})
	}
	v.MailOn = w.Notify.Mail != nil
	bell, err := w.unread(ctx, c)
	v.Unread = bell.Unread
	return v, err
}

func (w *Web) notifications(c *call) error {
	if w.Notify == nil {
		return notFound("web.notifications", "there is no page at this address")
	}
	v, err := w.notificationsOf(c.ctx(), c, c.query("all") != "")
	if err != nil {
		return err
	}
	html, err := w.renderPart(c, "notifications", "news", v)
	if err != nil {
		return err
	}
	stream := "/notifications/events"
	if v.All {
		stream += "?all=1"
	}
	return w.render(c, http.StatusOK, "notifications", "Notifications", v, withUp("/"), withLive(stream, html))
}

func (w *Web) notificationEvents(c *call) error {
	return w.live(c, func(ctx context.Context) ([]byte, error) {
		v, err := w.notificationsOf(ctx, c, c.query("all") != "")
		if err != nil {
			return nil, err
		}
		return w.renderPart(c, "notifications", "news", v)
	}, event.AccountTopic(c.actor.ID))
}

// readNotifications marks as read: some by id, those of a change, or everything up to the newest that the page showed.
func (w *Web) readNotifications(c *call) error {
	var r notify.Reading
	form := c.r.PostForm
	number := func(text string) int64 {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0 // what is no number marks nothing
		}
		return n
	}
	for _, text := range form["id"] {
		if id := number(text); id > 0 {
			r.IDs = append(r.IDs, id)
		}
	}
	r.Change, r.UpTo = number(form.Get("change")), number(form.Get("upto"))
	if err := w.Notify.MarkRead(c.ctx(), c.actor.ID, r); err != nil {
		return err
	}
	back := "/notifications"
	if form.Get("all") != "" {
		back += "?all=1"
	}
	c.seeOther(back, "")
	return nil
}

// muteChange stops or starts mail about one change.
func (w *Web) muteChange(c *call) error {
	n, err := strconv.ParseInt(c.variable("n"), 10, 64)
	if err != nil {
		return notFound("web.mute", "there is no such change")
	}
	off := c.r.PostForm.Get("mute") != ""
	if err := w.Notify.Mute(c.ctx(), c.actor, n, off); err != nil {
		return err
	}
	c.seeOther("/notifications", pick(off, "muted", "unmuted"))
	return nil
}

// notifySettingsView is what somebody wants to be told.
type notifySettingsView struct {
	notify.Preferences
	Email        string
	MailOn       bool
	PerHour      int
	Reason, Hint string
}

func (w *Web) notifySettings(c *call) error {
	return w.showNotifySettings(c, http.StatusOK, nil)
}

func (w *Web) showNotifySettings(c *call, status int, refused error) error {
	ctx := c.ctx()
	p, err := w.Notify.Preferences(ctx, c.actor.ID)
	if err != nil {
		return err
	}
	v := notifySettingsView{Preferences: p, Email: c.actor.Email, MailOn: w.Notify.Mail != nil, PerHour: notify.MailsPerHour}
	if refused != nil {
		v.Reason, v.Hint = fault.Public(refused)
	}
	return w.render(c, status, "settings-notify", "What you are told", v, withUp("/settings"))
}

func (w *Web) setNotify(c *call) error {
	form := c.r.PostForm
	err := w.Notify.SetPreferences(c.ctx(), c.actor.ID, notify.Preferences{
		Mail: notify.MailWish(form.Get("mail")), Comments: notify.CommentsWish(form.Get("comments")), Own: form.Get("own") != "",
	})
	if kind := fault.KindOf(err); err != nil && kind != fault.Internal {
		return w.showNotifySettings(c, statusOf(kind), err)
	}
	if err != nil {
		return err
	}
	c.seeOther("/settings/notifications", "notify")
	return nil
}

// unsubscribeView is where the links in mails lead. It names no address and no subject: a link
// can be passed on.
type unsubscribeView struct {
	Change     int64
	Subscribed bool
	Action     string
	Did        string
}

func (w *Web) unsubscribePage(c *call) error { return w.showUnsubscribe(c, "") }

func (w *Web) showUnsubscribe(c *call, did string) error {
	sub, err := w.Notify.Subscription(c.variable("token"))
	if err != nil {
		return err
	}
	v := unsubscribeView{Change: sub.Change, Action: "/unsubscribe/" + url.PathEscape(c.variable("token")), Did: did}
	if v.Subscribed, err = w.Notify.Subscribed(c.ctx(), sub); err != nil {
		return err
	}
	c.rw.Header().Set("Referrer-Policy", "no-referrer") // the address is the right
	return w.render(c, http.StatusOK, "unsubscribe", "Mail", v)
}

// unsubscribe takes the form of the page, and the one click of mail programs (RFC 8058), which
// comes without cookie and origin: the link itself is the proof. It answers without a redirect.
func (w *Web) unsubscribe(c *call) error {
	sub, err := w.Notify.Subscription(c.variable("token"))
	if err != nil {
		return err
	}
	ctx, did := c.ctx(), "Done. No more mail about this change is sent to you."
	switch c.r.PostForm.Get("do") {
	case "again":
		did, err = "Done. Mail is sent to you again.", w.Notify.Resubscribe(ctx, sub)
	case "all":
		did, err = "Done. No more mail is sent to you.", w.Notify.Unsubscribe(ctx, notify.Subscription{Account: sub.Account})
	default:
		if sub.Change == 0 {
			did = "Done. No more mail is sent to you."
		}
		err = w.Notify.Unsubscribe(ctx, sub)
	}
	if err != nil {
		return err
	}
	return w.showUnsubscribe(c, did)
}
