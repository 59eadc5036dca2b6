package account_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
	"gatehouse/migrations/db/dbtest"
)

// world is a database with a clock that only the test moves.
type world struct {
	*account.Store
	t   *testing.T
	ctx context.Context
	at  atomic.Int64
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, ctx: t.Context()}
	w.at.Store(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC).UnixMicro())
	w.Store = &account.Store{DB: dbtest.Open(t), Now: func() time.Time { return db.Time(w.at.Load()) }}
	return w
}

func (w *world) pass(d time.Duration) { w.at.Add(d.Microseconds()) }

func (w *world) tx(f func(tx *db.Tx) error) error { return w.DB.Transact(w.ctx, f) }

func (w *world) must(f func(tx *db.Tx) error) {
	w.t.Helper()
	if err := w.tx(f); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) account(name string) account.Account {
	w.t.Helper()
	return w.create(account.NewAccount{Name: name, Email: name + "@example.org"})
}

func (w *world) admin(name string) account.Account {
	w.t.Helper()
	return w.create(account.NewAccount{Name: name, Email: name + "@example.org", Admin: true})
}

func (w *world) create(n account.NewAccount) account.Account {
	w.t.Helper()
	var a account.Account
	w.must(func(tx *db.Tx) (err error) {
		a, err = w.Create(w.ctx, tx, n)
		return err
	})
	return a
}

func (w *world) actor(a account.Account) account.Actor {
	w.t.Helper()
	who, err := w.Actor(w.ctx, w.DB.Read(), a.ID, account.MethodKey)
	if err != nil {
		w.t.Fatal(err)
	}
	return who
}

// repository makes the row that grants refer to.
func (w *world) repository(name string) int64 {
	w.t.Helper()
	var id int64
	w.must(func(tx *db.Tx) (err error) {
		if id, err = tx.NextID(w.ctx, db.RowIDs); err != nil {
			return err
		}
		_, err = tx.ExecContext(w.ctx, `INSERT INTO repositories (id, name, default_branch, visibility, gated, default_role, direct_push, created_at)
			VALUES ($1, $2, 'main', 'public', '["main"]', 'write', 'hold', 0)`, id, name)
		return err
	})
	return id
}

func wantKind(t *testing.T, err error, kind fault.Kind, words ...string) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Fatalf("got %v, want a fault of kind %v", err, kind)
	}
	for _, word := range words {
		if !strings.Contains(fault.Sentence(err), word) {
			t.Errorf("%q does not say %q", fault.Sentence(err), word)
		}
	}
}

func TestAccounts(t *testing.T) {
	w := newWorld(t)
	var alice account.Account
	w.must(func(tx *db.Tx) (err error) {
		alice, err = w.Create(w.ctx, tx, account.NewAccount{Name: "alice", Email: "Alice@Example.org", FullName: "Alice Liddell", Admin: true})
		return err
	})
	bob := w.account("bob")
	read := w.DB.Read()
	for name, find := range map[string]func() (account.Account, error){
		"id":    func() (account.Account, error) { return w.ByID(w.ctx, read, alice.ID) },
		"name":  func() (account.Account, error) { return w.ByName(w.ctx, read, "alice") },
		"email": func() (account.Account, error) { return w.ByEmail(w.ctx, read, "aLICE@example.ORG") },
	} {
		got, err := find()
		if diff := cmp.Diff(alice, got); err != nil || diff != "" {
			t.Errorf("by %s: %v\n%s", name, err, diff)
		}
	}
	if alice.Email != "alice@example.org" || !alice.Admin || alice.CreatedAt.IsZero() {
		t.Errorf("created %+v", alice)
	}
	_, err := w.ByName(w.ctx, read, "eve")
	wantKind(t, err, fault.NotFound, `"eve"`)

	all, err := w.List(w.ctx, read)
	if diff := cmp.Diff([]account.Account{alice, bob}, all); err != nil || diff != "" {
		t.Errorf("list: %v\n%s", err, diff)
	}
	some, err := w.Names(w.ctx, read, []int64{bob.ID, bob.ID, 99999})
	if diff := cmp.Diff(map[int64]account.Account{bob.ID: bob}, some); err != nil || diff != "" {
		t.Errorf("names: %v\n%s", err, diff)
	}
}

