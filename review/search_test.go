package review_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// find searches as somebody and gives the subjects, newest first.
func (w *world) find(who, query string) (string, error) {
	w.t.Helper()
	page, err := w.review.Search(w.ctx, w.people[who], review.Search{Query: query})
	return strings.TrimSuffix(strings.TrimPrefix(subjects(page.Changes), "["), "]"), err
}

// library is four changes of different people, states and files.
func library(w *world) map[string]review.Change {
	all := map[string]review.Change{}
	propose := func(name, who, file, message string, opts ...string) {
		c := w.clone()
		c.write(file, name)
		c.git("add", "-A")
		c.git("commit", "-q", "--author", who+" <"+who+"@example.org>", "-m", message)
		all[name] = w.push(c, who, "main", opts...)[0].Change
	}
	propose("login", "alice", "web/login/form.go", "Fix login\n\nThe form forgot the password; see bug 17.", "topic=session", "r=bob")
	propose("logout", "bob", "web/logout.go", "Add logout\n\nEnds the session. 100% done.", "r=alice", "cc=dan")
	propose("docs", "carol", "docs/über uns.md", "Describe LOGGING in Zürich")
	propose("wip", "alice", "db/schema.SQL", "Try a schema", "wip")
	w.vote("bob", all["login"].ID, 1, -1)
	w.must(w.review.Vote(w.ctx, w.people["dan"], all["login"].ID, 1, nil, "", []review.NewComment{{Path: "web/login/form.go", Line: 1, Body: "why?", Unresolved: true}}))
	w.vote("alice", all["logout"].ID, 1, 2)
	w.must(w.review.SetHashtags(w.ctx, w.people["bob"], all["logout"].ID, []string{"urgent"}, nil))
	w.must(w.review.Abandon(w.ctx, w.people["carol"], all["docs"].ID, ""))
	w.must(w.review.Star(w.ctx, w.people["dan"], all["docs"].ID, true))
	return all
}

