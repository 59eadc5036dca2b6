package account_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

var update = flag.Bool("update", false, "write testdata/matrix.txt anew")

// person is somebody in the matrix.
type person struct {
	name        string
	actor       account.Actor
	everybody   account.Role // the repository's default role
	changeOwner int64
}

// cast makes one person for each way to stand to the repository.
func cast(w *world, repo int64) []person {
	grant := func(subject account.Subject, branch string, role account.Role) {
		w.must(func(tx *db.Tx) error { return w.Grant(w.ctx, tx, repo, subject, branch, role) })
	}
	granted := func(name, branch string, role account.Role) person {
		who := w.account(strings.NewReplacer("/", "-", "*", "").Replace(name))
		grant(account.Subject{Kind: account.ToAccount, ID: who.ID}, branch, role)
		return person{name: name, actor: w.actor(who)}
	}
	people := []person{{name: "anonymous"}}
	stranger := w.account("stranger")
	for _, role := range []account.Role{account.RoleNone, account.RoleRead, account.RoleWrite, account.RoleMaintain} {
		people = append(people, person{name: "stranger/everybody=" + spell(role), actor: w.actor(stranger), everybody: role})
	}
	for _, role := range []account.Role{account.RoleRead, account.RoleWrite, account.RoleMaintain, account.RoleOwn} {
		people = append(people, granted("granted/"+string(role), "", role))
	}
	for _, role := range []account.Role{account.RoleRead, account.RoleWrite, account.RoleMaintain} {
		people = append(people, granted("branch-granted/"+string(role), "release/*", role))
	}
	people = append(people, granted("other-branch-granted/maintain", "elsewhere", account.RoleMaintain),
		person{name: "change-owner/none", actor: w.actor(stranger), changeOwner: stranger.ID},
		person{name: "change-owner/write", actor: w.actor(stranger), everybody: account.RoleWrite, changeOwner: stranger.ID})

	member := w.account("member")
	var writers account.Group
	w.must(func(tx *db.Tx) (err error) {
		if writers, err = w.CreateGroup(w.ctx, tx, "writers"); err != nil {
			return err
		}
		return w.AddMember(w.ctx, tx, writers.ID, member.ID)
	})
	grant(account.Subject{Kind: account.ToGroup, ID: writers.ID}, "", account.RoleWrite)
	people = append(people, person{name: "group-member/write", actor: w.actor(member)})

	gone := granted("disabled/own", "", account.RoleOwn)
	w.must(func(tx *db.Tx) error { return w.SetDisabled(w.ctx, tx, gone.actor.ID, true) })
	root := w.admin("root")
	return append(people, gone, person{name: "admin", actor: w.actor(root)}, person{name: "local", actor: account.Local()})
}

// TestMatrix asks about every verb for everybody in sight and compares the answers with
// testdata/matrix.txt, which is read in review like code.
func TestMatrix(t *testing.T) {
	w := newWorld(t)
	repo := w.repository("hello")
	people := cast(w, repo)
	var b strings.Builder
	b.WriteString("# who may do what on the branch release/1: written by go test ./gitserver/account -run TestMatrix -update\n")
	b.WriteString("# + may, - Denied, ? Unauthenticated, 0 NotFound; no branch rules\n")
	fmt.Fprintf(&b, "%-32s%-9s", "who", "repo")
	for _, v := range account.Verbs() {
		fmt.Fprintf(&b, " %s", v)
	}
	b.WriteString("\n")
	for _, private := range []bool{false, true} {
		for _, p := range people {
			fmt.Fprintf(&b, "%-32s%-9s", p.name, map[bool]string{false: "public", true: "private"}[private])
			r := account.Resource{Repo: repo, Private: private, DefaultRole: p.everybody, Branch: "release/1", ChangeOwner: p.changeOwner}
			for _, v := range account.Verbs() {
				fmt.Fprintf(&b, " %*s", len(v), answer(t, w.May(w.ctx, w.DB.Read(), p.actor, v, r)))
			}
			b.WriteString("\n")
		}
	}
	golden := filepath.Join("testdata", "matrix.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(b.String(), "\n")); diff != "" {
		t.Error(diff)
	}
}

func spell(role account.Role) string {
	if role == account.RoleNone {
		return "none"
	}
	return string(role)
}

func answer(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return "+"
	}
	for kind, sign := range map[fault.Kind]string{fault.Denied: "-", fault.Unauthenticated: "?", fault.NotFound: "0"} {
		if fault.Is(err, kind) {
			if _, next := fault.Public(err); next == "" {
				t.Errorf("%v names no next step", err)
			}
			return sign
		}
	}
	t.Fatalf("unexpected answer: %v", err)
	return ""
}

