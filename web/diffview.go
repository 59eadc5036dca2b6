package web

import (
	"cmp"
	"context"
	"html/template"
	"iter"
	"maps"
	"net/url"
	"slices"
	"strings"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/review/diff"
	"gatehouse/web/words"
)

// What a page shows of a diff without being asked. Each limit has words on the page and a
// link that shows the file alone, up to maxFileAlone.
const (
	// maxFileLines is the changed lines of one file: more is rarely read by eye.
	maxFileLines = 1_500
	// maxPageLines and maxPageFiles bound a page; beyond them browsers get slow.
	maxPageLines = 6_000
	maxPageFiles = 80
	// maxFileAlone is the changed lines of a file that was asked for by name.
	maxFileAlone = 40_000
	// maxListed is how many files the list names at all.
	maxListed = 5_000
	// maxPatch bounds the patch text of a page: long lines count too.
	maxPatch = 12 << 20
	// longFile is from how many rows on a file is laid out only when it comes into sight.
	longFile = 250
	// diffContext is the unchanged lines around a change, as git shows them.
	diffContext = 3
)

// diffView is a diff as a page shows it. What there is about each file is known at once; the
// tables are made while the page is sent, file by file (see [diffView.Each]).
type diffView struct {
	Message        *fileDiff // the commit message, reviewed like a file; nil on pages without one
	Files          []fileDiff
	Tree           *treeNode
	Filter         string  // shows only files whose path holds it
	Action         string  // this page, without its query
	Keep           []field // the rest of the address, for the filter's form
	Added, Deleted int
	Viewed         int // files that the reader has viewed
	MayView        bool
	Change         int64  // whose files may be marked as viewed
	PS             int    // and of which patch set
	Back           string // this page
	Unified        bool
	SplitURL       string
	UnifiedURL     string
	Said           []words.Text // what of the diff is not shown, and why

	fill func(i int)
	done func()
}

// field is a hidden field of a form.
type field struct{ Name, Value string }

// fileDiff is one file of it.
type fileDiff struct {
	ID             string
	Letter         string
	Kind           string
	Path, OldPath  string // OldPath only where it differs
	ModeNote       string
	Jump           string // where the list leads
	Added, Deleted int
	Comments       int
	Binary, Folded bool
	Long           bool   // browsers lay it out only when it comes into sight
	Said           any    // why there is no table, in words; nil when there is one
	ShowURL        string // the file alone
	LoadURL        string // the same without the page around it, for the script
	Later          bool   // the script loads it when it comes into sight
	Noise          int    // hunks that are left out because only the rebase changed them
	MayView        bool
	Viewed         bool
	Stale          bool    // it was viewed, and has changed since
	ViewURL        string  // the file at the newer side
	Within         []int64 // the changes of a stack that touch it
	CommentURL     string
	Talk           template.HTML // what is said about the file, or about lines that are not shown
	Images         *imageView
	Table          template.HTML
}

// IsMessage reports whether the file is the commit message.
func (f *fileDiff) IsMessage() bool { return f.ID == messageID }

// Each gives the files with their tables. A table is made when it is its file's turn, so a
// page of a thousand files begins to arrive after the first.
func (v *diffView) Each() iter.Seq[fileOn] {
	return func(yield func(fileOn) bool) {
		if v.Message != nil && !yield(fileOn{v.Message, v}) {
			return
		}
		for i := range v.Files {
			if v.fill != nil {
				v.fill(i)
			}
			if !yield(fileOn{&v.Files[i], v}) {
				return
			}
			v.Files[i].Table, v.Files[i].Talk = "", "" // sent
		}
		if v.done != nil {
			v.done()
		}
	}
}

// diffRequest is what a page wants to see.
type diffRequest struct {
	repo     string
	git      *git.Repo
	from, to git.OID
	landed   git.OID // what the change stands on: its .gitattributes count
	unified  bool
	lang     *words.Language // of what the table says
	ws       string          // white space: "", "trailing", "change", "all"
	only     string          // a file to show alone
	filter   string          // files to list
	self     *url.URL
	parts    string       // where one file of the page is, "" on pages that load none
	context  []diff.Range // lines of the file shown alone to show as well
	at       spot         // a line to show in any case
	talk     *talk        // nil on pages where nobody comments
	between  *between     // of two patch sets, nil otherwise
	message  *fileDiff
	seen     *seenFiles                    // nil when nobody signed in
	marks    map[string]map[int][]lineMark // what stages say about lines, by path
	pictures *int                          // how many were looked at
	within   map[string][]int64            // the changes of a stack that touch a file, by path
}

// spot is a line of a file on one side of a diff.
type spot struct {
	path string
	side byte // 'L' or 'R'
	line int
}

// whiteSpace are the values of ?ws=, and what git calls them.
var whiteSpace = map[string]string{"": "", "trailing": "eol", "change": "change", "all": "all"}

// passing are the values of an address that are about one look at the page.
var passing = []string{"comment", "on", "reply", "done", "at", "context", "draft", "quote", "start", "suggest", "chars"}

// with is the address of the page with other values in its query; "" takes one out.
func (q diffRequest) with(pairs ...string) string { return withQuery(q.self, pairs...) }

