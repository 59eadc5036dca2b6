package web

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/review"
)

// maxEditText is what a form can carry of one file: in a form each byte may take three.
const maxEditText = 300 << 10

// actRoutes are the addresses of the acts that need more than a button.
func actRoutes() []route {
	get, post := http.MethodGet, http.MethodPost
	c := "/c/" + numPattern
	return []route{
		{"change.acts", get, c + "/acts", rightSession, false, (*Web).actsPage},
		{"change.edit", get, c + "/edit", rightSession, false, (*Web).editMessagePage},
		{"change.edit.do", post, c + "/edit", rightSession, true, (*Web).editMessage},
		{"change.edit.file", get, c + "/edit/" + restPattern, rightSession, false, (*Web).editFilePage},
		{"change.edit.file.do", post, c + "/edit/" + restPattern, rightSession, true, (*Web).editFile},
		{"change.rebase.do", post, c + "/rebase", rightSession, true, (*Web).rebase},
		{"change.pick.do", post, c + "/pick", rightSession, true, (*Web).pick},
		{"change.revert.do", post, c + "/revert", rightSession, true, (*Web).revert},
		{"change.move.do", post, c + "/move", rightSession, true, (*Web).move},
		{"change.topic.do", post, c + "/topic", rightSession, false, (*Web).topic},
		{"change.hashtags.do", post, c + "/hashtags", rightSession, false, (*Web).hashtags},
		{"change.private.do", post, c + "/private", rightSession, false, act("private", doPrivate)},
		{"change.public.do", post, c + "/public", rightSession, false, act("public", doPublic)},
	}
}

// editView is a page on which the message or a file of a change is edited.
type editView struct {
	Change  review.Change
	PS      int // the patch set that the text was made from
	Files   []actLink
	Message string

	Action  string // where the form goes
	Path    string // as it is in the patch set, "" for the message
	New     bool   // the patch set has no such file
	To      string // where the file goes
	Text    string
	CRLF    bool   // its lines end so
	Why     string // why there is no text to edit
	Mode    string
	Problem string // why the edit was not taken
	Theirs  string // the text of the patch set that is current now
	Lost    bool   // the patch set changed meanwhile
}

// editable finds a change that the visitor may edit.
func (w *Web) editable(c *call) (*editView, *git.Repo, error) {
	id, err := c.number("n")
	if err != nil {
		return nil, nil, err
	}
	v := &editView{}
	if v.Change, err = w.Review.Get(c.ctx(), c.actor, id); err != nil {
		return nil, nil, err
	}
	r, err := w.Repos.ByID(c.ctx(), w.DB.Read(), v.Change.Repo)
	if err != nil {
		return nil, nil, err
	}
	resource := r.Resource(v.Change.Branch)
	resource.ChangeOwner = v.Change.Owner
	if err := w.may(c, account.Edit, resource); err != nil {
		return nil, nil, err
	}
	if v.Change.Status != review.Open {
		return nil, nil, fault.New(fault.Conflict, "web.edit", fmt.Sprintf("change %d is %s, so there is nothing to edit", id, v.Change.Status), "")
	}
	v.PS = v.Change.Current
	g, err := w.Repos.Open(r)
	return v, g, err
}

// editURL is where a file of a change is edited.
func editURL(change int64, path string) string {
	return fmt.Sprintf("/c/%d/edit/%s", change, escapePath(path))
}

// editMessagePage shows the message and the files, each to be edited.
func (w *Web) editMessagePage(c *call) error {
	v, g, err := w.editable(c)
	if err != nil {
		return err
	}
	if path := c.query("path"); path != "" {
		c.seeOther(editURL(v.Change.ID, strings.Trim(path, "/")), "")
		return nil
	}
	return w.showMessage(c, g, v, http.StatusOK)
}

func (w *Web) showMessage(c *call, g *git.Repo, v *editView, status int) error {
	ps, err := w.Review.PatchSet(c.ctx(), w.DB.Read(), v.Change.ID, v.Change.Current)
	if err != nil {
		return err
	}
	if status == http.StatusOK {
		v.Message = ps.Message
	}
	if v.Lost {
		v.Theirs = ps.Message
	}
	from := ps.Parent
	if from == "" || from.IsZero() {
		from = git.EmptyTree
	}
	files, err := g.ChangedFiles(c.ctx(), from, ps.Commit)
	if err != nil {
		return err
	}
	for _, f := range files {
		v.Files = append(v.Files, actLink{f.Path, editURL(v.Change.ID, f.Path)})
	}
	return w.render(c, status, "edit", fmt.Sprintf("Edit change %d", v.Change.ID), v, withUp(fmt.Sprintf("/c/%d", v.Change.ID)))
}

// basePS is the patch set that the reader saw when they began to edit.
func (c *call) basePS() (int, error) {
	base, err := strconv.Atoi(c.r.PostForm.Get("ps"))
	if err != nil {
		return 0, fault.New(fault.Invalid, "web.edit", "the form does not say which patch set it is about", "reload the page")
	}
	return base, nil
}

func (w *Web) editMessage(c *call) error {
	v, g, err := w.editable(c)
	if err != nil {
		return err
	}
	form := c.r.PostForm
	base, err := c.basePS()
	if err != nil {
		return err
	}
	v.Message = newlines(form.Get("message")) + "\n"
	_, err = w.Review.Amend(c.ctx(), c.actor, v.Change.ID, base, review.Amendment{Message: v.Message, Title: "Edited the message"})
	if err == nil {
		c.seeOther(fmt.Sprintf("/c/%d", v.Change.ID), "edited")
		return nil
	}
	if status, kept := v.keep(err, base); kept {
		return w.showMessage(c, g, v, status)
	}
	return err
}

