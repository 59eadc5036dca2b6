package web

import (
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/text/language"

	"gatehouse/web/words"
)

// What people wrote, and what the rooms below say in the words of the API, stands between
// these on the pages of the made language: both belong to no language of the pages.
const contentBegin, contentEnd = "\ue000", "\ue001"

// pseudo is a language whose letters are all other letters. A bare string with a digit is no
// message: somebody built it of pieces.
func pseudo() *words.Language {
	known := map[string]bool{}
	for _, message := range templateMessages() {
		known[message] = true
	}
	return words.Made(language.MustParse("en-x-pseudo"), "Pseudo", func(source string) string {
		rest := placePattern.ReplaceAllString(source, "")
		if !known[source] && strings.ContainsAny(rest, "0123456789") {
			return source
		}
		var b strings.Builder
		for source != "" {
			if at := placePattern.FindStringIndex(source); at != nil && at[0] == 0 {
				b.WriteString(source[:at[1]])
				source = source[at[1]:]
				continue
			}
			r := rune(source[0])
			if r < 0x80 && (r|0x20) >= 'a' && (r|0x20) <= 'z' {
				b.WriteRune(r + 0xFEE0)
			} else {
				b.WriteByte(source[0])
			}
			source = source[1:]
		}
		return b.String()
	})
}

var placePattern = regexp.MustCompile(`^(?:\{[1-9][0-9]?\}|</?[1-9][0-9]?>|&lt;|&gt;)|\{[1-9][0-9]?\}|</?[1-9][0-9]?>`)