func TestRefusalsSayWhomToAsk(t *testing.T) {
	w := newWorld(t)
	repo := w.repository("hello")
	bob := w.account("bob")
	may := func(a account.Actor, v account.Verb, r account.Resource) error {
		return w.May(w.ctx, w.DB.Read(), a, v, r)
	}
	here := account.Resource{Repo: repo, DefaultRole: account.RoleWrite, Branch: "main"}

	wantKind(t, may(w.actor(bob), account.Own, here), fault.Denied, "bob may not change the settings", "whoever runs this server")
	w.admin("root")
	wantKind(t, may(w.actor(bob), account.Own, here), fault.Denied, "ask an administrator: root")
	wantKind(t, may(w.actor(bob), account.Create, account.Resource{}), fault.Denied, "create repositories", "ask an administrator: root")

	for _, name := range []string{"alice", "carol", "dan", "erin", "fay"} {
		who := w.account(name)
		w.must(func(tx *db.Tx) error {
			return w.Grant(w.ctx, tx, repo, account.Subject{Kind: account.ToAccount, ID: who.ID}, "", account.RoleOwn)
		})
		if name == "alice" {
			wantKind(t, may(w.actor(bob), account.Delete, here), fault.Denied, "delete the branch main", "ask an owner of hello: alice")
		}
	}
	wantKind(t, may(w.actor(bob), account.Edit, here), fault.Denied, "ask an owner of hello: alice, carol, dan and 2 more")
	wantKind(t, may(account.Actor{}, account.Propose, here), fault.Unauthenticated, "sign in")

	hidden := may(w.actor(bob), account.Read, account.Resource{Repo: repo, Private: true})
	wantKind(t, hidden, fault.NotFound)
	if fault.Sentence(hidden) != fault.Sentence(account.Missing("")) {
		t.Errorf("%q differs from the words for a missing repository", fault.Sentence(hidden))
	}
}

// TestRightsEndAtOnce uses one actor, as a long connection does, while the rows change.
func TestRightsEndAtOnce(t *testing.T) {
	w := newWorld(t)
	repo := w.repository("hello")
	root := w.admin("root")
	bob := w.account("bob")
	subject := account.Subject{Kind: account.ToAccount, ID: bob.ID}
	w.must(func(tx *db.Tx) error { return w.Grant(w.ctx, tx, repo, subject, "", account.RoleOwn) })
	r := account.Resource{Repo: repo, Private: true, Branch: "main"}
	asBob, asRoot := w.actor(bob), w.actor(root)
	may := func(a account.Actor, v account.Verb) error { return w.May(w.ctx, w.DB.Read(), a, v, r) }
	if err := may(asBob, account.Own); err != nil {
		t.Fatal(err)
	}
	w.must(func(tx *db.Tx) error { return w.Revoke(w.ctx, tx, repo, subject, "") })
	wantKind(t, may(asBob, account.Read), fault.NotFound)
	wantKind(t, w.tx(func(tx *db.Tx) error { return w.Revoke(w.ctx, tx, repo, subject, "") }), fault.NotFound)

	w.must(func(tx *db.Tx) error { return w.SetDisabled(w.ctx, tx, root.ID, true) })
	wantKind(t, may(asRoot, account.Read), fault.NotFound)
	r.Private = false
	wantKind(t, may(asRoot, account.Read), fault.Unauthenticated, "disabled")

	// an actor that claims to be an administrator is none unless its row says so, and the other way round
	asBob.Admin = true
	wantKind(t, may(asBob, account.Administer), fault.Denied)
	w.must(func(tx *db.Tx) error { return w.SetDisabled(w.ctx, tx, root.ID, false) })
	asRoot.Admin = false
	wantKind(t, may(asRoot, account.Administer), fault.Denied)
	asRoot.Admin = true
	if err := may(asRoot, account.Verb("unheard-of")); !fault.Is(err, fault.Denied) {
		t.Errorf("an unknown verb: %v", err)
	}
}

