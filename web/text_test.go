package web

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"gatehouse/review/diff"
)

func TestVisible(t *testing.T) {
	hid := func(code string) string { return `<span class="hid" title="hidden character">` + code + `</span>` }
	for in, want := range map[string]string{
		"plain text\twith tab\n": "plain text\twith tab\n", "a<b>&\"c'": "a&lt;b&gt;&amp;&#34;c&#39;", "grün ✓ 漢字": "grün ✓ 漢字",
		"a\u202eb": "a" + hid("U+202E") + "b", "\x1b[31m": hid("U+001B") + "[31m", "caf\xe9": "caf" + hid(`\xE9`), "\u200b\u200b": hid("U+200B") + hid("U+200B"),
		"": "", "\r\n": hid("U+000D") + "\n", "\U000e0041": hid("U+E0041"), "\ufffd": "\ufffd",
	} {
		if got := string(visible(in)); got != want {
			t.Errorf("visible(%q)\n got %q\nwant %q", in, got, want)
		}
	}
	if got := plain("x\u202ey\x00"); got != "x[U+202E]y[U+0000]" {
		t.Errorf("plain = %q", got)
	}
}

func TestMessageLinksAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"see http://a.test/x?y=1&z=2.": `see <a rel="nofollow noopener" href="http://a.test/x?y=1&amp;z=2">http://a.test/x?y=1&amp;z=2</a>.`,
		"(https://a.test)":             `(<a rel="nofollow noopener" href="https://a.test">https://a.test</a>)`,
		`http://a"onclick=x`:           `<a rel="nofollow noopener" href="http://a">http://a</a>&#34;onclick=x`,
		"ftp://a no link":              "ftp://a no link",
	} {
		if got := string(message(in)); got != want {
			t.Errorf("message(%q)\n got %s\nwant %s", in, got, want)
		}
	}
}

func TestMarkdown(t *testing.T) {
	at := place{Repo: "team/hello", Rev: "main", Dir: "docs"}
	for in, want := range map[string]string{
		"[a](x.go)":               `<p><a href="/team/hello/-/tree/main/docs/x.go" rel="nofollow">a</a></p>`,
		"[a](../x.md#some-part)":  `<p><a href="/team/hello/-/tree/main/x.md#md-some-part" rel="nofollow">a</a></p>`,
		"[a](x.go#L7)":            `<p><a href="/team/hello/-/tree/main/docs/x.go#L7" rel="nofollow">a</a></p>`,
		"[a](/x.go)":              `<p><a href="/team/hello/-/tree/main/x.go" rel="nofollow">a</a></p>`,
		"[a](../../../../etc)":    `<p><a href="/team/hello/-/tree/main/etc" rel="nofollow">a</a></p>`,
		"[a](#part)":              `<p><a href="#md-part" rel="nofollow">a</a></p>`,
		"[a](https://b.test/c)":   `<p><a href="https://b.test/c" rel="nofollow">a</a></p>`,
		"[a](javascript:x)":       `<p>a</p>`,
		"![a](p.png)":             `<p><img src="/team/hello/-/raw/main/docs/p.png" alt="a"></p>`,
		"![a](https://b.test/p)":  `<p><a href="https://b.test/p" rel="nofollow">picture: a</a></p>`,
		"# Some Part":             `<h1 id="md-some-part">Some Part</h1>`,
		"# A\n# A":                "<h1 id=\"md-a\">A</h1>\n<h1 id=\"md-a-2\">A</h1>",
		"- [x] a":                 "<ul>\n<li><span class=\"task\">☑</span> a</li>\n</ul>",
		"```go\nfunc f() {}\n```": `<pre><code><i class="k">func</i> <i class="nf">f</i>() {}</code></pre>`,
		"<b>x</b>":                `<p>x</p>`,
		"&#x202e;":                `<p>[U+202E]</p>`,
		"a\nb":                    "<p>a\nb</p>",
	} {
		if got := strings.TrimSpace(string(markdown(t.Context(), in, at))); got != want {
			t.Errorf("markdown(%q)\n got %s\nwant %s", in, got, want)
		}
	}
	if got := strings.TrimSpace(string(markdown(t.Context(), "a\nb", place{}))); got != "<p>a<br>\nb</p>" {
		t.Errorf("a comment's line break: %s", got)
	}
	if got := string(markdown(t.Context(), strings.Repeat("*x* ", maxTyped), place{})); !strings.HasPrefix(got, "<pre") {
		t.Error("a text beyond the limit was rendered")
	}
}

