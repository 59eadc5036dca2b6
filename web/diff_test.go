package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/chroma/v2/lexers"

	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/review"
)

// numberedLines are n lines, each with its number.
func numberedLines(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("this is line %d of it", i+1))
	}
	return all
}

func textOf(lines []string) string { return strings.Join(lines, "\n") + "\n" }

// longChange is a world with change 1: one line of a hundred differs, and one is added far below.
func longChange(t testing.TB) (*world, repo.Repository, []string) {
	t.Helper()
	w := newWorld(t)
	lines := numberedLines(100)
	r := w.repo("long", "alice", false, map[string]string{"a.txt": textOf(lines), "b.txt": "1\n"})
	changed := slices.Clone(lines)
	changed[29] = "line thirty is another one"
	changed = slices.Insert(changed, 80, "a line between")
	w.commit("alice", "Change two places\n\n"+changeID(1), map[string]string{"a.txt": textOf(changed), "b.txt": "2\n"})
	w.propose(r, "alice", review.PushOptions{})
	return w, r, changed
}

// rowsIn reads "old new text" of the rows of a table, "…" for those of a hunk.
func rowsIn(a answer, file string) []string {
	var all []string
	for _, tr := range a.find(file + " tbody tr") {
		if attr(tr, "class") != "" {
			all = append(all, "…")
			continue
		}
		all = append(all, wordsOf(tr))
	}
	return all
}

func TestMoreContext(t *testing.T) {
	w, _, lines := longChange(t)
	c := w.session("bob")
	page := c.get("/c/1?diff=unified").ok(200)
	var offered []string
	for _, a := range page.find("#f0 .more a") {
		offered = append(offered, attr(a, "data-gap"))
	}
	want := "1-26&shift=0&show=up 1-26&shift=0&show=all 34-77&shift=0&show=down 34-77&shift=0&show=up 34-77&shift=0&show=all 85-101&shift=-1&show=all"
	if got := strings.Join(offered, " "); got != want {
		t.Fatalf("offered\n%s, want\n%s", got, want)
	}
	links := page.find("#f0 .more a")
	// Without script a link leads to the same page with the lines.
	down := attr(links[2], "href")
	if down != "/c/1?context=34-53&diff=unified&file=a.txt#f0R34" {
		t.Errorf("link %q", down)
	}
	shown := rowsIn(c.get(strings.Split(down, "#")[0]).ok(200), "#f0")
	if i := slices.Index(shown, "34 34 "+lines[33]); i < 0 || shown[i+19] != "53 53 "+lines[52] || shown[i+20] != "…" {
		t.Errorf("rows %q", shown)
	}
	// The script gets the rows alone; with all of them the whole file is there, line for line.
	table := attr(page.find("#f0 table")[0], "data-lines")
	for _, show := range []struct {
		which string
		rows  int
		first string
	}{{"down", 21, "34 34 " + lines[33]}, {"up", 21, "…"}, {"all", 44, "34 34 " + lines[33]}} {
		part := c.get(table + "&gap=34-77&shift=0&show=" + show.which).ok(200)
		part.body = "<table><tbody id=x>" + part.body
		got := part.find("#x tr")
		if len(got) != show.rows {
			t.Errorf("%s: %d rows, want %d", show.which, len(got), show.rows)
			continue
		}
		if text := wordsOf(got[0]); show.first != "…" && text != show.first {
			t.Errorf("%s begins with %q", show.which, text)
		}
	}
	after := c.get(table + "&gap=85-101&shift=-1&show=all").ok(200)
	after.body = "<table><tbody id=x>" + after.body
	if got := wordsOf(after.find("#x tr")[0]); got != "84 85 "+lines[84] {
		t.Errorf("behind the added line: %q", got)
	}
	for _, bad := range []string{"&gap=0-5&shift=0", "&gap=9-5&shift=0", "&gap=x", "&gap=1-5&shift=-9", "&gap=1-5&shift=99999999999", "&gap=1-99999999999&shift=0"} {
		c.get(table + bad).ok(400)
	}
	if got := rowsIn(c.get("/c/1?file=a.txt&context=all&diff=unified").ok(200), "#f0"); len(got) != 103 {
		t.Errorf("the whole file has %d rows", len(got))
	}
}