func TestSearch(t *testing.T) {
	w := newWorld(t)
	all := library(w)
	const login, logout, docs, wip = "Fix login", "Add logout", "Describe LOGGING in Zürich", "Try a schema"
	id := func(name string) string { return fmt.Sprint(all[name].ID) }
	ps, err := w.review.PatchSet(w.ctx, w.db.Read(), all["login"].ID, 1)
	w.must(err)
	for _, c := range []struct {
		who, query string
		want       []string // in the order of their last touch
	}{
		{"dan", "", []string{docs, logout, login, wip}},
		{"dan", "  ", []string{docs, logout, login, wip}},
		{"dan", "status:open", []string{logout, login, wip}},
		{"dan", "status:merged OR is:abandoned", []string{docs}},
		{"dan", "status:closed", []string{docs}},
		{"dan", "-is:open", []string{docs}},
		{"dan", "NOT is:open", []string{docs}},
		{"dan", "is:wip", []string{wip}},
		{"dan", "owner:alice", []string{login, wip}},
		{"alice", "o:self -is:wip", []string{login}},
		{"alice", "is:owner status:open", []string{login, wip}},
		{"dan", "owner:carol@example.org", []string{docs}},
		{"dan", "author:bob", []string{logout}},
		{"dan", "author:alice@example.org is:wip", []string{wip}},
		{"dan", "bob@example.org", []string{logout}},
		{"dan", "uploader:bob", []string{logout}},
		{"dan", "reviewer:bob", []string{login}},
		{"dan", "r:alice", []string{logout}},
		{"dan", "cc:self", []string{logout}},
		{"dan", "is:cc", []string{logout}},
		{"bob", "is:reviewer", []string{login}},
		{"alice", "attention:self", []string{login}},
		{"bob", "is:attention", []string{logout}},
		{"dan", "has:attention", []string{logout, login}},
		{"dan", "label:Code-Review=-1", []string{login}},
		{"dan", "label:code-review-1", []string{login}},
		{"dan", "label:Code-Review>=1", []string{logout}},
		{"dan", "label:Code-Review=+2,alice", []string{logout}},
		{"dan", "label:Code-Review=+2,user=bob", nil},
		{"dan", "label:Code-Review=0 is:open", []string{wip}},
		{"bob", "label:Code-Review<0,self", []string{login}},
		{"dan", "repo:hello is:wip", []string{wip}},
		{"dan", "project:other", nil},
		{"dan", "branch:main topic:session", []string{login}},
		{"dan", "branch:refs/heads/main has:topic", []string{login}},
		{"dan", "file:web", []string{logout, login}},
		{"dan", "file:web/", []string{logout, login}},
		{"dan", "f:web/login/form.go", []string{login}},
		{"dan", "file:form.go", []string{login}},
		{"dan", "file:login", []string{login}},
		{"dan", "path:*.go", []string{logout, login}},
		{"dan", "file:web/**/*.go", []string{login}},
		{"dan", "file:web/l*t.go", []string{logout}},
		{"dan", `file:"docs/über uns.md"`, []string{docs}},
		{"dan", "dir:web/login", []string{login}},
		{"dan", "dir:form.go", nil},
		{"dan", "ext:sql", []string{wip}},
		{"dan", "extension:.md", []string{docs}},
		{"dan", "login", []string{login}},
		{"dan", "log", []string{docs, logout, login}},
		{"dan", "LOGG", []string{docs}},
		{"dan", "message:zürich", []string{docs}},
		{"dan", `message:"forgot the pass"`, []string{login}},
		{"dan", `message:"the forgot"`, nil},
		{"dan", `message:{100% done}`, []string{logout}},
		{"dan", "m:17", []string{login}},
		{"dan", `subject:"add log"`, []string{logout}},
		{"dan", "subject:session", nil},
		{"dan", id("login"), []string{login}},
		{"dan", "change:" + id("docs") + " OR change:" + id("wip"), []string{docs, wip}},
		{"dan", all["wip"].Key, []string{wip}},
		{"dan", "change:" + all["wip"].Key[:12], []string{wip}},
		{"dan", string(ps.Commit), []string{login}},
		{"dan", "commit:" + string(ps.Commit)[:9], []string{login}},
		{"dan", "is:starred", []string{docs}},
		{"dan", "hashtag:urgent", []string{logout}},
		{"dan", "tag:#urgent has:hashtag", []string{logout}},
		{"dan", "is:private", nil},
		{"alice", "has:star", nil},
		{"dan", "has:unresolved", []string{login}},
		{"dan", "has:votes is:reviewed", []string{logout, login}},
		{"dan", "age:1y", nil},
		{"dan", "-age:2d", []string{docs, logout, login, wip}},
		{"dan", "after:2030-01-01 before:2030-01-02", []string{docs, logout, login, wip}},
		{"dan", "until:2030-01-01", nil},
		{"dan", "-until:2030-01-01 -before:2030-01-01 is:wip", []string{wip}},
		{"dan", "-after:2030-01-01", nil},
		{"dan", "NOT after:2031-01-01 is:wip", []string{wip}},
		{"dan", "(owner:alice OR owner:bob) -(is:wip OR file:web/logout.go)", []string{login}},
		{"dan", "owner:alice AND is:wip", []string{wip}},
		{"dan", "owner:alice (is:wip)OR(is:abandoned)", []string{docs, wip}},
		{"dan", "is:submitted", nil},
	} {
		got, err := w.find(c.who, c.query)
		if want := strings.Join(c.want, " "); err != nil || got != want {
			t.Errorf("%s finds %q with %q, want %q (%v)", c.who, got, c.query, want, err)
		}
	}
}

