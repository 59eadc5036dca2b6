package owners

import (
	"fmt"
	"strings"
	"testing"
)

// The example of docs.github.com, and what it says of it.
const github = `
# comment
*       @global-owner1 @global-owner2
*.js    @js-owner #This is an inline comment.
*.go docs@example.com
*.txt @octo-org/octocats
/build/logs/ @doctocat
docs/*  docs@example.com
apps/ @octocat
/docs/ @doctocat
/scripts/ @doctocat @octocat
**/logs @octocat
/apps/ @octocat
/apps/github
with\ space.md @spaced
\#hash @hashed
`

func TestGitHub(t *testing.T) {
	f := Parse(".github/CODEOWNERS", []byte(github))
	for path, want := range map[string]string{
		"README.md":             "@global-owner1 @global-owner2",
		"a/b/x.js":              "@js-owner",
		"x.go":                  "docs@example.com",
		"notes.txt":             "@octo-org/octocats",
		"build/logs/a/b":        "@octocat", // **/logs comes later
		"build/logs":            "@octocat",
		"docs/intro.md":         "@doctocat",
		"docs/a/b.md":           "@doctocat",
		"apps/x":                "@octocat",
		"src/apps/deep/x":       "@octocat",
		"apps/github":           "",
		"apps/github/a":         "",
		"scripts/x":             "@doctocat @octocat",
		"deeply/nested/logs/x":  "@octocat",
		"with space.md":         "@spaced",
		"a/#hash":               "@hashed",
		"scripts":               "@global-owner1 @global-owner2",
		"x.json":                "@global-owner1 @global-owner2",
		"deeply/nested/catalog": "@global-owner1 @global-owner2",
	} {
		if got := show(f.Needs(path)); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if len(f.Problems) != 0 {
		t.Errorf("problems %v", f.Problems)
	}
	g := Parse("CODEOWNERS", []byte("docs/* @a\n"))
	if show(g.Needs("docs/x")) != "@a" || show(g.Needs("docs/y/x")) != "" || show(g.Needs("src/docs/x")) != "" {
		t.Error("docs/* is the files right in docs")
	}
}

func show(needs []Need) string {
	var parts []string
	for _, n := range needs {
		text := strings.Join(n.Owners, " ")
		if n.Section != "" {
			text = n.Section + ": " + text
		}
		if n.Min != 1 {
			text += fmt.Sprint(" ×", n.Min)
		}
		if n.Optional {
			text += " (optional)"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

const gitlab = `
* @everybody
README.md @writer
[Documentation][2] @docs-team
docs/
*.md @docs
!CHANGELOG.md
^[Database] @dba
model/db/
/config/db/database-setup.md @docs
[documentation]
/late.rst
`

func TestGitLab(t *testing.T) {
	f := Parse("CODEOWNERS", []byte(gitlab))
	for path, want := range map[string]string{
		"x":                           "@everybody",
		"sub/README.md":               "@writer; Documentation: @docs ×2",
		"docs/x":                      "@everybody; Documentation: @docs-team ×2",
		"sub/docs/x":                  "@everybody; Documentation: @docs-team ×2",
		"CHANGELOG.md":                "@everybody",
		"model/db/a.rb":               "@everybody; Database: @dba (optional)",
		"config/db/database-setup.md": "@everybody; Documentation: @docs ×2; Database: @docs (optional)",
		"late.rst":                    "@everybody; Documentation: @docs-team ×2",
		"docs":                        "@everybody",
	} {
		if got := show(f.Needs(path)); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestProblems(t *testing.T) {
	f := Parse("CODEOWNERS", []byte("!x @a\nsrc/[ab] @a\n* alice\n/ @a\n\xff @a\n"+strings.Repeat("y", 2000)+" @a\n"))
	var lines []int
	for _, p := range f.Problems {
		lines = append(lines, p.Line)
	}
	if fmt.Sprint(lines) != "[1 2 3 4 5 6]" {
		t.Errorf("problems %v", f.Problems)
	}
	if got := f.Needs("x"); len(got) != 0 {
		t.Errorf("owned by %v", got)
	}
	long := Parse("CODEOWNERS", []byte(strings.Repeat("a @a\n", maxRules+5)))
	if long.rules != maxRules || len(long.Problems) != 1 {
		t.Errorf("%d rules, %v", long.rules, long.Problems)
	}
	var none *File
	if none.Needs("x") != nil {
		t.Error("no file owns nothing")
	}
}

func TestNames(t *testing.T) {
	for owner, want := range map[string]string{"@Alice": "alice alice ", "@org/Web": " web ", "Bob@Example.org": "  bob@example.org", "@a/b/c": " c "} {
		a, g, e := Names(owner)
		if got := fmt.Sprint(a, " ", g, " ", e); got != want {
			t.Errorf("%s: %q, want %q", owner, got, want)
		}
	}
	if got := (Need{Owners: []string{"@a", "@b", "@c", "@d", "@e", "@f"}, Min: 2}).String(); got != "2 of @a or @b or @c or @d or 2 more" {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("a/**/b*?\\ c @x", "a/q/bcd c")
	f.Add(gitlab, "docs/x.md")
	f.Fuzz(func(t *testing.T, text, path string) {
		for _, name := range Places() {
			for _, n := range Parse(name, []byte(text)).Needs(path) {
				if len(n.Owners) == 0 || n.Min < 1 || n.Line < 1 {
					t.Errorf("%+v", n)
				}
			}
		}
	})
}
