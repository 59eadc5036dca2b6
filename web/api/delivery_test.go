package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/promote"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/review"
	"gatehouse/web/api"
)

// site is a repository whose main delivers, with the engine running.
type site struct {
	*world
	repo repo.Repository
	git  *git.Repo
	n    int
}

const siteAt = "/api/v1/repositories/hello"

func newSite(t *testing.T) *site {
	t.Helper()
	w := newWorld(t)
	s := &site{world: w, repo: w.repository("hello", false)}
	var err error
	s.git, err = w.Repos.Open(s.repo)
	must(t, err)
	tip := w.commitFiles(s.git, map[string]string{plan.File: sitePlan, "version.txt": "none\n"}, "begin\n")
	must(t, s.git.UpdateRefs(w.ctx, []git.RefUpdate{{Ref: "refs/heads/main", Old: git.Zero, New: tip}}, "test"))
	must(t, w.Gate.Recover(w.ctx))
	must(t, w.Gate.Jobs.Start(w.ctx))
	t.Cleanup(func() { _ = w.Gate.Jobs.Stop(context.Background()) })
	return s
}

// propose holds a change of the author's for a version.
func (s *site) propose(version string) int64 {
	s.t.Helper()
	s.n++
	tip, err := s.git.RefOID(s.ctx, "refs/heads/main")
	must(s.t, err)
	commit := s.commitFiles(s.git, map[string]string{plan.File: sitePlan, "version.txt": version + "\n"}, fmt.Sprintf("version %s\n\nChange-Id: I%040d\n", version, s.n), tip)
	actor, err := s.Accounts.Actor(s.ctx, s.DB.Read(), s.ids["author"], account.MethodKey)
	must(s.t, err)
	prepared, err := s.Review.Prepare(s.ctx, review.Proposal{Repo: s.repo, Git: s.git, Actor: actor, Branch: "main", Tip: commit})
	must(s.t, err)
	held, err := s.Review.Hold(s.ctx, prepared)
	must(s.t, err)
	return held[0].Change.ID
}

// land has a version land and run in staging.
func (s *site) land(version string) int64 {
	s.t.Helper()
	id := s.propose(version)
	at := "/api/v1/changes/" + itoa(id)
	get[gatekeeper.Explanation](s.world, "maintainer", http.MethodPost, at+"/votes", api.Review{Votes: map[string]int{"Code-Review": 2}})
	get[gatekeeper.Explanation](s.world, "author", http.MethodPost, at+"/submit", nil)
	s.runs("staging", id)
	return id
}

// runs waits until what a change landed runs in an environment.
func (s *site) runs(environment string, change int64) gatekeeper.EnvironmentView {
	s.t.Helper()
	return until(s.world, "reader", siteAt+"/environments/"+environment, fmt.Sprintf("change %d runs", change), func(v gatekeeper.EnvironmentView) bool {
		return v.Current != nil && v.Current.Change == change && v.Assembly != nil && v.Assembly.State == deliver.AssemblyReady
	})
}

// refused asks for something that must be answered with a status and words, and a next step.
func (s *site) refused(who, method, path string, in any, code int, words string) {
	s.t.Helper()
	if a := s.ask(who, method, path, in); a.Code != code || !strings.Contains(a.Body.String(), words) {
		s.t.Errorf("%s %s as %s: %d %s; want %d with %q", method, path, who, a.Code, a.Body, code, words)
	}
}