func withQuery(self *url.URL, pairs ...string) string {
	values := self.Query()
	for _, name := range passing {
		values.Del(name)
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			values.Del(pairs[i])
		} else {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	u := url.URL{Path: self.Path, RawQuery: values.Encode()}
	return u.String()
}

// part is the address of one file without the page around it.
func (q diffRequest) part(path string) string {
	if q.parts == "" {
		return ""
	}
	u := *q.self
	u.Path = q.parts
	return withQuery(&u, "file", path)
}

// diff reads the difference between two commits and prepares its files.
func (w *Web) diff(ctx context.Context, q diffRequest) (*diffView, error) {
	changes, err := w.changedFiles(ctx, q.git, q.from, q.to)
	if err != nil {
		return nil, err
	}
	changes, left := q.between.own(changes)
	v := &diffView{
		Unified: q.unified, Filter: q.filter, Action: q.self.Path, Message: q.message,
		SplitURL: q.with("diff", "split") + "#files", UnifiedURL: q.with("diff", "unified") + "#files",
	}
	for _, c := range changes {
		v.Added += c.Added
		v.Deleted += c.Deleted
	}
	var said []words.Text
	if left > 0 {
		said = append(said, words.Say("{1} left out.", words.Plural(left, "file that only the rebase changed is", "files that only the rebase changed are")))
	}
	if len(changes) > maxListed {
		said = append(said, words.Say("{1} files differ; the first {2} are listed.", len(changes), maxListed))
		changes = changes[:maxListed]
	}
	if q.filter != "" {
		changes = slices.DeleteFunc(slices.Clone(changes), func(c git.FileChange) bool { return !holds(c.Path, q.filter) && !holds(c.OldPath, q.filter) })
	}
	shown := w.choose(ctx, v, changes, q)
	patch, err := w.patchOf(ctx, q.git, q.from, q.to, q.ws, changes, shown)
	switch {
	case fault.Is(err, fault.TooLarge):
		said = append(said, words.Say("The difference is too large for a page: open its files one by one."))
		for i := range v.Files {
			v.Files[i].fold("Too large to show with the others.", q)
		}
	case err != nil:
		return nil, err
	}
	v.Said = said
	v.prepare(w, ctx, q, changes, patch)
	return v, nil
}

// holds reports whether a path holds a text, whatever the case.
func holds(path, text string) bool {
	return strings.Contains(strings.ToLower(path), strings.ToLower(text))
}

// prepare sets up how each file is made when its turn comes.
func (v *diffView) prepare(w *Web, ctx context.Context, q diffRequest, changes []git.FileChange, patch map[string]*diff.File) {
	ids := make(map[string]string, len(v.Files))
	for i := range v.Files {
		ids[v.Files[i].Path] = v.Files[i].ID
		if old := v.Files[i].OldPath; old != "" && ids[old] == "" {
			ids[old] = v.Files[i].ID
		}
		v.Viewed += one(v.Files[i].Viewed)
	}
	if q.seen != nil {
		v.MayView, v.Change, v.PS, v.Back = true, q.seen.change, q.seen.ps, q.with()
	}
	for name, values := range q.self.Query() {
		if name != "filter" && !slices.Contains(passing, name) && name != "file" && len(values) > 0 {
			v.Keep = append(v.Keep, field{name, values[0]})
		}
	}
	slices.SortFunc(v.Keep, func(a, b field) int { return strings.Compare(a.Name, b.Name) })
	v.Tree = treeOf(v.Files)
	haste, cancel := context.WithTimeout(ctx, colorBudget)
	v.fill = func(i int) {
		if f := &v.Files[i]; f.Said == nil && patch != nil {
			if err := w.fill(ctx, haste, q, f, changes[i], patch[f.Path], ids); err != nil {
				w.Log.Error("file of a diff failed", "path", f.Path, "err", err)
				f.Said = "This file could not be shown. Reload the page to try again."
			}
		}
		if q.talk != nil {
			q.talk.rest(&v.Files[i])
		}
	}
	v.done = cancel
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// choose describes the files and decides which are shown open, within the limits.
func (w *Web) choose(ctx context.Context, v *diffView, changes []git.FileChange, q diffRequest) (shown []int) {
	lines := 0
	q.pictures = new(int)
	why := reasons{w: w, git: q.git, landed: q.landed}
	for i, c := range changes {
		f := describe(i, c, q)
		n := c.Added + c.Deleted
		asked := q.only == c.Path || q.at.path == c.Path
		switch {
		case q.only != "" && q.only != c.Path:
			f.Folded = true
			f.fold("Not shown beside the one file that you asked for.", q)
		case c.Binary && c.OldOID != c.NewOID:
			f.Said = "Binary file: no lines to compare."
			f.Images = w.images(ctx, q, c, asked)
		case n == 0 && c.OldOID == c.NewOID:
			f.Said = onlyNames(c)
		case asked && n > maxFileAlone:
			f.Said = words.Say("{1} changed lines: too many for a page. Fetch the change and look at it with git.", n)
		case asked:
			shown = append(shown, i)
		case n > maxFileLines:
			f.fold(words.Say("Large: {1}.", words.Plural(n, "changed line", "changed lines")), q)
		case len(shown) >= maxPageFiles || lines+n > maxPageLines:
			f.Later = q.parts != ""
			f.fold(words.Say("{1}, folded because the page is long already.", words.Plural(n, "changed line", "changed lines")), q)
		default:
			if text := why.of(ctx, c); text != nil {
				f.fold(words.Say("{1}: {2}.", text, words.Plural(n, "changed line", "changed lines")), q)
				break
			}
			lines += n
			shown = append(shown, i)
		}
		if f.Images == nil && isSVG(c.Path) {
			f.Images = w.images(ctx, q, c, asked)
		}
		v.Files = append(v.Files, f)
	}
	return shown
}

func (f *fileDiff) fold(why any, q diffRequest) {
	f.Said, f.ShowURL, f.LoadURL = why, q.with("file", f.Path)+"#"+f.ID, q.part(f.Path)
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
