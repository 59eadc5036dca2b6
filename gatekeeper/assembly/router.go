package assembly

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"gatehouse/gitserver/fault"
)

const (
	// dialTimeout is how long a target may take to take a connection: it is near.
	dialTimeout = 5 * time.Second
	// idleTargets bounds the idle connections to one target.
	idleTargets = 64
)

// loopHeader says through which routers a request came, and for which name: an address may lead back
// here by ways that nobody sees, and would do so for ever.
const loopHeader = "Gatehouse-Via"

// RouterConfig is what [NewRouter] needs to keep apart what is the server's own.
type RouterConfig struct {
	// Reserved are the host names of the server's own pages: no assembly gets one.
	Reserved []string
	// Own are the addresses that the server itself listens on, as net.Listen takes them. No
	// assembly is there.
	Own []string
	// Cookies are the names of the server's own cookies. Assemblies neither see nor set them.
	Cookies []string
	// Ours reports whether a value of the header Authorization is a credential of the server, and
	// is kept from assemblies. nil says that all are.
	Ours func(authorization string) bool
	// HTTPS says that visitors come over TLS, which somebody in front of the server ends.
	HTTPS bool
}

// Router is a reverse proxy: it sends a request to the assembly that has the request's host name. It
// is safe for concurrent use.
type Router struct {
	config RouterConfig
	nonce  string // marks what went through here, see loopHeader

	mu      sync.Mutex
	hosts   map[string]*target // by name, lower case
	targets map[string]*target // by address, while a name leads there or a request is there
}

// target is an assembly as the router sees it.
type target struct {
	address   string
	proxy     *httputil.ReverseProxy
	transport *http.Transport

	names, requests int           // under Router.mu
	idle            chan struct{} // closed when no request is left; nil while nobody waits
}

// NewRouter makes a router without names.
func NewRouter(c RouterConfig) *Router {
	return &Router{config: c, nonce: rand.Text(), hosts: map[string]*target{}, targets: map[string]*target{}}
}

// Set sends the requests for host to i from now on. Those that are under way end where they are:
// see [Router.Drain].
func (r *Router) Set(host string, i Instance) error {
	const op = "assembly.Router.Set"
	name, err := r.name(host)
	if err != nil {
		return err
	}
	to, err := parseAddress(op, i.Address)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(r.config.Own, func(own string) bool { return leadsTo(own, to) }) {
		return fault.Newf(fault.Refused, op, "%s is the server itself", i.Address)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.targets[to.String()]
	if t == nil {
		t = r.newTarget(to)
		r.targets[t.address] = t
	}
	t.names++
	old := r.hosts[name]
	r.hosts[name] = t
	if old != nil {
		old.names--
		r.tidy(old)
	}
	return nil
}

// Unset forgets host. Requests for it are not handled any more.
func (r *Router) Unset(host string) {
	name := hostName(host)
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.hosts[name]; t != nil {
		delete(r.hosts, name)
		t.names--
		r.tidy(t)
	}
}

// Names are the host names that lead somewhere, sorted.
func (r *Router) Names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for name := range r.hosts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Drain waits until no request is under way to i. While a name leads to i there may be new ones;
// a connection that was switched to another protocol counts as long as it lasts.
func (r *Router) Drain(ctx context.Context, i Instance) error {
	const op = "assembly.Router.Drain"
	to, err := parseAddress(op, i.Address)
	if err != nil {
		return err
	}
	for {
		r.mu.Lock()
		t := r.targets[to.String()]
		if t == nil || t.requests == 0 {
			r.mu.Unlock()
			return nil
		}
		if t.idle == nil {
			t.idle = make(chan struct{})
		}
		idle := t.idle
		r.mu.Unlock()
		select {
		case <-idle:
		case <-ctx.Done():
			return fault.Wrap(ctx.Err(), fault.Unavailable, op, "requests to it are still under way")
		}
	}
}

// tidy forgets a target that nothing leads to and nothing is at. r.mu is held.
func (r *Router) tidy(t *target) {
	if t.requests == 0 && t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
	if t.names == 0 && t.requests == 0 {
		delete(r.targets, t.address)
		t.transport.CloseIdleConnections()
	}
}

// Before handles what is for an assembly, and leaves all else to next.
func (r *Router) Before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		t := r.enter(hostName(req.Host))
		if t == nil {
			next.ServeHTTP(w, req)
			return
		}
		defer r.leave(t)
		if req.Method == http.MethodConnect { // we are no way to elsewhere
			http.Error(w, "this is no proxy for other hosts", http.StatusMethodNotAllowed)
			return
		}
		if slices.Contains(req.Header.Values(loopHeader), r.mark(req)) {
			http.Error(w, "this name leads back to itself", http.StatusLoopDetected)
			return
		}
		t.proxy.ServeHTTP(w, req)
	})
}

