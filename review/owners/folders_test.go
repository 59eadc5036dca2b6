package owners

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func texts(pairs ...string) map[string][]byte {
	all := map[string][]byte{}
	for i := 0; i+1 < len(pairs); i += 2 {
		all[pairs[i]] = []byte(pairs[i+1])
	}
	return all
}

func TestFolders(t *testing.T) {
	f := Folders(texts(
		"OWNERS", "# all\nroot@example.org\nper-file go.mod,go.sum=@deps # who looks after versions\nper-file SECRET=set noparent\nper-file SECRET=@keeper\n",
		"web/OWNERS", "@web\n@alice # the first\n",
		"web/api/OWNERS", "set noparent\n@api\nfile:../style/LEADS\n",
		"web/style/OWNERS", "include /shared/OWNERS\nper-file *.css=file:LEADS\n",
		"web/style/LEADS", "@lead\nper-file x=@never\nset noparent\n",
		"shared/OWNERS", "@shared\nset noparent\nper-file *.svg=@artist\n",
		"open/OWNERS", "*\n",
	))
	for path, want := range map[string]string{
		"README":             "root@example.org",
		"go.mod":             "@deps root@example.org",
		"docs/go.mod":        "root@example.org",
		"SECRET":             "@keeper",
		"web/a.js":           "@web @alice root@example.org",
		"web/deep/down/a.js": "@web @alice root@example.org",
		"web/api/x.go":       "@api @lead",
		"web/style/x.css":    "@lead @shared",
		"web/style/x.svg":    "@artist @shared",
		"web/style/x.txt":    "@shared",
		"shared/x.svg":       "@artist @shared",
		"open/x":             "",
		"open/far/down/x":    "",
	} {
		if got := show(f.Needs(path)); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if n := f.Needs("web/api/x.go")[0]; n.File != "web/api/OWNERS" || n.Line != 2 {
		t.Errorf("the rule is at %s:%d", n.File, n.Line)
	}
	if len(f.Problems) != 0 {
		t.Errorf("problems %v", f.Problems)
	}
	if Folders(nil) != nil {
		t.Error("no file is a file")
	}
}

// What cannot be understood owns nothing, is named with its file, and ends nowhere.
func TestFoldersProblems(t *testing.T) {
	f := Folders(texts(
		"OWNERS", "alice\ninclude other/OWNERS\ninclude gone\nper-file a/b=@x\nper-file [=@x\n@a @b\nfile:project:path\n",
		"other/OWNERS", "include ../OWNERS\n@loop\n",
		"long/OWNERS", strings.Repeat("@x\n", maxFolderLines+5),
	))
	var got []string
	for _, p := range f.Problems {
		got = append(got, fmt.Sprintf("%s@%d", p.Text, p.Line))
	}
	for _, want := range []string{"OWNERS: an owner is", "other/OWNERS: ../OWNERS takes itself in|other/OWNERS: it takes itself in", "OWNERS: gone is not there", "a name of per-file", "an owner is alone", "project:path is not there", "lines that are read"} {
		if !slices.ContainsFunc(got, func(s string) bool {
			return slices.ContainsFunc(strings.Split(want, "|"), func(w string) bool { return strings.Contains(s, w) })
		}) {
			t.Errorf("no problem says %q: %q", want, got)
		}
	}
	if got := show(f.Needs("x")); got != "@loop" {
		t.Errorf("owners %q", got)
	}
}

func TestIncluded(t *testing.T) {
	all := texts("OWNERS", "include a/X\nper-file *=file:/b\nfile:OWNERS\n", "d/OWNERS", "file:../c\ninclude ../../../etc/passwd\n#include no\n")
	if got := Included(all); !slices.Equal(got, []string{"a/X", "b", "c", "etc/passwd"}) {
		t.Errorf("%q", got)
	}
	all["a/X"] = nil
	if got := Included(all); slices.Contains(got, "a/X") {
		t.Error("asked again for what is not there")
	}
}

func FuzzFolders(f *testing.F) {
	f.Add("set noparent\ninclude X\nper-file a=b", "file:OWNERS", "a/b")
	f.Fuzz(func(t *testing.T, top, other, path string) {
		file := Folders(texts("OWNERS", top, "a/OWNERS", other, "X", top))
		for _, n := range file.Needs(path) {
			if len(n.Owners) == 0 || n.Min != 1 {
				t.Errorf("%+v", n)
			}
		}
	})
}
