package review_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/review"
)

// clone is somebody's working copy.
type clone struct {
	t   testing.TB
	dir string
	env []string
}

// newClone makes an empty working copy with the hook installed when hook is set.
func newClone(t testing.TB, hook bool) *clone {
	t.Helper()
	c := &clone{t: t, dir: t.TempDir(), env: append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Alice", "GIT_AUTHOR_EMAIL=alice@example.org", "GIT_COMMITTER_NAME=Alice", "GIT_COMMITTER_EMAIL=alice@example.org",
		"GIT_EDITOR=true", "HOME="+t.TempDir())}
	c.git("init", "-q", "-b", "main")
	if hook {
		path := filepath.Join(c.dir, ".git", "hooks", "commit-msg")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, review.CommitMsgHook(), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// try runs git and returns all that it said.
func (c *clone) try(args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = c.dir, c.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return strings.TrimRight(out.String(), "\n"), err
}

func (c *clone) git(args ...string) string {
	c.t.Helper()
	out, err := c.try(args...)
	if err != nil {
		c.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return out
}

func (c *clone) write(name, text string) {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
	c.git("add", "-A")
}

// edited commits with an editor that leaves text in place of what git offers. In text,
// %TEMPLATE% is what git offered.
func (c *clone) edited(text string, args ...string) string {
	c.t.Helper()
	script := filepath.Join(c.t.TempDir(), "editor")
	want := filepath.Join(filepath.Dir(script), "text")
	if err := os.WriteFile(want, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
	body := "#!/bin/sh\nawk -v from=\"$1\" '/^%TEMPLATE%$/ { while ((getline line < from) > 0) print line; next } { print }' " + want + " > \"$1.new\" && cat \"$1.new\" > \"$1\" && rm \"$1.new\"\n"
	if err := os.WriteFile(script, []byte(body), 0o755); err != nil {
		c.t.Fatal(err)
	}
	before := c.env
	defer func() { c.env = before }()
	c.env = append(append([]string{}, c.env...), "GIT_EDITOR="+script)
	return c.git(append([]string{"commit"}, args...)...)
}

func (c *clone) message() string { return c.git("log", "-1", "--format=%B") }

var changeID = regexp.MustCompile(`(?m)^Change-Id: (I[0-9a-f]{40})\r?$`)

// id is the only Change-Id of the newest commit.
func (c *clone) id() string {
	c.t.Helper()
	found := changeID.FindAllStringSubmatch(c.message(), -1)
	if len(found) != 1 {
		c.t.Fatalf("%d Change-Ids in\n%s", len(found), c.message())
	}
	return found[0][1]
}

func TestHookPlacesTheTrailer(t *testing.T) {
	const some = "Change-Id: I0123456789012345678901234567890123456789"
	for _, test := range []struct{ name, message, want string }{
		{"subject alone", "Add a", "Add a\n\nID\n"},
		{"subject and body", "Add a\n\nBecause.\n", "Add a\n\nBecause.\n\nID\n"},
		{"trailers", "Add a\n\nBecause.\n\nSigned-off-by: A <a@x>\nBug: 12\n", "Add a\n\nBecause.\n\nSigned-off-by: A <a@x>\nBug: 12\nID\n"},
		{"a trailer that goes on", "Add a\n\nNote: one\n two\n", "Add a\n\nNote: one\n two\nID\n"},
		{"subject like a trailer", "fix: a thing", "fix: a thing\n\nID\n"},
		{"two lines like trailers", "fix: a\nmore: b", "fix: a\nmore: b\n\nID\n"},
		{"text that ends with a colon line", "Add a\n\nSee here\nBug: 12\n", "Add a\n\nSee here\nBug: 12\n\nID\n"},
		{"text between signatures", "Add a\n\n[bob: moved it]\nSigned-off-by: A <a@x>\n", "Add a\n\n[bob: moved it]\nSigned-off-by: A <a@x>\nID\n"},
		{"cherry picked", "Add a\n\n(cherry picked from commit 1234)\n", "Add a\n\n(cherry picked from commit 1234)\nID\n"},
		{"keeps an id", "Add a\n\n" + some + "\n", "Add a\n\n" + some + "\n"},
		{"keeps an id in another case", "Add a\n\nchange-id: x\n", "Add a\n\nchange-id: x\n"},
		{"keeps an id among text", "Add a\n\ntext\n" + some + "\n", "Add a\n\ntext\n" + some + "\n"},
		{"keeps a link", "Add a\n\nLink: https://gate.example/id/I0123456789012345678901234567890123456789\n",
			"Add a\n\nLink: https://gate.example/id/I0123456789012345678901234567890123456789\n"},
		{"another link", "Add a\n\nLink: https://lists.example/x\n", "Add a\n\nLink: https://lists.example/x\nID\n"},
		{"an id above", "Add a\n\n" + some + "\n\nText.\n", "Add a\n\n" + some + "\n\nText.\n\nID\n"},
		{"leading empty lines", "\n\nfix: a", "fix: a\n\nID\n"},
		{"subject like a comment", "#12 add a", "#12 add a\n\nID\n"},
		{"fixup", "fixup! Add a", "fixup! Add a\n"},
		{"squash", "squash! Add a\n\nmore", "squash! Add a\n\nmore\n"},
		{"amend", "amend! Add a\n\nmore", "amend! Add a\n\nmore\n"},
		{"not UTF-8", "Add \xff\n\nText \xfe.\n", "Add \xff\n\nText \xfe.\n\nID\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newClone(t, true)
			c.write("a", "1")
			c.git("-c", "i18n.commitEncoding=ISO-8859-1", "commit", "-q", "-m", test.message)
			got := strings.SplitN(c.git("cat-file", "commit", "HEAD"), "\n\n", 2)[1] + "\n"
			for _, m := range changeID.FindAllStringSubmatch(got, -1) {
				if !strings.Contains(test.message, m[1]) {
					got = strings.Replace(got, m[0], "ID", 1)
				}
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestHookKeepsTheIDOfACommit(t *testing.T) {
	t.Parallel()
	c := newClone(t, true)
	c.write("a", "1")
	c.git("commit", "-q", "-m", "Add a")
	id := c.id()
	c.write("a", "2")
	c.git("commit", "-q", "--amend", "--no-edit")
	if c.id() != id {
		t.Error("--amend --no-edit gave another Change-Id")
	}
	c.git("commit", "-q", "--amend", "-s", "--no-edit")
	if c.id() != id {
		t.Error("--amend -s gave another Change-Id")
	}
	c.edited("Add a, reworded\n\n%TEMPLATE%\n", "-q", "--amend")
	if c.id() != id {
		t.Error("an edited --amend gave another Change-Id")
	}
	c.git("commit", "-q", "--amend", "-m", "Start over")
	if c.id() == id {
		t.Error("a message written anew kept the Change-Id")
	}
	id = c.id()
	c.write("b", "1")
	c.git("commit", "-q", "-m", "Add b")
	if c.id() == id {
		t.Error("two commits got one Change-Id")
	}
	id = c.id()
	c.git("checkout", "-q", "-b", "other", "HEAD~")
	c.git("cherry-pick", "main")
	if c.id() != id {
		t.Error("cherry-pick gave another Change-Id")
	}
}

func TestHookAndTheEditor(t *testing.T) {
	t.Parallel()
	commit := func(text string, args ...string) *clone {
		c := newClone(t, true)
		c.write("a", "1\n")
		c.edited(text, append([]string{"-q"}, args...)...)
		return c
	}
	for name, c := range map[string]*clone{
		"comments below":          commit("Add a\n\nText.\n%TEMPLATE%\n"),
		"comments between":        commit("# one\nAdd a\n# two\n\nText.\n\n# three\nBug: 1\n# four\n"),
		"comment above a subject": commit("# This is a combination\n\nfix: a\n"),
		"scissors and the diff":   commit("Add a\n\nText.\n%TEMPLATE%\n", "-v"),
		"scissors clean-up":       commit("Add a\n\nText.\n%TEMPLATE%\n", "--cleanup=scissors"),
	} {
		c.id()
		body := c.message()
		if name == "comments between" && !strings.Contains(body, "\n\nBug: 1\nChange-Id: ") {
			t.Errorf("%s: the trailer is in the wrong place:\n%s", name, body)
		}
		if strings.Contains(body, "diff --git") || strings.Contains(body, "combination") {
			t.Errorf("%s: a comment got into the message:\n%s", name, body)
		}
		if got := c.git("log", "-1", "--format=%(trailers:key=Change-Id,valueonly)"); !strings.HasPrefix(got, "I") {
			t.Errorf("%s: git sees no trailer in\n%s", name, body)
		}
	}
}

func TestHookAndOtherCommentMarks(t *testing.T) {
	t.Parallel()
	for _, mark := range []string{";", "auto"} {
		c := newClone(t, true)
		c.git("config", "core.commentChar", mark)
		c.write("a", "1\n")
		c.edited("# a heading that stays\n\nText.\n%TEMPLATE%\n", "-q", "-v")
		c.id()
		if mark == ";" && !strings.HasPrefix(c.message(), "# a heading that stays\n\nText.\n\nChange-Id: ") {
			t.Errorf("comment mark %s: got\n%s", mark, c.message())
		}
	}
}

func TestHookLeavesAnEmptyMessageEmpty(t *testing.T) {
	t.Parallel()
	c := newClone(t, true)
	c.write("a", "1")
	if out, err := c.try("commit", "-q"); err == nil || !strings.Contains(out, "empty commit message") {
		t.Errorf("an empty message was committed: %v\n%s", err, out)
	}
}

func TestHookAndMerges(t *testing.T) {
	t.Parallel()
	c := newClone(t, true)
	c.write("a", "1")
	c.git("commit", "-q", "-m", "Add a")
	c.git("checkout", "-q", "-b", "side")
	c.write("b", "1")
	c.git("commit", "-q", "-m", "Add b")
	side := c.id()
	c.git("checkout", "-q", "main")
	c.write("c", "1")
	c.git("commit", "-q", "-m", "Add c")
	c.git("merge", "-q", "--no-ff", "--no-edit", "side")
	if c.id() == side {
		t.Error("the merge took its parent's Change-Id")
	}
	c.git("revert", "--no-edit", "-m", "1", "HEAD") // git runs no commit-msg hook for this
	c.git("commit", "-q", "--amend", "--no-edit")
	c.id()
}

func TestHookAndAutosquash(t *testing.T) {
	t.Parallel()
	c := newClone(t, true)
	c.write("a", "1")
	c.git("commit", "-q", "-m", "Start")
	c.write("a", "2")
	c.git("commit", "-q", "-m", "Change a")
	id := c.id()
	c.write("a", "3")
	c.git("commit", "-q", "--fixup", "HEAD")
	if changeID.MatchString(c.message()) {
		t.Errorf("a fixup got a Change-Id:\n%s", c.message())
	}
	c.env = append(c.env, "GIT_SEQUENCE_EDITOR=true")
	c.git("rebase", "-q", "-i", "--autosquash", "HEAD~2")
	if c.id() != id {
		t.Error("autosquash lost the Change-Id")
	}
}

func TestHookCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	c := newClone(t, true)
	c.git("config", "gerrit.createChangeId", "false")
	c.write("a", "1")
	c.git("commit", "-q", "-m", "Add a")
	if changeID.MatchString(c.message()) {
		t.Errorf("got a Change-Id:\n%s", c.message())
	}
}

func TestHookIsPlainShell(t *testing.T) {
	path := filepath.Join(t.TempDir(), "commit-msg")
	if err := os.WriteFile(path, review.CommitMsgHook(), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, shell := range []string{"sh", "dash", "bash"} {
		if _, err := exec.LookPath(shell); err != nil {
			continue
		}
		if out, err := exec.Command(shell, "-n", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
	}
}
