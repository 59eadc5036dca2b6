package forge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gatehouse/gatekeeper/entrance"
	"gatehouse/gitserver/fault"
)

const (
	// maxAnswer is how much of an answer is read: those that we ask for have a few kilobytes.
	maxAnswer = 1 << 20
	// maxPause is the longest that we leave a forge alone when it asks for it.
	maxPause = time.Hour
	// usualPause is how long, when it does not say.
	usualPause = time.Minute
)

// pauseError says that a forge wants to be left alone for a while.
type pauseError struct{ after time.Duration }

// Error names the time.
func (e *pauseError) Error() string {
	return fmt.Sprintf("the forge wants to be left alone for %s", e.after)
}

// call makes one request to an entrance's API. The path is our own words and numbers, escaped.
// A refusal is a fault: Denied, NotFound, Conflict, Refused; what may pass is Unavailable or a
// *pauseError.
func (s *Service) call(ctx context.Context, e entrance.Entrance, token, method, path string, in, out any) error {
	const op = "forge.call"
	root, err := url.Parse(e.API)
	if err != nil || e.API == "" {
		return fault.New(fault.Invalid, op, "this entrance has no API", "give one: --api")
	}
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("forge: %w", err)
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, e.API+path, body)
	if err != nil {
		return fmt.Errorf("forge: %w", err)
	}
	r.Header.Set("User-Agent", "Gatehouse/1")
	r.Header.Set("Accept", "application/json")
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	authorize(e, r, token)
	resp, err := s.Client(root.Scheme == "https").Do(r)
	if err != nil {
		return s.unreached(ctx, e, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, op, "the forge's answer broke off")
	}
	if err := s.judge(resp, text, token); err != nil {
		return err
	}
	if out == nil || len(text) == 0 {
		return nil
	}
	text = bytes.TrimPrefix(text, []byte(")]}'")) // Gerrit's, against scripts that read it as one
	if err := json.Unmarshal(text, out); err != nil {
		return fault.Wrap(err, fault.Unavailable, op, "the forge's answer is not what its API answers")
	}
	return nil
}

// unreached is why there was no answer, in words that name no address of ours.
func (s *Service) unreached(ctx context.Context, e entrance.Entrance, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return &fault.Error{Kind: fault.Unavailable, Op: "forge.call", Err: err, Public: fmt.Sprintf("the API of %s cannot be reached", e.Forge)}
}

// authorize puts the token where the forge looks for it.
func authorize(e entrance.Entrance, r *http.Request, token string) {
	if token == "" {
		return
	}
	switch e.Forge {
	case entrance.GitHub:
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	case entrance.GitLab:
		r.Header.Set("PRIVATE-TOKEN", token)
	case entrance.Gitea, entrance.Forgejo:
		r.Header.Set("Authorization", "token "+token)
	case entrance.Gerrit:
		r.SetBasicAuth(e.Username, token)
	case entrance.Plain: // has no API
	}
}

// judge turns an answer that is no yes into a fault.
func (s *Service) judge(resp *http.Response, text []byte, token string) error {
	const op = "forge.call"
	status := resp.StatusCode
	said := ""
	if token != "" {
		text = bytes.ReplaceAll(text, []byte(token), []byte("(token)"))
	}
	var answer struct {
		Message any `json:"message"`
	}
	if json.Unmarshal(text, &answer) == nil && answer.Message != nil {
		said = ": " + strings.Join(strings.Fields(fmt.Sprint(answer.Message)), " ")
		if len(said) > 200 {
			said = strings.ToValidUTF8(said[:200], "") + "…"
		}
	}
	words := fmt.Sprintf("the forge answers %d%s", status, said)
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusTooManyRequests, status == http.StatusForbidden && limited(resp):
		return &pauseError{s.pause(resp)}
	case status >= 300 && status < 400:
		return fault.New(fault.Invalid, op, words+", a redirect, and those are not followed", "give the API's own address")
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fault.New(fault.Denied, op, words, "give a token that may do this: gate entrance rotate REPO ID --token-file FILE")
	case status == http.StatusNotFound:
		return fault.New(fault.NotFound, op, words, "check the project's name and what the token may see")
	case status == http.StatusConflict, status == http.StatusPreconditionFailed:
		return fault.New(fault.Conflict, op, words, "")
	case status < 500:
		return fault.New(fault.Refused, op, words, "")
	default:
		return fault.New(fault.Unavailable, op, words, "")
	}
}

// limited reports whether a refusal is about how often we ask (GitHub: "Rate limits for the REST API").
func limited(resp *http.Response) bool {
	return resp.Header.Get("Retry-After") != "" || resp.Header.Get("X-Ratelimit-Remaining") == "0"
}

// pause is for how long the forge wants to be left alone.
func (s *Service) pause(resp *http.Response) time.Duration {
	after := usualPause
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 && seconds < 1_000_000 {
		after = time.Duration(seconds) * time.Second
	} else if at, err := strconv.ParseInt(first(resp.Header, "X-Ratelimit-Reset", "Ratelimit-Reset"), 10, 64); err == nil {
		after = time.Unix(at, 0).Sub(s.Now())
	}
	return min(max(after, time.Second), maxPause)
}

func first(h http.Header, names ...string) string {
	for _, name := range names {
		if value := h.Get(name); value != "" {
			return value
		}
	}
	return ""
}
