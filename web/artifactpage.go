package web

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gitserver/fault"
)

// artifactView is an artifact: where it came from, where it is and was, who accepted it.
type artifactView struct {
	placePage
	Story    gatekeeper.ArtifactStory
	Of       thing
	Tone     string
	Serves   []runsView // now
	Was      []runsView
	Went     []promotionView
	Gates    []gateView
	Carried  string // the page of its delivery
	StageURL string
}

func (w *Web) artifact(c *call) error {
	p, err := w.repoOf(c, "environments")
	if err != nil {
		return err
	}
	v := artifactView{placePage: placePage{repoPage: p, Part: "artifact"}}
	if v.Story, err = w.Gate.ArtifactStory(c.ctx(), c.actor, p.Repo.Name, c.variable("digest")); err != nil {
		return err
	}
	w.fillArtifact(c.ctx(), c, &v)
	return w.render(c, http.StatusOK, "artifact", fmt.Sprintf("%s · %s", v.Story.Name, p.Repo.Name), v, withUp(repoURL(p.Repo.Name, "environments")))
}

func (w *Web) fillArtifact(ctx context.Context, c *call, v *artifactView) {
	l := w.lookup(ctx, c, v.repoPage)
	v.Branch, v.Tone = v.Story.Branch, tone("artifact", v.Story.State)
	v.Of = l.thing(v.Story.Name, v.Story.Digest, v.Story.Commit, v.Story.Change)
	if v.Story.Change != 0 {
		v.StageURL = fmt.Sprintf("/stage/%d/log", v.Story.StageRun)
	}
	for _, a := range v.Story.Assemblies {
		if r := w.runs(l, &a); a.State.Serves() {
			v.Serves = append(v.Serves, r)
		} else {
			v.Was = append(v.Was, r)
		}
	}
	for _, one := range v.Story.Promotions {
		v.Went = append(v.Went, l.promotion(one))
	}
	if v.Story.Delivery == nil {
		return
	}
	v.Carried = deliveryURL(*v.Story.Delivery)
	d := deliveryView{placePage: v.placePage, D: *v.Story.Delivery}
	for _, g := range d.D.Gates {
		v.Gates = append(v.Gates, w.gateOf(c, d, g, false))
	}
}

// Size is how large the content is, for people.
func (v artifactView) Size() string { return bytesWords(v.Story.Size) }

// bytesWords is a number of bytes as people read it.
func bytesWords(n int64) string {
	const step = 1 << 10
	if n < step {
		return plural(int(n), "byte", "bytes")
	}
	size, unit := float64(n)/step, 0
	for ; size >= step && unit < 3; unit++ {
		size /= step
	}
	return fmt.Sprintf("%.1f %s", size, []string{"KiB", "MiB", "GiB", "TiB"}[unit])
}

// artifactContent sends the bytes that were built. A browser keeps them as a file: they come from
// whoever wrote the commit, and must not run as a page of this site.
func (w *Web) artifactContent(c *call) error {
	p, err := w.repoOf(c, "environments")
	if err != nil {
		return err
	}
	b, content, err := w.Gate.ArtifactContent(c.ctx(), c.actor, p.Repo.Name, c.variable("digest"))
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	asFile(c, "application/octet-stream", b.FileName())
	c.rw.Header().Set("ETag", `"`+b.Digest+`"`)
	http.ServeContent(c.rw, c.r, "", time.Time{}, content)
	return nil
}

// artifactStatement sends the provenance of an artifact, as it was written when it was built: in its
// signed envelope, unless it has none.
func (w *Web) artifactStatement(c *call) error {
	p, err := w.repoOf(c, "environments")
	if err != nil {
		return err
	}
	s, err := w.Gate.ArtifactStory(c.ctx(), c.actor, p.Repo.Name, c.variable("digest"))
	if err != nil {
		return err
	}
	if s.Statement() == "" {
		return fault.New(fault.NotFound, "web.statement", "nothing was written about how this artifact was built", "")
	}
	if signed := s.Envelope(); signed != "" {
		asFile(c, "application/vnd.dsse.envelope.v1+json", s.Name+".intoto.jsonl")
		send(c.rw, []byte(signed+"\n"))
		return nil
	}
	asFile(c, "application/vnd.in-toto+json", s.Name+".intoto.json")
	send(c.rw, []byte(s.Statement()))
	return nil
}

// asFile has a browser keep what follows instead of showing it.
func asFile(c *call, kind, name string) {
	h := c.rw.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": plain(name)}))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
}
