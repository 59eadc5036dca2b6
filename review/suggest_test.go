package review_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/gitserver/fault"
	"gatehouse/review"
)

func suggest(lines string) string {
	if lines != "" {
		lines += "\n"
	}
	return "Rather:\n```suggestion\n" + lines + "```\n"
}

func TestSegments(t *testing.T) {
	for _, test := range []struct {
		name, body string
		want       []review.Segment
	}{
		{"none", "plain `suggestion`", []review.Segment{{Text: "plain `suggestion`"}}},
		{"one", "Rather:\n```suggestion\na\n\tb\n```\nor not", []review.Segment{
			{Text: "Rather:\n"}, {Text: "a\n\tb\n", Suggestion: true, Lines: []string{"a", "\tb"}}, {Text: "or not"}}},
		{"empty takes lines out", "```suggestion\n```", []review.Segment{{Suggestion: true}}},
		{"an empty line", "```suggestion\n\n```", []review.Segment{{Text: "\n", Suggestion: true, Lines: []string{""}}}},
		{"of code with fences", "~~~~suggestion\n```go\nx\n```\n~~~~", []review.Segment{{Text: "```go\nx\n```\n", Suggestion: true, Lines: []string{"```go", "x", "```"}}}},
		{"other code stays text", "```go\n```suggestion\nx\n```\n", []review.Segment{{Text: "```go\n```suggestion\nx\n```\n"}}},
		{"not closed", "```suggestion\na", []review.Segment{{Text: "a", Suggestion: true, Lines: []string{"a"}}}},
		{"nothing", "", nil},
	} {
		if d := cmp.Diff(test.want, review.Segments(test.body)); d != "" {
			t.Errorf("%s: %s", test.name, d)
		}
	}
}

// file is a file of the current patch set.
func (w *world) file(id int64, name string) string {
	w.t.Helper()
	ch := w.load(id)
	set, err := w.review.PatchSet(w.ctx, w.db.Read(), id, ch.Current)
	w.must(err)
	text, err := w.git.FileAt(w.ctx, set.Commit, name, 1<<20)
	w.must(err)
	return string(text)
}

