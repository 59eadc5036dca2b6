package annotate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/gatekeeper/plan"
)

var goTree = Tree{Roots: []string{"/work"}, Modules: map[string]string{"example.test/app": "", "example.test/app/tools": "tools"}}

func coverage(t *testing.T, tree Tree, reports ...string) map[string]string {
	t.Helper()
	var p Profiles
	for i := 0; i < len(reports); i += 2 {
		if err := p.Parse(reports[i], []byte(reports[i+1]), tree); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]string{}
	for name, lines := range p.Coverage().Files {
		got[name] = lines.String()
	}
	return got
}

const profile = `mode: set
example.test/app/web/a.go:3.20,5.12 2 1
example.test/app/web/a.go:5.12,7.3 1 0
example.test/app/web/a.go:8.2,8.10 1 1
example.test/app/web/a.go:8.10,8.20 1 0
example.test/app/web/a.go:10.2,11.3 1 0
example.test/app/tools/b.go:1.1,2.2 1 0
other.test/c.go:1.1,2.2 1 1
`

func TestGoCover(t *testing.T) {
	want := map[string]string{"web/a.go": "3:5+ 6:7- 8~ 10:11-", "tools/b.go": "1:2-"}
	if diff := cmp.Diff(want, coverage(t, goTree, plan.GoCover, profile)); diff != "" {
		t.Error(diff)
	}
	// Another package's tests ran what the first left out.
	second := "mode: atomic\nexample.test/app/web/a.go:10.2,11.3 1 17\nexample.test/app/web/a.go:10.2,11.3 1 0\n"
	want["web/a.go"] = "3:5+ 6:7- 8~ 10:11+"
	if diff := cmp.Diff(want, coverage(t, goTree, plan.GoCover, profile, plan.GoCover, second)); diff != "" {
		t.Error(diff)
	}
}

func TestLCOV(t *testing.T) {
	text := "TN:x\nSF:/work/src/a.js\nDA:1,5\nDA:2,0\nDA:3,1\nBRDA:3,0,0,1\nBRDA:3,0,1,-\nBRDA:2,0,0,0\nDA:4,-1\nend_of_record\nSF:/elsewhere/b.js\nDA:1,1\nend_of_record\nSF:c.js\nDA:9,1,checksum\nend_of_record\n"
	want := map[string]string{"src/a.js": "1+ 2- 3~ 4-", "c.js": "9+"}
	if diff := cmp.Diff(want, coverage(t, work, plan.LCOV, text)); diff != "" {
		t.Error(diff)
	}
}

func TestCobertura(t *testing.T) {
	text := `<?xml version="1.0"?><!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">
<coverage><sources><source>/work/src</source></sources><packages><package><classes>
<class filename="app/a.py"><lines><line number="1" hits="2"/><line number="2" hits="0"/><line number="3" hits="1" branch="true" condition-coverage="50% (1/2)"/><line number="4" hits="1" branch="true" condition-coverage="100% (2/2)"/></lines></class>
<class filename="top.py"><lines><line number="7" hits="1"/></lines></class><class filename="../../etc/passwd"><lines><line number="1" hits="1"/></lines></class>
</classes></package></packages></coverage>`
	tree := Tree{Roots: []string{"/work"}, Exists: func(name string) bool { return name == "src/app/a.py" || name == "top.py" }}
	want := map[string]string{"src/app/a.py": "1+ 2- 3~ 4+", "top.py": "7+"}
	if diff := cmp.Diff(want, coverage(t, tree, plan.Cobertura, text)); diff != "" {
		t.Error(diff)
	}
}

// Only changed files keep their lines; all are counted.
func TestCoverageOfChangedFiles(t *testing.T) {
	p := Profiles{Changed: map[string]bool{"tools/b.go": true}}
	if err := p.Parse(plan.GoCover, []byte(profile), goTree); err != nil {
		t.Fatal(err)
	}
	c := p.Coverage()
	if len(c.Files) != 1 || c.Files["tools/b.go"].String() != "1:2-" || c.All != 10 || c.Run != 4 {
		t.Errorf("%+v", c)
	}
}

func TestHostileProfiles(t *testing.T) {
	var many strings.Builder
	many.WriteString("mode: set\n")
	for i := range 100 {
		fmt.Fprintf(&many, "example.test/app/a.go:1.%d,%d.1 1 1\n", i+1, MaxLine)
	}
	for _, c := range []struct{ name, kind, text, bad string }{
		{"empty", plan.GoCover, "", "empty"},
		{"no mode", plan.GoCover, "example.test/app/a.go:1.1,2.2 1 1\n", "begin with its mode"},
		{"cut", plan.GoCover, profile[:40], "cut"},
		{"backwards", plan.GoCover, "mode: set\na.go:9.1,2.2 1 1\n", "cut"},
		{"negative", plan.GoCover, "mode: set\na.go:-1.1,2.2 1 1\n", "cut"},
		{"more lines than files have", plan.GoCover, many.String(), "marks more"},
		{"no tracefile", plan.LCOV, "hello\n", "no file"},
		{"a line of nonsense", plan.LCOV, "SF:a.js\nDA:99999999999,1\nDA:x,y\nDA:\n", ""},
		{"no XML", plan.Cobertura, "{}", ""},
		{"another element", plan.Cobertura, "<html/>", "one coverage element"},
		{"entities", plan.Cobertura, `<!DOCTYPE coverage [<!ENTITY a "a">]><coverage/>`, "document type"},
		{"an unknown kind", "jacoco", "", "of kind"},
		{"too large", plan.LCOV, strings.Repeat("x", MaxProfile+1), "bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p Profiles
			err := p.Parse(c.kind, []byte(c.text), goTree)
			if (err == nil) != (c.bad == "") || err != nil && !strings.Contains(err.Error(), c.bad) {
				t.Fatalf("error %v, want %q", err, c.bad)
			}
		})
	}
}

func TestLinesText(t *testing.T) {
	for _, text := range []string{"", "1+", "1:3+ 4- 6:7~ 8+"} {
		lines, err := ParseLines(text)
		if err != nil || lines.String() != text {
			t.Errorf("%q: %v, %q", text, err, lines)
		}
	}
	for _, text := range []string{"+", "1", "1:+", "3:1+", "0+", "x+", "1:99999999+", "1:200000+ 1:200000- 2:200000~", "1?"} {
		if lines, err := ParseLines(text); err == nil && len(lines) > MaxLine {
			t.Errorf("%q: %d lines", text, len(lines))
		} else if err == nil && !strings.HasPrefix(text, "1:200000") {
			t.Errorf("%q is read", text)
		}
	}
}

func FuzzCoverage(f *testing.F) {
	f.Add(plan.GoCover, []byte(profile))
	f.Add(plan.LCOV, []byte("SF:a.js\nDA:1,5\nBRDA:1,0,0,-\nend_of_record\n"))
	f.Add(plan.Cobertura, []byte(`<coverage><class filename="a"><line number="1" hits="1"/></class></coverage>`))
	f.Fuzz(func(t *testing.T, kind string, text []byte) {
		var p Profiles
		_ = p.Parse(kind, text, goTree) // it may refuse
		for name, lines := range p.Coverage().Files {
			if goTree.Path(name) != name {
				t.Errorf("path %q", name)
			}
			back, err := ParseLines(lines.String())
			if err != nil || len(back) != len(lines) {
				t.Errorf("%v: %d lines, then %d", err, len(lines), len(back))
			}
		}
	})
}
