package entrance

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
)

// Kind is what happened at the other end, whatever that server calls it.
type Kind string

// The kinds.
const (
	Proposed  Kind = "change"  // a proposal was opened, reopened, or is another now
	Closed    Kind = "closed"  // a proposal was closed there
	Pushed    Kind = "pushed"  // a branch moved there
	Grouped   Kind = "group"   // a merge queue asks about a commit
	Commented Kind = "comment" // somebody said something on a proposal
	Labelled  Kind = "label"   // a proposal was given a label
	Reviewed  Kind = "review"  // somebody approved a proposal, or objects
)

// Kinds lists them in order.
func Kinds() []Kind {
	return []Kind{Proposed, Closed, Pushed, Grouped, Commented, Labelled, Reviewed}
}

func joinKinds(kinds []Kind) string {
	var names []string
	for _, k := range kinds {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

const (
	// maxNoticeText bounds what is kept of a comment: a command is its first line.
	maxNoticeText = 1000
	// maxNoticeWord bounds a login, a label, a title.
	maxNoticeWord = 200
	// maxNoticeURL bounds an address that is shown as a link.
	maxNoticeURL = 500
)

// Notice is what another server said, as far as we understand it. It is a reason to look and
// never where to look.
type Notice struct {
	Kind   Kind    `json:"kind"`
	Number int64   `json:"number,omitempty"` // of the proposal
	Branch string  `json:"branch,omitempty"` // short name of the target
	Ref    string  `json:"ref,omitempty"`    // Grouped: where the group's commit is
	Head   git.OID `json:"head,omitempty"`   // the commit that it is about
	Base   git.OID `json:"base,omitempty"`   // Grouped: what it stands on
	URL    string  `json:"url,omitempty"`    // of the proposal, for people
	Author string  `json:"author,omitempty"` // login of whose proposal it is
	Login  string  `json:"login,omitempty"`  // of who did this
	Draft  bool    `json:"draft,omitempty"`
	Merged bool    `json:"merged,omitempty"` // Closed: because it landed
	Text   string  `json:"text,omitempty"`   // Commented: what was said
	Label  string  `json:"label,omitempty"`
	// Trusted says that the server itself calls who did this a collaborator.
	Trusted bool `json:"trusted,omitempty"`
	// Vote is what a review says: 1 approves, -1 objects, 0 takes it back.
	Vote int `json:"vote,omitempty"`
}

// Check cleans a notice and refuses one that names what cannot be: a sender is known by then,
// and is still not trusted with names of refs.
func (n *Notice) Check() error {
	const op = "entrance.Notice"
	bad := func(what string) error { return fault.Newf(fault.Invalid, op, "the %s in it cannot be", what) }
	if n.Number < 0 || n.Number == 0 && n.Kind != Pushed && n.Kind != Grouped && (n.Kind != Commented || n.Head == "") {
		return bad("number")
	}
	if n.Branch != "" && git.CheckRefName("refs/heads/"+n.Branch) != nil || n.Branch == "" && (n.Kind == Pushed || n.Kind == Grouped) {
		return bad("branch")
	}
	if n.Ref != "" && (!strings.HasPrefix(n.Ref, groupRefs) || git.CheckRefName(n.Ref) != nil) || n.Ref == "" && n.Kind == Grouped {
		return bad("ref")
	}
	for _, oid := range []git.OID{n.Head, n.Base} {
		if oid != "" {
			if _, err := git.ParseOID(string(oid)); err != nil {
				return bad("commit")
			}
		}
	}
	n.Login, n.Author, n.Label = word(n.Login, maxNoticeWord), word(n.Author, maxNoticeWord), word(n.Label, maxNoticeWord)
	n.Text = word(firstLines(n.Text), maxNoticeText)
	if len(n.URL) > maxNoticeURL || !strings.HasPrefix(n.URL, "https://") && !strings.HasPrefix(n.URL, "http://") || n.URL != word(n.URL, maxNoticeURL) {
		n.URL = ""
	}
	return nil
}

// groupRefs is where merge queues keep their groups.
const groupRefs = "refs/heads/gh-readonly-queue/"

// firstLines is the first line that says something.
func firstLines(text string) string {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return ""
}

// word makes one line of visible text, not longer than most bytes.
func word(text string, most int) string {
	text = strings.Map(func(c rune) rune {
		switch {
		case c == utf8.RuneError || unicode.Is(unicode.Bidi_Control, c):
			return -1
		case unicode.IsSpace(c):
			return ' '
		case !unicode.IsPrint(c):
			return -1
		}
		return c
	}, text)
	text = strings.TrimSpace(text)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}

// command is what a comment asks for.
type command struct {
	verb    string // recheck, outcome, submit, or "" for none
	outcome string
}

// The words of comments. The second is what OpenStack's Zuul listens to, the third Solum's
// rebuild_phrase.
var recheckWords = []string{"/gate recheck", "recheck", "solum retry tests"}

// commandOf reads the first line of a comment. Anything but an exact command is talk.
func commandOf(text string) command {
	line := strings.ToLower(strings.Join(strings.Fields(firstLines(text)), " "))
	plain := strings.TrimRight(line, ".!")
	for _, words := range recheckWords {
		if plain == words {
			return command{verb: "recheck"}
		}
	}
	if plain == "/gate submit" {
		return command{verb: "submit"}
	}
	if name, ok := strings.CutPrefix(line, "/gate outcome "); ok && outcomeName(name) {
		return command{verb: "outcome", outcome: name}
	}
	return command{}
}

// outcomeName reports whether a word could be the name of an outcome of a plan.
func outcomeName(name string) bool {
	if name == "" || len(name) > 40 {
		return false
	}
	for i, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c != '-' || i == 0) {
			return false
		}
	}
	return true
}
