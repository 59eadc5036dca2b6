package review

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
	"gatehouse/review/diff"
)

const (
	// suggestionWord is what a fenced block that suggests lines says after its fence, as on GitHub.
	suggestionWord = "suggestion"
	// maxPicks is how many suggestions are applied at once.
	maxPicks = 100
	// maxSuggestFile is the largest file that suggestions edit.
	maxSuggestFile = 4 << 20
)

// Segment is a part of a comment: text, or lines that it suggests in place of its own.
type Segment struct {
	Text       string
	Suggestion bool
	Lines      []string // without line ends; none takes the lines out
}

// Segments cuts a comment at the suggestions in it: fenced blocks that begin with
// "```suggestion". A comment without any is one segment.
func Segments(body string) []Segment {
	var all []Segment
	var text strings.Builder
	flush := func() {
		if strings.TrimSpace(text.String()) != "" {
			all = append(all, Segment{Text: text.String()})
		}
		text.Reset()
	}
	for _, part := range fenced(body) {
		if part.code && part.info == suggestionWord {
			flush()
			all = append(all, Segment{Text: part.text, Suggestion: true, Lines: diff.SplitLines(part.text)})
		} else {
			text.WriteString(part.raw)
		}
	}
	flush()
	return all
}

// Suggestions are the lines that a comment suggests, one after the other.
func Suggestions(body string) [][]string {
	var all [][]string
	for _, s := range Segments(body) {
		if s.Suggestion {
			all = append(all, s.Lines)
		}
	}
	return all
}

// Pick names a suggestion: the one at position Index, from 0, in a comment.
type Pick struct {
	Comment int64
	Index   int
}

// Applied lists the suggestions of a change that were applied, and into which patch set.
func (s *Service) Applied(ctx context.Context, q db.Querier, change int64) (map[Pick]int, error) {
	all := map[Pick]int{}
	err := each(ctx, q, "list applied suggestions", `SELECT a.comment_id, a.position, a.ps FROM applied_suggestions a JOIN comments c ON c.id = a.comment_id
		WHERE c.change_id = $1`, []any{change}, func(row scanner) error {
		var p Pick
		var ps int
		err := row.Scan(&p.Comment, &p.Index, &ps)
		all[p] = ps
		return err
	})
	return all, err
}

// replacement is a suggestion where it is to be put.
type replacement struct {
	comment    Comment
	index      int
	start, end int
	lines      []string
}

// Apply makes one patch set of the current one and the picked suggestions, in the actor's
// name, and resolves their threads. Either all of them fit, or nothing is made and the fault
// is a Conflict that names the one that does not. basePS is the patch set that the actor saw,
// 0 for the current one.
func (s *Service) Apply(ctx context.Context, actor account.Actor, change int64, basePS int, picks []Pick) (PatchSet, error) {
	const op = "review.Apply"
	picks = slices.Clone(picks)
	slices.SortFunc(picks, func(a, b Pick) int {
		if a.Comment != b.Comment {
			return int(a.Comment - b.Comment)
		}
		return a.Index - b.Index
	})
	picks = slices.Compact(picks)
	if len(picks) == 0 {
		return PatchSet{}, fault.New(fault.Invalid, op, "no suggestion is picked", "pick one")
	}
	if len(picks) > maxPicks {
		return PatchSet{}, fault.New(fault.TooLarge, op, fmt.Sprintf("%d suggestions are more than %d", len(picks), maxPicks), "apply them in parts")
	}
	c, r, err := s.actOn(ctx, op, actor, change)
	if err != nil {
		return PatchSet{}, err
	}
	if basePS == 0 {
		basePS = c.Current
	}
	if err := s.mayAmend(ctx, op, actor, c, r, basePS); err != nil {
		return PatchSet{}, err
	}
	g, err := s.Repos.Open(r)
	if err != nil {
		return PatchSet{}, err
	}
	files, err := s.replacements(ctx, g, c, basePS, picks)
	if err != nil {
		return PatchSet{}, err
	}
	base, err := s.PatchSet(ctx, s.DB.Read(), c.ID, basePS)
	if err != nil {
		return PatchSet{}, err
	}
	a := Amendment{Title: "Applied " + counted(len(picks), "suggestion")}
	for path, list := range files {
		if path == CommitMessage {
			a.Message, err = replace(op, path, base.Message, list)
		} else {
			var edit FileEdit
			edit, err = edited(ctx, g, base.Commit, path, list)
			a.Files = append(a.Files, edit)
		}
		if err != nil {
			return PatchSet{}, err
		}
	}
	slices.SortFunc(a.Files, func(a, b FileEdit) int { return strings.Compare(a.Path, b.Path) })
	made, err := s.Amend(ctx, actor, c.ID, basePS, a)
	if err != nil {
		return PatchSet{}, err
	}
	return made, s.settleApplied(ctx, actor, made, files)
}

