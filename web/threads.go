package web

import (
	"context"
	"fmt"
	"strconv"

	"gatehouse/review"
	"gatehouse/review/diff"
	"gatehouse/web/words"
)

// weaver makes the threads of a page: comments and the reader's drafts, put where they are in
// the diff that is shown.
type weaver struct {
	w       *Web
	c       *call
	v       *changeView
	q       diffRequest
	placed  map[review.Spot]review.Placed
	applied map[review.Pick]int
	texts   map[string][]string // files that suggestions are about
	blank   writeView
	back    string

	mayApply bool
	compared int // suggestions that show what they replace
}

// changeTalk is what the page of a change shows of its conversation.
type changeTalk struct {
	Threads   threadList
	Whole     []*threadView // on the patch set as a whole
	Elsewhere []*threadView // that the diff has no place for
	WholeForm *writeView    // a comment on the patch set, when the address asks for it
	Blank     *writeView    // what the script makes forms of
	MayApply  bool          // a suggestion on the page can be applied

	drafts []review.Draft
	called people
}

// setTalk reads the reader's drafts, finds who is called in the texts, and lists the threads.
func (w *Web) setTalk(ctx context.Context, c *call, v *changeView, messages []review.Message) error {
	var err error
	if c.signedIn() {
		if v.drafts, err = w.Review.Drafts(ctx, w.DB.Read(), v.Change.ID, c.actor.ID); err != nil {
			return err
		}
	}
	var texts []string
	for _, m := range messages {
		texts = append(texts, m.Body)
	}
	for _, one := range v.comments {
		texts = append(texts, one.Body)
	}
	for _, d := range v.drafts {
		texts = append(texts, d.Body)
	}
	if v.called, err = w.calledIn(ctx, texts); err != nil {
		return err
	}
	v.setThreads(c)
	return nil
}

// lists reports whether the diff lists a file.
func (v *diffView) lists(path string) bool {
	if v.Message != nil && path == review.CommitMessage {
		return true
	}
	for i := range v.Files {
		if v.Files[i].Path == path {
			return true
		}
	}
	return false
}

// talkOf prepares the threads, and the form that the address asks for.
func (w *Web) talkOf(c *call, v *changeView, q diffRequest) (*talk, error) {
	ctx, cancel := context.WithTimeout(c.ctx(), textBudget)
	defer cancel()
	wv := &weaver{w: w, c: c, v: v, q: q, texts: map[string][]string{}, back: q.with(), mayApply: w.mayApply(c, v)}
	wv.blank = writeView{
		Action: fmt.Sprintf("/c/%d/comment", v.Change.ID), PS: v.PS.Number, Side: review.SideNew, Back: wv.back, CancelURL: wv.back, Unresolved: true,
	}
	blank := wv.blank
	blank.Blank = true
	v.Blank = &blank
	threads, err := wv.threads(c.ctx(), ctx)
	if err != nil {
		return nil, err
	}
	t := &talk{threads: threads, mayComment: v.MayComment, render: w.talkRender(c)}
	if path, side, line, ok := c.asked(); ok && v.MayComment {
		form := wv.blank
		form.Path, form.Side, form.Line, form.Here = path, side, line, true
		form.Where, form.Start = placeWords(path, 0, line), line
		if start, err := strconv.Atoi(c.query("start")); err == nil && start > 0 && start < line {
			form.Start = start
		}
		form.From, form.To = c.chars()
		if err := wv.suggest(c.ctx(), &form); err != nil {
			return nil, err
		}
		if side == review.SideOld && v.Base != 0 { // the left side is a patch set of its own
			form.PS, form.Side = v.Base, review.SideNew
		}
		if path == "" {
			v.WholeForm = &form
		} else {
			t.form = &form
		}
	}
	return t, nil
}

// talkRender makes the parts of a talk.
func (w *Web) talkRender(c *call) func(part string, view any) string {
	return func(part string, view any) string {
		html, err := w.renderPart(c, "change", part, view)
		if err != nil {
			w.Log.Error("part failed", "part", part, "err", err)
		}
		return string(html)
	}
}