// One artifact on its way, over HTTP: it waits for an approval, runs, is rolled back, is revoked.
func TestDeliveryOverHTTP(t *testing.T) {
	s := newSite(t)
	first := s.land("one")

	d := get[gatekeeper.Delivery](s.world, "reader", "GET", "/api/v1/changes/"+itoa(first)+"/delivery", nil)
	if len(d.Stops) != 2 || !d.Stops[0].Runs || d.Stops[1].Runs || !strings.Contains(d.Stops[1].Words, "accepted") || len(d.Artifacts) != 1 {
		t.Fatalf("its delivery: %+v", d)
	}
	if len(d.Gates) != 1 || d.Gates[0].Gate != "accepted" || d.Gates[0].State != plan.Closed {
		t.Errorf("its gates: %+v", d.Gates)
	}
	if !strings.Contains(d.Summary, "staging: it runs there") || !strings.Contains(d.Summary, "production: "+d.Stops[1].Words) {
		t.Errorf("its summary: %s", d.Summary)
	}
	approve := siteAt + "/gates/accepted/approve"
	if a := get[gatekeeper.Approved](s.world, "author", "POST", approve, nil); a.Counts || !strings.Contains(a.Why, "author") || a.Verdict.State != plan.Closed {
		t.Errorf("the author's own approval: %+v", a)
	}
	if a := get[gatekeeper.Approved](s.world, "owner", "POST", approve, api.NewApproval{What: itoa(first), Note: "tried it"}); !a.Counts || a.Verdict.State != plan.Open {
		t.Errorf("the owner's approval: %+v", a)
	}
	one := s.runs("production", first)
	if one.App != "hello" || one.Assembly.Address == "" || one.Current.Commit != d.Commit || one.Current.Digest != d.Artifacts[0].Digest {
		t.Errorf("production: %+v", one)
	}

	second := s.land("two")
	made := get[gatekeeper.Delivery](s.world, "reader", "GET", "/api/v1/changes/"+itoa(second)+"/delivery", nil).Artifacts[0]
	get[gatekeeper.Approved](s.world, "owner", "POST", approve, api.NewApproval{What: short(made.Digest)})
	two := s.runs("production", second)
	s.rollBack(one, two)
	s.artifacts(one, two)
	s.figures()
}

func (s *site) rollBack(one, two gatekeeper.EnvironmentView) {
	s.t.Helper()
	at := siteAt + "/environments/production"
	s.refused("maintainer", "POST", at+"/rollback", api.NewRollback{}, http.StatusBadRequest, "reason")
	back := get[deliver.Promotion](s.world, "maintainer", "POST", at+"/rollback", api.NewRollback{Reason: "logins fail"})
	if back.Kind != promote.Rollback || back.Digest != one.Current.Digest || back.By != "maintainer" {
		s.t.Errorf("the rollback: %+v", back)
	}
	s.runs("production", one.Current.Change)
	past := get[pageOf[deliver.Promotion]](s.world, "reader", "GET", at+"/promotions?limit=2", nil)
	if len(past.Items) != 2 || past.Next == "" || past.Items[0].ID != back.ID || past.Items[0].Reason != "logins fail" {
		s.t.Errorf("the newest promotions: %+v", past)
	}
	rest := get[pageOf[deliver.Promotion]](s.world, "reader", "GET", at+"/promotions?after="+past.Next, nil)
	if len(rest.Items) != 1 || rest.Next != "" || rest.Items[0].Digest != one.Current.Digest {
		s.t.Errorf("the rest: %+v", rest)
	}
	if two.Current.Digest == one.Current.Digest {
		s.t.Fatal("both versions are the same")
	}
}