// ServeHTTP is [Router.Before] with nothing behind it.
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.Before(http.HandlerFunc(http.NotFound)).ServeHTTP(w, req)
}

func (r *Router) enter(name string) *target {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.hosts[name]
	if t != nil {
		t.requests++
	}
	return t
}

func (r *Router) leave(t *target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.requests--
	r.tidy(t)
}

// newTarget makes the proxy to an assembly.
func (r *Router) newTarget(to *url.URL) *target {
	t := &target{address: to.String(), transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext, // and no proxy of the environment's
		MaxIdleConnsPerHost: idleTargets, IdleConnTimeout: time.Minute, DisableCompression: true,
	}}
	t.proxy = &httputil.ReverseProxy{
		Transport: t.transport, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0), // the page says it
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(to)
			p.Out.Host = p.In.Host // what the assembly is called
			p.SetXForwarded()
			if r.config.HTTPS {
				p.Out.Header.Set("X-Forwarded-Proto", "https")
			}
			p.Out.Header.Del("X-Real-Ip") // an assembly may believe it, and it would be the visitor's word
			r.keepOurs(p.Out.Header)
			p.Out.Header.Add(loopHeader, r.mark(p.In))
		},
		ModifyResponse: func(answer *http.Response) error {
			r.keepFromSetting(answer.Header)
			return nil
		},
		ErrorHandler: badGateway,
	}
	return t
}

// mark is what a request for a name carries once it went through here.
func (r *Router) mark(req *http.Request) string { return r.nonce + " " + hostName(req.Host) }

// badGateway says that an assembly does not answer. Who has gone away is not told.
func badGateway(w http.ResponseWriter, req *http.Request, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Retry-After", "5")
	w.WriteHeader(http.StatusBadGateway)
	_, _ = fmt.Fprintf(w, "%s does not answer at the moment.\n\nThe server in front of it is well; what it leads to is starting, or has ended.\n"+
		"Try again in a few seconds. Its page on the server says how it is, and why.\n", hostName(req.Host))
}

// keepOurs takes the server's own credentials out of a request.
func (r *Router) keepOurs(h http.Header) {
	var rest []string
	for _, line := range h.Values("Cookie") {
		for pair := range strings.SplitSeq(line, ";") {
			name, _, _ := strings.Cut(pair, "=")
			if pair = strings.TrimSpace(pair); pair != "" && !r.ourCookie(name) {
				rest = append(rest, pair)
			}
		}
	}
	h.Del("Cookie")
	if len(rest) > 0 {
		h.Set("Cookie", strings.Join(rest, "; "))
	}
	for _, value := range h.Values("Authorization") {
		if r.config.Ours == nil || r.config.Ours(value) {
			h.Del("Authorization")
			break
		}
	}
}

// keepFromSetting takes out of an answer what would reach the server's own pages: an assembly
// below the same domain could set a cookie for all of it, or clear them.
func (r *Router) keepFromSetting(h http.Header) {
	cookies := h.Values("Set-Cookie")
	h.Del("Set-Cookie")
	for _, line := range cookies {
		if name, _, _ := strings.Cut(line, "="); !r.ourCookie(name) {
			h.Add("Set-Cookie", line)
		}
	}
	h.Del("Clear-Site-Data")
}

func (r *Router) ourCookie(name string) bool {
	name = strings.Trim(name, " \t\"")
	return slices.ContainsFunc(r.config.Cookies, func(ours string) bool { return strings.EqualFold(ours, name) })
}

// name checks a host name that shall lead to an assembly.
func (r *Router) name(host string) (string, error) {
	const op = "assembly.Router.Set"
	name := hostName(host)
	if err := checkName(op, name); err != nil {
		return "", err
	}
	for _, reserved := range append([]string{"localhost"}, r.config.Reserved...) {
		if hostName(reserved) == name {
			return "", fault.Newf(fault.Refused, op, "%s is the name of the server itself", name).WithNext("choose another name")
		}
	}
	return name, nil
}
