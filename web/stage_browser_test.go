package web

import (
	"strings"
	"testing"

	"gatehouse/gatekeeper/plan"
)

// A log opens at its first failure, loads more in place, and links to ranges of lines.
func TestLogInTheBrowser(t *testing.T) {
	log := "::group::Set up\nunpack\n::endgroup::\n" + numbered(9_000, 5_000)
	w := stageWorld(t, plan.Failed, log)
	browser := chrome(t)
	tab := open(t, browser, w, "", "/stage/5/log", 1300, "light")
	inSight := func(id string) string {
		return `(() => { const r = document.getElementById('` + id + `').getBoundingClientRect(); return r.top > 0 && r.bottom < innerHeight; })()`
	}
	until(t, tab, inSight("L5003"))
	if got := ask[int](t, tab, `document.querySelectorAll('#log li').length`); got != logWindow {
		t.Fatalf("%d lines", got)
	}
	ask[bool](t, tab, `document.querySelector('#log [rel=prev]').click() || true`)
	until(t, tab, `document.getElementById('L3000') !== null`)
	for range 2 {
		ask[bool](t, tab, `document.querySelector('#log [rel=prev]').click() || true`)
		until(t, tab, `document.querySelectorAll('#log li').length > 4500`)
	}
	until(t, tab, `document.getElementById('L1') !== null && document.querySelector('#log [rel=prev]') === null`)
	if got := ask[bool](t, tab, `[...document.querySelectorAll('#log li')].every((e, i) => e.id === 'L' + (i + 1))`); !got {
		t.Error("lines are missing, twice there, or out of order")
	}
	if got := ask[bool](t, tab, `document.getElementById('L2').hidden && document.querySelector('#L1 [role=button]').getAttribute('aria-expanded') === 'false'`); !got {
		t.Error("a group without a failure stands open")
	}
	ask[bool](t, tab, `document.querySelector('#L1 [role=button]').dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }))`)
	until(t, tab, `!document.getElementById('L2').hidden`)

	// a range
	ask[bool](t, tab, `document.querySelector('#L10 a').click() || true`)
	ask[bool](t, tab, `document.querySelector('#L12 a').dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true, shiftKey: true })) || true`)
	until(t, tab, `document.querySelectorAll('#log li.lit').length === 3`)
	if got := ask[string](t, tab, `location.search + location.hash`); got != "?at=10-12#L10-L12" {
		t.Errorf("the address is %q", got)
	}
	noHarm(t, tab)

	for path, first := range map[string]string{"/stage/5/log?at=10-12#L10-L12": "L10", "/stage/5/log#L8500": "L8500", "/stage/5/log#first": "L5003"} {
		tab := open(t, browser, w, "", path, 1300, "dark")
		until(t, tab, `document.getElementById('`+first+`') !== null && `+inSight(first))
		if lit := ask[int](t, tab, `document.querySelectorAll('#log li.lit').length`); lit != 1+2*strings.Count(path, "12#") {
			t.Errorf("%s: %d lines are highlighted", path, lit)
		}
		noHarm(t, tab)
	}
}

// A log that is followed stays at its end and holds only so many lines.
func TestFollowingALog(t *testing.T) {
	w := stageWorld(t, plan.Running, numbered(3_000, 0))
	tab := open(t, chrome(t), w, "", "/stage/5/log", 1300, "light")
	atEnd := `innerHeight + scrollY > document.body.scrollHeight - 4`
	until(t, tab, atEnd)
	w.gate.write(5, strings.Repeat("more\n", 6_000), false)
	until(t, tab, `document.getElementById('L9000') !== null && document.getElementById('L2500') === null`)
	until(t, tab, atEnd)
	ask[bool](t, tab, `document.getElementById('follow').click() || true`)
	before := ask[float64](t, tab, `(scrollTo(0, 0), scrollY)`)
	w.gate.write(5, "one more\n", false)
	until(t, tab, `document.getElementById('L9001') !== null`)
	if now := ask[float64](t, tab, `scrollY`); now != before {
		t.Errorf("moved from %.0f to %.0f though nobody follows", before, now)
	}
	noHarm(t, tab)
}
