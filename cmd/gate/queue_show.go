package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gatehouse/gatekeeper"
)

// short is how much of a commit's name a person needs.
const short = 10

type queueShowCmd struct {
	target
	reading
	Repo   string `arg:"" optional:"" help:"The repository; without it all queues that hold changes or are frozen."`
	Branch string `arg:"" optional:"" help:"The branch; without it the default branch."`
}

func (c *queueShowCmd) Run(p *process) error {
	if c.Repo == "" {
		return fetchAll(p, c.target, c.reading, "/queues", showQueues)
	}
	return c.with(p, func(cl *client) error {
		path, err := queueOf{Repo: c.Repo, Branch: c.Branch}.path(cl)
		if err != nil {
			return err
		}
		var s gatekeeper.QueueStatus
		if err := cl.do(http.MethodGet, path, nil, &s); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.stdout, s)
		}
		return showQueue(p.stdout, s)
	})
}

func showQueues(w io.Writer, all []gatekeeper.QueueSummary) error {
	if len(all) == 0 {
		return line(w, "no queue holds a change")
	}
	var rows [][]string
	for _, q := range all {
		rows = append(rows, []string{q.Repository, q.Branch, strconv.Itoa(q.Waiting), orNone(q.Frozen)})
	}
	return printTable(w, "REPOSITORY BRANCH CHANGES FROZEN", rows)
}

// showQueue prints a queue: its changes in their order, the candidates, and who left it last.
func showQueue(w io.Writer, s gatekeeper.QueueStatus) error {
	testing := 0
	for _, k := range s.Candidates {
		if k.State == "RUNNING" {
			testing++
		}
	}
	if err := line(w, "%s %s at %s: %d in the queue, %d being tested, room for %d", clean(s.Repository), clean(s.Branch), cut(s.Tip), len(s.Entries), testing, s.Workers); err != nil {
		return err
	}
	if s.Frozen != "" {
		if err := line(w, "%s", indent("frozen: "+s.Frozen+"; only hotfixes land", "  ")); err != nil {
			return err
		}
	}
	for _, part := range []struct {
		header string
		rows   [][]string
	}{
		{"PLACE CHANGE OWNER TOUCHES LANDS-IN STATE WAITS-FOR SUBJECT", entryRows(s)},
		{"CANDIDATE TRIES ON STATE TIME STAGES", candidateRows(s)},
		{"LAST CHANGE AT COMMIT SUBJECT WHY", newsRows(s)},
	} {
		if len(part.rows) == 0 {
			continue
		}
		if err := line(w, ""); err != nil {
			return err
		}
		if err := printTable(w, part.header, part.rows); err != nil {
			return err
		}
	}
	return nil
}

func entryRows(s gatekeeper.QueueStatus) [][]string {
	var rows [][]string
	for _, e := range s.Entries {
		touches := orNone(strings.Join(e.Targets, ","))
		if e.Barrier {
			touches = "all"
		}
		lands := "-"
		if e.ETA != nil {
			lands = e.ETA.Words
		}
		state := e.State
		switch {
		case e.Held != "":
			state = e.Held
		case e.Promoted != "":
			state += ", " + e.Promoted
		}
		rows = append(rows, []string{strconv.Itoa(e.Position), patchSet(e.Change, e.PS), e.Owner, touches, lands, state, orNone(strings.Join(e.WaitsFor, ", ")), e.Subject})
	}
	return rows
}

func candidateRows(s gatekeeper.QueueStatus) [][]string {
	var rows [][]string
	for _, k := range s.Candidates {
		var tries, on, stages []string
		for _, m := range k.Members {
			tries = append(tries, patchSet(m.Change, m.PS))
		}
		for _, m := range k.On {
			on = append(on, patchSet(m.Change, m.PS))
		}
		for _, stage := range k.Stages {
			word := stage.Name + " " + strings.ToLower(stage.State)
			if stage.Reused {
				word += " before"
			}
			stages = append(stages, word)
		}
		state := strings.ToLower(string(k.State))
		if k.Attempt > 1 {
			state += ", attempt " + strconv.Itoa(k.Attempt)
		}
		until := s.At
		if !k.Ended.IsZero() {
			until = k.Ended
		}
		took := "-"
		if !k.Started.IsZero() {
			took = until.Sub(k.Started).Round(time.Second).String()
		}
		if k.Words != "" {
			stages = append(stages, k.Words)
		}
		rows = append(rows, []string{strconv.FormatInt(k.ID, 10), orNone(strings.Join(tries, " ")), orNone(strings.Join(on, " ")), state, took, strings.Join(stages, ", ")})
	}
	return rows
}

func newsRows(s gatekeeper.QueueStatus) [][]string {
	var rows [][]string
	for _, n := range s.News {
		rows = append(rows, []string{string(n.Kind), patchSet(n.Change, n.PS), date(n.At), orNone(cut(n.Commit)), n.Subject, n.Words})
	}
	return rows
}

func patchSet(change int64, ps int) string { return fmt.Sprintf("%d,%d", change, ps) }

func cut(commit string) string { return commit[:min(len(commit), short)] }

func orNone(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
