package web

import (
	"html/template"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
)

const (
	// maxFileShown is the largest file that the file page shows as text.
	maxFileShown = 2 << 20
	// maxLinesShown is how many lines of it: each is a row that the browser lays out.
	maxLinesShown = 30_000
	// maxRaw is the largest file that is sent raw; it is held in memory for that time.
	maxRaw = 64 << 20
	// sniff is how much of a file tells whether it is text, as git looks.
	sniff = 8_000
)

// Modes of tree entries that are no plain files.
const (
	modeExec    = "100755"
	modeSymlink = "120000"
)

// folderView is a folder of a repository, and its first page.
type folderView struct {
	repoPage
	revision
	choices
	sideView
	Unborn  bool
	Crumbs  []crumb
	Parent  string
	Entries []entryRow
	More    int
	Last    *commitRow
	Readme  *readme
}

type entryRow struct {
	Name, URL, Icon, Note, Size string
}

type readme struct {
	Name string
	HTML template.HTML
}

// tree is a folder; a path that is a file leads to the file's page.
func (w *Web) tree(c *call) error {
	p, err := w.repoOf(c, "code")
	if err != nil {
		return err
	}
	rev, err := w.revision(c, p, c.variable("rest"))
	if err != nil {
		return err
	}
	return w.folder(c, p, rev)
}

func (w *Web) folder(c *call, p repoPage, rev revision) error {
	v := folderView{repoPage: p, revision: rev, Crumbs: crumbs(p.Repo.Name, rev, "tree")}
	entries, err := p.git.Tree(c.ctx(), rev.OID, rev.Path)
	if fault.Is(err, fault.Invalid) {
		c.seeOther(repoURL(p.Repo.Name, "file", rev.Rev, rev.Path), "")
		return nil
	}
	if err != nil {
		return err
	}
	if v.choices, err = choicesOf(c.ctx(), p.git); err != nil {
		return err
	}
	if v.sideView, err = w.side(c, p.Repo); err != nil {
		return err
	}
	last, err := p.git.Log(c.ctx(), rev.OID, rev.Path, 0, 1)
	if err != nil {
		return err
	}
	if len(last) > 0 {
		row := rowOf(last[0])
		v.Last = &row
	}
	if rev.Path != "" {
		v.Parent = repoURL(p.Repo.Name, "tree", rev.Rev, strings.TrimPrefix(path.Dir(rev.Path), "."))
	}
	// Folders first, each group in git's order.
	slices.SortStableFunc(entries, func(a, b git.Entry) int { return rank(a) - rank(b) })
	if len(entries) > maxEntries {
		v.More, entries = len(entries)-maxEntries, entries[:maxEntries]
	}
	for _, e := range entries {
		v.Entries = append(v.Entries, entryOf(p.Repo.Name, rev, e))
	}
	if v.Readme, err = w.readmeOf(c, p, rev, entries); err != nil {
		return err
	}
	title := p.Repo.Name
	if rev.Path != "" {
		title = rev.Path + " · " + title
	}
	return w.render(c, http.StatusOK, "repo", title, v, withUp(pick(rev.Path == "", "/repositories", v.Parent)))
}

func rank(e git.Entry) int {
	if e.Type == "tree" {
		return 0
	}
	return 1
}

func entryOf(repoName string, rev revision, e git.Entry) entryRow {
	full := path.Join(rev.Path, e.Name)
	switch {
	case e.Type == "tree":
		return entryRow{Name: e.Name, Icon: "folder", URL: repoURL(repoName, "tree", rev.Rev, full)}
	case e.Type == "commit":
		return entryRow{Name: e.Name, Icon: "link", Note: "submodule at " + e.OID.Short()}
	case e.Mode == modeSymlink:
		return entryRow{Name: e.Name, Icon: "link", Note: "symbolic link", URL: repoURL(repoName, "file", rev.Rev, full)}
	}
	return entryRow{Name: e.Name, Icon: "file", URL: repoURL(repoName, "file", rev.Rev, full), Size: bytesText(e.Size)}
}

