package syntax

import (
	"fmt"
	"go/build"
	goscanner "go/scanner"
	"go/token"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shown writes a coloured text with its classes: "k:func".
func shown(text string, lines [][]Span) string {
	var b strings.Builder
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		from := 0
		for _, s := range lines[i] {
			if s.Class == "" {
				b.WriteString(line[from:s.End])
			} else {
				fmt.Fprintf(&b, "«%s:%s»", s.Class, line[from:s.End])
			}
			from = s.End
		}
	}
	return b.String()
}

// bare takes the marks of shown out.
func bare(want string) string {
	for _, class := range []string{"c", "k", "kt", "nf", "nc", "nb", "nt", "na", "s", "m"} {
		want = strings.ReplaceAll(want, "«"+class+":", "")
	}
	return strings.ReplaceAll(want, "»", "")
}

func TestLanguages(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"a.go", "«k:func» «nf:main»(a «kt:int») { «nf:size»(x); «nb:len»(x) } «c:// x»"},
		{"a.go", "«k:var» len, r = «m:0x1F», «s:'\\''» «c:/* a\nb */»\n«s:`a\n\"`» «s:\"\\\"\"»"},
		{"a.go", "x := y.type + f.«nf:close»() + z[«m:1»:«m:2.5e-3»]"},
		{"a.c", "«k:#include» «s:<stdio.h>»\n  «k:#  define» X «m:1.0f»\n«kt:int» «nf:main»(«kt:void») { «k:return» «s:'\\0'»; }"},
		{"a.cc", "«k:auto» x = «s:R\"a(\")\" )a\"» + «m:1'000»;\n«k:class» «nc:Foo» : «k:public» Bar {};\n«k:#x» y # z"},
		{"A.java", "«na:@Override» «k:public» «kt:void» «nf:f»() { String s = «s:\"\"\"\n a\" b\"\"\"»; }"},
		{"a.kt", "«k:fun» «nf:f»() = «s:\"a ${»«nf:g»(«s:\"}\"»)«s:} b\"» «c:/* /* */ */» + x"},
		{"a.cs", "«k:class» «nc:A» { «kt:string» s = «s:@\"a\"\"\\»\n«s:b\"»; }"},
		{"a.js", "«k:const» re = «s:/[/\"]\\/'/gi», n = a / b / c, s = «s:`a ${»{x: «s:'}'»}«s:} b`»;"},
		{"a.ts", "«k:interface» «nc:A» { x?: «kt:string» } «na:@Input»() «k:function» «nf:f»() { «k:return» «s:/x/» }"},
		{"a.js", "<p>don't stop</p> «c:// it»"},
		{"a.rs", "«na:#[derive(Debug)]»\n«k:fn» «nf:f»<«na:'a»>(x: &«na:'a» «kt:str») -> «kt:char» { «nf:println!»(«s:\"{}\"», «s:r#\"a\"b\"#»); «s:'x'» }"},
		{"a.py", "«na:@app.route»(«s:'/'»)\n«k:def» «nf:f»(«nb:self»): «c:# it's»\n  «s:\"\"\"a\n  'b'\"\"\"»\n  «k:return» r«s:'\\''»"},
		{"a.sh", "«k:if» [ $# = «m:0» ]; «k:then» «c:# it's»\n  «nb:echo» «s:\"a $(»b «s:\"c\") d\"» don\\'t a#b «s:'x\ny'»"},
		{"a.sh", "cat <<-'EOF' | sort\n«s:it's\n\tEOF»\n«nb:echo» $((«m:1»<<x))"},
		{"a.sql", "«k:SELECT» a, «s:'it''s'» «k:from» t «c:-- x»\n«kt:BIGINT»"},
		{"a.json", "{«nt:\"a\"»: [«s:\"b\"», «m:-1.5e+3», «k:true»]}"},
		{"a.proto", "«k:message» «nc:A» { «k:repeated» «kt:string» b = «m:1»; }"},
	} {
		c.want = fixed(c.name, c.want)
		text := bare(c.want)
		lines, known := Colour(c.name, text)
		if got := shown(text, lines); !known || got != eachLine(c.want) {
			t.Errorf("%s: %v\n%s, want\n%s", c.name, known, got, eachLine(c.want))
		}
	}
	for _, name := range []string{"a.rb", "Makefile", "go", "a", ""} {
		if _, known := Colour(name, "x"); known {
			t.Errorf("%q is known", name)
		}
	}
	if lines, known := ColourAs("Go", "func"); !known || shown("func", lines) != "«k:func»" {
		t.Error("a fence of Go is not known")
	}
}

// fixed lets the table above be read: a sign before a number stands outside of it.
func fixed(name, want string) string {
	if name == "a.json" {
		return strings.ReplaceAll(want, "«m:-", "-«m:")
	}
	return want
}

// eachLine closes and opens the marks that go over line ends, as lines have them.
func eachLine(want string) string {
	var b strings.Builder
	open := ""
	for i := 0; i < len(want); i++ {
		switch {
		case strings.HasPrefix(want[i:], "«"):
			open = want[i : i+strings.IndexByte(want[i:], ':')+1]
		case strings.HasPrefix(want[i:], "»"):
			open = ""
		case want[i] == '\n' && open != "":
			if !strings.HasSuffix(b.String(), open) {
				b.WriteString("»")
			}
			b.WriteByte('\n')
			if i+1 < len(want) && want[i+1] != '\n' {
				b.WriteString(open)
			}
			continue
		}
		b.WriteByte(want[i])
	}
	return b.String()
}

