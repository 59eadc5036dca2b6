package gatekeeper

import (
	"context"

	"gatehouse/gatekeeper/secret"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// secretsOf finds a repository whose secrets an actor keeps: its owners do.
func (c *Controller) secretsOf(ctx context.Context, actor account.Actor, repository string) (repo.Repository, error) {
	r, err := c.readable(ctx, actor, repository)
	if err != nil {
		return r, err
	}
	if err := c.May(ctx, actor, account.Own, r.Resource("")); err != nil {
		return r, err
	}
	if c.Secrets == nil {
		return r, fault.New(fault.Unavailable, "gatekeeper.secrets", "this server keeps no secrets", "")
	}
	return r, nil
}

// ListSecrets names the secrets of a repository. No value is ever answered.
func (c *Controller) ListSecrets(ctx context.Context, actor account.Actor, repository string) ([]secret.Info, error) {
	r, err := c.secretsOf(ctx, actor, repository)
	if err != nil {
		return nil, err
	}
	return c.Secrets.List(r.ID)
}

// SetSecret keeps a value for the stages and assemblies whose plan asks for it by name, in place
// of the one before. That somebody set it is an event; the value is in none.
func (c *Controller) SetSecret(ctx context.Context, actor account.Actor, repository, name string, value []byte) (secret.Info, error) {
	r, err := c.secretsOf(ctx, actor, repository)
	if err != nil {
		return secret.Info{}, err
	}
	if err := c.Secrets.Set(r.ID, name, value); err != nil {
		return secret.Info{}, err
	}
	if err := c.secretEvent(ctx, actor, r, "secret.set", name); err != nil {
		return secret.Info{}, err
	}
	all, err := c.Secrets.List(r.ID)
	for _, info := range all {
		if info.Name == name {
			return info, nil
		}
	}
	return secret.Info{Name: name}, err // somebody removed it in between
}

// RemoveSecret forgets a secret.
func (c *Controller) RemoveSecret(ctx context.Context, actor account.Actor, repository, name string) error {
	r, err := c.secretsOf(ctx, actor, repository)
	if err != nil {
		return err
	}
	if err := c.Secrets.Remove(r.ID, name); err != nil {
		return err
	}
	return c.secretEvent(ctx, actor, r, "secret.removed", name)
}

func (c *Controller) secretEvent(ctx context.Context, actor account.Actor, r repo.Repository, kind, name string) error {
	return c.DB.Transact(ctx, func(tx *db.Tx) error {
		_, err := event.Append(ctx, tx, event.Event{At: c.Now(), Kind: kind, Repo: r.ID, Account: actor.ID, Data: map[string]string{"name": name}})
		return err
	})
}
