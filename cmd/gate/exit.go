package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"gatehouse/gitserver/fault"
)

// The exit codes. 75 is EX_TEMPFAIL of sysexits.h, which mail and job runners know.
const (
	exitOK       = 0
	exitFailed   = 1
	exitUsage    = 2
	exitRefused  = 3
	exitNotFound = 4
	exitTryAgain = 75
)

// exitCode is the one table of fault kinds and exit codes.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	switch kind := fault.KindOf(err); kind {
	case fault.Internal:
		return exitFailed
	case fault.Invalid:
		return exitUsage
	case fault.Unauthenticated, fault.Denied, fault.Conflict, fault.Refused, fault.TooLarge:
		return exitRefused
	case fault.NotFound:
		return exitNotFound
	case fault.Unavailable:
		return exitTryAgain
	default:
		panic("gate: no exit code for the kind " + kind.String())
	}
}

// complain tells an error to the person at the terminal: the sentence, then the next step.
// What is no fault happened on this machine and is shown whole.
func complain(w io.Writer, err error) {
	var f *fault.Error
	if !errors.As(err, &f) {
		say(w, "gate: %v", err)
		return
	}
	sentence := f.Public
	if f.Kind == fault.Internal && f.Err != nil {
		sentence = fmt.Sprintf("%s: %v", sentence, f.Err)
	}
	say(w, "gate: %s", sentence)
	if f.Next != "" {
		say(w, "next: %s", f.Next)
	}
}

// say writes a line of talk. When stderr is gone nobody listens, and that is no error.
func say(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format+"\n", args...)
}

// usageError is what kong says about a command line, as a fault.
func usageError(err error) error {
	var already *fault.Error
	if errors.As(err, &already) {
		return already
	}
	next := "gate --help"
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil && parse.Context.Selected() != nil {
		next = "gate " + parse.Context.Selected().Path() + " --help"
	}
	words := strings.ReplaceAll(err.Error(), `,"" but got`, " but got") // an empty choice is what stands there anyway
	if verb, ok := strings.CutPrefix(words, "unexpected argument "); ok && next == "gate --help" {
		verb, meant, guessed := strings.Cut(verb, ", ")
		words = fmt.Sprintf("there is no command %q", verb)
		if guessed {
			words += ", " + meant
		}
	}
	return fault.New(fault.Invalid, "gate.usage", words, next)
}