func (s *site) artifacts(one, two gatekeeper.EnvironmentView) {
	s.t.Helper()
	all := get[pageOf[gatekeeper.Built]](s.world, "", "GET", siteAt+"/artifacts?limit=1", nil)
	if len(all.Items) != 1 || all.Items[0].Digest != two.Current.Digest || all.Next == "" {
		s.t.Fatalf("the newest artifact: %+v", all)
	}
	rest := get[pageOf[gatekeeper.Built]](s.world, "", "GET", siteAt+"/artifacts?limit=1&after="+all.Next, nil)
	if len(rest.Items) != 1 || rest.Items[0].Digest != one.Current.Digest || rest.Next != "" {
		s.t.Errorf("the next: %+v", rest)
	}
	at := siteAt + "/artifacts/" + short(two.Current.Digest)
	info := get[gatekeeper.ArtifactDetail](s.world, "reader", "GET", at, nil)
	if !info.Kept || len(info.Runs) != 1 || info.Runs[0].Environment != "staging" || len(info.Approvals) != 1 || info.Approvals[0].By != "owner" {
		s.t.Errorf("its detail: %+v", info)
	}
	a := s.ask("", "GET", at+"/content", nil)
	if a.Body.String() != "two\n" || a.Header().Get("Content-Disposition") != "attachment; filename=server" || a.Header().Get("Content-Type") != "application/octet-stream" || a.Header().Get("Content-Length") != "4" {
		s.t.Errorf("its content: %q with %v", a.Body, a.Header())
	}
	if a := s.ask("", "GET", at+"/statement", nil); !strings.Contains(a.Body.String(), strings.TrimPrefix(two.Current.Digest, "sha256:")) || a.Header().Get("Content-Type") != "application/vnd.in-toto+json" {
		s.t.Errorf("its statement: %s with %v", a.Body, a.Header())
	}
	s.signed(at, info)

	s.refused("maintainer", "POST", at+"/revoke", api.Reason{}, http.StatusBadRequest, "reason")
	done := get[gatekeeper.Revoked](s.world, "maintainer", "POST", at+"/revoke", api.Reason{Message: "it leaks"})
	if done.Artifact.State != gatekeeper.ArtifactRevoked || len(done.Runs) != 1 || done.Runs[0].Environment != "staging" || done.Next == "" {
		s.t.Errorf("revoked: %+v", done)
	}
	s.refused("maintainer", "POST", at+"/revoke", api.Reason{Message: "again"}, http.StatusConflict, "already")
	// It ran well there, and yet nobody can go back to it.
	back := get[deliver.Promotion](s.world, "maintainer", "POST", siteAt+"/environments/production/rollback", api.NewRollback{What: short(two.Current.Digest), Reason: "x"})
	until(s.world, "reader", siteAt+"/environments/production", "it says that it was revoked", func(v gatekeeper.EnvironmentView) bool {
		return len(v.Next) == 1 && v.Next[0].ID == back.ID && v.Next[0].State == promote.Held && strings.Contains(v.Next[0].Words, "revoked")
	})
	if over := get[deliver.Promotion](s.world, "maintainer", "POST", siteAt+"/promotions/"+itoa(back.ID)+"/cancel", api.Reason{Message: "of course"}); over.State != promote.Canceled || !strings.Contains(over.Why, "of course") {
		s.t.Errorf("canceled: %+v", over)
	}
	s.refused("maintainer", "POST", siteAt+"/promotions/"+itoa(back.ID)+"/cancel", nil, http.StatusUnprocessableEntity, "CANCELED")
	s.restored(at)
}

// restored lets in again what was revoked: for owners, with a reason, and both words stay.
func (s *site) restored(at string) {
	s.t.Helper()
	s.refused("maintainer", "POST", at+"/restore", api.Reason{Message: "it was me"}, http.StatusForbidden, "")
	s.refused("owner", "POST", at+"/restore", api.Reason{}, http.StatusBadRequest, "reason")
	if done := get[gatekeeper.Revoked](s.world, "owner", "POST", at+"/restore", api.Reason{Message: "it leaks elsewhere"}); done.Artifact.State != gatekeeper.ArtifactAttested || done.Next != "" {
		s.t.Errorf("restored: %+v", done)
	}
	s.refused("owner", "POST", at+"/restore", api.Reason{Message: "again"}, http.StatusConflict, "not revoked")
	d := get[gatekeeper.ArtifactDetail](s.world, "reader", "GET", at, nil)
	if d.State != gatekeeper.ArtifactAttested || len(d.Words) != 2 || d.Words[0].State != gatekeeper.ArtifactRevoked || d.Words[0].By != "maintainer" || d.Words[0].Reason != "it leaks" ||
		d.Words[1].State != gatekeeper.ArtifactAttested || d.Words[1].By != "owner" || d.Words[1].Reason != "it leaks elsewhere" {
		s.t.Errorf("what was said: %+v", d.Words)
	}
	// A rollback to it waits for nothing now but its turn.
	back := get[deliver.Promotion](s.world, "maintainer", "POST", siteAt+"/environments/production/rollback", api.NewRollback{What: short(d.Digest), Reason: "x"})
	until(s.world, "reader", siteAt+"/environments/production", "it runs there", func(v gatekeeper.EnvironmentView) bool {
		return v.Current != nil && v.Current.Digest == d.Digest && len(v.Next) == 0 && back.ID != 0
	})
}

func (s *site) figures() {
	s.t.Helper()
	f := get[gatekeeper.Figures](s.world, "", "GET", siteAt+"/figures?weeks=2", nil)
	if f.Environment != "production" || len(f.Weeks) != 2 || f.All.Deploys != 2 || f.All.Failures != 1 || f.All.Changes != 2 || f.All.Restored != 1 || f.All.FailRate != 0.5 {
		s.t.Errorf("figures: %+v", f)
	}
	if authored := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC); f.All.LeadTime < time.Since(authored).Seconds()-patience.Seconds()-60 && time.Now().After(authored) {
		s.t.Errorf("the lead time %v does not begin with the author's date", f.All.LeadTime)
	}
}

