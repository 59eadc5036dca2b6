package artifact

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// Limits of images.
const (
	// maxManifest is the size of a manifest or an index: registries take no larger ones.
	maxManifest = 4 << 20
	// maxBlobs is how many parts an image has: 127 layers, which is what runtimes can stack, on
	// every platform that there is.
	maxBlobs = 4096
	// maxIndexes is how deep indexes lie in each other; tools make one in another at most.
	maxIndexes = 4
)

// The media types that an image is made of (OCI image specification 1.1, and Docker's of the same
// form).
const (
	ociIndex       = "application/vnd.oci.image.index.v1+json"
	ociManifest    = "application/vnd.oci.image.manifest.v1+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
)

const layoutFile = `{"imageLayoutVersion":"1.0.0"}`

// layout is a folder in the OCI image layout, wherever it is.
type layout interface {
	// open opens a file of it. The error is a badContent when the layout has no such file.
	open(name string) (io.ReadCloser, int64, error)
}

// folder is a layout on disk.
type folder struct{ dir *os.Root }

func (f folder) open(name string) (io.ReadCloser, int64, error) {
	file, info, err := openRegular(f.dir, name)
	if err != nil {
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// archive is a layout in a plain tar archive.
type archive map[string]*io.SectionReader

func (a archive) open(name string) (io.ReadCloser, int64, error) {
	r, ok := a[name]
	if !ok {
		return nil, 0, bad("there is no file %q", name)
	}
	return io.NopCloser(io.NewSectionReader(r, 0, r.Size())), r.Size(), nil
}

// indexTar finds the files of an archive.
func indexTar(f io.ReaderAt, size int64) (archive, error) {
	from := io.NewSectionReader(f, 0, size)
	r, all := tar.NewReader(from), archive{}
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the archive: %w", err)
		}
		at, err := from.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if len(all) > 2*maxBlobs || h.Size < 0 || h.Size > size-at {
			return nil, bad("the archive is not one of an image")
		}
		if h.Typeflag == tar.TypeReg {
			all[h.Name] = io.NewSectionReader(f, at, h.Size)
		}
	}
}

// descriptor names a part of an image.
type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// manifest is what we read of an index and of a manifest.
type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
	Config        *descriptor  `json:"config"`
	Layers        []descriptor `json:"layers"`
}

// image gathers the parts of an image.
type image struct {
	ctx    context.Context //nolint:containedctx // it lives as long as one packImage
	from   layout
	sizes  map[string]int64  // of the parts, by digest: all of them were checked
	types  map[string]string // of the manifests and indexes among them
	inside map[string][]byte // parts that are no blob of the layout
}

// packImage checks the layout and writes what is reachable from its index.json, as the archive
// whose bytes follow from the digest that it returns.
func packImage(ctx context.Context, w io.Writer, from layout) (digest string, err error) {
	im := &image{ctx: ctx, from: from, sizes: map[string]int64{}, types: map[string]string{}, inside: map[string][]byte{}}
	top, err := im.top()
	if err != nil {
		return "", err
	}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": ociIndex, "manifests": []descriptor{top}})
	if err != nil {
		return "", err
	}
	out := tar.NewWriter(w)
	for _, dir := range []string{"blobs/", "blobs/sha256/"} {
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: execMode, ModTime: time.Unix(0, 0)}); err != nil {
			return "", err
		}
	}
	for _, part := range slices.Sorted(maps.Keys(im.sizes)) {
		if err := im.write(out, part); err != nil {
			return "", err
		}
	}
	for _, f := range []struct{ name, text string }{{"index.json", string(index)}, {"oci-layout", layoutFile}} {
		if err := writeEntry(out, f.name, int64(len(f.text)), strings.NewReader(f.text)); err != nil {
			return "", err
		}
	}
	return top.Digest, out.Close()
}

func writeEntry(out *tar.Writer, name string, size int64, from io.Reader) error {
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: plainMode, Size: size, ModTime: time.Unix(0, 0)}); err != nil {
		return err
	}
	_, err := io.CopyN(out, from, size)
	return err
}

func (im *image) write(out *tar.Writer, digest string) error {
	r, _, err := im.blob(digest)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	return writeEntry(out, blobName(digest), im.sizes[digest], contextReader{im.ctx, r})
}

func blobName(digest string) string {
	return path.Join("blobs/sha256", strings.TrimPrefix(digest, digestPrefix))
}

func (im *image) blob(digest string) (io.ReadCloser, int64, error) {
	if text, ok := im.inside[digest]; ok {
		return io.NopCloser(bytes.NewReader(text)), int64(len(text)), nil
	}
	return im.from.open(blobName(digest))
}

