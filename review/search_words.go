package review

import (
	"context"
	"strings"
	"unicode/utf8"
)

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
