package gitserver

import (
	"strings"
	"testing"
)

func TestPushIsHeldAndTheTrackingRefStays(t *testing.T) {
	w := newWorld(t)
	r := w.newRepo("hello", false)
	for way, to := range w.ways("hello") {
		t.Run(way, func(t *testing.T) {
			w.t = t
			dir := w.clone(to)
			before := w.git(dir, "rev-parse", "origin/main")
			w.commit(dir, "new-"+way, "x\n")
			w.git(dir, "config", "remote.origin.push", "HEAD:refs/for/main")
			w.git(dir, "config", "--add", "remote.origin.fetch", "+refs/for/*:refs/remotes/origin/for/*")
			out := w.git(dir, "push", "--porcelain", "-o", "topic=x y", "-o", "wip", "origin", "HEAD:refs/for/main")
			p := w.decider.last(t)
			if strings.Join(p.Options, "|") != "topic=x y|wip" || p.Actor.Name != "alice" || p.Atomic {
				t.Errorf("the Decider saw %+v", p)
			}
			if want := "refs/changes/"; !strings.Contains(out, want) || strings.Contains(out, "refs/for/main\t") {
				t.Errorf("git does not say where the push landed:\n%s", out)
			}
			if w.git(dir, "rev-parse", "origin/main") != before {
				t.Error("origin/main moved")
			}
			if _, err := w.tryGit(dir, "rev-parse", "--verify", "-q", "origin/for/main"); err == nil {
				t.Error("a remote-tracking ref of refs/for/main appeared")
			}
			if !strings.Contains(w.refs(r), w.git(dir, "rev-parse", "HEAD")) {
				t.Error("the commit is not held")
			}
			w.noLeftovers(r)
		})
	}
}

func TestPushShowsProgressWithoutControlBytes(t *testing.T) {
	w := newWorld(t)
	w.newRepo("hello", false)
	for way, to := range w.ways("hello") {
		dir := w.clone(to)
		w.commit(dir, "new-"+way, "x\n")
		out := w.git(dir, "push", "origin", "HEAD:refs/for/main")
		if !strings.Contains(out, "remote: change held as refs/changes/") || strings.Contains(out, "\x1b[31m") {
			t.Errorf("%s: %q", way, out)
		}
	}
}

func TestPushToBranchesAndTags(t *testing.T) {
	w := newWorld(t)
	r := w.newRepo("hello", false)
	for way, to := range w.ways("hello") {
		t.Run(way, func(t *testing.T) {
			w.t = t
			dir := w.clone(to)
			w.commit(dir, "new-"+way, "x\n")
			w.git(dir, "tag", "-a", "-m", "one", "v-"+way)
			w.git(dir, "push", "-q", "origin", "HEAD:refs/heads/new-"+way, "v-"+way)
			// What the server has already comes as a pack without objects.
			w.git(dir, "push", "-q", "origin", "HEAD:refs/heads/again-"+way)
			refs := w.refs(r)
			for _, ref := range []string{"refs/heads/new-" + way, "refs/heads/again-" + way, "refs/tags/v-" + way} {
				if !strings.Contains(refs, ref+" ") {
					t.Errorf("%s is missing:\n%s", ref, refs)
				}
			}
			w.git(dir, "push", "-q", "origin", ":refs/heads/again-"+way)
			if p := w.decider.last(t); p.Quarantine != nil || !p.Commands[0].New.IsZero() || p.Git == nil {
				t.Errorf("a deletion came as %+v", p)
			}
			w.git(dir, "push", "-q", "origin", ":refs/heads/new-"+way, "HEAD:refs/heads/third-"+way)
			if refs := w.refs(r); strings.Contains(refs, "new-"+way) || strings.Contains(refs, "again-"+way) || !strings.Contains(refs, "third-"+way) {
				t.Errorf("after the deletions:\n%s", refs)
			}
			if out := w.git(dir, "push", "origin", "HEAD:refs/heads/third-"+way); !strings.Contains(out, "up-to-date") {
				t.Errorf("pushing the same again: %s", out)
			}
			w.noLeftovers(r)
		})
	}
}

func TestPushWithEachProtocolVersion(t *testing.T) {
	w := newWorld(t)
	r := w.newRepo("hello", false)
	for way, to := range w.ways("hello") {
		for _, v := range []string{"0", "1", "2"} {
			dir := w.clone(to)
			w.commit(dir, way+v, "x\n")
			w.git(dir, "-c", "protocol.version="+v, "push", "-q", "origin", "HEAD:refs/heads/"+way+v)
			if !strings.Contains(w.refs(r), "refs/heads/"+way+v) {
				t.Errorf("%s v%s: nothing arrived", way, v)
			}
		}
	}
}

