package diff

import (
	"path"
	"regexp"
	"strings"
)

const (
	// maxHead is how many lines of a file may say that it is generated: the notice stands at
	// the top, below a licence at most.
	maxHead = 40
	// maxNotice bounds what is quoted of it.
	maxNotice = 100
)

var (
	// doNotEdit is the notice of the Go project (https://go.dev/s/generatedcode), in any
	// language's comment.
	doNotEdit = regexp.MustCompile(`^\W{0,6}(Code generated .* DO NOT EDIT)\b`)
	// atGenerated is the marker that many other tools write into the first comment.
	atGenerated = regexp.MustCompile(`^\W{0,6}(?:.{0,60}\s)?(@generated)\b`)
)

// GeneratedNotice is what a text says at its top of having been generated, "" for nothing.
func GeneratedNotice(text string) string {
	for range maxHead {
		line, rest, more := strings.Cut(text, "\n")
		for _, notice := range []*regexp.Regexp{doNotEdit, atGenerated} {
			if m := notice.FindStringSubmatch(clipAt(line, 2*maxNotice)); m != nil {
				return clipAt(m[1], maxNotice)
			}
		}
		if !more {
			return ""
		}
		text = rest
	}
	return ""
}

func clipAt(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "")
	}
	return s
}

// lockFiles are written by package managers.
var lockFiles = map[string]bool{
	"go.sum": true, "package-lock.json": true, "npm-shrinkwrap.json": true, "yarn.lock": true, "pnpm-lock.yaml": true, "bun.lock": true, "Cargo.lock": true, "composer.lock": true,
	"Gemfile.lock": true, "Pipfile.lock": true, "poetry.lock": true, "uv.lock": true, "pdm.lock": true, "flake.lock": true, "mix.lock": true, "pubspec.lock": true,
	"Podfile.lock": true, "Package.resolved": true, "gradle.lockfile": true, "packages.lock.json": true, ".terraform.lock.hcl": true, "deno.lock": true, "MODULE.bazel.lock": true,
}

// GeneratedName is why people do not read a file as a rule, as far as its name tells: "" when
// it tells nothing.
func GeneratedName(name string) string {
	base := path.Base(name)
	if lockFiles[base] {
		return "a lock file"
	}
	for _, suffix := range []string{".min.js", ".min.css"} {
		if strings.HasSuffix(base, suffix) {
			return "minified"
		}
	}
	for _, suffix := range []string{".pb.go", ".pb.gw.go", ".pb.cc", ".pb.h", "_pb2.py", "_pb2_grpc.py", ".generated.go", ".g.dart", ".designer.cs", ".map"} {
		if strings.HasSuffix(base, suffix) {
			return "generated, by its name"
		}
	}
	for _, dir := range []string{"vendor/", "node_modules/", "third_party/"} {
		if strings.HasPrefix(name, dir) || dir == "node_modules/" && strings.Contains(name, "/"+dir) {
			return "code of others, in " + strings.TrimSuffix(dir, "/")
		}
	}
	return ""
}
