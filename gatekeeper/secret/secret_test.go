package secret_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/gatekeeper/secret"
	"gatehouse/gitserver/fault"
)

func open(t *testing.T) (*secret.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "secrets")
	s, err := secret.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, dir
}

func TestSecrets(t *testing.T) {
	s, dir := open(t)
	if err := s.Set(7, "TOKEN", []byte("first value\nof two lines")); err != nil {
		t.Fatal(err)
	}
	value, first, err := s.Get(7, "TOKEN")
	if err != nil || string(value) != "first value\nof two lines" {
		t.Fatalf("%q, %v", value, err)
	}
	if err := s.Set(7, "TOKEN", []byte("second value")); err != nil {
		t.Fatal(err)
	}
	value, second, err := s.Get(7, "TOKEN")
	if err != nil || string(value) != "second value" || second == first {
		t.Fatalf("%q with revision %s after %s, %v", value, second, first, err)
	}
	all, err := s.List(7)
	if err != nil || len(all) != 1 || all[0].Name != "TOKEN" || all[0].Revision != second {
		t.Fatalf("%v, %v", all, err)
	}
	info, err := os.Stat(filepath.Join(dir, "7", "TOKEN"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	if _, _, err := s.Get(8, "TOKEN"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("another repository's secret: %v", err)
	}
	if err := s.Remove(7, "TOKEN"); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(7, "TOKEN"); !fault.Is(err, fault.NotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

func TestBadSecrets(t *testing.T) {
	s, dir := open(t)
	for _, name := range []string{"", "../TOKEN", "a/b", ".hidden", "1st", "with space", strings.Repeat("x", 65), "a\x00b"} {
		if err := s.Set(7, name, []byte("long enough")); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q can be a name: %v", name, err)
		}
		if _, _, err := s.Get(7, name); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q can be asked for: %v", name, err)
		}
	}
	for _, value := range [][]byte{nil, []byte("short"), []byte("zero\x00byte in it")} {
		if err := s.Set(7, "NAME", value); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q can be a value: %v", value, err)
		}
	}
	if err := s.Set(7, "NAME", bytes.Repeat([]byte("x"), secret.MaxValue+1)); !fault.Is(err, fault.TooLarge) {
		t.Errorf("a value that is too large: %v", err)
	}
	// A link that somebody put there leads nowhere.
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("r\nnot a secret of ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "9"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "9", "LINK")); err != nil {
		t.Fatal(err)
	}
	if value, _, err := s.Get(9, "LINK"); err == nil {
		t.Errorf("read through a link: %q", value)
	}
}

// A refusal names the command as one can type it.
func TestWhereASecretIsMissing(t *testing.T) {
	s, _ := open(t)
	for _, c := range []struct{ called, want string }{{"", "gate secret set REPO TOKEN"}, {"team/shop", "gate secret set team/shop TOKEN"}} {
		s.Named = func(int64) string { return c.called }
		_, _, err := s.Get(7, "TOKEN")
		if _, next := fault.Public(err); !strings.HasSuffix(next, c.want) {
			t.Errorf("next: %q, want %q", next, c.want)
		}
	}
}