// A link to a line shows that line, wherever it is, and belongs to these two sides for ever.
func TestLinkToALine(t *testing.T) {
	w, _, _ := longChange(t)
	page := w.session("").get("/c/1?ps=1&base=0&at=" + url.QueryEscape("a.txt:R60")).ok(200)
	if len(page.find("#f0R60")) != 1 || len(page.find("#f0R58")) != 1 || len(page.find("#f0R50")) != 0 {
		t.Error("the line is not shown with two around it")
	}
	old := w.session("").get("/c/1?ps=1&base=0&at=" + url.QueryEscape("a.txt:L95")).ok(200)
	if len(old.find("#f0L95")) != 1 || len(old.find("#f0R96")) != 1 {
		t.Error("the line of the old side is not shown")
	}
	for _, at := range []string{"a.txt:R999999", "nothing", ":", "a.txt:L0", "a.txt:R30"} {
		w.session("").get("/c/1?at=" + url.QueryEscape(at)).ok(200)
	}
}

func TestWhyFilesAreFolded(t *testing.T) {
	w := newWorld(t)
	r := w.repo("hello", "alice", false, map[string]string{"README.md": "hi\n"})
	w.showDiff(r)
	page := w.session("").get(w.diffPage("")).ok(200)
	said := map[string]string{}
	for _, f := range page.find(".file") {
		for _, s := range find(f, ".said span") {
			said[wordsOf(find(f, ".path")[0])] = wordsOf(s)
		}
	}
	for path, want := range map[string]string{
		"api/schema.gen.json": "Generated, .gitattributes says: 2 changed lines.", "go.sum": "A lock file: 1 changed line.", "data/list.bin": "Binary file: no lines to compare.",
		"internal/stub.go": "Generated, it says “Code generated by stubber. DO NOT EDIT”: 2 changed lines.", "old/name.go → renamed/name.go": "Renamed without changes.", "internal/web/util.go": "",
	} {
		if said[path] != want {
			t.Errorf("%s: %q, want %q", path, said[path], want)
		}
	}
	var tree []string
	for _, s := range page.find(".tree details summary") {
		tree = append(tree, wordsOf(s))
	}
	if got := strings.Join(tree, " "); got != "api assets data docs/long/way/down/to internal web renamed" {
		t.Errorf("folders %q", got)
	}
}

// A change cannot fold its own files by an attribute that it brings with it.
func TestAttributesOfTheChangeItselfDoNotCount(t *testing.T) {
	w := newWorld(t)
	r := w.repo("hello", "alice", false, map[string]string{"main.go": "package main\n"})
	w.commit("alice", "Hide\n\n"+changeID(1), map[string]string{".gitattributes": "* linguist-generated\n", "main.go": "// Code generated by nobody. DO NOT EDIT.\npackage main\n"})
	w.propose(r, "alice", review.PushOptions{})
	if said := w.session("").get("/c/1").ok(200).find(".said"); len(said) != 0 {
		t.Errorf("folded: %s", wordsOf(said[0]))
	}
}

func TestMovedLinesAreMarked(t *testing.T) {
	w := newWorld(t)
	r := w.repo("hello", "alice", false, map[string]string{"README.md": "hi\n"})
	w.showDiff(r)
	page := w.session("").get(w.diffPage("")).ok(200)
	var notes []string
	for _, a := range page.find("a.moved") {
		notes = append(notes, wordsOf(a))
		if target := attr(a, "href"); len(page.find(target)) != 1 {
			t.Errorf("%s leads nowhere", target)
		}
	}
	if got := strings.Join(notes, "; "); !strings.Contains(got, "moved to internal/web/util.go:3") || !strings.Contains(got, "moved from internal/web/handlers.go:") {
		t.Errorf("notes %q", got)
	}
	if len(page.find("td.a.mv")) == 0 || len(page.find("td.d.mv")) == 0 {
		t.Error("the lines themselves are not marked")
	}
}

