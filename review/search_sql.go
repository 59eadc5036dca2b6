package review

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

const (
	// fewEnough is up to how many changes a term may have for the search to begin with them
	// and sort; beyond it the newest changes are read in order and looked at one by one.
	fewEnough = 2000
	// maxSaved is how deep saved searches may name each other, and how many watches an
	// account has.
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
	}
	sets := map[string]string{
		"starred":   "SELECT change_id FROM stars WHERE account_id = %s",
		"attention": "SELECT change_id FROM attention WHERE account_id = %s",
		"reviewer":  "SELECT change_id FROM reviewers WHERE state = 'reviewer' AND account_id = %s",
		"cc":        "SELECT change_id FROM reviewers WHERE state = 'cc' AND account_id = %s",
	}
	if word != "owner" && word != "mine" && sets[word] == "" {
		return "", wrong(n.at, fmt.Sprintf("nothing here is %q", clip(n.value)),
			"known are open, closed, landed, abandoned, wip, private, submitted, reviewed, starred, watched, attention, owner, reviewer and cc")
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

var (
	ageText = regexp.MustCompile(`^([0-9]{1,6}) ?([a-z]+)$`)
	units   = map[string]time.Duration{
		"s": time.Second, "sec": time.Second, "m": time.Minute, "min": time.Minute, "h": time.Hour, "hr": time.Hour, "hour": time.Hour,
		"d": 24 * time.Hour, "day": 24 * time.Hour, "w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour,
		"mon": 30 * 24 * time.Hour, "month": 30 * 24 * time.Hour, "y": 365 * 24 * time.Hour, "year": 365 * 24 * time.Hour,
	}
)

func (c *compiler) time(n *node) (string, error) {
	if n.op == "age" {
		m := ageText.FindStringSubmatch(strings.ToLower(n.value))
		unit := time.Duration(0)
		if m != nil {
			unit = units[m[2]]
			if unit == 0 {
				unit = units[strings.TrimSuffix(m[2], "s")]
			}
		}
		if unit == 0 {
			return "", wrong(n.at, fmt.Sprintf("%q is no age", clip(n.value)), "write it as 30min, 12h, 2d, 3w, 1mon or 1y")
		}
		count, _ := strconv.Atoi(m[1]) // the pattern holds a few digits
		if time.Duration(count) > 200*units["y"]/unit {
			return "", wrong(n.at, "nothing here is so old", "write a smaller number")
		}
		return "c.updated_at <= " + c.arg(db.Micros(c.now.Add(-time.Duration(count)*unit))), nil
	}
	for _, layout := range []string{"2006-01-02", "2006-01-02 15:04", "2006-01-02 15:04:05", time.RFC3339} {
		t, err := time.Parse(layout, n.value)
		if err != nil {
			continue
		}
		if n.op == "before" {
			return "c.updated_at < " + c.arg(db.Micros(t)), nil
		}
		return "c.updated_at >= " + c.arg(db.Micros(t)), nil
	}
	return "", wrong(n.at, fmt.Sprintf("%q is no day", clip(n.value)), "write it as 2030-01-31 or \"2030-01-31 15:04\", in UTC")
}

// file finds by what the current patch set touches.
func (c *compiler) file(ctx context.Context, n *node, must bool) (string, error) {
	value := clean(strings.Trim(strings.TrimPrefix(n.value, "./"), "/"))
	set := "SELECT change_id FROM search_terms WHERE "
	part := func(term string) string { return "field = '" + fieldPart + "' AND term = " + c.arg(term) }
	switch {
	case value == "":
		return "", wrong(n.at, n.op+": needs a path below the root", "write "+n.op+":web/ or "+n.op+":README.md")
	case n.op == "ext":
		return c.member(ctx, set+part("*."+strings.ToLower(strings.TrimPrefix(value, "."))), "", must)
	case n.op == "dir":
		return c.member(ctx, set+part(value+"/"), "", must)
	case strings.HasPrefix(value, "*.") && !strings.ContainsAny(value[2:], "*?/."):
		return c.member(ctx, set+part(strings.ToLower(value)), "", must)
	case strings.ContainsAny(value, "*?"):
		literal := value[:strings.IndexAny(value, "*?")]
		like := "SUBSTR(term, 1, " + c.arg(utf8.RuneCountInString(literal)) + ") = " + c.arg(literal) + " AND term LIKE " + c.arg(likeOf(value)) + ` ESCAPE '\'`
		return c.member(ctx, set+"field = '"+fieldPath+"'"+c.rangeOf(literal)+" AND "+like, set+ofOne(fieldPath)+" AND "+like, must)
	}
	return c.member(ctx, set+"(field = '"+fieldPath+"' AND term = "+c.arg(value)+" OR "+part(value)+" OR "+part(value+"/")+")", "", must)
}

// likeOf is a pattern of ours as SQL's LIKE has it: ** and * are anything.
func likeOf(pattern string) string {
	escaped := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(pattern)
	return strings.NewReplacer("**", "%", "*", "%", "?", "_").Replace(escaped)
}

// words finds by words of the message; the last may be the beginning of one.
func (c *compiler) words(ctx context.Context, n *node, must bool) (string, error) {
	text := strings.ToLower(n.value)
	words := strings.FieldsFunc(text, notOfWord)
	if len(words) == 0 {
		return "", wrong(n.at, "there is no word in this", "search for letters or digits")
	}
	const most = 10 // more words narrow nothing
	words = words[:min(len(words), most)]
	var parts []string
	for i, word := range words {
		part, err := c.word(ctx, word, i == len(words)-1, must)
		if err != nil {
			return "", err
		}
		parts = append(parts, part)
	}
	if n.op == "subject" {
		parts = append(parts, "LOWER(c.subject) LIKE "+c.arg("%"+likeText(text)+"%")+` ESCAPE '\'`)
	} else if len(words) > 1 && ascii(text) {
		parts = append(parts, "EXISTS (SELECT 1 FROM patch_sets p WHERE p.change_id = c.id AND p.number = c.current_ps AND LOWER(p.message) LIKE "+
			c.arg("%"+likeText(text)+"%")+` ESCAPE '\')`)
	}
	return strings.Join(parts, " AND "), nil
}

func likeText(text string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text)
}

