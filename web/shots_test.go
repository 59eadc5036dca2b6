package web

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
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
	browser := chrome(t)
	head := w.git("rev-parse", "HEAD~1")
	for _, s := range []struct{ name, who, path string }{
		{"signin", "", "/signin"}, {"link", "", "/signin/abc"}, {"missing", "", "/nowhere"},
		{"dashboard", "bob", "/"}, {"dashboard-empty", "carol", "/"}, {"repositories", "bob", "/repositories"},
		{"repo", "bob", "/team/hello"}, {"repo-empty", "alice", "/empty"}, {"tree", "bob", "/team/hello/-/tree/main/docs"}, {"file", "bob", "/team/hello/-/file/main/server.go"},
		{"branches", "bob", "/team/hello/-/branches"}, {"log", "bob", "/team/hello/-/log"}, {"commit", "bob", "/team/hello/-/commit/" + head},
		{"changes", "bob", "/team/hello/-/changes"}, {"queue", "bob", "/team/hello/-/queue/main"}, {"repo-settings", "alice", "/team/hello/-/settings"},
		{"change", "bob", "/c/2"}, {"change-unified", "bob", "/c/2?diff=unified"}, {"change-form", "bob", "/c/2?diff=split&ps=2&on=server.go&comment=R21"},
		{"change-old", "bob", "/c/2?ps=1"}, {"change-between", "bob", "/c/2?ps=2&base=1"}, {"change-anon", "", "/c/1"}, {"change-mine", "alice", "/c/3"},
		{"stage-failed", "bob", "/stage/11/log"}, {"stage-running", "bob", "/stage/21/log"}, {"settings", "alice", "/settings"},
	} {
		if only != "" && !strings.Contains(","+only+",", ","+s.name+",") {
			continue
		}
		for _, look := range []struct {
			name  string
			width int64
			dark  string
		}{{"light", 1400, "light"}, {"dark", 1400, "dark"}, {"phone", 400, "light"}} {
			png := shoot(t, browser, w, w.session(s.who).secret, s.path, look.width, look.dark)
			w.must(os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%s.png", s.name, look.name)), png, 0o644))
		}
	}
}

// chrome starts Debian's chromium without a window and without anything that calls out.
func chrome(t testing.TB) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-quic", true), chromedp.Flag("no-first-run", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-sync", true))
	alloc, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	browser, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	if err := chromedp.Do(browser, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	return browser
}

// shoot draws one page in a tab of its own.
func shoot(t testing.TB, browser context.Context, w *world, secret, path string, width int64, theme string) []byte {
	t.Helper()
	tab, done := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	defer done()
	w.must(chromedp.Do(tab, chromedp.Navigate("about:blank")))
	if secret != "" {
		_, err := chromedp.Call(tab, network.SetCookie, network.SetCookieParams{Name: "gate_session", Value: secret, URL: w.server.URL})
		w.must(err)
	}
	_, err := chromedp.Call(tab, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1, Mobile: width < 500})
	w.must(err)
	_, err = chromedp.Call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}})
	w.must(err)
	w.must(chromedp.Do(tab, chromedp.Navigate(w.server.URL+path)))
	png, err := chromedp.Run(tab, chromedp.FullScreenshot(100))
	w.must(err)
	return png
}
