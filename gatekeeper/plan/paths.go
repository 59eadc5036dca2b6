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
	s := newSelector(patterns)
	return slices.ContainsFunc(paths, s.selects)
}

// selects reports whether the patterns select path: one without "!" matches and none with "!"
// does. Patterns that all have "!" start from every path.
func (s selector) selects(path string) bool { return s.selectsParts(strings.Split(path, "/")) }

// selector is a list of patterns made ready for many paths.
type selector struct {
	globs    []glob
	positive bool // there is one without "!"
}

// glob is one pattern.
type glob struct {
	not        bool
	want       []segment // ** first when it matches at any depth
	insideOnly bool      // it matches what is in a folder and not the folder
}

// segment is what stands between two slashes of a pattern.
type segment struct {
	text string
	deep bool // it is **
	wild bool // it has * or ?
}

func (s segment) matches(text string) bool {
	if s.wild {
		return matchSegment(s.text, text)
	}
	return s.text == text
}

func newSelector(patterns []string) selector {
	var s selector
	for _, pattern := range patterns {
		body, not := strings.CutPrefix(pattern, "!")
		g := newGlob(body)
		g.not = not
		s.globs = append(s.globs, g)
		s.positive = s.positive || !not
	}
	return s
}

func (s selector) selectsParts(have []string) bool {
	selected := !s.positive
	for _, g := range s.globs {
		switch {
		case g.not:
			if g.matches(have) {
				return false
			}
		case !selected:
			selected = g.matches(have)
		}
	}
	return selected
}

// newGlob reads a pattern without "!": * is any text without a slash, ? one character that is
// no slash, ** as a whole segment any number of segments. A slash at the end, or /**, matches
// what is inside a folder only. A pattern without any other slash matches at any depth.
func newGlob(pattern string) glob {
	body := strings.TrimSuffix(pattern, "/")
	anchored := strings.Contains(body, "/")
	body = strings.TrimSuffix(body, "/**")
	g := glob{insideOnly: body != pattern}
	if !anchored {
		body = "**/" + body
	}
	for text := range strings.SplitSeq(body, "/") {
		g.want = append(g.want, segment{text: text, deep: text == "**", wild: strings.ContainsAny(text, "*?")})
	}
	return g
}

// matches reports whether the glob matches a path, given by its segments, or any folder that
// it is in.
func (g glob) matches(have []string) bool {
	const usual = 16 // segments for which nothing is allocated
	if first := g.want[0]; !first.deep && !first.matches(have[0]) {
		return false // most patterns begin with the name of another folder
	}
	if len(g.want) == 2 && g.want[0].deep && !g.want[1].deep {
		inside := have // or are one name, at any depth
		if g.insideOnly {
			inside = have[:len(have)-1]
		}
		return slices.ContainsFunc(inside, g.want[1].matches)
	}
	// reach[i] says whether the first i pattern segments match the path segments so far. Each
	// cell is filled once, so a pattern full of ** costs no more than any other.
	var space [2][usual]bool
	reach, next := space[0][:], space[1][:]
	if len(g.want) >= usual {
		reach, next = make([]bool, len(g.want)+1), make([]bool, len(g.want)+1)
	}
	reach[0] = true
	spread(reach, g.want)
	for j, text := range have {
		clear(next)
		for i, w := range g.want {
			switch {
			case !reach[i]:
			case w.deep:
				next[i] = true
			case w.matches(text):
				next[i+1] = true
			}
		}
		spread(next, g.want)
		reach, next = next, reach
		if reach[len(g.want)] && (!g.insideOnly || j < len(have)-1) {
			return true
		}
	}
	return false
}

// spread lets ** match no segment at all.
func spread(reach []bool, want []segment) {
	for i, w := range want {
		if w.deep && reach[i] {
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
