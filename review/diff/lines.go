package diff

import "strings"

// Texts compares two short texts, such as commit messages, line by line, with context lines
// around each change. Git does this for files; this is for what git has no file for. Texts
// whose comparison would be too much work are shown as replaced.
func Texts(old, new string, context int) []Hunk {
	a, b := SplitLines(old), SplitLines(new)
	keepA, keepB := make([]bool, len(a)), make([]bool, len(b))
	head := 0
	for head < min(len(a), len(b)) && a[head] == b[head] {
		keepA[head], keepB[head] = true, true
		head++
	}
	tail := 0
	for tail < min(len(a), len(b))-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
		keepA[len(a)-tail], keepB[len(b)-tail] = true, true
	}
	if m, n := len(a)-head-tail, len(b)-head-tail; m*n <= maxWork {
		common(m, n, func(i, j int) bool { return a[head+i] == b[head+j] }, keepA[head:head+m], keepB[head:head+n])
	}
	return around(script(a, b, keepA, keepB), context)
}

// SplitLines is a text's lines without their ends; a last line needs none.
func SplitLines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// script is all lines of both texts, the deleted ones of a change first.
func script(a, b []string, keepA, keepB []bool) []Line {
	var all []Line
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && !keepA[i]:
			all = append(all, Line{Kind: '-', Old: i + 1, Text: a[i]})
			i++
		case j < len(b) && !keepB[j]:
			all = append(all, Line{Kind: '+', New: j + 1, Text: b[j]})
			j++
		default: // kept on both sides, in the same order
			all = append(all, Line{Kind: ' ', Old: i + 1, New: j + 1, Text: a[i]})
			i, j = i+1, j+1
		}
	}
	return all
}

// around cuts a script into hunks.
func around(lines []Line, context int) []Hunk {
	near := make([]bool, len(lines))
	for i, l := range lines {
		if l.Kind == ' ' {
			continue
		}
		for k := max(0, i-context); k < min(len(lines), i+context+1); k++ {
			near[k] = true
		}
	}
	var hunks []Hunk
	old, new := 0, 0 // the lines passed on each side
	for i, l := range lines {
		if near[i] {
			if i == 0 || !near[i-1] {
				hunks = append(hunks, Hunk{OldStart: old, NewStart: new})
			}
			h := &hunks[len(hunks)-1]
			h.Lines = append(h.Lines, l)
			if l.Kind != '+' {
				h.OldLines++
			}
			if l.Kind != '-' {
				h.NewLines++
			}
		}
		if l.Kind != '+' {
			old++
		}
		if l.Kind != '-' {
			new++
		}
	}
	for i := range hunks { // a side without lines counts from the line before it, as in git
		if hunks[i].OldLines > 0 {
			hunks[i].OldStart++
		}
		if hunks[i].NewLines > 0 {
			hunks[i].NewStart++
		}
	}
	return hunks
}
