package forge_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/entrance"
	"gatehouse/gatekeeper/plan"
	"gatehouse/web/forge/forgetest"
)

var vendors = []string{forgetest.GitHub, forgetest.GitLab, forgetest.Gitea, forgetest.Forgejo, forgetest.Gerrit}

// way is what a change meets on its way, gate by gate, and how it ended.
type way struct {
	Before, After []string
	Stages        []string
	Landed        []string // subject and parents of what landed
}

func (w *world) way(id int64) way {
	w.t.Helper()
	lines := func() (all []string) {
		for _, r := range w.explain(id).Requirements {
			if r.Kind == "gate" || r.Kind == "submit" || r.Kind == "merge" {
				all = append(all, fmt.Sprintf("%s %s %s: %s", r.Kind, r.Name, r.State, r.Reason))
			}
		}
		return all
	}
	w.tested(id, plan.Open)
	v := way{Before: lines()}
	must(w.t, w.Review.Vote(w.ctx, w.people["bob"], id, 0, map[string]int{"Code-Review": 2}, "", nil))
	v.After = lines()
	must(w.t, w.Review.RequestSubmit(w.ctx, w.people["bob"], id))
	w.lands(id)
	runs, err := w.control.Runs(w.ctx, w.people["carol"], id)
	must(w.t, err)
	for _, run := range runs {
		for _, s := range run.Stages {
			v.Stages = append(v.Stages, fmt.Sprintf("%s %s %s", run.State, s.Stage, s.State))
		}
	}
	landed, err := w.bare.Commit(w.ctx, w.explain(id).LandedCommit)
	must(w.t, err)
	v.Landed = append(v.Landed, string(landed.Tree))
	for _, p := range landed.Parents {
		v.Landed = append(v.Landed, string(p))
	}
	if there := w.vendor.Tip("main"); there != w.here() || there != string(landed.OID) {
		w.t.Errorf("main is %s here, %s there, and it landed as %s", w.here(), there, landed.OID)
	}
	return v
}

// The same commit meets the same gates and lands in the same way, whichever way it came in.
func TestTwoEntrancesOneFlow(t *testing.T) {
	pushed := newWorld(t, forgetest.GitHub, nil)
	pushed.commit(1, "a.txt", "a\n")
	if r := pushed.push("alice"); r.Reason != "" {
		t.Fatal(r.Reason)
	}
	want := pushed.way(pushed.open()[0].ID)
	if len(want.Before) < 3 || len(want.Stages) == 0 || len(want.Landed) != 3 {
		t.Fatalf("a push meets %+v", want)
	}
	for _, vendor := range vendors {
		t.Run(vendor, func(t *testing.T) {
			w := newWorld(t, vendor, nil)
			w.commit(1, "a.txt", "a\n")
			p := w.proposes(7)
			name, body := w.vendor.Opened(p)
			w.delivers("d-1", name, body)
			open := w.open()
			if len(open) != 1 {
				t.Fatalf("%+v\n%+v", open, w.deliveries())
			}
			id := open[0].ID
			o, came, err := w.OriginOf(w.ctx, w.DB.Read(), id)
			if err != nil || !came || o.Number != 7 || string(o.Head) != p.Head || o.Author != "octocat" || !strings.HasPrefix(o.URL, "https://forge.test/") {
				t.Errorf("origin %+v %v %v", o, came, err)
			}
			if diff := cmp.Diff(want, w.way(id)); diff != "" {
				t.Errorf("not as a push:\n%s", diff)
			}
			w.until("the forge was told", func() bool {
				latest := w.vendor.Latest(p.Head)
				if vendor == forgetest.Gerrit {
					return latest["Verified"] == "+1"
				}
				return latest["gatehouse/review"] == "success" && latest["gatehouse/tested"] == "success" && latest["gatehouse/land"] == "success"
			})
		})
	}
}