func templateMessages() []string {
	all := map[string]bool{}
	for _, file := range templatesOf("templates/*.html", "templates/parts/*.html") {
		trees := treesOf(file, pageFuncs(nil, nil))
		for _, name := range slices.Sorted(maps.Keys(trees)) {
			for _, message := range words.Messages(trees[name]) {
				all[message] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// spoken makes the pages of a world speak a made language, with content marked.
func spoken(w *world) {
	l := pseudo()
	mark := func(s template.HTML) template.HTML { return contentBegin + s + contentEnd }
	marked := func(s string) string { return contentBegin + s + contentEnd }
	w.web.speeches = []*speech{{lang: l, pages: parsePages(w.clock, l, template.FuncMap{
		"vis":     func(v string) template.HTML { return mark(visible(v)) },
		"plain":   func(v string) string { return contentBegin + plain(v) + contentEnd },
		"message": func(s string) template.HTML { return mark(message(s)) },
		"said": func(s string) template.HTML {
			return saidWith(l, s, false, marked, func(s string) template.HTML { return mark(visible(s)) })
		},
		"sayso": func(s string) template.HTML {
			return saidWith(l, s, true, marked, func(s string) template.HTML { return mark(visible(s)) })
		},
	})}}
}

// Elements and classes whose text is content or code, and the names that no language changes.
var (
	contentTags    = []string{"script", "style", "code", "pre", "kbd", "samp", "svg", "title"}
	contentClasses = []string{"prose", "c", "path", "mono", "oid", "letter", "src", "desc", "cmd", "log", "what", "hid", "ticks"}
	// neutral is what stands inside a sentence of the pages and is none of their words.
	neutral = regexp.MustCompile(`\x{e000}[^\x{e001}]*\x{e001}|\b[0-9][0-9.]* ?(?:ms|s|min|h|bytes?|KiB|MiB)\b|\b[0-9a-f]{7,40}\b|\bUTC\b|@@.*@@.*|https?://\S+|“[^”]*”|under (?:a minute|[0-9]+ min)|\b(?:lint|staticcheck|S1008|SA4006)\b`)
	tags    = regexp.MustCompile(`<[^>]*>`)
	english = regexp.MustCompile(`[A-Za-z]{2,}`)
)

func untranslated(n *html.Node) []string {
	var all []string
	look := func(where, text string) {
		if found := english.FindString(neutral.ReplaceAllString(text, "")); found != "" {
			all = append(all, fmt.Sprintf("%s: %q", where, strings.TrimSpace(text)))
		}
	}
	if n.Type == html.ElementNode {
		if slices.Contains(contentTags, n.Data) || attr(n, "translate") == "no" {
			return nil
		}
		for _, class := range strings.Fields(attr(n, "class")) {
			if slices.Contains(contentClasses, class) {
				return nil
			}
		}
		for _, a := range []string{"title", "aria-label", "placeholder", "alt", "data-ask"} {
			look(n.Data+" "+a, attr(n, a))
		}
	}
	if n.Type == html.TextNode {
		text := n.Data
		if n.Parent.Data == "noscript" { // a browser with script reads it as text, and so does the parser
			text = tags.ReplaceAllString(text, "")
		}
		look(n.Parent.Data+" ."+attr(n.Parent, "class"), text)
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		all = append(all, untranslated(c)...)
	}
	return all
}

// In another language nothing of a page stays English but what people wrote.
func TestPagesCanBeTranslated(t *testing.T) {
	w := showcase(t)
	spoken(w)
	translated(t, w, everyPage(w))
	w = shopShowcase(t)
	spoken(w)
	translated(t, w, w.shopPages())
}

func translated(t *testing.T, w *world, pages []pageOf) {
	t.Helper()
	for _, p := range pages {
		page := w.session(p.who).get(p.path)
		if page.status >= 500 {
			t.Errorf("%s: status %d", p.name, page.status)
			continue
		}
		seen := map[string]bool{}
		for _, found := range untranslated(page.page()) {
			if !seen[found] {
				t.Errorf("%s: %s", p.name, found)
			}
			seen[found] = true
		}
	}
}

// Languages are files; a browser's wish and the reader's choice decide between them.
func TestLanguageIsNegotiated(t *testing.T) {
	w, _ := hello(t)
	german, err := words.Read([]byte(`{"language": "de", "name": "Deutsch", "messages": {
		"Sign in": "Anmelden", "Repositories": "Projekte", "file|files": {"one": "{n} Datei", "other": "{n} Dateien"}, "{1} changed": "{1} geändert", "{1} ago": "vor {1}",
		"No run yet.": "Noch kein Lauf.", "open": "offen"}}`))
	w.must(err)
	w.web.Languages = []*words.Language{german}
	w.web.setLanguages()
	get := func(path, accept, cookie string) answer {
		r, err := http.NewRequest(http.MethodGet, w.server.URL+path, nil)
		w.must(err)
		r.Header.Set("Accept-Language", accept)
		if cookie != "" {
			r.AddCookie(&http.Cookie{Name: languageCookie, Value: cookie})
		}
		return w.session("").do(r)
	}
	for _, c := range []struct{ accept, cookie, lang string }{
		{"de-AT, en;q=0.5", "", "de"}, {"en, de;q=0.9", "", "en"}, {"fr", "", "en"}, {"", "", "en"}, {"de", "en", "en"}, {"en", "de", "de"}, {"de", "xx", "de"},
		{"%%%", "", "en"}, {strings.Repeat("de,", 400), "", "en"},
	} {
		page := get("/c/1", c.accept, c.cookie).ok(200)
		if got := attr(page.find("html")[0], "lang"); got != c.lang {
			t.Errorf("%.20q %q: %s, want %s", c.accept, c.cookie, got, c.lang)
		}
		files := page.one("#files-h")
		if want := map[string]string{"de": "1 Datei geändert", "en": "1 file changed"}[c.lang]; files != want {
			t.Errorf("%s: %q", c.lang, files)
		}
		if !strings.Contains(strings.Join(page.header.Values("Vary"), ","), "Accept-Language") {
			t.Error("a cache may hand on the wrong language")
		}
	}
	if got := get("/c/1", "de", "").one("#gates .empty"); got != "Noch kein Lauf." {
		t.Errorf("a part that a stream renews: %q", got)
	}
	bob := w.session("bob")
	chosen := bob.post("/settings/language", url.Values{"language": {"de"}, "back": {"/repositories"}}).ok(303)
	if chosen.header.Get("Location") != "/repositories" || !strings.Contains(chosen.header.Get("Set-Cookie"), "gate_language=de") {
		t.Errorf("%v", chosen.header)
	}
	bob.post("/settings/language", url.Values{"language": {"fr"}}).ok(400)
	if got := bob.post("/settings/language", url.Values{"language": {"de"}, "back": {"https://evil.test/"}}).ok(303).header.Get("Location"); got != "/" {
		t.Errorf("led to %s", got)
	}
}

// What there is to translate is listed in web/words/messages.txt: GATE_MESSAGES=1 writes it anew.
func TestMessagesAreListed(t *testing.T) {
	list := templateMessages()
	list = append(list, scriptTexts...)
	list = append(list, goMessages(t)...)
	slices.Sort(list)
	text := strings.Join(slices.Compact(list), "\n") + "\n"
	const name = "words/messages.txt"
	if os.Getenv("GATE_MESSAGES") != "" {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(name)
	if err != nil || string(have) != text {
		t.Errorf("%s is not what the pages say (%v): run GATE_MESSAGES=1 go test ./web -run TestMessagesAreListed", name, err)
	}
}

// goMessages are the texts of the code: the first words of words.Say, both of words.Plural and
// plural, what is made a words.Word, and the notices.
func goMessages(t *testing.T) []string {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	set := gotoken.NewFileSet()
	all := slices.AppendSeq(slices.Collect(maps.Values(notices)), maps.Values(headings))
	text := func(e ast.Expr) string {
		if l, ok := e.(*ast.BasicLit); ok && l.Kind == gotoken.STRING {
			if s, err := strconv.Unquote(l.Value); err == nil {
				return s
			}
		}
		return ""
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			name := ""
			switch f := call.Fun.(type) {
			case *ast.Ident:
				name = f.Name
			case *ast.SelectorExpr:
				name = f.Sel.Name
			}
			switch {
			case (name == "Plural" || name == "plural") && len(call.Args) == 3 && text(call.Args[1]) != "":
				all = append(all, text(call.Args[1])+"|"+text(call.Args[2]))
			case (name == "Say" || name == "Word") && len(call.Args) > 0 && text(call.Args[0]) != "":
				all = append(all, text(call.Args[0]))
			}
			return true
		})
	}
	return all
}
