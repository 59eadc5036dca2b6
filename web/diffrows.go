package web

import (
	"html"
	"strconv"
	"strings"

	"gatehouse/review/diff"
	"gatehouse/web/words"
)

// rows writes the table of one file's diff. It is written by hand and not by a template
// because it is nearly all of a page: thousands of lines, each with the same few attributes.
type rows struct {
	b        strings.Builder
	id       string  // of the file on the page; the anchor of new line 12 is id + "R12"
	form     string  // id of the form that a line number submits, "" when nobody may comment
	old, new colored // the whole files' colours, nil for none
	// below gives what stands under a line of the old ('L') or new ('R') file, "" for nothing.
	below func(side byte, line int) string
	// still is the side that takes no comments although there is a form: it is no patch set's.
	still byte
	more  moreLines
	// jump gives the anchor of a file on the page by its path, "" for none.
	jump func(path string) string
	path string
	came [2]diff.Place // where the line before came from or went to, by side
	// marks are what stages say about lines of the new side.
	marks map[int][]lineMark
	// said are the parts of a line that somebody comments on; nil where nobody does.
	said func(side byte, line int, text string) []diff.Span
	lang *words.Language
}

// say is a text of the pages in their language, escaped.
func (w *rows) say(t words.Text) string { return html.EscapeString(w.lang.Text(t)) }

// heads are the headings of the columns, for who does not see them.
func heads(l *words.Language, names ...string) string {
	var b strings.Builder
	b.WriteString(`<thead class="sr"><tr>`)
	for _, name := range names {
		b.WriteString(`<th scope="col">` + html.EscapeString(l.Word(name)) + `</th>`)
	}
	b.WriteString(`</tr></thead><tbody>`)
	return b.String()
}

func (w *rows) unified(hunks []diff.Hunk) {
	gaps := diff.Gaps(hunks, w.more.total)
	w.b.WriteString(`<table class="code unified"` + w.more.attribute(3) + `><colgroup><col class="n"><col class="n"><col></colgroup>` +
		heads(w.lang, "Old line", "New line", "Code"))
	for i := range hunks {
		w.hunk(&hunks[i], gaps[i], 3)
		for j := range hunks[i].Lines {
			line := &hunks[i].Lines[j]
			w.b.WriteString("<tr>")
			w.number('L', line.Old, kind(line))
			w.number('R', line.New, kind(line))
			w.code(line)
			w.b.WriteString("</tr>\n")
			w.under(line.Old, line.New, 3)
		}
	}
	w.rest(gaps[len(hunks)], 3)
	w.b.WriteString("</tbody></table>")
}

func (w *rows) split(hunks []diff.Hunk) {
	gaps := diff.Gaps(hunks, w.more.total)
	w.b.WriteString(`<table class="code split"` + w.more.attribute(4) + `><colgroup><col class="n"><col><col class="n"><col></colgroup>` +
		heads(w.lang, "Old line", "Old code", "New line", "New code"))
	for i := range hunks {
		w.hunk(&hunks[i], gaps[i], 4)
		for _, row := range diff.Rows(hunks[i]) {
			w.b.WriteString("<tr>")
			same := row.Left != nil && row.Left.Kind == ' '
			w.side('L', row.Left, same)
			w.side('R', row.Right, false)
			w.b.WriteString("</tr>\n")
			old, new := 0, 0
			if row.Left != nil {
				old = row.Left.Old
			}
			if row.Right != nil {
				new = row.Right.New
			}
			w.under(old, new, 4)
		}
	}
	w.rest(gaps[len(hunks)], 4)
	w.b.WriteString("</tbody></table>")
}

// side writes one half of a row. same marks the left half of a context line, which narrow
// screens leave out.
func (w *rows) side(side byte, line *diff.Line, same bool) {
	if line == nil {
		w.b.WriteString(`<td class="n e"></td><td class="c e"></td>`)
		return
	}
	number, class := line.New, kind(line)
	if side == 'L' {
		number = line.Old
	}
	if same {
		class = " same"
	}
	w.number(side, number, class)
	w.codeAs(line, side, class)
}

// hunk writes the line above a hunk: how to see more of the file, the numbers, and what git
// found to stand above.
func (w *rows) hunk(h *diff.Hunk, gap diff.Gap, columns int) {
	w.b.WriteString(`<tr class="h"><td colspan="` + strconv.Itoa(columns) + `">`)
	w.links(gap, false)
	w.b.WriteString(`@@ −` + strconv.Itoa(h.OldStart) + `,` + strconv.Itoa(h.OldLines) +
		` +` + strconv.Itoa(h.NewStart) + `,` + strconv.Itoa(h.NewLines) + ` @@ `)
	writeVisible(&w.b, h.Section)
	w.b.WriteString("</td></tr>\n")
}

