package web

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"gatehouse/gitserver/event"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// mostScript is how much script a page may bring along, in bytes: it is read on slow lines too.
const mostScript = 30 << 10

// mostLogScript is the same for a page with a log, which alone has the script of logs.
const mostLogScript = 36 << 10

func TestScriptIsSmall(t *testing.T) {
	w := showcase(t)
	for path, most := range map[string]int{"/": mostScript, "/c/2": mostScript, "/team/hello/-/queue/main": mostScript, "/stage/11/log": mostLogScript} {
		total := 0
		for _, s := range w.session("bob").get(path).ok(200).find("script") {
			script := w.session("").get(attr(s, "src"))
			if script.status != 200 || len(script.body) == 0 {
				t.Fatalf("%s: status %d, %d bytes", attr(s, "src"), script.status, len(script.body))
			}
			total += len(script.body)
		}
		if total > most {
			t.Errorf("%s brings %d bytes of script, want at most %d", path, total, most)
		}
	}
}

// withCtrl is the bit of the Ctrl key in the devtools protocol (Input.dispatchKeyEvent).
const withCtrl = 2

// strike presses a letter together with Ctrl.
func strike(t testing.TB, tab context.Context, key string) {
	t.Helper()
	for _, kind := range []input.DispatchKeyEventType{"keyDown", "keyUp"} {
		if _, err := chromedp.Call(tab, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: kind, Key: key, Modifiers: withCtrl}); err != nil {
			t.Fatal(err)
		}
	}
}

// settled waits until a page has been loaded.
func settled(t testing.TB, tab context.Context, condition string) {
	t.Helper()
	until(t, tab, condition+` && document.readyState === 'complete'`)
}

// One change from the sign-in of its reviewer until it has landed.
func TestJourney(t *testing.T) {
	w, r := hello(t)
	w.commit("bob", "Say goodbye\n\nPeople leave, too.\n\n"+changeID(2), map[string]string{"bye.go": "package main\n\n// bye says goodbye to somebody.\nfunc bye(name string) string {\n\treturn \"goodby, \" + name\n}\n"})
	w.git("rebase", "-q", "--onto", "HEAD~2", "HEAD~1")
	id := w.propose(r, "bob", review.PushOptions{})[0].Change.ID
	page := fmt.Sprintf("/c/%d", id)
	w.must(w.web.Review.AddReviewers(t.Context(), w.actor("bob"), id, []int64{w.people["alice"].ID}, false))
	browser := chrome(t)

	alice := open(t, browser, w, "", "/", 1300, "light")
	if ask[string](t, alice, `location.pathname`) != "/signin" {
		w.must(chromedp.Do(alice, chromedp.Click(".top a.button.main")))
		settled(t, alice, `location.pathname === '/signin'`)
	}
	w.must(chromedp.Do(alice, chromedp.Click("#name")))
	press(t, alice, "alice", "\t", password, "\r")
	settled(t, alice, `location.pathname === '/repositories' && document.querySelector('form[action="/signout"]') !== null`)
	press(t, alice, "g", "d")
	settled(t, alice, `document.body.dataset.page === 'dashboard'`)
	if got := ask[string](t, alice, `document.querySelector('section.panel a[href="`+page+`"]').closest('section').querySelector('h2').textContent`); got != "My turn" {
		t.Errorf("the change stands below %q", got)
	}
	press(t, alice, "j", "\r")
	settled(t, alice, `location.pathname === '`+page+`'`)

	// a comment by keyboard; the draft is there after the page was left
	press(t, alice, "j")
	until(t, alice, `document.querySelector('.file.here') !== null`)
	press(t, alice, "n", "c")
	until(t, alice, `document.activeElement.name === 'body'`)
	press(t, alice, "Who is leaving?", "\t", "\r")
	settled(t, alice, `document.querySelector('.note.draft') !== null`)
	w.must(chromedp.Do(alice, chromedp.Reload()))
	if got := ask[string](t, alice, `document.querySelector('.note.draft .prose').textContent.trim()`); got != "Who is leaving?" {
		t.Errorf("after the reload the draft is %q", got)
	}
	w.must(chromedp.Do(alice, chromedp.Click("#f0R5 button"), chromedp.Click("tr.new a[data-suggest]")))
	settled(t, alice, `document.querySelector('#comment textarea') !== null`)
	ask[string](t, alice, `document.querySelector('#comment textarea').value = document.querySelector('#comment textarea').value.replace('goodby', 'goodbye')`)
	w.must(chromedp.Do(alice, chromedp.Click("#comment button[value=draft]")))
	settled(t, alice, `document.querySelectorAll('.note.draft').length === 2`)
	w.must(chromedp.Do(alice, chromedp.Click("#reply button.main")))
	settled(t, alice, `location.search === '?done=voted'`)
	noHarm(t, alice)

	// the author takes the suggestion: a new patch set
	bob := open(t, browser, w, "bob", page, 1300, "dark")
	w.must(chromedp.Do(bob, chromedp.Click(".suggest button")))
	settled(t, bob, `location.search === '?done=applied'`)
	if got := ask[string](t, bob, `document.querySelector('#line').textContent`); !strings.Contains(got, "patch set 2") {
		t.Errorf("after applying the head says %q", got)
	}
	noHarm(t, bob)

	// the vote on it, and the wish to land it, through the menu
	w.must(chromedp.Do(alice, chromedp.Navigate(w.server.URL+page)))
	if got := ask[string](t, alice, `[...document.querySelectorAll('#f0 td.a')].map((e) => e.textContent).join(' ')`); !strings.Contains(got, "goodbye, ") {
		t.Errorf("patch set 2 adds %q", got)
	}
	press(t, alice, "r")
	until(t, alice, `document.activeElement.name === 'message'`)
	press(t, alice, "Farewell.")
	w.must(chromedp.Do(alice, chromedp.Click("#reply .votes label:nth-child(5)"), chromedp.Click("#reply button.main")))
	settled(t, alice, `document.querySelector('#votes .score') !== null`)
	strike(t, alice, "k")
	until(t, alice, `document.activeElement.id === 'menu-find'`)
	press(t, alice, "submit", "\r")
	settled(t, alice, `document.querySelector('#why-h').textContent !== 'Ready to land'`)
	if got := ask[string](t, alice, `document.querySelector('#why .summary').textContent`); !strings.Contains(got, "the queue of main") {
		t.Errorf("after the wish to land it the page says %q", got)
	}

	// the gate lands it: the open page says so by itself
	w.transact(func(tx *db.Tx) error {
		return w.web.Review.MarkLanded(t.Context(), tx, id, 2, git.OID(w.git("rev-parse", "HEAD")), w.people["alice"].ID)
	})
	w.web.Bus.Wake(event.ChangeTopic(id))
	until(t, alice, `document.querySelector('#why .summary').textContent.includes('anded on main')`)
	noHarm(t, alice)
}

