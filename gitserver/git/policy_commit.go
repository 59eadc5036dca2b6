package git

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"gatehouse/gitserver/fault"
)

// commitHeaders are the headers that a new commit may have beyond the four that each has, and
// how often (0: as often as it has parents). "HG:" ones of Mercurial bridges are allowed too.
// Others are a place to hide what no reader shows.
var commitHeaders = map[string]int{"encoding": 1, "gpgsig": 1, "gpgsig-sha256": 1, "change-id": 1, "mergetag": 0}

// maxHeaders bounds the extra headers of a commit.
const maxHeaders = 32

// tagHeaders are the headers of a new tag object.
var tagHeaders = []string{"object", "type", "tag", "tagger"}

// checkCommit judges the raw headers of a new commit.
func (p Policy) checkCommit(oid OID, raw []byte) error {
	what := "the commit " + oid.Short()
	const amend = "make the commit again with an ordinary git"
	headers, _, err := splitCommit(raw)
	if err != nil || len(headers) < 3 {
		return refusal(what, "is not readable", amend)
	}
	parents := 0
	for parents+1 < len(headers) && headers[parents+1].key == "parent" {
		parents++
	}
	if parents > p.MaxParents {
		return refusal(what, fmt.Sprintf("has %d parents; the limit is %d", parents, p.MaxParents), "merge one branch at a time")
	}
	if headers[0].key != "tree" || len(headers) < parents+3 || headers[parents+1].key != "author" || headers[parents+2].key != "committer" {
		return refusal(what, "has its headers in another order than git writes them", amend)
	}
	for _, h := range headers[parents+1 : parents+3] {
		if err := p.checkIdent(what+" ("+h.key+")", h.value); err != nil {
			return err
		}
	}
	extra := headers[parents+3:]
	if len(extra) > maxHeaders {
		return refusal(what, "has more than 32 extra headers", amend)
	}
	seen := map[string]int{}
	for _, h := range extra {
		most, known := commitHeaders[h.key]
		if strings.HasPrefix(h.key, "HG:") {
			most, known = maxHeaders, true
		}
		if h.key == "mergetag" {
			most = parents
		}
		if seen[h.key]++; !known || seen[h.key] > most {
			return refusal(what, "has the header "+quoteName(h.key)+", which is unknown or there too often", amend)
		}
		if !strings.HasPrefix(h.key, "gpgsig") && h.key != "mergetag" && strings.ContainsFunc(h.value, unicode.IsControl) {
			return refusal(what, "has a control character in its header "+quoteName(h.key), amend)
		}
	}
	return nil
}

// checkIdent judges "Name <email> seconds zone".
func (p Policy) checkIdent(what, ident string) error {
	const next = "set user.name and user.email, and amend the commit with --reset-author"
	name, rest, ok := strings.Cut(ident, " <")
	email, stamp, ok2 := strings.Cut(rest, "> ")
	if !ok || !ok2 || strings.TrimSpace(name) == "" || strings.TrimSpace(email) == "" {
		return refusal(what, "has no name or no e-mail address", next)
	}
	if strings.ContainsFunc(name+email, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '<' || r == '>'
	}) {
		return refusal(what, "has a control, text-reordering or angle character in its name or address", next)
	}
	seconds, zone, _ := strings.Cut(stamp, " ")
	at, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || at < 0 || len(zone) != 5 || zone[0] != '+' && zone[0] != '-' {
		return refusal(what, "has an unreadable date", next)
	}
	if latest := p.Now().Add(MaxFuture); at > latest.Unix() {
		return refusal(what, "has a date more than 24 hours in the future", "check the clock of your machine, and amend the commit with --date=now")
	}
	return nil
}

// checkTag judges the headers of a new tag object.
func (p Policy) checkTag(oid OID, raw []byte) error {
	what := "the tag " + oid.Short()
	headers, _, err := splitCommit(raw)
	if err != nil {
		return refusal(what, "is not readable", "make it again with git tag")
	}
	for i, h := range headers {
		ordered := i < len(tagHeaders) && h.key == tagHeaders[i]
		signed := i >= len(tagHeaders)-1 && (h.key == "gpgsig" || h.key == "gpgsig-sha256")
		if !ordered && !signed {
			return refusal(what, "has the header "+quoteName(h.key)+", which is unknown or out of place", "make it again with git tag")
		}
		if h.key == "tagger" {
			if err := p.checkIdent(what, h.value); err != nil {
				return err
			}
		}
	}
	return nil
}

// moduleKeys are what .gitmodules may say of a submodule.
var moduleKeys = map[string]bool{"path": true, "url": true, "branch": true, "update": true, "shallow": true, "ignore": true, "fetchrecursesubmodules": true}

// checkModules judges the settings of .gitmodules, as git itself lists them (-z: KEY, line
// feed, VALUE, NUL).
func checkModules(listing string) error {
	const next = "correct .gitmodules, and amend the commit"
	for _, record := range strings.Split(strings.TrimSuffix(listing, "\x00"), "\x00") {
		if record == "" {
			continue
		}
		key, value, _ := strings.Cut(record, "\n")
		what := ".gitmodules: " + quoteName(key) + " = " + quoteName(value)
		rest, ok := strings.CutPrefix(key, "submodule.")
		dot := strings.LastIndexByte(rest, '.')
		if !ok || dot <= 0 {
			return refusal(what, "is not a setting of a submodule", next)
		}
		name, setting := rest[:dot], rest[dot+1:]
		if !moduleKeys[setting] {
			return refusal(what, "is a setting that this server does not know", next)
		}
		if strings.ContainsFunc(value, unicode.IsControl) || strings.HasPrefix(value, "-") {
			return refusal(what, "holds a control character or begins with -", next)
		}
		for _, path := range modulePaths(name, setting, value) {
			for _, part := range strings.Split(path, "/") {
				if part == "" || part == "." || part == ".." || nameFlaw(part) != "" {
					return refusal(what, "is not a path inside the tree", next)
				}
			}
		}
		switch {
		case setting == "update" && value != "checkout" && value != "rebase" && value != "merge" && value != "none":
			return refusal(what, "would run a program", next)
		case setting == "url" && !moduleURL(value):
			return refusal(what, "is not an https, ssh or relative address", next)
		}
	}
	return nil
}

// modulePaths are the values that become paths of clones: the name always, the path too.
func modulePaths(name, setting, value string) []string {
	if setting == "path" {
		return []string{name, value}
	}
	return []string{name}
}

// moduleURL lets through what an ordinary clone fetches by https, http, ssh or git, and addresses
// relative to the repository's own.
func moduleURL(url string) bool {
	if strings.HasPrefix(url, "./") || strings.HasPrefix(url, "../") {
		return !strings.Contains(url, "::")
	}
	if rest, ok := strings.CutPrefix(url, "git://"); ok {
		return rest != "" && rest[0] != '-'
	}
	kind, err := remoteKind("git.Check", strings.Replace(url, "http://", "https://", 1), false)
	return err == nil && kind != "file"
}

// tooLarge is the fault of a new file beyond the limit.
func (p Policy) tooLarge(path string, size int64) error {
	return fault.New(fault.TooLarge, "git.Check",
		fmt.Sprintf("the file %s has %d bytes; the limit is %d", quoteName(path), size, p.MaxBlob),
		"take it out of the commit that adds it")
}
