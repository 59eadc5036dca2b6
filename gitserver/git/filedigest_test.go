package git

import (
	"os"
	"strings"
	"testing"
)

// A file's digest stays the same when the change is rebased, and differs with what changed in
// that file alone.
func TestFileDigests(t *testing.T) {
	r, w := newRepo(t), newWork(t)
	odd := "odd \"näme\" b"
	text := numbered(60)
	edited := func(list []string, line string) string {
		out := append([]string(nil), list...)
		out[len(out)-5] = line
		return joined(out)
	}
	base := w.commit("base", map[string]string{"f": joined(text), "g": "1\n", odd: "1\n", "link": "x\n", "gone": "1\n"})
	w.git("rm", "-q", "gone", "link")
	must(t, os.Symlink("f", w.dir+"/link"))
	first := w.commit("first", map[string]string{"f": edited(text, "changed"), "g": "2\n", odd: "2\n", "added": "1\n"})
	w.git("checkout", "-q", "--detach", string(base))
	shifted := append([]string{"new", "lines"}, text...)
	moved := w.commit("others", map[string]string{"f": joined(shifted)})
	w.git("rm", "-q", "gone", "link")
	must(t, os.Symlink("f", w.dir+"/link"))
	second := w.commit("second", map[string]string{"f": edited(shifted, "changed"), "g": "3\n", odd: "2\n", "added": "1\n"})
	must(t, send(t, r, w, []OID{first, second}))
	before, err := r.FileDigests(t.Context(), base, first)
	must(t, err)
	after, err := r.FileDigests(t.Context(), moved, second)
	must(t, err)
	for name, same := range map[string]bool{"f": true, "g": false, odd: true, "added": true, "link": true, "gone": true} {
		if before[name] == "" || after[name] == "" {
			t.Errorf("%q has no digest: %v", name, before)
		} else if (before[name] == after[name]) != same {
			t.Errorf("%q: the digest is the same: %v", name, !same)
		}
	}
	if len(before) != 6 {
		t.Errorf("%d files: %s", len(before), strings.Join(keysOf(before), ", "))
	}
	none, err := r.FileDigests(t.Context(), first, first)
	if err != nil || len(none) != 0 {
		t.Errorf("nothing differs: %v %v", none, err)
	}
}

func keysOf(m map[string]string) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}