func TestSearchesThatCannotBeUnderstood(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ query, said, next string }{
		{"onwer:self", `character 1: there is no operator "onwer:"`, "did you mean owner:?"},
		{"is:open lable:x", `character 9: there is no operator "lable:"`, "did you mean label:?"},
		{"über statu:open", `character 6: there is no operator "statu:"`, "did you mean status:?"},
		{"https://x", `character 1: there is no operator "https:"`, "known are status:"},
		{"status:new OR status:odd", `character 15: "odd" is no status of a change`, "use open"},
		{"is:cheese", `character 1: nothing here is "cheese"`, "known are open"},
		{"is:open is:mergeable", `character 9: nobody here knows what is mergeable`, "is:open"},
		{"has:cheese", `character 1: nothing here has "cheese"`, "known are attention"},
		{"owner:nobody", `character 1: there is no account "nobody"`, "an account's name"},
		{"label:Code-Review", `character 1: "Code-Review" is no vote`, "label:Code-Review=+2"},
		{"label:Code-Review=+2,nobody", `character 1: there is no account "nobody"`, "account's name"},
		{"age:old", `character 1: "old" is no age`, "30min"},
		{"age:99999y", `character 1: nothing here is so old`, "smaller"},
		{"before:yesterday", `character 1: "yesterday" is no day`, "2030-01-31"},
		{"commit:xyz", `character 1: this is no commit`, "at least 7"},
		{"file:/", `character 1: file: needs a path below the root`, "file:web/"},
		{"query:mine", `character 1: you have no search called "mine"`, "save one"},
		{"(is:open", `character 1: this parenthesis is not closed`, "add )"},
		{"is:open)", `character 8: this parenthesis closes nothing`, "quotes"},
		{"is:open OR", `character 11: something is missing here`, "add a word"},
		{"OR is:open", `character 1: something is missing here`, "add a word"},
		{"is:open AND", `character 12: something is missing after AND`, "add what"},
		{"()", `character 2: something is missing here`, "add a word"},
		{"NOT", `character 1: something is missing after NOT`, "add what"},
		{"owner:", `character 1: owner: needs a value`, "behind the colon"},
		{`""`, `character 1: this is empty`, "behind the colon"},
		{`subject:"half`, `character 1: a quotation is not closed`, `add "`},
		{"topic:{half", `character 1: a quotation is not closed`, `add }`},
		{"...", `character 1: there is no word in this`, "letters or digits"},
		{strings.Repeat("(", 30) + "x", `character 21: the search is nested too deep`, "simpler"},
		{strings.Repeat("-", 30) + "x", `character 21: the search is nested too deep`, "simpler"},
		{strings.Repeat("x ", 65), `character 129: a search has at most 64 terms`, "less at a time"},
		{"a\x00b", `the search holds characters that no search has`, "anew"},
		{"\xff", `the search holds characters that no search has`, "anew"},
	} {
		_, err := w.find("dan", c.query)
		refused(t, err, fault.Invalid, c.said, c.next)
	}
	_, err := w.find("dan", strings.Repeat("x", 2001))
	refused(t, err, fault.TooLarge, "a search has at most 2000 bytes", "")
	for _, query := range []string{"owner:self", "is:starred", "has:draft", "is:watched", "query:x", "author:me"} {
		if _, err := w.review.Search(w.ctx, account.Actor{}, review.Search{Query: query}); !fault.Is(err, fault.Invalid) {
			t.Errorf("a stranger searches %s: %v", query, err)
		}
	}
	_, err = w.review.Search(w.ctx, w.people["dan"], review.Search{After: "1.x"})
	refused(t, err, fault.Invalid, "there is no such page", "first page")
}

