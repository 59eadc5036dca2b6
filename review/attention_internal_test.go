package review

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// What must hold of every deed in every company, whatever the rules in detail.
func TestTurnsKeepTheRules(t *testing.T) {
	for seed := range uint64(20_000) {
		r := rand.New(rand.NewPCG(seed, 1))
		some := func() (ids []int64) {
			for range r.IntN(4) {
				ids = append(ids, 1+r.Int64N(6))
			}
			return ids
		}
		c := company{owner: 1, uploader: 1 + r.Int64N(2), open: r.IntN(4) > 0, wip: r.IntN(3) == 0, asked: some()}
		c.took = slices.DeleteFunc(some(), func(id int64) bool { return id == c.owner || id == c.uploader })
		d := deed{kind: deedKind(r.IntN(int(deedClosed) + 1)), by: r.Int64N(7), whom: some()}
		in, out, all := c.turns(d)
		bad := func(format string, args ...any) {
			t.Fatalf("seed %d: %+v, %+v: in %v, out %v, all %v: %s", seed, c, d, in, out, all, fmt.Sprintf(format, args...))
		}
		ends := d.kind == deedClosed || d.kind == deedPaused
		switch {
		case all != ends:
			bad("everybody leaves when it closes or is paused, and only then")
		case ends && len(in) > 0:
			bad("nobody enters what ends")
		case !c.open && len(in)+len(out) > 0:
			bad("a closed change waits for nobody")
		case slices.Contains(in, 0):
			bad("nobody is not a person")
		case d.kind != deedAdded && slices.Contains(in, d.by):
			bad("one's own deed is not one's own turn")
		case !slices.Equal(in, distinct(in)):
			bad("in is not a set")
		}
		for _, id := range in {
			if slices.Contains(out, id) {
				bad("%d enters and leaves", id)
			}
		}
		if c.open && (d.kind == deedReplied || d.kind == deedUploaded) && !slices.Contains(out, d.by) {
			bad("who answers has had their turn")
		}
		owners := d.by == c.owner || d.by == c.uploader
		if c.open && d.kind == deedReplied && !owners && !slices.Contains(in, c.owner) {
			bad("the owner hears of a reply")
		}
		if c.open && c.wip && d.kind == deedAsked && len(in) > 0 {
			bad("work in progress asks nobody")
		}
		if c.open && d.kind == deedAsked && slices.Contains(in, c.owner) {
			bad("the owner does not review")
		}
		if c.open && (d.kind == deedFailed || d.kind == deedReady) && d.by != c.owner && !slices.Equal(in, []int64{c.owner}) {
			bad("what the server finds is the owner's turn")
		}
		if c.open && !c.wip && d.kind == deedUploaded {
			for _, id := range c.took {
				if id != d.by && !slices.Contains(in, id) {
					bad("%d took part and hears nothing of the new patch set", id)
				}
			}
		}
	}
}
