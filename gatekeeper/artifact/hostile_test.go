package artifact

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/gitserver/fault"
)

// archiveOf is a tar archive with these entries, as nobody honest writes one.
func archiveOf(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		text := ""
		if h.Typeflag == tar.TypeReg {
			text = "evil"
			h.Size = int64(len(text))
		}
		must(t, w.WriteHeader(&h))
		_, err := w.Write([]byte(text))
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

// plant puts content into the store that it would not have taken.
func plant(t *testing.T, s *Store, typ string, content []byte) Artifact {
	t.Helper()
	a := Artifact{Type: typ, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(content)), Size: int64(len(content))}
	dir, name, err := place(a.Type, a.Digest)
	must(t, err)
	must(t, s.root.MkdirAll(dir, 0o700))
	must(t, s.root.WriteFile(name, content, 0o600))
	return a
}

// An archive in the store came from elsewhere, and is hostile.
func TestHostileArchives(t *testing.T) {
	reg := func(name string) tar.Header { return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o6777} }
	link := func(name, to string) tar.Header {
		return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}
	}
	dir := func(name string) tar.Header { return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0} }
	tests := map[string][]byte{
		"upwards":                archiveOf(t, reg("../evil")),
		"upwards in the middle":  archiveOf(t, dir("a/"), reg("a/../../evil")),
		"absolute":               archiveOf(t, reg("/tmp/evil-artifact")),
		"an absolute folder":     archiveOf(t, dir("/evil/")),
		"the folder itself":      archiveOf(t, dir("./")),
		"twice":                  archiveOf(t, reg("a"), reg("a")),
		"a device":               archiveOf(t, tar.Header{Typeflag: tar.TypeChar, Name: "null", Devmajor: 1, Devminor: 3}),
		"a pipe":                 archiveOf(t, tar.Header{Typeflag: tar.TypeFifo, Name: "pipe"}),
		"a hard link":            archiveOf(t, tar.Header{Typeflag: tar.TypeLink, Name: "passwd", Linkname: "/etc/passwd"}),
		"a link out":             archiveOf(t, link("passwd", "/etc/passwd")),
		"a link up":              archiveOf(t, link("up", "../../secret")),
		"a link up through dots": archiveOf(t, link("dot", "."), link("up", "dot/../../secret")),
		"through a link":         archiveOf(t, link("a", ".."), reg("a/evil")),
		"through a link inside":  archiveOf(t, dir("d/"), link("a", "d"), reg("a/evil")),
		"over a link":            archiveOf(t, link("a", "../evil"), reg("a")),
		"a folder over a link":   archiveOf(t, link("a", ".."), dir("a/"), reg("a/evil")),
		"an odd name":            archiveOf(t, reg("a//b")),
		"no folder":              archiveOf(t, reg("a/b")),
		"cut":                    archiveOf(t, reg("a"))[:514],
		"no archive":             []byte(strings.Repeat("no archive ", 200)),
		"deep":                   archiveOf(t, reg(strings.Repeat("d/", MaxDepth+3)+"f")),
	}
	for name, content := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			to := tree(t, map[string]string{"old": "old"})
			must(t, os.WriteFile(filepath.Join(to.Name(), "../secret"), []byte("SECRET"), 0o600))
			for _, typ := range []string{Bundle, Image} {
				a := plant(t, s, typ, content)
				if err := s.Unpack(t.Context(), a, to.Name(), "new"); err == nil {
					t.Errorf("%s: it was unpacked: %v", typ, look(t, to.Name()))
				}
				for at, text := range look(t, filepath.Dir(to.Name())) {
					if strings.HasPrefix(text, "-> /") || strings.HasPrefix(at, "evil") || strings.HasPrefix(at, "tree/evil") {
						t.Errorf("%s: %s: %s", typ, at, text)
					}
				}
				must(t, to.RemoveAll("new"))
			}
			if _, err := os.Lstat("/tmp/evil-artifact"); err == nil {
				t.Error("an absolute name was written")
			}
		})
	}
	small := archiveOf(t, reg("a"))
	if err := Extract(bytes.NewReader(small), 3, tree(t, nil), How{}); err == nil || !strings.Contains(err.Error(), "larger than the archive") {
		t.Errorf("an entry larger than its archive: %v", err)
	}
}

