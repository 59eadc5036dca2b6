package web

import (
	"context"
	"strings"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/review"
)

// maxGist is how many letters of a thread its one line shows.
const maxGist = 90

// quoted is a text as an answer quotes it.
func quoted(body string) string {
	lines := strings.Split(strings.TrimSpace(body), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight("> "+l, " ")
	}
	return strings.Join(lines, "\n") + "\n\n"
}

// gist is the beginning of a thread in one line, without code.
func gist(author, body string) string {
	words, _, coded := strings.Cut(body, "```")
	if words = strings.NewReplacer("`", "", "**", "", "*", "").Replace(words); coded && strings.TrimSpace(words) == "" {
		words = "code"
		if len(review.Suggestions(body)) > 0 {
			words = "a suggestion"
		}
	}
	text := []rune(strings.Join(strings.Fields(words), " "))
	if len(text) > maxGist {
		text = append(text[:maxGist], '…')
	}
	return author + ": " + string(text)
}

// people are the accounts that texts may call with @name.
type people map[string]bool

// calledIn finds which of the names in texts are accounts.
func (w *Web) calledIn(ctx context.Context, texts []string) (people, error) {
	called := people{}
	for _, name := range review.Mentions(strings.Join(texts, "\n\n")) {
		_, err := w.Accounts.ByName(ctx, w.DB.Read(), name)
		if err == nil {
			called[name] = true
		} else if !fault.Is(err, fault.NotFound) {
			return nil, err
		}
	}
	return called, nil
}

// commitOf is the commit of a patch set of the change.
func (v *changeView) commitOf(ps int) (commit git.OID, message string) {
	for _, p := range v.PatchSets {
		if p.Number == ps {
			return p.Commit, p.Message
		}
	}
	return "", ""
}

// mayApply reports whether the reader may make patch sets of the change.
func (w *Web) mayApply(c *call, v *changeView) bool {
	return c.signedIn() && v.Change.Status == review.Open && w.may(c, account.Edit, v.resource) == nil
}
