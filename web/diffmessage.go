package web

import (
	"html/template"

	"gatehouse/review"
	"gatehouse/review/diff"
)

// messageID is what the anchors of the commit message on a page begin with.
const messageID = "msg"

// messageOf is the commit message of a patch set as the first file of its diff: beside that of
// another patch set with what changed in it, or alone.
func (q diffRequest) messageOf(base *review.PatchSet, ps review.PatchSet) *fileDiff {
	f := &fileDiff{ID: messageID, Letter: "A", Kind: "the commit message", Path: review.CommitMessage, Jump: "#" + messageID, Folded: true}
	if q.only != "" && q.only != f.Path {
		return nil
	}
	f.Comments = q.talk.count(f.Path)
	if q.talk.mayComment {
		f.CommentURL = q.with("comment", f.Path) + "#comment"
	}
	q.seen.mark(f)
	lines := diff.SplitLines(ps.Message)
	hunks := []diff.Hunk{diff.Context(lines, diff.Range{From: 1, To: len(lines)}, 0)}
	if base != nil {
		f.Letter = pick(base.Message == ps.Message, "=", "M")
		hunks = diff.Expand(diff.Texts(base.Message, ps.Message, len(lines)), lines, []diff.Range{{From: 1, To: len(lines)}})
		for i := range hunks {
			diff.Intraline(&hunks[i])
			for _, l := range hunks[i].Lines {
				f.Added += one(l.Kind == '+')
				f.Deleted += one(l.Kind == '-')
			}
		}
	}
	asked := q.at.path == f.Path || q.only == f.Path
	f.Folded = !asked && f.Comments == 0 && f.Added+f.Deleted == 0 || f.Viewed && !asked
	r := rows{lang: q.lang, id: f.ID, path: f.Path, below: func(side byte, line int) string { return q.talk.at(f.Path, side, line) }}
	r.said = func(side byte, line int, text string) []diff.Span { return q.talk.spans(f.Path, side, line, text) }
	if q.talk.mayComment {
		r.form = "F" + f.ID
		r.b.WriteString(hiddenForm(r.form, q.self.Path, f.Path, q.keep()))
		if base == nil {
			r.still = 'L'
		}
	}
	switch {
	case base == nil:
		r.alone(hunks)
	case q.unified:
		r.unified(hunks)
	default:
		r.split(hunks)
	}
	f.Table = template.HTML(r.b.String()) //nolint:gosec // escaped by rows
	q.talk.rest(f)
	return f
}

// alone writes a text that is compared with nothing.
func (w *rows) alone(hunks []diff.Hunk) {
	w.b.WriteString(`<table class="code alone"><colgroup><col class="n"><col></colgroup>` +
		heads(w.lang, "Line", "Text"))
	for i := range hunks {
		for j := range hunks[i].Lines {
			line := &hunks[i].Lines[j]
			w.b.WriteString("<tr>")
			w.number('R', line.New, "")
			w.code(line)
			w.b.WriteString("</tr>\n")
			w.under(0, line.New, 2)
		}
	}
	w.b.WriteString("</tbody></table>")
}