func TestCreateRefuses(t *testing.T) {
	w := newWorld(t)
	w.account("alice")
	w.must(func(tx *db.Tx) error {
		_, err := w.CreateGroup(w.ctx, tx, "staff")
		return err
	})
	for _, c := range []struct {
		n    account.NewAccount
		kind fault.Kind
	}{
		{account.NewAccount{Name: "alice", Email: "other@example.org"}, fault.Conflict},
		{account.NewAccount{Name: "staff", Email: "other@example.org"}, fault.Conflict},
		{account.NewAccount{Name: "other", Email: "ALICE@example.org"}, fault.Conflict},
		{account.NewAccount{Name: "", Email: "other@example.org"}, fault.Invalid},
		{account.NewAccount{Name: "Other", Email: "other@example.org"}, fault.Invalid},
		{account.NewAccount{Name: "-other", Email: "other@example.org"}, fault.Invalid},
		{account.NewAccount{Name: "other\n", Email: "other@example.org"}, fault.Invalid},
		{account.NewAccount{Name: "self", Email: "other@example.org"}, fault.Invalid},
		{account.NewAccount{Name: strings.Repeat("a", 40), Email: "other@example.org"}, fault.Invalid},
		{account.NewAccount{Name: "other", Email: ""}, fault.Invalid},
		{account.NewAccount{Name: "other", Email: "other"}, fault.Invalid},
		{account.NewAccount{Name: "other", Email: "a@b@c"}, fault.Invalid},
		{account.NewAccount{Name: "other", Email: "other@example.org> <x"}, fault.Invalid},
		{account.NewAccount{Name: "other", Email: "other@example.org", FullName: "O <evil@example.org>"}, fault.Invalid},
		{account.NewAccount{Name: "other", Email: "other@example.org", FullName: "O\x1b[2J"}, fault.Invalid},
		{account.NewAccount{Name: "other", Email: "other@example.org", Password: "short"}, fault.Invalid},
	} {
		err := w.tx(func(tx *db.Tx) error {
			_, err := w.Create(w.ctx, tx, c.n)
			return err
		})
		if !fault.Is(err, c.kind) {
			t.Errorf("%+v: got %v, want %v", c.n, err, c.kind)
		}
	}
}

func TestGroups(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.account("alice"), w.account("bob")
	var staff account.Group
	w.must(func(tx *db.Tx) (err error) {
		if staff, err = w.CreateGroup(w.ctx, tx, "staff"); err != nil {
			return err
		}
		for _, id := range []int64{alice.ID, bob.ID, bob.ID} {
			if err := w.AddMember(w.ctx, tx, staff.ID, id); err != nil {
				return err
			}
		}
		return w.RemoveMember(w.ctx, tx, staff.ID, alice.ID)
	})
	all, err := w.Groups(w.ctx, w.DB.Read())
	want := []account.Group{{ID: staff.ID, Name: "staff", Members: []int64{bob.ID}}}
	if diff := cmp.Diff(want, all); err != nil || diff != "" {
		t.Errorf("groups: %v\n%s", err, diff)
	}
	if diff := cmp.Diff([]int64{staff.ID}, w.actor(bob).Groups); diff != "" {
		t.Error(diff)
	}
	for name, f := range map[string]func(tx *db.Tx) error{
		"no group":   func(tx *db.Tx) error { return w.AddMember(w.ctx, tx, 99999, bob.ID) },
		"no account": func(tx *db.Tx) error { return w.AddMember(w.ctx, tx, staff.ID, 99999) },
		"no member":  func(tx *db.Tx) error { return w.RemoveMember(w.ctx, tx, staff.ID, alice.ID) },
	} {
		if err := w.tx(f); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	err = w.tx(func(tx *db.Tx) error {
		_, err := w.CreateGroup(w.ctx, tx, "alice")
		return err
	})
	wantKind(t, err, fault.Conflict)
}