// What was sent before, in another order, by a forger, or is too much, does nothing.
func TestDeliveriesThatDoNothing(t *testing.T) {
	for _, vendor := range vendors {
		t.Run(vendor, func(t *testing.T) {
			w := newWorld(t, vendor, nil)
			w.commit(1, "a.txt", "a\n")
			p := w.proposes(7)
			name, body := w.vendor.Opened(p)
			w.delivers("d-1", name, body)
			id := w.open()[0].ID
			still := func(what string) {
				t.Helper()
				w.settled()
				if open := w.open(); len(open) != 1 || open[0].ID != id || open[0].Current != 1 {
					t.Errorf("%s: %+v", what, open)
				}
			}
			for _, again := range []string{"d-1", "d-other"} {
				if a := w.send(w.vendor.Request(w.hook(), again, name, body)); a.Code != http.StatusOK || a.State != string(entrance.Duplicate) {
					t.Errorf("sent again as %s: %+v", again, a)
				}
			}
			still("a replay")
			late := p
			late.Head, late.Title = strings.Repeat("1", 40), "an older head"
			name, body = w.vendor.Opened(late)
			w.delivers("d-late", name, body)
			still("a late one")
			forged := p
			forged.Title = "forged"
			name, body = w.vendor.Opened(forged)
			r := w.vendor.Request(w.hook(), "d-forged", name, body)
			for header := range r.Header {
				if strings.Contains(header, "Signature") || header == "Authorization" {
					r.Header.Del(header)
				}
			}
			if a := w.send(r); a.Code != http.StatusUnauthorized {
				t.Errorf("without a signature: %+v", a)
			}
			large := append(slices.Clone(body), strings.Repeat(" ", 5<<20)...)
			if a := w.send(w.vendor.Request(w.hook(), "d-large", name, large)); a.Code != http.StatusRequestEntityTooLarge {
				t.Errorf("too large: %+v", a)
			}
			if a := w.send(w.vendor.Request(w.hook(), "d-bad", name, []byte("{"))); a.Code != http.StatusBadRequest {
				t.Errorf("malformed: %+v", a)
			}
			if a := w.send(w.vendor.Request(w.server.URL+"/hooks/999999", "d-x", name, body)); a.Code != http.StatusNotFound {
				t.Errorf("no such entrance: %+v", a)
			}
			still("refused ones")
			if asked := w.vendor.Asked(); slices.ContainsFunc(asked, func(s string) bool { return strings.Contains(s, "evil") }) {
				t.Errorf("an address of a body was asked: %v", asked)
			}
		})
	}
}

// A comment is a command only of somebody who may write there, and only word for word.
func TestComments(t *testing.T) {
	for _, vendor := range []string{forgetest.GitHub, forgetest.GitLab, forgetest.Gitea} {
		t.Run(vendor, func(t *testing.T) {
			w := newWorld(t, vendor, nil)
			w.vendor.Writer("mona")
			w.verdict.Store(string(plan.Failed))
			w.commit(1, "a.txt", "a\n")
			p := w.proposes(7)
			name, body := w.vendor.Opened(p)
			w.delivers("d-1", name, body)
			id := w.open()[0].ID
			w.tested(id, plan.Refused)
			w.until("the forge was told", func() bool { return strings.HasPrefix(w.vendor.Latest(p.Head)["gatehouse/tested"], "fail") })
			w.verdict.Store("")
			for i, c := range []struct {
				login, text string
				state       entrance.State
			}{
				{"mallory", "/gate recheck", entrance.Ignored},
				{"mona", "please /gate recheck", entrance.Ignored},
				{"mona", "/gate outcome ../../x", entrance.Ignored},
				{"mona", "/gate outcome preview", entrance.Accepted},
				{"mona", "Solum retry tests.\n\nthank you", entrance.Accepted},
			} {
				name, body := w.vendor.Commented(p, c.login, c.text)
				w.delivers(fmt.Sprint("c-", i), name, body)
				if d := w.deliveries()[0]; d.State != c.state {
					t.Errorf("%s says %q: %+v", c.login, c.text, d)
				}
			}
			w.tested(id, plan.Open)
			if o, _, err := w.OriginOf(w.ctx, w.DB.Read(), id); err != nil || o.Outcome != "preview" || o.By != "mona" {
				t.Errorf("%+v %v", o, err)
			}
		})
	}
}

// The forge itself merges: only the commit that was tested, and ours becomes what it made.
func TestTheForgeMerges(t *testing.T) {
	for _, vendor := range []string{forgetest.GitHub, forgetest.GitLab, forgetest.Gitea} {
		t.Run(vendor, func(t *testing.T) {
			w := newWorld(t, vendor, func(n *entrance.NewEntrance) { n.Lands = entrance.LandsMerge })
			w.commit(1, "a.txt", "a\n")
			p := w.proposes(7)
			name, body := w.vendor.Opened(p)
			w.delivers("d-1", name, body)
			id := w.open()[0].ID
			w.tested(id, plan.Open)
			w.approves("bob", id)
			w.lands(id)
			landed, err := w.bare.Commit(w.ctx, w.explain(id).LandedCommit)
			must(t, err)
			if string(landed.OID) != w.vendor.Tip("main") || w.here() != string(landed.OID) || !strings.HasPrefix(landed.Message, "Merge pull request #7") {
				t.Errorf("landed as %+v; there %s", landed, w.vendor.Tip("main"))
			}
		})
	}
}

