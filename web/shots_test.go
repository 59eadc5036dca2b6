package web

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// TestScreenshots draws every page when GATE_SCREENSHOTS names a folder, for people to look at.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("GATE_SCREENSHOTS")
	if dir == "" {
		t.Skip("set GATE_SCREENSHOTS to a folder to draw the pages")
	}
	only := os.Getenv("GATE_SCREENSHOTS_ONLY")
	w := showcase(t)
	shoot(t, w, dir, only, everyPage(w))
	w = shopShowcase(t)
	shoot(t, w, dir, only, w.shopPages())
}

// The looks that people have: a wide window and a phone, in both themes.
var shotLooks = []struct {
	name, theme string
	width       int64
}{{"light", "light", 1280}, {"dark", "dark", 1280}, {"phone", "light", 390}, {"phone-dark", "dark", 390}}

func shoot(t *testing.T, w *world, dir, only string, pages []pageOf) {
	if only != "" {
		pages = slices.DeleteFunc(pages, func(p pageOf) bool { return !slices.Contains(strings.Split(only, ","), p.name) })
	}
	for group := range slices.Chunk(pages, axePages) {
		t.Run(group[0].name, func(t *testing.T) {
			browser := chrome(t)
			for _, p := range group {
				tab := open(t, browser, w, p.who, "/robots.txt", shotLooks[0].width, shotLooks[0].theme)
				for _, look := range shotLooks {
					wear(t, tab, look.width, &emulation.MediaFeature{Name: "prefers-color-scheme", Value: look.theme})
					w.must(chromedp.Do(tab, chromedp.Navigate(w.server.URL+p.path)))
					png, err := chromedp.Run(tab, chromedp.FullScreenshot(100))
					w.must(err)
					w.must(os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%s.png", p.name, look.name)), png, 0o644))
				}
				w.must(chromedp.Do(tab, chromedp.Navigate("about:blank")))
			}
		})
	}
}

// pageOf is a page of the showcase as one person sees it.
type pageOf struct{ name, who, path string }

func everyPage(w *world) []pageOf {
	return append(append(append(w.toldPages(), w.turnPages()...), w.actPages()...), []pageOf{
		{"signin", "", "/signin"}, {"link", "", "/signin/abc"}, {"missing", "", "/nowhere"},
		{"dashboard", "bob", "/"}, {"dashboard-empty", "carol", "/"}, {"repositories", "bob", "/repositories"},
		{"repo", "bob", "/team/hello"}, {"repo-empty", "alice", "/empty"}, {"tree", "bob", "/team/hello/-/tree/main/docs"}, {"file", "bob", "/team/hello/-/file/main/server.go"},
		{"branches", "bob", "/team/hello/-/branches"}, {"log", "bob", "/team/hello/-/log"}, {"commit", "bob", "/team/hello/-/commit/" + w.git("rev-parse", "HEAD~1")},
		{"changes", "bob", "/team/hello/-/changes"}, {"queue", "bob", "/team/hello/-/queue/main"}, {"flakes", "bob", "/team/hello/-/flakes"}, {"flakes-empty", "alice", "/empty/-/flakes"}, {"queue-past", "", "/team/hello/-/queue/main?at=" + w.clock().Add(-40*time.Minute).Format(secondFormat)}, {"repo-settings", "alice", "/team/hello/-/settings"},
		{"change", "bob", "/c/2"}, {"change-unified", "bob", "/c/2?diff=unified"}, {"change-form", "bob", "/c/2?diff=split&ps=2&on=server.go&comment=R21"},
		{"diff", "bob", w.diffPage("")}, {"stack", "bob", "/c/2/stack"}, {"diff-unified", "carol", w.diffPage("?diff=unified")},
		{"talk-whole", "bob", "/c/2?base=0&ps=2&threads=all&comment=/PATCHSET_LEVEL"}, {"talk-author", "alice", "/c/2?diff=unified&comment=server.go:25"},
		{"change-old", "bob", "/c/2?ps=1"}, {"change-between", "bob", "/c/2?ps=2&base=1"}, {"change-anon", "", "/c/1"}, {"change-mine", "alice", "/c/3"},
		{"tests", "bob", "/team/hello/-/tests"}, {"test-history", "bob", "/team/hello/-/tests?stage=unit&name=example.test%2Fhello.TestGreet"}, {"stage-find", "bob", "/stage/11/log?find=greet&tests=all"},
		{"stage-failed", "bob", "/stage/11/log"}, {"stage-running", "bob", "/stage/21/log"}, {"settings", "alice", "/settings"},
	}...)
}