func TestSuggestionsAreApplied(t *testing.T) {
	w := newWorld(t)
	c := w.clone()
	c.write("a.txt", "one\ntwo\nthree\nfour\nfive\nsix")
	c.write("dos.txt", "one\r\ntwo\r\n")
	c.git("commit", "-q", "-m", "Count\n\nfrom one to six")
	id := w.push(c, "alice", "main")[0].Change.ID
	comment := func(n review.NewComment) int64 {
		n.Unresolved = true
		w.must(w.review.Publish(w.ctx, w.people["bob"], id, review.Review{Comments: []review.NewComment{n}}))
		all := w.comments(id)
		return all[len(all)-1].ID
	}
	two := comment(review.NewComment{Path: "a.txt", Line: 2, Body: suggest("2") + "or\n" + suggest("deux")})
	pair := comment(review.NewComment{Path: "a.txt", StartLine: 3, Line: 4, Body: suggest("3\n3.5\n4")})
	last := comment(review.NewComment{Path: "a.txt", Line: 6, Body: suggest("6\n7")})
	overlap := comment(review.NewComment{Path: "a.txt", StartLine: 4, Line: 5, Body: suggest("")})
	dos := comment(review.NewComment{Path: "dos.txt", Line: 1, Body: suggest("uno")})
	msg := comment(review.NewComment{Path: review.CommitMessage, Line: 3, Body: suggest("from one to seven")})
	plain := comment(review.NewComment{Path: "a.txt", Line: 1, Body: "fine"})
	onFile := comment(review.NewComment{Path: "a.txt", Body: suggest("x")})
	beyond := comment(review.NewComment{Path: "a.txt", Line: 60, Body: suggest("x")})

	apply := func(who string, base int, picks ...review.Pick) error {
		_, err := w.review.Apply(w.ctx, w.people[who], id, base, picks)
		return err
	}
	for _, test := range []struct {
		name         string
		err          error
		kind         fault.Kind
		public, next string
	}{
		{"nothing", apply("alice", 0), fault.Invalid, "no suggestion is picked", "pick one"},
		{"no comment", apply("alice", 0, review.Pick{Comment: 9999}), fault.NotFound, fmt.Sprintf("there is no comment 9999 on change %d", id), ""},
		{"no suggestion", apply("alice", 0, review.Pick{Comment: plain}), fault.NotFound, fmt.Sprintf("comment %d has no suggestion 0", plain), ""},
		{"no such suggestion", apply("alice", 0, review.Pick{Comment: two, Index: 2}), fault.NotFound, fmt.Sprintf("comment %d has no suggestion 2", two), ""},
		{"on a file", apply("alice", 0, review.Pick{Comment: onFile}), fault.Invalid, fmt.Sprintf("comment %d is on no lines of the new side, so its suggestion replaces nothing", onFile), "leave it out"},
		{"beyond the end", apply("alice", 0, review.Pick{Comment: beyond}), fault.Conflict, fmt.Sprintf("comment %d is on line 60, and the file has 6", beyond), "leave that"},
		{"two of one", apply("alice", 0, review.Pick{Comment: two}, review.Pick{Comment: two, Index: 1}), fault.Conflict, fmt.Sprintf("the suggestions of comments %d and %d replace the same lines", two, two), "apply one"},
		{"overlapping", apply("alice", 0, review.Pick{Comment: overlap}, review.Pick{Comment: pair}), fault.Conflict, fmt.Sprintf("the suggestions of comments %d and %d replace the same lines", pair, overlap), "apply one"},
		{"too many", apply("alice", 0, manyPicks()...), fault.TooLarge, "101 suggestions are more than 100", "in parts"},
	} {
		t.Run(test.name, func(t *testing.T) { refused(t, test.err, test.kind, test.public, test.next) })
	}
	if err := apply("dan", 0, review.Pick{Comment: two}); fault.KindOf(err) != fault.Denied {
		t.Errorf("somebody who may not upload: %v", err)
	}
	if w.load(id).Current != 1 || w.file(id, "a.txt") != "one\ntwo\nthree\nfour\nfive\nsix" {
		t.Fatal("a refused suggestion was applied")
	}

	made, err := w.review.Apply(w.ctx, w.people["alice"], id, 1, []review.Pick{{Comment: last}, {Comment: two, Index: 1}, {Comment: pair}, {Comment: dos}, {Comment: msg}, {Comment: two, Index: 1}})
	w.must(err)
	if made.Number != 2 || w.file(id, "a.txt") != "one\ndeux\n3\n3.5\n4\nfive\n6\n7" || w.file(id, "dos.txt") != "uno\r\ntwo\r\n" || !strings.HasPrefix(made.Message, "Count\n\nfrom one to seven\n") {
		t.Errorf("made %+v: %q, %q", made, w.file(id, "a.txt"), w.file(id, "dos.txt"))
	}
	if made.Uploader != w.people["alice"].ID || made.AuthorEmail != "alice@example.org" || len(made.CoAuthors) != 0 {
		t.Errorf("made by %+v", made)
	}
	settled := 0
	for _, th := range review.Threads(w.comments(id)) {
		if !th.Unresolved() {
			settled++
			if answer := th.Comments[len(th.Comments)-1]; answer.Body != "Applied in patch set 2." || answer.Author != w.people["alice"].ID {
				t.Errorf("answer %+v", answer)
			}
		}
	}
	if settled != 5 {
		t.Errorf("%d threads are resolved", settled)
	}
	applied, err := w.review.Applied(w.ctx, w.db.Read(), id)
	if err != nil || applied[review.Pick{Comment: two, Index: 1}] != 2 || len(applied) != 5 {
		t.Errorf("applied %v, %v", applied, err)
	}
	if !strings.HasSuffix(w.story(id), "---\nPatch Set 2:\n\n(5 comments)") {
		t.Errorf("story %q", w.story(id))
	}
	// what was applied, and what stands on lines that are gone, does not go in again
	refused(t, apply("alice", 0, review.Pick{Comment: last}), fault.Conflict, fmt.Sprintf("the suggestion in comment %d was applied in patch set 2", last), "leave it out")
	refused(t, apply("alice", 0, review.Pick{Comment: two}), fault.Conflict, fmt.Sprintf("the lines that comment %d is about are not the same in patch set 2", two), "by hand")
	refused(t, apply("alice", 1, review.Pick{Comment: two}), fault.Conflict, fmt.Sprintf("patch set 1 of change %d is not the current one", id), "patch set 2")
}

func manyPicks() []review.Pick {
	var all []review.Pick
	for i := range 101 {
		all = append(all, review.Pick{Comment: int64(i)})
	}
	return all
}

// A suggestion of an older patch set goes where its lines are now; also one that takes lines out.
func TestSuggestionsFollowTheirLines(t *testing.T) {
	w := newWorld(t)
	c := w.clone()
	c.write("a.txt", poem)
	c.git("commit", "-q", "-m", "Rhyme")
	id := w.push(c, "alice", "main")[0].Change.ID
	w.must(w.review.Publish(w.ctx, w.people["bob"], id, review.Review{Comments: []review.NewComment{
		{Path: "a.txt", StartLine: 5, Line: 6, Body: suggest("")}, {Path: "a.txt", Line: 1, Body: suggest("1")},
	}}))
	c.write("a.txt", "zero\n"+strings.Replace(poem, "one word\n", "", 1))
	w.amend(c, "")
	comments := w.comments(id)
	_, err := w.review.Apply(w.ctx, w.people["alice"], id, 0, []review.Pick{{Comment: comments[1].ID}})
	refused(t, err, fault.Conflict, fmt.Sprintf("the lines that comment %d is about are not the same in patch set 2", comments[1].ID), "by hand")
	_, err = w.review.Apply(w.ctx, w.people["alice"], id, 2, []review.Pick{{Comment: comments[0].ID}})
	w.must(err)
	if got := w.file(id, "a.txt"); got != "zero\ntwo words\nthree words\nfour words\nseven words\n" {
		t.Errorf("the file is %q", got)
	}
	if !slices.Equal(review.Suggestions(comments[0].Body)[0], nil) {
		t.Error("an empty suggestion has lines")
	}
}
