package gatekeeper

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/review"
)

// Over random histories of a change, a review gate that excludes its makers is open only on
// the approval of somebody who pushed and wrote none of its patch sets, and never over a veto.
func TestNoMakerOpensTheReviewGate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		person := rapid.Int64Range(1, 5)
		email := func(id int64) string {
			e := fmt.Sprintf("a%d@x", id)
			if rapid.Bool().Draw(t, "upper") {
				e = strings.ToUpper(e)
			}
			return e
		}
		f := &facts{change: review.Change{ID: 7, Branch: "main"}}
		makers := map[int64]bool{}
		for n := range rapid.IntRange(1, 3).Draw(t, "sets") {
			uploader, author, co := person.Draw(t, "uploader"), person.Draw(t, "author"), person.Draw(t, "co-author")
			makers[uploader], makers[author], makers[co] = true, true, true
			f.ps = review.PatchSet{Change: 7, Number: n + 1, Commit: "c", DiffDigest: "d", Uploader: uploader,
				AuthorEmail: email(author), CoAuthors: []string{email(co)}}
			f.sets = append(f.sets, f.ps)
		}
		f.change.Current = f.ps.Number
		approved, vetoed := false, false
		var ballots []plan.Vote
		for id := int64(1); id <= 5; id++ {
			value := rapid.IntRange(-2, 2).Draw(t, "value")
			v := review.Vote{Change: 7, PS: rapid.IntRange(1, 3).Draw(t, "ps"), Commit: "c", DiffDigest: "d", Branch: "main", Account: id, Value: value, Label: plan.CodeReview}
			for range review.Bound(f.change, f.ps, []review.Vote{v}) {
				who := account.Account{ID: id, Name: fmt.Sprint("a", id), Email: fmt.Sprintf("a%d@x", id)}
				ballots = append(ballots, plan.Vote{Label: v.Label, Value: value, By: who.Name, Is: f.relations(who)})
				approved = approved || value == 2 && !makers[id]
				vetoed = vetoed || value == -2
			}
		}
		gate, _ := plan.Default().Gate("review")
		open := plan.Evaluate(gate, plan.Evidence{Votes: ballots}, time.Time{}).State == plan.Open
		if want := approved && !vetoed; open != want {
			t.Fatalf("open %v, want %v; makers %v, ballots %+v", open, want, slices.Sorted(maps.Keys(makers)), ballots)
		}
	})
}
