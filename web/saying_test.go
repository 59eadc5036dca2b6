package web

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"html/template"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// gateSources are where the sentences of a change's box are made.
var gateSources = []string{"../gatekeeper/explain*.go", "../gatekeeper/plan/evaluate.go", "../gatekeeper/plan/owners.go", "../gatekeeper/plan/limits.go"}

// gateSentences are the whole sentences that the gate's code assigns to a reason or a next step,
// with values in their places.
func gateSentences(t *testing.T) (all []string, literals string) {
	t.Helper()
	set := gotoken.NewFileSet()
	var every strings.Builder
	text := func(e ast.Expr) string {
		if call, ok := e.(*ast.CallExpr); ok && len(call.Args) > 0 {
			if f, ok := call.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Sprintf" {
				e = call.Args[0]
			}
		}
		if l, ok := e.(*ast.BasicLit); ok && l.Kind == gotoken.STRING {
			s, _ := strconv.Unquote(l.Value)
			return s
		}
		return ""
	}
	take := func(name string, e ast.Expr) {
		if s := text(e); s != "" && slices.Contains([]string{"Reason", "Next", "What"}, name) {
			all = append(all, s)
		}
	}
	look := func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			if s, err := strconv.Unquote(n.Value); n.Kind == gotoken.STRING && err == nil {
				every.WriteString(s + "\x00")
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok {
				take(key.Name, n.Value)
			}
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if f, ok := left.(*ast.SelectorExpr); ok && i < len(n.Rhs) {
					take(f.Sel.Name, n.Rhs[i])
				}
			}
		}
		return true
	}
	for _, pattern := range append(slices.Clone(gateSources), "../gatekeeper/*.go", "../gatekeeper/plan/*.go") {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatal(pattern, err)
		}
		kept := len(all)
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(set, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, look)
		}
		if !slices.Contains(gateSources, pattern) {
			all = all[:kept] // only looked through for words
		}
	}
	return all, every.String()
}

var verbs = regexp.MustCompile(`%[+]?[dsq]`)

// Every whole sentence of a change's box is known to the pages, and none is known that the gate
// does not say any more.
func TestGateIsHeard(t *testing.T) {
	sentences, literals := gateSentences(t)
	if len(sentences) < 20 {
		t.Fatalf("found only %q", sentences)
	}
	for _, s := range sentences {
		sample := verbs.ReplaceAllString(s, "x")
		if strings.HasPrefix(sample, ";") { // it is added to another
			sample = "x" + sample
		}
		if _, ok := heard(sample, func(s string) string { return s }, maxNested); !ok {
			t.Errorf("the pages do not know %q", s)
		}
	}
	for _, s := range sayings() {
		for _, piece := range regexp.MustCompile(`\{[1-9]\}`).Split(s.source, -1) {
			if words := strings.Trim(piece, " ,;:()"); len(words) > 6 && !strings.Contains(literals, words) {
				t.Errorf("%q: the gate does not say %q", s.source, words)
			}
		}
	}
}

// What is heard says the same in English, values and sentences in sentences included.
func TestHeardSaysTheSame(t *testing.T) {
	for _, s := range []string{
		"nobody has asked to land it yet", "alice asked to land it", "open: review: needs Code-Review+2, has 0", "number 3 in the queue of main: waits for change 2",
		"if bob votes Code-Review+2 and unit passes, it would queue behind change 12 (about 4–9 min)", "it stands on change 12 (Add a <b>), which lands first",
		"vote Code-Review+2", "needs 2 × Code-Review+2 of maintainers, has 1",
	} {
		text, ok := heard(s, func(s string) string { return s }, maxNested)
		if !ok || text.String() != s {
			t.Errorf("%q is heard as %q, %v", s, text, ok)
		}
	}
	hostile := "it stands on change 12 (<script>\u202e), which lands first"
	got := said(pseudo(), hostile, false)
	if strings.Contains(string(got), "<script>") || strings.Contains(string(got), "\u202e") || !strings.Contains(string(got), template.HTMLEscapeString("<")) {
		t.Errorf("hostile: %s", got)
	}
	if got := said(pseudo(), "what nobody ever said", true); got != "What nobody ever said" {
		t.Errorf("unknown: %s", got)
	}
}
