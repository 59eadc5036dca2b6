package web

import (
	"context"
	"fmt"
	"html/template"
	"strings"

	"gatehouse/gitserver/fault"
	"gatehouse/review"
	"gatehouse/review/diff"
)

const (
	// maxSuggested is how many files a page reads to show what suggestions replace, and
	// maxSuggestedFile how large each may be.
	maxSuggested     = 40
	maxSuggestedFile = 2 << 20
	// maxSuggestedLines is how many replaced lines a suggestion shows, and maxCompared how many
	// suggestions of a page show them at all: a comment can hold hundreds, each on a whole file.
	maxSuggestedLines = 80
	maxCompared       = 60
)

// suggestionView is a suggestion as a small difference.
type suggestionView struct {
	Pick  string // as the form sends it
	Form  string // the form that applies it
	HTML  template.HTML
	Empty bool   // it takes the lines out
	Said  string // what became of it, or why it does not fit
	Tone  string
	Apply bool // offer to apply it
}

// applyForm is the form that applies suggestions; the boxes of all of them belong to it.
const applyForm = "apply"

func pickValue(p review.Pick) string { return fmt.Sprintf("%d.%d", p.Comment, p.Index) }

// suggestion shows what a suggestion would do where it was written, and offers to do it where
// its lines still are.
func (wv *weaver) suggestion(ctx context.Context, c review.Comment, at review.Spot, pick review.Pick, lines []string) (*suggestionView, error) {
	v := &suggestionView{Pick: pickValue(pick), Form: applyForm, Empty: len(lines) == 0}
	old, err := wv.linesOf(ctx, c)
	if err != nil {
		return nil, err
	}
	if wv.compared++; wv.compared > maxCompared {
		v.HTML = suggestedRows(nil, lines)
	} else {
		v.HTML = suggestedRows(old, lines)
	}
	placed, here := wv.placed[at]
	current := wv.v.PS.Number == wv.v.Change.Current
	switch ps := wv.applied[pick]; {
	case ps != 0:
		v.Said, v.Tone = fmt.Sprintf("applied in patch set %d", ps), "good"
	case c.Line == 0 || c.Side != review.SideNew || old == nil:
		v.Said, v.Tone = "it stands on no lines, so it replaces none", "calm"
	case here && !placed.Same():
		v.Said, v.Tone = "outdated: its lines have changed", "wait"
	case wv.v.Change.Status != review.Open, !current, !here:
	case wv.mayApply:
		v.Apply = true
		wv.v.MayApply = true
	}
	return v, nil
}

// linesOf are the lines that a comment is about, nil when they cannot be read.
func (wv *weaver) linesOf(ctx context.Context, c review.Comment) ([]string, error) {
	if c.Line == 0 {
		return nil, nil
	}
	key := fmt.Sprintf("%d %s %s", c.PS, c.Side, c.Path)
	text, known := wv.texts[key]
	if !known {
		if len(wv.texts) >= maxSuggested || c.Side != review.SideNew {
			return nil, nil
		}
		commit, message := wv.v.commitOf(c.PS)
		if c.Path == review.CommitMessage {
			text = diff.SplitLines(message)
		} else {
			file, err := wv.q.git.FileAt(ctx, commit, c.Path, maxSuggestedFile)
			if fault.KindOf(err) == fault.Internal && err != nil {
				return nil, err
			}
			text = diff.SplitLines(string(file)) // none of what is no file
		}
		wv.texts[key] = text
	}
	if c.Line > len(text) {
		return nil, nil
	}
	return text[c.First()-1 : c.Line], nil
}

// suggestionOf is a comment that suggests lines as they are, with a fence that none of them
// ends.
func suggestionOf(lines []string) string {
	fence := "```"
	for _, l := range lines {
		for strings.HasPrefix(strings.TrimLeft(l, " "), fence) {
			fence += "`"
		}
	}
	return fence + "suggestion\n" + strings.ReplaceAll(strings.Join(lines, "\n"), "\r", "") + "\n" + fence + "\n"
}

// suggestedRows is a difference of a few lines.
func suggestedRows(old, new []string) template.HTML {
	h := diff.Hunk{}
	more := max(0, len(old)-maxSuggestedLines)
	for i, l := range old[:len(old)-more] {
		h.Lines = append(h.Lines, diff.Line{Kind: '-', Old: i + 1, Text: strings.TrimSuffix(l, "\r")})
	}
	for i, l := range new {
		h.Lines = append(h.Lines, diff.Line{Kind: '+', New: i + 1, Text: l})
	}
	if len(h.Lines) <= 2*maxSuggestedLines {
		diff.Intraline(&h)
	}
	var b strings.Builder
	left := func() {
		if more > 0 {
			b.WriteString(`<div class="c d">` + plural(more, "more line", "more lines") + `</div>`)
		}
	}
	for i := range h.Lines {
		line := &h.Lines[i]
		if i == maxSuggestedLines {
			left()
		}
		class, sign := "d", "−"
		if line.Kind == '+' {
			class, sign = "a", "+"
		}
		b.WriteString(`<div class="c ` + class + `"><span class="sign">` + sign + `</span>`)
		writeCode(&b, line.Text, nil, line.Marks)
		b.WriteString("</div>")
	}
	if len(h.Lines) == maxSuggestedLines {
		left()
	}
	return template.HTML(b.String()) //nolint:gosec // escaped by writeCode
}
