package web

import "strings"

// treeNode is a folder of the list of changed files.
type treeNode struct {
	Name    string // several folders of which each has only the next stand together, "a/b"
	Folders []*treeNode
	Files   []*fileDiff
}

// treeOf puts files, which are in the order of their paths, into their folders.
func treeOf(files []fileDiff) *treeNode {
	root := &treeNode{}
	byPath := map[string]*treeNode{"": root}
	var folder func(path string) *treeNode
	folder = func(path string) *treeNode {
		if n := byPath[path]; n != nil {
			return n
		}
		above, name := "", path
		if at := strings.LastIndexByte(path, '/'); at >= 0 {
			above, name = path[:at], path[at+1:]
		}
		n := &treeNode{Name: name}
		byPath[path] = n
		up := folder(above)
		up.Folders = append(up.Folders, n)
		return n
	}
	for i := range files {
		dir := ""
		if at := strings.LastIndexByte(files[i].Path, '/'); at >= 0 {
			dir = files[i].Path[:at]
		}
		n := folder(dir)
		n.Files = append(n.Files, &files[i])
	}
	for _, n := range root.Folders {
		n.shorten()
	}
	return root
}

// shorten puts a folder that holds nothing but one other together with that.
func (n *treeNode) shorten() {
	for len(n.Folders) == 1 && len(n.Files) == 0 {
		only := n.Folders[0]
		n.Name, n.Folders, n.Files = n.Name+"/"+only.Name, only.Folders, only.Files
	}
	for _, f := range n.Folders {
		f.shorten()
	}
}
