package web

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/review/diff"
	"gatehouse/web/words"
)

const (
	// moreStep is how many hidden lines one link shows.
	moreStep = 20
	// maxMore is how many it shows at once when all of a gap are asked for.
	maxMore = 2_000
	// maxMoreLine bounds the numbers of lines in an address: files of more are not shown at all.
	maxMoreLine = 10_000_000
	// maxShownRanges bounds the ranges that an address asks to show.
	maxShownRanges = 50
)

// moreLines is how a table offers the lines that it does not show. Each link leads to this
// page with those lines; the script asks for the rows alone and puts them in its place.
type moreLines struct {
	total int                             // lines of the new file, 0 when that is not known
	rows  string                          // the address that gives rows, "" when there is none
	page  func(context, at string) string // the page that shows a range; nil: offer nothing
}

// attribute tells the script where rows are.
func (m moreLines) attribute(columns int) string {
	if m.rows == "" {
		return ""
	}
	return ` data-lines="` + html.EscapeString(m.rows) + `&amp;cols=` + strconv.Itoa(columns) + `"`
}

// links offers the lines of a gap: those next to what stands above, all, and those next to
// what stands below.
func (w *rows) links(gap diff.Gap, last bool) {
	n := gap.Lines()
	if n == 0 || w.more.page == nil {
		return
	}
	w.b.WriteString(`<span class="more">`)
	if n > moreStep {
		if gap.From > 1 {
			w.link(gap, "down", "↓ "+strconv.Itoa(moreStep), words.Say("Show {1} lines below line {2}", moreStep, gap.From-1), diff.Range{From: gap.From, To: gap.From + moreStep - 1})
		}
		if !last {
			w.link(gap, "up", "↑ "+strconv.Itoa(moreStep), words.Say("Show {1} lines above line {2}", moreStep, gap.To+1), diff.Range{From: gap.To - moreStep + 1, To: gap.To})
		}
	}
	if n <= maxMore {
		w.link(gap, "all", "↕ "+w.say(words.Plural(n, "line", "lines")), words.Say("Show {1} more", words.Plural(n, "line", "lines")), gap.Range)
	}
	w.b.WriteString(`</span>`)
}

func (w *rows) link(gap diff.Gap, which, text string, label words.Text, shows diff.Range) {
	from, to := strconv.Itoa(shows.From), strconv.Itoa(shows.To)
	w.b.WriteString(`<a href="` + html.EscapeString(w.more.page(from+"-"+to, w.id+"R"+from)) + `" data-gap="` +
		strconv.Itoa(gap.From) + `-` + strconv.Itoa(gap.To) + `&amp;shift=` + strconv.Itoa(gap.Shift) + `&amp;show=` + which + `" aria-label="` + w.say(label) + `">` + text + `</a>`)
}

// rest offers what stands behind the last hunk.
func (w *rows) rest(gap diff.Gap, columns int) {
	if gap.Lines() == 0 || w.more.page == nil {
		return
	}
	w.b.WriteString(`<tr class="h"><td colspan="` + strconv.Itoa(columns) + `">`)
	w.links(gap, true)
	w.b.WriteString("</td></tr>\n")
}

// rangesOf reads "12-31,80-99" of an address; "all" is the whole file. What it cannot read it
// leaves out.
func rangesOf(text string) []diff.Range {
	if text == "all" {
		return []diff.Range{{From: 1, To: maxLinesShown}}
	}
	var all []diff.Range
	for part := range strings.SplitSeq(text, ",") {
		from, to, ok := strings.Cut(part, "-")
		first, err1 := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if ok && err1 == nil && err2 == nil && len(all) < maxShownRanges {
			all = append(all, diff.Range{From: first, To: last})
		}
	}
	return all
}

// fileID is what the anchors of a file on a page begin with.
var fileID = regexp.MustCompile(`^f[0-9]{1,5}$`)