// A drawing is shown by an <img> only: as a page of its own it is text, and nothing runs in it.
func TestPictures(t *testing.T) {
	w := newWorld(t)
	r := w.repo("hello", "alice", false, map[string]string{"README.md": "hi\n"})
	w.showDiff(r)
	c := w.session("")
	page := c.get(w.diffPage("")).ok(200)
	sources := map[string]string{}
	for _, img := range page.find(".pictures img") {
		sources[attr(img, "alt")] = attr(img, "src")
	}
	if len(sources) != 4 {
		t.Fatalf("pictures %v", sources)
	}
	if got := wordsOf(page.find(".pictures .was figcaption")[0]); !strings.HasPrefix(got, "Before 240 × 160, ") {
		t.Errorf("caption %q", got)
	}
	if png := c.get(sources["after: chart.png"]).ok(200); png.header.Get("Content-Type") != "image/png" || png.body != drawn(110) {
		t.Errorf("the picture is %s", png.header.Get("Content-Type"))
	}
	for dest, want := range map[string]string{"": "image/svg+xml", "image": "image/svg+xml", "document": "text/plain; charset=utf-8", "iframe": "text/plain; charset=utf-8", "object": "text/plain; charset=utf-8"} {
		req, err := http.NewRequest(http.MethodGet, w.server.URL+sources["before: mark.svg"], nil)
		w.must(err)
		req.Header.Set("Sec-Fetch-Dest", dest)
		got := c.do(req).ok(200)
		policy := got.header.Get("Content-Security-Policy")
		if got.header.Get("Content-Type") != want || !strings.Contains(policy, "sandbox") || !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "script-src") {
			t.Errorf("for %q: %s, %s", dest, got.header.Get("Content-Type"), policy)
		}
	}
	plain := c.get(strings.TrimSuffix(sources["before: mark.svg"], "?as=image")).ok(200)
	if got := plain.header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
		t.Errorf("raw drawing is %s", got)
	}
	if len(page.find("svg script")) != 0 {
		t.Error("the drawing is in the page")
	}
}

func TestViewedByForm(t *testing.T) {
	w, r, lines := longChange(t)
	bob := w.session("bob")
	form := func(page answer, path string) url.Values {
		v := url.Values{}
		for _, in := range page.find("form#seen input") {
			v.Set(attr(in, "name"), attr(in, "value"))
		}
		for _, b := range page.find("button.view") {
			if attr(b, "value") == path {
				v.Set(attr(b, "name"), path)
			}
		}
		return v
	}
	state := func(path string) string {
		for _, f := range bob.get("/c/1?base=0").ok(200).find(".file") {
			if wordsOf(find(f, ".path")[0]) == path {
				_, open := attrOK(find(f, "header details")[0], "open")
				return fmt.Sprintf("%s open=%v %d", attr(find(f, "button.view")[0], "aria-pressed"), open, len(find(f, ".tag.wait")))
			}
		}
		return "missing"
	}
	for _, path := range []string{"a.txt", "b.txt"} {
		page := bob.get("/c/1").ok(200)
		if got := bob.post("/c/1/viewed", form(page, path)).ok(303).header.Get("Location"); got != "/c/1#files" {
			t.Errorf("Location %q", got)
		}
	}
	if got := bob.get("/c/1").ok(200).one("#viewed-count"); got != "2 of 2 viewed" {
		t.Errorf("count %q", got)
	}
	if got := state("a.txt"); got != "true open=false 0" {
		t.Errorf("viewed file: %s", got)
	}
	if len(w.session("carol").get("/c/1").ok(200).find("button[aria-pressed=true]")) != 0 || len(w.session("").get("/c/1").ok(200).find("button.view")) != 0 {
		t.Error("somebody else sees the mark")
	}
	lines[10] = "changed anew"
	w.commit("alice", "x", map[string]string{"a.txt": textOf(lines)})
	w.git("reset", "-q", "--soft", "HEAD~2")
	w.git("commit", "-q", "-m", "Change two places\n\n"+changeID(1))
	w.propose(r, "alice", review.PushOptions{})
	if got := state("a.txt") + ", " + state("b.txt"); got != "false open=true 1, true open=false 0" {
		t.Errorf("after a patch set: %s", got)
	}
	bob.post("/c/1/viewed", form(bob.get("/c/1?base=0"), "b.txt")).ok(303)
	if got := state("b.txt"); got != "false open=true 0" {
		t.Errorf("the mark was not taken back: %s", got)
	}
	bob.post("/c/1/viewed", url.Values{"ps": {"1"}, "view": {"none"}}).ok(404)
	bob.post("/c/1/viewed", url.Values{"ps": {"x"}, "view": {"a.txt"}}).ok(400)
}

