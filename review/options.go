package review

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"gatehouse/gitserver/fault"
)

// PushOptions are what a push asks for besides holding its commits. They stand behind the ref
// (refs/for/main%topic=x,wip) or in `git push -o`.
type PushOptions struct {
	Topic      string
	WIP, Ready bool // work in progress, or no longer
	Submit     bool // land as soon as the gates are open
	Wait       bool // keep the push open until then; the server's edge does it
	Message    string
	Votes      map[string]int // label to value
	Reviewers  []string       // account names or addresses
	CC         []string
	Hashtags   []string
	// Private hides the change from all but its owner, its reviewers and administrators;
	// RemovePrivate shows it again.
	Private, RemovePrivate bool
	Drafts                 bool // publish the pusher's drafts on the changes
	// Outcome is how far the changes are meant to go, Bypass what is left out on the way, and
	// Reason why.
	Outcome string
	Bypass  []string
	Reason  string
	// Notify bounds who gets mail of what the push does; "" is everybody.
	Notify      string
	explicitTop bool // topic= was given, so that topic= alone clears it
}

// Limits on what a client sends, from the attacks that push options have seen elsewhere.
const (
	maxOptions     = 32      // options of one push
	maxOptionBytes = 4 << 10 // of one option
)

// forPrefix is where changes are pushed to.
const forPrefix = "refs/for/"

// option is one word of the options' grammar.
type option struct {
	words []string // the first is its name, the others are aliases
	value string   // what stands behind "=", "" when nothing may
	means string
	set   func(o *PushOptions, value string) error
}

// bare options take no value.
func bare(set func(o *PushOptions)) func(*PushOptions, string) error {
	return func(o *PushOptions, _ string) error {
		set(o)
		return nil
	}
}

// knownOptions is the whole grammar; the refusal of an unknown option lists it.
func knownOptions() []option {
	return []option{
		{[]string{"topic"}, "NAME", "group changes under a name", (*PushOptions).setTopic},
		{[]string{"wip", "work-in-progress"}, "", "not to be reviewed yet", bare(func(o *PushOptions) { o.WIP = true })},
		{[]string{"ready"}, "", "to be reviewed from now on", bare(func(o *PushOptions) { o.Ready = true })},
		{[]string{"private"}, "", "seen by you, those you ask, and administrators only", bare(func(o *PushOptions) { o.Private = true })},
		{[]string{"remove-private"}, "", "seen by whoever may read the repository", bare(func(o *PushOptions) { o.RemovePrivate = true })},
		{[]string{"hashtag", "t"}, "WORD", "tie a word to the changes; may be given more than once", (*PushOptions).addHashtag},
		{[]string{"submit"}, "", "land when the gates are open", bare(func(o *PushOptions) { o.Submit = true })},
		{[]string{"wait"}, "", "stay until landed or refused", bare(func(o *PushOptions) { o.Wait = true })},
		{[]string{"outcome"}, "NAME", "how far the changes are meant to go: an outcome of the plan", (*PushOptions).setOutcome},
		{[]string{"bypass"}, "NODE", "leave a stage or a gate out; needs a reason, and a role that may; may be given more than once", (*PushOptions).addBypass},
		{[]string{"reason"}, "TEXT", "why", (*PushOptions).setReason},
		{[]string{"publish-comments"}, "", "publish your drafts on the changes", bare(func(o *PushOptions) { o.Drafts = true })},
		{[]string{"message", "m"}, "TEXT", "what is new in these patch sets", (*PushOptions).setMessage},
		{[]string{"label", "l"}, "LABEL+N", "vote", (*PushOptions).setVote},
		{[]string{"reviewer", "r"}, "ACCOUNT", "ask somebody to review", (*PushOptions).addReviewer},
		{[]string{"cc"}, "ACCOUNT", "let somebody know", (*PushOptions).addCC},
		{[]string{"notify"}, "WHOM", "who gets mail of this push: none, owner, reviewers (the owner and they) or all; the page tells everybody all the same", (*PushOptions).setNotify},
	}
}

// ParseOptions reads the target branch and the options of a push to refs/for/. Options come
// in two forms with one meaning; only the text of message differs: behind the ref, where
// spaces cannot stand, "_" and "+" are spaces and %XX is a byte.
func ParseOptions(ref string, opts []string) (branch string, o PushOptions, err error) {
	target, ok := strings.CutPrefix(ref, forPrefix)
	if !ok {
		return "", o, fault.New(fault.Invalid, "review.ParseOptions", fmt.Sprintf("%q is not below refs/for/", clip(ref)), "git push REMOTE HEAD:refs/for/BRANCH")
	}
	target, suffix, _ := strings.Cut(target, "%")
	branch = strings.TrimPrefix(target, "refs/heads/")
	if branch == "" {
		return "", o, fault.New(fault.Invalid, "review.ParseOptions", "refs/for/ needs a branch", "git push REMOTE HEAD:refs/for/BRANCH")
	}
	var inRef []string
	if suffix != "" {
		inRef = strings.Split(suffix, ",")
	}
	if len(inRef)+len(opts) > maxOptions {
		return "", o, fault.Newf(fault.TooLarge, "review.ParseOptions", "%d push options are more than %d", len(inRef)+len(opts), maxOptions)
	}
	known := map[string]option{}
	for _, k := range knownOptions() {
		for _, word := range k.words {
			known[word] = k
		}
	}
	for i, text := range slices.Concat(inRef, opts) {
		if err := o.take(known, text, i < len(inRef)); err != nil {
			return "", PushOptions{}, err
		}
	}
	return branch, o, o.check()
}

