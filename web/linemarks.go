package web

import (
	"fmt"
	"slices"
	"strings"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/annotate"
	"gatehouse/web/words"
)

// Kinds of marks on lines.
const (
	markFinding = "finding" // a message, shown under its line
	markCover   = "cover"   // whether tests ran the line, shown beside its number
)

// maxMarksLine is how many findings stand under one line; the list has all of them.
const maxMarksLine = 20

// lineMark is what a stage says about a line of a change's new side.
type lineMark struct {
	Kind  string
	Tone  string     // of a finding: bad, wait or calm; of coverage: ran, part or miss
	Title words.Text // one plain sentence: who says it, how bad it is
	Text  string     // what it says, in the words of the tool: to be escaped
	URL   string     // where the rule is explained; "" for none
	Log   string     // address of the stage run that says so
}

// marksOf is what stages say about the lines of a patch set's files: by path, then by line of
// the new side. Line 0 is the file as a whole.
func marksOf(checks gatekeeper.Checks) map[string]map[int][]lineMark {
	all := map[string]map[int][]lineMark{}
	put := func(path string, line int, m lineMark) {
		if all[path] == nil {
			all[path] = map[int][]lineMark{}
		}
		all[path][line] = append(all[path][line], m)
	}
	for _, f := range checks.Coverage {
		for line, m := range f.Marks {
			if mark, ok := coverMarks[m]; ok {
				put(f.Path, line, mark)
			}
		}
	}
	for _, s := range checks.Stages {
		for _, f := range s.Findings {
			if f.Path != "" && f.Tested == 0 && len(all[f.Path][f.Line]) < maxMarksLine {
				put(f.Path, f.Line, findingMark(f))
			}
		}
	}
	return all
}

// coverMarks say what a profile knows of a line.
var coverMarks = map[annotate.Mark]lineMark{
	annotate.Covered: {Kind: markCover, Tone: "ran", Title: words.Say("Tests ran this line")},
	annotate.Partial: {Kind: markCover, Tone: "part", Title: words.Say("Tests ran a part of this line")},
	annotate.Missed:  {Kind: markCover, Tone: "miss", Title: words.Say("No test ran this line")},
}

// findingTones are the tones of severities.
var findingTones = map[annotate.Severity]string{annotate.Error: "bad", annotate.Warning: "wait", annotate.Notice: "calm"}

func findingMark(f gatekeeper.Finding) lineMark {
	by := slices.DeleteFunc([]string{f.Stage, f.Tool, f.Rule}, func(s string) bool { return s == "" })
	return lineMark{
		Kind: markFinding, Tone: findingTones[f.Severity], Title: words.Say("{1} by {2}", words.Word(f.Severity), strings.Join(by, " · ")),
		Text: f.Message, URL: f.URL, Log: fmt.Sprintf("/stage/%d/log", f.StageRun),
	}
}