func TestAtomicPush(t *testing.T) {
	w := newWorld(t)
	r := w.newRepo("hello", false)
	w.decider.refuse = map[string]string{"refs/heads/no": "the gate is closed"}
	for way, to := range w.ways("hello") {
		dir := w.clone(to)
		w.commit(dir, way, "x\n")
		for _, bad := range []string{"refs/heads/no", "refs/notes/no"} {
			before := w.refs(r)
			out, err := w.tryGit(dir, "push", "--atomic", "origin", "HEAD:refs/heads/yes-"+way, "HEAD:"+bad)
			if err == nil || strings.Count(out, "[remote rejected]") != 2 || w.refs(r) != before {
				t.Errorf("%s %s: %v\n%s", way, bad, err, out)
			}
			// Without --atomic the good one goes through.
			out, err = w.tryGit(dir, "push", "origin", "HEAD:refs/heads/yes-"+way, "HEAD:"+bad)
			if err == nil || strings.Count(out, "[remote rejected]") != 1 || !strings.Contains(w.refs(r), "refs/heads/yes-"+way) {
				t.Errorf("%s %s: %v\n%s", way, bad, err, out)
			}
			w.git(dir, "push", "-q", "origin", ":refs/heads/yes-"+way)
		}
		w.noLeftovers(r)
	}
}

func TestRefusalsSayWhy(t *testing.T) {
	w := newWorld(t)
	r := w.newRepo("hello", false)
	w.decider.refuse = map[string]string{"refs/heads/main": "main is gated\x1b[2J"}
	before := w.refs(r)
	for way, to := range w.ways("hello") {
		dir := w.clone(to)
		w.commit(dir, way, "x\n")
		tests := []struct {
			args []string
			want string
		}{
			{[]string{"HEAD:refs/heads/main"}, "main is gated[2J"},
			{[]string{"HEAD:refs/changes/01/1/2"}, "refs/changes is kept by the server; push to refs/for/BRANCH"},
			{[]string{"HEAD:refs/gate/x"}, "refs/heads, refs/tags and refs/for alone"},
			{[]string{"HEAD:refs/replace/" + w.git(dir, "rev-parse", "HEAD")}, "refs/heads, refs/tags and refs/for alone"},
			{[]string{"HEAD:refs/heads/" + w.git(dir, "rev-parse", "HEAD")}, "looks like an object name"},
			{[]string{"-o", "a\x01b", "HEAD:refs/for/main"}, "control characters"},
			{[]string{"--signed", "HEAD:refs/for/main"}, "not support --signed push"},
		}
		for _, tt := range tests {
			out, err := w.tryGit(dir, append([]string{"push", "origin"}, tt.args...)...)
			if err == nil || !strings.Contains(out, tt.want) || strings.Contains(out, "\x1b[2J") {
				t.Errorf("%s %q: %v, want %q in\n%s", way, tt.args, err, tt.want, out)
			}
		}
	}
	if got := w.refs(r); got != before {
		t.Errorf("refs moved:\n%s", got)
	}
	w.noLeftovers(r)
}

func TestShallowPushIsRefused(t *testing.T) {
	w := newWorld(t)
	r := w.newRepo("hello", false)
	for way, to := range w.ways("hello") {
		dir := w.clone(to, "--depth=1")
		w.commit(dir, way, "x\n")
		out, err := w.tryGit(dir, "push", "origin", "HEAD:refs/heads/shallow")
		if err == nil || !strings.Contains(out, "git fetch --unshallow") {
			t.Errorf("%s: %v\n%s", way, err, out)
		}
		w.git(dir, "fetch", "-q", "--unshallow")
		w.git(dir, "push", "-q", "origin", "HEAD:refs/heads/deep-"+way)
		if !strings.Contains(w.refs(r), "deep-"+way) || strings.Contains(w.refs(r), "shallow") {
			t.Error(w.refs(r))
		}
	}
}

func TestTooLargeAFileIsRefused(t *testing.T) {
	w := newWorld(t, func(s *Server) { s.Limits.File = 1000 })
	r := w.newRepo("hello", false)
	for way, to := range w.ways("hello") {
		dir := w.clone(to)
		w.commit(dir, "large-"+way, strings.Repeat("0123456789", 200))
		out, err := w.tryGit(dir, "push", "origin", "HEAD:refs/for/main")
		if err == nil || !strings.Contains(out, "large-"+way) || w.decider.count() != 0 {
			t.Errorf("%s: %v\n%s", way, err, out)
		}
	}
	w.noLeftovers(r)
}

func TestBadContentIsRefusedForEachRef(t *testing.T) {
	w := newWorld(t)
	r := w.newRepo("hello", false)
	before := w.refs(r)
	for way, to := range w.ways("hello") {
		dir := w.clone(to)
		bad := w.git(dir, "hash-object", "-w", "file0")
		cmd := w.command(dir, "git", "mktree")
		cmd.Stdin = strings.NewReader("100644 blob " + bad + "\t.git\n")
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		commit := w.git(dir, "commit-tree", "-m", "bad", strings.TrimSpace(string(out)))
		text, err := w.tryGit(dir, "push", "origin", commit+":refs/heads/a", commit+":refs/heads/b")
		if err == nil || strings.Count(text, "unpacker error") != 2 || !strings.Contains(text, "hasDotgit") {
			t.Errorf("%s: %v\n%s", way, err, text)
		}
	}
	if w.refs(r) != before || w.decider.count() != 0 {
		t.Errorf("%d pushes reached the Decider, refs:\n%s", w.decider.count(), w.refs(r))
	}
	w.noLeftovers(r)
}
