package git

import (
	"gatehouse/gitserver/fault"
)

// OID names an object: 40 lower-case hexadecimal digits (SHA-1).
type OID string

// Zero stands for "no object" in ref updates.
const Zero OID = "0000000000000000000000000000000000000000"

// EmptyTree is the tree without entries; git knows it in every repository.
const EmptyTree OID = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

// oidLen is the number of digits of an object name.
const oidLen = 40

// shortLen is how many digits people are shown: enough for repositories of some million objects.
const shortLen = 10

// IsZero reports whether o names no object.
func (o OID) IsZero() bool { return o == "" || o == Zero }

// Short is the first ten digits, for people.
func (o OID) Short() string {
	if len(o) <= shortLen {
		return string(o)
	}
	return string(o[:shortLen])
}

// ParseOID reads an object name; anything but 40 lower-case hexadecimal digits is Invalid.
func ParseOID(s string) (OID, error) {
	if !isHex(s, oidLen) {
		return "", fault.Newf(fault.Invalid, "git.ParseOID", "%q is not an object name", clip(s))
	}
	return OID(s), nil
}

// isHex reports whether s is n lower-case hexadecimal digits.
func isHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// valid checks every name before it becomes an argument or a line of input of a child.
func valid(op string, oids ...OID) error {
	for _, o := range oids {
		if !isHex(string(o), oidLen) {
			return fault.Newf(fault.Invalid, op, "%q is not an object name", clip(string(o)))
		}
	}
	return nil
}

// clipLen is how much of somebody else's text goes into a message.
const clipLen = 120

// clip shortens s for a message.
func clip(s string) string {
	if len(s) > clipLen {
		return s[:clipLen] + "..."
	}
	return s
}
