package review

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
)

// Limits of one amendment.
const (
	maxEditFiles = 200     // edited together: people edit a few
	maxEditBytes = 8 << 20 // of all their contents together: more is pushed
)

// trailerLine is one line of a footer, as git knows it (trailer.c: git_generated_prefixes).
var trailerLine = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9-]*[ \t]*:|\(cherry picked from commit )`)

// Amendment is what somebody changes of a patch set without a working copy.
type Amendment struct {
	Message string // "" keeps it
	Files   []FileEdit
	Title   string // what the change's story says about it
}

// FileEdit is what becomes of one file. To move one, delete it and write it elsewhere.
type FileEdit struct {
	Path    string
	Content []byte
	Delete  bool
	Mode    string // "100644" or "100755"; "" keeps it
}

// Amend makes the next patch set of a change from its current one, on the same parents, and
// holds it as a push of the actor's would be. basePS is the patch set that the actor saw: when
// it is not current any more nothing is made, and the fault is a Conflict. The author stays,
// the actor becomes committer and uploader, the change's key is kept. An amendment that
// changes nothing is Refused.
func (s *Service) Amend(ctx context.Context, actor account.Actor, change int64, basePS int, a Amendment) (PatchSet, error) {
	const op = "review.Amend"
	if err := checkAmendment(op, a); err != nil {
		return PatchSet{}, err
	}
	c, r, err := s.actOn(ctx, op, actor, change)
	if err != nil {
		return PatchSet{}, err
	}
	if err := s.mayAmend(ctx, op, actor, c, r, basePS); err != nil {
		return PatchSet{}, err
	}
	base, err := s.PatchSet(ctx, s.DB.Read(), c.ID, basePS)
	if err != nil {
		return PatchSet{}, err
	}
	h, err := s.hold(ctx, made{
		op: op, actor: actor, repo: r, branch: c.Branch, key: Key(c.Key), expect: basePS, options: PushOptions{Message: a.Title},
		write: func(g *git.Repo) (git.OID, error) { return s.writeAmended(ctx, g, actor, c, base, a) },
	})
	return h.PatchSet, err
}

func checkAmendment(op string, a Amendment) error {
	if a.Message == "" && len(a.Files) == 0 {
		return fault.New(fault.Invalid, op, "this edit changes nothing", "give a message or a file")
	}
	if !utf8.ValidString(a.Message) || strings.ContainsRune(a.Message, 0) {
		return fault.Newf(fault.Invalid, op, "a message must be UTF-8 text")
	}
	if err := checkReason(op, a.Title); err != nil {
		return err
	}
	if len(a.Files) > maxEditFiles {
		return fault.New(fault.TooLarge, op, fmt.Sprintf("%d edited files are more than %d", len(a.Files), maxEditFiles), "edit them in a working copy and push")
	}
	size := 0
	for _, f := range a.Files {
		size += len(f.Content)
	}
	if size > maxEditBytes {
		return fault.New(fault.TooLarge, op, fmt.Sprintf("the edited files have more than %d bytes", maxEditBytes), "edit them in a working copy and push")
	}
	return nil
}

// mayAmend refuses early, before anything is written, what [Service.hold] would refuse too.
func (s *Service) mayAmend(ctx context.Context, op string, actor account.Actor, c Change, r repo.Repository, basePS int) error {
	if err := mustBeOpen(op, c); err != nil {
		return err
	}
	if err := s.May(ctx, s.DB.Read(), actor, account.Edit, c, r); err != nil {
		return err
	}
	if basePS != c.Current {
		return overtaken(c, basePS)
	}
	return nil
}

// writeAmended writes the amended commit.
func (s *Service) writeAmended(ctx context.Context, g *git.Repo, actor account.Actor, c Change, base PatchSet, a Amendment) (git.OID, error) {
	const op = "review.Amend"
	before, err := g.Commit(ctx, base.Commit)
	if err != nil {
		return "", err
	}
	tree := before.Tree
	if len(a.Files) > 0 {
		edits := make([]git.TreeEdit, 0, len(a.Files))
		for _, f := range a.Files {
			edits = append(edits, git.TreeEdit(f))
		}
		if tree, err = g.EditTree(ctx, tree, edits); err != nil {
			return "", err
		}
	}
	message := before.Message
	if a.Message != "" {
		message = strings.TrimRight(strings.ReplaceAll(a.Message, "\r\n", "\n"), "\n \t\r") + "\n"
	} else if len(before.ExtraHeaders["encoding"]) > 0 {
		return "", garbles(op)
	}
	if message, err = withKey(op, message, Key(c.Key)); err != nil {
		return "", err
	}
	if tree == before.Tree && strings.TrimRight(message, "\n") == strings.TrimRight(before.Message, "\n") {
		return "", fault.New(fault.Refused, op, "this edit changes nothing", fmt.Sprintf("patch set %d says the same already", base.Number))
	}
	committer, err := s.signature(ctx, actor, s.after(before))
	if err != nil {
		return "", err
	}
	return g.WriteCommit(ctx, tree, before.Parents, before.Author, committer, message)
}
