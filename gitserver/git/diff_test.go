package git

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"gatehouse/gitserver/fault"
)

// numbered is a text of n lines.
func numbered(n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("line %d", i))
	}
	return list
}

func joined(list []string) string { return strings.Join(list, "\n") + "\n" }

// The digest stays the same when the change moves with its surroundings, and differs with
// anything that a reviewer would want to see again.
func TestDiffDigest(t *testing.T) {
	r, w := newRepo(t), newWork(t)
	ctx := t.Context()
	text := numbered(60)
	base := w.commit("base", map[string]string{"f": joined(text), "bin": "\x00one", "x.sh": "echo\n"})
	on := func(parent OID, edit func()) (OID, OID) {
		w.git("checkout", "-q", "--detach", string(parent))
		edit()
		return parent, w.commit("change", nil)
	}
	put := func(name, text string) func() { return func() { w.write(map[string]string{name: text}) } }
	edited := func(at int, line string) string {
		c := slices.Clone(text)
		c[at] = line
		return joined(c)
	}
	p1, plain := on(base, put("f", edited(50, "changed")))
	w.git("checkout", "-q", "--detach", string(base))
	shifted := append([]string{"new", "lines"}, text...)
	moved := w.commit("shift", map[string]string{"f": joined(shifted), "other": "y\n"})
	shifted[52] = "changed"
	p2, rebased := on(moved, put("f", joined(shifted)))
	cases := map[string]func(){
		"another line":     put("f", edited(50, "changed!")),
		"only a space":     put("f", edited(50, "changed ")),
		"another place":    put("f", edited(40, "changed")),
		"another file":     put("g", edited(50, "changed")),
		"no line end":      put("f", strings.TrimSuffix(edited(50, "changed"), "\n")),
		"binary":           put("bin", "\x00two"),
		"another binary":   put("bin", "\x00three"),
		"mode":             func() { must(t, os.Chmod(w.dir+"/x.sh", 0o755)) },
		"empty file":       put("empty", ""),
		"other empty file": put("empty2", ""),
		"rename":           func() { w.git("mv", "f", "f2") },
		"deletion":         func() { w.git("rm", "-q", "f") },
		"nothing":          func() {},
	}
	pairs := map[string][2]OID{"plain": {p1, plain}, "rebased": {p2, rebased}}
	for name, edit := range cases {
		from, to := on(base, edit)
		pairs[name] = [2]OID{from, to}
	}
	var tips []OID
	for _, p := range pairs {
		tips = append(tips, p[1])
	}
	must(t, send(t, r, w, tips))
	seen := map[string]string{}
	for name, p := range pairs {
		d, err := r.DiffDigest(ctx, p[0], p[1])
		must(t, err)
		if name == "rebased" {
			continue
		}
		if other, ok := seen[d]; ok {
			t.Errorf("%s and %s have the same digest", name, other)
		}
		seen[d] = name
	}
	d, err := r.DiffDigest(ctx, p2, rebased)
	if err != nil || seen[d] != "plain" {
		t.Errorf("the rebased change has the digest of %q, %v", seen[d], err)
	}
}

// Attributes in the tree do not hide a change from review, and no program is run.
func TestDiffIgnoresAttributes(t *testing.T) {
	r, w, base := seeded(t, map[string]string{".gitattributes": "* -diff\n*.c diff=evil linguist-generated\n", "a.c": "1\n"})
	tip := w.commit("next", map[string]string{"a.c": "2\n"})
	must(t, send(t, r, w, []OID{tip}, base))
	must(t, r.UpdateRefs(t.Context(), []RefUpdate{{"refs/heads/main", base, tip}}, ""))
	patch, err := r.DiffPatch(t.Context(), base, tip, DiffOptions{})
	if err != nil || !bytes.Contains(patch, []byte("\n-1\n+2\n")) {
		t.Errorf("%s %v", patch, err)
	}
	files, err := r.ChangedFiles(t.Context(), base, tip)
	if err != nil || len(files) != 1 || files[0].Binary || files[0].Added != 1 {
		t.Errorf("%+v %v", files, err)
	}
}

