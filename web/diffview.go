package web

import (
	"cmp"
	"context"
	"fmt"
	"html/template"
	"maps"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/review/diff"
)

// What a page shows of a diff without being asked. Each limit has words on the page and a
// link that shows the file alone, up to maxFileAlone.
const (
	// maxFileLines is the changed lines of one file: more is rarely read by eye.
	maxFileLines = 1_500
	// maxPageLines and maxPageFiles bound a page; beyond them browsers get slow.
	maxPageLines = 8_000
	maxPageFiles = 150
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

// diffView is a diff as a page shows it.
type diffView struct {
	Files          []fileDiff
	Added, Deleted int
	Unified        bool
	SplitURL       string
	UnifiedURL     string
	Said           string // what of the diff is not shown, and why
}

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
	Said           string // why there is no table
	ShowURL        string // the file alone
	ViewURL        string // the file at the newer side
	CommentURL     string
	Talk           template.HTML // what is said about the file, or about lines that are not shown
	Table          template.HTML
}

// diffRequest is what a page wants to see.
type diffRequest struct {
	repo     string
	git      *git.Repo
	from, to git.OID
	unified  bool
	ws       string // white space: "", "trailing", "change", "all"
	only     string // a file to show alone
	self     *url.URL
	talk     *talk // nil on pages where nobody comments
}

// whiteSpace are the values of ?ws=, and what git calls them.
var whiteSpace = map[string]string{"": "", "trailing": "eol", "change": "change", "all": "all"}

// with is the address of the page with other values in its query; "" takes one out.
func (q diffRequest) with(pairs ...string) string {
	values := q.self.Query()
	for _, name := range []string{"comment", "on", "reply", "done"} {
		values.Del(name)
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			values.Del(pairs[i])
		} else {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	u := url.URL{Path: q.self.Path, RawQuery: values.Encode()}
	return u.String()
}

// diff reads and prepares the difference between two commits.
func (w *Web) diff(ctx context.Context, q diffRequest) (*diffView, error) {
	changes, err := q.git.ChangedFiles(ctx, q.from, q.to)
	if err != nil {
		return nil, err
	}
	v := &diffView{Unified: q.unified, SplitURL: q.with("diff", "split") + "#files", UnifiedURL: q.with("diff", "unified") + "#files"}
	for _, c := range changes {
		v.Added += c.Added
		v.Deleted += c.Deleted
	}
	if len(changes) > maxListed {
		v.Said = fmt.Sprintf("%d files differ; the first %d are listed.", len(changes), maxListed)
		changes = changes[:maxListed]
	}
	shown := w.choose(v, changes, q)
	patch, err := w.patch(ctx, q, changes, shown)
	if fault.Is(err, fault.TooLarge) {
		v.Said = "The difference is too large for a page: open its files one by one."
		for i := range v.Files {
			v.Files[i].fold("Too large to show with the others.", q)
		}
		return v, nil
	}
	if err != nil {
		return nil, err
	}
	haste, cancel := context.WithTimeout(ctx, colorBudget)
	defer cancel()
	for i := range v.Files {
		if f := &v.Files[i]; f.Said == "" {
			w.fill(haste, q, f, changes[i], patch[f.Path])
		}
		if q.talk != nil {
			q.talk.rest(&v.Files[i])
		}
	}
	return v, nil
}

// choose describes the files and decides which are shown open, within the limits.
func (w *Web) choose(v *diffView, changes []git.FileChange, q diffRequest) (shown []int) {
	lines := 0
	for i, c := range changes {
		f := describe(i, c, q)
		n := c.Added + c.Deleted
		switch limit := maxFileLines; {
		case q.only != "" && q.only != c.Path:
			f.Folded = true
			f.fold("Not shown beside the one file that you asked for.", q)
		case c.Binary:
			f.Said = "Binary file: no lines to compare."
		case n == 0 && c.OldOID == c.NewOID:
			f.Said = onlyNames(c)
		case q.only == c.Path && n > maxFileAlone:
			f.Said = fmt.Sprintf("%d changed lines: too many for a page. Fetch the change and look at it with git.", n)
		case q.only == c.Path:
			shown = append(shown, i)
		case n > limit:
			f.fold("Large: "+plural(n, "changed line", "changed lines")+".", q)
		case generated(c.Path):
			f.fold("Generated: "+plural(n, "changed line", "changed lines")+".", q)
		case len(shown) >= maxPageFiles || lines+n > maxPageLines:
			f.fold(plural(n, "changed line", "changed lines")+", folded because the page is long already.", q)
		default:
			lines += n
			shown = append(shown, i)
		}
		v.Files = append(v.Files, f)
	}
	return shown
}

func (f *fileDiff) fold(why string, q diffRequest) {
	f.Said, f.ShowURL = why, q.with("file", f.Path)+"#"+f.ID
}

var changeKinds = map[byte]string{'A': "added", 'M': "changed", 'D': "deleted", 'R': "renamed", 'C': "copied", 'T': "of another type"}

func describe(i int, c git.FileChange, q diffRequest) fileDiff {
	f := fileDiff{
		ID: "f" + strconv.Itoa(i), Letter: string(c.Status), Kind: changeKinds[c.Status], Path: c.Path,
		Added: c.Added, Deleted: c.Deleted, Binary: c.Binary,
	}
	f.Jump = "#" + f.ID
	if c.OldPath != "" && c.OldPath != c.Path {
		f.OldPath = c.OldPath
	}
	if c.OldMode != c.NewMode && c.Status != 'A' && c.Status != 'D' {
		f.ModeNote = c.OldMode + " → " + c.NewMode
	}
	if c.Status != 'D' {
		f.ViewURL = repoURL(q.repo, "file", string(q.to), c.Path)
	}
	if q.talk != nil {
		f.Comments = q.talk.count(c.Path)
		if q.talk.mayComment {
			f.CommentURL = q.with("comment", c.Path) + "#comment"
		}
	}
	return f
}

// onlyNames says what differs when no byte of the file does.
func onlyNames(c git.FileChange) string {
	switch {
	case c.Status == 'R':
		return "Renamed without changes."
	case c.Status == 'C':
		return "Copied without changes."
	case c.OldMode != c.NewMode:
		return "Only the mode changed: " + c.OldMode + " → " + c.NewMode + "."
	}
	return "An empty file."
}

// generated reports whether people do not read a file as a rule, by its name.
func generated(name string) bool {
	base := path.Base(name)
	switch base {
	case "go.sum", "package-lock.json", "yarn.lock", "pnpm-lock.yaml", "Cargo.lock", "composer.lock", "Gemfile.lock", "poetry.lock", "uv.lock", "flake.lock":
		return true
	}
	for _, suffix := range []string{".min.js", ".min.css", ".pb.go", ".pb.gw.go", "_pb2.py", ".generated.go", ".map"} {
		if strings.HasSuffix(base, suffix) {
			return true
		}
	}
	return strings.HasPrefix(name, "vendor/") || strings.HasPrefix(name, "node_modules/") || strings.Contains(name, "/node_modules/")
}

// patch is the parsed text of the files that are shown, by path.
func (w *Web) patch(ctx context.Context, q diffRequest, changes []git.FileChange, shown []int) (map[string]diff.File, error) {
	if len(shown) == 0 {
		return nil, nil
	}
	options := git.DiffOptions{Context: diffContext, IgnoreSpace: whiteSpace[q.ws], MaxBytes: maxPatch}
	if len(shown) < len(changes) {
		for _, i := range shown {
			options.Paths = append(options.Paths, changes[i].Path)
			if old := changes[i].OldPath; old != "" && old != changes[i].Path {
				options.Paths = append(options.Paths, old)
			}
		}
	}
	text, err := q.git.DiffPatch(ctx, q.from, q.to, options)
	if err != nil {
		return nil, err
	}
	files, err := diff.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("web: diff %s..%s: %w", q.from.Short(), q.to.Short(), err)
	}
	byPath := make(map[string]diff.File, len(files))
	for _, f := range files {
		byPath[f.Path()] = f
	}
	return byPath, nil
}

