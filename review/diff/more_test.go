package diff_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/review/diff"
)

// seeds are those of a property test: GATE_SEED alone when it is set, else the first n.
func seeds(t *testing.T, n int) []uint64 {
	t.Helper()
	if text := os.Getenv("GATE_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return []uint64{seed}
	}
	all := make([]uint64, n)
	for i := range all {
		all[i] = uint64(i + 1)
	}
	t.Logf("seeds 1 to %d; GATE_SEED=N repeats one", n)
	return all
}

// apply applies hunks to the old lines; an error says which line does not fit.
func apply(old []string, hunks []diff.Hunk) ([]string, error) {
	var out []string
	at := 1
	for _, h := range hunks {
		first := h.OldStart
		if h.OldLines == 0 {
			first++
		}
		for ; at < first; at++ {
			if at > len(old) {
				return nil, fmt.Errorf("hunk at old line %d of %d", h.OldStart, len(old))
			}
			out = append(out, old[at-1])
		}
		olds, news := 0, 0
		for _, l := range h.Lines {
			if l.Kind != '+' {
				if olds++; l.Old != at || at > len(old) || old[at-1] != l.Text {
					return nil, fmt.Errorf("old line %d: %+v does not fit", at, l)
				}
				at++
			}
			if l.Kind != '-' {
				if news++; l.New != len(out)+1 {
					return nil, fmt.Errorf("new line %d is said to be %d", len(out)+1, l.New)
				}
				out = append(out, l.Text)
			}
		}
		if olds != h.OldLines || news != h.NewLines {
			return nil, fmt.Errorf("hunk %+v counts wrongly", h)
		}
	}
	for ; at <= len(old); at++ {
		out = append(out, old[at-1])
	}
	return out, nil
}

// randomText has some lines many times, as code has, or each once.
func randomText(r *rand.Rand, n int, unique bool) []string {
	common := []string{"", "}", "\treturn nil", "\tif err != nil {", "\t\treturn err", "// ---"}
	lines := make([]string, n)
	for i := range lines {
		if lines[i] = fmt.Sprintf("line %d of %d words", r.Uint32(), i); !unique && r.IntN(2) == 0 {
			lines[i] = common[r.IntN(len(common))]
		}
	}
	return lines
}

// edit changes a text in a few places: it takes lines out, puts some in, and moves a run now and then.
func edit(r *rand.Rand, lines []string, unique, moves bool) []string {
	out := slices.Clone(lines)
	for range 1 + r.IntN(4) {
		at, n := r.IntN(len(out)+1), r.IntN(4)
		end := min(len(out), at+n)
		taken := slices.Clone(out[at:end])
		switch r.IntN(3) {
		case 0:
			out = slices.Delete(out, at, end)
		case 1:
			out = slices.Insert(out, at, randomText(r, 1+r.IntN(4), unique)...)
		default:
			out = slices.Replace(out, at, end, randomText(r, n, unique)...)
			if moves && len(out) > 0 {
				out = slices.Insert(out, r.IntN(len(out)), taken...)
			}
		}
	}
	return out
}

func join(lines []string, end bool) string {
	text := strings.Join(lines, "\n")
	if end && len(lines) > 0 {
		text += "\n"
	}
	return text
}

