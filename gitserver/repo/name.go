package repo

import (
	"fmt"
	"strings"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
)

const (
	// maxName bounds a name so that it fits a line and any column.
	maxName = 100
	// maxSegments allows team/project/part; deeper trees belong into one repository's tree.
	maxSegments = 3
	// maxPath bounds what [FromPath] looks at: the longest name and its decorations.
	maxPath = maxName + len("/a/p/.git")
)

// reservedFirst are the first segments that the server itself answers at, now or for the
// clients of Gerrit (access, config, plugins, projects).
var reservedFirst = words(`a p c q r api app login logout signin signup signout stage tools static assets changes dashboard
	healthz readyz metrics settings admin events search new repositories accounts groups users user
	access config plugins projects documentation robots.txt favicon.ico index.html`)

func words(text string) map[string]bool {
	set := map[string]bool{}
	for _, word := range strings.Fields(text) {
		set[word] = true
	}
	return set
}

// CheckName says whether a repository may be called name: one to three segments of ASCII
// letters, digits and . _ -, each beginning with a letter or a digit.
func CheckName(name string) error {
	const op = "repo.CheckName"
	refuse := func(why string) error {
		return fault.New(fault.Invalid, op, fmt.Sprintf("%q cannot be the name of a repository: %s", clip(name), why),
			"use a name as hello or team/hello")
	}
	if name == "" || len(name) > maxName {
		return refuse(fmt.Sprintf("it must have 1 to %d characters", maxName))
	}
	segments := strings.Split(name, "/")
	if len(segments) > maxSegments {
		return refuse(fmt.Sprintf("it has more than %d parts", maxSegments))
	}
	for _, segment := range segments {
		if why := checkSegment(segment); why != "" {
			return refuse(why)
		}
	}
	if reservedFirst[strings.ToLower(segments[0])] {
		return refuse(fmt.Sprintf("%s is an address of the server itself", segments[0]))
	}
	return nil
}

func checkSegment(segment string) (why string) {
	for i := range len(segment) {
		c := segment[i]
		alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alnum && (i == 0 || !strings.ContainsRune("._-", rune(c))) {
			return "each part consists of letters, digits, dot, underscore and hyphen, and begins with a letter or a digit"
		}
	}
	low := strings.ToLower(segment)
	switch {
	case segment == "":
		return "it has an empty part"
	case strings.Contains(segment, ".."):
		return "it has two dots in a row"
	case strings.HasSuffix(segment, "."):
		return "a part ends with a dot"
	case strings.HasSuffix(low, ".git"), strings.HasSuffix(low, ".lock"):
		return "a part ends with .git or .lock"
	}
	return ""
}

// FromPath turns the path of a URL or of an SSH command into the name of a repository. It is
// the only place that does: /hello, hello.git, /a/hello.git and /p/hello are all hello.
// Everything odd is NotFound, with the words for a repository that does not exist.
func FromPath(path string) (string, error) {
	if len(path) > maxPath {
		return "", account.Missing("repo.FromPath")
	}
	name := strings.TrimPrefix(path, "/")
	name = strings.TrimPrefix(name, "a/")
	name = strings.TrimPrefix(name, "p/")
	name = strings.TrimSuffix(name, ".git")
	if CheckName(name) != nil {
		return "", account.Missing("repo.FromPath")
	}
	return name, nil
}

// clip shortens what somebody sent before it is quoted back.
func clip(text string) string {
	const most = 60
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