// img builds layouts.
type img struct{ files map[string]string }

func newImg() *img { return &img{map[string]string{"oci-layout": layoutFile}} }

func (i *img) blob(text string) map[string]any {
	hexed := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
	i.files["blobs/sha256/"+hexed] = text
	return map[string]any{"digest": "sha256:" + hexed, "size": len(text), "mediaType": "application/octet-stream"}
}

func (i *img) json(mediaType string, v map[string]any) map[string]any {
	v["schemaVersion"] = 2
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	d := i.blob(string(text))
	d["mediaType"] = mediaType
	return d
}

func (i *img) manifest(layers ...string) map[string]any {
	var all []any
	for _, l := range layers {
		all = append(all, i.blob(l))
	}
	return i.json(ociManifest, map[string]any{"config": i.blob(`{"os":"linux"}`), "layers": all, "mediaType": ociManifest})
}

func (i *img) index(all ...map[string]any) map[string]string {
	for _, d := range all {
		d["annotations"] = map[string]string{"org.opencontainers.image.ref.name": "latest"}
	}
	text, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": all})
	if err != nil {
		panic(err)
	}
	i.files["index.json"] = string(text)
	return i.files
}

func TestImages(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	one := newImg()
	m := one.manifest("layer 1", "layer 2")
	one.index(m)
	a, err := s.Put(ctx, Image, tree(t, one.files), ".", large)
	must(t, err)
	if a.Digest != m["digest"] {
		t.Errorf("the digest is %s, the manifest's %s", a.Digest, m["digest"])
	}
	must(t, s.Verify(ctx, a))

	// What is not reachable does not count: neither other files, nor the name of a tag.
	more := newImg()
	m = more.manifest("layer 1", "layer 2")
	more.blob("left over")
	more.index(m)
	m["annotations"] = nil
	more.files["manifest.json"], more.files["evil"] = "[]", "-> /etc/passwd"
	b, err := s.Put(ctx, Image, tree(t, more.files), ".", large)
	must(t, err)
	if a != b {
		t.Errorf("%+v and %+v", a, b)
	}
	dir := t.TempDir()
	must(t, s.Unpack(ctx, a, dir, "image"))
	in, err := os.OpenRoot(path.Join(dir, "image"))
	must(t, err)
	defer func() { _ = in.Close() }()
	if got := look(t, in.Name()); len(got) != 8 || got["oci-layout"] != layoutFile {
		t.Errorf("unpacked: %v", got)
	}
	b, err = s.Put(ctx, Image, in, ".", large)
	must(t, err)
	if a != b {
		t.Errorf("unpacked and put again: %+v and %+v", a, b)
	}

	several := newImg()
	several.index(several.manifest("amd64"), several.manifest("arm64"))
	a, err = s.Put(ctx, Image, tree(t, several.files), ".", large)
	must(t, err)
	if want := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(several.files["index.json"]))); a.Digest != want {
		t.Errorf("the digest of several is %s, want %s", a.Digest, want)
	}
	must(t, s.Unpack(ctx, a, dir, "several"))
	in2, err := os.OpenRoot(path.Join(dir, "several"))
	must(t, err)
	defer func() { _ = in2.Close() }()
	b, err = s.Put(ctx, Image, in2, ".", large)
	must(t, err)
	if a != b {
		t.Errorf("several, unpacked and put again: %+v and %+v", a, b)
	}
}