func TestOrdersOverHTTP(t *testing.T) {
	s := newSite(t)
	first := s.land("one")
	digest := s.runs("staging", first).Current.Digest
	at := siteAt + "/environments/staging"
	v := get[gatekeeper.EnvironmentView](s.world, "maintainer", "POST", at+"/freeze", api.NewEnvironmentFreeze{Reason: "launch", Seconds: 3600})
	if len(v.Orders) != 1 || v.Orders[0].By != "maintainer" || time.Until(v.Orders[0].Until) < 50*time.Minute {
		t.Errorf("a freeze: %+v", v.Orders)
	}
	get[gatekeeper.EnvironmentView](s.world, "maintainer", "POST", at+"/pin", api.NewPin{What: itoa(first), Reason: "the audit"})
	v = get[gatekeeper.EnvironmentView](s.world, "maintainer", "POST", at+"/veto", api.NewVeto{NewPin: api.NewPin{What: short(digest), Reason: "it leaks"}})
	if len(v.Orders) != 3 || v.Orders[1].Digest != digest || v.Orders[2].Digest != digest || v.Orders[2].RollBack {
		t.Errorf("three orders: %+v", v.Orders)
	}
	s.refused("maintainer", "DELETE", at+"/veto?what=feedfeed", nil, http.StatusNotFound, "no artifact feedfeed")
	if a := s.ask("maintainer", "DELETE", at+"/veto?what="+itoa(first), nil); a.Code != http.StatusNoContent {
		t.Errorf("lift by the change: %d %s", a.Code, a.Body)
	}
	get[gatekeeper.EnvironmentView](s.world, "maintainer", "POST", at+"/veto", api.NewVeto{NewPin: api.NewPin{What: short(digest), Reason: "it leaks"}})
	for _, kind := range []string{"freeze", "pin", "veto"} {
		if a := s.ask("maintainer", "DELETE", at+"/"+kind, nil); a.Code != http.StatusNoContent {
			t.Errorf("lift %s: %d %s", kind, a.Code, a.Body)
		}
		s.refused("maintainer", "DELETE", at+"/"+kind, nil, http.StatusNotFound, "there is no "+kind)
	}
	if v := get[gatekeeper.EnvironmentView](s.world, "", "GET", at, nil); len(v.Orders) != 0 {
		t.Errorf("left over: %+v", v.Orders)
	}
	end := time.Now().Add(time.Hour)
	for _, c := range []struct {
		method, path string
		in           any
		code         int
		words        string
	}{
		{"POST", at + "/freeze", api.NewEnvironmentFreeze{}, 400, "reason"},
		{"POST", at + "/freeze", api.NewEnvironmentFreeze{Reason: "x", Until: end, Seconds: 5}, 400, "two ends"},
		{"POST", at + "/freeze", api.NewEnvironmentFreeze{Reason: "x", Until: end.Add(-2 * time.Hour)}, 400, "still to come"},
		{"POST", at + "/pin", api.NewPin{Reason: "x"}, 400, "what"},
		{"POST", at + "/pin", api.NewPin{What: "feedfeed", Reason: "x"}, 404, "no artifact"},
		{"POST", at + "/veto", api.NewVeto{NewPin: api.NewPin{What: short(digest)}}, 400, "reason"},
		{"DELETE", at + "/broken", nil, 400, "order"},
		{"POST", at + "/promote", api.NewPromotion{Hotfix: true}, 400, "needs a reason"},
		{"POST", at + "/promote", nil, 404, "nothing waits"},
		{"POST", at + "/promote", api.NewPromotion{What: "feedfeed"}, 404, "no artifact"},
		{"POST", at + "/rollback", api.NewRollback{Reason: "x"}, 422, "nothing to go back to"},
		{"POST", siteAt + "/environments/preview/promote", nil, 422, "each change has for itself"},
		{"POST", siteAt + "/environments/moon/promote", nil, 404, "preview, staging, production"},
		{"GET", siteAt + "/environments/moon", nil, 404, "no environment"},
		{"GET", siteAt + "/environments/moon/promotions", nil, 404, "no environment"},
		{"GET", siteAt + "/environments?branch=nowhere", nil, 404, "no branch"},
		{"GET", at + "/promotions?after=x", nil, 400, "after"},
		{"GET", at + "/promotions?after=99999999999999999999", nil, 400, "no place"},
		{"POST", siteAt + "/promotions/99/cancel", nil, 404, "no promotion 99"},
		{"GET", siteAt + "/figures?weeks=99", nil, 400, "weeks"},
		{"GET", siteAt + "/figures?environment=moon", nil, 404, "no environment"},
		{"GET", siteAt + "/deliveries?commit=zzz", nil, 400, "names no commit"},
		{"GET", siteAt + "/deliveries/99", nil, 404, "no delivery 99"},
		{"POST", siteAt + "/gates/review/approve", nil, 400, "asks nobody"},
		{"POST", siteAt + "/gates/moon/approve", nil, 400, "accepted"},
		{"POST", siteAt + "/gates/accepted/approve", api.NewApproval{What: "feedfeed"}, 404, "was delivered"},
		{"POST", siteAt + "/statuses", api.NewStatus{Subject: "HEAD", Context: "ci", State: "PASSED"}, 400, "no commit"},
		{"POST", siteAt + "/statuses", api.NewStatus{Subject: string(s.tip()), Context: "ci", State: "GREAT"}, 400, "state"},
		{"POST", siteAt + "/statuses", api.NewStatus{Subject: string(s.tip()), Context: "ci", State: "PASSED", URL: "javascript:x"}, 400, "http"},
		{"GET", siteAt + "/artifacts/x", nil, 400, "no digest"},
		{"GET", siteAt + "/artifacts/" + url.PathEscape("%_%_%_%_"), nil, 400, "no digest"},
		{"GET", siteAt + "/artifacts/feedfeed/content", nil, 404, "no such artifact"},
		{"POST", siteAt + "/assemblies/99/stop", nil, 404, "no assembly 99"},
		{"GET", siteAt + "/assemblies/99/log", nil, 404, "no assembly 99"},
		{"POST", "/api/v1/changes/" + itoa(first) + "/outcome", api.NewOutcome{Outcome: "preview"}, 422, "before a change lands"},
		{"POST", "/api/v1/changes/" + itoa(first) + "/bypass", api.NewBypass{Node: "moon", Reason: "x"}, 400, "no stage and no gate"},
		{"POST", "/api/v1/changes/" + itoa(first) + "/bypass", api.NewBypass{Node: "lint"}, 400, "reason"},
	} {
		s.refused("maintainer", c.method, c.path, c.in, c.code, c.words)
	}
	if a := s.ask("writer", "POST", siteAt+"/statuses", api.NewStatus{Subject: string(s.tip()), Context: "ci/windows", State: "PASSED", URL: "https://ci.test/1"}); a.Code != http.StatusNoContent {
		t.Errorf("a status: %d %s", a.Code, a.Body)
	}
}

