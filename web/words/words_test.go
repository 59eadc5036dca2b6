package words

import (
	"html/template"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"text/template/parse"

	"golang.org/x/text/language"
)

var funcs = map[string]any{"icon": func(string) template.HTML { return "<svg/>" }, "plural": (*Language)(nil).Plural, SayFunc: (*Language)(nil).Say}

func parsed(t *testing.T, text string) *parse.Tree {
	t.Helper()
	trees, err := parse.Parse("x", text, "", "", funcs)
	if err != nil {
		t.Fatal(err)
	}
	return trees["x"]
}

func TestMessages(t *testing.T) {
	for text, want := range map[string][]string{
		`<p>Sign  out</p>`: {"Sign out"},
		`<p>Votes go to <a href="/c/{{.N}}">patch set {{.N}}</a>.</p>`:                                  {"Votes go to <1>patch set {2}</1>."},
		`<nav><a href="x">Code</a> <a href="y">History</a></nav>`:                                       {"Code", "History"},
		`<b>{{.N}}</b> of {{.M}} viewed`:                                                                {"<1>{2}</1> of {3} viewed"},
		`<a{{if .N}} aria-current="page"{{end}}>{{icon "x"}}Code</a>`:                                   {"Code"},
		`<input placeholder="Filter &amp; sort" name="filter" title="{{.A}}">`:                          {"Filter & sort"},
		`<button{{if .N}} title="Not mine">Mine{{else}} title="Out">Take{{end}}</button>`:               {"Not mine", "Mine", "Out", "Take"},
		`<dd>press <kbd>x</kbd> <pre>no words</pre></dd>`:                                               {"press {1} {2}"},
		`{{plural .N "file" "files"}} changed`:                                                          {"file|files", "{1} changed"},
		`{{.N}} · {{.M}}`:                                                                               nil,
		`<a class="x"{{if .A}} title="Not mine">Mine{{else}} title="Out">Take<b> {{.N}}</b>{{end}}</a>`: {"Not mine", "Mine", "Out", "Take<1> {2}</1>"},
		`<p title="On {{.N}} since {{.M}}">a &lt;b&gt;</p>`:                                             {"On {1} since {2}", "a &lt;b&gt;"},
		`<title>{{.A}} · Gate</title><script>let a = "b" < 1</script>`:                                  {"{1} · Gate"},
		`{{range .A}}one{{else}}none{{end}}{{with .B}}<b>{{.}} two</b>{{end}}`:                          {"one", "none", "{1} two"},
		`<select><option value="0"{{if .A}} selected{{end}}>what it stands on</option></select>`:        {"what it stands on"},
	} {
		if got := Messages(parsed(t, text)); !slices.Equal(got, want) {
			t.Errorf("%s\n got %q\nwant %q", text, got, want)
		}
	}
}

func run(t *testing.T, text string, l *Language, data any) string {
	t.Helper()
	tree := parsed(t, text)
	if l != nil {
		Translate(tree, l)
	}
	f := template.FuncMap(funcs)
	f["plural"], f[SayFunc] = l.Plural, l.Say
	page, err := template.New("x").Funcs(f).AddParseTree("x", tree)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := page.Execute(&b, data); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const german = `{"language": "de", "name": "Deutsch", "messages": {
	"Votes go to <1>patch set {2}</1>.": "Auf <1>Patchset {2}</1> <b> gehen & Stimmen.",
	"file|files": {"one": "{n} Datei", "other": "{n} Dateien"}, "{1} changed": "{1} geändert",
	"open": "offen", "since {1}": "seit {1}", "Take out {1}": "{1} herausnehmen"}}`

func TestTranslate(t *testing.T) {
	l, err := Read([]byte(german))
	if err != nil {
		t.Fatal(err)
	}
	data := map[string]any{"N": 2, "One": 1, "A": Word("open"), "S": "open", "T": Say("since {1}", Word("open")), "P": Plural(1, "file", "files"), "X": `"><b>`}
	for text, want := range map[string]string{
		`<p>Votes go to <a href="/c/{{.N}}">patch set {{.N}}</a>.</p>`: `<p>Auf <a href="/c/2">Patchset 2</a> &lt;b&gt; gehen &amp; Stimmen.</p>`,
		`{{plural .N "file" "files"}} changed`:                         `2 Dateien geändert`,
		`{{plural .One "file" "files"}} changed`:                       `1 Datei geändert`,
		`{{.A}}, {{.S}}, {{.T}}, {{.P}}`:                               `offen, open, seit offen, 1 Datei`,
		`<i title="Take out {{.X}}">Untranslated</i>`:                  `<i title="&#34;&gt;&lt;b&gt; herausnehmen">Untranslated</i>`,
	} {
		if got := run(t, text, l, data); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
	if got := run(t, `{{.A}}, {{.T}}, {{.P}}`, nil, data); got != "open, since open, 1 file" {
		t.Errorf("English: %s", got)
	}
}

// A translation that does not fit is refused when it is read, with what is wrong.
func TestReadRefuses(t *testing.T) {
	for messages, want := range map[string]string{
		`{"a {1}": "b"}`:           "{1} is missing",
		`{"a": "b {1}"}`:           "{1} is no place",
		`{"<1>a</1>": "</1>b<1>"}`: "closes what is not open",
		`{"<1>a</1>": "<1>b"}`:     "</1> is missing",
		`{"a": 7}`:                 "cannot unmarshal",
	} {
		_, err := Read([]byte(`{"language": "de", "messages": ` + messages + `}`))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", messages, err, want)
		}
	}
	if _, err := Read([]byte(`{"language": "no such tag"}`)); err == nil {
		t.Error("a language without a tag was read")
	}
}

func TestPluralForms(t *testing.T) {
	l, err := Read([]byte(`{"language": "pl", "messages": {"file|files": {"one": "{n} plik", "few": "{n} pliki", "many": "{n} plików", "other": "{n} pliku"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]string{1: "1 plik", 3: "3 pliki", 5: "5 plików", 22: "22 pliki"} {
		if got := l.Plural(n, "file", "files"); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}

func TestMade(t *testing.T) {
	l := Made(language.MustParse("en-x-pseudo"), "Pseudo", strings.ToUpper)
	if got := run(t, `<p>Votes go to <a href="/c/{{.N}}">patch set {{.N}}</a>.</p>`, l, map[string]any{"N": 3}); got != `<p>VOTES GO TO <a href="/c/3">PATCH SET 3</a>.</p>` {
		t.Error(got)
	}
}

// A tag that ends in both branches of a condition ends once in each.
func TestTagEndsInBranches(t *testing.T) {
	l := Made(language.German, "x", strings.ToUpper)
	text := `<a class="x"{{if .A}} title="not mine">mine{{else}} title="out">take<b> {{.N}}</b>{{end}}</a>`
	for a, want := range map[bool]string{true: `<a class="x" title="NOT MINE">MINE</a>`, false: `<a class="x" title="OUT">TAKE<b> 4</b></a>`} {
		if got := run(t, text, l, map[string]any{"A": a, "N": 4}); got != want {
			t.Errorf("%v: %s", a, got)
		}
	}
}

// One file that is wrong takes nothing from the others.
func TestReadAll(t *testing.T) {
	all, err := ReadAll(fstest.MapFS{"de.json": {Data: []byte(german)}, "x.json": {Data: []byte(`{`)}, "README": {Data: []byte("no language")}})
	if len(all) != 1 || all[0].Name != "Deutsch" || err == nil || !strings.Contains(err.Error(), "x.json: ") || strings.Contains(err.Error(), "README") {
		t.Errorf("%v, %v", all, err)
	}
}