func TestFilterOfFiles(t *testing.T) {
	w, _, _ := longChange(t)
	page := w.session("").get("/c/1?filter=B.T&diff=unified").ok(200)
	if got := len(page.find(".leaf")); got != 2 { // the message always
		t.Errorf("%d files in the tree", got)
	}
	if len(page.find("#f0")) != 1 || len(page.find("#f1")) != 0 || attr(page.find(".tree input[name=diff]")[0], "value") != "unified" {
		t.Error("the filter does not filter, or loses the form of the diff")
	}
	none := w.session("").get("/c/1?filter=zzz").ok(200)
	if got := none.one(".difffiles .empty strong"); got != "No changed file has “zzz” in its path" {
		t.Errorf("empty: %q", got)
	}
}

// A stack is shown as the difference that all of it makes, with the changes that touch each file.
func TestWholeStack(t *testing.T) {
	w, r := hello(t)
	w.commit("alice", "Second\n\n"+changeID(2), map[string]string{"two.txt": "2\n"})
	w.commit("alice", "Third\n\n"+changeID(3), map[string]string{"two.txt": "2\n3\n", "three.txt": "3\n"})
	w.propose(r, "alice", review.PushOptions{})
	for id := 1; id <= 3; id++ {
		page := w.session("").get(fmt.Sprintf("/c/%d/stack", id)).ok(200)
		var members, files []string
		for _, li := range page.find(".series li") {
			members = append(members, wordsOf(find(li, "a")[0]))
		}
		for _, f := range page.find(".file") {
			row := wordsOf(find(f, ".path")[0])
			for _, a := range find(f, "header a[title]") {
				row += " " + wordsOf(a)
			}
			files = append(files, row)
		}
		if got := strings.Join(members, ", "); got != "Third, Second, Greet politely" {
			t.Errorf("from %d: stack %q", id, got)
		}
		if got := strings.Join(files, ", "); got != "main.go change 1, three.txt change 3, two.txt change 2 change 3" {
			t.Errorf("from %d: files %q", id, got)
		}
	}
	if got := attr(w.session("").get("/c/2").ok(200).find(".series")[0].Parent, "aria-labelledby"); got != "series-h" {
		t.Errorf("the stack is in %q", got)
	}
	w.git("checkout", "-q", "HEAD~1")
	w.commit("alice", "Another third\n\n"+changeID(4), map[string]string{"four.txt": "4\n"})
	w.propose(r, "alice", review.PushOptions{})
	parted := w.session("").get("/c/1/stack").ok(200)
	if got := parted.one(".notice"); got != "2 changes stand on change 2: the stack is shown up to there." {
		t.Errorf("where it parts: %q", got)
	}
	w.session("").get("/c/99/stack").ok(404)
}

