package gitserver

import (
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/gorilla/mux"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
)

// infoRefs is the path of the advertisement below a repository's.
const infoRefs = "/info/refs"

// protocolValue is what Git-Protocol (or GIT_PROTOCOL) may say: it ends up in a child's
// environment.
var protocolValue = regexp.MustCompile(`^version=[012](:[a-z0-9-]{1,32}(=[A-Za-z0-9._-]{1,64})?){0,4}$`)

// dumbPath is what clients of the dumb protocol ask for: files inside a repository.
var dumbPath = regexp.MustCompile(`^(.+)/objects/(?:info/(?:packs|alternates|http-alternates)|pack/pack-[0-9a-f]{40}\.(?:pack|idx)|[0-9a-f]{2}/[0-9a-f]{38})$|^(.+\.git)/(?:HEAD|config|packed-refs|refs/.*)$`)

// Routes adds smart HTTP: REPO/info/refs, REPO/git-upload-pack and REPO/git-receive-pack,
// where REPO is /NAME, /NAME.git, /a/NAME or /p/NAME, and refuses the dumb protocol's paths
// below REPO. It takes nothing else, also not below a path that no repository can have.
func (s *Server) Routes(r *mux.Router) {
	r.MatcherFunc(isDumb).HandlerFunc(refuseDumb)
	r.MatcherFunc(isInfoRefs).HandlerFunc(s.serveInfoRefs)
	for _, svc := range []service{uploadPack, receivePack} {
		suffix := "/" + string(svc)
		r.MatcherFunc(func(req *http.Request, _ *mux.RouteMatch) bool {
			path, ok := strings.CutSuffix(req.URL.Path, suffix)
			return ok && isRepo(path)
		}).HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			s.serveRPC(w, req, svc, strings.TrimSuffix(req.URL.Path, suffix))
		})
	}
}

func isRepo(path string) bool {
	_, err := repo.FromPath(path)
	return err == nil
}

func isInfoRefs(req *http.Request, _ *mux.RouteMatch) bool {
	path, ok := strings.CutSuffix(req.URL.Path, infoRefs)
	return ok && isRepo(path)
}

func isDumb(req *http.Request, _ *mux.RouteMatch) bool {
	m := dumbPath.FindStringSubmatch(req.URL.Path)
	return m != nil && (isRepo(m[1]) || isRepo(m[2]))
}

func refuseDumb(w http.ResponseWriter, _ *http.Request) {
	text(w, http.StatusForbidden, "the dumb git protocol is not served here; use a git client of this decade")
}

// text answers with a plain sentence, which git clients show after "remote: ".
func text(w http.ResponseWriter, code int, sentence string) {
	noCache(w)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, cleanLine(sentence)+"\n")
}

// noCache keeps every proxy from answering for us (Documentation/gitprotocol-http.txt).
func noCache(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Expires", "Fri, 01 Jan 1980 00:00:00 GMT")
	h.Set("Pragma", "no-cache")
	h.Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
}

// protocol is what a Git-Protocol header or GIT_PROTOCOL asks for, as "version=N", or "".
// It may list several versions and other keys; git takes the highest version and so do we.
func protocol(value string) string {
	if !protocolValue.MatchString(value) {
		return ""
	}
	highest := ""
	for field := range strings.SplitSeq(value, ":") {
		switch field {
		case "version=0", "version=1", "version=2":
			highest = max(highest, field)
		}
	}
	return highest
}

// serveInfoRefs advertises. It is also where clients find out that they must sign in.
func (s *Server) serveInfoRefs(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		text(w, http.StatusMethodNotAllowed, "info/refs is read with GET")
		return
	}
	services := r.URL.Query()["service"]
	if len(services) == 0 {
		refuseDumb(w, r)
		return
	}
	svc := service(services[0])
	if len(services) > 1 || (svc != uploadPack && svc != receivePack) {
		text(w, http.StatusForbidden, "no such service: this server serves git-upload-pack and git-receive-pack")
		return
	}
	path := strings.TrimSuffix(r.URL.Path, infoRefs)
	actor, err := s.actorOf(r)
	if err != nil {
		s.deny(w, r, actor, svc, err)
		return
	}
	_, g, err := s.open(r.Context(), actor, path, svc)
	if err != nil {
		s.deny(w, r, actor, svc, err)
		return
	}
	proto := protocol(r.Header.Get("Git-Protocol"))
	if err := s.advertise(w, r, g, svc, proto); err != nil {
		s.logHTTP(r, actor, svc, "failed", err)
		return
	}
	s.logHTTP(r, actor, svc, "advertised", nil)
}

