package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gatehouse/gitserver/git"
)

// logPage is how many commits a page of history lists.
const logPage = 50

// maxLogSkip bounds how far back pages go: git walks all that it skips.
const maxLogSkip = 100_000

type logView struct {
	repoPage
	revision
	Crumbs       []crumb
	Commits      []commitRow
	Newer, Older string
}

// history lists the commits behind a branch, of the repository or of one path.
func (w *Web) history(c *call) error {
	p, err := w.repoOf(c, "log")
	if err != nil {
		return err
	}
	rest := c.variable("rest")
	if rest == "" {
		rest = p.Repo.DefaultBranch
	}
	skip, _ := strconv.Atoi(c.query("skip")) // anything that is no number is the first page
	skip = min(max(skip, 0), maxLogSkip)
	rev, err := w.revision(c, p, rest)
	if err != nil && rest == p.Repo.DefaultBranch {
		v := logView{repoPage: p, revision: revision{Rev: rest, RevName: rest, RevIcon: "branch"}}
		return w.render(c, http.StatusOK, "log", "History of "+p.Repo.Name, v)
	}
	if err != nil {
		return err
	}
	commits, err := p.git.Log(c.ctx(), rev.OID, rev.Path, skip, logPage+1)
	if err != nil {
		return err
	}
	v := logView{repoPage: p, revision: rev, Crumbs: crumbs(p.Repo.Name, rev, "log")}
	page := func(skip int) string {
		u := url.URL{Path: c.r.URL.Path}
		if skip > 0 {
			u.RawQuery = "skip=" + strconv.Itoa(skip)
		}
		return u.String()
	}
	if skip > 0 {
		v.Newer = page(max(0, skip-logPage))
	}
	if len(commits) > logPage {
		commits, v.Older = commits[:logPage], page(skip+logPage)
	}
	for _, commit := range commits {
		v.Commits = append(v.Commits, rowOf(commit))
	}
	return w.render(c, http.StatusOK, "log", "History of "+p.Repo.Name, v, withUp(repoURL(p.Repo.Name, "tree", rev.Rev)))
}

type commitView struct {
	repoPage
	OID                     git.OID
	Subject, Rest           string
	Author, AuthorEmail     string
	Committer               string
	CommitterEmail          string
	AuthoredAt, CommittedAt time.Time
	OtherCommitter          bool
	Parents                 []git.OID
	Change                  int64
	Diff                    *diffView
}

// commit shows one commit and what it changes against its first parent.
func (w *Web) commit(c *call) error {
	p, err := w.repoOf(c, "log")
	if err != nil {
		return err
	}
	oid, err := git.ParseOID(c.variable("oid"))
	if err != nil {
		return notFound("web.commit", "there is no such commit")
	}
	if err := w.unveiled(c, p, oid); err != nil {
		return err
	}
	commit, err := p.git.Commit(c.ctx(), oid)
	if err != nil {
		return err
	}
	subject := commit.Subject()
	_, rest, _ := strings.Cut(strings.TrimLeft(commit.Message, "\n"), "\n")
	v := commitView{
		repoPage: p, OID: oid, Subject: subject, Rest: strings.Trim(rest, "\n"),
		Author: commit.Author.Name, AuthorEmail: commit.Author.Email, AuthoredAt: commit.Author.When,
		Committer: commit.Committer.Name, CommitterEmail: commit.Committer.Email, CommittedAt: commit.Committer.When,
		OtherCommitter: commit.Author.Email != commit.Committer.Email || commit.Author.Name != commit.Committer.Name,
		Parents:        commit.Parents,
	}
	from := git.EmptyTree
	if len(commit.Parents) > 0 {
		from = commit.Parents[0]
	}
	v.Diff, err = w.diff(c.ctx(), diffRequest{
		lang: w.speech(c).lang,
		repo: p.Repo.Name, git: p.git, from: from, to: oid, landed: from, unified: w.wantsUnified(c), ws: c.query("ws"), only: c.query("file"), filter: c.query("filter"),
		self: c.r.URL, context: rangesOf(c.query("context")), at: atOf(c.query("at")),
	})
	if err != nil {
		return err
	}
	return w.render(c, http.StatusOK, "commit", subject, v, wide, withUp(repoURL(p.Repo.Name, "log")))
}

// diffCookie keeps how somebody likes to see diffs.
const diffCookie = "gate_diff"

// wantsUnified reads the form of the diff from the address or, when it says nothing, from
// what was chosen last. Choosing is remembered for a year.
func (w *Web) wantsUnified(c *call) bool {
	choice := c.query("diff")
	if choice == "split" || choice == "unified" {
		http.SetCookie(c.rw, &http.Cookie{
			Name: diffCookie, Value: choice, Path: "/", MaxAge: 365 * 24 * 60 * 60,
			HttpOnly: true, Secure: w.secure(), SameSite: http.SameSiteLaxMode,
		})
		return choice == "unified"
	}
	cookie, err := c.r.Cookie(diffCookie)
	return err == nil && cookie.Value == "unified"
}