func TestBranchRules(t *testing.T) {
	w := newWorld(t)
	repo := w.repository("hello")
	roles := map[account.Role]account.Actor{}
	for _, role := range []account.Role{account.RoleRead, account.RoleWrite, account.RoleMaintain, account.RoleOwn} {
		who := w.account("has-" + string(role))
		w.must(func(tx *db.Tx) error {
			return w.Grant(w.ctx, tx, repo, account.Subject{Kind: account.ToAccount, ID: who.ID}, "", role)
		})
		roles[role] = w.actor(who)
	}
	rule := func(pattern string, v account.Verb, role account.Role) {
		w.must(func(tx *db.Tx) error { return w.AddRule(w.ctx, tx, repo, pattern, v, role) })
	}
	rule("release/**", account.Submit, account.RoleMaintain)
	rule("release/1/*", account.Submit, account.RoleOwn)
	rule("v*", account.Tag, account.RoleOwn)
	rule("frost", account.Freeze, account.RoleOwn)
	rule("open", account.Push, account.RoleRead) // a rule takes away; it never gives
	for _, c := range []struct {
		role   account.Role
		v      account.Verb
		branch string
		want   bool
	}{
		{account.RoleWrite, account.Submit, "main", true},
		{account.RoleWrite, account.Submit, "release/2", false},
		{account.RoleMaintain, account.Submit, "release/2", true},
		{account.RoleMaintain, account.Submit, "release/1/x", false},
		{account.RoleOwn, account.Submit, "release/1/x", true},
		{account.RoleWrite, account.Hold, "main", true},
		{account.RoleWrite, account.Hold, "release/2", false}, // who may not submit arranges nothing
		{account.RoleMaintain, account.Promote, "release/2", true},
		{account.RoleMaintain, account.Promote, "release/1/x", false},
		{account.RoleMaintain, account.Freeze, "release/1/x", true}, // to stop landings is no landing
		{account.RoleMaintain, account.Freeze, "frost", false},
		{account.RoleWrite, account.Vote, "release/1/x", true},
		{account.RoleWrite, account.Tag, "v1", false},
		{account.RoleOwn, account.Tag, "v1", true},
		{account.RoleWrite, account.Tag, "nightly", true},
		{account.RoleRead, account.Push, "open", false},
		{account.RoleWrite, account.Push, "open", true},
	} {
		err := w.May(w.ctx, w.DB.Read(), roles[c.role], c.v, account.Resource{Repo: repo, Branch: c.branch})
		if (err == nil) != c.want {
			t.Errorf("%s %s on %s: %v, want %v", c.role, c.v, c.branch, err, c.want)
		}
	}
	// one's own change stays one's own, but only as long as one is somebody
	rule("main", account.Edit, account.RoleOwn)
	writer := roles[account.RoleWrite]
	mine := account.Resource{Repo: repo, Branch: "main", ChangeOwner: writer.ID}
	rule("main", account.Submit, account.RoleOwn)
	for _, v := range []account.Verb{account.Edit, account.Hold} {
		if err := w.May(w.ctx, w.DB.Read(), writer, v, mine); err != nil {
			t.Errorf("%s: %v", v, err)
		}
	}
	rules, err := w.Rules(w.ctx, w.DB.Read(), repo)
	if err != nil || len(rules) != 7 {
		t.Fatalf("%v, %v", rules, err)
	}
	w.must(func(tx *db.Tx) error { return w.RemoveRule(w.ctx, tx, repo, rules[0].ID) })
	wantKind(t, w.tx(func(tx *db.Tx) error { return w.RemoveRule(w.ctx, tx, repo+1, rules[1].ID) }), fault.NotFound)
	if err := w.May(w.ctx, w.DB.Read(), writer, account.Submit, account.Resource{Repo: repo, Branch: "release/2"}); err != nil {
		t.Error(err)
	}
}

// TestUnreadableRowsClose writes what no code of ours writes.
func TestUnreadableRowsClose(t *testing.T) {
	w := newWorld(t)
	repo := w.repository("hello")
	bob := w.account("bob")
	w.must(func(tx *db.Tx) error {
		_, err := tx.ExecContext(w.ctx, `INSERT INTO grants (id, repo_id, subject_kind, subject_id, branch, role) VALUES (900001, $1, 'account', $2, '', 'emperor')`, repo, bob.ID)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(w.ctx, `INSERT INTO branch_rules (id, repo_id, pattern, verb, role) VALUES (900002, $1, 'main', 'submit', 'emperor')`, repo)
		return err
	})
	wantKind(t, w.May(w.ctx, w.DB.Read(), w.actor(bob), account.Read, account.Resource{Repo: repo, Private: true, DefaultRole: "emperor"}), fault.NotFound)
	wantKind(t, w.May(w.ctx, w.DB.Read(), w.actor(bob), account.Submit, account.Resource{Repo: repo, DefaultRole: account.RoleMaintain, Branch: "main"}), fault.Denied)
}

