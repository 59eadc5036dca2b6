package web

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"strings"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/mirror"
	"gatehouse/gitserver/repo"
)

const (
	// maxEntries is how many names of a folder a page lists.
	maxEntries = 5_000
	// maxRefsShown is how many branches and tags a page lists or offers.
	maxRefsShown = 1_000
)

// repoPage is what every page of a repository needs.
type repoPage struct {
	Repo   repo.Repository
	Tab    string
	MayOwn bool

	git *git.Repo
}

// repoOf finds the repository of the address, for somebody who may read it.
func (w *Web) repoOf(c *call, tab string) (repoPage, error) {
	p := repoPage{Tab: tab}
	var err error
	if p.Repo, err = w.Repos.ByName(c.ctx(), w.DB.Read(), c.variable("repo")); err != nil {
		return p, err
	}
	if err := w.may(c, account.Read, p.Repo.Resource("")); err != nil {
		return p, err
	}
	p.MayOwn = w.may(c, account.Own, p.Repo.Resource("")) == nil
	p.git, err = w.Repos.Open(p.Repo)
	return p, err
}

// may asks the one decision point.
func (w *Web) may(c *call, v account.Verb, r account.Resource) error {
	return w.Accounts.May(c.ctx(), w.DB.Read(), c.actor, v, r)
}

// revision is a commit as an address names it, and the path after it.
type revision struct {
	Rev     string // branch, tag or commit, as it stands in addresses
	RevName string // the same for people
	RevIcon string
	Known   bool // a branch or a tag
	OID     git.OID
	Path    string
}

// revisionOf splits "main/docs/x.md" into a branch, tag or commit and a path. A branch and a
// tag may hold slashes; git does not let "a" and "a/b" both be branches, so at most one
// branch fits. Branches win over tags of the same name.
func revisionOf(ctx context.Context, g *git.Repo, rest string) (revision, error) {
	first, after, _ := strings.Cut(rest, "/")
	if oid, err := git.ParseOID(first); err == nil {
		resolved, err := g.Resolve(ctx, string(oid))
		return revision{Rev: first, RevName: oid.Short(), RevIcon: "commit", OID: resolved, Path: after}, err
	}
	if git.CheckRefName("refs/heads/"+first) != nil {
		return revision{}, notFound("web.revision", "there is no such branch, tag or commit")
	}
	refs, err := g.Refs(ctx, "refs/heads/"+first, "refs/tags/"+first)
	if err != nil {
		return revision{}, err
	}
	for _, kind := range []struct{ prefix, icon string }{{"refs/heads/", "branch"}, {"refs/tags/", "tag"}} {
		for _, ref := range refs {
			name, ok := strings.CutPrefix(ref.Name, kind.prefix)
			path, below := strings.CutPrefix(rest, name+"/")
			if !ok || rest != name && !below {
				continue
			}
			if rest == name {
				path = ""
			}
			oid, err := g.Resolve(ctx, ref.Name)
			return revision{Rev: name, RevName: name, RevIcon: kind.icon, Known: true, OID: oid, Path: path}, err
		}
	}
	return revision{}, notFound("web.revision", "there is no such branch, tag or commit")
}

// crumb is one step of a path.
type crumb struct{ Name, URL string }

func crumbs(repoName string, r revision, kind string) []crumb {
	if r.Path == "" {
		return nil
	}
	var all []crumb
	parts := strings.Split(r.Path, "/")
	for i, part := range parts {
		c := crumb{Name: part}
		if i < len(parts)-1 {
			c.URL = repoURL(repoName, kind, r.Rev, strings.Join(parts[:i+1], "/"))
		}
		all = append(all, c)
	}
	return all
}

// sideView is the column beside a repository's files.
type sideView struct {
	Clone, CloneSSH, Server string
	Mirrors                 []mirror.Mirror
}

func (w *Web) side(c *call, r repo.Repository) (sideView, error) {
	v := sideView{Clone: w.URL + "/" + escapePath(r.Name) + ".git", Server: w.URL}
	if w.SSHURL != "" {
		v.CloneSSH = w.SSHURL + "/" + escapePath(r.Name) + ".git"
	}
	var err error
	v.Mirrors, err = w.Mirrors.List(c.ctx(), w.DB.Read(), r.ID)
	for i := range v.Mirrors {
		v.Mirrors[i].URL = shownURL(v.Mirrors[i].URL)
	}
	return v, err
}

