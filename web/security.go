package web

import (
	"net/http"
	"net/url"
	"strings"

	"gatehouse/gitserver/fault"
)

// policy allows this server's own style, script, pictures and streams, and nothing else: a
// hole in the escaping could then still not run anything.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// rawPolicy is for files of a repository sent as they are: nothing in them may act.
const rawPolicy = "default-src 'none'; sandbox; frame-ancestors 'none'"

// setHeaders puts on every answer, errors too, what keeps browsers from helping an attacker.
// The referrer policy is same-origin and not no-referrer: with the latter browsers send
// "Origin: null" with our own forms, and the origin check could not tell them from others.
func (w *Web) setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Frame-Options", "DENY")
	h.Add("Vary", "Cookie")
	if w.secure() {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// secure reports whether people reach the server over TLS.
func (w *Web) secure() bool { return strings.HasPrefix(w.URL, "https://") }

// newGuard is the standard library's protection against forms of other sites. Behind a proxy
// that rewrites Host, the configured address still counts as ours.
func newGuard(address string) *http.CrossOriginProtection {
	guard := http.NewCrossOriginProtection()
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		// The address was parsed: scheme and host are there, so this cannot fail.
		_ = guard.AddTrustedOrigin(u.Scheme + "://" + u.Host)
	}
	return guard
}

// checkOrigin refuses a changing request that did not come from a page of ours. The guard
// lets one pass that says nothing of where it comes from, as scripts do: the pages take
// those neither, scripts have the API.
func (w *Web) checkOrigin(r *http.Request) error {
	const next = "open the page on this server and try again"
	if err := w.guard.Check(r); err != nil {
		return fault.New(fault.Denied, "web", "this request came from another site", next)
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	if r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == "" {
		return fault.New(fault.Denied, "web", "this request does not say which page it came from", next+"; programs use the API")
	}
	return nil
}

// safeNext is where to go after signing in: a path on this server, or the dashboard.
func safeNext(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "/signin") || strings.HasPrefix(next, "/signout") {
		return "/"
	}
	// Browsers take a backslash for a slash and drop tabs and line breaks, so "/\evil" and
	// "/\t/evil" would lead away.
	if len(next) > 1 && (next[1] == '/' || next[1] == '\\') || strings.IndexFunc(next, func(r rune) bool { return r < ' ' || r == '\\' || r == 0x7f }) >= 0 {
		return "/"
	}
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil {
		return "/"
	}
	return next
}
