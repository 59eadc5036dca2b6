package web

import (
	"context"
	"html/template"
	"strconv"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/review/diff"
	"gatehouse/web/words"
)

// fill makes the table of one file. haste bounds the time for colours alone.
func (w *Web) fill(ctx, haste context.Context, q diffRequest, f *fileDiff, c git.FileChange, file *diff.File, ids map[string]string) error {
	if file == nil || len(file.Hunks) == 0 {
		f.Said = "Nothing but white space differs."
		if q.ws == "" {
			f.Said = onlyNames(c)
		}
		return nil
	}
	before, after := w.colorsOf(haste, q.git, c.OldOID, c.OldPath, c.Path), w.colorsOf(haste, q.git, c.NewOID, c.Path, "")
	hunks, noise, err := q.between.hunks(ctx, w, q, c, file.Hunks)
	if err != nil {
		return err
	}
	if f.Noise = noise; len(hunks) == 0 {
		f.Said = "Only what the rebase changed differs."
		return nil
	}
	if hunks, err = w.widen(ctx, q, c, hunks); err != nil {
		return err
	}
	r := rows{lang: q.lang, id: f.ID, old: before.colors, new: after.colors, path: c.Path, jump: func(path string) string { return ids[path] }, marks: q.marks[c.Path]}
	if q.talk != nil {
		r.said = func(side byte, line int, text string) []diff.Span {
			if side == 'L' && q.between.shifted(c) {
				return nil
			}
			return q.talk.spans(c.Path, side, line, text)
		}
		r.below = func(side byte, line int) string {
			if side == 'L' && q.between.shifted(c) {
				return "" // the numbers are another file's: the threads stand at the head
			}
			return q.talk.at(c.Path, side, line)
		}
		if q.talk.mayComment {
			r.form = "F" + f.ID
			if q.between.shifted(c) {
				r.still = 'L'
			}
			r.b.WriteString(hiddenForm(r.form, q.self.Path, c.Path, q.keep()))
		}
	}
	if c.Status != 'A' && c.Status != 'D' {
		r.more = moreLines{total: after.lines, rows: rowsURL(q.repo, q.to, c.Path, f.ID, r.form != ""), page: func(context, at string) string {
			return q.with("file", c.Path, "context", context) + "#" + at
		}}
	}
	lines := 0
	for i := range hunks {
		lines += len(hunks[i].Lines)
	}
	f.Long = lines > longFile
	if q.unified || c.Status == 'A' || c.Status == 'D' { // one side would be empty
		r.unified(hunks)
	} else {
		r.split(hunks)
	}
	f.Table = template.HTML(r.b.String()) //nolint:gosec // escaped by rows
	return nil
}

// keep are the values that the form of a line number gives on.
func (q diffRequest) keep() map[string]string {
	keep := map[string]string{}
	for _, name := range []string{"ps", "base", "diff", "ws", "file", "noise", "filter"} {
		if v := q.self.Query().Get(name); v != "" {
			keep[name] = v
		}
	}
	return keep
}

// nearby is the lines shown around one that is talked about or linked to.
const nearby = 2

// widen shows more of a file than git's context: what the address asks for, and the lines
// that somebody talks about.
func (w *Web) widen(ctx context.Context, q diffRequest, c git.FileChange, hunks []diff.Hunk) ([]diff.Hunk, error) {
	if c.Status == 'A' || c.Status == 'D' {
		return hunks, nil
	}
	var want []diff.Range
	if q.only == c.Path {
		want = append(want, q.context...)
	}
	around := func(side byte, line int) {
		if side == 'L' {
			line = newLine(hunks, line)
		}
		if line > 0 {
			want = append(want, diff.Range{From: line - nearby, To: line + nearby})
		}
	}
	if q.at.path == c.Path {
		around(q.at.side, q.at.line)
	}
	if q.talk != nil {
		for _, line := range q.talk.lines(c.Path, 'R') {
			around('R', line)
		}
		if !q.between.shifted(c) {
			for _, line := range q.talk.lines(c.Path, 'L') {
				around('L', line)
			}
		}
	}
	if len(want) == 0 {
		return hunks, nil
	}
	text, err := q.git.Blob(ctx, c.NewOID, maxFileShown)
	if fault.Is(err, fault.TooLarge) {
		return hunks, nil
	}
	if err != nil {
		return nil, err
	}
	return diff.Expand(hunks, diff.SplitLines(string(text)), want), nil
}

// newLine is the number in the new file of an unchanged line of the old one that no hunk
// shows; 0 when a hunk does.
func newLine(hunks []diff.Hunk, old int) int {
	shift := 0
	for _, h := range hunks {
		first := h.OldStart
		if h.OldLines == 0 {
			first++
		}
		if old < first {
			break
		}
		if old < first+h.OldLines {
			return 0
		}
		shift = h.NewLines - h.OldLines + shift
	}
	return old + shift
}

// onlyNames says what differs when no byte of the file does.
func onlyNames(c git.FileChange) any {
	switch {
	case c.Status == 'R':
		return "Renamed without changes."
	case c.Status == 'C':
		return "Copied without changes."
	case c.OldMode != c.NewMode && c.Status != 'A' && c.Status != 'D':
		return words.Say("Only the mode changed: {1} → {2}.", c.OldMode, c.NewMode)
	}
	return "An empty file."
}

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
	q.seen.mark(&f)
	f.Within = q.within[c.Path]
	f.Folded = f.Viewed && q.only != c.Path && q.at.path != c.Path
	return f
}

var changeKinds = map[byte]string{'A': "added", 'M': "changed", 'D': "deleted", 'R': "renamed", 'C': "copied", 'T': "of another type"}