// replacements finds what the picks put where in the patch set basePS, by path.
func (s *Service) replacements(ctx context.Context, g *git.Repo, c Change, basePS int, picks []Pick) (map[string][]replacement, error) {
	const op = "review.Apply"
	q := s.DB.Read()
	all, err := s.Comments(ctx, q, c.ID)
	if err != nil {
		return nil, err
	}
	byID := map[int64]Comment{}
	for _, comment := range all {
		byID[comment.ID] = comment
	}
	applied, err := s.Applied(ctx, q, c.ID)
	if err != nil {
		return nil, err
	}
	var found []replacement
	var spots []Spot
	for _, pick := range picks {
		comment, ok := byID[pick.Comment]
		if !ok {
			return nil, fault.Newf(fault.NotFound, op, "there is no comment %d on change %d", pick.Comment, c.ID)
		}
		lines := Suggestions(comment.Body)
		if pick.Index < 0 || pick.Index >= len(lines) {
			return nil, fault.Newf(fault.NotFound, op, "comment %d has no suggestion %d", pick.Comment, pick.Index)
		}
		if ps := applied[pick]; ps != 0 {
			return nil, fault.New(fault.Conflict, op, fmt.Sprintf("the suggestion in comment %d was applied in patch set %d", pick.Comment, ps), "leave it out")
		}
		if comment.Line == 0 || comment.Side != SideNew {
			return nil, fault.New(fault.Invalid, op, fmt.Sprintf("comment %d is on no lines of the new side, so its suggestion replaces nothing", pick.Comment), "leave it out")
		}
		found = append(found, replacement{comment: comment, index: pick.Index, lines: lines[pick.Index]})
		spots = append(spots, comment.Spot())
	}
	sets, err := s.PatchSets(ctx, q, c.ID)
	if err != nil {
		return nil, err
	}
	base, err := s.PatchSet(ctx, q, c.ID, basePS)
	if err != nil {
		return nil, err
	}
	placed, err := s.Place(ctx, g, sets, base, spots)
	if err != nil {
		return nil, err
	}
	files := map[string][]replacement{}
	for _, one := range found {
		p, ok := placed[one.comment.Spot()]
		if !ok || !p.Same() {
			return nil, fault.New(fault.Conflict, op, fmt.Sprintf("the lines that comment %d is about are not the same in patch set %d", one.comment.ID, basePS),
				"edit them by hand, or leave that suggestion out")
		}
		one.start, one.end = p.first(), p.Line
		files[p.Path] = append(files[p.Path], one)
	}
	return files, nil
}

