package notify

import (
	"context"

	"gatehouse/migrations/db"
)

// Unsubscribe stops the mail of a subscription: about its change, or with change 0 all of it.
func (s *Service) Unsubscribe(ctx context.Context, sub Subscription) error {
	if sub.Change != 0 {
		return s.mute(ctx, sub.Account, sub.Change, true)
	}
	return s.wishMail(ctx, sub.Account, MailNone)
}

// Resubscribe takes [Service.Unsubscribe] back.
func (s *Service) Resubscribe(ctx context.Context, sub Subscription) error {
	if sub.Change != 0 {
		return s.mute(ctx, sub.Account, sub.Change, false)
	}
	return s.wishMail(ctx, sub.Account, MailAll)
}

// Subscribed reports whether mail of a subscription is sent.
func (s *Service) Subscribed(ctx context.Context, sub Subscription) (bool, error) {
	p, err := s.preferences(ctx, s.DB.Read(), sub.Account)
	if err != nil || p.Mail == MailNone {
		return false, err
	}
	off, err := muted(ctx, s.DB.Read(), sub.Account, sub.Change)
	return !off, err
}

// wishMail changes how much is mailed and leaves the rest of the preferences.
func (s *Service) wishMail(ctx context.Context, account int64, wish MailWish) error {
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		p, err := s.preferences(ctx, tx, account)
		if err != nil {
			return err
		}
		if wish == MailAll && p.Mail != MailNone {
			return nil // it is mailed what the account chose
		}
		p.Mail = wish
		return s.setPreferences(ctx, tx, account, p)
	})
}
