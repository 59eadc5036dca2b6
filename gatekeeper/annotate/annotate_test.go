package annotate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/gatekeeper/plan"
)

var work = Tree{Roots: []string{"/work"}}

// parsed reads a report that has to be good.
func parsed(t *testing.T, kind, text string) []Annotation {
	t.Helper()
	var c Collector
	if err := c.Parse(kind, []byte(text), work); err != nil {
		t.Fatal(err)
	}
	return c.Findings().Kept
}

const sarif = `{"version":"2.1.0","$schema":"x","runs":[{
 "results":[
  {"ruleId":"G104","ruleIndex":1,"level":"error","message":{"text":"Errors unhandled."},"locations":[
    {"physicalLocation":{"artifactLocation":{"uri":"web/a%20b.go","uriBaseId":"%SRCROOT%"},"region":{"startLine":12,"endLine":14,"startColumn":3}}},
    {"physicalLocation":{"artifactLocation":{"uri":"second.go"},"region":{"startLine":1}}}]},
  {"ruleId":"S1/sub","message":{"markdown":"**simplify**"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"file:///work/b.go"},"region":{"startLine":3}}}]},
  {"ruleId":"S1","message":{},"kind":"review"},
  {"ruleId":"x","kind":"pass","message":{"text":"fine"}},
  {"ruleId":"x","level":"none","message":{"text":"nothing"}},
  {"ruleId":"x","baselineState":"absent","message":{"text":"mended"}},
  {"ruleId":"x","suppressions":[{"kind":"inSource"}],"message":{"text":"suppressed"}}],
 "tool":{"driver":{"name":"gosec","rules":[
  {"id":"S1","shortDescription":{"text":"simple"},"helpUri":"https://example.test/S1","defaultConfiguration":{"level":"note"}},
  {"id":"G104","helpUri":"javascript:alert(1)"}]}}
}]}`

func TestSARIF(t *testing.T) {
	want := []Annotation{
		{Path: "web/a b.go", Line: 12, EndLine: 14, Column: 3, Severity: Error, Tool: "gosec", Rule: "G104", Message: "Errors unhandled."},
		{Severity: Notice, Tool: "gosec", Rule: "S1", Message: "simple", URL: "https://example.test/S1"},
		{Path: "b.go", Line: 3, EndLine: 3, Severity: Notice, Tool: "gosec", Rule: "S1/sub", Message: "**simplify**", URL: "https://example.test/S1"},
	}
	if diff := cmp.Diff(want, parsed(t, plan.SARIF, sarif)); diff != "" {
		t.Error(diff)
	}
}