// top finds the one thing that index.json names. When it names several, that is index.json itself.
func (im *image) top() (descriptor, error) {
	var version struct {
		Version string `json:"imageLayoutVersion"`
	}
	text, err := im.small("oci-layout")
	if err != nil {
		return descriptor{}, err
	}
	if json.Unmarshal(text, &version) != nil || version.Version != "1.0.0" {
		return descriptor{}, bad("oci-layout does not say that this is an OCI image layout 1.0.0")
	}
	text, err = im.small("index.json")
	if err != nil {
		return descriptor{}, err
	}
	var index manifest
	if err := json.Unmarshal(text, &index); err != nil || index.SchemaVersion != 2 || len(index.Manifests) == 0 {
		return descriptor{}, bad("index.json is not an OCI image index that names an image")
	}
	top := index.Manifests[0]
	if len(index.Manifests) > 1 {
		sum := sha256.New()
		_, _ = sum.Write(text)
		top = descriptor{MediaType: ociIndex, Digest: digestOf(sum), Size: int64(len(text))}
		im.inside[top.Digest] = text
	}
	if err := im.visit(top, 0); err != nil {
		return descriptor{}, err
	}
	top.MediaType = im.types[top.Digest]
	return top, nil
}

// small reads a file that describes others.
func (im *image) small(name string) ([]byte, error) {
	r, size, err := im.from.open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	if size > maxManifest {
		return nil, bad("%s is larger than %d bytes", name, maxManifest)
	}
	return io.ReadAll(io.LimitReader(r, size))
}

// visit checks a manifest or an index and all that it names.
func (im *image) visit(d descriptor, depth int) error {
	if _, done := im.types[d.Digest]; done {
		return im.check(d, nil)
	}
	if depth > maxIndexes {
		return bad("indexes lie more than %d deep in each other", maxIndexes)
	}
	if d.Size > maxManifest {
		return bad("the manifest %s is larger than %d bytes", d.Digest, maxManifest)
	}
	var text bytes.Buffer
	if err := im.check(d, &text); err != nil {
		return err
	}
	var m manifest
	if err := json.Unmarshal(text.Bytes(), &m); err != nil || m.SchemaVersion != 2 {
		return bad("%s is not a manifest", d.Digest)
	}
	typ, err := typeOf(d, m)
	if err != nil {
		return err
	}
	im.types[d.Digest] = typ
	for _, below := range m.Manifests {
		if err := im.visit(below, depth+1); err != nil {
			return err
		}
	}
	if m.Config != nil {
		m.Layers = append(m.Layers, *m.Config)
	}
	for _, part := range m.Layers {
		if err := im.check(part, nil); err != nil {
			return err
		}
	}
	return nil
}

// typeOf is what m is. What could be read as both a manifest and an index is neither: tools would
// come to different images of one digest.
func typeOf(d descriptor, m manifest) (string, error) {
	typ := ociManifest
	if m.Config == nil {
		typ = ociIndex
	}
	if m.Config == nil == (m.Manifests == nil) || m.Layers != nil && m.Config == nil {
		return "", bad("%s is neither an image manifest nor an image index", d.Digest)
	}
	if m.MediaType != "" {
		typ = m.MediaType
	}
	isIndex := typ == ociIndex || typ == dockerList
	if !isIndex && typ != ociManifest && typ != dockerManifest || isIndex != (m.Config == nil) || d.MediaType != typ {
		return "", bad("%s is said to be of type %q, but its content is not", d.Digest, d.MediaType)
	}
	return typ, nil
}

// check sees that the part is there and is what its descriptor says, and copies it to w, unless
// that is nil.
func (im *image) check(d descriptor, w io.Writer) error {
	if size, done := im.sizes[d.Digest]; done && w == nil {
		if size != d.Size {
			return bad("%s is said to have %d bytes and %d bytes", d.Digest, size, d.Size)
		}
		return nil
	}
	if _, ok := hexOf(d.Digest); !ok {
		return bad("%q is not a SHA-256 digest", d.Digest)
	}
	if len(im.sizes) >= maxBlobs {
		return bad("the image has more than %d parts", maxBlobs)
	}
	r, size, err := im.blob(d.Digest)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	if size != d.Size {
		return bad("%s has %d bytes, but is said to have %d", d.Digest, size, d.Size)
	}
	sum := sha256.New()
	to := io.Writer(sum)
	if w != nil {
		to = io.MultiWriter(sum, w)
	}
	if _, err := io.CopyN(to, contextReader{im.ctx, r}, size); err != nil {
		return fmt.Errorf("read %s: %w", d.Digest, err)
	}
	if got := digestOf(sum); got != d.Digest {
		return bad("the content of %s is not that, but %s", blobName(d.Digest), got)
	}
	im.sizes[d.Digest] = size
	return nil
}
