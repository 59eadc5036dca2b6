package review_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/git"
	"gatehouse/review"
)

// A vote with anything about it other than what it was given on counts for nothing.
func TestBoundVotes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ch := review.Change{ID: 7, Branch: "main", Current: 2}
		ps := review.PatchSet{Change: 7, Number: 2, Commit: "commit", DiffDigest: "digest"}
		good := review.Vote{Change: 7, PS: 2, Commit: "commit", DiffDigest: "digest", Branch: "main", Account: 1, Value: 2}
		flawed := good
		switch rapid.IntRange(0, 4).Draw(t, "flaw") {
		case 0:
			flawed.Change = 8
		case 1:
			flawed.PS = rapid.SampledFrom([]int{0, 1, 3}).Draw(t, "ps")
		case 2:
			flawed.Commit = git.OID(rapid.SampledFrom([]string{"", "other"}).Draw(t, "commit"))
		case 3:
			flawed.DiffDigest = ""
		case 4:
			flawed.Branch = "stable"
		}
		votes := []review.Vote{flawed, good, flawed}
		if bound := review.Bound(ch, ps, votes); len(bound) != 1 || bound[0] != good {
			t.Fatalf("bound: %+v", bound)
		}
	})
}

// Whoever wrote or pushed any patch set has a part in the change, whatever the case of the address.
func TestParts(t *testing.T) {
	ann := account.Account{ID: 1, Email: "ann@x"}
	for name, c := range map[string]struct {
		sets []review.PatchSet
		want []review.Part
	}{
		"stranger":              {[]review.PatchSet{{Uploader: 2, AuthorEmail: "bob@x", CommitterEmail: "bob@x"}}, nil},
		"author of an old one":  {[]review.PatchSet{{AuthorEmail: "ANN@x"}, {AuthorEmail: "bob@x"}}, []review.Part{review.Author}},
		"co-author":             {[]review.PatchSet{{CoAuthors: []string{"bob@x", " Ann@X "}}}, []review.Part{review.Author}},
		"uploader of an old":    {[]review.PatchSet{{Uploader: 1}, {Uploader: 2}}, []review.Part{review.Uploader}},
		"committer":             {[]review.PatchSet{{CommitterEmail: "ann@x"}}, []review.Part{review.Committer}},
		"an account without an": {[]review.PatchSet{{}}, nil},
	} {
		who := ann
		if name == "an account without an" {
			who.Email = "" // nobody's address is everybody's
		}
		if got := review.Parts(c.sets, who); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
