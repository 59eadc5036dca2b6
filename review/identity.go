package review

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
)

// Key says which change a commit belongs to, within its repository and branch. It is a
// Change-Id ("I" and 40 hexadecimal digits), or "topic:NAME" ("topic/2:NAME" for the second
// of a push, and so on) for commits that have none in a repository that allows it, or
// "origin:WHERE:N" for the n-th commit of what was fetched from another server, which no push
// can name.
type Key string

// OriginPrefix begins the keys of all that was fetched from one place: see [Proposal.Origin].
func OriginPrefix(origin string) string { return "origin:" + origin + ":" }

// originKey is the key of the n-th commit (from 1) from an origin.
func originKey(origin string, n int) Key { return Key(fmt.Sprintf("%s%d", OriginPrefix(origin), n)) }

// ofOrigin reports whether key is of something that was fetched.
func ofOrigin(key string) bool { return strings.HasPrefix(key, "origin:") }

// nameless reports whether the messages of a change's commits need not name it.
func nameless(key string) bool { return ofTopic(key) || ofOrigin(key) }

// topicKey is the key of the n-th commit (from 1) without a Change-Id in a push with a topic.
func topicKey(topic string, n int) Key {
	if n == 1 {
		return Key("topic:" + topic)
	}
	return Key(fmt.Sprintf("topic/%d:%s", n, topic))
}

// ofTopic reports whether key is a topic's.
func ofTopic(key string) bool { return strings.HasPrefix(key, "topic") }

var (
	// strictID is what a change can be created with; looseID is what other servers let
	// pass as a line, so that the message can tell a wrong line from a wrong value.
	strictID = regexp.MustCompile(`^I[0-9a-fA-F]{40}$`)
	looseID  = regexp.MustCompile(`^[iI][0-9a-f]{4,}`)
	zeroID   = regexp.MustCompile(`^I0+$`)
	// idLine is a Change-Id line, also one that is in the wrong place.
	idLine = regexp.MustCompile(`(?i)^[ \t]*Change-Id[ \t]*:[ \t]*(.*?)[ \t\r]*$`)
	// linkLine is a link to a change by its id, as `Link: https://gate.example/id/I0123…`.
	linkLine = regexp.MustCompile(`(?i)^Link:[ \t]*https?://\S+/id/(I[0-9a-fA-F]{40})[ \t\r]*$`)
	// jjID is the change-id header of jj: 32 digits of reverse hexadecimal, z for 0 to k for f.
	jjID = regexp.MustCompile(`^[k-z]{32}$`)
)

// jjHeader is the commit header in which jj keeps its change id.
const jjHeader = "change-id"

// jjSuffix makes 40 digits of jj's 32, the way `jj gerrit upload` makes a Change-Id of the
// same change, so that both ways of pushing name one change.
const jjSuffix = "6a6a6964"

// errNoKey marks the fault of a commit that names no change at all.
type errNoKey struct{}

func (errNoKey) Error() string { return "no Change-Id, Link or change-id" }

// FindKey reads which change a commit belongs to: the Change-Id in the last paragraph of its
// message, else a Link trailer there that ends in /id/I…, else jj's change-id header. The
// fault is Invalid and speaks the words that clients of Gerrit know.
func FindKey(c git.Commit) (Key, error) {
	refuse := func(reason, next string) (Key, error) {
		return "", &fault.Error{Kind: fault.Invalid, Op: "review.FindKey",
			Public: fmt.Sprintf("commit %s: %s", c.OID.Short(), reason), Next: next}
	}
	body, footer := splitFooter(c.Message)
	ids, links := footerIDs(footer)
	if len(ids) == 0 {
		ids = links
	}
	switch {
	case len(ids) > 1:
		return refuse("multiple Change-Id lines in message footer",
			"keep the line of the change that you mean: git commit --amend")
	case len(ids) == 1:
		return checkID(ids[0], refuse)
	}
	if values := c.ExtraHeaders[jjHeader]; len(values) == 1 && jjID.MatchString(values[0]) {
		return fromJJ(values[0]), nil
	}
	subject, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\n"), "\n")
	switch {
	case idLine.MatchString(subject):
		return refuse("missing subject; Change-Id must be in message footer",
			"write a subject line above it: git commit --amend")
	case hasIDLine(body):
		return refuse("Change-Id must be in message footer",
			"move the line into the last paragraph, after an empty line: git commit --amend")
	}
	return "", &fault.Error{Kind: fault.Invalid, Op: "review.FindKey", Err: errNoKey{},
		Public: fmt.Sprintf("commit %s: missing Change-Id in message footer", c.OID.Short())}
}

func checkID(id string, refuse func(reason, next string) (Key, error)) (Key, error) {
	const next = "use the letter I and 40 hexadecimal digits, or delete the line and let the commit-msg hook write one: git commit --amend"
	switch {
	case zeroID.MatchString(id):
		return refuse("invalid Change-Id line format in message footer", next)
	case strictID.MatchString(id):
		return Key(id), nil
	case looseID.MatchString(id):
		return refuse("invalid Change-Id", next)
	default:
		return refuse("invalid Change-Id line format in message footer", next)
	}
}

// fromJJ turns jj's reverse hexadecimal into a Change-Id.
func fromJJ(id string) Key {
	var b strings.Builder
	b.WriteByte('I')
	for _, digit := range []byte(id) {
		fmt.Fprintf(&b, "%x", 'z'-digit)
	}
	return Key(b.String() + jjSuffix)
}

// splitFooter cuts a message before its last paragraph. A message of one paragraph has no
// footer: its lines are the subject.
func splitFooter(message string) (body, footer string) {
	lines := strings.Split(strings.TrimRight(message, "\n \t\r"), "\n")
	for i := len(lines) - 1; i > 0; i-- {
		if strings.TrimSpace(lines[i]) == "" {
			body = strings.Join(lines[:i], "\n")
			if strings.TrimSpace(body) == "" {
				break // empty lines before the subject
			}
			return body, strings.Join(lines[i+1:], "\n")
		}
	}
	return message, ""
}

// footerIDs are the values of Change-Id lines, and the ids of Link lines, each once.
func footerIDs(footer string) (ids, links []string) {
	for line := range strings.SplitSeq(footer, "\n") {
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			continue // the line above goes on
		}
		if m := idLine.FindStringSubmatch(line); m != nil {
			ids = append(ids, m[1])
		}
		if m := linkLine.FindStringSubmatch(line); m != nil && !slices.Contains(links, m[1]) {
			links = append(links, m[1])
		}
	}
	return ids, links
}

func hasIDLine(text string) bool {
	for line := range strings.SplitSeq(text, "\n") {
		if idLine.MatchString(line) {
			return true
		}
	}
	return false
}

var coAuthorLine = regexp.MustCompile(`(?i)^Co-authored-by[ \t]*:.*<([^<>]+)>[ \t\r]*$`)

// coAuthors are the addresses of the Co-authored-by lines of a message. The whole message
// counts, not only its last paragraph: a co-author who is excluded wrongly asks somebody
// else to approve, one who is missed approves their own work.
func coAuthors(message string) []string {
	var all []string
	for line := range strings.SplitSeq(message, "\n") {
		m := coAuthorLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if email := strings.ToLower(strings.TrimSpace(m[1])); !slices.Contains(all, email) {
			all = append(all, email)
		}
	}
	return all
}
