package git

import (
	"errors"
	"strings"
	"testing"

	"gatehouse/gitserver/fault"
)

// flat lists a tree as "mode path content", directories walked.
func flat(t *testing.T, r *Repo, tree OID, dir string) []string {
	t.Helper()
	entries, err := r.Tree(t.Context(), tree, dir)
	must(t, err)
	var all []string
	for _, e := range entries {
		path := strings.TrimPrefix(dir+"/"+e.Name, "/")
		if e.Type == "tree" {
			all = append(all, flat(t, r, tree, path)...)
			continue
		}
		content, err := r.Blob(t.Context(), e.OID, 1<<20)
		must(t, err)
		all = append(all, e.Mode+" "+path+" "+string(content))
	}
	return all
}

func TestEditTree(t *testing.T) {
	r, _, base := seeded(t, map[string]string{"a": "1", "dir/b": "2", "dir/sub/c": "3", "z.go": "4"})
	all := []string{"100644 a 1", "100644 dir/b 2", "100644 dir/sub/c 3", "100644 z.go 4"}
	tests := []struct {
		name  string
		edits []TreeEdit
		want  []string
	}{
		{"nothing", nil, all},
		{"change a file", []TreeEdit{{Path: "dir/sub/c", Content: []byte("33")}}, []string{all[0], all[1], "100644 dir/sub/c 33", all[3]}},
		{"new file in new directories", []TreeEdit{{Path: "dir.d/x/y", Content: []byte("n"), Mode: "100755"}},
			[]string{all[0], "100755 dir.d/x/y n", all[1], all[2], all[3]}},
		{"delete, and the directory goes", []TreeEdit{{Path: "dir/sub/c", Delete: true}, {Path: "a", Delete: true}}, []string{all[1], all[3]}},
		{"delete everything", []TreeEdit{{Path: "dir/sub/c", Delete: true}, {Path: "a", Delete: true}, {Path: "dir/b", Delete: true}, {Path: "z.go", Delete: true}}, nil},
		{"a file becomes a directory", []TreeEdit{{Path: "a", Delete: true}, {Path: "a/b", Content: []byte("x")}}, []string{"100644 a/b x", all[1], all[2], all[3]}},
		{"a directory becomes a file", []TreeEdit{{Path: "dir/b", Delete: true}, {Path: "dir/sub/c", Delete: true}, {Path: "dir", Content: []byte("x")}},
			[]string{all[0], "100644 dir x", all[3]}},
		{"names as git sorts them", []TreeEdit{{Path: "dir-x", Content: []byte("-")}, {Path: "dir0", Content: []byte("0")}},
			[]string{all[0], "100644 dir-x -", all[1], all[2], "100644 dir0 0", all[3]}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q, err := r.Quarantine(t.Context())
			must(t, err)
			tree, err := q.Repo().EditTree(t.Context(), base, tt.edits)
			must(t, err)
			if got := strings.Join(flat(t, q.Repo(), tree, ""), "\n"); got != strings.Join(tt.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", got, strings.Join(tt.want, "\n"))
			}
			must(t, q.Discard())
		})
	}
	must(t, r.Fsck(t.Context()))
	if left := leftovers(t, r); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestEditTreeRefuses(t *testing.T) {
	r, _, base := seeded(t, map[string]string{"a": "1", "dir/b": "2"})
	tests := []struct {
		name  string
		kind  fault.Kind
		edits []TreeEdit
	}{
		{"delete nothing", fault.NotFound, []TreeEdit{{Path: "no", Delete: true}}},
		{"delete below a file", fault.Invalid, []TreeEdit{{Path: "a/b", Delete: true}}},
		{"delete a directory", fault.Invalid, []TreeEdit{{Path: "dir", Delete: true}}},
		{"write a directory", fault.Invalid, []TreeEdit{{Path: "dir"}}},
		{"write below a file", fault.Invalid, []TreeEdit{{Path: "a/b"}}},
		{"twice", fault.Invalid, []TreeEdit{{Path: "a"}, {Path: "a", Delete: true}}},
		{"no path", fault.Invalid, []TreeEdit{{Path: ""}}},
		{"up", fault.Invalid, []TreeEdit{{Path: "dir/../a"}}},
		{"absolute", fault.Invalid, []TreeEdit{{Path: "/a"}}},
		{"directory's path", fault.Invalid, []TreeEdit{{Path: "a/"}}},
		{"NUL", fault.Invalid, []TreeEdit{{Path: "a\x00b"}}},
		{"deep", fault.Invalid, []TreeEdit{{Path: strings.Repeat("d/", MaxDepth) + "f"}}},
		{"long", fault.Invalid, []TreeEdit{{Path: strings.Repeat("d", MaxPath+1)}}},
		{"link", fault.Invalid, []TreeEdit{{Path: "a", Mode: "120000"}}},
		{"many", fault.TooLarge, make([]TreeEdit, maxTreeEdits+1)},
	}
	q, err := r.Quarantine(t.Context())
	must(t, err)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := q.Repo().EditTree(t.Context(), base, tt.edits)
			wantKind(t, err, tt.kind)
		})
	}
	must(t, q.Discard())
	var f *fault.Error
	if _, err := r.EditTree(t.Context(), base, nil); err == nil || errors.As(err, &f) {
		t.Errorf("an edit outside of a quarantine: %v", err)
	}
}