func TestCheckstyle(t *testing.T) {
	got := parsed(t, plan.Checkstyle, `<?xml version="1.0"?><checkstyle version="8"><file name="/work/src/A.java">
<error line="4" column="7" severity="warning" message="Name &lt;x&gt; must match" source="com.puppycrawl.tools.checkstyle.checks.naming.ConstantNameCheck"/>
<error line="0" severity="info" message="whole file" source="eslint.rules.no-undef"/></file>
<file name="/etc/passwd"><error line="1" severity="error" message="elsewhere"/></file><error line="1" message="in no file"/></checkstyle>`)
	want := []Annotation{
		{Severity: Error, Tool: "checkstyle", Message: "elsewhere"},
		{Path: "src/A.java", Line: 4, EndLine: 4, Column: 7, Severity: Warning, Tool: "checkstyle", Rule: "ConstantNameCheck", Message: "Name <x> must match"},
		{Path: "src/A.java", Severity: Notice, Tool: "eslint", Rule: "no-undef", Message: "whole file"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOutput(t *testing.T) {
	for _, c := range []struct {
		name, line string
		want       *Annotation
	}{
		{"error", "::error file=web/a.go,line=12,endLine=13,col=4,title=SA1019::use of x%0Ais deprecated", &Annotation{Path: "web/a.go", Line: 12, EndLine: 13, Column: 4, Severity: Error, Rule: "SA1019", Message: "use of x\nis deprecated"}},
		{"coloured", "\x1b[31m::warning file=a.go::w\x1b[0m\r", &Annotation{Path: "a.go", Severity: Warning, Message: "w"}},
		{"no place", "::notice::hello", &Annotation{Severity: Notice, Message: "hello"}},
		{"escaped", "::error file=a%2Cb.go,line=1::100%25", &Annotation{Path: "a,b.go", Line: 1, EndLine: 1, Severity: Error, Message: "100%"}},
		{"outside", "::error file=../../etc/passwd,line=1::x", &Annotation{Severity: Error, Message: "x"}},
		{"no message", "::error file=a.go,line=1::", nil},
		{"another command", "::set-env name=PATH::/evil", nil},
		{"in the middle", "he said ::error::x", nil},
		{"compiler", "web/a.go:12:3: declared and not used: x", &Annotation{Path: "web/a.go", Line: 12, EndLine: 12, Column: 3, Severity: Warning, Message: "declared and not used: x"}},
		{"vet", "vet: ./a.go:7: bad printf", &Annotation{Path: "a.go", Line: 7, EndLine: 7, Severity: Warning, Message: "bad printf"}},
		{"gcc", "/work/src/a.c:3:1: fatal error: no.h: No such file", &Annotation{Path: "src/a.c", Line: 3, EndLine: 3, Column: 1, Severity: Error, Message: "no.h: No such file"}},
		{"clang-tidy", "src/a.cc:3:1: note: consider x [readability-x]", &Annotation{Path: "src/a.cc", Line: 3, EndLine: 3, Column: 1, Severity: Notice, Rule: "readability-x", Message: "consider x"}},
		{"a time", "12:30:01: started", nil},
		{"a log line", "2026-11-23 07:00:01: started", nil},
		{"an address", "http://example.test:80: refused", nil},
		{"a header", "Content-Length:12: x", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var all Collector
			s := Scanner{Collector: &all, Tree: work, Commands: true, Lines: true}
			for _, b := range []byte("first\n" + c.line + "\nlast") { // a byte at a time, as output may come
				_, _ = s.Write([]byte{b})
			}
			s.Close()
			var want []Annotation
			if c.want != nil {
				want = []Annotation{*c.want}
			}
			if diff := cmp.Diff(want, all.Findings().Kept); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("not asked for", func(t *testing.T) {
		var all Collector
		s := Scanner{Collector: &all, Tree: work}
		_, _ = s.Write([]byte("::error::x\na.go:1: x\n"))
		if got := all.Findings().Kept; len(got) != 0 {
			t.Errorf("%v", got)
		}
	})
}

func TestPaths(t *testing.T) {
	tree := Tree{Roots: []string{"/work", "/srv/tree/"}, Modules: map[string]string{"example.test/app": "", "example.test/app/tools": "tools"}}
	for name, want := range map[string]string{
		"a.go": "a.go", "./web/../a.go": "a.go", "/work/web/a.go": "web/a.go", "/srv/tree/a.go": "a.go", "file:///work/a%20b.go": "a b.go", "file://localhost/work/a.go": "a.go",
		`web\a.go`: "web/a.go", "..": "", "../a.go": "", "/work/../etc/passwd": "", "/etc/passwd": "", "/work": "", "": "", ".": "", "a/../../b": "", "/workshop/a.go": "",
		".git/config": "", "C:/a.go": "", "https://example.test/a.go": "", "a\x00b": "", "a\nb": "", "\xff": "", strings.Repeat("a", MaxPath+1): "", "file:///work/..%2f..%2fetc/passwd": "",
	} {
		if got := tree.Path(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"example.test/app/web/a.go": "web/a.go", "example.test/app/tools/x.go": "tools/x.go", "example.test/application/x.go": "", "example.test/app/../../x.go": "", "fmt/print.go": "",
	} {
		if got := tree.inModule(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}

// Reports of whoever wants to hurt the server or its readers.
func TestHostileReports(t *testing.T) {
	for _, c := range []struct {
		name, kind, text string
		bad              string // what the error says, "" for none
	}{
		{"no JSON", plan.SARIF, "hello", "not SARIF"},
		{"cut", plan.SARIF, sarif[:len(sarif)-40], "not SARIF"},
		{"another document", plan.SARIF, `{"name":"x"}`, "not SARIF"},
		{"runs of another kind", plan.SARIF, `{"runs":{"results":[]}}`, "not SARIF"},
		{"results of another kind", plan.SARIF, `{"runs":[{"results":{"a":1}}]}`, "not SARIF"},
		{"no results", plan.SARIF, `{"runs":[{"results":null,"tool":null}]}`, ""},
		{"deep", plan.SARIF, `{"runs":[{"x":` + strings.Repeat("[", 100_000), "not SARIF"},
		{"many runs", plan.SARIF, `{"runs":[` + strings.Repeat(`{},`, 2*maxRuns) + `{}]}`, ""},
		{"many locations", plan.SARIF, `{"runs":[{"results":[{"message":{"text":"x"},"locations":[` + strings.Repeat("{},", 1_000_000) + `{}]}]}]}`, ""},
		{"escapes", plan.SARIF, `{"runs":[{"results":[` + `{"message":{"text":"\u001b]52;c;ZXZpbA==\u0007 \u001b[2J text"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.go"},"region":{"startLine":1e300}}}]}` + `]}]}`, ""},
		{"a doctype", plan.Checkstyle, `<!DOCTYPE x [<!ENTITY a "aaaa">]><checkstyle><file name="&a;"/></checkstyle>`, "document type"},
		{"another element", plan.Checkstyle, `<html/>`, "one checkstyle element"},
		{"deep elements", plan.Checkstyle, strings.Repeat("<checkstyle>", 1000), "deeper"},
		{"many attributes", plan.Checkstyle, `<checkstyle ` + strings.Repeat(`a="b" `, 10_000) + `/>`, "attributes"},
		{"too large", plan.Lines, strings.Repeat("x", MaxReport+1), "bytes"},
		{"an unknown kind", "html", "<script>", "of kind"},
		{"a line without end", plan.Lines, "a.go:1: " + strings.Repeat("x", 4*maxScanned), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var all Collector
			err := all.Parse(c.kind, []byte(c.text), work)
			if (err == nil) != (c.bad == "") || err != nil && !strings.Contains(err.Error(), c.bad) {
				t.Fatalf("error %v, want %q", err, c.bad)
			}
			harmless(t, all.Findings())
		})
	}
}

// harmless checks what every finding has to be.
func harmless(t *testing.T, f Findings) {
	t.Helper()
	if len(f.Kept) > MaxKept {
		t.Errorf("%d are kept", len(f.Kept))
	}
	for _, a := range f.Kept {
		bad := strings.ContainsAny(a.Message+a.Tool+a.Rule+a.Path, "\x1b\x07\x00\r") || len(a.Message) > MaxMessage+len("…") || a.Message == "" ||
			a.Line < 0 || a.Line > MaxLine || a.EndLine < a.Line || a.Path == "" && a.Line != 0 || strings.HasPrefix(a.Path, "/") || strings.HasPrefix(a.Path, "..") ||
			a.URL != "" && !strings.HasPrefix(a.URL, "http")
		if bad {
			t.Errorf("%+v", a)
		}
		a.Severity.rank() // panics for one that there is not
	}
}

// Of more findings than are kept, those in changed files stay, and of them the worst.
func TestFindingsAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range MaxKept {
		fmt.Fprintf(&b, "::error file=old.go,line=%d::old\n::notice file=new.go,line=%d::new\n", i+1, i+1)
	}
	b.WriteString("::error file=new.go,line=7::worst\n::error file=new.go,line=7::worst\n")
	all := Collector{Changed: map[string]bool{"new.go": true}}
	s := Scanner{Collector: &all, Tree: work, Commands: true}
	_, _ = s.Write([]byte(b.String()))
	f := all.Findings()
	if len(f.Kept) != MaxKept || f.Dropped != MaxKept+1 {
		t.Fatalf("%d kept, %d dropped", len(f.Kept), f.Dropped)
	}
	if f.Kept[0].Message != "worst" || f.Kept[1].Message != "new" || f.Kept[1].Line != 1 {
		t.Errorf("first %+v, then %+v", f.Kept[0], f.Kept[1])
	}
	flood := Collector{}
	err := flood.Parse(plan.SARIF, []byte(`{"runs":[{"results":[`+strings.Repeat(`{"message":{"text":"x"}},`, MaxFindings+10)+`{}]}]}`), work)
	if err != nil || len(flood.Findings().Kept) != 1 { // all the same
		t.Errorf("%v, %d kept", err, len(flood.Findings().Kept))
	}
}

func TestAddresses(t *testing.T) {
	for address, ok := range map[string]bool{
		"https://example.test/a?b=c#d": true, "http://example.test": true, "javascript:alert(1)": false, "JAVASCRIPT:alert(1)": false, "data:text/html,x": false, "//example.test": false,
		"https://": false, "https://bank.test@evil.test/": false, "https://example.test/\x00": false, "https://example.test/ x": false, "https://ex\u202eample.test": false, "/relative": false,
	} {
		if got := webAddress(address) != ""; got != ok {
			t.Errorf("%q: %t", address, got)
		}
	}
}

func FuzzAnnotations(f *testing.F) {
	f.Add(plan.SARIF, []byte(sarif))
	f.Add(plan.Checkstyle, []byte(`<checkstyle><file name="a"><error line="1" message="x"/></file></checkstyle>`))
	f.Add(plan.Lines, []byte("a.go:1:2: error: x [y]\n"))
	f.Add("commands", []byte("::error file=a.go,line=1::x\n::warning file=%25,::\n"))
	f.Fuzz(func(t *testing.T, kind string, text []byte) {
		var all Collector
		if kind == "commands" {
			s := Scanner{Collector: &all, Tree: work, Commands: true}
			_, _ = s.Write(text)
			s.Close()
		} else {
			_ = all.Parse(kind, text, work) // it may refuse
		}
		harmless(t, all.Findings())
	})
}
