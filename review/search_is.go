package review

import (
	"context"
	"fmt"
	"strings"
)

// statuses are the words for what became of a change, ours and Gerrit's.
var statuses = map[string]Status{
	"open": Open, "pending": Open, "new": Open, "landed": Landed, "merged": Landed, "abandoned": Abandoned,
}

// column is a column of changes. Only what must hold may use its index: for one half of an OR
// a database would rather collect all that it has than read the newest changes in order.
func column(name, none string, must bool) string {
	if must {
		return "c." + name
	}
	return "(c." + name + none + ")"
}

func (c *compiler) status(n *node, must bool) (string, error) {
	word := strings.ToLower(n.value)
	if word == "closed" {
		return column("status", " || ''", must) + " IN (" + c.arg(string(Landed)) + ", " + c.arg(string(Abandoned)) + ")", nil
	}
	s, ok := statuses[word]
	if !ok {
		return "", wrong(n.at, fmt.Sprintf("%q is no status of a change", clip(n.value)), "use open, landed, abandoned or closed")
	}
	return column("status", " || ''", must) + " = " + c.arg(string(s)), nil
}

func (c *compiler) is(ctx context.Context, n *node, must bool) (string, error) {
	word := strings.ToLower(n.value)
	if _, ok := statuses[word]; ok || word == "closed" {
		return c.status(n, must)
	}
	switch word {
	case "wip":
		return "c.wip = 1 AND c.status = " + c.arg(string(Open)), nil
	case "private":
		return "c.private = 1", nil
	case "submitted":
		return "c.submit_by <> 0 AND c.status = " + c.arg(string(Open)), nil
	case "reviewed":
		return "EXISTS (SELECT 1 FROM votes v WHERE v.change_id = c.id AND v.ps = c.current_ps AND v.account_id <> c.owner_id)", nil
	case "watched":
		return c.watched(ctx, n)
	case "submittable", "mergeable":
		return c.stands(n, word, must)
	}
	sets := map[string]string{
		"starred":   "SELECT change_id FROM stars WHERE account_id = %s",
		"attention": "SELECT change_id FROM attention WHERE account_id = %s",
		"reviewer":  "SELECT change_id FROM reviewers WHERE state = 'reviewer' AND account_id = %s",
		"cc":        "SELECT change_id FROM reviewers WHERE state = 'cc' AND account_id = %s",
	}
	if word != "owner" && word != "mine" && sets[word] == "" {
		return "", wrong(n.at, fmt.Sprintf("nothing here is %q", clip(n.value)),
			"known are open, closed, landed, abandoned, wip, private, submitted, submittable, mergeable, reviewed, starred, watched, attention, owner, reviewer and cc")
	}
	me, err := c.self(n)
	if err != nil {
		return "", err
	}
	if sets[word] == "" {
		return column("owner_id", " + 0", must) + " = " + me, nil
	}
	return c.member(ctx, fmt.Sprintf(sets[word], me), "", must)
}

func (c *compiler) has(ctx context.Context, n *node, must bool) (string, error) {
	switch strings.ToLower(n.value) {
	case "attention":
		return "EXISTS (SELECT 1 FROM attention t WHERE t.change_id = c.id)", nil
	case "topic":
		return "c.topic <> ''", nil
	case "hashtag":
		return "EXISTS (SELECT 1 FROM hashtags h WHERE h.change_id = c.id)", nil
	case "reviewer":
		return "EXISTS (SELECT 1 FROM reviewers w WHERE w.change_id = c.id AND w.state = 'reviewer')", nil
	case "votes":
		return "EXISTS (SELECT 1 FROM votes v WHERE v.change_id = c.id AND v.ps = c.current_ps)", nil
	case "unresolved":
		return `EXISTS (SELECT 1 FROM comments m WHERE m.change_id = c.id AND m.unresolved = 1 AND NOT EXISTS (
			SELECT 1 FROM comments n WHERE n.change_id = m.change_id AND n.id > m.id
			AND n.reply_to = CASE WHEN m.reply_to = 0 THEN m.id ELSE m.reply_to END))`, nil
	case "draft", "star":
		me, err := c.self(n)
		if err != nil {
			return "", err
		}
		table := map[string]string{"draft": "drafts", "star": "stars"}[strings.ToLower(n.value)]
		return c.member(ctx, "SELECT change_id FROM "+table+" WHERE account_id = "+me, "", must)
	}
	return "", wrong(n.at, fmt.Sprintf("nothing here has %q", clip(n.value)), "known are attention, draft, hashtag, reviewer, star, topic, unresolved and votes")
}
