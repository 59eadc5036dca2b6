package entrance_test

import (
	"fmt"
	"testing"
	"time"

	"gatehouse/gatekeeper/entrance"
	"gatehouse/gitserver/git"
)

// What forges were told, and the groups of merge queues, are kept for a while and no longer.
func TestWhatIsForgotten(t *testing.T) {
	w := newWorld(t, nil)
	head := w.commit("a.txt", "a\n")
	w.proposes(7)
	w.look()
	open := w.open()[0]
	landed := w.here()
	ref := "refs/heads/gh-readonly-queue/main/pr-7-" + string(w.here())
	group := w.commit("b.txt", "b\n")
	w.git("push", "-q", w.up, "HEAD:"+ref)
	w.tell(entrance.Notice{Kind: entrance.Grouped, Branch: "main", Ref: ref, Head: group, Base: w.here()}, "g")
	for _, commit := range []git.OID{head, landed} {
		must(t, w.NoteSent(w.ctx, w.e, commit, "gatehouse/land", "success"))
	}
	hold := fmt.Sprintf("refs/gate/group/%d-%s", w.e.ID, group)
	gone := fmt.Sprintf("refs/gate/group/%d-%s", w.e.ID+1000, group)
	must(t, w.bare.UpdateRefs(w.ctx, []git.RefUpdate{{Ref: gone, New: group}}, "of an entrance that was removed"))
	left := func() (told map[git.OID]bool, refs map[string]bool) {
		t.Helper()
		must(t, w.Prune(w.ctx, w.repo, w.bare))
		told, refs = map[git.OID]bool{}, map[string]bool{}
		for _, commit := range []git.OID{head, landed} {
			sent, err := w.Sent(w.ctx, w.e, commit)
			must(t, err)
			told[commit] = len(sent) > 0
		}
		for _, name := range []string{hold, gone} {
			at, err := w.bare.RefOID(w.ctx, name)
			must(t, err)
			refs[name] = !at.IsZero()
		}
		return told, refs
	}
	if told, refs := left(); !told[head] || !told[landed] || !refs[hold] || refs[gone] {
		t.Errorf("at once: %v %v", told, refs)
	}
	w.ahead.Store(int64(6 * 24 * time.Hour))
	if told, refs := left(); !told[landed] || !refs[hold] {
		t.Errorf("after six days: %v %v", told, refs)
	}
	w.ahead.Store(int64(8 * 24 * time.Hour))
	if _, refs := left(); refs[hold] {
		t.Error("the group is there after eight days")
	}
	w.ahead.Store(int64(31 * 24 * time.Hour))
	if told, _ := left(); told[landed] || !told[head] {
		t.Errorf("after a month: %v; change %d is open", told, open.ID)
	}
}