// readmeOf renders the folder's README, nil when there is none that can be shown.
func (w *Web) readmeOf(c *call, p repoPage, rev revision, entries []git.Entry) (*readme, error) {
	var found *git.Entry
	for i, e := range entries {
		name := strings.ToLower(e.Name)
		if e.Type == "blob" && e.Mode != modeSymlink && (name == "readme.md" || name == "readme.markdown" || found == nil && (name == "readme" || name == "readme.txt")) {
			found = &entries[i]
		}
	}
	if found == nil || found.Size > maxMarkdown {
		return nil, nil
	}
	text, err := p.git.Blob(c.ctx(), found.OID, maxMarkdown)
	if err != nil {
		return nil, err
	}
	r := &readme{Name: found.Name}
	if isMarkdown(found.Name) {
		r.HTML = w.document(c.ctx(), found.OID, string(text), place{Repo: p.Repo.Name, Rev: rev.Rev, Dir: rev.Path})
	} else {
		r.HTML = asTyped(string(text))
	}
	return r, nil
}

func isMarkdown(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	return ext == ".md" || ext == ".markdown"
}

// fileView is the page of one file.
type fileView struct {
	repoPage
	revision
	Crumbs              []crumb
	Name, Size, Mode    string
	Lines               int
	Log, Permalink, Raw string
	Source              string // the other way to look at it: rendered or as source
	Said, Why           string // why it is not shown
	Picture             bool
	Prose               template.HTML
	Code                template.HTML
}

// fileAt finds the entry that the address names.
func (w *Web) fileAt(c *call) (repoPage, revision, git.Entry, error) {
	p, err := w.repoOf(c, "code")
	if err != nil {
		return p, revision{}, git.Entry{}, err
	}
	rev, err := w.revision(c, p, c.variable("rest"))
	if err != nil {
		return p, rev, git.Entry{}, err
	}
	dir := strings.TrimPrefix(path.Dir(rev.Path), ".")
	entries, err := p.git.Tree(c.ctx(), rev.OID, dir)
	if err != nil && !fault.Is(err, fault.Invalid) { // Invalid: what stands above it is a file
		return p, rev, git.Entry{}, err
	}
	for _, e := range entries {
		if e.Name == path.Base(rev.Path) {
			return p, rev, e, nil
		}
	}
	return p, rev, git.Entry{}, notFound("web.file", "there is no such file in this commit")
}

func (w *Web) file(c *call) error {
	p, rev, e, err := w.fileAt(c)
	if err != nil {
		return err
	}
	if e.Type != "blob" {
		c.seeOther(repoURL(p.Repo.Name, "tree", rev.Rev, rev.Path), "")
		return nil
	}
	v := fileView{
		repoPage: p, revision: rev, Crumbs: crumbs(p.Repo.Name, rev, "tree"), Name: e.Name, Size: bytesText(e.Size),
		Log:       repoURL(p.Repo.Name, "log", rev.Rev, rev.Path),
		Permalink: repoURL(p.Repo.Name, "file", string(rev.OID), rev.Path),
		Raw:       repoURL(p.Repo.Name, "raw", rev.Rev, rev.Path),
	}
	switch e.Mode {
	case modeExec:
		v.Mode = "executable"
	case modeSymlink:
		v.Mode = "symbolic link"
	}
	if e.Size > maxFileShown {
		v.Said, v.Why = "Too large to show here", "files up to "+bytesText(maxFileShown)+" are shown"
	} else if err := w.showFile(c, &v, e); err != nil {
		return err
	}
	return w.render(c, http.StatusOK, "file", e.Name+" · "+p.Repo.Name, v, wide, withUp(repoURL(p.Repo.Name, "tree", rev.Rev, strings.TrimPrefix(path.Dir(rev.Path), "."))))
}

