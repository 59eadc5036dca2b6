package web

import (
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"text/template/parse"
	"time"

	"golang.org/x/text/language"

	"gatehouse/gitserver/fault"
	"gatehouse/web/words"
)

// languageCookie keeps the language that a reader chose in a browser.
const (
	languageCookie  = "gate_language"
	languageSeconds = 365 * 24 * 60 * 60
)

// maxAccept bounds what is read of a browser's wishes: it names a handful of languages.
const maxAccept = 500

// speech is the pages in one language.
type speech struct {
	lang  *words.Language // nil for English
	pages pages
}

// setLanguages makes the pages of each language, English first.
func (w *Web) setLanguages() {
	tags := []language.Tag{language.English}
	w.speeches = []*speech{{pages: parsePages(w.Now, nil, nil)}}
	for _, l := range w.Languages {
		w.speeches = append(w.speeches, &speech{lang: l, pages: parsePages(w.Now, l, nil)})
		tags = append(tags, l.Tag)
	}
	w.matcher = language.NewMatcher(tags)
}

// speech is the language of a request: the one that the reader chose here, else what the
// browser asks for, else English.
func (w *Web) speech(c *call) *speech {
	if c.said != nil {
		return c.said
	}
	c.said = w.speeches[0]
	if len(w.speeches) == 1 {
		return c.said
	}
	if cookie, err := c.r.Cookie(languageCookie); err == nil {
		for _, s := range w.speeches {
			if s.lang.String() == cookie.Value {
				c.said = s
				return s
			}
		}
	}
	if accept := c.r.Header.Get("Accept-Language"); len(accept) <= maxAccept {
		if wishes, _, err := language.ParseAcceptLanguage(accept); err == nil && len(wishes) > 0 {
			_, i, _ := w.matcher.Match(wishes...)
			c.said = w.speeches[i]
		}
	}
	return c.said
}

// languageRow is a language that a reader can choose.
type languageRow struct {
	Tag, Name string
	Chosen    bool
}

// languages are what a reader can choose from; none when there is only English.
func (w *Web) languages(c *call) []languageRow {
	if len(w.speeches) == 1 {
		return nil
	}
	var all []languageRow
	for _, s := range w.speeches {
		name := "English"
		if s.lang != nil {
			name = s.lang.Name
		}
		all = append(all, languageRow{Tag: s.lang.String(), Name: name, Chosen: s == w.speech(c)})
	}
	return all
}

// setLanguage keeps the choice in the browser, so that it holds for signing in as well.
func (w *Web) setLanguage(c *call) error {
	tag := c.r.PostForm.Get("language")
	if !slices.ContainsFunc(w.speeches, func(s *speech) bool { return s.lang.String() == tag }) {
		return fault.New(fault.Invalid, "web.setLanguage", "the pages are not translated into that language", "choose one of the list")
	}
	http.SetCookie(c.rw, &http.Cookie{
		Name: languageCookie, Value: tag, Path: "/", MaxAge: languageSeconds, HttpOnly: true, Secure: w.secure(), SameSite: http.SameSiteLaxMode,
	})
	back := safeNext(c.r.PostForm.Get("back"))
	if back == "" {
		back = "/"
	}
	c.seeOther(back, "")
	return nil
}

// pageFuncs are what templates call, in one language.
func pageFuncs(now func() time.Time, l *words.Language) template.FuncMap {
	return template.FuncMap{
		"vis": visible, "plain": plain, "message": message, "icon": icon, "mark": func() template.HTML { return brandMark }, "asset": assetURL,
		"when": func(t time.Time) template.HTML { return when(now(), t, l) },
		"took": took, "short": short, "plural": l.Plural, "word": word, "tone": tone, "pick": pick[string], "sentence": sentence,
		"repourl": anyRepoURL, "join": strings.Join, "add": func(a, b int) int { return a + b },
		"signed": func(n int) string { return fmt.Sprintf("%+d", n) }, "dict": dict, "base": path.Base,
		"lang": l.String, "scriptwords": func() string { return scriptWords(l) }, "title": func(s string) string { return plain(l.Word(s)) },
		"said":        func(s string) template.HTML { return said(l, s, false) },
		"sayso":       func(s string) template.HTML { return said(l, s, true) },
		"who":         func(s string) template.HTML { return saidAll(l, s) },
		words.SayFunc: l.SayBare,
	}
}

// parsePages parses the embedded templates in one language; one that does not parse is a bug
// in the binary. instead replaces functions, for tests.
func parsePages(now func() time.Time, l *words.Language, instead template.FuncMap) pages {
	funcs := pageFuncs(now, l)
	for name, f := range instead {
		funcs[name] = f
	}
	shared := template.New("").Funcs(funcs)
	files := templatesOf("templates/base.html", "templates/parts/*.html")
	for _, file := range files {
		addTemplate(shared, file, funcs, l)
	}
	all := pages{}
	for _, file := range templatesOf("templates/*.html") {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "base" {
			continue
		}
		all[name] = template.Must(shared.Clone())
		addTemplate(all[name], file, funcs, l)
	}
	return all
}

func templatesOf(patterns ...string) []string {
	var all []string
	for _, pattern := range patterns {
		files, err := fs.Glob(templateFiles, pattern)
		if err != nil {
			panic(fmt.Sprintf("web: templates: %v", err))
		}
		all = append(all, files...)
	}
	return all
}

// addTemplate adds what a file defines, translated.
func addTemplate(set *template.Template, file string, funcs template.FuncMap, l *words.Language) {
	for name, tree := range treesOf(file, funcs) {
		if l != nil {
			words.Translate(tree, l)
		}
		template.Must(set.AddParseTree(name, tree))
	}
}

func treesOf(file string, funcs template.FuncMap) map[string]*parse.Tree {
	text, err := templateFiles.ReadFile(file)
	if err != nil {
		panic(fmt.Sprintf("web: templates: %v", err))
	}
	trees, err := parse.Parse(file, string(text), "", "", funcs, builtins)
	if err != nil {
		panic(fmt.Sprintf("web: templates: %v", err))
	}
	return trees
}

// builtins are the functions that text/template brings along: a parser has to know their names.
var builtins = map[string]any{
	"and": 0, "call": 0, "html": 0, "index": 0, "slice": 0, "js": 0, "len": 0, "not": 0, "or": 0, "print": 0,
	"printf": 0, "println": 0, "urlquery": 0, "eq": 0, "ge": 0, "gt": 0, "le": 0, "lt": 0, "ne": 0,
}

// scriptTexts are what the scripts say themselves.
var scriptTexts = []string{
	"The log is complete.", "Copy", "Copied", "Link to this line", "Answer", "{1}, line {2}", "{1}, lines {2} to {3}", "Comment on this",
	"With 1 change:", "With {1} changes:", "File", "{1} found",
}

// scriptWords are they in a language, as JSON; "" in English, which the scripts have themselves.
func scriptWords(l *words.Language) string {
	if l == nil {
		return ""
	}
	all := map[string]string{}
	for _, text := range scriptTexts {
		all[text] = l.Word(text)
	}
	out, err := json.Marshal(all)
	if err != nil {
		panic(fmt.Sprintf("web: words of the script: %v", err))
	}
	return string(out)
}