// What is said on the changes of a stack stands in the whole difference, where its lines are
// when all of it has landed, and leads to its change; what has no place there is said below.
func TestWholeStackShowsWhatIsSaid(t *testing.T) {
	w, r := hello(t)
	w.commit("alice", "Second\n\n"+changeID(2), map[string]string{"two.txt": "a\nthe second line\nc\n"})
	w.commit("alice", "Third\n\n"+changeID(3), map[string]string{"two.txt": "first\na\nthe second line here\nc\n"})
	w.propose(r, "alice", review.PushOptions{})
	say := func(change int64, message string, all ...review.NewComment) {
		w.must(w.web.Review.Vote(context.Background(), w.actor("bob"), change, 1, nil, message, all))
	}
	say(2, "", review.NewComment{Path: "two.txt", Line: 3, Body: "on-the-kept-line", Unresolved: true},
		review.NewComment{Path: "two.txt", Line: 2, Body: "on-the-changed-line"},
		review.NewComment{Path: review.CommitMessage, Line: 1, Body: "on-the-message", Unresolved: true})
	say(3, "", review.NewComment{Path: "two.txt", Line: 1, Body: "on-the-new-line"})
	page := w.session("carol").get("/c/1/stack").ok(200)
	under := func(anchor string) string {
		t.Helper()
		for _, f := range page.find(".file") {
			if wordsOf(find(f, ".path")[0]) == "two.txt" {
				td := page.find("#" + attr(f, "id") + anchor)[0]
				return wordsOf(td.Parent.NextSibling.NextSibling)
			}
		}
		return ""
	}
	if got := under("R4"); !strings.Contains(got, "on-the-kept-line") || !strings.Contains(got, "change 2 · patch set 1 · two.txt, line 3") {
		t.Errorf("under line 4: %q", got)
	}
	if got := under("R1"); !strings.Contains(got, "on-the-new-line") {
		t.Errorf("under line 1: %q", got)
	}
	if got := under("R3"); !strings.Contains(got, "on-the-changed-line") || !strings.Contains(got, "the line was changed since") {
		t.Errorf("under line 3: %q", got)
	}
	if got := page.one("[aria-labelledby=other-h]"); !strings.Contains(got, "on-the-message") {
		t.Errorf("below: %q", got)
	}
	var rows []string
	for _, li := range page.find(".series li") {
		rows = append(rows, wordsOf(li))
	}
	if !strings.Contains(rows[0], "1 comment ") || strings.Contains(rows[0], "unresolved") ||
		!strings.Contains(rows[1], "3 comments") || !strings.Contains(rows[1], "2 unresolved threads") || strings.Contains(rows[2], "comment ") {
		t.Errorf("rows %q", rows)
	}
	if n := len(page.find(".thread form, .thread a[data-reply], td.n button")); n != 0 {
		t.Errorf("%d places to write", n)
	}
}

// A change of a thousand files stays one page: what is beyond the limits is loaded on demand.
func TestThousandFiles(t *testing.T) {
	w := newWorld(t)
	r := w.repo("many", "alice", false, map[string]string{"x": "x\n"})
	files := map[string]string{}
	for i := range 1000 {
		files[fmt.Sprintf("dir%d/file%03d.txt", i%10, i)] = textOf(numberedLines(20))
	}
	w.commit("alice", "Much\n\n"+changeID(1), files)
	w.propose(r, "alice", review.PushOptions{})
	c := w.session("bob")
	page := c.get("/c/1").ok(200)
	later := page.find(".file.later")
	if got := fmt.Sprint(len(page.find(".leaf")), len(page.find(".file")), len(page.find("table.code.unified")), len(later)); got != fmt.Sprint(1001, 1001, maxPageFiles, 1000-maxPageFiles) {
		t.Fatalf("listed, files, shown, later: %s", got)
	}
	address := attr(later[0], "data-load")
	part := c.get(address).ok(200)
	if got := len(part.find(".file tbody tr")); got != 21 || attr(part.find(".file")[0], "id") != attr(later[0], "id") {
		t.Errorf("the part has %d rows", got)
	}
	if len(part.find(".top")) != 0 || len(part.find("td.n button")) == 0 {
		t.Error("the part is a page, or takes no comments")
	}
	// Without the script the link shows the file alone.
	alone := attr(find(later[0], "a[data-show]")[0], "href")
	if got := len(c.get(strings.Split(alone, "#")[0]).ok(200).find("table.code.unified tbody tr")); got != 21 {
		t.Errorf("alone it has %d rows", got)
	}
	c.get("/c/1/file?file=nothing").ok(404)
	c.get("/c/1/file").ok(404)
}