// An image that lies is not kept.
func TestHostileImages(t *testing.T) {
	change := func(f func(i *img, m map[string]any)) map[string]string {
		i := newImg()
		m := i.manifest("layer")
		f(i, m)
		if i.files["index.json"] == "" {
			i.index(m)
		}
		return i.files
	}
	nested := func(i *img, m map[string]any, depth int) map[string]any {
		for range depth {
			m = i.json(ociIndex, map[string]any{"manifests": []any{m}})
		}
		return m
	}
	name := func(d map[string]any) string { return blobName(d["digest"].(string)) }
	tests := map[string]struct {
		files map[string]string
		words string
	}{
		"a layer with other content": {change(func(i *img, _ map[string]any) { i.files[name(i.blob("layer"))] = "LAYER" }), "is not that, but"},
		"a manifest with other content": {change(func(i *img, m map[string]any) {
			i.files[name(m)] = strings.Replace(i.files[name(m)], "2", "3", 1)
		}), "is not that, but"},
		"a size that lies":   {change(func(_ *img, m map[string]any) { m["size"] = 5 }), "is said to have 5"},
		"a missing layer":    {change(func(i *img, _ map[string]any) { delete(i.files, name(i.blob("layer"))) }), "there is no file"},
		"a link for a layer": {change(func(i *img, _ map[string]any) { i.files[name(i.blob("layer"))] = "-> /etc/passwd" }), "leads out"},
		"a digest that is a path": {change(func(i *img, m map[string]any) {
			m["digest"] = "sha256:../../../../etc/passwd"
		}), "is not a SHA-256 digest"},
		"a digest of another kind": {change(func(_ *img, m map[string]any) { m["digest"] = "md5:aa" }), "is not a SHA-256 digest"},
		"no digest":                {change(func(_ *img, m map[string]any) { m["digest"] = "" }), "is not a SHA-256 digest"},
		"another layout":           {change(func(i *img, _ map[string]any) { i.files["oci-layout"] = `{"imageLayoutVersion":"2.0.0"}` }), "does not say"},
		"no index":                 {change(func(i *img, _ map[string]any) { i.files["index.json"] = "[]" }), "is not an OCI image index"},
		"nothing named":            {change(func(i *img, _ map[string]any) { i.index() }), "is not an OCI image index"},
		"a manifest that is a layer": {change(func(i *img, _ map[string]any) {
			d := i.blob("layer")
			d["mediaType"] = ociManifest
			i.index(d)
		}), "is not a manifest"},
		"both manifest and index": {change(func(i *img, m map[string]any) {
			i.index(i.json(ociManifest, map[string]any{"config": i.blob("c"), "layers": []any{}, "manifests": []any{m}}))
		}), "neither an image manifest nor"},
		"an index that says it is a manifest": {change(func(i *img, m map[string]any) {
			i.index(i.json(ociManifest, map[string]any{"manifests": []any{m}}))
		}), "its content is not"},
		"an unknown type": {change(func(_ *img, m map[string]any) { m["mediaType"] = "text/html" }), "its content is not"},
		"too deep":        {change(func(i *img, m map[string]any) { i.index(nested(i, m, maxIndexes+2)) }), "deep"},
		"too large a manifest": {change(func(_ *img, m map[string]any) {
			m["size"] = maxManifest + 1
		}), "is larger than"},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			s := newStore(t)
			_, err := s.Put(t.Context(), Image, tree(t, tt.files), ".", large)
			if words, _ := fault.Public(err); !fault.Is(err, fault.Invalid) || !strings.Contains(words, tt.words) {
				t.Errorf("%v; want %q", err, tt.words)
			}
			for k := range s.All() {
				t.Errorf("kept %+v", k)
			}
		})
	}
	// A good image under another's digest.
	s := newStore(t)
	i := newImg()
	i.index(i.manifest("layer"))
	a, err := s.Put(t.Context(), Image, tree(t, i.files), ".", large)
	must(t, err)
	_, name1, err := place(Image, a.Digest)
	must(t, err)
	content, err := s.root.ReadFile(name1)
	must(t, err)
	lie := plant(t, s, Image, content)
	if err := s.Verify(t.Context(), lie); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("an image under another's digest: %v", err)
	}
}
