package repo_test

import (
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
)

func TestFromPath(t *testing.T) {
	for path, want := range map[string]string{
		"hello": "hello", "/hello": "hello", "hello.git": "hello", "/hello.git": "hello",
		"/a/hello.git": "hello", "a/hello": "hello", "/p/hello": "hello", "/a/p/hello.git": "hello",
		"/team/hello.git": "team/hello", "/a/team/part/hello": "team/part/hello", "/Hello_1.x-y": "Hello_1.x-y",
		"gatehouse": "gatehouse", "/api.v2": "api.v2",
	} {
		got, err := repo.FromPath(path)
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", path, got, err, want)
		}
	}
}

var attacks = []string{
	"", "/", "//", "//hello", "/hello/", "hello//x", ".", "..", "/..", "../hello", "/../outside", "hello/../../etc/passwd", "a/../hello",
	"/a/a/hello", "/p/a/hello", "/p/p/hello", "hello.git.git", "hello.git/", "hello.git/config", "hello.GIT", "HELLO.git.git",
	"%2e%2e/hello", "/%2e%2e%2foutside", "hello%00", "hello\x00", "hello\x00.git", "hello\n", "he\rllo", "hello\x1b[2J", "\x7fhello",
	"~/hello", "~root/hello", "$HOME/hello", "`id`", "hello;id", "hello|id", "hello&id", "hello id", "hello'", `hello"`, `..\outside`, `C:\hello`, "C:/hello",
	"--help", "-oProxyCommand=id", "/-x", "hello/-x", ".git", ".hidden", "hello/.git", "hello/.git/config", "hello.", "hello./x", "hello..x", "x.lock", "x.git/y",
	"héllo", "hello\u202e", "hello\u200b", "h\u0435llo", "\xff", "a/b/c/d/e", "_hello", "hello:x", "ext::sh -c id", "file:///etc", "https://example.org/x",
	"api", "API/x", "/a/api", "login", "static/x", "admin", "c/1", "changes", "healthz", strings.Repeat("a", 101), strings.Repeat("a/", 60),
}

func TestFromPathRefuses(t *testing.T) {
	for _, path := range attacks {
		name, err := repo.FromPath(path)
		if !fault.Is(err, fault.NotFound) || name != "" {
			t.Errorf("%q: got %q, %v, want NotFound", path, name, err)
		}
		if fault.Sentence(err) != fault.Sentence(account.Missing("")) {
			t.Errorf("%q: the refusal %q tells more than a missing repository would", path, fault.Sentence(err))
		}
	}
}

func TestCheckNameSaysWhy(t *testing.T) {
	for name, word := range map[string]string{
		"": "characters", "api/x": "server itself", "a..b": "two dots", "x/y/z/w": "parts", "x//y": "empty part", "x.git": ".git", "x.": "dot",
		"-x": "begins with", strings.Repeat("x", 101): "100",
	} {
		err := repo.CheckName(name)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(fault.Sentence(err), word) {
			t.Errorf("%q: %q does not say %q", name, fault.Sentence(err), word)
		}
	}
}

// holds is what is true of every path: what comes out, if anything, is a clean relative path
// that stays below any root, needs no escaping, and comes out again when it is asked for.
func holds(t interface{ Fatalf(string, ...any) }, path string) {
	name, err := repo.FromPath(path)
	if err != nil {
		if name != "" || !fault.Is(err, fault.NotFound) {
			t.Fatalf("%q: %q with %v", path, name, err)
		}
		return
	}
	if !filepath.IsLocal(name) || filepath.Clean(name) != name || filepath.ToSlash(name) != name {
		t.Fatalf("%q: %q is not a clean local path", path, name)
	}
	if rel, err := filepath.Rel("/root/x", filepath.Join("/root/x", name)); err != nil || strings.HasPrefix(rel, "..") {
		t.Fatalf("%q: %q escapes", path, name)
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("%~$&;|<>`'\"\\:*?[]{}()#!@^", c) >= 0 {
			t.Fatalf("%q: %q has %q", path, name, c)
		}
	}
	if !strings.Contains(path, name) || repo.CheckName(name) != nil {
		t.Fatalf("%q: %q is made up", path, name)
	}
	for _, spelling := range []string{name, "/" + name, name + ".git", "/a/" + name + ".git", "p/" + name} {
		if again, err := repo.FromPath(spelling); err != nil || again != name {
			t.Fatalf("%q: %q came back as %q, %v", path, spelling, again, err)
		}
	}
}

func TestFromPathProperties(t *testing.T) {
	piece := rapid.SampledFrom([]string{"/", "..", ".", "a", "p", "hello", ".git", "%2e", "%2f", "\x00", "\\", "-", "~", "x", "\n", "é", "\u202e", ".lock", "api", "A"})
	rapid.Check(t, func(t *rapid.T) {
		if rapid.Bool().Draw(t, "pieces") {
			holds(t, strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "path"), ""))
			return
		}
		holds(t, rapid.String().Draw(t, "path"))
	})
}

func FuzzFromPath(f *testing.F) {
	for _, path := range attacks {
		f.Add(path)
	}
	f.Add("/a/team/hello.git")
	f.Fuzz(func(t *testing.T, path string) { holds(t, path) })
}

func FuzzParseBranchKey(f *testing.F) {
	f.Add(repo.BranchJob(12, "release/1:2").Key)
	f.Add(":")
	f.Fuzz(func(t *testing.T, key string) {
		id, branch, err := repo.ParseBranchKey(key)
		if err != nil {
			return
		}
		if again, b, err := repo.ParseBranchKey(repo.BranchJob(id, branch).Key); err != nil || again != id || b != branch {
			t.Fatalf("%q: %d %q became %d %q, %v", key, id, branch, again, b, err)
		}
	})
}
