package git

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gatehouse/gitserver/fault"
)

func TestTreeAndFiles(t *testing.T) {
	r, w, _ := seeded(t, nil)
	ctx := t.Context()
	must(t, os.Symlink("a", w.dir+"/link"))
	tip := w.commit("files", map[string]string{"a": "1\n", "dir/b": "22\n", "dir/sub/c": "", "dir/odd\n\"name\"": "x"})
	tag := w.raw("tag", "object "+string(tip)+"\ntype commit\ntag t\ntagger "+ann+"\n\nx\n")
	plant(t, r, w, tag)
	entries, err := r.Tree(ctx, tag, "dir")
	must(t, err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Mode+" "+e.Type+" "+e.Name)
	}
	want := []string{"100644 blob b", "100644 blob odd\n\"name\"", "040000 tree sub"}
	if !slices.Equal(got, want) || entries[0].Size != 3 {
		t.Errorf("got %q", got)
	}
	for path, text := range map[string]string{"a": "1\n", "/dir/b/": "22\n", "dir/sub/c": "", "dir/odd\n\"name\"": "x"} {
		if got, err := r.FileAt(ctx, tip, path, 10); err != nil || string(got) != text {
			t.Errorf("%q: %q %v", path, got, err)
		}
	}
	for path, kind := range map[string]fault.Kind{"gone": fault.NotFound, "a/b": fault.NotFound, "dir/gone": fault.NotFound, "dir": fault.Invalid,
		"link": fault.Invalid, "": fault.Invalid, "../a": fault.Invalid, "dir/./b": fault.Invalid, "dir//b": fault.Invalid, "a\x00": fault.Invalid} {
		_, err := r.FileAt(ctx, tip, path, 10)
		if !fault.Is(err, kind) {
			t.Errorf("%q: %v, want %s", path, err, kind)
		}
	}
	_, err = r.FileAt(ctx, tip, "a", 1)
	wantKind(t, err, fault.TooLarge)
	_, err = r.Tree(ctx, tip, "a")
	wantKind(t, err, fault.Invalid)
	_, err = r.Blob(ctx, tip, 1000)
	wantKind(t, err, fault.Invalid)
	_, err = r.Commit(ctx, entries[0].OID)
	wantKind(t, err, fault.Invalid)
	_, err = r.Commit(ctx, "main\ncontents HEAD")
	wantKind(t, err, fault.Invalid)
	if entries, err := r.Tree(ctx, EmptyTree, ""); err != nil || len(entries) != 0 {
		t.Errorf("empty tree: %v %v", entries, err)
	}
}

func TestHistory(t *testing.T) {
	r, w, a := seeded(t, map[string]string{"f": "1"})
	ctx := t.Context()
	b := w.commit("b", map[string]string{"g": "1"})
	c := w.commit("c", map[string]string{"f": "2"})
	must(t, send(t, r, w, []OID{c}, a))
	oids := func(cs []Commit, err error) []OID {
		t.Helper()
		must(t, err)
		var list []OID
		for _, c := range cs {
			list = append(list, c.OID)
		}
		return list
	}
	for _, check := range []struct{ got, want []OID }{
		{oids(r.Commits(ctx, []OID{c}, []OID{a}, 2)), []OID{b, c}},
		{oids(r.Commits(ctx, []OID{c}, []OID{c}, 2)), nil},
		{oids(r.Commits(ctx, nil, nil, 2)), nil},
		{oids(r.Log(ctx, c, "", 0, 10)), []OID{c, b, a}},
		{oids(r.Log(ctx, c, "f", 0, 10)), []OID{c, a}},
		{oids(r.Log(ctx, c, "", 1, 1)), []OID{b}},
	} {
		if !slices.Equal(check.got, check.want) {
			t.Errorf("got %v, want %v", check.got, check.want)
		}
	}
	_, err := r.Commits(ctx, []OID{c}, []OID{a}, 1)
	wantKind(t, err, fault.TooLarge)
	gone := OID(strings.Repeat("6", 40))
	_, err = r.Commits(ctx, []OID{gone}, nil, 1)
	wantKind(t, err, fault.NotFound)
	_, err = r.IsAncestor(ctx, gone, a)
	wantKind(t, err, fault.NotFound)
	for _, pair := range []struct {
		a, b OID
		want bool
	}{{a, c, true}, {c, c, true}, {c, a, false}} {
		if got, err := r.IsAncestor(ctx, pair.a, pair.b); err != nil || got != pair.want {
			t.Errorf("%s before %s: %v %v", pair.a, pair.b, got, err)
		}
	}
}

func TestCommitHeaders(t *testing.T) {
	r, w, a := seeded(t, nil)
	sig := "gpgsig -----BEGIN\n line\n \n -----END\n"
	oid := w.raw("commit", commitText(EmptyTree, []OID{a}, ann, "B <b@example.test> 1700000000 -0930", sig+"change-id abc\n"))
	must(t, send(t, r, w, []OID{oid}, a))
	c, err := r.Commit(t.Context(), oid)
	must(t, err)
	if got := c.ExtraHeaders["gpgsig"]; len(got) != 1 || got[0] != "-----BEGIN\nline\n\n-----END" {
		t.Errorf("gpgsig %q", got)
	}
	if got := c.ExtraHeaders["change-id"]; !slices.Equal(got, []string{"abc"}) {
		t.Errorf("change-id %q", got)
	}
	if _, zone := c.Committer.When.Zone(); zone != -(9*3600+1800) || c.Committer.Name != "B" || c.Author.Email != "ann@example.test" {
		t.Errorf("%+v", c)
	}
}

