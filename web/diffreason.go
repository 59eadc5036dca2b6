package web

import (
	"context"
	"path"
	"strings"

	"gatehouse/gitserver/git"
	"gatehouse/review/diff"
	"gatehouse/web/words"
)

const (
	// maxReasons is how many files are remembered with what they say of themselves.
	maxReasons = 20_000
	// maxAttributesRead is the largest .gitattributes that is read, and maxAttributeFolders
	// how many folders are asked for one.
	maxAttributesRead   = 64 << 10
	maxAttributeFolders = 64
)

// reasons tells why files of a difference are folded although they are not long: they were
// written by a program. It believes what has landed, the .gitattributes and the notice of the
// older side; a change cannot fold itself by a line of its own, unless the file is new.
type reasons struct {
	w       *Web
	git     *git.Repo
	landed  git.OID // whose .gitattributes count
	folders map[string]*diff.Attributes
}

// of is why a file is folded, nil for no reason.
func (r *reasons) of(ctx context.Context, c git.FileChange) any {
	if why, said := r.attributes(ctx, c.Path); said {
		return because(why)
	}
	if why := diff.GeneratedName(c.Path); why != "" {
		return because(why)
	}
	oid := c.OldOID
	if oid.IsZero() {
		oid = c.NewOID
	}
	if notice := r.w.notice(ctx, r.git, oid); notice != "" {
		return words.Say("Generated, it says “{1}”", plain(notice))
	}
	return nil
}

// because makes a reason of the room below the beginning of a sentence.
func because(why string) any {
	if why == "" {
		return nil
	}
	return words.Word(sentence(why))
}

// attributes asks the .gitattributes of the folders above a file, the nearest first.
func (r *reasons) attributes(ctx context.Context, name string) (why string, said bool) {
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		inside := name
		if dir != "." {
			inside = strings.TrimPrefix(name, dir+"/")
		}
		if a := r.folder(ctx, dir); a != nil {
			if why, said := a.Why(inside); said {
				return why, true
			}
		}
		if dir == "." || dir == "/" {
			return "", false
		}
	}
}

func (r *reasons) folder(ctx context.Context, dir string) *diff.Attributes {
	if a, known := r.folders[dir]; known {
		return a
	}
	if r.folders == nil {
		r.folders = map[string]*diff.Attributes{}
	}
	var a *diff.Attributes
	if len(r.folders) < maxAttributeFolders && !r.landed.IsZero() {
		text, err := r.git.FileAt(ctx, r.landed, path.Join(dir, ".gitattributes"), maxAttributesRead)
		if err == nil { // there is none, as a rule
			parsed := diff.ParseAttributes(string(text))
			a = &parsed
		}
	}
	r.folders[dir] = a
	return a
}

// notice is what a blob says at its top of having been generated.
func (w *Web) notice(ctx context.Context, g *git.Repo, oid git.OID) string {
	if oid.IsZero() {
		return ""
	}
	if why, known := w.diffs.reasons.get(string(oid)); known {
		return why
	}
	text, err := g.Blob(ctx, oid, maxHighlight)
	if err != nil {
		return ""
	}
	why := diff.GeneratedNotice(string(text))
	w.diffs.reasons.put(string(oid), 1, why)
	return why
}
