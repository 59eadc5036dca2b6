package web

import (
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"gatehouse/review/diff"
)

// A comment is on exactly the characters that somebody chose, and they are marked in the line.
func TestCommentOnCharacters(t *testing.T) {
	w, _ := hello(t)
	bob := w.session("bob")
	page := bob.get("/c/1?comment=R7&on=main.go&start=6&chars=5-8").ok(200)
	if got := page.one("tr.talk .hint"); got != "characters 6 to 8" {
		t.Errorf("the form says %q", got)
	}
	marked := func(path string) (all []string) {
		for _, m := range bob.get(path).ok(200).find("td.c mark.on") {
			all = append(all, wordsOf(m))
		}
		return all
	}
	form := url.Values{"ps": {"1"}, "path": {"main.go"}, "side": {"new"}, "line": {"7"}, "start": {"7"}, "from_char": {"8"}, "to_char": {"19"}, "body": {"Only this."}, "do": {"publish"}}
	bob.post("/c/1/comment", form).ok(303)
	if got := strings.Join(marked("/c/1?diff=unified"), ""); got != "fmt.Sprintf" {
		t.Errorf("marked %q", got)
	}
	if got := bob.get("/c/1").one("tr.talk .origin"); got != "characters 9 to 19" {
		t.Errorf("the thread says %q", got)
	}
	form.Set("start", "6")
	form.Set("from_char", "5")
	form.Set("to_char", "7")
	bob.post("/c/1/comment", form).ok(303)
	if got := strings.Join(marked("/c/1"), ""); !strings.HasPrefix(got, "greet(namestring)string{return") {
		t.Errorf("over two lines: %q", got)
	}
	form.Set("start", "7")
	form.Set("from_char", "9")
	bob.post("/c/1/comment", form).ok(400) // it ends before it begins
}

func TestMarksOverlap(t *testing.T) {
	for want, said := range map[string][]diff.Span{
		`a<mark>b</mark><mark class="on"><mark>c</mark></mark><mark class="on">d</mark>e`:                                                 {{Start: 2, End: 4}},
		`<mark class="on">a</mark><mark>b</mark><mark class="on"><mark>c</mark></mark><mark class="on">d</mark><mark class="on">e</mark>`: {{Start: 2, End: 9}, {Start: 0, End: 1}, {Start: 3, End: 4}},
		`a<mark>b</mark><mark>c</mark>de`: {{Start: 2, End: 2}},
	} {
		var b strings.Builder
		writeCode(&b, "abcde", nil, []diff.Span{{Start: 1, End: 3}}, said...)
		got, plainer := b.String(), strings.NewReplacer("</mark><mark>", "", `</mark><mark class="on">`, "")
		if plainer.Replace(got) != plainer.Replace(want) {
			t.Errorf("%v\n got %s\nwant %s", said, got, want)
		}
	}
	if byteOf("aäb", 2) != 3 || byteOf("a", 5) != 1 || byteOf("", 0) != 0 {
		t.Error("characters are not bytes")
	}
}

// Selecting a part of a line offers to comment on it, with a button and with the key c.
func TestSelectInTheBrowser(t *testing.T) {
	w, _ := hello(t)
	tab := open(t, chrome(t), w, "bob", "/c/1", 1300, "light")
	choose := func(from, to string) {
		ask[bool](t, tab, `(() => {
			const at = (cell, text) => {
				const walk = document.createTreeWalker(document.querySelector(cell).nextElementSibling, NodeFilter.SHOW_TEXT);
				while (walk.nextNode()) { const i = walk.currentNode.data.indexOf(text); if (i >= 0) return [walk.currentNode, i]; }
			};
			const [a, i] = at('#f0R7', '`+from+`'), [b, j] = at('#f0R7', '`+to+`');
			getSelection().setBaseAndExtent(a, i, b, j + '`+to+`'.length);
			return true;
		})()`)
	}
	choose("fmt", "Sprintf")
	until(t, tab, `!document.querySelector('.onthis').hidden`)
	w.must(chromedp.Do(tab, chromedp.Click(".onthis")))
	until(t, tab, `document.activeElement.name === 'body'`)
	press(t, tab, "Only this.")
	w.must(chromedp.Do(tab, chromedp.Click("tr.new button[value=publish]")))
	until(t, tab, `document.querySelector('td.c mark.on') !== null && document.readyState === 'complete'`)
	if got := ask[string](t, tab, `[...document.querySelectorAll('td.c mark.on')].map((e) => e.textContent).join('')`); got != "fmt.Sprintf" {
		t.Errorf("marked %q", got)
	}
	choose("good", "day")
	press(t, tab, "c")
	until(t, tab, `document.activeElement.name === 'body'`)
	if got := ask[string](t, tab, `document.activeElement.form.elements.from_char.value + '-' + document.activeElement.form.elements.to_char.value`); got != "21-29" {
		t.Errorf("characters %s", got)
	}
	noHarm(t, tab)
}
