package web

import (
	"fmt"
	"html"
	"strconv"
	"strings"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/annotate"
	"gatehouse/web/words"
)

const (
	// maxFindingsShown is how many findings the page of a change lists; each stage's page has
	// all that are kept.
	maxFindingsShown = 100
	// maxMissedShown is how many files with lines that no test ran are listed.
	maxMissedShown = 50
)

// findingsView is what stages say about the lines of a patch set.
type findingsView struct {
	Errors, Warnings, Notices int
	Added, Missed             int
	Rows                      []findingRow
	More                      int // findings that are not listed
	Files                     []missedFile
	Notes                     []stageNote
}

// findingRow is one of the list.
type findingRow struct {
	gatekeeper.Finding
	Tone  string
	Where string // its place in words, "" for none
	URL   string // of its place
	Rule  string
	Help  string
	Log   string
}

type missedFile struct{ Path, Lines, URL string }

type stageNote struct{ Stage, Text, Log string }

// Any reports whether there is something to say.
func (v findingsView) Any() bool { return len(v.Rows) > 0 || v.Added > 0 || len(v.Notes) > 0 }

// Ran is how many of the new lines tests ran.
func (v findingsView) Ran() int { return v.Added - v.Missed }

// findingsOf prepares what stages say; place gives the address of a line of the diff, "" when
// the file is not in it, and file that of a line of what a stage tested.
func findingsOf(checks gatekeeper.Checks, place func(path string, line int) string, file func(f gatekeeper.Finding, s gatekeeper.StageChecks) string) findingsView {
	v := findingsView{Added: checks.Added, Missed: checks.Missed}
	for _, s := range checks.Stages {
		v.Errors, v.Warnings, v.Notices = v.Errors+s.Errors, v.Warnings+s.Warnings, v.Notices+s.Notices
		v.More += s.Dropped
		log := fmt.Sprintf("/stage/%d/log", s.StageRun)
		for _, note := range s.Notes {
			v.Notes = append(v.Notes, stageNote{s.Stage, note, log})
		}
		for _, f := range s.Findings {
			if len(v.Rows) == maxFindingsShown {
				v.More++
				continue
			}
			row := findingRow{Finding: f, Tone: findingTones[f.Severity], Where: placeOf(f.Annotation), Help: f.URL, Log: log, Rule: strings.TrimSpace(f.Tool + " " + f.Rule)}
			if f.Tested != 0 {
				row.Where = f.Path + ", on the branch"
			}
			if f.Path != "" && f.Tested == 0 {
				row.URL = place(f.Path, f.Line)
			}
			if f.Path != "" && row.URL == "" {
				row.URL = file(f, s)
			}
			v.Rows = append(v.Rows, row)
		}
	}
	for _, f := range checks.Coverage {
		if len(f.Missed) > 0 && len(v.Files) < maxMissedShown {
			v.Files = append(v.Files, missedFile{f.Path, lineRanges(f.Missed), place(f.Path, f.Missed[0])})
		}
	}
	return v
}

// placeOf is where a finding is, as people write it.
func placeOf(a annotate.Annotation) string {
	switch {
	case a.Path == "" || a.Line == 0:
		return a.Path
	case a.EndLine > a.Line:
		return fmt.Sprintf("%s:%d–%d", a.Path, a.Line, a.EndLine)
	}
	return fmt.Sprintf("%s:%d", a.Path, a.Line)
}

// lineRanges is a sorted list of lines with its runs shortened.
func lineRanges(all []int) string {
	const enough = 12 // more are in the diff
	var parts []string
	for i := 0; i < len(all) && len(parts) < enough; {
		end := i
		for end+1 < len(all) && all[end+1] == all[end]+1 {
			end++
		}
		text := strconv.Itoa(all[i])
		if end > i {
			text += "–" + strconv.Itoa(all[end])
		}
		if parts = append(parts, text); len(parts) == enough && end+1 < len(all) {
			parts = append(parts, "…")
		}
		i = end + 1
	}
	return strings.Join(parts, ", ")
}

// setFindings lists what stages say about the patch set that the page shows.
func (v *changeView) setFindings(q diffRequest) {
	ids := map[string]string{}
	for _, f := range v.Diff.Files {
		ids[f.Path] = f.ID
	}
	v.Findings = findingsOf(v.checks, func(path string, line int) string {
		id, ok := ids[path]
		switch {
		case !ok:
			return ""
		case line == 0:
			return "#" + id
		}
		n := strconv.Itoa(line)
		return q.with("at", path+":R"+n) + "#" + id + "R" + n
	}, func(f gatekeeper.Finding, s gatekeeper.StageChecks) string {
		address := repoURL(v.Repo.Name, "file", string(s.Commit), f.Path)
		if line := max(f.Line, f.Tested); line > 0 {
			address += "#L" + strconv.Itoa(line)
		}
		return address
	})
}

// cover is the class of a line's number that says whether tests ran it, with the space that
// separates it, and words for who does not see it.
func (w *rows) cover(line int) (class, text string) {
	for _, m := range w.marks[line] {
		if m.Kind == markCover {
			if m.Tone == "ran" {
				return " cv ran", ""
			}
			return " cv " + m.Tone, `<i class="sr">` + w.say(m.Title) + `</i>`
		}
	}
	return "", ""
}

// says writes what stages say about a line of the new side, in a row below it.
func (w *rows) says(line, columns int) {
	open := false
	for _, m := range w.marks[line] {
		if m.Kind != markFinding {
			continue
		}
		if !open {
			w.b.WriteString(`<tr class="talk says"><td colspan="` + strconv.Itoa(columns) + `"><ul>`)
			open = true
		}
		w.b.WriteString(`<li class="` + m.Tone + `">` + string(icon(findingIcons[m.Tone])) + `<b>`)
		writeVisible(&w.b, w.lang.Text(m.Title))
		w.b.WriteString(`</b> <span class="what">`)
		writeVisible(&w.b, m.Text)
		w.b.WriteString(`</span>`)
		if strings.HasPrefix(m.URL, "https://") || strings.HasPrefix(m.URL, "http://") {
			w.b.WriteString(` <a href="` + html.EscapeString(m.URL) + `" rel="nofollow noopener">` + w.say(words.Say("about this rule")) + `</a> ·`)
		}
		w.b.WriteString(` <a href="` + html.EscapeString(m.Log) + `">` + w.say(words.Say("log")) + `</a></li>`)
	}
	if open {
		w.b.WriteString("</ul></td></tr>\n")
	}
}

// findingIcons are the signs of the tones.
var findingIcons = map[string]string{"bad": "bad", "wait": "warn", "calm": "comment"}

// Said is what a stage run of the current patch set said about lines, nil for nothing.
func (v *changeView) Said(stageRun int64) *gatekeeper.StageChecks {
	for i := range v.Reports.Stages {
		if s := &v.Reports.Stages[i]; s.StageRun == stageRun && s.Errors+s.Warnings+s.Notices > 0 {
			return s
		}
	}
	return nil
}
