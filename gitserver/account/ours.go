package account

import (
	"encoding/base64"
	"slices"
	"strings"
)

// Ours reports whether the value of a header Authorization carries a token of this server,
// whether or not that is good for anything: by its beginning, in every place where a token is
// read from, [Store.ActorByToken] being asked nothing. Whoever passes requests on to others keeps it back.
func Ours(authorization string) bool {
	return slices.ContainsFunc(strings.Fields(authorization), func(part string) bool {
		return ours(part) || slices.ContainsFunc(decoded(part), func(text string) bool {
			return slices.ContainsFunc(strings.FieldsFunc(text, func(c rune) bool { return c == ':' }), ours)
		})
	})
}

func ours(secret string) bool {
	// Trimmed, as those do who read it; whoever wrote it in capitals meant it all the same.
	secret = strings.TrimSpace(secret)
	return len(secret) >= len(apiPrefix) && strings.EqualFold(secret[:len(apiPrefix)], apiPrefix)
}

// decoded is what a part says in base64, however somebody wrote that.
func decoded(part string) (all []string) {
	for _, how := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if text, err := how.DecodeString(strings.TrimRight(part, "=")); err == nil {
			all = append(all, string(text))
		}
	}
	return all
}
