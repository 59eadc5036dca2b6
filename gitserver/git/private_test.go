package git_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/gitserver/git"
)

func TestPrivateFiles(t *testing.T) {
	p := git.Private{Dir: filepath.Join(t.TempDir(), "keys")}
	all := func() (names []string) {
		entries, err := os.ReadDir(p.Dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(p.Forget(1)) // no folder yet
	must(p.Write(1, ".token", []byte("first")))
	must(p.Write(1, ".token", []byte("second")))
	must(p.Write(12, ".token", []byte("another's")))
	public, err := p.NewKey(1, ".key", "gatehouse-1", rand.Reader)
	must(err)
	if !strings.HasPrefix(public, "ssh-ed25519 ") || !strings.HasSuffix(public, " gatehouse-1") {
		t.Errorf("public key %q", public)
	}
	if text, err := os.ReadFile(p.File(1, ".token")); err != nil || string(text) != "second" {
		t.Errorf("token %q, %v", text, err)
	}
	for _, name := range all() {
		info, err := os.Stat(filepath.Join(p.Dir, name))
		must(err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the rights %o", name, info.Mode().Perm())
		}
	}
	for _, other := range []string{"new-123", "readme.txt", "012.token", "12"} {
		must(os.WriteFile(filepath.Join(p.Dir, other), nil, 0o600))
	}
	must(p.Forget(1))
	if want := []string{"012.token", "12", "12.token", "new-123", "readme.txt"}; !slices.Equal(all(), want) {
		t.Errorf("after forgetting 1: %q, want %q", all(), want)
	}
	must(p.Sweep(func(id int64) (bool, error) { return id != 12, nil }))
	if want := []string{"012.token", "12", "readme.txt"}; !slices.Equal(all(), want) {
		t.Errorf("after sweeping 12: %q, want %q", all(), want)
	}
}
