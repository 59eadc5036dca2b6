package mirror_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/mirror"
)

func TestAddOverSSHMakesAKey(t *testing.T) {
	w := newWorld(t)
	m := w.add("git@git.example.org:team/hello.git")
	public, comment, _, _, err := ssh.ParseAuthorizedKey([]byte(m.PublicKey))
	if err != nil || public.Type() != ssh.KeyAlgoED25519 || comment != fmt.Sprintf("gatehouse-mirror-%d", m.ID) {
		t.Fatalf("%q: %v", m.PublicKey, err)
	}
	file := filepath.Join(w.Dir, fmt.Sprintf("%d.key", m.ID))
	private, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil || string(signer.PublicKey().Marshal()) != string(public.Marshal()) {
		t.Errorf("the private key is another one: %v", err)
	}
	onlyOurs(t, file, w.Dir)
	other := w.add("git@git.example.org:team/other.git")
	if other.PublicKey == m.PublicKey {
		t.Error("two mirrors share a key")
	}
	if err := w.Remove(w.ctx, m.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the key is still there: %v", err)
	}
	if err := w.Remove(w.ctx, m.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

func onlyOurs(t *testing.T, file, dir string) {
	t.Helper()
	for path, want := range map[string]fs.FileMode{file: 0o600, dir: 0o700} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode().Perm(), err, want)
		}
	}
}

func TestAddKeepsTheTokenOutOfTheRow(t *testing.T) {
	w := newWorld(t)
	const token = "glpat-very-secret"
	m, err := w.Add(w.ctx, w.repo.ID, mirror.NewMirror{URL: "https://git.example.org/team/hello.git", Token: token})
	if err != nil || m.Username != "git" || m.PublicKey != "" {
		t.Fatalf("%+v, %v", m, err)
	}
	file := filepath.Join(w.Dir, fmt.Sprintf("%d.token", m.ID))
	kept, err := os.ReadFile(file)
	if err != nil || string(kept) != token {
		t.Errorf("%q, %v", kept, err)
	}
	onlyOurs(t, file, w.Dir)
	var row string
	err = w.DB.Read().QueryRowContext(w.ctx, `SELECT url || username || secret_file || public_key || reason FROM mirrors`).Scan(&row)
	if err != nil || strings.Contains(row, token) {
		t.Errorf("the row is %q, %v", row, err)
	}
}

func TestJanitor(t *testing.T) {
	w := newWorld(t)
	if err := w.Janitor(w.ctx); err != nil { // no folder yet
		t.Fatal(err)
	}
	m := w.add("git@git.example.org:team/hello.git")
	for _, name := range []string{"99999.key", "99999.hosts", "99998.token", "README", "7x.key"} {
		if err := os.WriteFile(filepath.Join(w.Dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Janitor(w.ctx); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(w.Dir)
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	want := []string{fmt.Sprintf("%d.key", m.ID), "7x.key", "README"}
	if diff := cmp.Diff(want, left, cmp.Transformer("set", func(names []string) map[string]bool {
		set := map[string]bool{}
		for _, name := range names {
			set[name] = true
		}
		return set
	})); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestAddRefuses(t *testing.T) {
	w := newWorld(t)
	up := w.upstream()
	w.add(up)
	for name, c := range map[string]struct {
		n    mirror.NewMirror
		kind fault.Kind
	}{
		"ext":           {mirror.NewMirror{URL: "ext::sh -c id", AllowLocal: true}, fault.Invalid},
		"file":          {mirror.NewMirror{URL: "file://" + up, AllowLocal: true}, fault.Invalid},
		"option":        {mirror.NewMirror{URL: "-oProxyCommand=id:x"}, fault.Invalid},
		"option host":   {mirror.NewMirror{URL: "ssh://-oProxyCommand=id/x"}, fault.Invalid},
		"credentials":   {mirror.NewMirror{URL: "https://bob:secret@example.org/x"}, fault.Invalid},
		"control":       {mirror.NewMirror{URL: "https://example.org/x\ny"}, fault.Invalid},
		"path":          {mirror.NewMirror{URL: "/srv/git/hello.git"}, fault.Denied},
		"twice":         {mirror.NewMirror{URL: up, AllowLocal: true}, fault.Conflict},
		"token and ssh": {mirror.NewMirror{URL: "git@example.org:x", Token: "t"}, fault.Invalid},
		"token newline": {mirror.NewMirror{URL: "https://example.org/x", Token: "t\nHost: y"}, fault.Invalid},
		"long token":    {mirror.NewMirror{URL: "https://example.org/x", Token: strings.Repeat("t", 5000)}, fault.Invalid},
		"user colon":    {mirror.NewMirror{URL: "https://example.org/x", Username: "a:b", Token: "t"}, fault.Invalid},
		"user option":   {mirror.NewMirror{URL: "https://example.org/x", Username: "-a", Token: "t"}, fault.Invalid},
		"user alone":    {mirror.NewMirror{URL: "https://example.org/x", Username: "a"}, fault.Invalid},
	} {
		_, err := w.Add(w.ctx, w.repo.ID, c.n)
		if !fault.Is(err, c.kind) || strings.Contains(fault.Sentence(err), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.Add(w.ctx, 99999, mirror.NewMirror{URL: "git@example.org:x"}); !fault.Is(err, fault.NotFound) {
		t.Errorf("no repository: %v", err)
	}
	if entries, err := os.ReadDir(w.Dir); err == nil && len(entries) != 0 {
		t.Errorf("refusals left %v", entries)
	}
}
