package web

import (
	"fmt"
	"html/template"
	"net/url"
	"strings"
	"time"

	"gatehouse/gitserver/git"
	"gatehouse/web/words"
)

// short is a commit as people read it.
func short(oid git.OID) string { return oid.Short() }

// plural is "1 file" or "3 files".
func plural(n int, one, many string) string { return words.Plural(n, one, many).String() }

// when is a moment as people say it, with the exact one behind it. The script keeps it true.
func when(now, t time.Time, l *words.Language) template.HTML {
	if t.IsZero() {
		return template.HTML(`<span class="muted">` + template.HTMLEscapeString(l.Word("never")) + `</span>`) //nolint:gosec // escaped
	}
	t = t.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, //nolint:gosec // escaped
		t.Format(time.RFC3339), t.Format("2006-01-02 15:04:05 UTC"), template.HTMLEscapeString(fmt.Sprint(l.Say(ago(now.Sub(t), t, l))))))
}

// ago is a words.Word, a words.Text, or a date.
func ago(d time.Duration, t time.Time, l *words.Language) any {
	const day = 24 * time.Hour
	future := d < 0
	if future {
		d = -d
	}
	var text words.Text
	switch {
	case d < time.Minute && !future:
		return words.Word("just now")
	case d < time.Hour:
		text = words.Say("{1} min", max(1, int(d/time.Minute)))
	case d < day:
		text = words.Say("{1} h", int(d/time.Hour))
	case d < 30*day:
		text = words.Plural(int(d/day), "day", "days")
	case l != nil:
		return t.Format(time.DateOnly)
	default:
		return t.Format("2 Jan 2006")
	}
	if future {
		return words.Say("in {1}", text)
	}
	return words.Say("{1} ago", text)
}

// took is how long something ran, "" while it has not started.
func took(from, to time.Time) string {
	if from.IsZero() || to.IsZero() || to.Before(from) {
		return ""
	}
	d := to.Sub(from)
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}

// repoURL is the address of a page of a repository. The dash cannot begin a part of a
// repository's name, so what follows it is never taken for one.
func repoURL(name, kind string, rest ...string) string {
	u := "/" + escapePath(name)
	if kind == "" {
		return u
	}
	u += "/-/" + kind
	for _, part := range rest {
		if part != "" {
			u += "/" + escapePath(part)
		}
	}
	return u
}

// anyRepoURL is [repoURL] for templates, which hold commits as well as names.
func anyRepoURL(name, kind string, rest ...any) string {
	parts := make([]string, 0, len(rest))
	for _, part := range rest {
		parts = append(parts, fmt.Sprint(part))
	}
	return repoURL(name, kind, parts...)
}

// sentence begins s, which is a fragment in the rooms below, like a sentence.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func escapePath(p string) string { return (&url.URL{Path: p}).EscapedPath() }

// word is a state as a page says it: "TIMED_OUT" is "timed out".
func word(state any) string {
	return strings.ToLower(strings.ReplaceAll(fmt.Sprint(state), "_", " "))
}

// tone is the family that a state belongs to; the style sheet gives each a colour and the
// pages a sign and a word, so that colour never carries the meaning alone. kind tells the
// open gate, which is good, from the open change, which is only not finished.
func tone(kind string, state any) string {
	switch s := strings.ToUpper(fmt.Sprint(state)); s {
	case "OPEN":
		if kind == "change" {
			return "wait"
		}
		return "good"
	case "READY", "PASSED", "BUILT", "SYNCED", "DELIVERED", "ON", "SUCCEEDED", "ELIGIBLE", "BOUND", "ATTESTED":
		return "good"
	case "LANDED":
		return "done"
	case "REFUSED", "FAILED", "CONFLICT", "ERRORED", "TIMED_OUT", "DIVERGED", "STOPPED", "ROLLED_BACK", "ERROR", "REVOKED", "GONE":
		return "bad"
	case "QUEUED", "LANDING", "RUNNING", "PENDING", "DEPLOYING", "VERIFYING", "STARTING":
		return "busy"
	case "WAITING", "BLOCKED", "RETRYING", "INCONCLUSIVE", "PAUSED", "REQUESTED", "HELD", "DEGRADED":
		return "wait"
	default: // CLOSED, ABANDONED, CANCELED, SUPERSEDED, SKIPPED, BYPASSED, VOID
		return "calm"
	}
}

// pick is a template's "this if true, else that".
func pick[T any](condition bool, yes, no T) T {
	if condition {
		return yes
	}
	return no
}
