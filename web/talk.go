package web

import (
	"context"
	"fmt"
	"html/template"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/review"
)

// threadView is a conversation about a place of a diff.
type threadView struct {
	Notes      []noteView
	Open       bool   // the last word asks for an answer
	Was        bool   // some word did
	Where      string // the place in words
	Origin     string // where it was begun, when that is another patch set
	OriginURL  string
	Root       int64
	Path, Side string
	Line       int
	ReplyURL   string
	MayComment bool
	Form       *writeView // where somebody asked to answer

	ps   int
	seen bool
}

type noteView struct {
	ID     int64
	Author string
	At     time.Time
	HTML   template.HTML
}

// writeView is the form for a comment.
type writeView struct {
	Action     string
	PS         int
	Path, Side string
	Line       int
	ReplyTo    int64
	AskLine    bool // a form for a file asks for the line
	Where      string
	Body       string
	Unresolved bool
	Here       bool   // the one form that this page was asked for
	Back       string // the page to come back to
	CancelURL  string
}

// talk is what is said about one diff: the threads on its two sides and the form that
// somebody asked for.
type talk struct {
	threads    []*threadView // in the order in which they were begun
	mayComment bool
	form       *writeView
	render     func(part string, view any) string
	left       int // the patch set whose new side stands on the left, 0 when the parent does
	right      int
	formShown  bool
}

// threadsOf groups the comments of a change into threads. Answers point at the first comment.
func threadsOf(ctx context.Context, comments []review.Comment, names map[int64]account.Account) []*threadView {
	byRoot := map[int64]*threadView{}
	var all []*threadView
	for _, c := range comments {
		root := c.ReplyTo
		if root == 0 {
			root = c.ID
		}
		t := byRoot[root]
		if t == nil {
			t = &threadView{Root: root, Path: c.Path, Side: c.Side, Line: c.Line, ps: c.PS, Where: placeWords(c.Path, c.Line)}
			byRoot[root] = t
			all = append(all, t)
		}
		t.Open, t.Was = c.Unresolved, t.Was || c.Unresolved
		t.Notes = append(t.Notes, noteView{ID: c.ID, Author: nameOf(names, c.Author), At: c.CreatedAt, HTML: markdown(ctx, c.Body, place{})})
	}
	return all
}

func placeWords(path string, line int) string {
	switch {
	case path == "":
		return "the patch set"
	case line == 0:
		return path
	}
	return fmt.Sprintf("%s, line %d", path, line)
}

// on reports whether the thread belongs to this side of the diff that is shown.
func (t *talk) on(th *threadView, side byte) bool {
	switch {
	case side == 'R':
		return th.ps == t.right && th.Side != review.SideOld
	case t.left == 0:
		return th.ps == t.right && th.Side == review.SideOld
	}
	return th.ps == t.left && th.Side != review.SideOld
}

// visibleThreads reports whether the thread belongs to the diff at all.
func (t *talk) here(th *threadView) bool { return t.on(th, 'L') || t.on(th, 'R') }

// count is how many comments the diff has on a file.
func (t *talk) count(path string) int {
	n := 0
	for _, th := range t.threads {
		if th.Path == path && t.here(th) {
			n += len(th.Notes)
		}
	}
	return n
}

// at gives what stands under a line: its threads, and the form when it was asked for there.
func (t *talk) at(path string, side byte, line int) string {
	var b strings.Builder
	for _, th := range t.threads {
		if th.Path == path && th.Line == line && t.on(th, side) {
			th.seen = true
			b.WriteString(t.render("thread", th))
		}
	}
	if f := t.form; f != nil && !t.formShown && f.ReplyTo == 0 && f.Line > 0 && f.Line == line && f.Path == path && (f.Side == review.SideOld) == (side == 'L') {
		t.formShown = true
		b.WriteString(t.render("write", f))
	}
	return b.String()
}

// rest puts at the head of a file what is said about it as a whole, and about lines that the
// diff does not show: nothing that was said is ever left out.
func (t *talk) rest(f *fileDiff) {
	var b strings.Builder
	for _, th := range t.threads {
		if th.Path == f.Path && !th.seen && t.here(th) {
			th.seen = true
			view := *th
			if th.Line > 0 {
				view.Origin = fmt.Sprintf("on line %d, which this diff does not show", th.Line)
			}
			b.WriteString(t.render("thread", &view))
		}
	}
	if form := t.form; form != nil && !t.formShown && form.ReplyTo == 0 && form.Path == f.Path {
		t.formShown = true
		view := *form
		view.AskLine = true
		b.WriteString(t.render("write", &view))
		f.Folded = false
	}
	if b.Len() > 0 {
		f.Talk = template.HTML(`<div class="talk-head">` + b.String() + `</div>`) //nolint:gosec // rendered by templates
	}
}