// lines gives rows of a file that a diff does not show: those of a gap, and what stays hidden
// of it. It is for the script; the page itself can show them as well.
func (w *Web) lines(c *call) error {
	p, rev, e, err := w.fileAt(c)
	if err != nil {
		return err
	}
	const op = "web.lines"
	number := func(name string) int {
		n, _ := strconv.Atoi(c.query(name)) // what is no number shows nothing
		return n
	}
	from, to, _ := strings.Cut(c.query("gap"), "-")
	first, _ := strconv.Atoi(from)
	last, _ := strconv.Atoi(to)
	gap := diff.Gap{Range: diff.Range{From: first, To: last}, Shift: number("shift")}
	id, columns := c.query("id"), number("cols")
	if e.Type != "blob" || gap.From < 1 || gap.Lines() == 0 || gap.From+gap.Shift < 1 || max(gap.Shift, -gap.Shift, gap.To) > maxMoreLine || !fileID.MatchString(id) || columns < 3 || columns > 4 {
		return fault.New(fault.Invalid, op, "there are no such lines", "reload the page that you came from")
	}
	text, err := p.git.Blob(c.ctx(), e.OID, maxFileShown)
	if err != nil {
		return err
	}
	file := diff.SplitLines(string(text))
	r := rows{lang: w.speech(c).lang, id: id, new: w.colorsOf(c.ctx(), p.git, e.OID, e.Name, "").colors, path: rev.Path, more: moreLines{
		page: func(_, _ string) string { return repoURL(p.Repo.Name, "file", rev.Rev, rev.Path) },
	}}
	r.old = shifted(r.new, gap.Shift)
	if c.query("form") != "" {
		r.form = "F" + id
	}
	r.gapRows(file, gap, c.query("show"), columns, gap.To >= len(file))
	c.rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	c.rw.WriteHeader(http.StatusOK)
	send(c.rw, []byte(r.b.String()))
	return nil
}

// shifted is the colours of the new file by the numbers of the old one: hidden lines are the
// same in both.
func shifted(colors colored, shift int) colored {
	if shift < 0 {
		return colors[min(-shift, len(colors)):]
	}
	return append(make(colored, shift), colors...)
}

// gapRows writes the lines of a gap that were asked for, and a row for those that stay hidden.
func (w *rows) gapRows(file []string, gap diff.Gap, show string, columns int, last bool) {
	left := gap
	var above, below diff.Range
	switch show {
	case "down":
		above = diff.Range{From: gap.From, To: min(gap.To, gap.From+moreStep-1)}
		left.From = above.To + 1
	case "up":
		below = diff.Range{From: max(gap.From, gap.To-moreStep+1), To: gap.To}
		left.To = below.From - 1
	default:
		above = diff.Range{From: gap.From, To: min(gap.To, gap.From+maxMore-1)}
		left.From = above.To + 1
	}
	w.contextRows(diff.Context(file, above, gap.Shift), columns)
	if left.Lines() > 0 {
		w.b.WriteString(`<tr class="h"><td colspan="` + strconv.Itoa(columns) + `">`)
		w.links(left, last)
		w.b.WriteString("</td></tr>\n")
	}
	w.contextRows(diff.Context(file, below, gap.Shift), columns)
}

func (w *rows) contextRows(h diff.Hunk, columns int) {
	for i := range h.Lines {
		line := &h.Lines[i]
		w.b.WriteString("<tr>")
		if columns == 3 {
			w.number('L', line.Old, "")
			w.number('R', line.New, "")
			w.code(line)
		} else {
			w.side('L', line, true)
			w.side('R', line, false)
		}
		w.b.WriteString("</tr>\n")
	}
}

// rowsURL is where the rows of a file at a commit are.
func rowsURL(repoName string, commit git.OID, path, id string, form bool) string {
	q := url.Values{"id": {id}}
	if form {
		q.Set("form", "1")
	}
	return repoURL(repoName, "lines", string(commit), path) + "?" + q.Encode()
}
