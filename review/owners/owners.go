// Package owners reads CODEOWNERS and OWNERS files, in which a repository says whose approval a path
// needs, and tells the owners of a path. It is pure.
//
// Two dialects have the same name. GitHub's: patterns as in .gitignore, the last one that
// matches wins (docs.github.com, "About code owners"). GitLab's: sections, each with its own
// last match, that can be optional, ask for several approvals and have owners of their own;
// patterns without a slash in front match at any depth, "!" excludes (docs.gitlab.com, "Code
// Owners syntax"). A file below .gitlab, or one with a section, is GitLab's.
//
// Gerrit's kind is a file OWNERS in each folder ([Folders]); it counts where there is no CODEOWNERS.
//
// A line that cannot be understood owns nothing, as on all of them; [File.Problems] lists them.
package owners

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxFile is the size of a file that is read, in bytes; GitHub's limit is larger, but a file
// beyond this is made by a program that could write folders instead.
const MaxFile = 256 << 10

const (
	// maxRules bounds the work for one path.
	maxRules = 3000
	// maxProblems is how many problems are listed.
	maxProblems = 20
	// maxOwners of one rule, and maxSections of a file.
	maxOwners   = 100
	maxSections = 200
	// maxMin is the most approvals that a section can ask for.
	maxMin = 20
)

// Places are where a file is looked for, the first that exists counts.
func Places() []string {
	return []string{".github/CODEOWNERS", ".gitlab/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"}
}

// File is a file that was read.
type File struct {
	Name     string
	Problems []Problem
	sections []*section
	gitlab   bool
	rules    int
	folders  map[string]*folder // of a repository with a file in each folder, see [Folders]
}

// Problem is a line that owns nothing because it cannot be understood.
type Problem struct {
	Line int
	Text string
}

type section struct {
	name     string
	optional bool
	min      int
	owners   []string // of rules that name none
	rules    []rule
}

type rule struct {
	pattern
	not    bool
	owners []string
	line   int
}

// Need is whose approval a path needs.
type Need struct {
	Section  string // "" outside of sections
	Owners   []string
	Min      int    // so many of them
	Optional bool   // they are told, and not waited for
	Line     int    // of the rule
	File     string // that has it, where there are several
}

// Parse reads a file. It never fails: what it cannot read is a problem.
func Parse(name string, text []byte) *File {
	f := &File{Name: name, gitlab: strings.HasPrefix(name, ".gitlab/")}
	lines := strings.Split(strings.TrimPrefix(string(text), "\ufeff"), "\n")
	for _, line := range lines {
		f.gitlab = f.gitlab || header.MatchString(strings.TrimSpace(line))
	}
	now := &section{min: 1}
	f.sections = append(f.sections, now)
	for i, line := range lines {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case !utf8.ValidString(line):
			f.problem(i+1, "it is not UTF-8")
		case f.rules >= maxRules:
			f.problem(i+1, fmt.Sprintf("it is behind the %d rules that are read", maxRules))
			return f
		default:
			if m := header.FindStringSubmatch(line); f.gitlab && m != nil {
				now = f.section(i+1, m)
				continue
			}
			f.rule(now, i+1, line)
		}
	}
	return f
}

// header is the line that begins a section: ^[Name][2] @owner …
var header = regexp.MustCompile(`^(\^?)\[([^\[\]]+)\](?:\[([0-9]{1,3})\])?(?:[ \t]+(.*))?$`)

func (f *File) problem(line int, text string) {
	if len(f.Problems) < maxProblems {
		f.Problems = append(f.Problems, Problem{line, text})
	}
}

// section begins a section, or goes on with the one of the same name.
func (f *File) section(line int, m []string) *section {
	for _, s := range f.sections[1:] {
		if strings.EqualFold(s.name, m[2]) {
			return s
		}
	}
	if len(f.sections) > maxSections {
		f.problem(line, "there are too many sections; it belongs to the last")
		return f.sections[len(f.sections)-1]
	}
	s := &section{name: strings.TrimSpace(m[2]), optional: m[1] != "", min: 1}
	if n, err := strconv.Atoi(m[3]); err == nil && n > 0 {
		s.min = min(n, maxMin)
	}
	s.owners = f.ownersOf(line, strings.Fields(uncomment(m[4])))
	f.sections = append(f.sections, s)
	return s
}

// uncomment takes a remark off the end of a line.
func uncomment(text string) string {
	for i, r := range text {
		if r == '#' && (i == 0 || text[i-1] == ' ' || text[i-1] == '\t') {
			return text[:i]
		}
	}
	return text
}

func (f *File) rule(s *section, line int, text string) {
	pattern, rest := cutPattern(text)
	r := rule{line: line, owners: f.ownersOf(line, strings.Fields(uncomment(rest)))}
	if f.gitlab {
		pattern, r.not = strings.CutPrefix(pattern, "!")
	}
	var why string
	if r.pattern, why = compile(pattern, f.gitlab); why != "" {
		f.problem(line, why)
		return
	}
	s.rules = append(s.rules, r)
	f.rules++
}

// cutPattern takes the pattern off the front of a line; \ before a character takes its meaning.
func cutPattern(line string) (pattern, rest string) {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case ' ', '\t':
			return line[:i], line[i:]
		}
	}
	return line, ""
}

func (f *File) ownersOf(line int, words []string) []string {
	var all []string
	for _, word := range words {
		if !strings.Contains(word, "@") || strings.ContainsFunc(word, unicode.IsControl) || len(word) > 254 {
			f.problem(line, "an owner is @NAME, @GROUP or an e-mail address")
			continue
		}
		if len(all) < maxOwners {
			all = append(all, word)
		}
	}
	return all
}

// Needs tells whose approval a path needs, one for each section that owns it. Nobody owns
// it when there are none.
func (f *File) Needs(path string) []Need {
	if f == nil {
		return nil
	}
	if f.folders != nil {
		return f.foldersNeed(path)
	}
	var all []Need
	for _, s := range f.sections {
		if r := s.last(path); r != nil {
			names := r.owners
			if len(names) == 0 {
				names = s.owners
			}
			if len(names) > 0 {
				all = append(all, Need{Section: s.name, Owners: names, Min: s.min, Optional: s.optional, Line: r.line})
			}
		}
	}
	return all
}

// last is the rule that counts for a path: the last that matches, unless one excludes it.
func (s *section) last(path string) *rule {
	var found *rule
	for i := len(s.rules) - 1; i >= 0; i-- {
		r := &s.rules[i]
		if found != nil && !r.not || !r.matches(path) {
			continue
		}
		if r.not {
			return nil
		}
		found = r
	}
	return found
}

// Names is what an owner is here: an account's name, a group's, or an e-mail address. A name
// with a slash, as @org/team, is the group of its last part; a name without one may be both.
func Names(owner string) (account, group, email string) {
	name, at := strings.CutPrefix(owner, "@")
	if !at {
		return "", "", strings.ToLower(owner)
	}
	name = strings.ToLower(name)
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return "", name[i+1:], ""
	}
	return name, name, ""
}

// String is "@a or @b", with how many are needed.
func (n Need) String() string {
	const most = 4
	names := n.Owners
	text := strings.Join(names[:min(len(names), most)], " or ")
	if len(names) > most {
		text += fmt.Sprintf(" or %d more", len(names)-most)
	}
	if n.Min > 1 {
		text = fmt.Sprintf("%d of %s", n.Min, text)
	}
	return cmp.Or(text, "nobody")
}
