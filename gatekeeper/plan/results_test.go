package plan

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// counted is the result in one line, with the failures.
func counted(t Tests) string {
	text := t.Counts()
	for _, c := range failures(t) {
		text += fmt.Sprintf("; %s %s", c.Package, c.Name)
	}
	return text
}

// The files in testdata/gotest are what go 1.26 wrote.
func TestGoTest(t *testing.T) {
	const m = "example.test/m/"
	for _, c := range []struct{ file, want, output string }{
		{"ok", "2 passed, 0 failed, 1 skipped", ""},
		{"twice", "2 passed, 0 failed, 1 skipped", ""},
		{"bad", "1 passed, 1 failed; " + m + "bad TestAdd", "1+1 = 3"},
		{"broken", "0 passed, 2 failed; " + m + "broken (package); " + m + "dep (package)", "undefined: undefined"},
		{"panics", "1 passed, 1 failed; " + m + "panics TestBoom", "panic: boom"},
		{"slow", "0 passed, 1 failed; " + m + "slow TestStuck", "it did not finish"},
		{"exit", "0 passed, 1 failed; " + m + "vetbad (package)", "exit status 3"},
		{"nothere", "0 passed, 1 failed; ./nothere (package)", "directory not found"},
	} {
		t.Run(c.file, func(t *testing.T) {
			text, err := os.ReadFile("testdata/gotest/" + c.file + ".json")
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParseResults(GoTest, text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, counted(got)); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
			if c.output != "" && !strings.Contains(got.Cases[0].Output, c.output) {
				t.Errorf("output %q lacks %q", got.Cases[0].Output, c.output)
			}
			// Cut anywhere, the file must never look better than it is.
			for cut := range text {
				if text[cut] != '\n' {
					continue
				}
				part, err := ParseResults(GoTest, text[:cut])
				if err == nil && part.Failed == 0 && cut < len(text)-1 && !strings.Contains(c.want, " 0 failed") {
					t.Errorf("cut after %d bytes it is green: %s", cut, counted(part))
				}
			}
		})
	}
}

func TestGoTestLines(t *testing.T) {
	event := func(action, test string) string {
		return fmt.Sprintf("{\"Action\":%q,\"Package\":\"p\",\"Test\":%q}\n", action, test)
	}
	end := `{"Action":"pass","Package":"p"}` + "\n"
	for _, c := range []struct{ name, text, want string }{
		{"other tools' lines", "go: downloading x v1\n" + event("run", "A") + "{\"level\":\"info\"}\n" + event("pass", "A") + end, "1 passed, 0 failed"},
		{"test without end", event("run", "A") + end, "0 passed, 1 failed; p A"},
		{"package without end", event("run", "A") + event("pass", "A"), "1 passed, 1 failed; p (package)"},
		{"fails once of two", event("fail", "A") + event("pass", "A") + end, "0 passed, 1 failed; p A"},
		{"second run cut", event("run", "A") + event("pass", "A") + event("run", "A") + end, "0 passed, 1 failed; p A"},
		{"no tests to run", end, "0 passed, 0 failed"},
		{"only a build", `{"ImportPath":"q [q.test]","Action":"build-fail"}`, "0 passed, 1 failed; q (package)"},
		{"windows lines", strings.ReplaceAll(event("pass", "A")+end, "\n", "\r\n"), "1 passed, 0 failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseResults(GoTest, []byte(c.text))
			if err != nil || counted(got) != c.want {
				t.Errorf("%s, %v; want %s", counted(got), err, c.want)
			}
		})
	}
}

