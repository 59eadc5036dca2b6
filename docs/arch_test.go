// Package docs_test holds the code to what the docs say of it: the map of imports in
// arch.txt, and a doc comment on every package.
package docs_test

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "gatehouse"

// minPackageDoc is the shortest package doc, in characters, that can say anything.
const minPackageDoc = 80

type rule struct{ may, never []string }

// readMap parses arch.txt.
func readMap(t *testing.T) map[string]rule {
	t.Helper()
	f, err := os.Open("arch.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	rules := map[string]rule{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		cells := strings.Split(line, "|")
		if len(cells) != 3 {
			t.Fatalf("arch.txt: %q has %d cells, want 3", line, len(cells))
		}
		rules[strings.TrimSpace(cells[0])] = rule{strings.Fields(cells[1]), strings.Fields(cells[2])}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return rules
}

// parsePackages parses every Go file that is not a test, by folder below the module's root.
func parsePackages(t *testing.T) map[string][]*ast.File {
	t.Helper()
	packages := map[string][]*ast.File{}
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && file != ".." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "gate-data") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel("..", filepath.Dir(file))
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(rel)
		packages[dir] = append(packages[dir], parsed)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

func TestImportsFollowTheMap(t *testing.T) {
	rules, packages := readMap(t), parsePackages(t)
	if len(packages) == 0 {
		t.Fatal("no packages found")
	}
	for dir, files := range packages {
		r, listed := rules[dir]
		if !listed {
			t.Errorf("%s is not in arch.txt", dir)
			continue
		}
		for _, file := range files {
			for _, spec := range file.Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
					if !slices.Contains(r.may, ours) && !slices.Contains(r.may, "*") {
						t.Errorf("%s imports %s, which arch.txt does not allow", dir, ours)
					}
				}
				for _, pattern := range r.never {
					if ok, err := path.Match(pattern, imported); err != nil || ok {
						t.Errorf("%s imports %s, which arch.txt forbids", dir, imported)
					}
				}
			}
		}
	}
	for dir := range rules {
		if _, exists := packages[dir]; !exists {
			t.Errorf("arch.txt lists %s, which does not exist", dir)
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for dir, files := range parsePackages(t) {
		docs := 0
		for _, file := range files {
			if file.Doc != nil {
				docs += len(file.Doc.Text())
			}
		}
		if docs < minPackageDoc {
			t.Errorf("%s has a package doc of %d characters, want at least %d", dir, docs, minPackageDoc)
		}
	}
}

// Only the packages that own a library may import it.
func TestLibrariesHaveOneOwner(t *testing.T) {
	owners := map[string][]string{
		"github.com/riverqueue/river":    {"gatekeeper/job"},
		"github.com/go-git/go-git/v5":    {"gitserver/git"},
		"github.com/gliderlabs/ssh":      {"gitserver"},
		"github.com/sosedoff/gitkit":     {"gitserver"},
		"modernc.org/sqlite":             {"migrations/db"},
		"github.com/jackc/pgx/v5":        {"migrations/db", "migrations/db/dbtest", "gatekeeper/job"},
		"github.com/pressly/goose/v3":    {"migrations"},
		"go.yaml.in/yaml/v4":             {"gatekeeper/plan", "cmd/gate"},
		"github.com/danielgtaylor/huma/": {"web/api"},
		"github.com/landlock-lsm/":       {"gatekeeper/runner"},
		"github.com/miekg/dns":           {"gatekeeper/assembly"},
		"k8s.io/":                        {"gatekeeper/assembly"},
	}
	for dir, files := range parsePackages(t) {
		for _, file := range files {
			for _, spec := range file.Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				for library, allowed := range owners {
					if strings.HasPrefix(imported, library) && !slices.Contains(allowed, dir) {
						t.Errorf("%s imports %s, which belongs to %v", dir, imported, allowed)
					}
				}
			}
		}
	}
}
