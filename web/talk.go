package web

import (
	"fmt"
	"html/template"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/review"
	"gatehouse/review/diff"
)

// wholeSet is how an address names the patch set as a whole, as in Gerrit.
const wholeSet = "/PATCHSET_LEVEL"

// threadView is a conversation about a place of a diff.
type threadView struct {
	Notes      []noteView
	Open       bool   // the last word asks for an answer
	Was        bool   // some word did
	Folded     bool   // resolved: one line until somebody opens it
	Gist       string // that line
	Where      string // the place in words
	Span       any    // its lines here, when there are several
	Origin     string // where it was begun, when that is another patch set
	OriginURL  string
	Fate       string   // what became of its lines since
	Lost       []string // the lines as they were, when they are not there any more
	Root       int64    // 0 of a thread that is only a draft
	Path, Side string
	Line       int
	chars      charRange
	ReplyURL   string
	QuoteURL   string
	QuickURL   string // where "Done" goes
	PS         int
	Back       string
	MayComment bool
	Form       *writeView // where somebody asked to answer

	side byte // of the diff that is shown, 0 when it has no place there
	ps   int  // where it was begun
	seen bool
}

type noteView struct {
	ID       int64
	Anchor   string
	Author   string
	At       time.Time
	Parts    []partView
	Draft    bool
	Resolves bool // a draft after which the thread is resolved
	EditURL  string
	DropURL  string
	Back     string
	Form     *writeView // a draft that is being edited
}

// partView is a part of a comment: text, or lines that it suggests.
type partView struct {
	HTML    template.HTML
	Suggest *suggestionView
}

// writeView is the form for a comment.
type writeView struct {
	Action      string
	PS          int
	Path, Side  string
	Start, Line int
	From, To    int // characters of the first and the last line, To 0 for whole lines
	ReplyTo     int64
	Draft       int64 // the draft that it edits
	AskLine     bool  // a form for a file asks for the line
	Blank       bool  // the script makes forms of it
	Where       string
	Body        string
	Unresolved  bool
	Here        bool   // the one form that this page was asked for
	Back        string // the page to come back to
	CancelURL   string
	SuggestURL  string // the form with the lines in it, to be changed
}

// ID tells the fields of the forms of a page apart.
func (f *writeView) ID() string {
	if f.Blank {
		return "blank"
	}
	return fmt.Sprintf("%d-%d-%d", f.ReplyTo, f.Line, f.Draft)
}

// talk is what is said about one diff: the threads on its two sides and the form that
// somebody asked for.
type talk struct {
	threads    []*threadView // in the order in which they were begun
	mayComment bool
	form       *writeView
	render     func(part string, view any) string
	formShown  bool
}

// charRange is a stretch of text, in characters from 0; to 0 is whole lines.
type charRange struct {
	first, last int // lines
	from, to    int
}

// spans are the parts of a line that threads are about.
func (t *talk) spans(path string, side byte, line int, text string) []diff.Span {
	var all []diff.Span
	for _, th := range t.threads {
		r := th.chars
		if r.to == 0 || th.Path != path || !t.on(th, side) || line < r.first || line > r.last {
			continue
		}
		s := diff.Span{End: len(text)}
		if line == r.first {
			s.Start = byteOf(text, r.from)
		}
		if line == r.last {
			s.End = byteOf(text, r.to)
		}
		if s.Start < s.End {
			all = append(all, s)
		}
	}
	return all
}

// byteOf is where the character n of a text begins, or the text's end.
func byteOf(text string, n int) int {
	for i := range text {
		if n == 0 {
			return i
		}
		n--
	}
	return len(text)
}

var charsPattern = regexp.MustCompile(`^([0-9]{1,6})-([0-9]{1,6})$`)

// chars reads the characters that the address asks to comment on: ?chars=4-9.
func (c *call) chars() (from, to int) {
	if m := charsPattern.FindStringSubmatch(c.query("chars")); m != nil {
		from, _ = strconv.Atoi(m[1]) // the pattern holds digits
		to, _ = strconv.Atoi(m[2])
	}
	return from, to
}

func placeWords(path string, start, line int) string {
	switch name := shownPath(path); {
	case path == "":
		return "the patch set"
	case line == 0:
		return name
	case start != 0 && start != line:
		return fmt.Sprintf("%s, lines %d to %d", name, start, line)
	default:
		return fmt.Sprintf("%s, line %d", name, line)
	}
}

// shownPath is a path as people call it.
func shownPath(path string) string {
	if path == review.CommitMessage {
		return "commit message"
	}
	return path
}

// on reports whether the thread belongs to this side of the diff that is shown.
func (t *talk) on(th *threadView, side byte) bool { return th.side == side }

// here reports whether the thread has a place in the diff.
func (t *talk) here(th *threadView) bool { return th.side != 0 && th.Path != "" }

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
	if f := t.form; f != nil && !t.formShown && f.Line > 0 && f.Line == line && f.Path == path && (f.Side == review.SideOld) == (side == 'L') {
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
			if th.Line > 0 && th.Origin == "" {
				view.Origin = fmt.Sprintf("on line %d, which this diff does not show", th.Line)
			}
			b.WriteString(t.render("thread", &view))
		}
	}
	if form := t.form; form != nil && !t.formShown && form.Path == f.Path {
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

// whole are the threads on the patch set as a whole.
func (t *talk) whole() (all []*threadView) {
	for _, th := range t.threads {
		if th.Path == "" {
			all = append(all, th)
		}
	}
	return all
}

// elsewhere are the threads that the diff has no place for: on files that it does not list, on
// patch sets later than the one shown.
func (t *talk) elsewhere(lists func(path string) bool) (all []*threadView) {
	for _, th := range t.threads {
		if th.Path == "" || t.here(th) && lists(th.Path) {
			continue
		}
		if th.Origin == "" {
			th.Origin = th.Where
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
	if path == wholeSet {
		return "", review.SideNew, 0, true
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
