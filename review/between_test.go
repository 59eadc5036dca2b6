package review_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// What landed between the parents of two patch sets is not the author's work.
func TestBetween(t *testing.T) {
	w := newWorld(t)
	c := w.clone()
	commit := func(files map[string]string, message string) string {
		for name, text := range files {
			c.write(name, text)
		}
		c.git("add", "-A")
		c.git("commit", "-q", "--allow-empty", "-m", message)
		return strings.TrimSpace(c.git("rev-parse", "HEAD"))
	}
	const key = "Change it\n\nChange-Id: I00000000000000000000000000000000000000aa"
	base := commit(map[string]string{"a": "1\n", "b": "1\n", "c": "1\n"}, "Start")
	c.git("push", "-q", w.git.Dir(), "HEAD:refs/heads/main")
	commit(map[string]string{"a": "2\n"}, key)
	id := w.push(c, "alice", "main")[0].Change.ID
	files := func() (own []string, all []string) {
		sets, err := w.review.PatchSets(w.ctx, w.review.DB.Read(), id)
		w.must(err)
		older, newer := sets[0], sets[len(sets)-1]
		b, err := w.review.Between(w.ctx, w.git, older, newer)
		w.must(err)
		changed, err := w.git.ChangedFiles(w.ctx, b.From, newer.Commit)
		w.must(err)
		for _, f := range changed {
			if all = append(all, f.Path); b.Own == nil || b.Own[f.Path] {
				own = append(own, f.Path)
			}
		}
		if b.Own != nil && slices.Contains(slices.Collect(maps.Keys(b.Own)), "") {
			t.Error("a file without a path")
		}
		return own, all
	}
	onto := func(files, mine map[string]string) {
		c.git("reset", "-q", "--hard", base)
		base = commit(files, "Meanwhile")
		c.git("push", "-q", w.git.Dir(), "HEAD:refs/heads/main")
		commit(mine, key)
		w.push(c, "alice", "main")
	}
	onto(map[string]string{"b": "9\n"}, map[string]string{"a": "2\n", "c": "2\n"})
	if own, all := files(); !slices.Equal(own, []string{"c"}) || !slices.Equal(all, own) {
		t.Errorf("on another commit: %q of %q", own, all)
	}
	onto(map[string]string{"a": "7\n", "b": "8\n"}, map[string]string{"a": "5\n"})
	if own, all := files(); !slices.Equal(own, []string{"a"}) || !slices.Equal(all, []string{"a", "b"}) {
		t.Errorf("where it conflicts: %q of %q", own, all)
	}
}
