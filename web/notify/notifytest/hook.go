package notifytest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Request is what the web server was sent.
type Request struct {
	Method, Path string
	Header       http.Header
	Body         string
}

// Answer is what it answers.
type Answer struct {
	Status int
	Header map[string]string
	Body   string
}

// Hook is a web server that keeps what it is sent, and answers 200 unless it is told otherwise.
type Hook struct {
	URL string

	mu       sync.Mutex
	requests []Request
	answers  []Answer
}

// NewHook starts a web server, and stops it with the test.
func NewHook(t testing.TB) *Hook {
	t.Helper()
	h := &Hook{}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	h.URL = server.URL
	return h
}

// Answer makes the server answer the next requests so, one each.
func (h *Hook) Answer(answers ...Answer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers = append(h.answers, answers...)
}

// Requests is what was sent so far, oldest first.
func (h *Hook) Requests() []Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Request(nil), h.requests...)
}

// ServeHTTP keeps a request.
func (h *Hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the sender has gone
	}
	h.mu.Lock()
	h.requests = append(h.requests, Request{r.Method, r.URL.RequestURI(), r.Header.Clone(), string(body)})
	answer := Answer{Status: http.StatusOK, Body: "ok"}
	if len(h.answers) > 0 {
		answer, h.answers = h.answers[0], h.answers[1:]
	}
	h.mu.Unlock()
	for name, value := range answer.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(answer.Status)
	_, _ = io.WriteString(w, answer.Body) // the sender has gone
}