// The comments, strings, numbers and keywords of Go's own library are those that Go's own
// scanner finds, byte for byte.
func TestGoIsWhatGoSays(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(build.Default.GOROOT, "src", "net", "*", "*.go"))
	if err != nil || len(files) == 0 {
		t.Skip("the library's source is not here")
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := classes(string(text)), wanted(text); got != want {
			i := 0
			for got[i] == want[i] {
				i++
			}
			t.Errorf("%s at byte %d: %q instead of %q in %q", name, i, got[i], want[i], text[max(0, i-40):min(len(text), i+40)])
		}
	}
}

// classes has one letter for each byte: what the scanner in here finds.
func classes(text string) string {
	out := []byte(strings.Repeat(".", len(text)))
	lines, _ := Colour("a.go", text)
	at := 0
	for i, line := range strings.Split(text, "\n") {
		from := 0
		for _, s := range lines[i] {
			letter := map[string]byte{comment: 'c', str: 's', number: 'm', keyword: 'k'}[s.Class]
			if word := line[from:s.End]; letter == 'k' && (word == "true" || word == "false" || word == "iota" || word == "nil") {
				letter = 0
			}
			for ; from < s.End; from++ {
				if letter != 0 {
					out[at+from] = letter
				}
			}
		}
		at += len(line) + 1
	}
	return string(out)
}

// wanted is the same from go/scanner.
func wanted(text []byte) string {
	out := []byte(strings.Repeat(".", len(text)))
	set := token.NewFileSet()
	file := set.AddFile("", -1, len(text))
	var s goscanner.Scanner
	s.Init(file, text, nil, goscanner.ScanComments)
	for {
		pos, kind, literal := s.Scan()
		if kind == token.EOF {
			return string(out)
		}
		letter := byte(0)
		switch {
		case kind == token.COMMENT:
			letter = 'c'
		case kind == token.STRING || kind == token.CHAR:
			letter = 's'
		case kind == token.INT || kind == token.FLOAT || kind == token.IMAG:
			letter = 'm'
		case kind.IsKeyword():
			letter = 'k'
		}
		from := file.Offset(pos)
		for i := from; letter != 0 && i < min(from+len(literal), len(text)); i++ {
			if text[i] != '\n' {
				out[i] = letter
			}
		}
	}
}

// Whatever the text: spans are in order, not empty, and end where their lines end.
func TestSpansCoverEveryLine(t *testing.T) {
	const seed = 7
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, seed))
	pieces := []string{`"`, `'`, "`", `"""`, `'''`, "${", "$(", "}", ")", "{", "(", "/*", "*/", "//", "#", "--", "\n", "\n", " ", "\t", "\\", "<<EOF", "EOF", `R"x(`, `)x"`,
		`r#"`, `"#`, "'a", "#[", "]", "@a", "/", "=", "[", "class ", "def f(", "func g(", "0x1p-", "1..2", "é", "\xff", "\r\n", "x.y", "0.", "#include <", "$@\"", ":"}
	for round := range 4_000 {
		var b strings.Builder
		for range rnd.IntN(40) {
			b.WriteString(pieces[rnd.IntN(len(pieces))])
		}
		text := b.String()
		for _, l := range languages {
			lines := l.is.colour(text)
			all := strings.Split(text, "\n")
			if len(lines) != len(all) {
				t.Fatalf("round %d, %s: %d lines of %d in %q", round, l.names, len(lines), len(all), text)
			}
			for i, line := range lines {
				at := 0
				for _, s := range line {
					if s.End <= at {
						t.Fatalf("round %d, %s: span ends at %d after %d in line %d of %q", round, l.names, s.End, at, i+1, text)
					}
					at = s.End
				}
				if at != len(all[i]) {
					t.Fatalf("round %d, %s: line %d of %q is covered up to %d", round, l.names, i+1, text, at)
				}
			}
		}
	}
}

// A text made to be slow costs no more than any other: at most some times what plain words of
// the same length cost, whichever the language.
func TestNoTextIsSlow(t *testing.T) {
	const size = 1 << 18
	for _, l := range languages {
		for _, piece := range []string{`"\`, `\"`, `'`, `"`, "/*", "/[=", "#[", "<<A\n", `R"x(`, `r#"`, "${`", "$(\"", "@", "#", " #", "'a", "0.", "1e+", "a.b(", "((", "<<"} {
			begin := time.Now()
			l.is.colour(strings.Repeat(piece, size/len(piece)))
			if took := time.Since(begin); took > 3*time.Second {
				t.Errorf("%s: %q takes %s", l.names, piece, took)
			}
		}
	}
}

func BenchmarkColour(b *testing.B) {
	text, err := os.ReadFile(filepath.Join(build.Default.GOROOT, "src", "net", "http", "server.go"))
	if err != nil {
		b.Skip(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		Colour("server.go", string(text))
	}
}