func TestJUnit(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"mixed", `<?xml version="1.0" encoding="UTF-8"?><testsuites><testsuite name="s" tests="4" failures="1" errors="1">
			<properties><property name="a" value="b"/></properties>
			<testcase classname="c" name="a" time="0.5"/>
			<testcase classname="c" name="b"><failure message="no">at line 3</failure></testcase>
			<testcase classname="c" name="e"><error/></testcase>
			<testcase classname="c" name="d"><skipped/></testcase><system-out>x</system-out></testsuite></testsuites>`, "1 passed, 2 failed, 1 skipped; c b; c e"},
		{"bare suite", `<testsuite><testcase name="a"/></testsuite>`, "1 passed, 0 failed"},
		{"failures outside of tests", `<testsuite name="s" errors="1"><testcase name="a"/></testsuite>`, "1 passed, 1 failed; s (suite)"},
		{"nested sums", `<testsuites failures="1"><testsuite failures="1"><testsuite failures="1"><testcase name="a"><failure/></testcase></testsuite></testsuite></testsuites>`, "0 passed, 1 failed;  a"},
		{"retried and passed", `<testsuite><testcase name="a"><flakyFailure/></testcase></testsuite>`, "1 passed, 0 failed"},
		{"not run", `<testsuite><testcase name="a" status="notrun"/></testsuite>`, "0 passed, 0 failed, 1 skipped"},
		{"skipped and failed", `<testsuite><testcase name="a"><failure/><skipped/></testcase></testsuite>`, "0 passed, 1 failed;  a"},
		{"equals signs in text", `<testsuite><!-- <a ` + strings.Repeat("=", 300) + ` --><testcase name="` + strings.Repeat("=", 300) + `"/><system-out>` + strings.Repeat("=", 300) + `<![CDATA[<x ' ` + strings.Repeat("=", 300) + `]]></system-out></testsuite>`, "1 passed, 0 failed"},
		{"empty", `<testsuites/>`, "0 passed, 0 failed"},
		{"nested tests", `<testsuite><testcase name="a"><testsuite><testcase name="b"></testcase></testsuite></testcase></testsuite>`, "1 passed, 0 failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseResults(JUnit, []byte(c.text))
			if err != nil || counted(got) != c.want {
				t.Errorf("%s, %v; want %s", counted(got), err, c.want)
			}
		})
	}
	got, err := ParseResults(JUnit, []byte(`<testsuite><testcase name="a" time="1.5"><failure message="no">deep &amp; down</failure></testcase></testsuite>`))
	if err != nil || got.Cases[0].Output != "no\ndeep & down" || got.Duration.Seconds() != 1.5 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTAP(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"mixed", "TAP version 14\n1..4\nok 1 - a\nnot ok 2 - b\n  ---\n  message: no\n  ...\nok 3 - c # SKIP no disk\nnot ok 4 - d # TODO later\n", "1 passed, 1 failed, 2 skipped;  b"},
		{"plan at the end", "ok\nok\n1..2\n", "2 passed, 0 failed"},
		{"subtests count by their sum", "1..1\n    ok 1 - x\n    not ok 2 - y\n    1..2\nnot ok 1 - parent\n", "0 passed, 1 failed;  parent"},
		{"escaped hash", "1..1\nok 1 - issue \\# SKIP none\n", "1 passed, 0 failed"},
		{"nothing to do", "1..0 # SKIP no tests here\n", "0 passed, 0 failed"},
		{"too few", "1..3\nok 1\nok 2\n", "2 passed, 1 failed;  (plan)"},
		{"too many", "1..1\nok 1\nok 2\n", "2 passed, 1 failed;  (plan)"},
		{"twice", "1..2\nok 1\nok 1\n", "2 passed, 1 failed;  (plan)"},
		{"no plan", "ok 1\n", "1 passed, 1 failed;  (plan)"},
		{"two plans", "1..1\nok 1\n1..1\n", "1 passed, 1 failed;  (plan)"},
		{"bail out", "1..1\nok 1\nBail out! no database\n", "1 passed, 1 failed;  (plan)"},
		{"bail out of a subtest", "1..1\n    Bail out! no database\nok 1\n", "1 passed, 1 failed;  (plan)"},
		{"skipping a failure", "1..1\nnot ok 1 # SKIP\n", "0 passed, 1 failed;  test 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseResults(TAP, []byte(c.text))
			if err != nil || counted(got) != c.want {
				t.Errorf("%s, %v; want %s", counted(got), err, c.want)
			}
		})
	}
	got, err := ParseResults(TAP, []byte("1..2\nnot ok 1 - b\n  ---\n  message: no\n  ...\nok 2\n# after\n"))
	if want := "---\nmessage: no\n...\n"; err != nil || got.Cases[0].Output != want {
		t.Errorf("%q, %v", got.Cases[0].Output, err)
	}
}