func (s *site) tip() git.OID {
	s.t.Helper()
	tip, err := s.git.RefOID(s.ctx, "refs/heads/main")
	must(s.t, err)
	return tip
}

// A preview of a private change is nobody's business: not its address, not its artifact, not its
// log.
func TestPreviewsOfPrivateChanges(t *testing.T) {
	s := newSite(t)
	id := s.propose("secret")
	at := "/api/v1/changes/" + itoa(id)
	get[gatekeeper.Explanation](s.world, "author", "POST", at+"/private", api.Privacy{Private: true})
	get[gatekeeper.Explanation](s.world, "author", "POST", at+"/outcome", api.NewOutcome{Outcome: "preview"})
	shown := until(s.world, "author", siteAt+"/assemblies", "the preview serves", func(l list[deliver.Assembly]) bool {
		return len(l.Items) == 1 && l.Items[0].State == deliver.AssemblyReady
	}).Items[0]
	assemblyAt := siteAt + "/assemblies/" + itoa(shown.ID)
	digest := short(shown.Digest)
	if a := s.ask("author", "GET", assemblyAt+"/log", nil); a.Body.String() != "listening in preview\n" || a.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("its log: %d %q", a.Code, a.Body)
	}
	for _, who := range []string{"", "stranger", "reader", "writer", "maintainer"} {
		if all := get[list[deliver.Assembly]](s.world, who, "GET", siteAt+"/assemblies?all=true", nil); len(all.Items) != 0 {
			t.Errorf("%q sees its assembly: %+v", who, all)
		}
		for _, v := range get[list[gatekeeper.EnvironmentView]](s.world, who, "GET", siteAt+"/environments", nil).Items {
			if len(v.Running) != 0 {
				t.Errorf("%q sees it in %s: %+v", who, v.Name, v.Running)
			}
		}
		if all := get[list[gatekeeper.Built]](s.world, who, "GET", siteAt+"/artifacts", nil); len(all.Items) != 0 {
			t.Errorf("%q sees its artifact: %+v", who, all)
		}
		for _, path := range []string{"", "/content", "/statement"} {
			s.refused(who, "GET", siteAt+"/artifacts/"+digest+path, nil, http.StatusNotFound, "no such artifact")
		}
		if who == "" {
			continue
		}
		s.refused(who, "GET", assemblyAt+"/log", nil, http.StatusNotFound, "no assembly")
		s.refused(who, "POST", assemblyAt+"/stop", nil, http.StatusNotFound, "no assembly")
		s.refused(who, "POST", siteAt+"/artifacts/"+digest+"/revoke", api.Reason{Message: "x"}, http.StatusNotFound, "no such artifact")
	}
	if a := s.ask("author", "GET", siteAt+"/artifacts/"+digest+"/content", nil); a.Body.String() != "secret\n" {
		t.Errorf("its author gets %d %q", a.Code, a.Body)
	}
	ended := get[deliver.Assembly](s.world, "author", "POST", assemblyAt+"/stop", api.Reason{Message: "seen enough"})
	if ended.State != deliver.AssemblyDeleting && ended.State != deliver.AssemblyDeleted || !strings.Contains(ended.Reason, "stopped by author: seen enough") {
		t.Errorf("stopped: %+v", ended)
	}
	until(s.world, "author", siteAt+"/assemblies", "it is gone", func(l list[deliver.Assembly]) bool { return len(l.Items) == 0 && s.sites.Serves("") == 0 })
	s.refused("author", "GET", assemblyAt+"/log", nil, http.StatusNotFound, "no log")
}

