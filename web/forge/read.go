package forge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"gatehouse/gatekeeper/entrance"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
)

// deliveryName is what a forge calls a delivery: the same in each attempt.
func deliveryName(f entrance.Forge, h http.Header) string {
	for _, name := range map[entrance.Forge][]string{
		entrance.GitHub: {"X-Github-Delivery"}, entrance.Plain: {"X-Github-Delivery"},
		entrance.Gitea: {"X-Gitea-Delivery"}, entrance.Forgejo: {"X-Forgejo-Delivery", "X-Gitea-Delivery"},
		entrance.GitLab: {"Webhook-Id", "Idempotency-Key", "X-Gitlab-Event-Uuid"},
	}[f] {
		if value, ok := one(h, name); ok {
			return value
		}
	}
	return ""
}

// eventName is what a forge calls what happened, "" where the body alone says it.
func eventName(f entrance.Forge, h http.Header) string {
	for _, name := range map[entrance.Forge][]string{
		entrance.GitHub: {"X-Github-Event"}, entrance.Plain: {"X-Github-Event"}, entrance.Gitea: {"X-Gitea-Event"},
		entrance.Forgejo: {"X-Forgejo-Event", "X-Gitea-Event"}, entrance.GitLab: {"X-Gitlab-Event"},
	}[f] {
		if value, ok := one(h, name); ok {
			return value
		}
	}
	return ""
}

// read understands a body whose sender is known. No notice means that nothing is to be done,
// and why says the reason.
func read(e entrance.Entrance, event string, body []byte) (n *entrance.Notice, why string, err error) {
	switch e.Forge {
	case entrance.GitHub, entrance.Plain:
		return readGitHub(e, event, body)
	case entrance.Gitea, entrance.Forgejo:
		return readGitea(e, event, body)
	case entrance.GitLab:
		return readGitLab(e, body)
	case entrance.Gerrit:
		return readGerrit(e, body)
	default:
		return nil, "", fault.Newf(fault.Invalid, "forge.read", "nobody speaks for %s", e.Forge)
	}
}

// decode reads exactly one JSON value.
func decode(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(into); err != nil {
		return fault.Wrap(err, fault.Invalid, "forge.read", "the body is not the JSON that this forge sends")
	}
	if d.More() {
		return fault.New(fault.Invalid, "forge.read", "there is something behind the JSON", "")
	}
	return nil
}

// elsewhere reports that a body is about another repository than the entrance's: hooks of a
// whole organisation send everything.
func elsewhere(e entrance.Entrance, name string) (string, bool) {
	if e.Project == "" || name == "" || strings.EqualFold(e.Project, name) {
		return "", false
	}
	return "it is about another repository", true
}

func nothing(format string, args ...any) (*entrance.Notice, string, error) {
	return nil, fmt.Sprintf(format, args...), nil
}

// branchOf is the short name in a ref, false when it is none of a branch.
func branchOf(ref string) (string, bool) { return strings.CutPrefix(ref, "refs/heads/") }

// outcomeLabel begins the labels that mean something here.
const outcomeLabel = "gate:"

// fullOID is a commit as a payload names it, "" for anything else.
func fullOID(text string) git.OID {
	oid, err := git.ParseOID(text)
	if err != nil {
		return ""
	}
	return oid
}
