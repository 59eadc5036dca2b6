package artifact

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/gitserver/fault"
)

const large = 1 << 30

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newStore(t *testing.T) *Store {
	t.Helper()
	s, err := New(filepath.Join(t.TempDir(), "artifacts"))
	must(t, err)
	t.Cleanup(func() {
		if left, err := s.list(tmpDir); err != nil || len(left) != 0 {
			t.Errorf("left in %s: %v, %v", tmpDir, left, err)
		}
		_ = s.Close()
	})
	return s
}

// tree is a working copy: text of files; "-> to" is a link, "x " before the text makes it
// executable, a name that ends in a slash is a folder.
func tree(t *testing.T, files map[string]string) *os.Root {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	must(t, os.Mkdir(dir, 0o755))
	for name, text := range files {
		at := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(at), 0o755))
		to, link := strings.CutPrefix(text, "-> ")
		script, executable := strings.CutPrefix(text, "x ")
		switch {
		case strings.HasSuffix(name, "/"):
			must(t, os.MkdirAll(at, 0o755))
		case link:
			must(t, os.Symlink(to, at))
		case executable:
			must(t, os.WriteFile(at, []byte(script), 0o755))
		default:
			must(t, os.WriteFile(at, []byte(text), 0o644))
		}
	}
	root, err := os.OpenRoot(dir)
	must(t, err)
	t.Cleanup(func() { _ = root.Close() })
	return root
}

// look is what is below dir, as tree has it.
func look(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		switch {
		case d.IsDir():
			all[rel+"/"] = ""
		case d.Type() == fs.ModeSymlink:
			to, err := os.Readlink(name)
			all[rel] = "-> " + to
			return err
		default:
			text, err := os.ReadFile(name)
			must(t, err)
			info, err := d.Info()
			must(t, err)
			all[rel] = string(text)
			if info.Mode()&0o100 != 0 {
				all[rel] = "x " + all[rel]
			}
		}
		return nil
	}))
	return all
}

func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestFiles(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	root := tree(t, map[string]string{"out/app": "x program", "out/current": "-> app", "plain": "text"})
	a, err := s.Put(ctx, File, root, "out/app", large)
	must(t, err)
	if want := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("program"))); a.Digest != want || a.Size != 7 || !a.Executable || a.Type != File {
		t.Errorf("%+v; want the digest %s", a, want)
	}
	b, err := s.Put(ctx, File, root, "out/current", large) // a link that stays inside is followed
	must(t, err)
	if a != b {
		t.Errorf("the same content is %+v and %+v", a, b)
	}
	kept := 0
	for k, err := range s.All() {
		must(t, err)
		kept++
		if k.Digest != a.Digest || k.Size != 7 || k.Type != File || time.Since(k.At) > time.Hour {
			t.Errorf("kept %+v", k)
		}
	}
	if kept != 1 {
		t.Errorf("%d copies", kept)
	}
	dir := t.TempDir()
	must(t, s.Unpack(ctx, a, dir, "bin/run/app"))
	p, err := s.Put(ctx, File, root, "plain", 4)
	must(t, err)
	must(t, s.Unpack(ctx, p, dir, "plain"))
	same(t, look(t, dir), map[string]string{"bin/": "", "bin/run/": "", "bin/run/app": "x program", "plain": "text"})

	r, err := s.Open(a)
	must(t, err)
	_, err = r.Seek(3, io.SeekStart)
	must(t, err)
	if text, err := io.ReadAll(r); string(text) != "gram" || err != nil {
		t.Errorf("from 3: %q, %v", text, err)
	}
	must(t, r.Close())
	if has, err := s.Has(a); !has || err != nil {
		t.Errorf("Has = %v, %v", has, err)
	}
	if has, _ := s.Has(Artifact{Type: Bundle, Digest: a.Digest}); has {
		t.Error("a file is a bundle")
	}
	must(t, s.Remove(a))
	must(t, s.Remove(a))
	if has, err := s.Has(a); has || err != nil {
		t.Errorf("after Remove: Has = %v, %v", has, err)
	}
	if _, err := s.Open(a); !Missing(err) {
		t.Errorf("after Remove: %v", err)
	}
	if err := s.Unpack(ctx, a, dir, "again"); !Missing(err) {
		t.Errorf("after Remove: %v", err)
	}
}