// What runs in a standing environment cannot be stopped, and its log is no way out of its folder.
func TestAssembliesOverHTTP(t *testing.T) {
	s := newSite(t)
	a := s.runs("staging", s.land("one")).Assembly
	at := siteAt + "/assemblies/" + itoa(a.ID)
	s.refused("owner", "POST", at+"/stop", nil, http.StatusUnprocessableEntity, "something always runs")
	other := s.repository("other", false)
	s.refused("owner", "POST", "/api/v1/repositories/"+other.Name+"/assemblies/"+itoa(a.ID)+"/stop", nil, http.StatusNotFound, "no assembly")
	s.refused("owner", "GET", "/api/v1/repositories/"+other.Name+"/assemblies/"+itoa(a.ID)+"/log", nil, http.StatusNotFound, "no assembly")
	const kept = 256 << 10
	must(t, os.Remove(s.sites.Log(a.ID)))
	if got := s.ask("writer", "GET", at+"/log", nil); got.Code != http.StatusOK || got.Body.Len() != 0 {
		t.Errorf("what has said nothing yet: %d %s", got.Code, got.Body)
	}
	must(t, os.WriteFile(s.sites.Log(a.ID), []byte("begin\n"+strings.Repeat("x", kept)), 0o600))
	if got := s.ask("writer", "GET", at+"/log", nil); got.Body.Len() != kept || strings.Contains(got.Body.String(), "begin") || got.Header().Get("Gate-Cut") != "true" {
		t.Errorf("the end of a long log: %d bytes, cut %q", got.Body.Len(), got.Header().Get("Gate-Cut"))
	}
	outside := filepath.Join(t.TempDir(), "outside")
	must(t, os.WriteFile(outside, []byte("the server's own"), 0o600))
	must(t, os.Remove(s.sites.Log(a.ID)))
	must(t, os.Symlink(outside, s.sites.Log(a.ID)))
	if got := s.ask("owner", "GET", at+"/log", nil); got.Code < 400 || strings.Contains(got.Body.String(), "server's own") {
		t.Errorf("a log that is a link: %d %s", got.Code, got.Body)
	}
}