// elsewhere are the threads that this diff has no place for: on other patch sets, on the
// patch set as a whole, on files that the diff does not hold.
func (t *talk) elsewhere(change int64) []*threadView {
	var all []*threadView
	for _, th := range t.threads {
		if th.seen {
			continue
		}
		th.Origin = fmt.Sprintf("patch set %d · %s", th.ps, th.Where)
		if th.Path != "" {
			th.OriginURL = fmt.Sprintf("/c/%d?ps=%d#comment-%d", change, th.ps, th.Root)
		}
		all = append(all, th)
	}
	return all
}

var anchor = regexp.MustCompile(`^([LR]?)([0-9]{1,8})$`)

// asked reads where the address asks for a comment form: ?comment=R12&on=path from a line
// number, ?comment=path:12 or ?comment=path from a link, ?reply=ID from a thread.
func (c *call) asked() (path, side string, line int, ok bool) {
	at := c.query("comment")
	if at == "" {
		return "", "", 0, false
	}
	path = c.query("on")
	if path == "" {
		path = at
		at = ""
		if i := strings.LastIndexByte(path, ':'); i >= 0 && anchor.MatchString(path[i+1:]) {
			path, at = path[:i], path[i+1:]
		}
	}
	side = review.SideNew
	if m := anchor.FindStringSubmatch(at); m != nil {
		if m[1] == "L" {
			side = review.SideOld
		}
		line, _ = strconv.Atoi(m[2]) // eight digits at most
	}
	return path, side, line, path != ""
}

// nameOf is an account's name; somebody who is gone has a number, the server its own name.
func nameOf(names map[int64]account.Account, id int64) string {
	if id == 0 {
		return "Gatehouse"
	}
	if a, ok := names[id]; ok {
		return a.Name
	}
	return fmt.Sprintf("account %d", id)
}

// storyView is one entry of the conversation.
type storyView struct {
	Who     string
	Chips   []chipView // the votes
	Did     string
	At      time.Time
	HTML    template.HTML
	Minor   bool
	Remarks []remarkView
}

type chipView struct{ Text, Tone string }

type remarkView struct {
	URL, Where string
	HTML       template.HTML
}

// sameReview is how far apart in time the message and the comments of one review may be
// written: they are in one transaction.
const sameReview = 2 * time.Second

// storyOf turns messages into entries; the comments of a review stand under its message.
func storyOf(ctx context.Context, change int64, messages []review.Message, comments []review.Comment, names map[int64]account.Account) []storyView {
	all := make([]storyView, 0, len(messages))
	for _, m := range messages {
		e := storyView{Who: nameOf(names, m.Author), At: m.CreatedAt}
		first, rest, _ := strings.Cut(m.Body, "\n")
		rest = strings.TrimSpace(countedComments.ReplaceAllString(strings.TrimSpace(rest), ""))
		if e.Did = strings.TrimSpace(first); reviewed.MatchString(first) {
			e.Chips, e.Did = votesIn(first)
		}
		if rest != "" {
			e.HTML = markdown(ctx, rest, place{})
		}
		all = append(all, e)
	}
	for _, c := range comments {
		best := -1
		for i, m := range messages {
			if m.Author == c.Author && m.CreatedAt.Sub(c.CreatedAt).Abs() <= sameReview && (best < 0 ||
				m.CreatedAt.Sub(c.CreatedAt).Abs() < messages[best].CreatedAt.Sub(c.CreatedAt).Abs()) {
				best = i
			}
		}
		if best >= 0 {
			all[best].Remarks = append(all[best].Remarks, remarkView{
				URL:   fmt.Sprintf("/c/%d?ps=%d#comment-%d", change, c.PS, c.ID),
				Where: placeWords(c.Path, c.Line), HTML: markdown(ctx, c.Body, place{}),
			})
		}
	}
	for i := range all {
		all[i].Minor = all[i].HTML == "" && len(all[i].Remarks) == 0
	}
	slices.SortStableFunc(all, func(a, b storyView) int { return a.At.Compare(b.At) })
	return all
}

var (
	// reviewed is how the first line of a review's message begins.
	reviewed = regexp.MustCompile(`^Patch Set [0-9]+:`)
	// countedComments is the line that counts the comments, which the page shows themselves.
	countedComments = regexp.MustCompile(`^\([0-9]+ comments?\)`)
)

// votesIn reads the votes of "Patch Set 2: Code-Review+1 -Verified".
func votesIn(line string) (chips []chipView, did string) {
	set, votes, _ := strings.Cut(line, ":")
	did = "reviewed " + strings.ToLower(set)
	for _, v := range strings.Fields(votes) {
		chip := chipView{Text: v, Tone: "good"}
		if label, taken := strings.CutPrefix(v, "-"); taken {
			chip = chipView{Text: label + " taken back", Tone: "calm"}
		} else if strings.ContainsRune(v[max(0, len(v)-3):], '-') {
			chip.Tone = "bad"
		}
		chips = append(chips, chip)
	}
	return chips, did
}
