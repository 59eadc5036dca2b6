package web

import (
	"fmt"
	"testing"

	"gatehouse/review"
)

// What the script does on a diff: hidden lines, files that load when they come into sight, the
// filter, viewed marks, links to lines. None of it breaks the policy of the page.
func TestDiffInTheBrowser(t *testing.T) {
	w, r, _ := longChange(t)
	w.showDiff(r)
	w.git("checkout", "-q", "HEAD~1")
	many := map[string]string{}
	for i := range maxPageFiles + 5 {
		many[fmt.Sprintf("many/f%03d.txt", i)] = textOf(numberedLines(30))
	}
	w.commit("alice", "Many\n\n"+changeID(77), many)
	held := w.propose(r, "alice", review.PushOptions{})
	browser := chrome(t)

	tab := open(t, browser, w, "bob", "/c/1?diff=unified", 1300, "light")
	run := func(script string) {
		t.Helper()
		ask[bool](t, tab, `(() => { `+script+`; return true; })()`)
	}
	click := func(selector string) {
		t.Helper()
		run(`document.querySelector('` + selector + `').click()`)
	}
	click(`#f0 .more a[data-gap*="show=down"]`)
	until(t, tab, `document.querySelector('#f0R53') !== null && document.querySelector('#f0R54') === null`)
	click(`#f0 .more a[data-gap^="54-"][data-gap*="show=all"]`)
	until(t, tab, `document.querySelector('#f0R70') !== null`)
	click(`#f0R60 button`)
	until(t, tab, `document.querySelector('.talk.new .linkto') !== null`)
	if got := ask[string](t, tab, `document.querySelector('.linkto').getAttribute('href')`); got != "/c/1?ps=1&base=0&at=a.txt%3AR60#f0R60" {
		t.Errorf("link to the line %q", got)
	}
	click(`#f1 button.view`)
	until(t, tab, `!document.querySelector('#f1 details').open && document.querySelector('#f1 button.view').name === 'unview' && document.querySelector('#viewed-count b').textContent === '1'`)
	run(`const f = document.querySelector('#filter'); f.value = 'B.'; f.dispatchEvent(new Event('input', {bubbles: true}))`)
	until(t, tab, `document.querySelector('#f0').hidden && !document.querySelector('#f1').hidden && document.querySelectorAll('.leaf:not([hidden])').length === 1`)
	if bad := ask[string](t, tab, `bad.join('; ')`); bad != "" {
		t.Errorf("on the page of lines: %s", bad)
	}

	tab = open(t, browser, w, "bob", w.diffPage(""), 1300, "light")
	press(t, tab, "j", "j", "v") // the message, then the first file
	until(t, tab, `document.querySelector('#f0 button.view').name === 'unview' && document.querySelector('#viewed-count b').textContent === '1'`)
	click(`.look input[value=swipe]`)
	run(`const f = document.querySelector('.look input[type=range]'); f.value = '30'; f.dispatchEvent(new Event('input', {bubbles: true}))`)
	if got := ask[string](t, tab, `getComputedStyle(document.querySelector('.pictures .is img')).clipPath`); got != "inset(0px 70% 0px 0px)" && got != "inset(0px calc(70%) 0px 0px)" {
		t.Errorf("swipe shows %q", got)
	}
	id := ask[string](t, tab, `[...document.querySelectorAll('.file')].find((f) => f.querySelector('.path').textContent === 'go.sum').id`)
	click("#" + id + " a[data-show]")
	until(t, tab, `document.querySelector('#`+id+` table.code') !== null && document.querySelector('#`+id+` > header > details').open`)
	if bad := ask[string](t, tab, `bad.join('; ')`); bad != "" {
		t.Errorf("on the page of pictures: %s", bad)
	}

	tab = open(t, browser, w, "bob", fmt.Sprintf("/c/%d", held[len(held)-1].Change.ID), 1300, "light")
	last := fmt.Sprintf("#f%d", maxPageFiles+4)
	if got := ask[bool](t, tab, `document.querySelector('`+last+` table.code') === null`); !got {
		t.Error("the last file is there already")
	}
	run(`document.querySelector('` + last + `').scrollIntoView()`)
	until(t, tab, `document.querySelector('`+last+` table.code') !== null`)
	if bad := ask[string](t, tab, `bad.join('; ')`); bad != "" {
		t.Errorf("on the page of many files: %s", bad)
	}
}

// In a narrow window each side of a line has a row of its own. What a cell holds must fit into it:
// a line that breaks, a thread, a note of where a piece begins.
func TestNarrowDiffInTheBrowser(t *testing.T) {
	w := showcase(t)
	browser := chrome(t)
	tab := open(t, browser, w, "bob", "/c/2?diff=split", 400, "light")
	spills := `[...document.querySelectorAll('.split td')].filter((td) => td.scrollHeight > td.clientHeight + 1)`
	if cells := ask[int](t, tab, `document.querySelectorAll('.split td.c').length`); cells < 10 {
		t.Fatalf("the page shows %d cells of code side by side", cells)
	}
	if n := ask[int](t, tab, spills+`.length`); n != 0 {
		t.Errorf("%d cells spill over: %s", n, ask[string](t, tab, spills+`.slice(0, 3).map((td) => td.textContent.trim().slice(0, 60)).join(" | ")`))
	}
	if wide := ask[int](t, tab, `document.documentElement.scrollWidth`); wide > 400 {
		t.Errorf("the page is %d pixels wide in a window of 400", wide)
	}
}
