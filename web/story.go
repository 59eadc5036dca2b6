package web

import (
	"context"
	"fmt"
	"html/template"
	"regexp"
	"slices"
	"strings"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/review"
)

// storyView is one entry of the conversation.
type storyView struct {
	Who     string
	Chips   []chipView // the votes
	Did     string
	At      time.Time
	HTML    template.HTML
	Minor   bool
	Remarks []remarkView
}

type chipView struct{ Text, Tone string }

type remarkView struct {
	URL, Where string
	HTML       template.HTML
}

// sameReview is how far apart in time the message and the comments of one review may be
// written: they are in one transaction.
const sameReview = 2 * time.Second

// storyOf turns messages into entries; the comments of a review stand under its message.
func storyOf(ctx context.Context, change int64, messages []review.Message, comments []review.Comment, names map[int64]account.Account, called people) []storyView {
	all := make([]storyView, 0, len(messages))
	for _, m := range messages {
		e := storyView{Who: nameOf(names, m.Author), At: m.CreatedAt}
		first, rest, _ := strings.Cut(m.Body, "\n")
		rest = strings.TrimSpace(countedComments.ReplaceAllString(strings.TrimSpace(rest), ""))
		if e.Did = strings.TrimSpace(first); reviewed.MatchString(first) {
			e.Chips, e.Did = votesIn(first)
		}
		if rest != "" {
			e.HTML = typed(ctx, rest, called)
		}
		all = append(all, e)
	}
	for _, c := range comments {
		best := -1
		for i, m := range messages {
			if m.Author == c.Author && m.CreatedAt.Sub(c.CreatedAt).Abs() <= sameReview && (best < 0 ||
				m.CreatedAt.Sub(c.CreatedAt).Abs() < messages[best].CreatedAt.Sub(c.CreatedAt).Abs()) {
				best = i
			}
		}
		if best >= 0 {
			all[best].Remarks = append(all[best].Remarks, remarkView{
				URL:   fmt.Sprintf("/c/%d?ps=%d#comment-%d", change, c.PS, c.ID),
				Where: placeWords(c.Path, c.StartLine, c.Line), HTML: typed(ctx, c.Body, called),
			})
		}
	}
	for i := range all {
		all[i].Minor = all[i].HTML == "" && len(all[i].Remarks) == 0
	}
	slices.SortStableFunc(all, func(a, b storyView) int { return a.At.Compare(b.At) })
	return all
}

var (
	// reviewed is how the first line of a review's message begins.
	reviewed = regexp.MustCompile(`^Patch Set [0-9]+:`)
	// countedComments is the line that counts the comments, which the page shows themselves.
	countedComments = regexp.MustCompile(`^\([0-9]+ comments?\)`)
)

// votesIn reads the votes of "Patch Set 2: Code-Review+1 -Verified".
func votesIn(line string) (chips []chipView, did string) {
	set, votes, _ := strings.Cut(line, ":")
	did = "reviewed " + strings.ToLower(set)
	for _, v := range strings.Fields(votes) {
		chip := chipView{Text: v, Tone: "good"}
		if label, taken := strings.CutPrefix(v, "-"); taken {
			chip = chipView{Text: label + " taken back", Tone: "calm"}
		} else if strings.ContainsRune(v[max(0, len(v)-3):], '-') {
			chip.Tone = "bad"
		}
		chips = append(chips, chip)
	}
	return chips, did
}
