package review

import (
	"regexp"
	"slices"
	"strings"
)

// maxMentions is how many people one review can call.
const maxMentions = 30

// mention is an account's name after @, not in the middle of a word, an address or a path.
var mention = regexp.MustCompile(`(?:^|[^A-Za-z0-9_@/.\\-])@([a-z0-9][a-z0-9._-]{0,38})`)

// Mentions lists the names that a text calls with @name, each once, in order. What stands in
// code is no call: `@Override` there is a word of a programming language.
func Mentions(body string) []string {
	var names []string
	for _, part := range prose(body) {
		for _, m := range mention.FindAllStringSubmatch(part, -1) {
			name := strings.TrimRight(m[1], ".-_") // the end of a sentence
			if !slices.Contains(names, name) && len(names) < maxMentions {
				names = append(names, name)
			}
		}
	}
	return names
}

// prose is a text without its code: fenced blocks, and what stands between backticks.
func prose(body string) []string {
	var all []string
	for _, part := range fenced(body) {
		if !part.code {
			all = append(all, withoutSpans(part.text)...)
		}
	}
	return all
}

// withoutSpans leaves `code` out. A run of backticks ends at the next run as long; one that
// never ends is text.
func withoutSpans(text string) []string {
	var all []string
	for {
		open := strings.IndexByte(text, '`')
		if open < 0 {
			return append(all, text)
		}
		run := len(text[open:]) - len(strings.TrimLeft(text[open:], "`"))
		end := closing(text[open+run:], run)
		if end < 0 {
			all = append(all, text[:open])
			text = text[open+run:]
			continue
		}
		all = append(all, text[:open])
		text = text[open+run+end+run:]
	}
}

// closing is where a run of exactly n backticks begins in text, or -1.
func closing(text string, n int) int {
	for at := 0; at < len(text); {
		i := strings.IndexByte(text[at:], '`')
		if i < 0 {
			return -1
		}
		i += at
		run := len(text[i:]) - len(strings.TrimLeft(text[i:], "`"))
		if run == n {
			return i
		}
		at = i + run
	}
	return -1
}

// block is a part of a Markdown text: prose, or the lines of a fenced block.
type block struct {
	text string // with its line ends; of code without the fences
	raw  string // with them
	code bool
	info string // the word after the fence that opens it
}

var fence = regexp.MustCompile("^ {0,3}(`{3,}|~{3,})[ \t]*([^`\n]*?)[ \t]*$")

// fenced cuts a text into prose and fenced blocks, as CommonMark does for blocks that stand in
// no list or quotation. A block that is not closed goes to the end.
func fenced(body string) []block {
	var all []block
	var now block
	var text, raw strings.Builder
	opened := "" // the fence of the block that we are in
	end := func(next block) {
		if now.text, now.raw = text.String(), raw.String(); now.raw != "" {
			all = append(all, now)
		}
		text.Reset()
		raw.Reset()
		now = next
	}
	for line := range strings.Lines(body) {
		m := fence.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
		switch {
		case opened == "" && m != nil:
			end(block{code: true, info: m[2]})
			raw.WriteString(line)
			opened = m[1]
		case opened != "" && m != nil && m[2] == "" && m[1][0] == opened[0] && len(m[1]) >= len(opened):
			raw.WriteString(line)
			end(block{})
			opened = ""
		default:
			text.WriteString(line)
			raw.WriteString(line)
		}
	}
	end(block{})
	return all
}