// Every operator that help shows can be used.
func TestEveryOperatorIsKnown(t *testing.T) {
	w := newWorld(t)
	for _, o := range review.Operators() {
		name, _, _ := strings.Cut(o[0], ":")
		_, err := w.find("dan", name+":xyz")
		if said, _ := fault.Public(err); strings.Contains(said, "there is no operator") || fault.Is(err, fault.Internal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Text in a search is never a part of the statement.
func FuzzSearch(f *testing.F) {
	w := newWorld(f)
	library(w)
	for _, text := range []string{"a'; DROP TABLE changes; --", `file:%_*?\`, "label:x=1", "((a) OR -b)", "subject:$1", "m:$9", "owner:self is:watched"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := w.review.Search(w.ctx, w.people["dan"], review.Search{Query: text})
		if err != nil && !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.TooLarge) {
			t.Errorf("%q: %v", text, err)
		}
	})
}

func TestSearchIsPaged(t *testing.T) {
	w := newWorld(t)
	for i := range 7 {
		w.propose("alice", fmt.Sprint("f", i))
	}
	for _, query := range []string{"", "is:open", "message:add", "file:f1 OR -file:f1", "owner:alice"} {
		var seen []string
		after := ""
		for range 10 {
			page, err := w.review.Search(w.ctx, w.people["bob"], review.Search{Query: query, Limit: 3, After: after})
			w.must(err)
			if len(page.Changes) > 3 {
				t.Fatalf("%q: a page of %d", query, len(page.Changes))
			}
			for _, c := range page.Changes {
				seen = append(seen, c.Subject)
			}
			if after = page.Next; after == "" {
				break
			}
		}
		if got := strings.Join(seen, ","); got != "Add f6,Add f5,Add f4,Add f3,Add f2,Add f1,Add f0" {
			t.Errorf("%q: %s", query, got)
		}
	}
}

// A term that many changes have is looked at one change after the other, and finds the same.
func TestSearchOfMany(t *testing.T) {
	w := newWorld(t)
	_, one := w.propose("alice", "rare")
	w.transact(func(tx *db.Tx) error {
		for i := range 2100 {
			id := 10_000 + i
			_, err := tx.ExecContext(w.ctx, `INSERT INTO changes (id, repo_id, branch, change_key, owner_id, subject, status, current_ps, created_at, updated_at)
				VALUES ($1, $2, 'main', $3, $4, 'Many', 'landed', 1, 1, $1)`, id, w.repo.ID, fmt.Sprint("k", i), w.people["bob"].ID)
			if err != nil {
				return err
			}
			for _, term := range [][2]string{{"word", "common"}, {"path", "web/x.go"}, {"part", "web/"}} {
				if _, err := tx.ExecContext(w.ctx, `INSERT INTO search_terms (field, term, change_id) VALUES ($1, $2, $3)`, term[0], term[1], id); err != nil {
					return err
				}
			}
		}
		return nil
	})
	for query, want := range map[string]int{
		"common": 50, "comm": 50, "-common": 1, "file:web/": 50, "file:web/*.go": 50, "common rare": 0, "comm -file:web/*.go": 0, "comm file:rare": 0, "rare": 1, "comm OR rare": 50,
	} {
		page, err := w.review.Search(w.ctx, w.people["bob"], review.Search{Query: query})
		if err != nil || len(page.Changes) != want || (page.Next != "") != (want == 50) {
			t.Errorf("%q finds %d, next %q, %v; want %d", query, len(page.Changes), page.Next, err, want)
		}
		if query == "comm OR rare" && page.Changes[0].ID != one.ID {
			t.Errorf("%q begins with %d", query, page.Changes[0].ID)
		}
	}
}

func TestSavedSearchesAndWatches(t *testing.T) {
	w := newWorld(t)
	library(w)
	dan := w.people["dan"]
	w.must(w.review.SaveSearch(w.ctx, dan, " go  files ", "ext:go"))
	w.must(w.review.SaveSearch(w.ctx, dan, "nested", "query:{go files} -is:wip owner:bob"))
	w.must(w.review.SaveSearch(w.ctx, dan, "go files", "file:*.go"))
	saved, err := w.review.SavedSearches(w.ctx, dan)
	w.must(err)
	if fmt.Sprint(saved) != "[{go files file:*.go} {nested query:{go files} -is:wip owner:bob}]" {
		t.Errorf("saved %v", saved)
	}
	if got, err := w.find("dan", "query:nested"); err != nil || got != "Add logout" {
		t.Errorf("nested finds %q, %v", got, err)
	}
	w.transact(func(tx *db.Tx) error {
		_, err := tx.ExecContext(w.ctx, `UPDATE searches SET query = 'query:nested' WHERE name = 'go files'`)
		return err
	})
	_, err = w.find("dan", "query:nested")
	if said, _ := fault.Public(err); !strings.Contains(said, "name each other too deep") {
		t.Errorf("a circle: %v", err)
	}
	w.must(w.review.ForgetSearch(w.ctx, dan, "go files"))
	if err := w.review.ForgetSearch(w.ctx, dan, "go files"); !fault.Is(err, fault.NotFound) {
		t.Errorf("forgotten twice: %v", err)
	}
	for _, bad := range [][2]string{{"", "x"}, {"a\x01", "x"}, {strings.Repeat("n", 41), "x"}, {"x", " "}, {"x", "onwer:self"}} {
		if err := w.review.SaveSearch(w.ctx, dan, bad[0], bad[1]); !fault.Is(err, fault.Invalid) {
			t.Errorf("saved %q: %v", bad, err)
		}
	}
	if got, _ := w.find("dan", "is:watched"); got != "" {
		t.Errorf("watched before any watch: %s", got)
	}
	first, err := w.review.AddWatch(w.ctx, dan, review.Watch{Repo: w.repo.ID, Path: "/docs/"})
	w.must(err)
	again, err := w.review.AddWatch(w.ctx, dan, review.Watch{Repo: w.repo.ID, Path: "docs"})
	w.must(err)
	if first.ID != again.ID {
		t.Error("one watch became two")
	}
	_, err = w.review.AddWatch(w.ctx, dan, review.Watch{Branch: "main", Query: "owner:bob"})
	w.must(err)
	if got, err := w.find("dan", "is:watched"); err != nil || got != "Describe LOGGING in Zürich Add logout" {
		t.Errorf("watched: %s, %v", got, err)
	}
	if err := w.review.RemoveWatch(w.ctx, w.people["bob"], first.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("bob removes dan's watch: %v", err)
	}
	w.must(w.review.RemoveWatch(w.ctx, dan, first.ID))
	all, err := w.review.Watches(w.ctx, dan)
	w.must(err)
	if len(all) != 1 || all[0].Query != "owner:bob" {
		t.Errorf("watches %+v", all)
	}
	for _, bad := range []review.Watch{{}, {Query: "is:watched"}, {Query: "(("}, {Branch: "a\x01"}} {
		if _, err := w.review.AddWatch(w.ctx, dan, bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("watch %+v: %v", bad, err)
		}
	}
}

// What is found follows the current patch set.
func TestTermsFollowThePatchSet(t *testing.T) {
	w := newWorld(t)
	c, ch := w.propose("alice", "old.go")
	c.git("mv", "old.go", "new.go")
	c.git("commit", "-q", "--amend", "-m", "Rename\n\nChange-Id: "+ch.Key)
	w.push(c, "alice", "main")
	for query, want := range map[string]string{"file:old.go": "", "file:new.go": "Rename", "rename": "Rename", "message:add": ""} {
		if got, err := w.find("bob", query); got != want || err != nil {
			t.Errorf("%q finds %q, %v; want %q", query, got, err, want)
		}
	}
	paths, ok, err := w.review.Touched(w.ctx, w.db.Read(), w.load(ch.ID))
	if !ok || err != nil || !slices.Equal(paths, []string{"new.go"}) {
		t.Errorf("touched %v, %v, %v", paths, ok, err)
	}
	w.transact(func(tx *db.Tx) error {
		_, err := tx.ExecContext(w.ctx, `DELETE FROM search_terms`)
		if err == nil {
			_, err = tx.ExecContext(w.ctx, `UPDATE patch_sets SET touched = -1`)
		}
		return err
	})
	if _, ok, err := w.review.Touched(w.ctx, w.db.Read(), w.load(ch.ID)); ok || err != nil {
		t.Errorf("paths are known: %v, %v", ok, err)
	}
	w.must(w.review.IndexMissing(w.ctx, w.repo))
	w.must(w.review.IndexMissing(w.ctx, w.repo))
	if got, err := w.find("bob", "file:new.go"); got != "Rename" || err != nil {
		t.Errorf("indexed again: %q, %v", got, err)
	}
}
