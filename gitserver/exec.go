package gitserver

import (
	"strings"

	"github.com/sosedoff/gitkit"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
)

// maxExec bounds the line of an SSH exec request: a verb and the longest path fit ten times.
const maxExec = 4 << 10

// execCommand is a line of an SSH exec request that may be served.
type execCommand struct {
	service service
	repo    string // canonical, not yet looked up
}

// services is what each spelling of a verb means. What gitkit's pattern lets through beside
// these ("git|upload-pack", upload-archive) is not served.
var services = map[string]service{
	"git-upload-pack": uploadPack, "git upload-pack": uploadPack,
	"git-receive-pack": receivePack, "git receive-pack": receivePack,
}

// parseExec reads the line of an exec request: a verb and one path, which may be quoted as
// shells quote. The line never reaches a shell, so everything that only a shell would
// understand is refused.
func parseExec(line string) (execCommand, error) {
	const op = "gitserver.parseExec"
	if len(line) > maxExec {
		return execCommand{}, fault.New(fault.TooLarge, op, "the command is too long", "run git clone, fetch or push")
	}
	unknown := fault.New(fault.Invalid, op, "only git-upload-pack and git-receive-pack are served here", "run git clone, fetch or push")
	verb, rest, ok := cutVerb(line)
	if !ok {
		return execCommand{}, unknown
	}
	// gitkit says whether this is a git command at all. Of the path it makes something else
	// (it drops the first slash wherever that is), so it is not shown ours.
	parsed, err := gitkit.ParseGitCommand(verb + " 'path'")
	if err != nil {
		return execCommand{}, unknown
	}
	svc, ok := services[parsed.Command]
	if !ok {
		return execCommand{}, unknown
	}
	path, ok := unquote(rest)
	if !ok {
		return execCommand{}, fault.New(fault.Invalid, op, "the command must name exactly one repository", "write it as "+string(svc)+" 'NAME.git'")
	}
	name, err := repo.FromPath(path)
	if err != nil {
		return execCommand{}, err
	}
	return execCommand{service: svc, repo: name}, nil
}

// cutVerb takes "git-VERB" or "git VERB" off the line's front.
func cutVerb(line string) (verb, rest string, ok bool) {
	verb, rest, ok = strings.Cut(line, " ")
	if ok && verb == "git" {
		var word string
		word, rest, ok = strings.Cut(rest, " ")
		verb += " " + word
	}
	return verb, rest, ok
}

// unquote reads one shell word: bare characters, '…', "…" and backslash escapes (git writes
// a quote in a name as '\”, and ! as '\!'). ok is false for anything but exactly one word
// and for characters that a shell would act upon.
func unquote(text string) (word string, ok bool) {
	text = strings.Trim(text, " ")
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\'' || c == '"':
			n, good := quoted(&out, text[i+1:], c)
			if !good {
				return "", false
			}
			i += n
		case c == '\\':
			if i++; i == len(text) {
				return "", false
			}
			out.WriteByte(text[i])
		case bare(c):
			out.WriteByte(c)
		default:
			return "", false
		}
	}
	return out.String(), out.Len() > 0
}

// quoted writes what stands in quotes and returns its length with the closing quote.
func quoted(out *strings.Builder, text string, quote byte) (int, bool) {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == quote:
			return i + 1, true
		case quote == '"' && (c == '$' || c == '`'):
			return 0, false
		case quote == '"' && c == '\\':
			if i++; i == len(text) {
				return 0, false
			}
			out.WriteByte(text[i])
		default:
			out.WriteByte(c)
		}
	}
	return 0, false
}

// bare reports what needs no quotes. A name that begins with a hyphen never gets as far as
// an argument, because repo.FromPath knows no such name.
func bare(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("/._-+~@:%,=", c) >= 0
}