func ascii(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}

// leastPrefix is from how many letters on a word finds those that begin with it.
const leastPrefix = 3

func (c *compiler) word(ctx context.Context, word string, last, must bool) (string, error) {
	if len(word) > maxTerm {
		word = strings.ToValidUTF8(word[:maxTerm], "")
	}
	set := "SELECT change_id FROM search_terms WHERE field = '" + fieldWord + "'"
	if !last || len(word) < leastPrefix || !ascii(word) {
		return c.member(ctx, set+" AND term = "+c.arg(word), "", must)
	}
	begins := " AND SUBSTR(term, 1, " + c.arg(len(word)) + ") = " + c.arg(word)
	return c.member(ctx, set+c.rangeOf(word)+begins, "SELECT change_id FROM search_terms WHERE "+ofOne(fieldWord)+begins, must)
}

// ofOne asks for the field in a way for which no index serves, so that the index of the
// change's terms is used: a change has few, a field very many.
func ofOne(field string) string { return "field || '' = '" + field + "'" }

// rangeOf narrows terms to about those that begin with a text, so that an index can be used
// whatever the database's order of letters: it may let more through, never less.
func (c *compiler) rangeOf(prefix string) string {
	end := len(prefix)
	for i, r := range prefix { // beyond plain letters and digits orders differ
		if r >= utf8.RuneSelf || notOfWord(r) || r == '_' || r >= 'A' && r <= 'Z' {
			end = i
			break
		}
	}
	prefix = prefix[:end]
	if prefix == "" {
		return ""
	}
	upper := []byte(prefix)
	for len(upper) > 0 && upper[len(upper)-1] == 'z' {
		upper = upper[:len(upper)-1]
	}
	condition := " AND term >= " + c.arg(prefix)
	if len(upper) == 0 {
		return condition
	}
	if upper[len(upper)-1] == '9' {
		upper[len(upper)-1] = 'a' // digits stand before letters everywhere
	} else {
		upper[len(upper)-1]++
	}
	return condition + " AND term < " + c.arg(string(upper))
}

// saved is a saved search of the searcher's.
func (c *compiler) saved(ctx context.Context, n *node, must bool) (string, error) {
	if _, err := c.self(n); err != nil {
		return "", err
	}
	all, err := c.SavedSearches(ctx, c.actor)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(all, func(s SavedSearch) bool { return strings.EqualFold(s.Name, n.value) })
	if i < 0 {
		return "", wrong(n.at, fmt.Sprintf("you have no search called %q", clip(n.value)), "save one on the page of all changes")
	}
	return c.nested(ctx, n, all[i].Query, must)
}

// nested compiles a search inside another.
func (c *compiler) nested(ctx context.Context, n *node, query string, must bool) (string, error) {
	if c.depth++; c.depth > maxSavedDepth {
		return "", wrong(n.at, "saved searches name each other too deep", "write one of them out")
	}
	defer func() { c.depth-- }()
	inner, err := parseQuery(query)
	if err == nil && inner == nil {
		return "1 = 1", nil
	}
	var text string
	if err == nil {
		text, err = c.compile(ctx, inner, must)
	}
	if err != nil {
		said, next := fault.Public(err)
		return "", wrong(n.at, fmt.Sprintf("in %q: %s", clip(query), said), next)
	}
	return "(" + text + ")", nil
}

// watched are the changes that the searcher watches.
func (c *compiler) watched(ctx context.Context, n *node) (string, error) {
	if _, err := c.self(n); err != nil {
		return "", err
	}
	all, err := c.Watches(ctx, c.actor)
	if err != nil {
		return "", err
	}
	watches := []string{"1 = 0"}
	for _, w := range all {
		parts := []string{"1 = 1"}
		if w.Repo != 0 {
			parts = append(parts, "c.repo_id = "+c.arg(w.Repo))
		}
		if w.Branch != "" {
			parts = append(parts, "c.branch = "+c.arg(w.Branch))
		}
		if w.Path != "" {
			part, err := c.file(ctx, &node{op: "file", value: w.Path, at: n.at}, false)
			if err != nil {
				return "", err
			}
			parts = append(parts, part)
		}
		if w.Query != "" {
			part, err := c.nested(ctx, n, w.Query, false)
			if err != nil {
				return "", err
			}
			parts = append(parts, part)
		}
		watches = append(watches, strings.Join(parts, " AND "))
	}
	return "(" + strings.Join(watches, ") OR (") + ")", nil
}