// suggest offers to begin a comment with the lines that it is about, and does so when the
// address asks for it.
func (wv *weaver) suggest(ctx context.Context, form *writeView) error {
	if form.Side != review.SideNew || form.Line == 0 {
		return nil
	}
	at := []string{"comment", "R" + strconv.Itoa(form.Line), "on", form.Path, "start", strconv.Itoa(form.Start), "suggest", "1"}
	if wv.c.query("suggest") == "" {
		form.SuggestURL = wv.q.with(at...) + "#comment"
		return nil
	}
	lines, err := wv.linesOf(ctx, review.Comment{PS: form.PS, Path: form.Path, Side: form.Side, Line: form.Line, StartLine: form.Start})
	if err != nil || lines == nil {
		return err
	}
	form.Body = suggestionOf(lines)
	return nil
}

// threads makes a view of every thread, and of every draft that begins one. texts is done
// earlier than ctx: what is not rendered by then is shown as it was typed.
func (wv *weaver) threads(ctx, texts context.Context) ([]*threadView, error) {
	v := wv.v
	threads := review.Threads(v.comments)
	var spots []review.Spot
	for _, t := range threads {
		spots = append(spots, t.Root().Spot())
	}
	for _, d := range v.drafts {
		spots = append(spots, d.Spot())
	}
	var err error
	if wv.placed, err = wv.w.Review.Place(ctx, wv.q.git, v.PatchSets, v.PS, spots); err != nil {
		return nil, err
	}
	if wv.applied, err = wv.w.Review.Applied(ctx, wv.w.DB.Read(), v.Change.ID); err != nil {
		return nil, err
	}
	answers := map[int64][]review.Draft{}
	for _, d := range v.drafts {
		answers[d.ReplyTo] = append(answers[d.ReplyTo], d)
	}
	asked, _ := strconv.ParseInt(wv.c.query("reply"), 10, 64) // what is no number asks for none
	var all []*threadView
	for _, t := range threads {
		root := t.Root()
		view := wv.place(root.Spot())
		view.Root, view.Open = root.ID, t.Unresolved()
		for _, c := range t.Comments {
			view.Was = view.Was || c.Unresolved
			parts, err := wv.parts(ctx, texts, c, root.Spot())
			if err != nil {
				return nil, err
			}
			view.Notes = append(view.Notes, noteView{ID: c.ID, Anchor: fmt.Sprintf("comment-%d", c.ID), Author: nameOf(v.names, c.Author), At: c.CreatedAt, Parts: parts})
		}
		for _, d := range answers[root.ID] {
			view.Notes = append(view.Notes, wv.draft(texts, d))
		}
		if view.OriginURL != "" {
			view.OriginURL += fmt.Sprintf("#comment-%d", root.ID)
		}
		wv.offer(view, asked, t)
		view.Folded = view.Was && !view.Open && len(answers[root.ID]) == 0 && view.Form == nil
		if view.Folded {
			view.Gist = gist(nameOf(v.names, root.Author), root.Body)
		}
		all = append(all, view)
	}
	for _, d := range answers[0] {
		view := wv.place(d.Spot())
		view.Notes, view.MayComment = []noteView{wv.draft(texts, d)}, false
		if view.OriginURL != "" {
			view.OriginURL += fmt.Sprintf("#draft-%d", d.ID)
		}
		all = append(all, view)
	}
	return all, nil
}

// offer lets the reader answer.
func (wv *weaver) offer(view *threadView, asked int64, t review.Thread) {
	if view.MayComment = wv.v.MayComment; !view.MayComment {
		return
	}
	root := strconv.FormatInt(view.Root, 10)
	view.ReplyURL, view.QuoteURL = wv.q.with("reply", root)+"#comment", wv.q.with("reply", root, "quote", "1")+"#comment"
	view.QuickURL, view.PS, view.Back = wv.blank.Action, wv.v.PS.Number, wv.back
	if asked == view.Root {
		form := wv.blank
		form.ReplyTo, form.Here, form.Unresolved = view.Root, true, false
		if wv.c.query("quote") != "" {
			form.Body = quoted(t.Comments[len(t.Comments)-1].Body)
		}
		view.Form = &form
	}
}

