package diff_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"gatehouse/review/diff"
)

// gitDiff is what real git says about two folders' files, as the server asks it.
func gitDiff(t testing.TB, before, after map[string]string, modes map[string]os.FileMode) []byte {
	t.Helper()
	dir := t.TempDir()
	run := func(args ...string) []byte {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@x", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@x")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("git %v: %v", args, err)
		}
		return out
	}
	write := func(files map[string]string) {
		for name, text := range files {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if target, link := strings.CutPrefix(text, "link:"); link {
				if err := os.Symlink(target, path); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	run("init", "-q")
	write(before)
	run("add", "-A")
	run("commit", "-q", "--allow-empty", "-m", "before")
	run("rm", "-rq", "--ignore-unmatch", ".")
	write(after)
	for name, mode := range modes {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	run("add", "-A")
	run("commit", "-q", "--allow-empty", "-m", "after")
	return run("diff-tree", "-r", "-p", "--histogram", "-M", "-C", "--full-index", "HEAD~", "HEAD")
}

func TestParseReadsWhatGitWrites(t *testing.T) {
	lines := func(n int) string { return strings.Repeat("the same line\n", n) }
	before := map[string]string{
		"changed.go":       "package a\n\nfunc F() {\n\told()\n}\n",
		"deleted":          "gone\n",
		"deleted-empty":    "",
		"renamed":          lines(20) + "x\n",
		"mode":             "#!/bin/sh\n",
		"binary":           "\x00\x01",
		"with space":       "a\n",
		"tab\tquote\"ö":    "a\n",
		"no-eol":           "a",
		"-- looks like it": "-- a\n++ b\n",
		"typed":            "a file\n",
	}
	after := map[string]string{
		"changed.go":       "package a\n\nfunc F() {\n\tnew()\n}\n",
		"added/file":       "1\n2\n",
		"added-empty":      "",
		"moved":            lines(20) + "y\n",
		"mode":             "#!/bin/sh\n",
		"binary":           "\x00\x02",
		"with space":       "b\n",
		"tab\tquote\"ö":    "b\n",
		"no-eol":           "b",
		"-- looks like it": "-- c\n++ d\n",
		"typed":            "link:target",
	}
	patch := gitDiff(t, before, after, map[string]os.FileMode{"mode": 0o755})
	files, err := diff.Parse(patch)
	if err != nil {
		t.Fatalf("%v in\n%s", err, patch)
	}
	type seen struct {
		Status         string
		Old, New       string
		Binary         bool
		Added, Deleted int
	}
	var got []seen
	for _, f := range files {
		got = append(got, seen{string(f.Status), f.OldPath, f.NewPath, f.Binary, f.Added, f.Deleted})
	}
	want := []seen{
		{"M", "-- looks like it", "-- looks like it", false, 2, 2},
		{"A", "added-empty", "added-empty", false, 0, 0},
		{"A", "added/file", "added/file", false, 2, 0},
		{"M", "binary", "binary", true, 0, 0},
		{"M", "changed.go", "changed.go", false, 1, 1},
		{"D", "deleted", "deleted", false, 0, 1},
		{"D", "deleted-empty", "deleted-empty", false, 0, 0},
		{"M", "mode", "mode", false, 0, 0},
		{"R", "renamed", "moved", false, 1, 1},
		{"M", "no-eol", "no-eol", false, 1, 1},
		{"M", "tab\tquote\"ö", "tab\tquote\"ö", false, 1, 1},
		{"D", "typed", "typed", false, 0, 1},
		{"A", "typed", "typed", false, 1, 0},
		{"M", "with space", "with space", false, 1, 1},
	}
	// git orders by name, and -C may call an empty file a copy or a rename of another
	byName := map[string]seen{}
	for _, s := range got {
		byName[s.Status+s.New] = s
	}
	for _, w := range want {
		g, ok := byName[w.Status+w.New]
		if w.Old == "deleted-empty" || w.Old == "added-empty" {
			continue
		}
		if !ok || g != w {
			t.Errorf("%s %s: got %+v, want %+v", w.Status, w.New, g, w)
		}
	}
	for _, f := range files {
		if f.NewPath == "mode" && (f.OldMode != "100644" || f.NewMode != "100755") {
			t.Errorf("mode: %s to %s", f.OldMode, f.NewMode)
		}
		if f.NewPath == "no-eol" && !f.Hunks[0].Lines[0].NoEOL {
			t.Error("no-eol: the missing line end was not seen")
		}
		if f.NewPath == "changed.go" {
			want := diff.Line{Kind: '+', New: 4, Text: "\tnew()"}
			if d := cmp.Diff(want, f.Hunks[0].Lines[4]); d != "" {
				t.Error(d)
			}
		}
	}
}

func TestParseEmptyFiles(t *testing.T) {
	patch := "diff --git a/gone b/gone\ndeleted file mode 100644\nindex e69de29..0000000\n" +
		"diff --git \"a/n\\303\\266\" \"b/n\\303\\266\"\nnew file mode 100644\nindex 0000000..e69de29\n"
	files, err := diff.Parse([]byte(patch))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 || files[0].Status != 'D' || files[0].Path() != "gone" || files[1].Status != 'A' || files[1].Path() != "nö" {
		t.Errorf("got %+v", files)
	}
}

func TestParseSkipsBinaryPatches(t *testing.T) {
	patch := "diff --git a/b b/b\nindex 1..2 100644\nGIT binary patch\nliteral 2\nJcmZ\n\nliteral 2\nJcmZ\n\n" +
		"diff --git a/c b/c\nold mode 100644\nnew mode 100755\n"
	files, err := diff.Parse([]byte(patch))
	if err != nil || len(files) != 2 || !files[0].Binary || files[1].Path() != "c" {
		t.Errorf("got %+v, %v", files, err)
	}
}

func TestParseRefusesWhatDoesNotAddUp(t *testing.T) {
	head := "diff --git a/f b/f\nindex 1..2 100644\n--- a/f\n+++ b/f\n"
	for name, patch := range map[string]string{
		"not a patch":          "hello\n",
		"combined diff":        "diff --cc f\n",
		"cut in a hunk":        head + "@@ -1,2 +1,2 @@\n a\n",
		"too many lines":       head + "@@ -1,1 +1,1 @@\n a\n b\n",
		"wrong mark":           head + "@@ -1,2 +1,2 @@\n a\n*b\n",
		"bad range":            head + "@@ -x,2 +1,2 @@\n a\n",
		"negative range":       head + "@@ -1,-2 +1,2 @@\n a\n",
		"huge range":           head + "@@ -1,99999999999 +1,2 @@\n a\n",
		"+++ missing":          "diff --git a/f b/f\n--- a/f\n@@ -1 +1 @@\n-a\n+b\n",
		"old side overfull":    head + "@@ -1,1 +1,2 @@\n-a\n-b\n+c\n+d\n",
		"no name":              "diff --git a/f b/g\nold mode 100644\nnew mode 100755\n",
		"open quote":           "diff --git \"a/f b/f\nold mode 100644\n",
		"bad escape":           "diff --git \"a/\\q\" \"b/\\q\"\nold mode 100644\n",
		"escape beyond a byte": "diff --git \"a/\\777\" \"b/\\777\"\nold mode 100644\n",
	} {
		if files, err := diff.Parse([]byte(patch)); err == nil {
			t.Errorf("%s was accepted: %+v", name, files)
		}
	}
}

// What git shows of random files comes back line by line: the context and the deleted lines
// are the old file's, the context and the added ones the new file's.
func TestParseKeepsEveryLine(t *testing.T) {
	if testing.Short() {
		t.Skip("runs git many times")
	}
	text := rapid.Custom(func(t *rapid.T) string {
		lines := rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "b", "\tc", "- d", "+ e", "@@ -1 +1 @@", "diff --git a/x b/x", `\ No newline`, "ü\xff"}), 0, 12).Draw(t, "lines")
		return strings.Join(lines, "\n")
	})
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		before, after := text.Draw(t, "before"), text.Draw(t, "after")
		patch := gitDiffFiles(outer, before, after)
		files, err := diff.Parse(patch)
		if err != nil {
			t.Fatalf("%v in\n%s", err, patch)
		}
		if before == after {
			if len(files) != 0 {
				t.Fatalf("equal files differ: %+v", files)
			}
			return
		}
		var old, new strings.Builder
		for _, h := range files[0].Hunks {
			for _, l := range h.Lines {
				end := "\n"
				if l.NoEOL {
					end = ""
				}
				if l.Old != 0 {
					old.WriteString(l.Text + end)
				}
				if l.New != 0 {
					new.WriteString(l.Text + end)
				}
			}
		}
		if old.String() != before || new.String() != after {
			t.Fatalf("patch\n%s\nold %q, want %q\nnew %q, want %q", patch, old.String(), before, new.String(), after)
		}
	})
}

