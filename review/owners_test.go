package review_test

import (
	"testing"

	"gatehouse/gitserver/git"
	"gatehouse/review"
	"gatehouse/review/owners"
)

// The files of folders are read where there is no CODEOWNERS, as the target branch has them.
func TestOwnersOfFolders(t *testing.T) {
	w := newWorld(t)
	c := w.clone()
	land := func() git.OID {
		c.git("add", "-A")
		c.git("commit", "-q", "-m", "Say who owns what")
		c.git("push", "-q", w.git.Dir(), "HEAD:refs/heads/main")
		return git.OID(c.git("rev-parse", "HEAD"))
	}
	c.write("OWNERS", "root@example.org\n")
	c.write("web/OWNERS", "set noparent\nfile:people/leads.txt\ninclude gone/OWNERS\n")
	c.write("web/people/leads.txt", "dan@example.org\n")
	c.write("docs/OWNERS/x", "a folder of that name says nothing\n")
	at := land()
	file, err := review.ReadOwners(w.ctx, w.git, at)
	w.must(err)
	for path, want := range map[string]string{"a": "root@example.org", "web/x": "dan@example.org", "docs/x": "root@example.org"} {
		if got := file.Needs(path); len(got) != 1 || got[0].Owners[0] != want {
			t.Errorf("%s: %v", path, got)
		}
	}
	if len(file.Problems) != 1 || file.Problems[0] != (owners.Problem{Line: 3, Text: "web/OWNERS: gone/OWNERS is not there"}) {
		t.Errorf("problems %v", file.Problems)
	}
	c.write("OWNERS", "thief@example.org\n") // pushed for review: it counts once it has landed
	c.git("add", "-A")
	c.git("commit", "-q", "-m", "Mine now")
	w.push(c, "alice", "main")
	if file, err = w.review.OwnersAt(w.ctx, w.git, "main"); err != nil || file.Needs("a")[0].Owners[0] != "root@example.org" {
		t.Errorf("%v, %v", file.Needs("a"), err)
	}
	c.git("reset", "-q", "--hard", string(at))
	c.write("CODEOWNERS", "* @alice\n")
	if file, err = review.ReadOwners(w.ctx, w.git, land()); err != nil || file.Name != "CODEOWNERS" {
		t.Errorf("beside CODEOWNERS: %v, %v", file, err)
	}
}