// fates are what is said of a place that did not stay as it was.
var fates = map[diff.Fate]string{diff.Edited: "the lines were changed since", diff.Gone: "the line is gone"}

// place finds where in the diff a spot is.
func (wv *weaver) place(at review.Spot) *threadView {
	v := wv.v
	view := &threadView{Path: at.Path, Side: at.Side, Line: at.Line, ps: at.PS, Where: placeWords(at.Path, at.StartLine, at.Line)}
	view.setChars(at)
	switch p, ok := wv.placed[at]; {
	case v.Base != 0 && at.PS == v.Base && at.Side == review.SideNew: // the left side is that patch set
		view.side = 'L'
		return view
	case !ok, at.Side == review.SideOld && v.Base != 0:
	default:
		view.put(p, at)
	}
	if at.PS != v.PS.Number || view.side == 0 {
		view.Origin = fmt.Sprintf("patch set %d · %s", at.PS, view.Where)
		view.OriginURL = fmt.Sprintf("/c/%d?ps=%d", v.Change.ID, at.PS)
	}
	return view
}

// put sets where the thread is that was begun at a spot, and what became of its lines.
func (view *threadView) put(p review.Placed, at review.Spot) {
	view.Path, view.Line, view.side = p.Path, p.Line, 'R'
	view.setChars(p.Spot)
	if at.Side == review.SideOld {
		view.side = 'L'
	}
	switch view.Fate, view.Lost = fates[p.Fate], p.Was; {
	case p.FileGone:
		view.Fate = "the file is gone"
	case p.Fate == diff.Gone && at.StartLine != 0:
		view.Fate = "the lines are gone"
	case p.Fate == diff.Edited && at.StartLine == 0:
		view.Fate = "the line was changed since"
	}
}

// setChars says which lines and characters the thread is about, when it is more or less than one line.
func (view *threadView) setChars(at review.Spot) {
	first := at.StartLine
	if first == 0 {
		first = at.Line
	}
	view.chars = charRange{first, at.Line, at.StartChar, at.EndChar}
	switch {
	case at.EndChar != 0 && first == at.Line:
		view.Span = words.Say("characters {1} to {2}", at.StartChar+1, at.EndChar)
	case at.EndChar != 0:
		view.Span = words.Say("line {1}, character {2} to line {3}, character {4}", first, at.StartChar+1, at.Line, at.EndChar)
	case first != at.Line:
		view.Span = words.Say("lines {1} to {2}", first, at.Line)
	default:
		view.Span = nil
	}
}

func (wv *weaver) draft(ctx context.Context, d review.Draft) noteView {
	id := strconv.FormatInt(d.ID, 10)
	n := noteView{
		ID: d.ID, Anchor: "draft-" + id, Author: wv.c.actor.Name, At: d.UpdatedAt, Draft: true, Resolves: d.ReplyTo != 0 && !d.Unresolved,
		Parts: []partView{{HTML: typed(ctx, d.Body, wv.v.called)}}, EditURL: wv.q.with("draft", id) + "#comment",
		DropURL: fmt.Sprintf("/c/%d/draft", wv.v.Change.ID), Back: wv.back,
	}
	if wv.c.query("draft") == id {
		n.Form = &writeView{
			Action: n.DropURL, Draft: d.ID, PS: d.PS, Path: d.Path, Side: d.Side, Line: d.Line, ReplyTo: d.ReplyTo,
			Where: placeWords(d.Path, d.StartLine, d.Line), Body: d.Body, Unresolved: d.Unresolved, Here: true, Back: wv.back, CancelURL: wv.back,
		}
	}
	return n
}

// parts are the texts and suggestions of a comment.
func (wv *weaver) parts(ctx, texts context.Context, c review.Comment, at review.Spot) ([]partView, error) {
	var all []partView
	index := 0
	for _, s := range review.Segments(c.Body) {
		if !s.Suggestion {
			all = append(all, partView{HTML: typed(texts, s.Text, wv.v.called)})
			continue
		}
		view, err := wv.suggestion(ctx, c, at, review.Pick{Comment: c.ID, Index: index}, s.Lines)
		if err != nil {
			return nil, err
		}
		all = append(all, partView{Suggest: view})
		index++
	}
	return all, nil
}
