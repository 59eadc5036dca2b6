package promote

import "strings"

// shortDigest is how much of a digest people are shown: enough to tell apart, short enough to read.
const shortDigest = 12

// short is a digest for people.
func short(digest string) string {
	_, hex, found := strings.Cut(digest, ":")
	if !found {
		hex = digest
	}
	return hex[:min(len(hex), shortDigest)]
}

// said is who said something and why, in brackets.
func said(by, why string) string {
	switch {
	case by == "" && why == "":
		return ""
	case by == "":
		return " (" + why + ")"
	case why == "":
		return " (by " + by + ")"
	default:
		return " (by " + by + ": " + why + ")"
	}
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

func orElse(words, other string) string {
	if words == "" {
		return other
	}
	return words
}
