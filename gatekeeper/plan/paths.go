package plan

import (
	"slices"
	"strings"
)

// Matches reports whether a change of these paths needs the stage. It does when the stage has
// no `paths`, when nothing is known about the paths, and when the plan file is among them: a
// change may not alter a stage without running it.
func (s Stage) Matches(paths []string) bool {
	return pathsMatch(s.Paths, paths)
}

func pathsMatch(patterns, paths []string) bool {
	if len(patterns) == 0 || len(paths) == 0 || slices.Contains(paths, File) {
		return true
	}
	return slices.ContainsFunc(paths, func(path string) bool { return selects(patterns, path) })
}

// selects reports whether patterns select path: one without "!" matches and none with "!"
// does. Patterns that all have "!" start from every path.
func selects(patterns []string, path string) bool {
	selected, positive := false, false
	for _, pattern := range patterns {
		not, isNot := strings.CutPrefix(pattern, "!")
		if isNot {
			if matchPattern(not, path) {
				return false
			}
			continue
		}
		positive = true
		selected = selected || matchPattern(pattern, path)
	}
	return selected || !positive
}

// matchPattern matches a path, or any folder that it is in, against a pattern: * is any text
// without a slash, ? one character that is no slash, ** as a whole segment any number of
// segments. A slash at the end, or /**, matches what is inside a folder only. A pattern without
// any other slash matches at any depth.
func matchPattern(pattern, path string) bool {
	body := strings.TrimSuffix(pattern, "/")
	anchored := strings.Contains(body, "/")
	body = strings.TrimSuffix(body, "/**")
	insideOnly := body != pattern
	want := strings.Split(body, "/")
	if !anchored {
		want = append([]string{"**"}, want...)
	}
	have := strings.Split(path, "/")
	// reach[i] says whether the first i pattern segments match the path segments so far. Each
	// cell is filled once, so a pattern full of ** costs no more than any other.
	reach := make([]bool, len(want)+1)
	reach[0] = true
	spread(reach, want)
	for j, segment := range have {
		next := make([]bool, len(want)+1)
		for i, w := range want {
			switch {
			case !reach[i]:
			case w == "**":
				next[i] = true
			case matchSegment(w, segment):
				next[i+1] = true
			}
		}
		spread(next, want)
		reach = next
		if reach[len(want)] && (!insideOnly || j < len(have)-1) {
			return true
		}
	}
	return false
}

// spread lets ** match no segment at all.
func spread(reach []bool, want []string) {
	for i, w := range want {
		if w == "**" && reach[i] {
			reach[i+1] = true
		}
	}
}

// matchSegment matches one path segment against a pattern with * and ?, in time proportional
// to the product of their lengths at most.
func matchSegment(pattern, text string) bool {
	p, t := []rune(pattern), []rune(text)
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(t) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == t[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}

// patternProblem says what is wrong with a pattern of `paths`, and what to write.
func patternProblem(pattern string) (message, fix string) {
	body := strings.TrimPrefix(pattern, "!")
	switch {
	case body == "":
		return "an empty pattern matches nothing", "remove it"
	case strings.HasPrefix(body, "/"):
		return "patterns are relative to the repository's root", "write `" + strings.TrimLeft(body, "/") + "`"
	case strings.ContainsAny(body, `[]{}\`):
		return "patterns know *, ** and ? only, not brackets, braces or backslashes", "list the patterns one by one"
	case slices.ContainsFunc(strings.Split(strings.TrimSuffix(body, "/"), "/"), func(s string) bool { return s == "" || s == "." || s == ".." }):
		return "a pattern has no empty, `.` or `..` segments", "write the path as git lists it"
	}
	for _, segment := range strings.Split(body, "/") {
		if strings.Contains(segment, "**") && segment != "**" {
			return "`**` stands alone between slashes", "write `**/*.go` for every Go file"
		}
	}
	return "", ""
}
