package review_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

func TestDependencies(t *testing.T) {
	const unknown = "` names no change: write one Change-Id, change number or address of a change on each line"
	lines := func(from, to int) string {
		var b strings.Builder
		for n := from; n <= to; n++ {
			fmt.Fprintf(&b, "Depends-On: %d\n", n)
		}
		return b.String()
	}
	for _, test := range []struct {
		name, message string
		want          []review.Dependency
		problems      []string
	}{
		{name: "none", message: "Add a\n\nChange-Id: " + idA + "\n"},
		{name: "each form", message: "Add a\n\nText.\n\nDepends-On: " + idB + "\nDepends-On: 12\nDepends-On: https://gate.example/c/hello/+/7\nChange-Id: " + idA + "\n",
			want: []review.Dependency{{Key: idB}, {Change: 12}, {URL: "https://gate.example/c/hello/+/7"}}},
		{name: "spelling", message: "Add a\r\n\r\ndepends-on :  12 \r\nDEPENDS-ON:13\r\n", want: []review.Dependency{{Change: 12}, {Change: 13}}},
		{name: "twice", message: "Add a\n\nDepends-On: 12\nDepends-On: 12\n", want: []review.Dependency{{Change: 12}}},
		{name: "a continued line", message: "Add a\n\nNote: see\n Depends-On: 12\n"},
		{name: "in the text", message: "Add a\n\nDepends-On: 12\n\nChange-Id: " + idA + "\n",
			problems: []string{"`Depends-On: 12` counts in the last paragraph of the message only, beside the Change-Id: move it there"}},
		{name: "in the subject", message: "Depends-On: 12",
			problems: []string{"`Depends-On: 12` counts in the last paragraph of the message only, beside the Change-Id: move it there"}},
		{name: "unknown", message: "Add a\n\nDepends-On: 12, 13\nDepends-On:\nDepends-On: hello#3\nDepends-On: 0\nDepends-On: 9999999999999999999\nDepends-On: I123\nDepends-On: I" + strings.Repeat("0", 40) + "\nDepends-On: ftp://x/1\nDepends-On: http://[x/1\n",
			problems: []string{"`Depends-On: 12, 13" + unknown, "`Depends-On: " + unknown, "`Depends-On: hello#3" + unknown, "`Depends-On: 0" + unknown, "`Depends-On: 9999999999999999999" + unknown,
				"`Depends-On: I123" + unknown, "`Depends-On: I" + strings.Repeat("0", 40) + unknown, "`Depends-On: ftp://x/1" + unknown, "`Depends-On: http://[x/1" + unknown}},
		{name: "too many", message: "Add a\n\n" + lines(1, 21), want: numbers(1, 20),
			problems: []string{"`Depends-On: 21` is one too many: a change depends on at most 20 others"}},
		{name: "far too many", message: "Add a\n\n" + lines(1, 20) + strings.Repeat("Depends-On: x\n", 1000), want: numbers(1, 20),
			problems: strings.Split(strings.TrimSuffix(strings.Repeat("`Depends-On: x"+unknown+"\n", 20), "\n"), "\n")},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, problems := review.Dependencies(test.message)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("dependencies (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.problems, problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func numbers(from, to int64) []review.Dependency {
	var all []review.Dependency
	for n := from; n <= to; n++ {
		all = append(all, review.Dependency{Change: n})
	}
	return all
}

// in makes another repository the world's and gives back the way to the one before.
func (w *world) in(name string, private bool) (back func()) {
	w.t.Helper()
	oldRepo, oldGit := w.repo, w.git
	r, err := w.repos.Create(w.ctx, repo.NewRepository{Name: name, Private: private})
	w.must(err)
	w.repo = r
	w.git, err = w.repos.Open(r)
	w.must(err)
	c := newClone(w.t, false)
	c.write("README", name)
	c.git("commit", "-q", "-m", "Start")
	c.git("push", "-q", w.git.Dir(), "HEAD:refs/heads/main")
	return func() { w.repo, w.git = oldRepo, oldGit }
}

// hold makes a change of one commit; other than [world.push] it works with several repositories.
func (w *world) hold(who, message string) review.Change {
	w.t.Helper()
	c := w.clone()
	c.commit(fmt.Sprint("f", w.serial.Add(1)), "1\n", message)
	held, err := w.try(c, who, "main")
	w.must(err)
	return held[0].Change
}

// depends resolves these Depends-On lines as if the change's message had them.
func (w *world) depends(c review.Change, lines ...string) review.Depends {
	w.t.Helper()
	message := "Depend\n\nChange-Id: " + c.Key + "\n"
	for _, line := range lines {
		message += "Depends-On: " + line + "\n"
	}
	w.transact(func(tx *db.Tx) error {
		_, err := tx.ExecContext(w.ctx, `UPDATE patch_sets SET message = $1 WHERE change_id = $2`, message, c.ID)
		return err
	})
	return w.resolve(c)
}

func (w *world) resolve(c review.Change) review.Depends {
	w.t.Helper()
	d, err := w.review.ResolveDepends(w.ctx, w.db.Read(), c)
	w.must(err)
	return d
}

// on is what a change depends on, in short.
func on(d review.Depends) string {
	var all []string
	for _, c := range d.On {
		all = append(all, fmt.Sprintf("%s/%d %s", c.RepoName, c.ID, c.Status))
	}
	return strings.Join(all, ", ")
}

func TestResolveDepends(t *testing.T) {
	w := newWorld(t)
	here, gone, change := w.hold("bob", "Here"), w.hold("bob", "Gone"), w.hold("alice", "Depend")
	w.must(w.review.Abandon(w.ctx, w.people["bob"], gone.ID, ""))
	back := w.in("group/lib", false)
	lib := w.hold("bob", "Lib")
	back()
	back = w.in("secret", true)
	w.grant("bob", account.RoleWrite)
	secret := w.hold("bob", "Secret")
	back()
	const hint = " names no change that alice may see on this server: check it"
	hereURL := fmt.Sprintf("https://gate.example/c/hello/+/%d", here.ID)
	for _, test := range []struct {
		name     string
		lines    []string
		on       string
		problems []string
	}{
		{"none", nil, "", nil},
		{"by number", []string{fmt.Sprint(here.ID)}, fmt.Sprintf("hello/%d open", here.ID), nil},
		{"by Change-Id in another repository", []string{lib.Key}, fmt.Sprintf("group/lib/%d open", lib.ID), nil},
		{"abandoned", []string{gone.Key}, fmt.Sprintf("hello/%d abandoned", gone.ID), nil},
		{"one in three ways, and another", []string{fmt.Sprint(lib.ID), hereURL, here.Key, fmt.Sprint(here.ID)},
			fmt.Sprintf("hello/%d open, group/lib/%d open", here.ID, lib.ID), nil},
		{"address with a patch set", []string{fmt.Sprintf("https://gate.example/c/group/lib/+/%d/1", lib.ID)}, fmt.Sprintf("group/lib/%d open", lib.ID), nil},
		{"short address", []string{fmt.Sprintf("http://GATE.example:80/%d/", lib.ID)}, fmt.Sprintf("group/lib/%d open", lib.ID), nil},
		{"address of the page", []string{fmt.Sprintf("https://gate.example:443/c/%d?tab=files#a", lib.ID)}, fmt.Sprintf("group/lib/%d open", lib.ID), nil},
		{"address with another repository", []string{fmt.Sprintf("https://gate.example/c/hello/+/%d", lib.ID)}, "",
			[]string{fmt.Sprintf("`Depends-On: https://gate.example/c/hello/+/%d` names a change of repository hello, and change %d is one of group/lib: correct the address", lib.ID, lib.ID)}},
		{"another server", []string{"https://other.example/c/hello/+/1", "https://gate.example.evil/1"}, "", []string{
			"`Depends-On: https://other.example/c/hello/+/1` is on another server: only changes of this one, https://gate.example, can be waited for",
			"`Depends-On: https://gate.example.evil/1` is on another server: only changes of this one, https://gate.example, can be waited for"}},
		{"another page", []string{"https://gate.example/r/hello"}, "",
			[]string{"`Depends-On: https://gate.example/r/hello` is no address of a change: copy it from the change's page, such as https://gate.example/c/hello/+/12"}},
		{"none such", []string{"4711", idA}, "", []string{"`Depends-On: 4711`" + hint, "`Depends-On: " + idA + "`" + hint}},
		{"hidden", []string{fmt.Sprint(secret.ID), secret.Key, fmt.Sprintf("https://gate.example/c/hello/+/%d", secret.ID)}, "", []string{
			fmt.Sprintf("`Depends-On: %d`", secret.ID) + hint, "`Depends-On: " + secret.Key + "`" + hint, fmt.Sprintf("`Depends-On: https://gate.example/c/hello/+/%d`", secret.ID) + hint}},
		{"some and none", []string{"4711", fmt.Sprint(here.ID), "what"}, fmt.Sprintf("hello/%d open", here.ID), []string{
			"`Depends-On: what` names no change: write one Change-Id, change number or address of a change on each line", "`Depends-On: 4711`" + hint}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := w.depends(change, test.lines...)
			if on(got) != test.on {
				t.Errorf("depends on %s, want %s", on(got), test.on)
			}
			if diff := cmp.Diff(test.problems, got.Problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}

	t.Run("itself", func(t *testing.T) {
		got := w.depends(change, fmt.Sprint(change.ID), change.Key)
		want := []string{fmt.Sprintf("`Depends-On: %d` names the change itself: remove the line", change.ID), "`Depends-On: " + change.Key + "` names the change itself: remove the line"}
		if diff := cmp.Diff(want, got.Problems); diff != "" || len(got.On) > 0 {
			t.Errorf("depends on %s, problems (-want +got):\n%s", on(got), diff)
		}
	})
	t.Run("a Change-Id of several", func(t *testing.T) {
		back := w.in("copy", false)
		again := w.hold("bob", "Copy\n\nChange-Id: "+here.Key)
		alive := w.hold("bob", "Copy\n\nChange-Id: "+gone.Key)
		own := w.hold("bob", "Copy\n\nChange-Id: "+change.Key)
		back()
		want := fmt.Sprintf("hello/%d open, copy/%d open, copy/%d open, copy/%d open", here.ID, again.ID, alive.ID, own.ID)
		if got := w.depends(change, here.Key, gone.Key, change.Key); on(got) != want {
			t.Errorf("depends on %s, want %s; one is abandoned", on(got), want)
		}
	})
	t.Run("a Change-Id of too many", func(t *testing.T) {
		w.transact(func(tx *db.Tx) error {
			for n := range 21 {
				_, err := tx.ExecContext(w.ctx, `INSERT INTO changes (id, repo_id, branch, change_key, owner_id, subject, status, current_ps, created_at, updated_at)
					VALUES ($1, $2, $3, $4, $5, '', 'open', 1, 1, 1)`, 5000+n, w.repo.ID, fmt.Sprint("b", n), idB, w.people["bob"].ID)
				if err != nil {
					return err
				}
			}
			return nil
		})
		got := w.depends(change, idB)
		if len(got.On) > 0 || !cmp.Equal(got.Problems, []string{"`Depends-On: " + idB + "` names more than 20 changes: name those that you mean by their numbers"}) {
			t.Errorf("depends on %s, problems %q", on(got), got.Problems)
		}
	})
}

// What a message may name depends on who pushed it, and on what they may see now.
func TestResolveDependsAsWhoPushed(t *testing.T) {
	w := newWorld(t)
	back := w.in("secret", true)
	w.grant("alice", account.RoleWrite)
	secret, hidden := w.hold("alice", "Secret"), w.repo
	back()
	change := w.hold("alice", fmt.Sprintf("Depend\n\nDepends-On: %d", secret.ID))
	if got := w.resolve(change); on(got) != fmt.Sprintf("secret/%d open", secret.ID) || len(got.Problems) > 0 {
		t.Errorf("depends on %s, problems %q", on(got), got.Problems)
	}
	w.transact(func(tx *db.Tx) error {
		return w.review.Accounts.Revoke(w.ctx, tx, hidden.ID, account.Subject{Kind: account.ToAccount, ID: w.people["alice"].ID}, "")
	})
	want := []string{fmt.Sprintf("`Depends-On: %d` names no change that alice may see on this server: check it", secret.ID)}
	if got := w.resolve(change); len(got.On) > 0 || !cmp.Equal(got.Problems, want) {
		t.Errorf("depends on %s, problems %q", on(got), got.Problems)
	}
	w.transact(func(tx *db.Tx) error {
		return w.review.Accounts.SetDisabled(w.ctx, tx, w.people["alice"].ID, true)
	})
	want = []string{"the account that pushed the patch set is disabled: its Depends-On lines cannot be looked up"}
	if got := w.resolve(change); len(got.On) > 0 || !cmp.Equal(got.Problems, want) {
		t.Errorf("depends on %s, problems %q", on(got), got.Problems)
	}
}