// The digest of a bundle is part of the contract: it must be the same on every machine and with
// every version.
func TestBundles(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	files := map[string]string{
		"app/bin/run": "x #!/bin/sh\n", "app/etc/conf": "a=b\n", "app/empty/": "", "app/run": "-> bin/run", "app/bin/conf": "-> ../etc/conf",
		"app/bin-2": "sorts after bin/", "app/ö": "ö", "app/" + strings.Repeat("long/", 30) + "name": "pax", "other": "is not in it",
	}
	root := tree(t, files)
	a, err := s.Put(ctx, Bundle, root, "app", large)
	must(t, err)
	const want = "sha256:6adce4b492b4514ca31a2c0d5fe56c5c45502013c03b089dfb2cda1bcafd740d"
	if a.Digest != want {
		t.Errorf("digest %s, want %s", a.Digest, want)
	}
	must(t, root.Chtimes("app/etc/conf", time.Unix(9, 0), time.Unix(9, 0)))
	must(t, root.Chmod("app/etc/conf", 0o600))
	must(t, root.Chmod("app/bin/run", 0o711))
	b, err := s.Put(ctx, Bundle, root, "app", large)
	must(t, err)
	if a != b {
		t.Errorf("times and modes are in the digest: %+v, %+v", a, b)
	}
	must(t, s.Verify(ctx, a))
	dir := t.TempDir()
	must(t, s.Unpack(ctx, a, dir, "app"))
	got := look(t, dir)
	for name, text := range files {
		if name != "other" && got[name] != text {
			t.Errorf("%s is %q, want %q", name, got[name], text)
		}
	}
	again, err := os.OpenRoot(dir)
	must(t, err)
	defer func() { _ = again.Close() }()
	b, err = s.Put(ctx, Bundle, again, "app", large)
	must(t, err)
	if a != b {
		t.Errorf("what was unpacked is %+v", b)
	}
}

// A stage tries to have the server keep what is not its own, or more than it may.
func TestWhatIsNotTaken(t *testing.T) {
	s := newStore(t)
	s2 := newStore(t)
	s2.Spare = 1 << 60
	deep := strings.Repeat("d/", MaxDepth+2)
	root := tree(t, map[string]string{
		"passwd": "-> /etc/passwd", "up": "-> ../secret", "etc": "-> /etc", "twice": "-> dot/../../secret", "dot": "-> .", "gone": "-> nothing",
		"loop": "-> loop", "big": strings.Repeat("x", 1001), "folder/a": "a", "b1/link": "-> /etc/passwd", "b2/link": "-> ../folder/a",
		"b3/dot": "-> .", "b3/link": "-> dot/../../secret", "b4/link": "-> missing", deep + "f": "", "b5/a\\b": "", "b6/\xff": "", "outfolder": "-> ..",
	})
	must(t, os.WriteFile(filepath.Join(root.Name(), "../secret"), []byte("SECRET"), 0o600))
	must(t, syscall.Mkfifo(filepath.Join(root.Name(), "pipe"), 0o644))
	must(t, os.Mkdir(filepath.Join(root.Name(), "b7"), 0o755))
	must(t, syscall.Mkfifo(filepath.Join(root.Name(), "b7/pipe"), 0o644))
	must(t, os.Mkdir(filepath.Join(root.Name(), "b8"), 0o755))
	must(t, syscall.Mknod(filepath.Join(root.Name(), "b8/null"), syscall.S_IFIFO|0o644, 0))
	tests := []struct {
		typ, name string
		kind      fault.Kind
		words     string
	}{
		{File, "missing", fault.Invalid, `there is no file "missing"`},
		{File, "passwd", fault.Invalid, `leads out`}, {File, "up", fault.Invalid, `leads out`}, {File, "twice", fault.Invalid, `leads out`},
		{File, "etc/passwd", fault.Invalid, `leads out`}, {File, "gone", fault.Invalid, `there is no file`}, {File, "loop", fault.Invalid, `cannot be read`},
		{File, "../secret", fault.Invalid, `not a path below`}, {File, "/etc/passwd", fault.Invalid, `not a path below`}, {File, "", fault.Invalid, "not a path below"},
		{File, "folder", fault.Invalid, `not a regular file`}, {File, "pipe", fault.Invalid, `not a regular file`}, {File, "big", fault.TooLarge, `"big" is larger than 1000 bytes`},
		{Bundle, "folder/a", fault.Invalid, `is not a folder`}, {Bundle, "etc", fault.Invalid, `leads out`}, {Bundle, "..", fault.Invalid, `not a path below`},
		{Bundle, "outfolder", fault.Invalid, "leads out"},
		{Bundle, "b1", fault.Invalid, `the link "link" leads out`}, {Bundle, "b2", fault.Invalid, `the link "link" leads out`},
		{Bundle, "b3", fault.Invalid, `the link "link" leads out`}, {Bundle, "b4", fault.Invalid, `or to nothing`}, {Bundle, "d", fault.Invalid, `deep`},
		{Bundle, "b5", fault.Invalid, `backslash`}, {Bundle, "b6", fault.Invalid, `not UTF-8`}, {Bundle, "b7", fault.Invalid, `neither a file`},
		{Bundle, "b8", fault.Invalid, `neither a file`}, {Image, "folder", fault.Invalid, `there is no file "oci-layout"`},
		{"program", "big", fault.Internal, ""},
	}
	for _, tt := range tests {
		t.Run(tt.typ+" "+strings.ToValidUTF8(tt.name, "?"), func(t *testing.T) {
			a, err := s.Put(t.Context(), tt.typ, root, tt.name, map[bool]int64{true: 1000, false: large}[tt.typ == File])
			sentence, _ := fault.Public(err)
			if !fault.Is(err, tt.kind) || tt.kind != fault.Internal && !strings.Contains(sentence, tt.words) {
				t.Errorf("%+v, %v (%v); want %v %q", a, err, fault.KindOf(err), tt.kind, tt.words)
			}
		})
	}
	for k := range s.All() {
		t.Errorf("kept %+v", k)
	}
	if _, err := s2.Put(t.Context(), File, root, "big", large); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "nearly full") {
		t.Errorf("on a full disk: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Put(ctx, File, root, "folder/a", large); err == nil {
		t.Error("a put that was canceled succeeded")
	}
}