// The menu lists what the page has, narrows it by what is typed, and goes there.
func TestMenu(t *testing.T) {
	w, _ := hello(t)
	tab := open(t, chrome(t), w, "bob", "/c/1", 1300, "light")
	rows := `[...document.querySelectorAll('#menu-list [role=option]')].map((e) => e.textContent)`
	strike(t, tab, "k")
	until(t, tab, `document.querySelector('#menu').open && document.activeElement.id === 'menu-find'`)
	all := ask[[]string](t, tab, rows)
	for _, want := range []string{"Repositories Gatehouse", "main.go File", "Sign out Gatehouse"} {
		if !slices.Contains(all, want) {
			t.Errorf("the menu lacks %q: %q", want, all)
		}
	}
	if found := axeFinds(t, tab, axeRules); len(found) > 0 {
		t.Errorf("the open menu: %s", strings.Join(found, "\n"))
	}
	press(t, tab, "go file")
	if got := ask[[]string](t, tab, rows); !slices.Equal(got, []string{"main.go File"}) {
		t.Errorf("for two words the menu has %q", got)
	}
	if got := ask[string](t, tab, `document.getElementById(document.querySelector('#menu-find').getAttribute('aria-activedescendant')).getAttribute('aria-selected')`); got != "true" {
		t.Errorf("the chosen row is not told: %q", got)
	}
	ask[bool](t, tab, `document.querySelector('#f0 details').open = false; true`)
	press(t, tab, "\r")
	until(t, tab, `!document.querySelector('#menu').open && document.querySelector('#f0 details').open && document.activeElement.tagName === 'SUMMARY'`)
	strike(t, tab, "k")
	press(t, tab, "no such thing", "\r")
	if got := ask[string](t, tab, `document.querySelector('#menu-said').textContent`); got != "0 found" {
		t.Errorf("nothing is told as %q", got)
	}
	strike(t, tab, "k")
	press(t, tab, "repositories", "\r")
	settled(t, tab, `location.pathname === '/repositories'`)
	noHarm(t, tab)
	w.must(chromedp.Do(tab, chromedp.Reload()))
	wear(t, tab, 400)
	w.must(chromedp.Do(tab, chromedp.Click("#menu-open"))) // on a phone there are no keys
	until(t, tab, `document.querySelector('#menu').open && document.querySelectorAll('#menu-list li').length > 5`)
}
