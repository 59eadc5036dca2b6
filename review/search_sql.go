package review

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

const (
	// fewEnough is up to how many changes a term may have for the search to begin with them
	// and sort; beyond it the newest changes are read in order and looked at one by one.
	fewEnough = 2000
	// maxSavedDepth is how deep saved searches may name each other.
	maxSavedDepth = 3
)

// compiler makes a statement of a search, for one person at one moment.
type compiler struct {
	*Service
	q     db.Querier
	actor account.Actor
	now   time.Time
	args  []any
	depth int // of saved searches in each other
	// drive is the narrowest set of changes that what is searched for must be in, and driven
	// how many they are; "" while none is narrow.
	drive  string
	driven int
	// needs are the standings that must hold of what is found; opens are those that other
	// parts of the search depend on.
	needs []string
	opens map[string]bool
}

// arg adds a value and gives its place.
func (c *compiler) arg(v any) string {
	c.args = append(c.args, v)
	return fmt.Sprintf("$%d", len(c.args))
}

// compile is the condition on changes c that a search is. must says that nothing is found that
// it does not hold of: then a narrow term may drive the statement.
func (c *compiler) compile(ctx context.Context, n *node, must bool) (string, error) {
	switch n.kind {
	case nodeTerm:
		return c.term(ctx, n, must)
	case nodeNot:
		inner, err := c.compile(ctx, n.kids[0], false)
		if op := n.kids[0].op; op == "age" || op == "before" || op == "after" {
			// Turned round, an index serves: the newest are read up to there and no further.
			return strings.NewReplacer("<=", ">", ">=", "<", "<", ">=").Replace(inner), err
		}
		return "NOT (" + inner + ")", err
	}
	glue := " AND "
	if n.kind == nodeOr {
		glue, must = " OR ", false
	}
	var parts []string
	for _, kid := range n.kids {
		part, err := c.compile(ctx, kid, must)
		if err != nil {
			return "", err
		}
		parts = append(parts, "("+part+")")
	}
	return strings.Join(parts, glue), nil
}

// member is the condition that a change is in a set. set selects change_id from a table and
// ends in its conditions; one, when it is not "", is the same with conditions that are quick
// for one change.
func (c *compiler) member(ctx context.Context, set, one string, must bool) (string, error) {
	var n int
	query, args := c.bind(fmt.Sprintf(`SELECT count(*) FROM (%s LIMIT %d) few`, set, fewEnough+1))
	if err := c.q.QueryRowContext(ctx, query, args...).Scan(&n); err != nil {
		return "", fmt.Errorf("review: search: %w", err)
	}
	if n <= fewEnough {
		if must && (c.drive == "" || n < c.driven) {
			c.drive, c.driven = set, n
		}
		return "c.id IN (" + set + ")", nil
	}
	if one == "" {
		one = set
	}
	return "EXISTS (" + one + " AND change_id = c.id)", nil
}

var placeholder = regexp.MustCompile(`\$[0-9]+`)

// bind numbers the places of a statement anew, in the order in which they stand, and gives
// their values: PostgreSQL refuses values that a statement does not use.
func (c *compiler) bind(query string) (string, []any) {
	var used []any
	numbers := map[string]string{}
	query = placeholder.ReplaceAllStringFunc(query, func(place string) string {
		if numbers[place] == "" {
			n, _ := strconv.Atoi(place[1:]) // digits alone
			used = append(used, c.args[n-1])
			numbers[place] = fmt.Sprintf("$%d", len(used))
		}
		return numbers[place]
	})
	return query, used
}

// person is the account that a term names.
func (c *compiler) person(ctx context.Context, n *node) (int64, error) {
	name := strings.ToLower(n.value)
	if name == "self" || name == "me" {
		if c.actor.ID == 0 {
			return 0, wrong(n.at, "nobody is signed in, so there is no "+name, "sign in, or name an account")
		}
		return c.actor.ID, nil
	}
	find := c.Accounts.ByName
	if strings.Contains(name, "@") {
		find = c.Accounts.ByEmail
	}
	a, err := find(ctx, c.q, name)
	if fault.Is(err, fault.NotFound) {
		return 0, wrong(n.at, fmt.Sprintf("there is no account %q", clip(n.value)), "use an account's name or e-mail address")
	}
	return a.ID, err
}

// self is the searcher, for what is about them.
func (c *compiler) self(n *node) (string, error) {
	if c.actor.ID == 0 {
		return "", wrong(n.at, n.op+":"+n.value+" is about somebody who signed in", "sign in and search again")
	}
	return c.arg(c.actor.ID), nil
}

func (c *compiler) term(ctx context.Context, n *node, must bool) (string, error) {
	switch n.op {
	case "":
		return c.bare(ctx, n, must)
	case "status":
		return c.status(n, must)
	case "is":
		return c.is(ctx, n, must)
	case "has":
		return c.has(ctx, n, must)
	case "owner", "uploader", "reviewer", "cc", "attention":
		return c.people(ctx, n, must)
	case "author":
		return c.author(ctx, n, must)
	case "label":
		return c.label(ctx, n)
	case "repo":
		return "r.name = " + c.arg(n.value), nil
	case "branch":
		return "c.branch = " + c.arg(strings.TrimPrefix(n.value, "refs/heads/")), nil
	case "topic":
		return column("topic", " || ''", must) + " = " + c.arg(n.value), nil
	case "hashtag":
		return c.member(ctx, "SELECT change_id FROM hashtags WHERE tag = "+c.arg(strings.TrimPrefix(n.value, "#")), "", must)
	case "file", "dir", "ext":
		return c.file(ctx, n, must)
	case "message", "subject":
		return c.words(ctx, n, must)
	case "change":
		return c.change(n)
	case "commit":
		return c.commit(ctx, n, must)
	case "age", "before", "after":
		return c.time(n)
	case "query":
		return c.saved(ctx, n, must)
	}
	panic("review: no SQL for operator " + n.op)
}

