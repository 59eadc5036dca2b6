package diff_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"gatehouse/review/diff"
)

// hunk builds a hunk from lines with their marks in front.
func hunk(lines ...string) diff.Hunk {
	h := diff.Hunk{OldStart: 1, NewStart: 1}
	for _, text := range lines {
		l := diff.Line{Kind: text[0], Text: text[1:]}
		if l.Kind != '+' {
			h.OldLines++
			l.Old = h.OldLines
		}
		if l.Kind != '-' {
			h.NewLines++
			l.New = h.NewLines
		}
		h.Lines = append(h.Lines, l)
	}
	return h
}

// marked shows a line with its marks in brackets.
func marked(l diff.Line) string {
	var b strings.Builder
	at := 0
	for _, m := range l.Marks {
		b.WriteString(l.Text[at:m.Start] + "[" + l.Text[m.Start:m.End] + "]")
		at = m.End
	}
	return b.String() + l.Text[at:]
}

func TestIntraline(t *testing.T) {
	for _, test := range []struct {
		name  string
		lines []string
		want  []string
	}{
		{"one word", []string{"-return a + b", "+return a - b"}, []string{"return a [+] b", "return a [-] b"}},
		{"added words", []string{"-f(a)", "+f(a, b)"}, []string{"f(a)", "f(a[, b])"}},
		{"nothing in common", []string{"-alpha beta", "+one two three"}, []string{"alpha beta", "one two three"}},
		{"indentation", []string{"-\treturn x", "+\t\treturn x"}, []string{"[\t]return x", "[\t\t]return x"}},
		{"runs over spaces", []string{"-the old way of life is good", "+the new path of life is good"}, []string{"the [old way] of life is good", "the [new path] of life is good"}},
		{"whole runes", []string{"-var größe = 1", "+var grüße = 1"}, []string{"var [größe] = 1", "var [grüße] = 1"}},
		{"finds the partner", []string{"-x := compute(a)", "+// explained at length", "+x := compute(a, b)"},
			[]string{"x := compute(a)", "// explained at length", "x := compute(a[, b])"}},
		{"only deleted", []string{"-gone"}, []string{"gone"}},
		{"context between", []string{"-a = 1", " same", "+a = 2"}, []string{"a = 1", "same", "a = 2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := hunk(test.lines...)
			diff.Intraline(&h)
			var got []string
			for _, l := range h.Lines {
				got = append(got, marked(l))
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRowsPutPartnersBesideEachOther(t *testing.T) {
	h := hunk(" top", "-x := compute(a)", "-old thing", "+// explained at length", "+x := compute(a, b)", "+entirely other words", " end")
	var got []string
	for _, r := range diff.Rows(h) {
		text := func(l *diff.Line) string {
			if l == nil {
				return ""
			}
			return l.Text
		}
		got = append(got, text(r.Left)+" | "+text(r.Right))
	}
	want := []string{
		"top | top", " | // explained at length", "x := compute(a) | x := compute(a, b)",
		"old thing | entirely other words", "end | end",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// checkRows asserts that the columns are the two files: nothing lost, doubled or reordered,
// and that marks lie on whole characters in order.
func checkRows(t interface{ Fatalf(string, ...any) }, h diff.Hunk) {
	var left, right []*diff.Line
	for _, r := range diff.Rows(h) {
		if r.Left != nil {
			left = append(left, r.Left)
		}
		if r.Right != nil {
			right = append(right, r.Right)
		}
	}
	for i := range h.Lines {
		l := &h.Lines[i]
		if l.Kind != '+' {
			if len(left) == 0 || left[0] != l {
				t.Fatalf("left column lost line %d of %+v", i, h)
			}
			left = left[1:]
		}
		if l.Kind != '-' {
			if len(right) == 0 || right[0] != l {
				t.Fatalf("right column lost line %d of %+v", i, h)
			}
			right = right[1:]
		}
		at := 0
		for _, m := range l.Marks {
			if m.Start < at || m.End <= m.Start || m.End > len(l.Text) {
				t.Fatalf("marks %v of %q", l.Marks, l.Text)
			}
			if utf8.ValidString(l.Text) && !utf8.ValidString(l.Text[m.Start:m.End]) {
				t.Fatalf("mark %v cuts a character of %q", m, l.Text)
			}
			at = m.End
		}
	}
	if len(left)+len(right) > 0 {
		t.Fatalf("rows invented lines: %d left, %d right", len(left), len(right))
	}
}

func TestRowsAndMarksKeepTheText(t *testing.T) {
	line := rapid.Custom(func(t *rapid.T) string {
		kind := rapid.SampledFrom([]string{" ", "-", "+"}).Draw(t, "kind")
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "bc", " ", "\t", "(", ")", "ö", "世", "\xff"}), 0, 8).Draw(t, "words")
		return kind + strings.Join(words, "")
	})
	rapid.Check(t, func(t *rapid.T) {
		h := hunk(rapid.SliceOfN(line, 1, 20).Draw(t, "lines")...)
		diff.Intraline(&h)
		checkRows(t, h)
	})
}

// A block far beyond the work limit is still laid out, by position and without marks.
func TestIntralineIsBounded(t *testing.T) {
	var lines []string
	for range 3000 {
		lines = append(lines, "-"+strings.Repeat("a b ", 20))
	}
	for range 3000 {
		lines = append(lines, "+"+strings.Repeat("c d ", 20))
	}
	h := hunk(lines...)
	diff.Intraline(&h)
	if rows := diff.Rows(h); len(rows) != 3000 {
		t.Errorf("%d rows, want 3000", len(rows))
	}
	long := hunk("-"+strings.Repeat("a ", 5000), "+"+strings.Repeat("b ", 5000))
	diff.Intraline(&long)
	checkRows(t, long)
}

// Rows finds the pairs that Intraline noted, and the same ones when it was never asked.
func TestRowsAreTheSameAfterIntraline(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var lines []string
		for range rapid.IntRange(0, 30).Draw(t, "lines") {
			kind := rapid.SampledFrom([]string{" ", "-", "-", "+", "+"}).Draw(t, "kind")
			lines = append(lines, kind+strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "bb", "(", "ccc", " "}), 0, 5).Draw(t, "words"), " "))
		}
		h := hunk(lines...)
		before := shape(h)
		diff.Intraline(&h)
		if d := cmp.Diff(before, shape(h)); d != "" {
			t.Fatal(d)
		}
	})
}

// shape is the rows of a hunk by the numbers of their lines.
func shape(h diff.Hunk) (all [][2]int) {
	for _, r := range diff.Rows(h) {
		var row [2]int
		if r.Left != nil {
			row[0] = r.Left.Old
		}
		if r.Right != nil {
			row[1] = r.Right.New
		}
		all = append(all, row)
	}
	return all
}