func TestResultsRefused(t *testing.T) {
	for _, c := range []struct{ name, kind, text, want string }{
		{"kind", "xunit", "x", "no results of kind"},
		{"too big", GoTest, strings.Repeat("x", MaxResults+1), "at most"},
		{"gotest: empty", GoTest, "", "no event"},
		{"gotest: text", GoTest, "ok  \tp\t0.1s\n", "no event"},
		{"gotest: only build output", GoTest, `{"ImportPath":"p","Action":"build-output","Output":"# p"}`, "no event"},
		{"gotest: cut line", GoTest, "{\"Action\":\"pass\",\"Package\":\"p\"}\n{\"Act", "line 2"},
		{"gotest: array for text", GoTest, "{\"Action\":[1]}", "line 1"},
		{"junit: empty", JUnit, "", "no testsuite"},
		{"junit: html", JUnit, "<html></html>", "not `html`"},
		{"junit: cut", JUnit, "<testsuite><testcase name='a'/>", "cut"},
		{"junit: two roots", JUnit, "<testsuite/><testsuite/>", "one testsuites"},
		{"junit: entities", JUnit, `<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><testsuite name="&b;"/>`, "document type"},
		{"junit: unknown entity", JUnit, `<testsuite name="&b;"/>`, "well-formed"},
		{"junit: deep", JUnit, strings.Repeat("<testsuite>", 40), "nest deeper"},
		{"junit: wide", JUnit, "<testsuite " + strings.Repeat("a='>' ", 300) + "/>", "attributes"},
		{"junit: other encoding", JUnit, `<?xml version="1.0" encoding="UTF-16"?><testsuite/>`, "well-formed"},
		{"tap: empty", TAP, "", "no TAP"},
		{"tap: text", TAP, "hello\n", "no TAP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := ParseResults(c.kind, []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestResultsAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range keptCases * 2 {
		fmt.Fprintf(&b, "not ok %d - %s\x1b[31m\n", i+1, strings.Repeat("n", 2*keptName))
		if i < 2*keptOutputs {
			fmt.Fprintf(&b, "# %s\n", strings.Repeat("o", 3*keptOutput))
		}
	}
	fmt.Fprintf(&b, "1..%d\n", keptCases*2)
	got, err := ParseResults(TAP, []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	outputs := 0
	for _, c := range got.Cases {
		if len(c.Name) > keptName+len("…") || len(c.Output) > keptOutput+len("…") || strings.Contains(c.Name+c.Output, "\x1b") {
			t.Fatalf("a case of %d and %d bytes", len(c.Name), len(c.Output))
		}
		if c.Output != "" {
			outputs++
		}
	}
	if got.Failed != 2*keptCases || len(got.Cases) != keptCases || !got.Truncated || outputs != keptOutputs {
		t.Errorf("%d failed, %d kept, truncated %t, %d outputs", got.Failed, len(got.Cases), got.Truncated, outputs)
	}
	if _, err := ParseResults(TAP, []byte(strings.Repeat("ok\n", MaxCases+1))); err == nil {
		t.Error("any number of tests is read")
	}
}

func FuzzResults(f *testing.F) {
	for _, name := range []string{"ok", "bad", "broken", "panics"} {
		text, err := os.ReadFile("testdata/gotest/" + name + ".json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`<testsuites failures="1"><testsuite><testcase name="a"><failure>x</failure><testsuite/></testcase></testsuite></testsuites>`))
	f.Add([]byte("TAP version 14\n1..2\nok 1 - a # SKIP\nnot ok 2\n  ---\n  x: y\n  ...\nBail out!\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, kind := range []string{GoTest, JUnit, TAP} {
			got, err := ParseResults(kind, text)
			if err != nil {
				continue
			}
			if got.Passed < 0 || got.Failed < 0 || got.Skipped < 0 || got.Duration < 0 || len(got.Cases) > keptCases {
				t.Fatalf("%s: %+v", kind, got)
			}
			if !got.Truncated && len(got.Cases) != got.Passed+got.Failed+got.Skipped {
				t.Fatalf("%s: %d cases for %s", kind, len(got.Cases), got.Counts())
			}
		}
	})
}
