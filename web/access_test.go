package web

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// TestPagesCanBeUsedByEverybody holds every page to what assistive technology needs and what
// can be seen in the markup: names for controls, headers for tables, one heading, landmarks.
func TestPagesCanBeUsedByEverybody(t *testing.T) {
	w := showcase(t)
	for _, p := range everyPage(w) {
		a := w.session(p.who).get(p.path)
		page := a.page()
		for selector, want := range map[string]int{"h1": 1, "main": 1, "html[lang=en]": 1, "a.skip": 1, "title": 1, "header.top nav[aria-label]": 1, "[role=status]": 1} {
			if got := len(find(page, selector)) - len(find(page, ".prose "+selector)); got != want && !(selector == "[role=status]" && got > want) {
				t.Errorf("%s: %d of %s, want %d", p.name, got, selector, want)
			}
		}
		ids, labelled := map[string]bool{}, map[string]bool{}
		for n := range page.Descendants() {
			if id := attr(n, "id"); id != "" {
				if ids[id] {
					t.Errorf("%s: two elements are called #%s", p.name, id)
				}
				ids[id] = true
			}
			if n.Data == "label" {
				labelled[attr(n, "for")] = true
			}
		}
		for n := range page.Descendants() {
			if n.Type == html.ElementNode {
				usable(t, p.name, n, ids, labelled)
			}
		}
	}
}

func usable(t *testing.T, where string, n *html.Node, ids, labelled map[string]bool) {
	t.Helper()
	named := attr(n, "aria-label") != "" || attr(n, "aria-labelledby") != ""
	if by := attr(n, "aria-labelledby"); by != "" && !ids[by] {
		t.Errorf("%s: <%s> is labelled by #%s, which is not there", where, n.Data, by)
	}
	switch n.Data {
	case "input", "select", "textarea":
		if kind := attr(n, "type"); kind == "hidden" || hasAttr(n, "hidden") {
			return
		}
		if !named && !labelled[attr(n, "id")] && !inside(n, "label") {
			t.Errorf("%s: <%s name=%q> has no label", where, n.Data, attr(n, "name"))
		}
	case "button", "a", "summary":
		if !named && wordsOf(n) == "" {
			t.Errorf("%s: <%s href=%q> has no words", where, n.Data, attr(n, "href"))
		}
	case "img":
		if !hasAttr(n, "alt") {
			t.Errorf("%s: a picture without alt", where)
		}
	case "svg":
		if attr(n, "aria-hidden") != "true" {
			t.Errorf("%s: an icon that is read out", where)
		}
	case "table":
		if len(find(n, "th")) == 0 {
			t.Errorf("%s: a table without headers", where)
		}
	case "section":
		if !named {
			t.Errorf("%s: a section without a name: %.60q", where, wordsOf(n))
		}
	}
	if i := attr(n, "tabindex"); i != "" && i != "0" && i != "-1" {
		t.Errorf("%s: a tab order of its own: %s", where, i)
	}
	if strings.Contains(attr(n, "class"), "state") && n.Data == "span" && wordsOf(n) == "" {
		t.Errorf("%s: a state that only colour tells", where)
	}
}

func hasAttr(n *html.Node, name string) bool {
	_, ok := attrOK(n, name)
	return ok
}

func inside(n *html.Node, tag string) bool {
	for p := n.Parent; p != nil; p = p.Parent {
		if p.Data == tag {
			return true
		}
	}
	return false
}

var token = regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6})`)

// TestContrast computes the contrast of every pair of colours that meet, in both themes
// (WCAG 2.2, 1.4.3: 4.5 for text; 1.4.11: 3 for what is not), and for who asked for more
// contrast (1.4.6: 7 for text). A reader's own colours have to take the place of all of them.
func TestContrast(t *testing.T) {
	assets, err := readAssets()
	if err != nil {
		t.Fatal(err)
	}
	tokens, _, _ := strings.Cut(string(assets["gate.css"]), "/* ---- ground")
	light, rest, _ := strings.Cut(tokens, "@media (prefers-color-scheme: dark)")
	dark, rest, _ := strings.Cut(rest, "@media (prefers-contrast: more) {")
	more, rest, _ := strings.Cut(rest, "@media (prefers-contrast: more) and (prefers-color-scheme: dark)")
	moreDark, forced, ok := strings.Cut(rest, "@media (forced-colors: active)")
	if !ok {
		t.Fatal("the sheet lacks a set of tokens")
	}
	for _, m := range token.FindAllStringSubmatch(light, -1) {
		if !regexp.MustCompile(`--` + m[1] + `: [A-Z]`).MatchString(forced) {
			t.Errorf("the reader's own colours leave --%s as it is", m[1])
		}
	}
	for theme, sheets := range map[string][]string{"light": {light}, "dark": {light, dark}, "more": {light, more}, "more, dark": {light, dark, more, moreDark}} {
		colors, text := map[string]string{}, 4.5
		if strings.HasPrefix(theme, "more") {
			text = 7
		}
		for _, m := range token.FindAllStringSubmatch(strings.Join(sheets, "\n"), -1) {
			colors[m[1]] = m[2]
		}
		check := func(least float64, fore string, backs ...string) {
			for _, back := range backs {
				if colors[fore] == "" || colors[back] == "" {
					t.Errorf("%s: no token %s or %s", theme, fore, back)
				} else if got := contrast(colors[fore], colors[back]); got < least {
					t.Errorf("%s: %s on %s is %.2f, want %.1f", theme, fore, back, got, least)
				}
			}
		}
		grounds := []string{"bg", "surface", "sunken"}
		diff := []string{"surface", "add", "del", "add-mark", "del-mark", "sunken"}
		check(text, "text", append(append(grounds, diff...), "accent-soft", "good-soft", "bad-soft", "wait-soft")...)
		check(text, "muted", append(grounds, "add-num", "del-num", "calm-soft", "raised")...)
		check(text, "accent", append(grounds, "accent-soft")...)
		check(text, "on-accent", "accent")
		for _, tone := range []string{"good", "bad", "wait", "busy", "done", "calm"} {
			check(text, tone, append(grounds, tone+"-soft")...)
		}
		for _, lane := range []string{"lane-a", "lane-b", "lane-c", "lane-d", "lane-e", "lane-f"} {
			check(text, lane, grounds...)
		}
		for _, code := range []string{"code-k", "code-t", "code-f", "code-s", "code-m", "code-c", "code-n"} {
			check(text, code, diff...)
		}
		if text > 4.5 {
			check(3, "line", grounds...)
			check(3, "line-strong", grounds...)
		}
	}
}

// contrast is WCAG's contrast ratio of two colours.
func contrast(a, b string) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(hex string) float64 {
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			return math.NaN()
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
