package web

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sharedSections are the parts of the sheet that are for every page.
var sharedSections = []string{"ground", "frame", "panels, lists, tables", "forms"}

// crossSections say again what other sections say, for some windows or readers.
var crossSections = []string{"narrow", "keys"}

// sharedClasses are styled by one section and meant to be met again in another: each is one thing
// that looks the same on every page.
var sharedClasses = map[string]string{
	"c": "a line of code", "churn": "lines added and removed", "code": "a table of code", "desc": "a commit's message", "file": "a file of a diff",
	"findings": "what tools found; its place depends on what is before it", "letter": "what became of a file", "log": "a log", "menu": "the menu of acts",
	"overview": "the head of a change; the places of what follows depend on it", "remarks": "notes without a line", "slim": "a form; its inputs are no wider than their text",
	"thread": "a thread", "toolbar": "a row of controls", "why": "why it cannot land yet", "write": "a form to answer in",
}

var (
	cssComment = regexp.MustCompile(`(?s)/\*.*?\*/`)
	cssSection = regexp.MustCompile(`^/\* ---- (.*) ---- \*/$`)
	cssClass   = regexp.MustCompile(`\.(-?[_a-zA-Z][-_a-zA-Z0-9]*)`)
	cssBare    = regexp.MustCompile(`^[a-z0-9]*\.(-?[_a-zA-Z][-_a-zA-Z0-9]*)(?::{1,2}[-a-z]+(?:\([^)]*\))?)*$`)
)

// rule is the selector of a rule and the section that it stands in.
type rule struct{ section, selector string }

// styleRules reads the selectors of a style file, those inside of @media and @supports too. The first
// file has a section for each page, with a line `/* ---- name ---- */` before it; every other file is
// one section. What narrow windows change and what keys do is said of all sections together.
func styleRules(name, text string) (all []rule) {
	section, begun := name, 0
	var head strings.Builder
	add := func() {
		for _, s := range splitOutside(head.String(), ',') {
			if s = strings.TrimSpace(s); s != "" && section != "" {
				all = append(all, rule{section, s})
			}
		}
		head.Reset()
	}
	for line := range strings.Lines(text) {
		if m := cssSection.FindStringSubmatch(strings.TrimSpace(line)); m != nil && begun == 0 && strings.HasPrefix(name, "00-") {
			switch section = m[1]; {
			case slices.Contains(sharedSections, section):
				section = "shared"
			case slices.Contains(crossSections, section):
				section = ""
			}
			continue
		}
		line = cssComment.ReplaceAllString(line, "")
		for _, r := range line {
			switch {
			case r == '{' && strings.HasPrefix(strings.TrimSpace(head.String()), "@"): // what is in it are rules again
				head.Reset()
			case r == '{':
				add()
				begun++
			case r == '}':
				begun = max(0, begun-1)
				head.Reset()
			case begun == 0:
				head.WriteRune(r)
			}
		}
	}
	return all
}

// splitOutside cuts at a separator that is in no parentheses.
func splitOutside(text string, at rune) (all []string) {
	depth, from := 0, 0
	for i, r := range text {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == at && depth == 0:
			all, from = append(all, text[from:i]), i+1
		}
	}
	return append(all, text[from:])
}

// clashes are the classes that one section styles wherever they stand, and that another uses for
// something of its own.
func clashes(rules []rule) map[string][]string {
	bare, used := map[string]map[string]bool{}, map[string]map[string]bool{}
	note := func(in map[string]map[string]bool, class, section string) {
		if in[class] == nil {
			in[class] = map[string]bool{}
		}
		in[class][section] = true
	}
	for _, r := range rules {
		if m := cssBare.FindStringSubmatch(r.selector); m != nil {
			note(bare, m[1], r.section)
		}
		for _, m := range cssClass.FindAllStringSubmatch(r.selector, -1) {
			note(used, m[1], r.section)
		}
	}
	all := map[string][]string{}
	for class, at := range bare {
		switch {
		case at["shared"] && len(at) > 1: // a part of all pages that one page makes another
			all[class] = slices.Sorted(maps.Keys(at))
		case !at["shared"] && len(used[class]) > 1:
			all[class] = slices.Sorted(maps.Keys(used[class]))
		}
	}
	return all
}

// A class that one page styles wherever it stands changes every other page that has it for something
// else: it is scoped (`.queue .stop`), or one of the parts that all pages share.
func TestPagesDoNotStyleEachOther(t *testing.T) {
	files, err := filepath.Glob("assets/style/*.css")
	if err != nil || len(files) == 0 {
		t.Fatalf("no style: %v", err)
	}
	var rules []rule
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, styleRules(filepath.Base(name), string(text))...)
	}
	found := clashes(rules)
	for _, class := range slices.Sorted(maps.Keys(found)) {
		if sharedClasses[class] == "" {
			t.Errorf(".%s is styled without a scope, and in other places too: %s", class, strings.Join(found[class], "; "))
		}
	}
	for _, class := range slices.Sorted(maps.Keys(sharedClasses)) {
		if found[class] == nil {
			t.Errorf(".%s needs no exception any more", class)
		}
	}
}

func TestClashesAreFound(t *testing.T) {
	sheet := "/* ---- frame ---- */\n.top, .muted { color: red; }\n/* ---- queue ---- */\n.stop { a: b; } .row .stop .what { a: b; }\n"
	other := "/* ---- delivery ---- */\n@media (max-width: 1px) { li.stop:hover, .env .past { a: b; } }\n.plot .top { a: b; } .past { a: b; } .muted { a: b; }\n"
	found := clashes(append(styleRules("00-a.css", sheet), styleRules("10-b.css", other)...))
	if got := fmt.Sprint(found); got != "map[muted:[10-b.css shared] stop:[10-b.css queue]]" {
		t.Errorf("%s", got)
	}
}