// fill makes the table of one file.
func (w *Web) fill(ctx context.Context, q diffRequest, f *fileDiff, c git.FileChange, file diff.File) {
	if len(file.Hunks) == 0 {
		f.Said = "Nothing but white space differs."
		if q.ws == "" {
			f.Said = onlyNames(c)
		}
		return
	}
	r := rows{id: f.ID, old: w.colorsOf(ctx, q.git, c.OldOID, c.OldPath, c.Path), new: w.colorsOf(ctx, q.git, c.NewOID, c.Path, "")}
	if q.talk != nil {
		r.below = func(side byte, line int) string { return q.talk.at(c.Path, side, line) }
		if q.talk.mayComment {
			r.form = "F" + f.ID
			keep := map[string]string{}
			for _, name := range []string{"ps", "base", "diff", "ws", "file"} {
				if v := q.self.Query().Get(name); v != "" {
					keep[name] = v
				}
			}
			r.b.WriteString(hiddenForm(r.form, q.self.Path, c.Path, keep))
		}
	}
	lines := 0
	for i := range file.Hunks {
		diff.Intraline(&file.Hunks[i])
		lines += len(file.Hunks[i].Lines)
	}
	f.Long = lines > longFile
	if q.unified || c.Status == 'A' || c.Status == 'D' { // one side would be empty
		r.unified(file.Hunks)
	} else {
		r.split(file.Hunks)
	}
	f.Table = template.HTML(r.b.String()) //nolint:gosec // escaped by rows
}

// colorsOf is the colours of a whole blob, so that a hunk in the middle of a comment is
// coloured as one. What cannot be read or is large stays plain.
func (w *Web) colorsOf(ctx context.Context, g *git.Repo, oid git.OID, name, otherwise string) colored {
	if name == "" {
		name = otherwise
	}
	if oid.IsZero() {
		return nil
	}
	key := string(oid) + " " + path.Base(name)
	if colors, ok := w.colors.get(key); ok {
		return colors
	}
	text, err := g.Blob(ctx, oid, maxHighlight)
	if err != nil {
		return nil
	}
	colors, whole := highlight(ctx, name, string(text))
	if whole { // otherwise it may go better next time
		w.colors.put(key, len(text), colors)
	}
	return colors
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