func TestGrantRefuses(t *testing.T) {
	w := newWorld(t)
	repo := w.repository("hello")
	bob := account.Subject{Kind: account.ToAccount, ID: w.account("bob").ID}
	for name, f := range map[string]func(tx *db.Tx) error{
		"no role":      func(tx *db.Tx) error { return w.Grant(w.ctx, tx, repo, bob, "", account.RoleNone) },
		"unknown role": func(tx *db.Tx) error { return w.Grant(w.ctx, tx, repo, bob, "", "emperor") },
		"branch owner": func(tx *db.Tx) error { return w.Grant(w.ctx, tx, repo, bob, "main", account.RoleOwn) },
		"bad pattern":  func(tx *db.Tx) error { return w.Grant(w.ctx, tx, repo, bob, "a b", account.RoleWrite) },
		"bad subject": func(tx *db.Tx) error {
			return w.Grant(w.ctx, tx, repo, account.Subject{Kind: "robot", ID: bob.ID}, "", account.RoleRead)
		},
		"rule for read": func(tx *db.Tx) error { return w.AddRule(w.ctx, tx, repo, "main", account.Read, account.RoleOwn) },
		"rule for own":  func(tx *db.Tx) error { return w.AddRule(w.ctx, tx, repo, "main", account.Own, account.RoleOwn) },
		"rule, no role": func(tx *db.Tx) error { return w.AddRule(w.ctx, tx, repo, "main", account.Push, account.RoleNone) },
		"rule, pattern": func(tx *db.Tx) error { return w.AddRule(w.ctx, tx, repo, "/x", account.Push, account.RoleOwn) },
	} {
		if err := w.tx(f); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantKind(t, w.tx(func(tx *db.Tx) error {
		return w.Grant(w.ctx, tx, repo, account.Subject{Kind: account.ToGroup, ID: bob.ID}, "", account.RoleRead)
	}), fault.NotFound)

	w.must(func(tx *db.Tx) error { return w.Grant(w.ctx, tx, repo, bob, "main", account.RoleRead) })
	w.must(func(tx *db.Tx) error { return w.Grant(w.ctx, tx, repo, bob, "main", account.RoleWrite) })
	all, err := w.Grants(w.ctx, w.DB.Read(), repo)
	if err != nil || len(all) != 1 || all[0].Role != account.RoleWrite || all[0].Name != "bob" {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestParseRole(t *testing.T) {
	for text, want := range map[string]account.Role{"none": account.RoleNone, "": account.RoleNone, "read": account.RoleRead, "own": account.RoleOwn} {
		if got, err := account.ParseRole(text); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	_, err := account.ParseRole("Owner")
	wantKind(t, err, fault.Invalid, "own")
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, branch string
		want            bool
	}{
		{"main", "main", true}, {"main", "Main", false}, {"main", "mainx", false}, {"main", "x/main", false},
		{"*", "main", true}, {"*", "a/b", false}, {"**", "a/b", true}, {"**", "a", true},
		{"release/*", "release/1", true}, {"release/*", "release/", true}, {"release/*", "release/1/2", false}, {"release/**", "release/1/2", true},
		{"release/*/fix", "release/1/fix", true}, {"release/*/fix", "release/1/2/fix", false}, {"**/fix", "a/b/fix", true},
		{"v*.*", "v1.2", true}, {"v*.*", "v12", false}, {"a*b*c", "aXbXbXc", true}, {"*x*", "y", false}, {"", "", true},
	} {
		if got := account.Matches(c.pattern, c.branch); got != c.want {
			t.Errorf("%q on %q: %v", c.pattern, c.branch, got)
		}
	}
	for _, bad := range []string{"", "/x", "x/", "a b", "a..b", "***", "a//b", "refs/heads/x", "x[1]", "x?", "a\x00b", "a\\b", strings.Repeat("a", 201)} {
		if account.CheckPattern(bad) == nil {
			t.Errorf("%q is taken for a pattern", bad)
		}
	}
}

// TestMatchesProperty compares with the obvious definition on small alphabets, where stars meet.
func TestMatchesProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringOfN(rapid.SampledFrom([]rune("ab/*")), 0, 7, -1).Draw(t, "pattern")
		branch := rapid.StringOfN(rapid.SampledFrom([]rune("ab/")), 0, 7, -1).Draw(t, "branch")
		if got, want := account.Matches(pattern, branch), slow(pattern, branch); got != want {
			t.Fatalf("%q on %q: %v", pattern, branch, got)
		}
	})
}

func slow(p, b string) bool {
	switch {
	case p == "":
		return b == ""
	case strings.HasPrefix(p, "**"):
		return slow(p[2:], b) || (b != "" && slow(p, b[1:]))
	case p[0] == '*':
		return slow(p[1:], b) || (b != "" && b[0] != '/' && slow(p, b[1:]))
	default:
		return b != "" && p[0] == b[0] && slow(p[1:], b[1:])
	}
}

// TestMatchesIsBounded needs no clock: a comparison that tries every way to share out the
// branch among the stars would not end in this universe.
func TestMatchesIsBounded(t *testing.T) {
	pattern := strings.Repeat("a*", 99) + "c"
	if err := account.CheckPattern(pattern); err != nil {
		t.Fatal(err)
	}
	if account.Matches(pattern, strings.Repeat("a", 200)+"b") {
		t.Error("matches")
	}
}
