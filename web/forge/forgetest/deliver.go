package forgetest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Proposal is a pull request, merge request or change, as deliveries speak of it.
type Proposal struct {
	Number int64
	Head   string
	Branch string
	Author string
	Draft  bool
	// Title is another in another delivery about the same.
	Title string
}

type object = map[string]any

// Opened is the body that says that a proposal was opened, and the event's name.
func (f *Forge) Opened(p Proposal) (event string, body []byte) {
	switch f.Kind {
	case GitLab:
		return "Merge Request Hook", encode(object{"object_kind": "merge_request", "event_type": "merge_request", "user": object{"username": p.Author},
			"project": object{"path_with_namespace": Project, "git_http_url": "https://evil.test/steal.git"},
			"object_attributes": object{"iid": p.Number, "action": "open", "target_branch": p.Branch, "title": p.Title, "draft": p.Draft,
				"url": "https://forge.test/" + Project + "/-/merge_requests/" + strconv.FormatInt(p.Number, 10), "last_commit": object{"id": p.Head}}})
	case Gerrit:
		return "", encode(object{"type": "patchset-created", "eventCreatedOn": 1, "uploader": object{"username": p.Author},
			"change": object{"project": Project, "branch": p.Branch, "number": p.Number, "subject": p.Title, "wip": p.Draft, "owner": object{"username": p.Author},
				"url": "https://forge.test/c/" + Project + "/+/" + strconv.FormatInt(p.Number, 10)},
			"patchSet": object{"number": 1, "revision": p.Head, "ref": "refs/heads/evil"}})
	default:
		return "pull_request", encode(object{"action": "opened", "number": p.Number, "repository": object{"full_name": Project, "clone_url": "https://evil.test/steal.git"},
			"sender": object{"login": p.Author}, "pull_request": f.pull(p)})
	}
}

func (f *Forge) pull(p Proposal) object {
	return object{"number": p.Number, "title": p.Title, "draft": p.Draft, "html_url": "https://forge.test/" + Project + "/pull/" + strconv.FormatInt(p.Number, 10),
		"statuses_url": "https://evil.test/statuses", "user": object{"login": p.Author}, "base": object{"ref": p.Branch},
		"head": object{"sha": p.Head, "repo": object{"clone_url": "https://evil.test/steal.git"}}}
}

// Commented is the body of a new comment on a proposal.
func (f *Forge) Commented(p Proposal, login, text string) (event string, body []byte) {
	switch f.Kind {
	case GitLab:
		return "Note Hook", encode(object{"object_kind": "note", "user": object{"username": login}, "project": object{"path_with_namespace": Project},
			"object_attributes": object{"note": text, "noteable_type": "MergeRequest", "action": "create"}, "merge_request": object{"iid": p.Number, "target_branch": p.Branch}})
	case Gerrit:
		return "", encode(object{"type": "comment-added", "author": object{"username": login}, "comment": "Patch Set 1:\n\n(1 comment)\n\n" + text,
			"change": object{"project": Project, "branch": p.Branch, "number": p.Number}, "patchSet": object{"revision": p.Head}})
	default:
		return "issue_comment", encode(object{"action": "created", "is_pull": true, "repository": object{"full_name": Project}, "sender": object{"login": login},
			"issue":   object{"number": p.Number, "pull_request": object{}},
			"comment": object{"body": text, "user": object{"login": login}, "author_association": "NONE"}})
	}
}

// Pushed is the body that says that a branch moved.
func (f *Forge) Pushed(branch, from, to string) (event string, body []byte) {
	switch f.Kind {
	case GitLab:
		return "Push Hook", encode(object{"object_kind": "push", "ref": "refs/heads/" + branch, "before": from, "after": to, "project": object{"path_with_namespace": Project}})
	case Gerrit:
		return "", encode(object{"type": "ref-updated", "refUpdate": object{"refName": branch, "oldRev": from, "newRev": to, "project": Project}})
	default:
		return "push", encode(object{"ref": "refs/heads/" + branch, "before": from, "after": to, "repository": object{"full_name": Project}})
	}
}

func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types can be encoded
	}
	return text
}

// Request is a delivery to a hook, signed as the vendor signs.
func (f *Forge) Request(hook, name, event string, body []byte) *http.Request {
	return f.RequestAt(hook, name, event, body, time.Now())
}

// RequestAt is a delivery that was signed at a time, for those who sign that too.
func (f *Forge) RequestAt(hook, name, event string, body []byte, when time.Time) *http.Request {
	r, err := http.NewRequest(http.MethodPost, hook, bytes.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	switch f.Kind {
	case GitLab:
		at := strconv.FormatInt(when.Unix(), 10)
		r.Header.Set("X-Gitlab-Event", event)
		r.Header.Set("Idempotency-Key", name)
		r.Header.Set("Webhook-Id", name)
		r.Header.Set("Webhook-Timestamp", at)
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(f.Secret, "whsec_"))
		if err != nil {
			f.t.Fatal(err)
		}
		r.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac(key, fmt.Appendf(nil, "%s.%s.%s", name, at, body))))
	case Gerrit:
		r.SetBasicAuth("gerrit", f.Secret)
	case Gitea, Forgejo:
		signature := hex.EncodeToString(mac([]byte(f.Secret), body))
		r.Header.Set("X-Gitea-Event", event)
		r.Header.Set("X-Gitea-Delivery", name)
		r.Header.Set("X-Gitea-Signature", signature)
		if f.Kind == Forgejo {
			r.Header.Set("X-Forgejo-Event", event)
			r.Header.Set("X-Forgejo-Delivery", name)
			r.Header.Set("X-Forgejo-Signature", signature)
		}
	default:
		r.Header.Set("X-GitHub-Event", event)
		r.Header.Set("X-GitHub-Delivery", name)
		r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac([]byte(f.Secret), body)))
	}
	return r
}

func mac(key, text []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(text) // a hash never fails
	return m.Sum(nil)
}
