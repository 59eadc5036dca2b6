package web

import (
	"html/template"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"gatehouse/web/words"
)

// The gate explains itself in English, in the words that the command line and the API say too:
// one answer, everywhere. On pages in another language its sentences are known again by their
// form, and said in that language; the values in them stay what they are. A sentence that is
// not known stands there as it is, like anything that somebody wrote.

// maxNested is how deep sentences stand in each other: "open: review: needs …".
const maxNested = 4

// sayings are the forms of the gate's sentences. The more special come first.
var sayings = sync.OnceValue(func() []saying {
	var all []saying
	for _, t := range []words.Text{
		// How a change stands.
		words.Say("landed on {1} as {2}"), words.Say("abandoned"), words.Say("landing now"), words.Say("number {1} in the queue of {2}: {3}"),
		words.Say("number {1} in the queue of {2}"), words.Say("ready: it enters the queue of {1}"),
		words.Say("ready: every gate before the queue is open; somebody has to ask to land it"), words.Say("does not merge: {1}"),
		words.Say("refused: {1}: {2}"), words.Say("open: {1}: {2}"), words.Say("waits for its turn"), words.Say("it waits for its turn"), words.Say("waits for {1}"),
		// What people have to do.
		words.Say("nobody has asked to land it yet"), words.Say("{1} stops before landing"), words.Say("{1} asked to land it and may not any more"), words.Say("{1} asked to land it"),
		words.Say("it is marked as work in progress"), words.Say("it is private: only its owner, its reviewers and administrators see it"),
		words.Say("needs {1} × {2}, has {3}"), words.Say("has {1} × {2}"),
		words.Say("needs {1}, has {2}"), words.Say("has {1}"), words.Say("{1} refused with {2}"), words.Say("every path is approved by its owners"),
		words.Say("{1} approves for the owners of every path"), words.Say("approved by {1}"),
		words.Say("waits for window {1}, opens {2} ({3})"), words.Say("waits for window {1}, which does not open within a year ({2})"), words.Say("the time is right"),
		// What it stands on.
		words.Say("it stands on change {1} ({2}), which lands first"), words.Say("it stands on change {1}, which is abandoned"), words.Say("it stands on an older patch set of change {1}"),
		words.Say("it depends on change {1} ({2}), which lands before it or with it"), words.Say("it depends on change {1}, which is abandoned"),
		words.Say("it depends on change {1}, which has not landed yet"), words.Say("it lands only together with change {1}, which is not in the same queue"),
		words.Say("nothing lands while the plan of {1} cannot be read: {2}"), words.Say("{1}; {2} itself fails its stages (run {3}): nobody leaves the queue for that"),
		words.Say("which paths it touches is not known, or they are too many"),
		// Stages and tests.
		words.Say("has not started"), words.Say("is running"), words.Say("waits for a worker"), words.Say("passed in {1}"), words.Say("failed with exit code {1}"),
		words.Say("{1} has not started"), words.Say("{1} is running"), words.Say("{1} passed"), words.Say("{1} failed"), words.Say("{1} ran out of time"),
		words.Say("{1} could not be run; that says nothing about the change"), words.Say("{1} was cancelled; that says nothing about the change"),
		words.Say("{1} cannot start: {2} could not be run"), words.Say("{1} cannot start: {2} did not pass"), words.Say("{1} cannot start: gate {2} has no verdict"),
		words.Say("{1} cannot start: gate {2} refuses"), words.Say("{1} is in a state that this version does not know"), words.Say("no stage reports tests"), words.Say("there is no stage to judge"),
		words.Say("{1} failed, at most {2} may"), words.Say("{1} ran, at least {2} must"),
		// What to do next.
		words.Say("gate submit {1}, or push with -o submit"), words.Say("gate outcome {1} lets it go the usual way"), words.Say("vote {1}"), words.Say("have them vote {1}"), words.Say("recheck"), words.Say("mend {1}"),
		words.Say("mark it ready: push again with -o ready, or use its page"),
		words.Say("show it to everybody: gate change private {1} --off, or push with -o remove-private"),
		words.Say("git fetch, rebase onto {1}, and push a new patch set"), words.Say("rebase it onto the branch and push again"),
		words.Say("rebase it onto the newest patch set of change {1} and push again"), words.Say("correct the commit message and push a new patch set"),
		words.Say("take the Depends-On line out of the commit message and push a new patch set"), words.Say("mend the failing tests and push a patch set"),
		words.Say("push a new patch set; gate recheck {1} has this one tried again"), words.Say("mend {1}: what mends it lands first"), words.Say("see what gate {1} says"),
		words.Say("have the stage run the tests and report them"), words.Say("have the stage write the file that `results` names"),
		words.Say("recheck, or have it left out again"), words.Say("push a patch set that answers the objection, or have the vote changed"),
		words.Say("make it faster or raise its timeout; recheck if the machine was slow"), words.Say("wait a minute; if it stays so, split the change, or ask those who may override"),
		words.Say("gate why {1} says what that one waits for; branches share a queue by `land.queue` of their plans"),
		words.Say("an owner takes {1} off the gated branches (gate repo set {2} --ungated), pushes the mended plan ({3}), and puts it back (--gated {4})"),
		// Who.
		words.Say("anyone who may vote"), words.Say("anyone who may submit"),
		// What would become of it.
		words.Say("if {1}, it would {2}"), words.Say("if {1}, {2}"), words.Say("it would {1}"), words.Say("queue behind change {1} ({2})"), words.Say("be number {1} in the queue"),
	} {
		all = append(all, newSaying(t.Source))
	}
	return all
})

