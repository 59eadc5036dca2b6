package web

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"gatehouse/gitserver/git"
	"gatehouse/review"
)

// reviewed is the newest patch set before the current one that an account reviewed, 0 for
// none, and for somebody who reviewed the current one already.
func (v *changeView) reviewed(who int64) int {
	last := 0
	for _, vote := range v.votes {
		if vote.Account == who && vote.CopiedFrom == 0 {
			last = max(last, vote.PS)
		}
	}
	for _, c := range v.comments {
		if c.Author == who {
			last = max(last, c.PS)
		}
	}
	for _, m := range v.messages {
		if m.Author == who && reviewed.MatchString(m.Body) {
			last = max(last, m.PS)
		}
	}
	if last >= v.Change.Current {
		return 0
	}
	return last
}

// patchSet is one of the change's patch sets, nil when there is none of that number.
func (v *changeView) patchSet(number int) *review.PatchSet {
	for i := range v.PatchSets {
		if v.PatchSets[i].Number == number {
			return &v.PatchSets[i]
		}
	}
	return nil
}

// diffOf is what of the change the address asks to see, and against what.
func (w *Web) diffOf(c *call, v *changeView) (diffRequest, error) {
	g, err := w.Repos.Open(v.Repo)
	if err != nil {
		return diffRequest{}, err
	}
	self := *c.r.URL
	self.Path = fmt.Sprintf("/c/%d", v.Change.ID)
	if v.Since != 0 { // links out of the page lead back to the same comparison
		self.RawQuery = addQuery(self.Query(), "base", strconv.Itoa(v.Since))
	}
	q := diffRequest{
		lang: w.speech(c).lang,
		repo: v.Repo.Name, git: g, from: treeOrEmpty(v.PS.Parent), to: v.PS.Commit, landed: treeOrEmpty(v.PS.Parent), unified: w.wantsUnified(c),
		ws: v.WS, only: c.query("file"), filter: c.query("filter"), self: &self, parts: fmt.Sprintf("/c/%d/file", v.Change.ID), context: rangesOf(c.query("context")),
	}
	q.at = atOf(c.query("at"))
	if q.seen, err = w.seenOf(c, g, v.Change.ID, v.PS); err != nil {
		return q, err
	}
	base := v.patchSet(v.Base)
	if base != nil {
		v.WholeURL = q.with("base", "0") + "#files"
		if err := w.setBetween(c, v, &q, g, *base); err != nil {
			return q, err
		}
	}
	if v.PS.Parents > 1 {
		v.Rebased = strings.TrimSpace(v.Rebased + " This is a merge commit: it is compared with its first parent.")
	}
	if q.talk, err = w.talkOf(c, v, q); err != nil {
		return q, err
	}
	if v.Old {
		if v.checks, err = w.Gate.Checks(c.ctx(), c.actor, v.Change.ID, v.PS.Number); err != nil {
			return q, err
		}
	}
	q.marks = marksOf(v.checks)
	q.message = q.messageOf(base, v.PS)
	return q, nil
}

// setBetween compares two patch sets.
func (w *Web) setBetween(c *call, v *changeView, q *diffRequest, g *git.Repo, base review.PatchSet) error {
	q.from = base.Commit
	v.NoiseShown = c.query("noise") == "show"
	var err error
	if q.between, err = w.betweenOf(c.ctx(), g, base, v.PS, v.NoiseShown); err != nil {
		return err
	}
	switch {
	case q.between != nil:
		q.from = q.between.from()
		v.Rebased, v.NoiseURL = q.between.notice(), q.with("noise", pick(v.NoiseShown, "", "show"))+"#files"
	case base.Parent != v.PS.Parent:
		v.Rebased = fmt.Sprintf("Patch sets %d and %d stand on different commits: what landed between them shows here too.", base.Number, v.PS.Number)
	}
	return nil
}

func addQuery(values url.Values, name, value string) string {
	values.Set(name, value)
	return values.Encode()
}

// atOf reads a line that the address links to, as "path:R12".
func atOf(text string) spot {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return spot{path: text}
	}
	m := anchor.FindStringSubmatch(text[i+1:])
	if m == nil {
		return spot{path: text}
	}
	at := spot{path: text[:i], side: 'R'}
	if m[1] == "L" {
		at.side = 'L'
	}
	at.line, _ = strconv.Atoi(m[2]) // eight digits at most
	return at
}

// lines are the lines of a file that threads stand at, and the one that a form was asked for.
func (t *talk) lines(path string, side byte) (all []int) {
	for _, th := range t.threads {
		if th.Path == path && th.Line > 0 && t.on(th, side) {
			all = append(all, th.Line)
		}
	}
	if f := t.form; f != nil && f.Path == path && f.Line > 0 && (f.Side == review.SideOld) == (side == 'L') {
		all = append(all, f.Line)
	}
	return all
}

// changeFile is one file of the change's diff without the page around it, for the script.
func (w *Web) changeFile(c *call) error {
	id, err := c.number("n")
	if err != nil {
		return err
	}
	path := c.query("file")
	v, err := w.changeParts(c.ctx(), c, id)
	if err != nil {
		return err
	}
	if err := v.choose(c); err != nil {
		return err
	}
	q, err := w.diffOf(c, v)
	if err != nil {
		return err
	}
	if v.Diff, err = w.diff(c.ctx(), q); err != nil {
		return err
	}
	for i := range v.Diff.Files {
		f := &v.Diff.Files[i]
		if f.Path != path {
			continue
		}
		defer v.Diff.done()
		v.Diff.fill(i)
		text, err := w.renderPart(c, "change", "file", fileOn{f, v.Diff})
		if err != nil {
			return err
		}
		c.rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		send(c.rw, text)
		return nil
	}
	return notFound("web.changeFile", "there is no such file in this difference")
}

// fileOn is a file with the page that it stands on.
type fileOn struct {
	*fileDiff
	On *diffView
}
