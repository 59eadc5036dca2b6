// Package reviewtest opens the rooms that stand below what is tested: real accounts, repositories and
// reviews on a database of the test's own, with the test's clock.
package reviewtest

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/migrations/db/dbtest"
	"gatehouse/review"
)

// Rooms are what stands below.
type Rooms struct {
	DB       *db.DB
	Accounts *account.Store
	Repos    *repo.Store
	Review   *review.Service
	Bus      *event.Bus
}

// Open opens them; they end with the test. Repositories are in a folder below dir.
func Open(t testing.TB, dir, url string, now func() time.Time) Rooms {
	t.Helper()
	found, err := git.Find(context.Background())
	must(t, err)
	t.Cleanup(found.Close)
	r := Rooms{DB: dbtest.Open(t), Bus: &event.Bus{}}
	r.Accounts = &account.Store{DB: r.DB, Now: now}
	r.Repos = &repo.Store{DB: r.DB, Git: found, Root: filepath.Join(dir, "repositories"), Now: now, Accounts: r.Accounts}
	r.Review = &review.Service{DB: r.DB, Accounts: r.Accounts, Repos: r.Repos, Bus: r.Bus, Now: now, URL: url}
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Transact writes.
func (r Rooms) Transact(t testing.TB, f func(tx *db.Tx) error) {
	t.Helper()
	must(t, r.DB.Transact(context.Background(), f))
}

// Person makes the account of somebody; the one called admin is an administrator.
func (r Rooms) Person(t testing.TB, name, password string) (a account.Account) {
	t.Helper()
	r.Transact(t, func(tx *db.Tx) (err error) {
		a, err = r.Accounts.Create(context.Background(), tx, account.NewAccount{Name: name, Email: name + "@example.test", FullName: strings.ToUpper(name[:1]) + name[1:] + " Example",
			Password: password, Admin: name == "admin"})
		return err
	})
	return a
}

// Actor is somebody who has signed in to the pages.
func (r Rooms) Actor(t testing.TB, who account.Account) account.Actor {
	t.Helper()
	a, err := r.Accounts.Actor(context.Background(), r.DB.Read(), who.ID, account.MethodSession)
	must(t, err)
	return a
}

// Grant gives somebody a role on a repository, and Revoke takes it back.
func (r Rooms) Grant(t testing.TB, on int64, who account.Account, role account.Role) {
	t.Helper()
	r.Transact(t, func(tx *db.Tx) error {
		return r.Accounts.Grant(context.Background(), tx, on, account.Subject{Kind: account.ToAccount, ID: who.ID}, "", role)
	})
}

// Revoke takes all roles back that somebody has on a repository.
func (r Rooms) Revoke(t testing.TB, on int64, who account.Account) {
	t.Helper()
	r.Transact(t, func(tx *db.Tx) error {
		return r.Accounts.Revoke(context.Background(), tx, on, account.Subject{Kind: account.ToAccount, ID: who.ID}, "")
	})
}