// Nothing is put through a link, over something, or beside the folder.
func TestUnpackStaysInside(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	root := tree(t, map[string]string{"f": "new", "b/f": "new"})
	file, err := s.Put(ctx, File, root, "f", large)
	must(t, err)
	bundle, err := s.Put(ctx, Bundle, root, "b", large)
	must(t, err)
	there := map[string]string{"link": "-> old", "old": "old", "out": "-> ../outside", "etc": "-> /etc", "in": "-> real", "real/": "", "nothing": "-> none"}
	for _, at := range []string{"link", "old", "old/f", "out", "out/f", "etc/f", "in/f", "real", "nothing", "", ".", "..", "../f", "/f", "real/../../f"} {
		for _, a := range []Artifact{file, bundle} {
			to := tree(t, there)
			if err := s.Unpack(ctx, a, to.Name(), at); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s at %q: %v", a.Type, at, err)
			}
			same(t, look(t, to.Name()), there)
			if beside := look(t, filepath.Dir(to.Name())); len(beside) != len(there)+1 {
				t.Errorf("%s at %q: beside it is %v", a.Type, at, beside)
			}
		}
	}
}

// A spoilt store is noticed, nothing of it is put down, and the next Put repairs it.
func TestSpoiltContent(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	root := tree(t, map[string]string{"f": "text"})
	a, err := s.Put(ctx, File, root, "f", large)
	must(t, err)
	_, name, err := place(a.Type, a.Digest)
	must(t, err)
	must(t, s.root.WriteFile(name, []byte("evil"), 0o600))
	if err := s.Verify(ctx, a); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("Verify: %v", err)
	}
	dir := t.TempDir()
	if err := s.Unpack(ctx, a, dir, "f"); err == nil {
		t.Error("Unpack succeeded")
	}
	same(t, look(t, dir), nil)
	_, err = s.Put(ctx, File, root, "f", large)
	must(t, err)
	must(t, s.Verify(ctx, a))
	must(t, s.root.Remove(name))
	must(t, s.root.Symlink("/etc/passwd", name))
	if _, err := s.Open(a); err == nil {
		t.Error("Open followed a link")
	}
	if has, _ := s.Has(a); has {
		t.Error("a link counts as an artifact")
	}
}

func TestDigestsStayInTheFolder(t *testing.T) {
	s := newStore(t)
	good := strings.Repeat("a", 64)
	for _, digest := range []string{
		"", "sha256:", good, "sha256:" + good[1:], "sha256:" + good + "a", "sha256:" + strings.ToUpper(good), "sha512:" + good,
		"sha256:../../" + good[6:], "sha256:/" + good[1:], "sha256:" + good[:63] + "\x00",
	} {
		a := Artifact{Type: File, Digest: digest}
		_, openErr := s.Open(a)
		_, hasErr := s.Has(a)
		if openErr == nil || Missing(openErr) || hasErr == nil || s.Remove(a) == nil || s.Unpack(t.Context(), a, t.TempDir(), "f") == nil {
			t.Errorf("%q is taken for a digest", digest)
		}
	}
	if _, err := s.Has(Artifact{Type: "../file", Digest: "sha256:" + good}); err == nil {
		t.Error("a path is taken for a type")
	}
}

// Whenever the server is killed, a name has its whole content or does not exist.
func TestKilledAtEveryCrashPoint(t *testing.T) {
	root := tree(t, map[string]string{"b/f": "text"})
	for _, point := range []string{"artifact.written", "artifact.named"} {
		t.Run(point, func(t *testing.T) {
			s := newStore(t)
			func() {
				defer func() { CrashPoint = nil; _ = recover() }()
				CrashPoint = func(name string) {
					if name == point {
						panic("killed")
					}
				}
				a, err := s.Put(t.Context(), Bundle, root, "b", large)
				t.Errorf("%+v, %v: it was not killed", a, err)
			}()
			for k, err := range s.All() {
				must(t, err)
				must(t, s.Verify(t.Context(), Artifact{Type: k.Type, Digest: k.Digest}))
			}
			a, err := s.Put(t.Context(), Bundle, root, "b", large)
			must(t, err)
			must(t, s.Verify(t.Context(), a))
		})
	}
	s := newStore(t)
	must(t, s.root.WriteFile(tmpDir+"/LEFT", []byte("half"), 0o600))
	must(t, s.Sweep(time.Unix(1, 0)))
	if left, _ := s.list(tmpDir); len(left) != 1 {
		t.Error("Sweep removed what is new")
	}
	must(t, s.Sweep(time.Now().Add(time.Hour)))
}