func (s *Server) advertise(w http.ResponseWriter, r *http.Request, g *git.Repo, svc service, proto string) error {
	head := appendFlush(appendPkt(nil, "# service="+string(svc)+"\n"))
	out := &lazyHeader{w: w, contentType: "application/x-" + string(svc) + "-advertisement"}
	if svc == receivePack {
		refs, err := advertisement(r.Context(), g, proto)
		if err != nil {
			return out.fail(err)
		}
		_, err = s.patient(w, out).Write(append(head, refs...))
		return err
	}
	leave, err := enter(r.Context(), s.line().fetches)
	if err != nil {
		return out.fail(err)
	}
	defer leave()
	if proto != "version=2" {
		out.prefix = head
	}
	return out.fail(g.UploadPack(r.Context(), git.UploadPackOptions{
		Stateless: true, AdvertiseRefs: true, Protocol: proto, In: strings.NewReader(""), Out: s.patient(w, out),
	}))
}

// serveRPC runs a service that was asked for with POST.
func (s *Server) serveRPC(w http.ResponseWriter, r *http.Request, svc service, path string) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		text(w, http.StatusMethodNotAllowed, string(svc)+" is asked for with POST")
		return
	}
	if code, sentence := checkRPC(r, svc); code != 0 {
		text(w, code, sentence)
		return
	}
	actor, err := s.actorOf(r)
	if err != nil {
		s.deny(w, r, actor, svc, err)
		return
	}
	found, g, err := s.open(r.Context(), actor, path, svc)
	if err != nil {
		s.deny(w, r, actor, svc, err)
		return
	}
	limits := s.Limits.complete()
	sent := newPatientReader(r.Body, s.Now, limits.Stall, stallBytes, aborter(w))
	body := io.Reader(sent)
	if enc := r.Header.Get("Content-Encoding"); enc == "gzip" || enc == "x-gzip" {
		// Reading the header may fail; that is then the first read's error.
		body = &lazyGzip{in: sent}
	}
	if svc == receivePack {
		err = s.receiveHTTP(w, r, exchange{actor: actor, repo: found, git: g, in: newInput(body)}, sent)
	} else {
		err = s.fetchHTTP(w, r, g, body)
	}
	result := "served"
	if err != nil {
		result = "failed"
	}
	s.logHTTP(r, actor, svc, result, err)
}

// checkRPC holds the request's words against its path, which alone decides.
func checkRPC(r *http.Request, svc service) (code int, sentence string) {
	for _, other := range r.URL.Query()["service"] {
		if other != string(svc) {
			return http.StatusBadRequest, "the service in the query is not the one in the path"
		}
	}
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch strings.TrimSpace(media) {
	case "application/x-" + string(svc) + "-request":
	case "application/x-" + string(uploadPack) + "-request", "application/x-" + string(receivePack) + "-request":
		return http.StatusBadRequest, "the content type is that of another service than the path"
	default:
		return http.StatusUnsupportedMediaType, "the content type must be application/x-" + string(svc) + "-request"
	}
	switch r.Header.Get("Content-Encoding") {
	case "", "identity", "gzip", "x-gzip":
		return 0, ""
	default:
		return http.StatusUnsupportedMediaType, "only gzip is understood as content encoding"
	}
}

// fetchHTTP answers one round of a fetch. The whole request is read first: see
// [DefaultRequestBytes].
func (s *Server) fetchHTTP(w http.ResponseWriter, r *http.Request, g *git.Repo, body io.Reader) error {
	out := &lazyHeader{w: w, contentType: "application/x-git-upload-pack-result"}
	request, forget, err := s.readFetch(body)
	if err != nil {
		return out.fail(err)
	}
	defer forget()
	leave, err := enter(r.Context(), s.line().fetches)
	if err != nil {
		return out.fail(err)
	}
	defer leave()
	err = g.UploadPack(r.Context(), git.UploadPackOptions{
		Stateless: true, Protocol: protocol(r.Header.Get("Git-Protocol")), In: request,
		Out: s.patient(w, &flushWriter{w: out, flush: http.NewResponseController(w).Flush}),
	})
	if out.sent && fault.Is(err, fault.Invalid) {
		return err // upload-pack has told the client in the protocol
	}
	return out.fail(err)
}

// receiveHTTP takes a push. Progress goes out while the pack still comes in. sent is the body
// as it was sent, on which x.in reads.
func (s *Server) receiveHTTP(w http.ResponseWriter, r *http.Request, x exchange, sent io.Reader) error {
	rc := http.NewResponseController(w)
	if err := rc.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fault.Wrap(err, fault.Internal, "gitserver.receiveHTTP", "full duplex")
	}
	out := &lazyHeader{w: w, contentType: "application/x-git-receive-pack-result"}
	x.out, x.flush, x.abort = s.patient(w, out), rc.Flush, aborter(w)
	x.packEnd = func() error { return bodyEnd(x.in) }
	err := s.receive(r.Context(), x)
	var broken *protocolError
	switch {
	case errors.As(err, &broken) && !out.sent:
		w.Header().Set("Connection", "close")
		text(w, http.StatusBadRequest, broken.Error())
	case err != nil:
		_ = out.fail(err)
	case !x.in.over(sent):
		// In full duplex net/http would take what is left for the next request.
		if out.sent {
			aborter(w)()
		}
		w.Header().Set("Connection", "close")
	}
	if err == nil && !out.sent { // nothing to push, or a client that wants no report
		_, err = out.Write(nil)
	}
	return err
}