// The parts that the script loads are as inert as the page.
func TestHostileParts(t *testing.T) {
	w, _ := hostileWorld(t)
	c := w.session("bob")
	page := c.get("/c/1").ok(200)
	n := 0
	for _, f := range page.find(".file") {
		path := wordsOf(find(f, ".path")[0])
		for _, name := range []string{path, hostile[1]} {
			inert(t, path, c.get("/c/1/file?file="+url.QueryEscape(name)).page())
		}
		for _, table := range find(f, "table[data-lines]") {
			part := c.get(attr(table, "data-lines") + "&gap=1-3&shift=0&show=all")
			part.body = "<table><tbody>" + part.body
			inert(t, path, part.page())
			n++
		}
	}
	if n == 0 {
		t.Error("no lines were asked for")
	}
	for _, path := range []string{"/c/1/stack", "/c/1?filter=" + url.QueryEscape(hostile[1]), "/c/1?at=" + url.QueryEscape(hostile[1]+":R3"), "/c/1?context=" + url.QueryEscape(hostile[0])} {
		inert(t, path, c.get(path).ok(200).page())
	}
}

// What is remembered by the end of a name is what the registry says of the whole name.
func TestLexersByTheEndOfAName(t *testing.T) {
	for _, name := range []string{"main.go", "a.test.go", "x.txt", "CMakeLists.txt", "Makefile", "makefile", "MAIN.GO", "Dockerfile", "Dockerfile.prod", "a.blade.php", "x.php", ".bashrc", ".gitignore", "go.mod", "nginx.conf", "apache.conf", "other.conf",
		"noending", "x.", "package.json", "a.b.c.d.py", "BUILD", "foo.BUILD", "Jenkinsfile", "x.svg", "Gemfile", ".zshrc", "x.h", "xorg.conf", "requirements.txt", "x.html.erb", "a.tf", "Cargo.lock", "\u202e.go"} {
		for range 2 {
			want := lexers.Match(name)
			if want == nil {
				want = lexers.Match(strings.ToLower(name))
			}
			got := lexerFor(name)
			if (got == nil) != (want == nil) || got != nil && got.Config().Name != want.Config().Name {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
		}
	}
}

// A text that takes too long to colour is tried once more and then kept as far as it came:
// a page that is slow for it once is not slow for ever.
func TestSlowColorsAreKeptAfterASecondTry(t *testing.T) {
	w, r, _ := longChange(t)
	g, err := w.web.Repos.Open(r)
	w.must(err)
	files, err := g.ChangedFiles(t.Context(), "", git.OID(w.git("rev-parse", "HEAD")))
	w.must(err)
	oid := files[0].NewOID
	key := string(oid) + " x.go"
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	w.web.colorsOf(ended, g, oid, "x.go", "")
	if _, ok := w.web.colors.get(key + " again"); ok {
		t.Error("a page that ran out of time counts as a try")
	}
	w.web.colors.put(key+" again", 1, source{})
	w.web.colorsOf(t.Context(), g, oid, "x.go", "")
	if _, ok := w.web.colors.get(key); !ok {
		t.Error("the second try is not kept")
	}
}
