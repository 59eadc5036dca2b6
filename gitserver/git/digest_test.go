package git

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/gitserver/fault"
)

func TestDigestFiles(t *testing.T) {
	r, w, _ := seeded(t, nil)
	ctx := t.Context()
	inWeb := func(path string) bool { return strings.HasPrefix(path, "web/") }
	tips := map[string]OID{}
	var last []OID
	commit := func(name string, files map[string]string) {
		tips[name] = w.commit(name, files)
		last = append(last, tips[name])
	}
	commit("first", map[string]string{"web/a": "1\n", "web/sub/b": "2\n", "docs/c": "3\n"})
	commit("other folder", map[string]string{"docs/c": "4\n", "webs": "5\n"})
	commit("content", map[string]string{"web/a": "6\n"})
	commit("back", map[string]string{"web/a": "1\n"})
	must(t, os.Chmod(filepath.Join(w.dir, "web/a"), 0o755))
	commit("mode", nil)
	must(t, os.Chmod(filepath.Join(w.dir, "web/a"), 0o644))
	must(t, os.Rename(filepath.Join(w.dir, "web/a"), filepath.Join(w.dir, "web/z")))
	commit("name", nil)
	plant(t, r, w, last...)
	digest := func(name string) string {
		t.Helper()
		d, err := r.DigestFiles(ctx, tips[name], inWeb)
		must(t, err)
		return d
	}
	for _, same := range []string{"other folder", "back"} {
		if digest(same) != digest("first") {
			t.Errorf("%s: another digest, though the selected files are the same", same)
		}
	}
	for _, differs := range []string{"content", "mode", "name"} {
		if digest(differs) == digest("first") {
			t.Errorf("%s: the same digest, though the selected files differ", differs)
		}
	}
	none, err := r.DigestFiles(ctx, tips["first"], func(string) bool { return false })
	must(t, err)
	empty, err := r.DigestFiles(ctx, EmptyTree, inWeb)
	must(t, err)
	if none != empty || none == digest("first") {
		t.Errorf("nothing selected: %s and %s", none, empty)
	}
	_, err = r.DigestFiles(ctx, OID(strings.Repeat("1", 40)), inWeb)
	wantKind(t, err, fault.NotFound)
}