// keep has a refused edit shown again with its text, unless there is no sense in it.
func (v *editView) keep(err error, base int) (status int, kept bool) {
	kind := fault.KindOf(err)
	switch kind {
	case fault.Conflict, fault.Refused, fault.Invalid, fault.TooLarge, fault.NotFound, fault.Unavailable:
	default:
		return 0, false
	}
	v.Problem = faultSentence(err)
	if base != v.Change.Current {
		v.Lost = true
		v.Problem = fmt.Sprintf("Patch set %d came while you edited patch set %d. Your text is below, and what the file holds now beneath it. Saving now puts yours in its place.", v.Change.Current, base)
	}
	return statusOf(kind), true
}

// readEdited reads the file that is edited from the current patch set.
func (w *Web) readEdited(c *call, g *git.Repo, v *editView, path string) error {
	ps, err := w.Review.PatchSet(c.ctx(), w.DB.Read(), v.Change.ID, v.Change.Current)
	if err != nil {
		return err
	}
	v.Path, v.To, v.Action = path, path, editURL(v.Change.ID, path)
	e, err := g.Entry(c.ctx(), ps.Commit, path)
	switch {
	case fault.Is(err, fault.NotFound):
		v.New = true
		return nil
	case err != nil:
		return err
	case e.Type == "tree":
		return fault.New(fault.Invalid, "web.edit", "this is a directory", "name a file in it")
	case e.Type != "blob" || e.Mode == "120000":
		v.Why = "It is a symbolic link or a submodule: change it in a working copy and push."
		return nil
	}
	v.Mode = e.Mode
	text, err := g.Blob(c.ctx(), e.OID, maxEditText)
	switch {
	case fault.Is(err, fault.TooLarge):
		v.Why = "It is too large to be edited here: edit it in a working copy and push."
		return nil
	case err != nil:
		return err
	case !utf8.Valid(text) || bytes.ContainsRune(text, 0):
		v.Why = "It is not text: it can be moved or deleted here."
		return nil
	}
	v.CRLF = bytes.Contains(text, []byte("\r\n")) && bytes.Count(text, []byte("\r\n")) == bytes.Count(text, []byte("\n"))
	v.Text = strings.ReplaceAll(string(text), "\r\n", "\n")
	return nil
}

func (w *Web) editFilePage(c *call) error {
	v, g, err := w.editable(c)
	if err != nil {
		return err
	}
	if err := w.readEdited(c, g, v, c.variable("rest")); err != nil {
		return err
	}
	return w.showEdited(c, v, http.StatusOK)
}

func (w *Web) showEdited(c *call, v *editView, status int) error {
	return w.render(c, status, "edit-file", fmt.Sprintf("Edit %s in change %d", v.Path, v.Change.ID), v, withUp(fmt.Sprintf("/c/%d/edit", v.Change.ID)))
}

func (w *Web) editFile(c *call) error {
	v, g, err := w.editable(c)
	if err != nil {
		return err
	}
	form := c.r.PostForm
	base, err := c.basePS()
	if err != nil {
		return err
	}
	if err := w.readEdited(c, g, v, c.variable("rest")); err != nil {
		return err
	}
	a, err := w.amendment(c, g, v)
	if err == nil {
		_, err = w.Review.Amend(c.ctx(), c.actor, v.Change.ID, base, a)
	}
	if err == nil {
		c.seeOther(fmt.Sprintf("/c/%d", v.Change.ID), "edited")
		return nil
	}
	status, kept := v.keep(err, base)
	if !kept {
		return err
	}
	if v.Lost {
		v.Theirs = v.Text
	}
	v.Text, v.To = strings.ReplaceAll(form.Get("content"), "\r\n", "\n"), form.Get("to")
	return w.showEdited(c, v, status)
}

// amendment is what the form of a file asks for: other text, another place, or that it goes.
func (w *Web) amendment(c *call, g *git.Repo, v *editView) (review.Amendment, error) {
	form := c.r.PostForm
	path := v.Path
	if form.Get("do") == "delete" {
		return review.Amendment{Title: "Deleted " + path, Files: []review.FileEdit{{Path: path, Delete: true}}}, nil
	}
	to := strings.TrimSpace(form.Get("to"))
	if to == "" {
		to = path
	}
	text := strings.ReplaceAll(form.Get("content"), "\r\n", "\n")
	if form.Get("eol") == "crlf" {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	content := []byte(text)
	if _, has := form["content"]; !has { // it is no text, and only moves
		ps, err := w.Review.PatchSet(c.ctx(), w.DB.Read(), v.Change.ID, v.Change.Current)
		if err != nil {
			return review.Amendment{}, err
		}
		if content, err = g.FileAt(c.ctx(), ps.Commit, path, git.MaxBlob); err != nil {
			return review.Amendment{}, err
		}
	}
	a := review.Amendment{Title: "Edited " + path, Files: []review.FileEdit{{Path: to, Content: content, Mode: v.Mode}}}
	switch {
	case to != path && !v.New:
		a.Title = "Moved " + path + " to " + to
		a.Files = append(a.Files, review.FileEdit{Path: path, Delete: true})
	case v.New:
		a.Title = "Added " + to
	}
	const longest = 1900 // bytes that a description takes, with room for the words
	if len(a.Title) > longest {
		a.Title = "Edited a file"
	}
	return a, nil
}
