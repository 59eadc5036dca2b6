package web

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// axe finds in a page what breaks the guidelines (see testdata/axe/LICENSE).
//
//go:embed testdata/axe/axe.min.js
var axe string

// axePages is how many pages one browser looks at, so that each browser is done in time.
const axePages = 12

// axeRules is what axe looks for: everything of the levels A and AA of WCAG 2.0 to 2.2.
const axeRules = `{type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']}`

// axeColors is what may differ in a theme, which changes nothing but colours.
const axeColors = `{type: 'rule', values: ['color-contrast', 'link-in-text-block']}`

// axeRun names what breaks the rules: the rule, where, and why.
const axeRun = `axe.run(document, {resultTypes: ['violations'], rules: {'target-size': {enabled: true}}, runOnly: %s})
	.then((r) => r.violations.flatMap((v) => v.nodes.map((n) => v.id + ': ' + n.target.join(' ') + ': ' + n.failureSummary.replace(/\s+/g, ' ') + ': ' + n.html.slice(0, 200))))`

// The looks that every page is tried in.
var axeLooks = []struct {
	name, theme, rules string
	width              int64
}{{"light", "light", axeRules, 1300}, {"dark", "dark", axeColors, 1300}, {"phone", "light", axeRules, 400}}

// wear gives an open page a look.
func wear(t testing.TB, tab context.Context, width int64, features ...*emulation.MediaFeature) {
	t.Helper()
	if _, err := chromedp.Call(tab, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1, Mobile: width < 500}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		t.Fatal(err)
	}
}

// axeFinds is what axe says of the page as it stands. The policy of the pages forbids foreign
// scripts, so it comes in as a developer's tool does.
func axeFinds(t testing.TB, tab context.Context, rules string) []string {
	t.Helper()
	if !ask[bool](t, tab, `'axe' in window`) {
		ask[bool](t, tab, axe+`; true`)
	}
	ask[bool](t, tab, `scrollTo(0, 0); true`) // what sticks would hide what is read
	return promised[[]string](t, tab, fmt.Sprintf(axeRun, rules))
}

// promised is what a promise of the page comes to.
func promised[T any](t testing.TB, tab context.Context, script string) T {
	t.Helper()
	v, err := chromedp.Run(tab, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return v
}

// Every page, in light, in dark and on a phone, keeps WCAG 2.2 AA as far as a machine can tell.
func TestAxe(t *testing.T) {
	w := showcase(t)
	for group := range slices.Chunk(everyPage(w), axePages) {
		t.Run(group[0].name, func(t *testing.T) {
			browser := chrome(t)
			for _, p := range group {
				tab := open(t, browser, w, p.who, p.path, 1300, "light")
				for _, look := range axeLooks {
					wear(t, tab, look.width, &emulation.MediaFeature{Name: "prefers-color-scheme", Value: look.theme})
					if found := axeFinds(t, tab, look.rules); len(found) > 0 {
						t.Errorf("%s, %s:\n%s", p.name, look.name, strings.Join(found, "\n"))
					}
				}
				noHarm(t, tab)
				w.must(chromedp.Do(tab, chromedp.Navigate("about:blank")))
			}
		})
	}
}