// A forge that wants to be left alone, or fails, is told in the end, each thing once.
func TestReportsAreTriedAgain(t *testing.T) {
	w := newWorld(t, forgetest.GitHub, nil)
	asked := 0
	w.vendor.FailWith(func(*http.Request) int { // under the forge's lock
		asked++
		switch asked {
		case 1:
			return http.StatusTooManyRequests
		case 2:
			return http.StatusBadGateway
		}
		return 0
	})
	w.commit(1, "a.txt", "a\n")
	p := w.proposes(7)
	name, body := w.vendor.Opened(p)
	w.delivers("d-1", name, body)
	id := w.open()[0].ID
	w.tested(id, plan.Open)
	w.until("the forge was told", func() bool { return w.vendor.Latest(p.Head)["gatehouse/tested"] == "success" })
	var last forgetest.Status
	for _, s := range w.vendor.Statuses() {
		if s == last {
			t.Errorf("told twice: %+v", s)
		}
		last = s
		if !strings.HasPrefix(s.URL, "http://gate.test/c/hello/+/") {
			t.Errorf("it leads to %q", s.URL)
		}
	}
}

// What somebody merged there past the gate is tested, and a red result is told on its commit.
func TestMergedThereAndRed(t *testing.T) {
	w := newWorld(t, forgetest.GitHub, nil)
	w.verdict.Store(string(plan.Failed))
	before := w.here()
	head := w.commit(1, "a.txt", "a\n")
	w.git("push", "-q", w.vendor.Dir, "HEAD:refs/heads/main")
	name, body := w.vendor.Pushed("main", before, head)
	w.delivers("d-1", name, body)
	w.until("it is told red", func() bool { return w.vendor.Latest(head)["gatehouse/stages"] == "failure" })
	if w.here() != head {
		t.Errorf("main is %s", w.here())
	}
	w.verdict.Store("")
	w.commit(2, "b.txt", "b\n") // on it, as always
	p := w.proposes(8)
	name, body = w.vendor.Opened(p)
	w.delivers("d-2", name, body)
	id := w.open()[0].ID
	w.tested(id, plan.Open)
	w.approves("bob", id)
	w.lands(id)
	if e := w.explain(id); e.State != gatekeeper.Landed {
		t.Error(e.State)
	}
}

// Where no webhook arrives, a look finds what is open, for which branch and whose it is; what
// was closed long ago stays away.
func TestALookAsksTheAPI(t *testing.T) {
	for _, vendor := range []string{forgetest.GitHub, forgetest.GitLab, forgetest.Gitea} {
		t.Run(vendor, func(t *testing.T) {
			w := newWorld(t, vendor, nil)
			w.commit(1, "a.txt", "a\n")
			w.proposes(1)
			w.vendor.Close(1)
			w.commit(2, "b.txt", "b\n")
			w.proposes(2)
			must(t, w.Look(w.ctx, w.e))
			w.settled()
			open := w.open()
			if len(open) != 1 || open[0].Subject != "change b.txt" {
				t.Fatalf("%+v\n%+v", open, w.deliveries())
			}
			if o, _, err := w.OriginOf(w.ctx, w.DB.Read(), open[0].ID); err != nil || o.Author != "octocat" {
				t.Errorf("%+v %v", o, err)
			}
		})
	}
}

// A merge queue there asks about a commit: it is tested, told, and lands nothing.
func TestAMergeQueueAsks(t *testing.T) {
	w := newWorld(t, forgetest.GitHub, nil)
	before := w.here()
	head := w.commit(1, "a.txt", "a\n")
	ref := "refs/heads/gh-readonly-queue/main/pr-7-" + before
	w.git("push", "-q", w.vendor.Dir, "HEAD:"+ref)
	body := fmt.Appendf(nil, `{"action":"checks_requested","repository":{"full_name":"acme/hello"},"merge_group":{"head_ref":%q,"head_sha":%q,"base_ref":"refs/heads/main","base_sha":%q}}`, ref, head, before)
	w.delivers("g-1", "merge_group", body)
	w.until("it is told", func() bool { return w.vendor.Latest(head)["gatehouse/stages"] == "success" })
	if w.here() != before || len(w.open()) != 0 {
		t.Errorf("main is %s, open %+v", w.here(), w.open())
	}
}

// An entrance says how far what comes in is meant to go; somebody there may say otherwise.
func TestAnEntrancesOutcome(t *testing.T) {
	w := newWorld(t, forgetest.GitHub, func(n *entrance.NewEntrance) { n.Outcome = "preview" })
	w.commit(1, "a.txt", "a\n")
	p := w.proposes(7)
	name, body := w.vendor.Opened(p)
	w.delivers("d-1", name, body)
	open := w.open()
	if len(open) != 1 || open[0].Outcome != "preview" {
		t.Fatalf("%+v %+v", open, w.deliveries())
	}
}
