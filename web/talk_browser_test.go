package web

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"gatehouse/review"
)

// A reviewer picks a range, suggests other lines, and the author applies them: a new patch set.
func TestSuggestionInTheBrowser(t *testing.T) {
	w, _ := hello(t)
	browser := chrome(t)
	bob := open(t, browser, w, "bob", "/c/1?diff=unified", 1300, "light")
	w.must(chromedp.Do(bob, chromedp.Click("#f0R6 button")))
	ask[bool](t, bob, `document.querySelector('#f0R7 button').dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true, shiftKey: true }))`)
	if got := ask[string](t, bob, `document.querySelector('tr.new .where').textContent`); got != "main.go, lines 6 to 7" {
		t.Errorf("the form is about %q", got)
	}
	w.must(chromedp.Do(bob, chromedp.Click("tr.new a[data-suggest]")))
	until(t, bob, `document.querySelector('#comment textarea') !== null && document.readyState === 'complete'`)
	if got := ask[string](t, bob, `document.querySelector('#comment textarea').value`); got != "```suggestion\nfunc greet(name string) string {\n\treturn fmt.Sprintf(\"good day, %s!\", name)\n```\n" {
		t.Errorf("the form begins with %q", got)
	}
	ask[string](t, bob, `document.querySelector('#comment textarea').value = "\x60\x60\x60suggestion\nfunc greet(name string) string { // <b>\n\treturn \"good morning, \" + name\n\x60\x60\x60"`)
	// Ctrl and Enter save the draft
	ask[bool](t, bob, `document.querySelector('#comment textarea').dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', ctrlKey: true, bubbles: true, cancelable: true }))`)
	until(t, bob, `document.querySelector('.note.draft') !== null && document.readyState === 'complete'`)
	w.must(chromedp.Do(bob, chromedp.Reload(), chromedp.Click("#reply button.main")))
	until(t, bob, `location.search === '?done=voted' && document.readyState === 'complete'`)
	if got := ask[string](t, bob, `document.querySelector('tr.talk .suggest .a').textContent`); got != "+func greet(name string) string { // <b>" {
		t.Errorf("suggested %q", got)
	}
	noHarm(t, bob)

	alice := open(t, browser, w, "alice", "/c/1?diff=unified", 1300, "dark")
	hidden := `getComputedStyle(document.querySelector('.batch')).display === 'none'`
	if !ask[bool](t, alice, hidden) {
		t.Error("an empty batch shows")
	}
	w.must(chromedp.Do(alice, chromedp.Click("input.pick")))
	if ask[bool](t, alice, hidden) {
		t.Error("the batch does not show")
	}
	w.must(chromedp.Do(alice, chromedp.Click(".batch button")))
	until(t, alice, `location.search === '?done=applied' && document.readyState === 'complete'`)
	if got := ask[string](t, alice, `document.querySelector('#line').textContent`); !strings.Contains(got, "patch set 2") {
		t.Errorf("the head says %q", got)
	}
	if got := ask[string](t, alice, `document.querySelector('details.thread summary').textContent`); !strings.Contains(got, "resolved") {
		t.Errorf("the thread says %q", got)
	}
	noHarm(t, alice)
}

// Answers, quotes and what cancels them, in place.
func TestAnswersInTheBrowser(t *testing.T) {
	w, _ := hello(t)
	w.say("bob", review.NewComment{Path: "main.go", Line: 7, Body: "Is *this* right?", Unresolved: true})
	tab := open(t, chrome(t), w, "alice", "/c/1", 1300, "light")
	press(t, tab, "N")
	if !ask[bool](t, tab, `document.activeElement.closest('.thread') !== null`) {
		t.Error("N does not go to the thread")
	}
	w.must(chromedp.Do(tab, chromedp.Click("a[data-quote]")))
	if got := ask[string](t, tab, `document.activeElement.value`); got != "> Is this right?\n\n" {
		t.Errorf("quoted %q", got)
	}
	if ask[bool](t, tab, `document.activeElement.form.elements.unresolved.checked`) {
		t.Error("an answer asks for an answer by itself")
	}
	w.must(chromedp.Do(tab, chromedp.Click(".thread .cancel")))
	if got := ask[int64](t, tab, `document.querySelectorAll('.thread form.write').length`); got != 0 {
		t.Errorf("%d forms after canceling", got)
	}
	w.must(chromedp.Do(tab, chromedp.Click("a[data-reply]"), chromedp.SendKeys(".thread textarea", "Yes."), chromedp.Click(".thread button[value=publish]")))
	until(t, tab, `document.querySelector('details.thread') !== null && document.readyState === 'complete'`)
	// a link to a comment in a folded thread opens it
	w.must(chromedp.Do(tab, chromedp.Click("#threads .choice a:nth-child(2)")))
	until(t, tab, `document.querySelector('#threads .thread-list a') !== null && document.readyState === 'complete'`)
	w.must(chromedp.Do(tab, chromedp.Click("#threads .thread-list a")))
	until(t, tab, `document.querySelector('details.thread').open`)
	noHarm(t, tab)
}
