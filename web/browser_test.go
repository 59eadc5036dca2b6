package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	cdpage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
)

// browserPatience bounds a browser test: a loaded machine may take long to start chromium.
const browserPatience = 3 * time.Minute

// watch is run before any script of a page: it notes what must never happen.
const watch = `window.bad = [];
addEventListener('securitypolicyviolation', (e) => bad.push('policy: ' + e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample));
addEventListener('error', (e) => bad.push('error: ' + e.message));
window.alert = () => bad.push('alert');`

// chrome starts Debian's chromium without a window and without anything that calls out.
func chrome(t testing.TB) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser is slow to start")
	}
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("chromium is not installed")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-quic", true), chromedp.Flag("no-first-run", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-sync", true))
	patience, cancel := context.WithTimeout(context.Background(), browserPatience)
	t.Cleanup(cancel)
	alloc, cancel := chromedp.NewExecAllocator(patience, options...)
	t.Cleanup(cancel)
	browser, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	if err := chromedp.Do(browser, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	return browser
}

// open shows a page to somebody in a window of its own.
func open(t testing.TB, browser context.Context, w *world, who, path string, width int64, theme string) context.Context {
	t.Helper()
	tab, done := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(done)
	w.must(chromedp.Do(tab, chromedp.Navigate("about:blank")))
	_, err := chromedp.Call(tab, cdpage.AddScriptToEvaluateOnNewDocument, cdpage.AddScriptToEvaluateOnNewDocumentParams{Source: watch})
	w.must(err)
	if secret := w.session(who).secret; secret != "" {
		_, err := chromedp.Call(tab, network.SetCookie, network.SetCookieParams{Name: "gate_session", Value: secret, URL: w.server.URL})
		w.must(err)
	}
	_, err = chromedp.Call(tab, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1, Mobile: width < 500})
	w.must(err)
	_, err = chromedp.Call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}})
	w.must(err)
	w.must(chromedp.Do(tab, chromedp.Navigate(w.server.URL+path)))
	return tab
}

func ask[T any](t testing.TB, tab context.Context, script string) T {
	t.Helper()
	v, err := chromedp.Run(tab, chromedp.Evaluate[T](script))
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return v
}

// until waits for a condition on the page. A page that is left meanwhile takes the question
// with it, so it is asked again on the next one.
func until(t testing.TB, tab context.Context, condition string) {
	t.Helper()
	for {
		_, err := chromedp.Run(tab, chromedp.Poll[bool](condition))
		if err == nil {
			return
		}
		if tab.Err() != nil || !strings.Contains(err.Error(), "context") && !strings.Contains(err.Error(), "navigated") {
			t.Fatalf("%s: %v", condition, err)
		}
	}
}

