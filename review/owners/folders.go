package owners

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// FolderFile is the name of the files of folders.
const FolderFile = "OWNERS"

const (
	// MaxFolders is how many files of folders are read; a repository of more is made by a program.
	MaxFolders = 2000
	// maxIncludes is how deep files take in others, and maxFolderLines how long one may be.
	maxIncludes    = 10
	maxFolderLines = 1000
	// anybody is the owner that everyone is.
	anybody = "*"
)

// folder is one file OWNERS, with what it takes in.
type folder struct {
	noparent bool
	owners   []owned
	files    []perFile
}

type owned struct {
	name, file string
	line       int
}

// perFile is owners of the files right in a folder whose names match.
type perFile struct {
	patterns []string
	noparent bool
	owners   []owned
}

// Folders reads the files of folders, as Gerrit's find-owners and Chromium know them: one
// path of the repository to its text, nil for what is not there. These lines have a meaning:
//
//	bob@example.org, @alice, @web   an owner of everything in the folder and below
//	*                               anybody is an owner
//	set noparent                    who owns the folders above owns nothing here
//	per-file *.go,Makefile=@alice   owners of files right in this folder, beside the others
//	per-file *.go=set noparent      and of these files nobody else
//	include /docs/OWNERS            everything that the other file says
//	file:../OWNERS                  its owners alone, also behind per-file NAMES=
//
// A path belongs to the owners of its folder and of those above it. Nil is no file at all.
func Folders(texts map[string][]byte) *File {
	if len(texts) == 0 {
		return nil
	}
	f := &File{Name: FolderFile, folders: map[string]*folder{}}
	names := make([]string, 0, len(texts))
	for name := range texts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if path.Base(name) == FolderFile {
			r := folderReader{f: f, texts: texts}
			f.folders[path.Dir(name)] = r.read(name, nil)
		}
	}
	return f
}