func gitDiffFiles(t testing.TB, before, after string) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"a": before, "b": after} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("git", "diff", "--no-index", "--text", "--no-prefix", "-U99", "a", "b")
	cmd.Dir = dir
	out, err := cmd.Output()
	if exit, ok := err.(*exec.ExitError); err != nil && (!ok || exit.ExitCode() != 1) { //nolint:errorlint // Output does not wrap
		t.Fatal(err)
	}
	// --no-index names two files; the server only ever diffs two trees
	s := strings.Replace(string(out), "diff --git a b\n", "diff --git a/f b/f\n", 1)
	s = strings.Replace(s, "\n--- a\n+++ b\n", "\n--- a/f\n+++ b/f\n", 1)
	return []byte(s)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("diff --git a/f b/f\nindex 1..2 100644\n--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@ x\n a\n-b\n+c\n\\ No newline at end of file\n"))
	f.Add([]byte("diff --git \"a/\\303\" \"b/\\303\"\nrename from a\nrename to \"b\"\nBinary files a and b differ\n"))
	f.Fuzz(func(t *testing.T, patch []byte) {
		files, err := diff.Parse(patch)
		if err != nil {
			return
		}
		for _, file := range files {
			if file.Path() == "" {
				t.Errorf("a file without a name: %+v", file)
			}
			for i := range file.Hunks {
				diff.Intraline(&file.Hunks[i])
				checkRows(t, file.Hunks[i])
			}
		}
	})
}
