package web

import (
	"bytes"
	"context"
	"fmt"
	"image"
	_ "image/gif"  // their sizes are read
	_ "image/jpeg" // likewise
	_ "image/png"  // likewise
	"net/http"
	"path"
	"strings"

	"gatehouse/gitserver/git"
)

const (
	// maxPictureShown is the largest picture that a diff shows, and maxPictures how many a page
	// looks at without being asked for one.
	maxPictureShown = 8 << 20
	maxPictures     = 40
)

// imageView is a picture before and after.
type imageView struct {
	Name     string // of the buttons that choose how to look at it
	Old, New *pictureView
}

// pictureView is one side of it.
type pictureView struct {
	URL, Alt      string
	Size          string
	Width, Height int // 0 when they are not known
}

// Note says what is known of the picture.
func (p *pictureView) Note() string {
	if p.Width == 0 {
		return p.Size
	}
	return fmt.Sprintf("%d × %d, %s", p.Width, p.Height, p.Size)
}

// pictureNames are the ends of the names of pictures that browsers draw.
var pictureNames = map[string]bool{".png": true, ".jpg": true, ".jpeg": true, ".gif": true, ".webp": true, ".svg": true}

func isSVG(name string) bool { return strings.EqualFold(path.Ext(name), ".svg") }

// images is a file as pictures, nil when it is none or too large.
func (w *Web) images(ctx context.Context, q diffRequest, c git.FileChange, asked bool) *imageView {
	if !pictureNames[strings.ToLower(path.Ext(c.Path))] || c.OldOID == c.NewOID {
		return nil
	}
	if *q.pictures++; *q.pictures > maxPictures && !asked {
		return nil
	}
	v := imageView{Name: "look-" + c.Path}
	if !c.OldOID.IsZero() {
		name := c.OldPath
		if name == "" {
			name = c.Path
		}
		// A tree that was merged for the comparison has no address; the patch set has.
		if v.Old = w.picture(ctx, q.git, c.OldOID, name); v.Old != nil && !q.between.shifted(c) {
			v.Old.URL = pictureURL(q.repo, q.between.left(q.from), name)
			v.Old.Alt = "before: " + plain(path.Base(name))
		} else {
			v.Old = nil
		}
	}
	if !c.NewOID.IsZero() {
		if v.New = w.picture(ctx, q.git, c.NewOID, c.Path); v.New != nil {
			v.New.URL = pictureURL(q.repo, q.to, c.Path)
			v.New.Alt = "after: " + plain(path.Base(c.Path))
		}
	}
	if v.Old == nil && v.New == nil {
		return nil
	}
	return &v
}

func pictureURL(repo string, commit git.OID, name string) string {
	return repoURL(repo, "raw", string(commit), name) + "?as=image"
}

// picture looks at one side, nil when it is no picture.
func (w *Web) picture(ctx context.Context, g *git.Repo, oid git.OID, name string) *pictureView {
	text, err := g.Blob(ctx, oid, maxPictureShown)
	if err != nil || pictureType(text) == "" && !vector(name, text) {
		return nil
	}
	p := &pictureView{Size: bytesText(int64(len(text)))}
	if known, _, err := image.DecodeConfig(bytes.NewReader(text)); err == nil {
		p.Width, p.Height = known.Width, known.Height
	}
	return p
}

// vector reports whether a file is a drawing. It can hold a program, so it is never put into a
// page: an <img> draws it and runs nothing.
func vector(name string, text []byte) bool {
	return isSVG(name) && !binary(text) && bytes.Contains(text[:min(len(text), sniff)], []byte("<svg"))
}

// drawnPolicy is for drawings sent to an <img>: they may bring their own style, nothing else.
const drawnPolicy = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"

// asImage reports whether a request is that of an <img> for a picture: browsers say what they
// want a thing for, and a drawing that would be a page of its own is sent as plain text.
func asImage(r *http.Request) bool {
	dest := r.Header.Get("Sec-Fetch-Dest")
	return r.URL.Query().Get("as") == "image" && (dest == "" || dest == "image")
}