// The difference applied to the old side gives the new side, always: as git wrote it, with
// its marks, with the moved lines marked, and with more of the file shown around it.
func TestDiffAppliedToTheOldSideGivesTheNewSide(t *testing.T) {
	const each = 250
	for _, seed := range seeds(t, 10) {
		r := rand.New(rand.NewPCG(seed, 1))
		before, after := map[string]string{}, map[string]string{}
		olds, news := map[string][]string{}, map[string][]string{}
		for i := range each {
			name := fmt.Sprintf("f%03d", i)
			unique := r.IntN(3) == 0
			olds[name] = randomText(r, r.IntN(60), unique)
			news[name] = edit(r, olds[name], unique, true)
			before[name], after[name] = join(olds[name], r.IntN(8) > 0), join(news[name], r.IntN(8) > 0)
			olds[name], news[name] = diff.SplitLines(before[name]), diff.SplitLines(after[name])
		}
		files, err := diff.Parse(gitDiff(t, before, after, nil))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		diff.Moves(files)
		for _, f := range files {
			if f.OldPath != f.NewPath { // git found a copy or a rename
				continue
			}
			old, want := olds[f.Path()], news[f.Path()]
			for i := range f.Hunks {
				diff.Intraline(&f.Hunks[i])
				checkRows(t, f.Hunks[i])
			}
			ranges := []diff.Range{{From: r.IntN(50), To: r.IntN(70)}, {From: 1 + r.IntN(50), To: 50}, {From: -3, To: 2}}
			for what, hunks := range map[string][]diff.Hunk{
				"as it is": f.Hunks, "expanded": diff.Expand(f.Hunks, want, ranges), "whole": diff.Expand(f.Hunks, want, []diff.Range{{From: 1, To: len(want)}}),
				"our own": diff.Texts(before[f.Path()], after[f.Path()], r.IntN(5)),
			} {
				got, err := apply(old, hunks)
				if err != nil || !slices.Equal(got, want) {
					t.Fatalf("seed %d, %s, %s: %v\n%s", seed, f.Path(), what, err, cmp.Diff(want, got))
				}
				if what == "whole" && len(want) > 0 && len(hunks) != 1 {
					t.Fatalf("seed %d, %s: the whole file is %d hunks", seed, f.Path(), len(hunks))
				}
			}
			for i, g := range diff.Gaps(f.Hunks, len(want)) {
				for n := g.From; n <= g.To; n++ {
					if old[n+g.Shift-1] != want[n-1] {
						t.Fatalf("seed %d, %s: gap %d, line %d is not the same on both sides", seed, f.Path(), i, n)
					}
				}
			}
		}
	}
}

// A patch set that was only moved onto another parent differs from the one before in nothing
// of the author's; and a line that the author did write is never called the rebase's.
func TestRebaseNoiseIsFound(t *testing.T) {
	for _, seed := range seeds(t, 3000) {
		r := rand.New(rand.NewPCG(seed, 2))
		parent := randomText(r, 30, true)
		landed := slices.Clone(parent) // others change the first half, the author the second
		landed = append(edit(r, landed[:14], true, false), landed[14:]...)
		mine := append(slices.Clone(parent[:16]), edit(r, parent[16:], true, false)...)
		again := append(slices.Clone(landed[:len(landed)-len(parent)+16]), mine[16:]...)
		text := func(a, b []string) []diff.Hunk { return diff.Texts(join(a, true), join(b, true), 3) }
		between := text(mine, again)
		diff.Rebased(between, text(parent, landed), text(parent, mine), text(landed, again))
		for _, h := range between {
			if !h.Noise() {
				t.Fatalf("seed %d: a rebase shows as the author's work: %+v", seed, h)
			}
		}
		later := edit(r, again, true, false)
		between = text(mine, later)
		diff.Rebased(between, text(parent, landed), text(parent, mine), text(landed, later))
		for _, h := range between {
			for _, l := range h.Lines {
				if l.Kind == '+' && l.Rebased && !slices.Contains(landed, l.Text) {
					t.Fatalf("seed %d: %q is the author's, and is called the rebase's", seed, l.Text)
				}
			}
		}
	}
}

func TestMoves(t *testing.T) {
	block := []string{"func helper(a int) int {", "\tresult := a * 2", "\treturn result", "}"}
	lines := func(mark string, text ...string) (all []string) {
		for _, l := range text {
			all = append(all, mark+l)
		}
		return all
	}
	indented := make([]string, len(block))
	for i := range block {
		indented[i] = "\t" + block[i]
	}
	for _, test := range []struct {
		name      string
		old, new  []string
		wantMoved int
	}{
		{"to another file", block, block, 4},
		{"indented anew", block, indented, 4},
		{"too little", []string{"}", "return"}, []string{"}", "return"}, 0},
		{"something else", block, []string{"an entirely different line of code"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := []diff.File{
				{OldPath: "a", NewPath: "a", Hunks: []diff.Hunk{hunk(append([]string{" top"}, lines("-", test.old...)...)...)}},
				{OldPath: "b", NewPath: "b", Hunks: []diff.Hunk{hunk(append([]string{" top"}, lines("+", test.new...)...)...)}},
			}
			diff.Moves(files)
			moved := 0
			for i, l := range files[1].Hunks[0].Lines {
				if l.Moved != (diff.Place{}) {
					moved++
					if want := (diff.Place{Path: "a", Line: l.New}); l.Moved != want {
						t.Errorf("line %d came from %v, want %v", i, l.Moved, want)
					}
					if back := files[0].Hunks[0].Lines[i].Moved; back != (diff.Place{Path: "b", Line: l.New}) {
						t.Errorf("line %d went to %v", i, back)
					}
				}
			}
			if moved != test.wantMoved {
				t.Errorf("%d lines moved, want %d", moved, test.wantMoved)
			}
		})
	}
	edited := []diff.File{{OldPath: "a", NewPath: "a", Hunks: []diff.Hunk{hunk(slices.Concat(lines("-", block...), lines("+", indented...))...)}}}
	diff.Moves(edited)
	for _, l := range edited[0].Hunks[0].Lines {
		if l.Moved != (diff.Place{}) {
			t.Error("a block that was indented in its place is called moved")
		}
	}
}

