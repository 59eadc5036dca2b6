// Package fault is how every room says no.
//
// A fault has a kind, the operation that failed, words for the person who asked and, where
// there is one, the next step. The cause stays behind the words: it is for the log alone.
// The edges (HTTP, SSH, push output, command line) each turn a kind into their own code in
// one table; nobody else looks at text.
package fault

import (
	"errors"
	"fmt"
)

// Kind says what sort of no this is.
type Kind int

// The kinds. Internal is the zero value: an error that nobody classified is ours.
const (
	Internal        Kind = iota
	Invalid              // the request makes no sense as it is
	Unauthenticated      // we do not know who asks
	Denied               // we know, and may not
	NotFound             // there is no such thing, or none that the asker may know of
	Conflict             // the thing has moved on since the asker looked
	Refused              // a gate, a rule or a state says no
	TooLarge             // beyond a named limit
	Unavailable          // try again later
)

var names = [...]string{"internal", "invalid", "unauthenticated", "denied", "not-found", "conflict", "refused", "too-large", "unavailable"}

// String is the kind as the API spells it.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(names) {
		panic(fmt.Sprintf("fault: unknown kind %d", int(k)))
	}
	return names[k]
}

// Error is a refusal or a failure.
type Error struct {
	Kind   Kind
	Op     string // the operation, as "review.Vote"
	Public string // one sentence for the asker, without a full stop
	Next   string // what to do next, "" when there is nothing
	Err    error  // the cause, never shown
}

// New makes a fault. next may be "".
func New(kind Kind, op, public, next string) *Error {
	return &Error{Kind: kind, Op: op, Public: public, Next: next}
}

// Newf is [New] with a formatted public sentence and no next step.
func Newf(kind Kind, op, format string, args ...any) *Error {
	return &Error{Kind: kind, Op: op, Public: fmt.Sprintf(format, args...)}
}

// Wrap classifies err. A nil err gives nil; an err that is a fault already keeps its kind and words.
func Wrap(err error, kind Kind, op, public string) error {
	if err == nil {
		return nil
	}
	var already *Error
	if errors.As(err, &already) {
		return fmt.Errorf("%s: %w", op, err)
	}
	return &Error{Kind: kind, Op: op, Public: public, Err: err}
}

// WithNext returns e with the next step set.
func (e *Error) WithNext(next string) *Error {
	e.Next = next
	return e
}

// Error gives everything, for the log.
func (e *Error) Error() string {
	text := e.Op + ": " + e.Public
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf is the kind of err; an error that is no fault is [Internal].
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Is reports whether err is a fault of kind k.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }

// Public gives the words for the asker. An error that is no fault shows nothing of itself.
func Public(err error) (sentence, next string) {
	var e *Error
	if errors.As(err, &e) && e.Kind != Internal {
		return e.Public, e.Next
	}
	return "the server could not do this; its log says why", ""
}

// Sentence is [Public] in one string: the sentence, then the next step.
func Sentence(err error) string {
	s, next := Public(err)
	if next != "" {
		s += "; " + next
	}
	return s
}