// saying is a form of a sentence, and how to know it.
type saying struct {
	source string
	known  *regexp.Regexp
}

var sayingPlace = regexp.MustCompile(`\\\{[1-9]\\\}`)

func newSaying(source string) saying {
	return saying{source, regexp.MustCompile(`^(?s:` + sayingPlace.ReplaceAllString(regexp.QuoteMeta(source), `(.+?)`) + `)$`)}
}

// heard is a sentence of the gate as a text of the pages; ok is false when it is none that is
// known. Values go through value, sentences in sentences are heard by themselves.
func heard(text string, value func(string) string, depth int) (t words.Text, ok bool) {
	if depth == 0 || text == "" {
		return t, false
	}
	for _, s := range sayings() {
		m := s.known.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		t = words.Text{Source: s.source}
		for _, part := range m[1:] {
			t.Args = append(t.Args, heardPart(part, value, depth-1))
		}
		return t, true
	}
	return t, false
}

// heardPart is a value of a sentence: a number, another sentence, or what stays as it is.
func heardPart(part string, value func(string) string, depth int) any {
	if n, err := strconv.Atoi(part); err == nil && strconv.Itoa(n) == part {
		return n
	}
	if inner, ok := heard(part, value, depth); ok {
		return inner
	}
	return value(part)
}

// said is a sentence of the gate in the language of the pages. In English it is what it was.
func said(l *words.Language, text string, capital bool) template.HTML {
	return saidWith(l, text, capital, func(s string) string { return s }, visible)
}

func saidWith(l *words.Language, text string, capital bool, value func(string) string, unknown func(string) template.HTML) template.HTML {
	if l != nil {
		if t, ok := heard(text, value, maxNested); ok {
			if text = l.Text(t); !capital {
				return visible(text)
			}
			return visible(sentence(text))
		}
	}
	if capital {
		text = sentence(text)
	}
	return unknown(text)
}

// saidAll is a list of those who can act: names stay, the words of the gate are said.
func saidAll(l *words.Language, names string) template.HTML {
	name := visible
	if l != nil {
		name = func(s string) template.HTML { return `<span translate="no">` + visible(s) + `</span>` }
	}
	var all []string
	for who := range strings.SplitSeq(names, ", ") {
		all = append(all, string(saidWith(l, who, false, func(s string) string { return s }, name)))
	}
	return template.HTML(strings.Join(all, ", ")) //nolint:gosec // each was escaped
}
