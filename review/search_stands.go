package review

import (
	"context"
	"strings"
)

// How a change stands before its gates is derived from its rows, its plan and the clock, and
// stored nowhere. So a search for it lets the database find what can match, and asks the gates
// about each that it depends on: the answer is the one that the change's own page gives.

// Standing is how an open change stands before its gates.
type Standing struct {
	Submittable bool // nothing is missing but that somebody asks to land it, or it is on its way
	Mergeable   bool // it is not known to be in conflict with its branch
}

// maxJudged is how many changes one page asks the gates about: each is about ten small reads.
// What is left is on the next page.
const maxJudged = 150

// standings are what a search can ask of the gates, and how a Standing answers. In SQL they
// stand as {word}; nothing else of a search is text in its SQL.
var standings = map[string]func(Standing) bool{
	"submittable": func(s Standing) bool { return s.Submittable },
	"mergeable":   func(s Standing) bool { return s.Mergeable },
}

// possible is the condition without which no change stands so.
func possible(word string, must bool) string {
	open := column("status", " || ''", must) + " = '" + string(Open) + "'"
	if word == "submittable" {
		return open + " AND c.wip = 0 AND c.private = 0"
	}
	return open
}

// stands is the condition of is:submittable and is:mergeable. Where it must hold, it narrows
// what is read; elsewhere it stays open until the change is judged.
func (c *compiler) stands(n *node, word string, must bool) (string, error) {
	if c.Standing == nil {
		return "", wrong(n.at, "nobody here knows what is "+word, "search for is:open")
	}
	if must {
		c.needs = append(c.needs, word)
		return possible(word, true), nil
	}
	c.opens[word] = true
	return "{" + word + "}", nil
}

// variants are the condition for each way in which the gates can answer what is open in it; the
// condition alone when nothing is.
func (c *compiler) variants(where string) []string {
	all := []string{where}
	for _, word := range c.loose() {
		var next []string
		for _, v := range all {
			next = append(next, strings.ReplaceAll(v, "{"+word+"}", "1 = 0"), strings.ReplaceAll(v, "{"+word+"}", possible(word, false)))
		}
		all = next
	}
	return all
}

// loose are the open words, in one order.
func (c *compiler) loose() (words []string) {
	for _, word := range []string{"submittable", "mergeable"} {
		if c.opens[word] {
			words = append(words, word)
		}
	}
	return words
}

// found is a change that a search may have found, with which of the variants hold of it.
type found struct {
	Change
	holds []bool
}

// settled reports whether no answer of the gates can change that it is found.
func (c *compiler) settled(f found) bool {
	for _, holds := range f.holds {
		if !holds {
			return false
		}
	}
	return len(c.needs) == 0
}

// judge reports whether a change is found, and whether the gates were asked.
func (c *compiler) judge(ctx context.Context, f found) (ok, asked bool, err error) {
	if c.settled(f) {
		return true, false, nil
	}
	s, err := c.Standing(ctx, c.q, f.ID)
	if err != nil {
		return false, true, err
	}
	for _, word := range c.needs {
		if !standings[word](s) {
			return false, true, nil
		}
	}
	which := 0
	for _, word := range c.loose() {
		if which *= 2; standings[word](s) {
			which++
		}
	}
	return len(f.holds) == 0 || f.holds[which], true, nil
}

// found reads a row of a batch.
func (c *compiler) found(row scanner, variants int) (found, error) {
	if variants < 2 {
		ch, err := scanChange(row)
		return found{Change: ch}, err
	}
	f := found{holds: make([]bool, variants)}
	flags := make([]int64, variants)
	var err error
	f.Change, err = scanChange(extended{row, flags})
	for i := range flags {
		f.holds[i] = flags[i] != 0
	}
	return f, err
}

// extended is a row with flags behind its own columns.
type extended struct {
	scanner
	flags []int64
}

func (e extended) Scan(to ...any) error {
	for i := range e.flags {
		to = append(to, &e.flags[i])
	}
	return e.scanner.Scan(to...)
}
