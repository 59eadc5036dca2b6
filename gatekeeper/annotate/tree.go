package annotate

import (
	"net/url"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Tree tells where the files are that a report names.
type Tree struct {
	// Roots are the folders that the repository was at while the tool ran, "/work" as a rule.
	Roots []string
	// Modules are the Go modules in the repository: their paths, and the folders that they
	// are in, "" for the top.
	Modules map[string]string
	// Exists reports whether the repository has a file; nil takes every name for one.
	Exists func(name string) bool
}

// Path is the file of the repository that a tool means by name: relative to the top, or
// absolute below a root, or a file: address of one. "" is none of the repository.
func (t Tree) Path(name string) string {
	if rest, ok := strings.CutPrefix(name, "file:"); ok {
		name = "/" + strings.TrimLeft(strings.TrimPrefix(rest, "//localhost/"), "/")
		if plain, err := url.PathUnescape(name); err == nil {
			name = plain
		}
	}
	name = strings.ReplaceAll(name, `\`, "/")
	if len(name) > MaxPath || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return ""
	}
	if strings.HasPrefix(name, "/") {
		inside, clean := "", path.Clean(name)
		for _, root := range t.Roots {
			if rest, ok := strings.CutPrefix(clean, strings.TrimSuffix(root, "/")+"/"); ok && root != "" {
				inside = rest
			}
		}
		name = inside
	}
	name = path.Clean(name)
	if name == "." || name == ".." || strings.HasPrefix(name, "../") || strings.HasPrefix(name, "/") {
		return ""
	}
	if first, _, _ := strings.Cut(name, "/"); first == ".git" || strings.Contains(first, ":") {
		return "" // a drive, a scheme, or git's own
	}
	return name
}

// has reports whether the repository has the file.
func (t Tree) has(name string) bool { return name != "" && (t.Exists == nil || t.Exists(name)) }

// inModule is the file that Go's tools call by the path of its package: module path, folder,
// name. "" is none of the repository.
func (t Tree) inModule(name string) string {
	best := ""
	for module := range t.Modules {
		if strings.HasPrefix(name, module+"/") && len(module) > len(best) {
			best = module
		}
	}
	if best == "" {
		return ""
	}
	return t.Path(path.Join(t.Modules[best], name[len(best)+1:]))
}
