package review_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/migrations/db/dbtest"
	"gatehouse/review"
)

// world is a server's rooms below the gate, with one repository and a few people.
type world struct {
	t      testing.TB
	ctx    context.Context
	db     *db.DB
	review *review.Service
	repos  *repo.Store
	people map[string]account.Actor
	repo   repo.Repository
	git    *git.Repo
	serial atomic.Int64
	jobs   *jobs
}

// jobs keeps what was enqueued.
type jobs struct{ all []db.Job }

func (j *jobs) EnqueueTx(_ context.Context, _ *db.Tx, job db.Job) error {
	j.all = append(j.all, job)
	return nil
}

// newWorld has the repository hello with a gated branch main of one commit, and alice, bob,
// carol (maintains hello), dan and root (an administrator).
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, ctx: context.Background(), db: dbtest.Open(t), people: map[string]account.Actor{}, jobs: &jobs{}}
	w.db.SetEnqueuer(w.jobs)
	clock := atomic.Int64{}
	now := func() time.Time {
		return time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(clock.Add(1)) * time.Second)
	}
	accounts := &account.Store{DB: w.db, Now: now}
	found, err := git.Find(w.ctx)
	w.must(err)
	t.Cleanup(found.Close)
	w.repos = &repo.Store{DB: w.db, Git: found, Root: filepath.Join(t.TempDir(), "repositories"), Now: now, Accounts: accounts}
	w.review = &review.Service{DB: w.db, Accounts: accounts, Repos: w.repos, Bus: &event.Bus{}, Now: now, URL: "https://gate.example"}
	for _, name := range []string{"alice", "bob", "carol", "dan", "root"} {
		w.transact(func(tx *db.Tx) error {
			a, err := accounts.Create(w.ctx, tx, account.NewAccount{Name: name, Email: name + "@example.org", Admin: name == "root"})
			w.people[name] = account.Actor{ID: a.ID, Name: name, Email: a.Email, Admin: a.Admin, Method: account.MethodKey}
			return err
		})
	}
	w.repo, err = w.repos.Create(w.ctx, repo.NewRepository{Name: "hello"})
	w.must(err)
	w.grant("carol", account.RoleMaintain)
	w.git, err = w.repos.Open(w.repo)
	w.must(err)
	c := newClone(t, false)
	c.write("README", "hello\n")
	c.git("commit", "-q", "-m", "Start")
	c.git("push", "-q", w.git.Dir(), "HEAD:refs/heads/main")
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) transact(f func(tx *db.Tx) error) {
	w.t.Helper()
	w.must(w.db.Transact(w.ctx, f))
}

func (w *world) grant(who string, role account.Role) {
	w.t.Helper()
	w.transact(func(tx *db.Tx) error {
		return w.review.Accounts.Grant(w.ctx, tx, w.repo.ID, account.Subject{Kind: account.ToAccount, ID: w.people[who].ID}, "", role)
	})
}

// clone is a working copy of main, with the hook.
func (w *world) clone() *clone {
	w.t.Helper()
	c := newClone(w.t, true)
	c.git("fetch", "-q", w.git.Dir(), "refs/heads/main")
	c.git("reset", "-q", "--hard", "FETCH_HEAD")
	return c
}

// send brings the objects of a commit to the server, as a push does, and gives its name.
func (w *world) send(c *clone, rev string) git.OID {
	w.t.Helper()
	c.git("push", "-q", w.git.Dir(), fmt.Sprintf("%s:refs/gate/test/%d", rev, w.serial.Add(1)))
	oid, err := git.ParseOID(c.git("rev-parse", rev))
	w.must(err)
	return oid
}

// prepare is the checking half of a push of HEAD to refs/for/; target is a branch and options.
func (w *world) prepare(c *clone, who, target string, opts ...string) (*review.Prepared, error) {
	w.t.Helper()
	branch, options, err := review.ParseOptions("refs/for/"+target, opts)
	if err != nil {
		return nil, err
	}
	return w.review.Prepare(w.ctx, review.Proposal{Repo: w.repo, Git: w.git, Actor: w.people[who], Branch: branch, Tip: w.send(c, "HEAD"), Options: options})
}

func (w *world) try(c *clone, who, target string, opts ...string) ([]review.Held, error) {
	w.t.Helper()
	prep, err := w.prepare(c, who, target, opts...)
	if err != nil {
		return nil, err
	}
	return w.review.Hold(w.ctx, prep)
}

// push holds HEAD of c and must succeed.
func (w *world) push(c *clone, who, target string, opts ...string) []review.Held {
	w.t.Helper()
	held, err := w.try(c, who, target, opts...)
	if err != nil {
		w.t.Fatalf("push: %s (%v)", fault.Sentence(err), err)
	}
	w.check()
	return held
}

// commit makes a commit that writes one file.
func (c *clone) commit(name, text, message string) {
	c.t.Helper()
	c.write(name, text)
	c.git("commit", "-q", "-m", message)
}

// propose makes a change of one commit for main.
func (w *world) propose(who, file string) (*clone, review.Change) {
	w.t.Helper()
	c := w.clone()
	c.commit(file, "1\n", "Add "+file)
	return c, w.push(c, who, "main")[0].Change
}

func (w *world) load(id int64) review.Change {
	w.t.Helper()
	c, err := w.review.Load(w.ctx, w.db.Read(), id)
	w.must(err)
	return c
}

func (w *world) votes(id int64) []review.Vote {
	w.t.Helper()
	v, err := w.review.Votes(w.ctx, w.db.Read(), id)
	w.must(err)
	return v
}

func (w *world) vote(who string, id int64, ps, value int) {
	w.t.Helper()
	w.must(w.review.Vote(w.ctx, w.people[who], id, ps, map[string]int{"Code-Review": value}, "", nil))
}

// story is what the change's messages say, one after the other.
func (w *world) story(id int64) string {
	w.t.Helper()
	all, err := w.review.Messages(w.ctx, w.db.Read(), id)
	w.must(err)
	var texts []string
	for _, m := range all {
		texts = append(texts, m.Body)
	}
	return strings.Join(texts, "\n---\n")
}

// check asserts that holding refs and rows tell the same.
func (w *world) check() {
	w.t.Helper()
	refs, err := w.git.Refs(w.ctx, "refs/changes/")
	w.must(err)
	held := map[string]git.OID{}
	for _, r := range refs {
		held[r.Name] = r.OID
	}
	rows, err := w.db.Read().QueryContext(w.ctx, `SELECT change_id, number, commit_oid FROM patch_sets`)
	w.must(err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var change int64
		var ps int
		var oid git.OID
		w.must(rows.Scan(&change, &ps, &oid))
		name := review.HoldingRef(change, ps)
		if held[name] != oid {
			w.t.Errorf("%s is %q, its row says %s", name, held[name], oid)
		}
		delete(held, name)
	}
	w.must(rows.Err())
	for name := range held {
		w.t.Errorf("%s has no row", name)
	}
}

// refused asserts the kind and the exact words of a refusal, and a part of the next step.
func refused(t testing.TB, err error, kind fault.Kind, public, next string) {
	t.Helper()
	said, then := fault.Public(err)
	if err == nil || fault.KindOf(err) != kind || said != public || !strings.Contains(then, next) || (next == "") != (then == "") {
		t.Errorf("got %v %q, next %q (%v)\nwant %v %q, next %q", fault.KindOf(err), said, then, err, kind, public, next)
	}
}