func TestDiffPatchOptions(t *testing.T) {
	r, w := newRepo(t), newWork(t)
	ctx := t.Context()
	text := numbered(30)
	base := w.commit("base", map[string]string{"f": joined(text), "g*": "a b\n", "gx": "1\n"})
	text[10] += "  "
	tip := w.commit("tip", map[string]string{"f": joined(text), "g*": "a  b\n", "gx": "2\n"})
	must(t, send(t, r, w, []OID{tip}))
	get := func(o DiffOptions) string {
		t.Helper()
		p, err := r.DiffPatch(ctx, base, tip, o)
		must(t, err)
		return string(p)
	}
	if p := get(DiffOptions{Paths: []string{"g*"}}); !strings.Contains(p, "a/g*") || strings.Contains(p, "gx") {
		t.Errorf("a path is taken for a pattern: %s", p)
	}
	if p := get(DiffOptions{Paths: []string{"f"}, Context: -1}); strings.Count(p, "\n ") != 0 {
		t.Errorf("without context: %s", p)
	}
	if p := get(DiffOptions{Paths: []string{"f"}, Context: 1 << 30}); strings.Count(p, "\n ") != 29 {
		t.Errorf("whole file: %s", p)
	}
	if p := get(DiffOptions{Paths: []string{"f"}, IgnoreSpace: "eol"}); p != "" {
		t.Errorf("space at the end of lines: %s", p)
	}
	if p := get(DiffOptions{Paths: []string{"g*"}, IgnoreSpace: "change"}); p != "" {
		t.Errorf("amount of space: %s", p)
	}
	_, err := r.DiffPatch(ctx, base, tip, DiffOptions{MaxBytes: 100})
	wantKind(t, err, fault.TooLarge)
	_, err = r.DiffPatch(ctx, base, tip, DiffOptions{IgnoreSpace: "--output=/tmp/x"})
	wantKind(t, err, fault.Invalid)
	_, err = r.DiffPatch(ctx, base, tip, DiffOptions{Paths: []string{"../x"}})
	wantKind(t, err, fault.Invalid)
	_, err = r.DiffPatch(ctx, base, "--output=/tmp/x", DiffOptions{})
	wantKind(t, err, fault.Invalid)
	_, err = r.DiffPatch(ctx, base, OID(strings.Repeat("7", 40)), DiffOptions{})
	wantKind(t, err, fault.NotFound)
}

func TestChangedFiles(t *testing.T) {
	r, w := newRepo(t), newWork(t)
	odd := "odd\t\"name\"\n"
	base := w.commit("base", map[string]string{odd: "1\n", "old": joined(numbered(20)), "gone": "quite\nanother\n", "bin": "\x00", "file": "x"})
	w.git("mv", "old", "new name")
	w.git("rm", "-q", "gone", "file")
	must(t, os.Symlink("new name", w.dir+"/file"))
	tip := w.commit("tip", map[string]string{odd: "2\n3\n", "added": "1\n", "bin": "\x00\x01"})
	plant(t, r, w, tip)
	files, err := r.ChangedFiles(t.Context(), base, tip)
	must(t, err)
	type row struct {
		status          byte
		path, old, mode string
		added, deleted  int
		binary          bool
	}
	var got []row
	for _, f := range files {
		got = append(got, row{f.Status, f.Path, f.OldPath, f.NewMode, f.Added, f.Deleted, f.Binary})
	}
	want := []row{{'A', "added", "added", "100644", 1, 0, false}, {'M', "bin", "bin", "100644", 0, 0, true}, {'T', "file", "file", "120000", 1, 1, false},
		{'D', "gone", "gone", "000000", 0, 2, false}, {'R', "new name", "old", "100644", 0, 0, false}, {'M', odd, odd, "100644", 2, 1, false}}
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