// number writes a line number. It is a button of the file's form where one may comment; it
// is left out of the tab order because the file's own "Comment" link does the same for the
// keyboard without a thousand stops on the way.
func (w *rows) number(side byte, line int, class string) {
	if line == 0 {
		w.b.WriteString(`<td class="n` + class + `"></td>`)
		return
	}
	n, ran := strconv.Itoa(line), ""
	if side == 'R' {
		var cover string
		cover, ran = w.cover(line)
		class += cover
	}
	w.b.WriteString(`<td class="n` + class + `" id="` + w.id + string(side) + n + `">`)
	if w.form == "" || side == w.still {
		w.b.WriteString(`<a href="#` + w.id + string(side) + n + `" tabindex="-1">` + n + `</a>` + ran + `</td>`)
		return
	}
	w.b.WriteString(`<button form="` + w.form + `" name="comment" value="` + string(side) + n + `" tabindex="-1">` + n + `</button>` + ran + `</td>`)
}

func (w *rows) code(line *diff.Line) {
	side := byte('R')
	if line.Kind == '-' {
		side = 'L'
	}
	w.codeAs(line, side, kind(line))
}

func (w *rows) codeAs(line *diff.Line, side byte, class string) {
	styles := w.new.line(line.New, line.Text)
	if side == 'L' {
		styles = w.old.line(line.Old, line.Text)
	}
	moved := w.moved(line, side)
	if line.Moved.Line != 0 && line.Kind != ' ' {
		class += " mv"
	}
	w.b.WriteString(`<td class="c` + class + `">` + moved)
	var said []diff.Span
	if w.said != nil {
		n := line.New
		if side == 'L' {
			n = line.Old
		}
		if said = w.said(side, n, line.Text); side == 'R' && line.Kind == ' ' && len(said) == 0 {
			said = w.said('L', line.Old, line.Text)
		}
	}
	writeCode(&w.b, line.Text, styles, line.Marks, said...)
	if line.NoEOL {
		w.b.WriteString(` <span class="noeol">` + w.say(words.Say("no line end at the end of the file")) + `</span>`)
	}
	w.b.WriteString("</td>")
}

// moved is the note on the first line of a run that came from or went to another place.
func (w *rows) moved(line *diff.Line, side byte) string {
	at := 0
	if side == 'L' {
		at = 1
	}
	before, to := w.came[at], line.Moved
	if line.Kind == ' ' {
		to = diff.Place{}
	}
	w.came[at] = to
	if to.Line == 0 || to.Path == before.Path && to.Line == before.Line+1 {
		return ""
	}
	there, inside, other := "moved from {1}", "moved from line {1}", "L"
	if side == 'L' {
		there, inside, other = "moved to {1}", "moved to line {1}", "R"
	}
	n := strconv.Itoa(to.Line)
	note := words.Say(there, plain(to.Path)+":"+n)
	if to.Path == w.path {
		note = words.Say(inside, to.Line)
	}
	if id := w.jump; id != nil && id(to.Path) != "" {
		return `<a class="moved" href="#` + id(to.Path) + other + n + `">` + w.say(note) + `</a>`
	}
	return `<span class="moved">` + w.say(note) + `</span>`
}

func (w *rows) under(old, new, columns int) {
	w.says(new, columns)
	if w.below == nil {
		return
	}
	for _, at := range [2]struct {
		side byte
		line int
	}{{'L', old}, {'R', new}} {
		if at.line == 0 {
			continue
		}
		if text := w.below(at.side, at.line); text != "" {
			w.b.WriteString(`<tr class="talk"><td colspan="` + strconv.Itoa(columns) + `">` + text + "</td></tr>\n")
		}
	}
}

// kind is the class of a line, with the space that separates it.
func kind(line *diff.Line) string {
	switch {
	case line.Kind == '+' && line.Rebased:
		return " a rb"
	case line.Kind == '-' && line.Rebased:
		return " d rb"
	}
	switch line.Kind {
	case '+':
		return " a"
	case '-':
		return " d"
	case ' ':
		return ""
	}
	panic("web: a line of kind " + string(line.Kind))
}

// fileTable is a whole file with line anchors, for the file page.
func fileTable(text string, colors colored, l *words.Language) string {
	var b strings.Builder
	b.WriteString(`<div class="scroll"><table class="code file-view"><colgroup><col class="n"><col></colgroup>` + heads(l, "Line", "Code"))
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, line := range lines {
		n := strconv.Itoa(i + 1)
		b.WriteString(`<tr id="L` + n + `"><td class="n"><a href="#L` + n + `">` + n + `</a></td><td class="c">`)
		writeCode(&b, line, colors.line(i+1, line), nil)
		b.WriteString("</td></tr>\n")
	}
	b.WriteString("</tbody></table></div>")
	return b.String()
}

// hiddenForm is the form that the line numbers of a file submit: it asks for the same page
// with a comment form under the line.
func hiddenForm(id, action, path string, keep map[string]string) string {
	var b strings.Builder
	b.WriteString(`<form id="` + id + `" method="get" action="` + html.EscapeString(action) + `#comment" hidden>`)
	b.WriteString(`<input type="hidden" name="on" value="` + html.EscapeString(path) + `">`)
	for _, name := range sortedKeys(keep) {
		b.WriteString(`<input type="hidden" name="` + name + `" value="` + html.EscapeString(keep[name]) + `">`)
	}
	b.WriteString("</form>")
	return b.String()
}