// showFile fills in the file's contents, as what they are.
func (w *Web) showFile(c *call, v *fileView, e git.Entry) error {
	text, err := v.git.Blob(c.ctx(), e.OID, maxFileShown)
	if err != nil {
		return err
	}
	if pictureType(text) != "" {
		v.Picture = true
		return nil
	}
	if binary(text) {
		v.Said = "Binary file"
		return nil
	}
	v.Lines = strings.Count(strings.TrimSuffix(string(text), "\n"), "\n") + 1
	if v.Lines > maxLinesShown {
		v.Said, v.Why = "Too many lines to show here", "files of up to "+plural(maxLinesShown, "line", "lines")+" are shown"
		return nil
	}
	source := c.query("view") == "source"
	if isMarkdown(e.Name) && e.Mode != modeSymlink {
		here := repoURL(v.Repo.Name, "file", v.Rev, v.Path)
		v.Source = pick(source, here, here+"?view=source")
		if !source {
			v.Prose = w.document(c.ctx(), e.OID, string(text), place{Repo: v.Repo.Name, Rev: v.Rev, Dir: strings.TrimPrefix(path.Dir(v.Path), ".")})
			return nil
		}
	}
	colors := w.colorsOf(c.ctx(), v.git, e.OID, e.Name, "").colors
	v.Code = template.HTML(fileTable(string(text), colors, w.speech(c).lang)) //nolint:gosec // escaped by fileTable
	return nil
}

// binary reports whether git would show no lines of the file.
func binary(text []byte) bool {
	return slices.Contains(text[:min(len(text), sniff)], 0)
}

// pictureType is the type of a picture that browsers draw without running anything in it, ""
// for every other file. SVG is a program in this sense and is shown as source.
func pictureType(text []byte) string {
	switch kind := http.DetectContentType(text[:min(len(text), 512)]); kind {
	case "image/png", "image/jpeg", "image/gif", "image/webp":
		return kind
	}
	return ""
}

// raw sends a file as it is, so that nothing in it can act on this site: text is plain text,
// pictures are pictures, and everything else is only for saving. A drawing (SVG) is a picture
// only for an <img>, which runs nothing in it.
func (w *Web) raw(c *call) error {
	_, _, e, err := w.blobAt(c)
	if err != nil {
		return err
	}
	text := e.text
	h := c.rw.Header()
	h.Set("Content-Security-Policy", rawPolicy)
	kind := pictureType(text)
	switch {
	case kind != "":
		h.Set("Content-Type", kind)
	case asImage(c.r) && vector(e.Name, text):
		h.Set("Content-Security-Policy", drawnPolicy)
		h.Set("Content-Type", "image/svg+xml")
	case !binary(text) && utf8.Valid(text[:runeStart(text)]):
		h.Set("Content-Type", "text/plain; charset=utf-8")
	default:
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Disposition", `attachment; filename="file"; filename*=UTF-8''`+encodeName(e.Name))
	}
	send(c.rw, text)
	return nil
}

// blob is a file with its bytes.
type blob struct {
	git.Entry
	text []byte
}

func (w *Web) blobAt(c *call) (repoPage, revision, blob, error) {
	p, rev, e, err := w.fileAt(c)
	if err != nil {
		return p, rev, blob{}, err
	}
	if e.Type != "blob" {
		return p, rev, blob{}, notFound("web.raw", "this is no file")
	}
	text, err := p.git.Blob(c.ctx(), e.OID, maxRaw)
	return p, rev, blob{e, text}, err
}

// runeStart is how much of text to look at so that no character is cut: all of what sniff
// covers but a cut one at its end.
func runeStart(text []byte) int {
	n := min(len(text), sniff)
	for back := 1; back < utf8.UTFMax && n < len(text) && n-back > 0; back++ {
		if utf8.RuneStart(text[n-back]) {
			return n - back
		}
	}
	return n
}

// encodeName is a file's name for a header (RFC 5987): everything but letters, digits and
// a few signs is encoded.
func encodeName(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_' {
			b.WriteByte(c)
			continue
		}
		const digits = "0123456789ABCDEF"
		b.WriteString("%" + string(digits[c>>4]) + string(digits[c&15]))
	}
	return b.String()
}

// commitRow is a commit in a list.
type commitRow struct {
	OID     git.OID
	Short   string
	Subject string
	Author  string
	When    time.Time
	Change  int64 // the change that it landed with, 0 when unknown
}

func rowOf(c git.Commit) commitRow {
	return commitRow{OID: c.OID, Short: c.OID.Short(), Subject: c.Subject(), Author: c.Author.Name, When: c.Committer.When}
}
