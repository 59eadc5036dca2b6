package api_test

import (
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"

	"gatehouse/gatekeeper/entrance"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/repo"
	"gatehouse/review"
	"gatehouse/web/api"
)

func init() {
	maps.Copy(calls, map[string]call{
		"list-entrances": plain(nil), "add-entrance": plain(api.NewEntrance{Forge: "github", Primary: "nowhere"}), "get-entrance": onEntrance(nil), "remove-entrance": onEntrance(nil),
		"set-entrance": onEntrance(api.EntranceChange{}), "rotate-entrance": onEntrance(api.EntranceSecrets{}), "look-entrance": onEntrance(nil), "accept-entrance": onEntrance(api.EntranceAccept{Branch: "main"}),
		"set-entrance-person": onEntrance(api.EntrancePerson{Login: "x"}), "list-entrance-deliveries": onEntrance(nil),
	})
}

// onEntrance makes an entrance of the repository, to a folder that is no repository: a look at
// it fails, after it was let in.
func onEntrance(in any) call {
	return func(w *world, r repo.Repository, _ review.Change) (map[string]string, string, any) {
		all, err := w.Entrances.List(w.ctx, r.ID)
		must(w.t, err)
		for _, e := range all {
			must(w.t, w.Entrances.Remove(w.ctx, e))
		}
		g, err := w.Repos.Open(r)
		must(w.t, err)
		e, _, err := w.Entrances.Add(w.ctx, r, account.Local(), entrance.NewEntrance{Forge: entrance.Plain, Address: g.Dir(), AllowLocal: true})
		must(w.t, err)
		return map[string]string{"id": itoa(e.ID)}, "", in
	}
}

// An entrance's secret is shown once, and its token never; neither is in a row.
func TestEntranceSecrets(t *testing.T) {
	w := newWorld(t)
	r := w.repository("hello", false)
	const token = "ghp_very-secret"
	n := api.NewEntrance{Forge: "github", Primary: "https://github.com/acme/hello.git", Token: token}
	a := w.ask("owner", "POST", "/api/v1/repositories/hello/entrances", n)
	if a.Code != http.StatusCreated || strings.Contains(a.Body.String(), token) || !strings.Contains(a.Body.String(), `"secret":"whsec_`) || !strings.Contains(a.Body.String(), `"api":"https://api.github.com"`) {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	all, err := w.Entrances.List(w.ctx, r.ID)
	if err != nil || len(all) != 1 {
		t.Fatalf("%v %v", all, err)
	}
	secrets, err := w.Entrances.Secrets(all[0])
	must(t, err)
	path := "/api/v1/repositories/hello/entrances/" + itoa(all[0].ID)
	for _, p := range []string{"/api/v1/repositories/hello/entrances", path, path + "/deliveries"} {
		if a := w.ask("owner", "GET", p, nil); a.Code != http.StatusOK || strings.Contains(a.Body.String(), token) || strings.Contains(a.Body.String(), secrets[0]) {
			t.Errorf("%s: %d %s", p, a.Code, a.Body)
		}
	}
	if a := w.ask("owner", "POST", path+"/rotate", api.EntranceSecrets{}); a.Code != http.StatusOK || !strings.Contains(a.Body.String(), "whsec_") {
		t.Errorf("%d %s", a.Code, a.Body)
	}
	now, err := w.Entrances.Of(w.ctx, r.ID, all[0].ID)
	must(t, err)
	if both, err := w.Entrances.Secrets(now); err != nil || len(both) != 2 || both[1] != secrets[0] {
		t.Errorf("after a rotation %d secrets count: %v", len(both), err)
	}
	if info, err := os.Stat(w.Entrances.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info, err)
	}
	if a := w.ask("owner", "DELETE", path, nil); a.Code != http.StatusNoContent {
		t.Errorf("%d %s", a.Code, a.Body)
	}
	if left, err := os.ReadDir(w.Entrances.Dir); err != nil || len(left) != 0 {
		t.Errorf("left %v %v", left, err)
	}
}

func TestEntrancesThatCannotBe(t *testing.T) {
	w := newWorld(t)
	w.repository("hello", false)
	for name, n := range map[string]api.NewEntrance{
		"a folder, by an owner":     {Forge: "plain", Primary: "/srv/git/x.git"},
		"plain http, by an owner":   {Forge: "github", Primary: "http://forge.test/x.git"},
		"a transport that runs":     {Forge: "plain", Primary: "ext::sh -c id"},
		"credentials inside":        {Forge: "github", Primary: "https://bob:secret@forge.test/x.git"},
		"an option":                 {Forge: "plain", Primary: "--upload-pack=id"},
		"an API over plain http":    {Forge: "github", Primary: "https://forge.test/a/x.git", API: "http://forge.test"},
		"an API with credentials":   {Forge: "github", Primary: "https://forge.test/a/x.git", API: "https://u:p@forge.test"},
		"a project that climbs":     {Forge: "github", Primary: "https://forge.test/a/x.git", Project: "../x"},
		"merge without a token":     {Forge: "github", Primary: "https://forge.test/a/x.git", Lands: "merge"},
		"an event that nobody has":  {Forge: "github", Primary: "https://forge.test/a/x.git", Events: []string{"star"}},
		"a secret of two lines":     {Forge: "github", Primary: "https://forge.test/a/x.git", Secret: "a\nb"},
		"looked at without a pause": {Forge: "github", Primary: "https://forge.test/a/x.git", Poll: 1},
	} {
		if a := w.ask("owner", "POST", "/api/v1/repositories/hello/entrances", n); a.Code < 400 || a.Code >= 500 {
			t.Errorf("%s: %d %s", name, a.Code, a.Body)
		}
	}
}