// take reads one option.
func (o *PushOptions) take(known map[string]option, text string, inRef bool) error {
	const op = "review.ParseOptions"
	if len(text) > maxOptionBytes {
		return fault.Newf(fault.TooLarge, op, "a push option of %d bytes is longer than %d", len(text), maxOptionBytes)
	}
	if !printable(text, false) {
		return fault.Newf(fault.Invalid, op, "push option %q has control characters or is not UTF-8", clip(text))
	}
	word, value, hasValue := strings.Cut(text, "=")
	if word == "help" && !hasValue {
		return fault.New(fault.Invalid, op, "see help", optionHelp())
	}
	k, ok := known[word]
	switch {
	case !ok:
		return fault.New(fault.Invalid, op, fmt.Sprintf("push option %q is not known", clip(word)), optionHelp())
	case k.value == "" && hasValue:
		return fault.Newf(fault.Invalid, op, "push option %s takes no value", word)
	case k.value != "" && !hasValue:
		return fault.Newf(fault.Invalid, op, "push option %s needs a value: %s=%s", word, word, k.value)
	}
	if inRef && (k.words[0] == "message" || k.words[0] == "reason") {
		decoded, err := url.PathUnescape(strings.NewReplacer("_", " ", "+", " ").Replace(value))
		if err != nil || !printable(decoded, true) {
			return fault.Newf(fault.Invalid, op, "the text of push option %s cannot be decoded", word)
		}
		value = decoded
	}
	return k.set(o, value)
}

// check finds options that contradict each other.
func (o *PushOptions) check() error {
	const op = "review.ParseOptions"
	switch {
	case o.WIP && o.Ready:
		return fault.New(fault.Invalid, op, "push options wip and ready exclude each other", "give one of them")
	case o.Private && o.RemovePrivate:
		return fault.New(fault.Invalid, op, "push options private and remove-private exclude each other", "give one of them")
	case o.Private && (o.Submit || o.Wait):
		return fault.New(fault.Invalid, op, "a private change does not land", "leave out private, or submit and wait")
	case o.WIP && (o.Submit || o.Wait):
		return fault.New(fault.Invalid, op, "a change that is work in progress does not land", "leave out wip, or submit and wait")
	}
	return nil
}

// optionHelp lists the options, one on a line.
func optionHelp() string {
	var b strings.Builder
	b.WriteString("known push options:")
	for _, k := range knownOptions() {
		names := slices.Clone(k.words)
		if k.value != "" {
			for i := range names {
				names[i] += "=" + k.value
			}
		}
		fmt.Fprintf(&b, "\n  %s: %s", strings.Join(names, ", "), k.means)
	}
	return b.String()
}

func (o *PushOptions) setTopic(value string) error {
	if o.explicitTop && o.Topic != value {
		return fault.Newf(fault.Invalid, "review.ParseOptions", "push option topic is given twice")
	}
	topic, err := checkTopic("review.ParseOptions", value)
	o.Topic, o.explicitTop = topic, true
	return err
}

// checkTopic cleans a topic: one line, no longer than a list can show.
func checkTopic(op, topic string) (string, error) {
	topic = strings.TrimSpace(topic)
	if len(topic) > maxTopic || !printable(topic, false) {
		return "", fault.New(fault.Invalid, op, "this topic cannot be used", fmt.Sprintf("use one line of up to %d bytes", maxTopic))
	}
	return topic, nil
}

func (o *PushOptions) setMessage(value string) error {
	if len(value) > maxDescription {
		return fault.Newf(fault.TooLarge, "review.ParseOptions", "a patch set's description has at most %d bytes", maxDescription)
	}
	o.Message = strings.TrimSpace(value)
	return nil
}

// voteWord is LABEL, LABEL+1, LABEL-1 or LABEL=1.
var voteWord = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9-]*?)(?:=?([+-]\d{1,3})|=(\d{1,3}))?$`)

func (o *PushOptions) setVote(value string) error {
	m := voteWord.FindStringSubmatch(value)
	if m == nil {
		return fault.New(fault.Invalid, "review.ParseOptions", fmt.Sprintf("%q is no vote", clip(value)), "write it as label=Code-Review+1")
	}
	n := 1
	if number := m[2] + m[3]; number != "" {
		var err error
		if n, err = strconv.Atoi(number); err != nil {
			return fmt.Errorf("review: vote %q: %w", value, err)
		}
	}
	if o.Votes == nil {
		o.Votes = map[string]int{}
	}
	if before, twice := o.Votes[m[1]]; twice && before != n {
		return fault.Newf(fault.Invalid, "review.ParseOptions", "push options vote twice on %s", m[1])
	}
	o.Votes[m[1]] = n
	return nil
}

func (o *PushOptions) addReviewer(value string) error {
	o.Reviewers = append(o.Reviewers, value)
	return nil
}

func (o *PushOptions) addHashtag(value string) error {
	tags, err := checkHashtags("review.ParseOptions", append(o.Hashtags, value))
	o.Hashtags = tags
	return err
}

func (o *PushOptions) addCC(value string) error {
	o.CC = append(o.CC, value)
	return nil
}

// labelsVoted are the labels in a steady order.
func labelsVoted(votes map[string]int) []string { return slices.Sorted(maps.Keys(votes)) }

// printable reports whether text can be shown on a terminal and a page as it is: UTF-8
// without control characters and without those that reorder text. Lines allows line ends
// and tabs.
func printable(text string, lines bool) bool {
	if !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		if lines && (r == '\n' || r == '\t') {
			continue
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return false
		}
	}
	return true
}

// clip shortens what somebody sent before it is quoted back.
func clip(text string) string {
	const most = 60
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