// shownURL is an upstream's address for anybody: without whom it is pushed as, and of a
// folder on the server only its name.
func shownURL(address string) string {
	u, err := url.Parse(address)
	switch {
	case strings.HasPrefix(address, "/"):
		return "a folder of the server: " + path.Base(address)
	case err != nil || u.User == nil:
		return address
	}
	u.User = nil
	return u.String()
}

// choices are the branches and tags that a page offers.
type choices struct{ Branches, Tags []string }

func choicesOf(ctx context.Context, g *git.Repo) (choices, error) {
	refs, err := g.Refs(ctx, "refs/heads/", "refs/tags/")
	var c choices
	for _, ref := range refs {
		if name, ok := strings.CutPrefix(ref.Name, "refs/heads/"); ok && len(c.Branches) < maxRefsShown {
			c.Branches = append(c.Branches, name)
		} else if name, ok := strings.CutPrefix(ref.Name, "refs/tags/"); ok && len(c.Tags) < maxRefsShown {
			c.Tags = append(c.Tags, name)
		}
	}
	return c, err
}

// repoHome is a repository's first page. A name that is a number and no repository's is a
// change's, as in Gerrit; a clone address opened in a browser leads to the repository.
func (w *Web) repoHome(c *call) error {
	name := c.variable("repo")
	p, err := w.repoOf(c, "code")
	if fault.Is(err, fault.NotFound) {
		if n, numeric := changeNumber(name); numeric {
			c.seeOther(n, "")
			return nil
		}
		if trimmed, ok := strings.CutSuffix(name, ".git"); ok {
			c.seeOther(repoURL(trimmed, ""), "")
			return nil
		}
	}
	if err != nil {
		return err
	}
	rev, err := revisionOf(c.ctx(), p.git, p.Repo.DefaultBranch)
	if fault.Is(err, fault.NotFound) {
		return w.emptyRepo(c, p)
	}
	if err != nil {
		return err
	}
	return w.folder(c, p, rev)
}

func (w *Web) emptyRepo(c *call, p repoPage) error {
	side, err := w.side(c, p.Repo)
	if err != nil {
		return err
	}
	v := folderView{repoPage: p, sideView: side, Unborn: true}
	return w.render(c, http.StatusOK, "repo", p.Repo.Name, v, withUp("/repositories"))
}

// goTo takes the branch that somebody chose from the list, as /-/go?rev=…&path=….
func (w *Web) goTo(c *call) error {
	p, err := w.repoOf(c, "code")
	if err != nil {
		return err
	}
	rev := c.query("rev")
	if git.CheckRefName("refs/heads/"+rev) != nil {
		return notFound("web.go", "there is no such branch, tag or commit")
	}
	c.seeOther(repoURL(p.Repo.Name, "tree", rev, c.query("path")), "")
	return nil
}

// branchRow is a branch or tag in a list.
type branchRow struct {
	Name           string
	OID            git.OID
	Short          string
	Default, Gated bool
}

type branchesView struct {
	repoPage
	Heads, TagRows []branchRow
	Cut            string
}

func (w *Web) branches(c *call) error {
	p, err := w.repoOf(c, "branches")
	if err != nil {
		return err
	}
	refs, err := p.git.Refs(c.ctx(), "refs/heads/", "refs/tags/")
	if err != nil {
		return err
	}
	v := branchesView{repoPage: p}
	for _, ref := range refs {
		oid := ref.OID
		if !ref.Peeled.IsZero() {
			oid = ref.Peeled
		}
		row := branchRow{OID: oid, Short: oid.Short()}
		rows := &v.TagRows
		name, head := strings.CutPrefix(ref.Name, "refs/heads/")
		if head {
			rows, row.Default, row.Gated = &v.Heads, name == p.Repo.DefaultBranch, p.Repo.Gates(name)
		} else {
			name = strings.TrimPrefix(ref.Name, "refs/tags/")
		}
		row.Name = name
		if len(*rows) >= maxRefsShown {
			v.Cut = "There are more than this page lists: use git ls-remote to see all."
			continue
		}
		*rows = append(*rows, row)
	}
	return w.render(c, http.StatusOK, "branches", "Branches of "+p.Repo.Name, v, withUp(repoURL(p.Repo.Name, "")))
}
