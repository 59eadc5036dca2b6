package blob_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gatehouse/gatekeeper/blob"
)

func open(t *testing.T, dir string) *blob.Store {
	t.Helper()
	s, err := blob.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAReaderFollowsAWriter(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "new"))
	w, err := s.Create("log1")
	must(t, err)
	_, err = w.Write([]byte("one "))
	must(t, err)
	r, err := s.Open("log1", 0)
	must(t, err)
	defer func() { _ = r.Close() }()
	read := func(want string) {
		t.Helper()
		got, err := io.ReadAll(r)
		if err != nil || string(got) != want {
			t.Fatalf("read %q, %v; want %q", got, err, want)
		}
	}
	read("one ")
	read("")
	_, err = w.Write([]byte("two "))
	must(t, err)
	must(t, w.Sync())
	read("two ")
	must(t, w.Close())

	w, err = s.Append("log1")
	must(t, err)
	_, err = w.Write([]byte("three"))
	must(t, err)
	must(t, w.Close())
	read("three")
	if n, err := s.Size("log1"); n != 13 || err != nil {
		t.Errorf("size %d, %v", n, err)
	}
	late, err := s.Open("log1", 8)
	must(t, err)
	defer func() { _ = late.Close() }()
	if got, _ := io.ReadAll(late); string(got) != "three" {
		t.Errorf("from 8: %q", got)
	}
	must(t, s.Remove("log1"))
	must(t, s.Remove("log1"))
	if _, err := s.Open("log1", 0); !blob.Missing(err) {
		t.Errorf("open after remove: %v", err)
	}
}

func TestABlobBeginsOnce(t *testing.T) {
	s := open(t, t.TempDir())
	w, err := s.Create("log1")
	must(t, err)
	must(t, w.Close())
	if _, err := s.Create("log1"); err == nil {
		t.Fatal("the second Create succeeded")
	}
}

func TestWritersDoNotTearEachOther(t *testing.T) {
	s := open(t, t.TempDir())
	w, err := s.Create("log1")
	must(t, err)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 50 {
				if _, err := fmt.Fprintf(w, "%s\n", strings.Repeat(fmt.Sprint(i), 100)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	must(t, w.Close())
	r, err := s.Open("log1", 0)
	must(t, err)
	defer func() { _ = r.Close() }()
	text, err := io.ReadAll(r)
	must(t, err)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, line := range lines {
		if line != strings.Repeat(line[:1], 100) {
			t.Fatalf("torn line %q", line)
		}
	}
	if len(lines) != 400 {
		t.Errorf("%d lines", len(lines))
	}
}

func TestKeysStayInTheFolder(t *testing.T) {
	parent := t.TempDir()
	s := open(t, filepath.Join(parent, "blobs"))
	must(t, os.WriteFile(filepath.Join(parent, "secret"), []byte("secret"), 0o600))
	for _, key := range []string{"", ".", "..", "../secret", "/etc/passwd", "a/b", "a\x00b", "A", "a.b", `a\b`, strings.Repeat("a", 129)} {
		if _, err := s.Create(key); err == nil {
			t.Errorf("Create(%q) succeeded", key)
		}
		if _, err := s.Open(key, 0); err == nil {
			t.Errorf("Open(%q) succeeded", key)
		}
		if _, err := s.Size(key); err == nil {
			t.Errorf("Size(%q) succeeded", key)
		}
		if s.Remove(key) == nil {
			t.Errorf("Remove(%q) succeeded", key)
		}
	}
}

// Somebody who can write to the folder still cannot make the server follow a link out of it.
func TestLinksAreNotFollowed(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "blobs")
	s := open(t, dir)
	w, err := s.Create("log1")
	must(t, err)
	must(t, w.Close())
	places, err := filepath.Glob(filepath.Join(dir, "*", "log1"))
	if err != nil || len(places) != 1 {
		t.Fatalf("places %q, %v", places, err)
	}
	secret := filepath.Join(parent, "secret")
	must(t, os.WriteFile(secret, []byte("secret"), 0o600))
	must(t, os.Remove(places[0]))
	must(t, os.Symlink(secret, places[0]))
	if _, err := s.Open("log1", 0); err == nil {
		t.Error("Open followed the link")
	}
	if _, err := s.Append("log1"); err == nil {
		t.Error("Append followed the link")
	}
}