// press sends keys as a keyboard does: what a key types is part of its event, so a page that
// takes the key for itself keeps it from typing.
func press(t testing.TB, tab context.Context, keys ...string) {
	t.Helper()
	for _, text := range keys {
		for _, r := range text {
			for _, k := range kb.Encode(r) {
				switch k.Type {
				case kb.KeyChar:
					continue
				case kb.KeyDown:
					if k.Type = "keyDown"; r != '\t' {
						k.Text = string(r)
					}
				}
				if _, err := chromedp.Call(tab, input.DispatchKeyEvent, *k); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// A reviewer finds a change, comments on it and votes without touching the mouse.
func TestReviewByKeyboard(t *testing.T) {
	w, _ := hello(t)
	browser := chrome(t)
	tab := open(t, browser, w, "bob", "/", 1300, "light")
	press(t, tab, "j", "\r")
	until(t, tab, `location.pathname === '/c/1' && document.readyState === 'complete'`)
	press(t, tab, "j")
	until(t, tab, `document.querySelector('.file.here') !== null`)
	press(t, tab, "n")
	until(t, tab, `document.activeElement.name === 'comment'`)
	press(t, tab, "c")
	until(t, tab, `document.activeElement.name === 'body'`)
	press(t, tab, "Why so polite?", "\t", "\r") // to "Save draft"
	until(t, tab, `document.querySelector('tr.talk .note.draft') !== null && document.readyState === 'complete'`)
	w.must(chromedp.Do(tab, chromedp.Reload()))
	if got := ask[string](t, tab, `document.querySelector('tr.talk .note.draft .prose').textContent.trim()`); got != "Why so polite?" {
		t.Errorf("draft %q", got)
	}
	press(t, tab, "r")
	until(t, tab, `document.activeElement.name === 'message'`)
	press(t, tab, "Fine by me.")
	w.must(chromedp.Do(tab, chromedp.Click("#reply .votes label:nth-child(5)"), chromedp.Click("#reply button.main")))
	until(t, tab, `document.querySelector('#votes .score') !== null && document.readyState === 'complete'`)
	if got := ask[string](t, tab, `document.querySelector('#votes .score').textContent`); got != "+2" {
		t.Errorf("vote %q", got)
	}
	if got := w.session("alice").get("/c/1").texts("tr.talk .thread .prose"); !slices.Equal(got, []string{"Why so polite?"}) {
		t.Errorf("published with it: %q", got)
	}
	press(t, tab, "?")
	until(t, tab, `document.querySelector('#keys').open`)
	press(t, tab, "?", "u")
	until(t, tab, `location.pathname === '/hello/-/changes'`)
	noHarm(t, tab)
}

func noHarm(t testing.TB, tab context.Context) {
	t.Helper()
	if bad := ask[[]string](t, tab, `window.bad`); len(bad) > 0 {
		t.Errorf("on %s: %s", ask[string](t, tab, `location.href`), strings.Join(bad, "; "))
	}
}

// Parts of an open page renew themselves and leave alone what somebody types in.
func TestPageRenewsItself(t *testing.T) {
	w, _ := hello(t)
	tab := open(t, chrome(t), w, "alice", "/c/1", 1300, "dark")
	w.must(chromedp.Do(tab, chromedp.SendKeys("#message", "half a sentence")))
	at := ask[float64](t, tab, `document.querySelector('#message').getBoundingClientRect().top`)
	w.session("bob").post("/c/1/vote", url.Values{"ps": {"1"}, "label.Code-Review": {"2"}}).ok(303)
	until(t, tab, `document.querySelector('#votes .score')?.textContent === '+2'`)
	if got := ask[string](t, tab, `document.querySelector('#message').value`); got != "half a sentence" {
		t.Errorf("the text became %q", got)
	}
	if now := ask[float64](t, tab, `document.querySelector('#message').getBoundingClientRect().top`); now < at-1 || now > at+1 {
		t.Errorf("what is read jumped from %.0f to %.0f", at, now)
	}
	if got := ask[string](t, tab, `document.activeElement.id`); got != "message" {
		t.Errorf("the focus went to %q", got)
	}
	noHarm(t, tab)
}

func TestLogGrowsInTheBrowser(t *testing.T) {
	w, _ := hello(t)
	run := func(s plan.StageState) []gatekeeper.Run {
		return []gatekeeper.Run{{ID: 1, Change: 1, Stages: []gatekeeper.StageRun{{ID: 5, Change: 1, Stage: "unit", State: s}}}}
	}
	w.gate.set(1, nil, run(plan.Running))
	w.gate.write(5, "one\n", false)
	tab := open(t, chrome(t), w, "", "/stage/5/log", 1300, "light")
	w.gate.write(5, "\x1b[31mtwo\x1b[0m <b>\n", false)
	until(t, tab, `document.querySelectorAll('#log li').length === 2`)
	if got := ask[string](t, tab, `document.querySelector('#L2').textContent`); got != "2two <b>" {
		t.Errorf("line 2: %q", got)
	}
	w.gate.set(1, nil, run(plan.Passed))
	w.gate.write(5, "three\n", true)
	until(t, tab, `document.querySelector('#tail') === null`)
	if got := ask[string](t, tab, `document.querySelector('#stage-head .pill').textContent`); got != "passed" {
		t.Errorf("state %q", got)
	}
	noHarm(t, tab)
}

// Every page, on a wide and on a narrow window, breaks no policy, has no script error and
// does not scroll sideways.
func TestEveryPageInTheBrowser(t *testing.T) {
	browser := chrome(t)
	w := showcase(t)
	fitsWindows(t, browser, w, everyPage(w))
	w = shopShowcase(t)
	fitsWindows(t, browser, w, w.shopPages())
}

// outOfPlace names what a narrow window pushes out: parts of a heading beyond their panel, the tab of
// the page out of sight, a bar that needs another line for the way out.
const outOfPlace = `[...document.querySelectorAll('.panel > header :is(a, button, input)')]
	.filter((e) => e.getBoundingClientRect().right > e.closest('.panel').getBoundingClientRect().right + 1)
	.concat([...document.querySelectorAll('.tabs [aria-current]')].filter((e) => e.getBoundingClientRect().right > innerWidth))
	.concat([...document.querySelectorAll('.top [action="/signout"]')].filter((e) => e.getBoundingClientRect().top > document.querySelector('.brand').getBoundingClientRect().bottom))
	.map((e) => e.outerHTML.slice(0, 120))`

// fitsWindows looks at pages in a wide and in a narrow window.
func fitsWindows(t *testing.T, browser context.Context, w *world, pages []pageOf) {
	t.Helper()
	tabs := map[string]context.Context{}
	for _, p := range pages {
		for _, width := range []int64{1300, 390} {
			key := fmt.Sprint(p.who, width)
			if tabs[key] == nil {
				tabs[key] = open(t, browser, w, p.who, "/robots.txt", width, "light")
			}
			tab := tabs[key]
			w.must(chromedp.Do(tab, chromedp.Navigate(w.server.URL+p.path)))
			noHarm(t, tab)
			if wide := ask[int64](t, tab, `document.documentElement.scrollWidth`); wide > width {
				t.Errorf("%s is %d wide in a window of %d", p.name, wide, width)
			}
			if out := ask[[]string](t, tab, outOfPlace); len(out) > 0 {
				t.Errorf("%s, %d wide: out of place:\n%s", p.name, width, strings.Join(out, "\n"))
			}
			if got := ask[string](t, tab, `getComputedStyle(document.querySelector('.top')).position`); got != "sticky" {
				t.Errorf("%s has no style", p.name)
			}
		}
	}
}

// A part that the server renews has its buttons to copy as the page had them.
func TestRenewedPartsCopyInTheBrowser(t *testing.T) {
	w := shopShowcase(t)
	tab := open(t, chrome(t), w, "bob", "/team/shop/-/environments", 1300, "light")
	const copies = `document.querySelectorAll('.env .cmd > .copy').length`
	before := ask[int](t, tab, copies)
	if before == 0 {
		t.Fatal("there is nothing to copy")
	}
	w.session("bob").post("/team/shop/-/environments", url.Values{"environment": {"staging"}, "do": {"freeze"}, "reason": {"the stocktaking of stocktakings"}}).ok(http.StatusSeeOther)
	until(t, tab, `document.querySelector('.envs').textContent.includes('the stocktaking of stocktakings')`)
	if after := ask[int](t, tab, copies); after < before {
		t.Errorf("%d buttons to copy, and %d after the part was renewed", before, after)
	}
}

// The same pages in a real browser: nothing runs, and nothing even tries to.
func TestHostileTextInTheBrowser(t *testing.T) {
	w, paths := hostileWorld(t)
	browser := chrome(t)
	tab := open(t, browser, w, "bob", "/", 1300, "light")
	for _, path := range paths[:14] { // one of each kind of page
		w.must(chromedp.Do(tab, chromedp.Navigate(w.server.URL+path)))
		noHarm(t, tab)
	}
}

// A review that is begun is there again after the page was left for a comment.
func TestDraftSurvives(t *testing.T) {
	w, _ := hello(t)
	tab := open(t, chrome(t), w, "bob", "/c/1", 1300, "light")
	w.must(chromedp.Do(tab, chromedp.SendKeys("#message", "first thoughts")))
	w.must(chromedp.Do(tab, chromedp.Click("#f0R7 button"), chromedp.SendKeys("tr.new textarea", "a question"), chromedp.Click("tr.new button[value=publish]")))
	until(t, tab, `document.querySelector('tr.talk .thread') !== null && document.readyState === 'complete'`)
	if got := ask[string](t, tab, `document.querySelector('#message').value`); got != "first thoughts" {
		t.Errorf("the draft became %q", got)
	}
	w.must(chromedp.Do(tab, chromedp.Click("#reply button.main")))
	until(t, tab, `location.search === '?done=voted' && document.readyState === 'complete'`)
	if got := ask[string](t, tab, `document.querySelector('#message').value`); got != "" {
		t.Errorf("a published review is still there: %q", got)
	}
	noHarm(t, tab)
}
