package web

import (
	"bytes"
	"regexp"
)

// sequences are the control sequences of terminals (ECMA-48): CSI, strings, and others of two
// characters.
var sequences = regexp.MustCompile("\x1b(?:\\[[0-?]*[ -/]*[@-~]?|[\\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\\\)?|[^\\[\\]PX^_]|$)")

// shownText is a line of a log as a terminal shows it in the end: without control sequences,
// and without what was overwritten.
func shownText(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte("\r"))
	if at := bytes.LastIndexByte(line, '\r'); at >= 0 {
		line = line[at+1:] // a progress bar: only its last state stood there in the end
	}
	if bytes.IndexByte(line, 0x1b) < 0 {
		return line
	}
	return sequences.ReplaceAll(line, nil)
}

// failures begin the lines that somebody searches for first.
var failures = [][]byte{
	[]byte("--- FAIL"), []byte("FAIL\t"), []byte("FAIL:"), []byte("not ok "), []byte("panic: "), []byte("fatal: "), []byte("error: "), []byte("Error: "), []byte("error["),
	[]byte("ERROR"), []byte("E   "), []byte("AssertionError"), []byte("Traceback (most recent"), []byte("::error"), []byte("FAILED "), []byte("make: ***"), []byte("DATA RACE"), []byte("WARNING: DATA RACE"),
	[]byte("fatal error: "), []byte("Segmentation fault"), []byte("Caused by: "), []byte("npm ERR!"),
}

// inFailures are found in the middle of such lines.
var inFailures = [][]byte{[]byte(": error: "), []byte(": fatal error: "), []byte(": command not found"), []byte("): error TS"), []byte("panicked at ")}

// failing reports whether a line looks like the one that somebody searches for first.
func failing(line []byte) bool {
	const enough = 500 // such a line says so early
	t := bytes.TrimLeft(shownText(line[:min(len(line), enough)]), " \t")
	if len(t) == 0 {
		return false
	}
	for _, prefix := range failures {
		if t[0] == prefix[0] && bytes.HasPrefix(t, prefix) {
			return true
		}
	}
	for _, words := range inFailures {
		if bytes.Contains(t, words) {
			return true
		}
	}
	return string(t) == "FAIL"
}
