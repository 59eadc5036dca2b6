package plan

import (
	"strings"
	"testing"
)

func TestMatchPattern(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no string
	}{
		{"go.mod", "go.mod sub/go.mod go.mod/x", "go.mods"},
		{"*.go", "a.go sub/a.go .go", "a.gox"},
		{"cmd/*.go", "cmd/a.go", "cmd/sub/a.go x/cmd/a.go"},
		{"cmd", "cmd/a/b x/cmd/y cmd", "cmds/a"},
		{"docs/", "docs/a x/docs/a/b", "docs"},
		{"docs/**", "docs/a docs/a/b", "docs x/docs/a"},
		{"**/*.go", "a.go b/a.go b/c/a.go", "a.c"},
		{"a/**/b", "a/b a/x/b a/x/y/b a/b/c", "b x/a/b"},
		{"**", "a a/b", ""},
		{"a?c", "abc aäc x/abc", "ac a/c"},
		{"a*b*c", "abc axbxc abbc", "abd"},
		{"web/static/*", "web/static/a web/static/a/b", "web/static"},
	} {
		for _, path := range strings.Fields(c.yes) {
			if !newGlob(c.pattern).matches(strings.Split(path, "/")) {
				t.Errorf("%s does not match %s", c.pattern, path)
			}
		}
		for _, path := range strings.Fields(c.no) {
			if newGlob(c.pattern).matches(strings.Split(path, "/")) {
				t.Errorf("%s matches %s", c.pattern, path)
			}
		}
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		paths, changed string
		want           bool
	}{
		{"", "a", true},
		{"*.go", "a.md", false},
		{"*.go", "a.md b/a.go", true},
		{"*.go", "", true},
		{"*.go", "a.md " + File, true},
		{"!docs/", "docs/a", false},
		{"!docs/", "docs/a x", true},
		{"*.go !gen/", "gen/a.go", false},
		{"!gen/ *.go", "gen/a.go a.go", true},
	} {
		s := Stage{Paths: strings.Fields(c.paths)}
		if got := s.Matches(strings.Fields(c.changed)); got != c.want {
			t.Errorf("paths [%s], changed [%s]: %t", c.paths, c.changed, got)
		}
	}
}

// A pattern cannot be made to take long: work grows with pattern times path.
func TestPatternsAreCheap(t *testing.T) {
	path := strings.Repeat("a/", 500) + "b"
	if newSelector([]string{strings.Repeat("**/a/", 100) + "c"}).selects(path) {
		t.Error("matched")
	}
	if newSelector([]string{strings.Repeat("*a", 500) + "c"}).selects(strings.Repeat("a", 1000)) {
		t.Error("matched")
	}
}
