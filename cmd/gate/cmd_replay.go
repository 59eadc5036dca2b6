package main

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gitserver/fault"
	"gatehouse/web/api"
)

// replaying are the flags with which plan check tries a plan on past decisions.
type replaying struct {
	target
	Since  string `placeholder:"TIME" help:"Also say which decisions since then the plan would have made otherwise: 30d, 12h, or a date as 2030-01-31."`
	Repo   string `placeholder:"NAME" help:"With --since: the repository whose decisions are looked at."`
	Branch string `placeholder:"B" help:"With --since: the branch; without it the default branch."`
}

func init() {
	examples["plan check"] = append(examples["plan check"], "gate plan check --since 30d --repo hello", "gate plan check stricter.yaml --since 2030-01-31 --repo hello --branch release/1 --json")
}

var agePattern = regexp.MustCompile(`^([1-9][0-9]{0,4})([hdw])$`)

// sinceWhen reads an age or a date.
func sinceWhen(text string, now time.Time) (time.Time, error) {
	if m := agePattern.FindStringSubmatch(text); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return time.Time{}, fmt.Errorf("gate: age %q: %w", text, err)
		}
		unit := map[string]time.Duration{"h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}[m[2]]
		return now.Add(-time.Duration(n) * unit), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fault.New(fault.Invalid, "gate.since", fmt.Sprintf("%q is no time", text), "write it as 30d, 12h, or 2030-01-31")
}

// replay asks the server what the plan would have decided.
func (r replaying) replay(p *process, text []byte, asJSON bool) error {
	if r.Repo == "" {
		return fault.New(fault.Invalid, "gate.plan", "--since needs to know whose decisions to look at", "add --repo NAME")
	}
	since, err := sinceWhen(r.Since, time.Now())
	if err != nil {
		return err
	}
	return r.with(p, func(c *client) error {
		var got gatekeeper.Replay
		in := api.PlanReplay{Branch: r.Branch, Since: since.UTC(), Plan: string(text)}
		if err := c.do(http.MethodPost, "/repositories/"+inPath(r.Repo)+"/replay", in, &got); err != nil {
			return err
		}
		if asJSON {
			return printJSON(p.stdout, got)
		}
		return showReplay(p.stdout, got)
	})
}

func showReplay(w io.Writer, r gatekeeper.Replay) error {
	if err := line(w, "%s %s since %s: %s looked at, %d would have been made otherwise", r.Repository, clean(r.Branch), r.Since.Format(time.DateOnly), counted(r.Looked, "decision"), len(r.Otherwise)); err != nil {
		return err
	}
	for _, part := range [][]gatekeeper.Redecision{r.Otherwise, r.Unknown} {
		for _, d := range part {
			text := fmt.Sprintf("  change %d, patch set %d: %s %s, %s: %s", d.Change, d.PatchSet, d.Was, d.At.Format(time.DateOnly), d.Now, clean(d.Why))
			if d.Source != "" {
				text += " (" + clean(d.Source) + ")"
			}
			if err := line(w, "%s\n    %s", text, clean(d.Subject)); err != nil {
				return err
			}
		}
	}
	if r.More {
		return line(w, "  older decisions were not looked at")
	}
	return nil
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + strings.TrimSuffix(what, "s") + "s"
}