func TestHighlightKeepsTheText(t *testing.T) {
	for name, text := range map[string]string{
		"a.go": goFile, "a.py": "def f():\n    '''a\n    b'''\n    return 1\n", "a.md": "# x\n\n`y`\n", "Makefile": "all:\n\techo $@\n", "a.crlf.go": "package a\r\n\r\nfunc b() {}\r\n",
		"a.php": "<p><?php echo 1; ?></p>\n", "a.unknown": "x\n", "a.html": "<script>let a = '<b>'</script>\n", "empty.go": "", "a.json": `{"a": [1, true]}`,
	} {
		colors, _ := highlight(t.Context(), name, text)
		for i, line := range strings.Split(text, "\n") {
			var b strings.Builder
			writeCode(&b, line, colors.line(i+1, line), nil)
			n, err := html.Parse(strings.NewReader("<body><pre>" + b.String()))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := rawText(n), strings.ReplaceAll(line, "\r", "U+000D"); got != want {
				t.Errorf("%s line %d: %q, want %q", name, i+1, got, want)
			}
		}
	}
	if colors, _ := highlight(t.Context(), "a.go", strings.Repeat("x", maxHighlightLine+1)); colors != nil {
		t.Error("a very long line was coloured")
	}
}

func rawText(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

func TestWriteCodeJoinsStylesAndMarks(t *testing.T) {
	var b strings.Builder
	writeCode(&b, "return a<b", []span{{End: 6, Class: "k"}, {End: 10}}, []diff.Span{{Start: 4, End: 8}, {Start: 9, End: 10}})
	want := `<i class="k">retu</i><mark><i class="k">rn</i></mark><mark> a</mark>&lt;<mark>b</mark>`
	if b.String() != want {
		t.Errorf("got %s\nwant %s", b.String(), want)
	}
}

func TestTerminal(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                           `<li id="L1"><a href="?at=1#L1">1</a>plain</li>`,
		"\x1b[31mred\x1b[0m done":         `<li id="L1"><a href="?at=1#L1">1</a><span class="f1">red</span> done</li>`,
		"\x1b[1;32mgood\x1b[m":            `<li id="L1"><a href="?at=1#L1">1</a><span class="f2 b">good</span></li>`,
		"10%\r50%\r100%":                  `<li id="L1"><a href="?at=1#L1">1</a>100%</li>`,
		"windows\r":                       `<li id="L1"><a href="?at=1#L1">1</a>windows</li>`,
		"\x1b[2J\x1b[Hclear":              `<li id="L1"><a href="?at=1#L1">1</a>clear</li>`,
		"\x1b]8;;https://e.test\x07x":     `<li id="L1"><a href="?at=1#L1">1</a>x</li>`,
		"\x1b]0;title":                    `<li id="L1"><a href="?at=1#L1">1</a></li>`,
		"\x1b[38;5;196mx\x1b[48;2;1;2;3m": `<li id="L1"><a href="?at=1#L1">1</a>x</li>`,
		"\x1b[38;2mx\x1b[":                `<li id="L1"><a href="?at=1#L1">1</a>x</li>`,
		"a<b":                             `<li id="L1"><a href="?at=1#L1">1</a>a&lt;b</li>`,
		"--- FAIL: TestX":                 `<li id="L1" class="bad"><a href="?at=1#L1">1</a>--- FAIL: TestX</li>`,
		"\x1b[31mFAIL\x1b[0m":             `<li id="L1" class="bad"><a href="?at=1#L1">1</a><span class="f1">FAIL</span></li>`,
	} {
		var term terminal
		term.writeLine(in)
		if got := strings.TrimSpace(term.b.String()); got != want {
			t.Errorf("%q\n got %s\nwant %s", in, got, want)
		}
	}
}

func TestColoursGoOnOverLines(t *testing.T) {
	var term terminal
	term.writeLine("\x1b[31mone")
	term.writeLine("two\x1b[0m")
	term.writeLine("three")
	want := "<li id=\"L1\"><a href=\"?at=1#L1\">1</a><span class=\"f1\">one</span></li>\n<li id=\"L2\"><a href=\"?at=2#L2\">2</a><span class=\"f1\">two</span></li>\n<li id=\"L3\"><a href=\"?at=3#L3\">3</a>three</li>\n"
	if got := term.b.String(); got != want {
		t.Errorf("got %s", got)
	}
}