// edited is a file with its replacements.
func edited(ctx context.Context, g *git.Repo, commit git.OID, path string, list []replacement) (FileEdit, error) {
	const op = "review.Apply"
	text, err := g.FileAt(ctx, commit, path, maxSuggestFile)
	if fault.Is(err, fault.TooLarge) {
		return FileEdit{}, fault.New(fault.TooLarge, op, fmt.Sprintf("the file of comment %d has more than %d bytes", list[0].comment.ID, maxSuggestFile), "edit it in a working copy and push")
	}
	if err != nil {
		return FileEdit{}, err
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return FileEdit{}, fault.New(fault.Invalid, op, fmt.Sprintf("the file of comment %d is no text", list[0].comment.ID), "leave that suggestion out")
	}
	changed, err := replace(op, path, string(text), list)
	return FileEdit{Path: path, Content: []byte(changed)}, err
}

// replace puts lines in place of others. The file's own way to end lines is kept: that of the
// lines that go, or of the first line; and a last line without an end stays without one.
func replace(op, path, text string, list []replacement) (string, error) {
	slices.SortFunc(list, func(a, b replacement) int { return a.start - b.start })
	lines := slices.Collect(strings.Lines(text))
	bare := text != "" && !strings.HasSuffix(text, "\n")
	var out []string
	at := 1 // the next line to copy
	for i, r := range list {
		if r.end > len(lines) {
			return "", fault.New(fault.Conflict, op, fmt.Sprintf("comment %d is on line %d, and the file has %d", r.comment.ID, r.end, len(lines)), "leave that suggestion out")
		}
		if r.start < at {
			return "", fault.New(fault.Conflict, op, fmt.Sprintf("the suggestions of comments %d and %d replace the same lines", list[i-1].comment.ID, r.comment.ID), "apply one of them")
		}
		out = append(out, lines[at-1:r.start-1]...)
		end := "\n"
		if strings.HasSuffix(lines[r.start-1], "\r\n") || (!strings.HasSuffix(lines[r.start-1], "\n") && strings.HasSuffix(lines[0], "\r\n")) {
			end = "\r\n"
		}
		for _, l := range r.lines {
			out = append(out, strings.TrimSuffix(l, "\r")+end)
		}
		at = r.end + 1
	}
	out = append(out, lines[at-1:]...)
	if n := len(out); n > 0 && bare {
		out[n-1] = strings.TrimSuffix(strings.TrimSuffix(out[n-1], "\n"), "\r")
	}
	return strings.Join(out, ""), nil
}

// settleApplied notes what was applied and resolves the threads. The patch set is there by
// now; when this fails, the threads stay open and the suggestions offer themselves again, on
// lines that they do not fit any more.
func (s *Service) settleApplied(ctx context.Context, actor account.Actor, made PatchSet, files map[string][]replacement) error {
	c, r, err := s.actOn(ctx, "review.Apply", actor, made.Change)
	if err != nil {
		return err
	}
	var done []replacement
	for _, list := range files {
		done = append(done, list...)
	}
	slices.SortFunc(done, func(a, b replacement) int { return int(a.comment.ID - b.comment.ID) })
	return s.act(ctx, actor, account.Comment, c, r, func(tx *db.Tx, c Change) error {
		now := s.Now().UTC()
		b := ballot{change: c, ps: made, voter: actor.ID, now: now}
		answered := map[int64]bool{}
		for _, one := range done {
			_, err := tx.ExecContext(ctx, `INSERT INTO applied_suggestions (comment_id, position, ps, account_id, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
				one.comment.ID, one.index, made.Number, actor.ID, db.Micros(now))
			if err != nil {
				return fmt.Errorf("review: note an applied suggestion of comment %d: %w", one.comment.ID, err)
			}
			root := one.comment.ID
			if one.comment.ReplyTo != 0 {
				root = one.comment.ReplyTo
			}
			if !answered[root] {
				answered[root] = true
				b.comments = append(b.comments, NewComment{ReplyTo: root, Body: fmt.Sprintf("Applied in patch set %d.", made.Number)})
			}
		}
		if err := s.publish(ctx, tx, &b, r); err != nil {
			return err
		}
		return s.cast(ctx, tx, b)
	})
}