var (
	changeID = regexp.MustCompile(`^[iI][0-9a-f]{6,40}$`)
	someSHA  = regexp.MustCompile(`^[0-9a-f]{7,40}$`)
	digits   = regexp.MustCompile(`^[0-9]{1,15}$`)
)

// bare is a word alone: a change's number or Change-Id, a commit, an address, or words.
func (c *compiler) bare(ctx context.Context, n *node, must bool) (string, error) {
	switch {
	case digits.MatchString(n.value), changeID.MatchString(n.value):
		return c.change(n)
	case someSHA.MatchString(n.value):
		return c.commit(ctx, n, must)
	case strings.Contains(n.value, "@") && !strings.Contains(n.value, " "):
		return c.author(ctx, n, must)
	}
	return c.words(ctx, n, must)
}

func (c *compiler) people(ctx context.Context, n *node, must bool) (string, error) {
	id, err := c.person(ctx, n)
	if err != nil {
		return "", err
	}
	who := c.arg(id)
	switch n.op {
	case "owner":
		return column("owner_id", " + 0", must) + " = " + who, nil
	case "uploader":
		return "EXISTS (SELECT 1 FROM patch_sets p WHERE p.change_id = c.id AND p.number = c.current_ps AND p.uploader_id = " + who + ")", nil
	case "attention":
		return c.member(ctx, "SELECT change_id FROM attention WHERE account_id = "+who, "", must)
	}
	return c.member(ctx, "SELECT change_id FROM reviewers WHERE state = '"+n.op+"' AND account_id = "+who, "", must)
}

// author finds by the address, or by the words of the name, of who wrote the commit.
func (c *compiler) author(ctx context.Context, n *node, must bool) (string, error) {
	name := strings.ToLower(n.value)
	if name == "self" || name == "me" {
		if _, err := c.self(n); err != nil {
			return "", err
		}
		name = strings.ToLower(c.actor.Email)
	} else if a, err := c.Accounts.ByName(ctx, c.q, name); err == nil {
		name = strings.ToLower(a.Email)
	} else if !fault.Is(err, fault.NotFound) {
		return "", err
	}
	return c.member(ctx, "SELECT change_id FROM search_terms WHERE field = '"+fieldAuthor+"' AND term = "+c.arg(name), "", must)
}

var labelVote = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9-]*?)(=|>=|<=|>|<|)([+-]?[0-9]{1,3})(?:,(?:user=)?(.+))?$`)

func (c *compiler) label(ctx context.Context, n *node) (string, error) {
	m := labelVote.FindStringSubmatch(n.value)
	if m == nil || m[2] == "" && !strings.ContainsAny(m[3], "+-") {
		return "", wrong(n.at, fmt.Sprintf("%q is no vote", clip(n.value)), "write label:Code-Review=+2, label:Code-Review<0 or label:Code-Review=+1,alice")
	}
	value, _ := strconv.Atoi(m[3]) // the pattern holds a few digits
	compare := m[2]
	if compare == "" {
		compare = "="
	}
	who := ""
	if m[4] != "" {
		id, err := c.person(ctx, &node{value: m[4], at: n.at})
		if err != nil {
			return "", err
		}
		who = " AND v.account_id = " + c.arg(id)
	}
	votes := "EXISTS (SELECT 1 FROM votes v WHERE v.change_id = c.id AND v.ps = c.current_ps AND LOWER(v.label) = " + c.arg(strings.ToLower(m[1])) + who
	if compare == "=" && value == 0 {
		return "NOT " + votes + ")", nil
	}
	return votes + " AND v.value " + compare + " " + c.arg(value) + ")", nil
}

func (c *compiler) change(n *node) (string, error) {
	switch {
	case digits.MatchString(n.value):
		id, err := strconv.ParseInt(n.value, 10, 64)
		if err != nil {
			return "", wrong(n.at, "this is no number of a change", "change numbers are small")
		}
		return "c.id = " + c.arg(id), nil
	case changeID.MatchString(n.value):
		from := "I" + n.value[1:]
		if len(from) == 41 {
			return "c.change_key = " + c.arg(from), nil
		}
		return "c.change_key >= " + c.arg(from) + " AND c.change_key < " + c.arg(from+"g"), nil
	}
	return "c.change_key = " + c.arg(n.value), nil
}

func (c *compiler) commit(ctx context.Context, n *node, must bool) (string, error) {
	sha := strings.ToLower(n.value)
	if !someSHA.MatchString(sha) {
		return "", wrong(n.at, "this is no commit", "write at least 7 of its 40 hexadecimal digits")
	}
	return c.member(ctx, "SELECT change_id FROM patch_sets WHERE commit_oid >= "+c.arg(sha)+" AND commit_oid < "+c.arg(sha+"g"), "", must)
}
