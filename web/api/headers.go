package api

import "net/http"

// guarded puts on every answer of h, errors too, what keeps browsers and caches from making
// more of it than it is: data, for who asked.
func (s *Server) guarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Referrer-Policy", "no-referrer")
		head.Add("Vary", "Authorization, Cookie")
		head.Set("Cache-Control", "no-cache")
		if s.signed(r) {
			head.Set("Cache-Control", "private, no-store")
		}
		h.ServeHTTP(w, r)
	})
}

// signed reports whether a request says who asks, truly or not: what it is answered is for
// that one alone.
func (s *Server) signed(r *http.Request) bool {
	if _, err := r.Cookie(s.SessionCookie); err == nil {
		return true
	}
	return r.Header.Get("Authorization") != "" || !actorOf(r.Context()).Anonymous()
}