// Included are the files that the files of folders take in, and that texts lacks.
func Included(texts map[string][]byte) []string {
	var all []string
	for name, text := range texts {
		for line := range strings.Lines(string(text)) {
			_, word, _ := statement(line)
			if word == "" {
				continue
			}
			if other, ok := resolve(name, word); ok && !slices.Contains(all, other) {
				if _, have := texts[other]; !have {
					all = append(all, other)
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

// statement is a line without its remark, and the file that it takes in; files is whether it
// takes in all that the file says.
func statement(line string) (text, file string, include bool) {
	text = strings.TrimSpace(uncomment(strings.TrimSpace(line)))
	if rest, ok := strings.CutPrefix(text, "include "); ok {
		return text, strings.TrimSpace(rest), true
	}
	_, value, ok := strings.Cut(text, "=")
	if !ok {
		value = text
	}
	if rest, ok := strings.CutPrefix(strings.TrimSpace(value), "file:"); ok {
		return text, strings.TrimSpace(rest), false
	}
	return text, "", false
}

// resolve is the path of a file that another one names: from the top of the repository with a
// slash in front, else from its folder.
func resolve(from, name string) (string, bool) {
	if strings.HasPrefix(name, "//") {
		name = name[1:]
	}
	if !strings.HasPrefix(name, "/") {
		name = path.Dir(from) + "/" + name
	}
	name = path.Clean("/" + name)[1:]
	return name, name != "" && len(name) <= maxPattern && !strings.ContainsAny(name, ":\x00")
}

// folderReader reads one file with what it takes in.
type folderReader struct {
	f     *File
	texts map[string][]byte
	lines int
}

func (r *folderReader) problem(name string, line int, text string) {
	r.f.problem(line, name+": "+text)
}

func (r *folderReader) read(name string, way []string) *folder {
	d := &folder{}
	for i, line := range strings.Split(strings.TrimPrefix(string(r.texts[name]), "\ufeff"), "\n") {
		if r.lines++; r.lines > maxFolderLines {
			r.problem(name, i+1, fmt.Sprintf("it is behind the %d lines that are read", maxFolderLines))
			break
		}
		text, file, include := statement(line)
		switch {
		case text == "":
		case text == "set noparent":
			d.noparent = true
		case strings.HasPrefix(text, "per-file "):
			r.perFile(d, name, i+1, strings.TrimPrefix(text, "per-file "), file, way)
		case file != "":
			if other := r.other(name, i+1, file, way); other != nil {
				d.owners = append(d.owners, other.owners...)
				if include {
					d.noparent = d.noparent || other.noparent
					d.files = append(d.files, other.files...)
				}
			}
		default:
			d.owners = append(d.owners, r.owner(name, i+1, text)...)
		}
	}
	return d
}

// other reads a file that is taken in.
func (r *folderReader) other(name string, line int, file string, way []string) *folder {
	to, ok := resolve(name, file)
	if !ok || r.texts[to] == nil {
		r.problem(name, line, file+" is not there")
		return nil
	}
	way = append(slices.Clone(way), name)
	if slices.Contains(way, to) || len(way) > maxIncludes {
		r.problem(name, line, "it takes itself in")
		return nil
	}
	return r.read(to, way)
}

func (r *folderReader) perFile(d *folder, name string, line int, text, file string, way []string) {
	globs, value, ok := strings.Cut(text, "=")
	if !ok {
		r.problem(name, line, "per-file NAMES=OWNERS")
		return
	}
	p := perFile{}
	for glob := range strings.SplitSeq(globs, ",") {
		glob = strings.TrimSpace(glob)
		if _, err := path.Match(glob, ""); err != nil || glob == "" || strings.Contains(glob, "/") {
			r.problem(name, line, "a name of per-file is one of this folder, and knows * ? [a-z]")
			return
		}
		p.patterns = append(p.patterns, glob)
	}
	switch value = strings.TrimSpace(value); {
	case value == "set noparent":
		p.noparent = true
	case file != "":
		if other := r.other(name, line, file, way); other != nil {
			p.owners = other.owners
		}
	default:
		for word := range strings.SplitSeq(value, ",") {
			p.owners = append(p.owners, r.owner(name, line, strings.TrimSpace(word))...)
		}
	}
	d.files = append(d.files, p)
}

// owner is the owner that a line names, none when it names none.
func (r *folderReader) owner(name string, line int, word string) []owned {
	if word == anybody {
		return []owned{{word, name, line}}
	}
	if strings.ContainsAny(word, " \t") {
		r.problem(name, line, "an owner is alone on its line: an e-mail address, @NAME, @GROUP or *")
		return nil
	}
	before := len(r.f.Problems)
	names := r.f.ownersOf(line, []string{word})
	for i := before; i < len(r.f.Problems); i++ {
		r.f.Problems[i].Text = name + ": " + r.f.Problems[i].Text
	}
	if len(names) == 0 {
		return nil
	}
	return []owned{{names[0], name, line}}
}

// foldersNeed is whose approval a path needs by the files of folders: none when anybody will do.
func (f *File) foldersNeed(name string) []Need {
	n := Need{Min: 1}
	add := func(all []owned) (open bool) {
		for _, o := range all {
			if o.name == anybody {
				return true
			}
			if n.Line == 0 {
				n.File, n.Line = o.file, o.line
			}
			if !slices.Contains(n.Owners, o.name) && len(n.Owners) < maxOwners {
				n.Owners = append(n.Owners, o.name)
			}
		}
		return false
	}
	base := path.Base(name)
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		d := f.folders[dir]
		if d == nil {
			d = &folder{}
		}
		alone := false
		if dir == path.Dir(name) {
			for _, p := range d.files {
				if !p.matches(base) {
					continue
				}
				if alone = alone || p.noparent; add(p.owners) {
					return nil
				}
			}
		}
		if !alone && add(d.owners) {
			return nil
		}
		if alone || d.noparent || dir == "." {
			break
		}
	}
	if len(n.Owners) == 0 {
		return nil
	}
	return []Need{n}
}

func (p perFile) matches(base string) bool {
	return slices.ContainsFunc(p.patterns, func(glob string) bool {
		ok, _ := path.Match(glob, base) // it was read as a pattern
		return ok
	})
}