func TestDiffRows(t *testing.T) {
	patch := "diff --git a/x.txt b/x.txt\nindex 1111111111111111111111111111111111111111..2222222222222222222222222222222222222222 100644\n--- a/x.txt\n+++ b/x.txt\n@@ -3,3 +3,4 @@ func <x>\n same\n-old word\n+new word\n+more\n end\n\\ No newline at end of file\n"
	files, err := diff.Parse([]byte(patch))
	if err != nil {
		t.Fatal(err)
	}
	for i := range files[0].Hunks {
		diff.Intraline(&files[0].Hunks[i])
	}
	for name, draw := range map[string]func(*rows){"unified": func(r *rows) { r.unified(files[0].Hunks) }, "split": func(r *rows) { r.split(files[0].Hunks) }} {
		r := rows{id: "f0", form: "Ff0", below: func(side byte, line int) string {
			if side == 'R' && line == 5 {
				return "<b>talk</b>"
			}
			return ""
		}}
		draw(&r)
		page := answer{body: r.b.String(), t: t}
		if got := page.one("tr.h"); !strings.Contains(got, "func <x>") {
			t.Errorf("%s: hunk %q", name, got)
		}
		if got := page.one("tr.talk b"); got != "talk" {
			t.Errorf("%s: talk %q", name, got)
		}
		for _, id := range []string{"#f0L4", "#f0R4", "#f0R5", "#f0R6", "#f0L5"} {
			if len(page.find(id)) != 1 {
				t.Errorf("%s: %d anchors %s", name, len(page.find(id)), id)
			}
		}
		if got := fmt.Sprint(len(page.find("td.a mark")), len(page.find("td.d mark"))); got != "1 1" {
			t.Errorf("%s: marks %s", name, got)
		}
		if len(page.find(".noeol")) == 0 {
			t.Errorf("%s: the missing line end is not shown", name)
		}
		if b := page.find("#f0R4 button")[0]; attr(b, "form") != "Ff0" || attr(b, "value") != "R4" {
			t.Errorf("%s: line number's button %v", name, b.Attr)
		}
	}
}

func TestWords(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0: "just now", 59 * time.Second: "just now", time.Minute: "1 min ago", 90 * time.Minute: "1 h ago", 25 * time.Hour: "1 day ago", 72 * time.Hour: "3 days ago",
		-2 * time.Minute: "in 2 min", -time.Second: "in 1 min", 40 * 24 * time.Hour: "13 Oct 2026",
	} {
		if got := fmt.Sprint(ago(d, now.Add(-d), nil)); got != want {
			t.Errorf("ago(%v) = %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{250 * time.Millisecond: "250 ms", 4200 * time.Millisecond: "4.2 s", 62 * time.Second: "1 min 02 s", 3 * time.Hour: "3 h 00 min"} {
		if got := took(now, now.Add(d)); got != want {
			t.Errorf("took(%v) = %q, want %q", d, got, want)
		}
	}
	if got := repoURL("team/hello", "file", "feature/x", "a b/c#d?.go"); got != "/team/hello/-/file/feature/x/a%20b/c%23d%3F.go" {
		t.Errorf("repoURL = %s", got)
	}
	for n, want := range map[int64]string{1: "1 byte", 2048: "2.0 KiB", 5 << 20: "5.0 MiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("bytesText(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestCacheForgetsTheLeastUsed(t *testing.T) {
	c := lru[int]{most: 3}
	for i, key := range []string{"a", "b", "c"} {
		c.put(key, 1, i)
	}
	c.get("a")
	c.put("d", 1, 3)
	if _, ok := c.get("b"); ok {
		t.Error("b is still there")
	}
	for _, key := range []string{"a", "c", "d"} {
		if _, ok := c.get(key); !ok {
			t.Errorf("%s is gone", key)
		}
	}
	c.put("large", 4, 4)
	if _, ok := c.get("large"); ok || c.sum != 3 {
		t.Errorf("kept what is larger than all room; sum %d", c.sum)
	}
}
