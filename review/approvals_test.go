package review_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/git"
	"gatehouse/review"
)

// people are accounts 1 to 5: a1@x to a5@x. Account 5 is disabled.
func people(id int64) (account.Account, bool) {
	return account.Account{ID: id, Name: fmt.Sprintf("a%d", id), Email: fmt.Sprintf("a%d@x", id)}, id >= 1 && id <= 4
}

// drawQuestion is a change with patch sets and votes of every sort, fitting and not.
func drawQuestion(t *rapid.T) review.Question {
	id := rapid.Int64Range(1, 5)
	email := rapid.Custom(func(t *rapid.T) string {
		e := fmt.Sprintf("a%d@x", id.Draw(t, "id"))
		return rapid.SampledFrom([]string{e, strings.ToUpper(e), "stranger@x", ""}).Draw(t, "email")
	})
	q := review.Question{
		Change: review.Change{ID: 7, Branch: "main", Current: rapid.IntRange(1, 3).Draw(t, "current")},
		Label:  review.Label{Name: "Code-Review", Min: -2, Max: 2, Veto: rapid.Bool().Draw(t, "veto")},
		Min:    rapid.IntRange(1, 2).Draw(t, "min"), Account: people,
		Not: rapid.SliceOfDistinct(rapid.SampledFrom([]review.Part{review.Author, review.Uploader, review.Committer}), func(p review.Part) review.Part { return p }).Draw(t, "not"),
	}
	if rapid.Bool().Draw(t, "limited") {
		limit := id.Draw(t, "by")
		q.By = func(id int64) bool { return id != limit }
	}
	for n := 1; n <= 3; n++ {
		q.Sets = append(q.Sets, review.PatchSet{
			Change: 7, Number: n, Commit: git.OID(fmt.Sprint("commit", n)), DiffDigest: fmt.Sprint("digest", n), Uploader: id.Draw(t, "uploader"),
			AuthorEmail: email.Draw(t, "author"), CommitterEmail: email.Draw(t, "committer"), CoAuthors: rapid.SliceOfN(email, 0, 2).Draw(t, "co"),
		})
	}
	for range rapid.IntRange(0, 8).Draw(t, "votes") {
		n := rapid.IntRange(1, 3).Draw(t, "ps")
		v := review.Vote{Change: 7, PS: n, Label: "Code-Review", Account: id.Draw(t, "voter"), Value: rapid.IntRange(-2, 2).Draw(t, "value"),
			Commit: git.OID(fmt.Sprint("commit", n)), DiffDigest: fmt.Sprint("digest", n), Branch: "main"}
		switch rapid.IntRange(0, 9).Draw(t, "flaw") {
		case 0:
			v.Commit = "another"
		case 1:
			v.DiffDigest = "another"
		case 2:
			v.Branch = "stable"
		case 3:
			v.Change = 8
		case 4:
			v.Label = "Verified"
		}
		q.Votes = append(q.Votes, v)
	}
	return q
}

// counts reports whether there is a vote of v's that is bound to the current patch set.
func counts(q review.Question, account int64, fits func(value int) bool) bool {
	current := q.Sets[q.Change.Current-1]
	return slices.ContainsFunc(q.Votes, func(v review.Vote) bool {
		return v.Account == account && fits(v.Value) && v.Label == q.Label.Name && v.Change == q.Change.ID && v.PS == current.Number &&
			v.Commit == current.Commit && v.DiffDigest == current.DiffDigest && v.Branch == q.Change.Branch
	})
}

func TestNobodyApprovesTheirOwnChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := drawQuestion(t)
		a := review.Approvals(q)
		for _, id := range a.Approvers {
			who, ok := people(id)
			if !ok {
				t.Fatalf("account %d is disabled and approved", id)
			}
			if !counts(q, id, func(v int) bool { return v == 2 }) {
				t.Fatalf("account %d approved without a vote on the current patch set", id)
			}
			if q.By != nil && !q.By(id) {
				t.Fatalf("account %d is not asked and approved", id)
			}
			for _, ps := range q.Sets { // any patch set, not only the current one
				same := func(email string) bool { return strings.EqualFold(email, who.Email) }
				if slices.Contains(q.Not, review.Uploader) && ps.Uploader == id {
					t.Fatalf("account %d uploaded patch set %d and approved", id, ps.Number)
				}
				if slices.Contains(q.Not, review.Author) && (same(ps.AuthorEmail) || slices.ContainsFunc(ps.CoAuthors, same)) {
					t.Fatalf("account %d wrote patch set %d and approved", id, ps.Number)
				}
				if slices.Contains(q.Not, review.Committer) && same(ps.CommitterEmail) {
					t.Fatalf("account %d committed patch set %d and approved", id, ps.Number)
				}
			}
		}
		if slices.Sort(a.Approvers); len(slices.Compact(slices.Clone(a.Approvers))) != len(a.Approvers) {
			t.Fatalf("somebody approved twice: %v", a.Approvers)
		}
	})
}

func TestVetoesStop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := drawQuestion(t)
		a := review.Approvals(q)
		for id := int64(1); id <= 5; id++ {
			_, enabled := people(id)
			first := slices.IndexFunc(q.Votes, func(v review.Vote) bool {
				return v.Account == id && counts(review.Question{Change: q.Change, Sets: q.Sets, Label: q.Label, Votes: []review.Vote{v}}, id, func(int) bool { return true })
			})
			veto := q.Label.Veto && enabled && first >= 0 && q.Votes[first].Value == -2
			if veto != slices.Contains(a.Vetoes, id) {
				t.Fatalf("account %d: veto %v, answer %+v", id, veto, a)
			}
		}
		if a.OK != (len(a.Vetoes) == 0 && len(a.Approvers) >= q.Min) {
			t.Fatalf("answer %+v does not add up", a)
		}
	})
}

// Votes on other patch sets, commits, differences or branches change nothing at all.
func TestStaleVotesChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := drawQuestion(t)
		bound := q
		bound.Votes = review.Bound(q.Change, q.Sets[q.Change.Current-1], q.Votes)
		if with, without := review.Approvals(q), review.Approvals(bound); fmt.Sprint(with) != fmt.Sprint(without) {
			t.Fatalf("with stale votes %+v, without %+v", with, without)
		}
	})
}

func TestApprovalsOfAMissingPatchSet(t *testing.T) {
	q := review.Question{Change: review.Change{Current: 2}, Sets: []review.PatchSet{{Number: 1}}, Account: people}
	if a := review.Approvals(q); a.OK {
		t.Error("a change without its current patch set is approved")
	}
}

func TestParts(t *testing.T) {
	alice := account.Account{ID: 1, Email: "alice@example.org"}
	for _, test := range []struct {
		ps   review.PatchSet
		want string
	}{
		{review.PatchSet{Uploader: 2, AuthorEmail: "bob@example.org"}, "[]"},
		{review.PatchSet{Uploader: 1}, "[uploader]"},
		{review.PatchSet{AuthorEmail: " Alice@Example.ORG "}, "[author]"},
		{review.PatchSet{CommitterEmail: "alice@example.org"}, "[committer]"},
		{review.PatchSet{CoAuthors: []string{"x@y", "ALICE@example.org"}}, "[author]"},
		{review.PatchSet{Uploader: 1, AuthorEmail: "alice@example.org", CommitterEmail: "alice@example.org"}, "[author uploader committer]"},
	} {
		if got := fmt.Sprint(review.Parts([]review.PatchSet{{}, test.ps, {}}, alice)); got != test.want {
			t.Errorf("Parts(%+v) = %s, want %s", test.ps, got, test.want)
		}
	}
	if got := review.Parts([]review.PatchSet{{}}, account.Account{ID: 9}); len(got) != 0 {
		t.Errorf("an account without an address is %v of a patch set without one", got)
	}
}