func TestMovesIsBounded(t *testing.T) {
	var dels, adds []string
	for i := range 60_000 {
		dels = append(dels, "-the same long line of code again and again", fmt.Sprintf("-%d", i))
		adds = append(adds, "+the same long line of code again and again", fmt.Sprintf("+%d", i+1))
	}
	diff.Moves([]diff.File{{OldPath: "a", NewPath: "a", Hunks: []diff.Hunk{hunk(append(dels, " between")...), hunk(adds...)}}})
}

func TestGenerated(t *testing.T) {
	for text, want := range map[string]string{
		"// Code generated by protoc-gen-go. DO NOT EDIT.\n\npackage x\n":           "Code generated by protoc-gen-go. DO NOT EDIT",
		"# Copyright\n# Code generated by x DO NOT EDIT\n":                          "Code generated by x DO NOT EDIT",
		"/**\n * @generated SignedSource<<x>>\n */\n":                               "@generated",
		"<!-- Code generated by x; DO NOT EDIT -->\n":                               "Code generated by x; DO NOT EDIT",
		"package x\n\nvar s = `\nhow we say that Code generated is: DO NOT EDIT`\n": "",
		"x@generated.example\n":                                                     "", "": "", "// do not edit\n": "",
		strings.Repeat("\n", 40) + "// Code generated by x. DO NOT EDIT.": "",
	} {
		if got := diff.GeneratedNotice(text); got != want {
			t.Errorf("%.40q: %q, want %q", text, got, want)
		}
	}
	for name, want := range map[string]bool{"go.sum": true, "a/yarn.lock": true, "x.min.js": true, "api/x.pb.go": true, "vendor/a/b.go": true, "a/node_modules/x.js": true, "main.go": false, "vendored.go": false, "a/vendor.go": false} {
		if got := diff.GeneratedName(name) != ""; got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAttributes(t *testing.T) {
	a := diff.ParseAttributes("# a comment\n*.gen.go linguist-generated\n/api/** linguist-generated=true\n/api/hand.go -linguist-generated\n" +
		"third/*/x.c text linguist-vendored\n\"odd name\" linguist-generated\n[attr]x linguist-generated\n!*.go linguist-generated\n*.c -diff binary\nbad[ linguist-generated\nfold/ linguist-generated\na/**/z linguist-generated\n")
	for name, want := range map[string]string{
		"x.gen.go": "generated", "deep/in/x.gen.go": "generated", "api/x/y.json": "generated", "not/api/x": "", "api/hand.go": "",
		"third/a/x.c": "code of others", "third/a/b/x.c": "", "odd name": "generated", "main.go": "", "x.c": "", "fold/x": "", "a/z": "generated", "a/b/c/z": "generated", "a/bz": "",
	} {
		got, _ := a.Why(name)
		if cut, _, _ := strings.Cut(got, ","); cut != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if _, said := a.Why("api/hand.go"); !said {
		t.Error("taking back is not told from saying nothing")
	}
	deep := strings.Repeat("a/", 2000) + "a"
	diff.ParseAttributes(strings.Repeat(strings.Repeat("**/", 30)+"b linguist-generated\n", 50)).Why(deep) // hostile, and bounded
}
