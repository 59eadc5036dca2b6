package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"gatehouse/gitserver/fault"
)

// statuses is the one table of fault kinds and HTTP statuses.
var statuses = []struct {
	kind   fault.Kind
	status int
}{
	{fault.Internal, http.StatusInternalServerError},
	{fault.Invalid, http.StatusBadRequest},
	{fault.Unauthenticated, http.StatusUnauthorized},
	{fault.Denied, http.StatusForbidden},
	{fault.NotFound, http.StatusNotFound},
	{fault.Conflict, http.StatusConflict},
	{fault.Refused, http.StatusUnprocessableEntity},
	{fault.TooLarge, http.StatusRequestEntityTooLarge},
	{fault.Unavailable, http.StatusServiceUnavailable},
}

// Status is the HTTP status of a fault's kind.
func Status(kind fault.Kind) int {
	for _, s := range statuses {
		if s.kind == kind {
			return s.status
		}
	}
	panic(fmt.Sprintf("api: no status for the kind %s", kind))
}

// kindOf is the kind that a status of the framework's own errors means.
func kindOf(status int) fault.Kind {
	for _, s := range statuses {
		if s.status == status {
			return s.kind
		}
	}
	switch {
	case status == http.StatusMethodNotAllowed, status == http.StatusUnsupportedMediaType, status == http.StatusNotAcceptable:
		return fault.Invalid
	case status == http.StatusRequestTimeout:
		return fault.Unavailable
	case status >= 400 && status < 500:
		return fault.Invalid
	default:
		return fault.Internal
	}
}

// Problem is an error as the API answers it (RFC 9457): its kind is what programs look at,
// its detail and next step are for people.
type Problem struct {
	Title  string   `json:"title" doc:"The words of the HTTP status."`
	Code   int      `json:"status" doc:"The HTTP status."`
	Kind   string   `json:"kind" doc:"What sort of no this is." enum:"internal,invalid,unauthenticated,denied,not-found,conflict,refused,too-large,unavailable"`
	Detail string   `json:"detail" doc:"One sentence for the person who asked."`
	Next   string   `json:"next,omitempty" doc:"What to do next."`
	Errors []string `json:"errors,omitempty" doc:"Each thing that is wrong with the request, with its place."`
}

// Error gives what the person who asked should read.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is part of huma.StatusError.
func (p *Problem) GetStatus() int { return p.Code }

// ContentType is part of huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// Fault is the problem as the fault that it was made from: for clients written in Go.
func (p *Problem) Fault(op string) *fault.Error {
	kind := fault.Internal
	for _, s := range statuses {
		if s.kind.String() == p.Kind {
			kind = s.kind
		}
	}
	sentence := p.Detail
	if len(p.Errors) > 0 {
		sentence += ": " + strings.Join(p.Errors, "; ")
	}
	return fault.New(kind, op, sentence, p.Next)
}

// problemOf is err as a problem: what is no fault shows nothing of itself.
func problemOf(err error) *Problem {
	var already *Problem
	if errors.As(err, &already) {
		return already
	}
	kind := fault.KindOf(err)
	sentence, next := fault.Public(err)
	status := Status(kind)
	return &Problem{Title: http.StatusText(status), Code: status, Kind: kind.String(), Detail: sentence, Next: next}
}

// The framework makes its own errors (a body that does not fit the schema, an unknown
// parameter) through this variable, and derives the document's error schema from it. It is a
// variable of the whole process, so it is set where the process begins.
func init() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		if status == http.StatusUnprocessableEntity {
			status = http.StatusBadRequest // 422 is what a gate's or a rule's no looks like here
		}
		p := &Problem{Title: http.StatusText(status), Code: status, Kind: kindOf(status).String(), Detail: message}
		for _, err := range errs {
			if err == nil {
				continue
			}
			text := err.Error()
			var place huma.ErrorDetailer
			if errors.As(err, &place) {
				detail := place.ErrorDetail()
				text = strings.TrimPrefix(detail.Location+": "+detail.Message, ": ")
			}
			if !slices.Contains(p.Errors, text) {
				p.Errors = append(p.Errors, text)
			}
		}
		return p
	}
}