// Any bytes are read or refused, never a panic; what is read says the same again.
func FuzzParseCommit(f *testing.F) {
	f.Add([]byte(commitText(EmptyTree, []OID{EmptyTree}, ann, ann, "gpgsig a\n b\n")))
	f.Add([]byte("tree x\n\n"))
	f.Add([]byte(" \n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := parseCommit(Zero, raw)
		if err != nil {
			return
		}
		if !bytes.HasPrefix(raw, []byte("tree "+string(c.Tree)+"\n")) || !strings.HasSuffix(string(raw), c.Message) {
			t.Errorf("read %+v from %q", c, raw)
		}
		_ = DefaultPolicy(nil).checkLink("a", c.Message)
	})
}

func FuzzParseTree(f *testing.F) {
	f.Add([]byte("100644 a\x00" + strings.Repeat("x", 20)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		entries, err := parseTree(raw)
		if err == nil && len(raw) > 0 && len(entries) == 0 {
			t.Errorf("%q has no entries", raw)
		}
	})
}

// Many readers at once, while pushes add packs and the repository is repacked, find all.
func TestReadersWhileItChanges(t *testing.T) {
	r, w, base := seeded(t, map[string]string{"f": "text\n"})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := r.FileAt(ctx, base, "f", 10); err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
					return
				}
			}
		})
	}
	tip := base
	for range 5 {
		next := w.commit("more", map[string]string{"g": string(tip)})
		must(t, send(t, r, w, []OID{next}, tip))
		if _, err := r.Commit(ctx, next); err != nil {
			t.Error(err)
		}
		must(t, r.UpdateRefs(ctx, []RefUpdate{{"refs/heads/main", tip, next}}, ""))
		must(t, r.repack(ctx))
		tip = next
	}
	cancel()
	wg.Wait()
	must(t, r.Fsck(t.Context()))
}

func TestCheckout(t *testing.T) {
	r, w, _ := seeded(t, nil)
	must(t, os.Symlink("sub/file", w.dir+"/link"))
	must(t, os.WriteFile(w.dir+"/run.sh", []byte("#!/bin/sh\n"), 0o755))
	files := map[string]string{"sub/file": "a\r\nb\n", "empty": "", ".gitattributes": "* text eol=crlf ident filter=evil\n", "id": "$Id$\n",
		"large": strings.Repeat("0123456789", 100_000)}
	tip := w.commit("files", files)
	must(t, send(t, r, w, []OID{tip}))
	dir := filepath.Join(t.TempDir(), "out")
	must(t, r.Checkout(t.Context(), tip, dir))
	for name := range files {
		want, err := w.try("", "cat-file", "blob", string(tip)+":"+name)
		must(t, err)
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, want %d, %v", name, len(got), len(want), err)
		}
	}
	if target, err := os.Readlink(filepath.Join(dir, "link")); err != nil || target != "sub/file" {
		t.Errorf("link to %q %v", target, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "run.sh")); err != nil || info.Mode()&0o100 == 0 {
		t.Errorf("run.sh: %v %v", info, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, ".git")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf(".git: %v", err)
	}
	wantKind(t, r.Checkout(t.Context(), tip, dir), fault.Conflict)
	wantKind(t, r.Checkout(t.Context(), OID(strings.Repeat("7", 40)), filepath.Join(t.TempDir(), "x")), fault.NotFound)
}

// Trees that write through a link of their own stay inside the folder.
func TestCheckoutStaysInside(t *testing.T) {
	r, w := newRepo(t), newWork(t)
	outside := t.TempDir()
	sub := w.tree(entry("100644", "blob", w.blob("pwned"), "x"))
	raw := func(mode, name string, oid OID) string { return mode + " " + name + "\x00" + rawOID(oid) }
	trees := map[string]OID{
		"file and link of one name": w.raw("tree", raw("120000", "d", w.blob(outside))+raw("40000", "d", sub)),
		"dots":                      w.raw("tree", raw("40000", "..", sub)),
		"slash":                     w.raw("tree", raw("100644", "../x", w.blob("pwned"))),
		"absolute":                  w.raw("tree", raw("100644", outside+"/x", w.blob("pwned"))),
	}
	for name, tree := range trees {
		tip := w.raw("commit", commitText(tree, nil, ann, ann, ""))
		for _, oid := range []OID{tip, tree, sub} { // past every check, as an old import might be
			kind := w.git("cat-file", "-t", string(oid))
			text := w.inRaw("", "cat-file", kind, string(oid))
			put(t, r, kind, text)
		}
		put(t, r, "blob", "pwned")
		put(t, r, "blob", outside)
		dir := filepath.Join(t.TempDir(), "out")
		err := r.Checkout(t.Context(), tip, dir)
		t.Logf("%s: %v", name, err)
		if _, err := os.Stat(filepath.Join(outside, "x")); err == nil {
			t.Errorf("%s: wrote outside", name)
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(dir), "x")); err == nil {
			t.Errorf("%s: wrote above", name)
		}
	}
}

// put writes an object into r without any check.
func put(t *testing.T, r *Repo, kind, text string) {
	t.Helper()
	_, err := r.runIn(t.Context(), text, "hash-object", "-t", kind, "-w", "--literally", "--stdin")
	must(t, err)
}
