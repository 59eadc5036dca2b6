package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"gatehouse/gitserver/fault"
	"gatehouse/web/api"
)

// commentCmd is everything about what is said on a change.
type commentCmd struct {
	Add     commentAddCmd     `cmd:"" default:"withargs" help:"Comment on a change, a file or lines; publish it, or keep it as a draft."`
	List    commentListCmd    `cmd:"" help:"List the threads on a change and where they are now, or your drafts."`
	Resolve commentResolveCmd `cmd:"" help:"Resolve a thread, or open it again."`
	Publish commentPublishCmd `cmd:"" help:"Publish your drafts on a change."`
	Discard commentDiscardCmd `cmd:"" help:"Throw a draft away."`
	Apply   commentApplyCmd   `cmd:"" help:"Make a patch set of suggestions."`
}

type commentAddCmd struct {
	target
	reading
	Number     int64  `arg:"" help:"The change's number."`
	Message    string `short:"m" required:"" placeholder:"TEXT" help:"What to say, in Markdown; - reads it from stdin."`
	File       string `placeholder:"PATH" help:"About this file; /COMMIT_MSG is the commit message."`
	Line       int    `placeholder:"N" help:"About this line of it, or the last of several."`
	StartLine  int    `name:"start-line" placeholder:"N" help:"The first of several lines."`
	Side       string `enum:"old,new" default:"new" help:"On which side of the difference the line is: old or new."`
	ReplyTo    int64  `name:"reply-to" placeholder:"ID" help:"In answer to this comment."`
	PatchSet   int    `name:"patch-set" placeholder:"P" help:"On this patch set; without it the current one."`
	Unresolved bool   `help:"Something has to be done about it."`
	Draft      bool   `help:"Keep it to yourself until you publish your drafts."`
}

func (c *commentAddCmd) Run(p *process) error {
	message, err := textOf(p, c.Message)
	if err != nil {
		return err
	}
	one := api.NewComment{PatchSet: c.PatchSet, Spot: api.Spot{Path: c.File, Line: c.Line, StartLine: c.StartLine}, ReplyTo: c.ReplyTo, Body: message, Unresolved: c.Unresolved}
	if c.File != "" {
		one.Side = c.Side
	}
	if c.Draft {
		return c.with(p, func(cl *client) error {
			var d api.Draft
			if err := cl.do(http.MethodPost, changePath(c.Number, "/drafts"), one, &d); err != nil {
				return err
			}
			if c.JSON {
				return printJSON(p.stdout, d)
			}
			return line(p.stdout, "draft %d on %s; gate comment publish %d publishes it", d.ID, spotWords(d.Spot), c.Number)
		})
	}
	in := api.Review{PatchSet: c.PatchSet}
	if c.File == "" && c.ReplyTo == 0 && !c.Unresolved {
		in.Message = message
	} else {
		in.Comments = []api.NewComment{one}
	}
	return c.act(p, c.Number, http.MethodPost, "/votes", in, c.reading)
}

// maxComment is how much of stdin is read: more than the server takes, so that it is the one to refuse.
const maxComment = 1 << 20

// textOf is a text of the command line; "-" is stdin.
func textOf(p *process, text string) (string, error) {
	if text != "-" {
		return text, nil
	}
	read, err := io.ReadAll(io.LimitReader(p.stdin, maxComment))
	if err != nil {
		return "", fault.Newf(fault.Invalid, "gate.comment", "the text cannot be read from stdin: %v", err)
	}
	return strings.TrimRight(string(read), "\r\n"), nil
}

// spotWords is a place as people write it: main.go:12, main.go:3-12.
func spotWords(s api.Spot) string {
	switch {
	case s.Path == "":
		return "the patch set"
	case s.Line == 0:
		return clean(s.Path)
	}
	words := clean(s.Path) + ":"
	if s.StartLine != 0 && s.StartLine != s.Line {
		words += strconv.Itoa(s.StartLine) + "-"
	}
	words += strconv.Itoa(s.Line)
	if s.Side == "old" {
		words += " (old)"
	}
	return words
}

type commentListCmd struct {
	target
	reading
	Number     int64 `arg:"" help:"The change's number."`
	Unresolved bool  `help:"Only threads that ask for something."`
	Drafts     bool  `help:"Your drafts instead."`
	PatchSet   int   `name:"patch-set" placeholder:"P" help:"Where the threads are on this patch set; without it on the current one."`
}

func (c *commentListCmd) Run(p *process) error {
	if c.Drafts {
		return fetchAll(p, c.target, c.reading, changePath(c.Number, "/drafts"), func(w io.Writer, all []api.Draft) error {
			for _, d := range all {
				if err := line(w, "draft %d on %s, patch set %d\n%s", d.ID, spotWords(d.Spot), d.PatchSet, indent(d.Body, "  ")); err != nil {
					return err
				}
			}
			return nil
		})
	}
	path := fmt.Sprintf("/threads?unresolved=%t&patch_set=%d", c.Unresolved, c.PatchSet)
	return fetchAll(p, c.target, c.reading, changePath(c.Number, path), func(w io.Writer, all []api.Thread) error {
		for _, t := range all {
			if err := showThread(w, t); err != nil {
				return err
			}
		}
		return nil
	})
}

func showThread(w io.Writer, t api.Thread) error {
	root := t.Comments[0]
	state := "resolved"
	if t.Unresolved {
		state = "unresolved"
	}
	text := fmt.Sprintf("thread %d  %s  %s", t.ID, state, spotWords(root.Spot))
	if now := t.Now; now != nil && now.PatchSet != root.PatchSet {
		text += fmt.Sprintf(" of patch set %d", root.PatchSet)
		switch {
		case now.FileGone:
			text += ", whose file is gone"
		case now.Fate == "gone":
			text += ", which is gone; it was near " + spotWords(now.Spot)
		case now.Fate == "edited":
			text += ", which was edited; now " + spotWords(now.Spot)
		case spotWords(now.Spot) != spotWords(root.Spot):
			text += ", now " + spotWords(now.Spot)
		}
	}
	for _, c := range t.Comments {
		text += fmt.Sprintf("\n  %d %s, %s:\n%s", c.ID, clean(c.Author), date(c.CreatedAt), indent(c.Body, "    "))
	}
	return line(w, "%s\n", text)
}

type commentResolveCmd struct {
	target
	Number  int64  `arg:"" help:"The change's number."`
	Comment int64  `arg:"" help:"A comment of the thread."`
	Message string `short:"m" placeholder:"TEXT" help:"What to say with it; Done when nothing is given."`
	Reopen  bool   `help:"The thread asks for something again."`
}

func (c *commentResolveCmd) Run(p *process) error {
	message, err := textOf(p, c.Message)
	if err != nil {
		return err
	}
	return c.with(p, func(cl *client) error {
		return cl.do(http.MethodPost, changePath(c.Number, "/threads/"+number(c.Comment)+"/resolve"), api.Answer{Message: message, Unresolved: c.Reopen}, nil)
	})
}

type commentPublishCmd struct {
	target
	reading
	Number  int64  `arg:"" help:"The change's number."`
	Message string `short:"m" placeholder:"TEXT" help:"What to say with it; - reads it from stdin."`
}

func (c *commentPublishCmd) Run(p *process) error {
	message, err := textOf(p, c.Message)
	if err != nil {
		return err
	}
	return c.act(p, c.Number, http.MethodPost, "/votes", api.Review{Message: message, Drafts: true}, c.reading)
}

type commentDiscardCmd struct {
	target
	Number int64 `arg:"" help:"The change's number."`
	Draft  int64 `arg:"" help:"The draft's number."`
}

func (c *commentDiscardCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		return cl.do(http.MethodDelete, changePath(c.Number, "/drafts/"+number(c.Draft)), nil, nil)
	})
}

type commentApplyCmd struct {
	target
	reading
	Number   int64    `arg:"" help:"The change's number."`
	Comments []string `arg:"" name:"comment" help:"The comments whose suggestions to apply; 345.1 is the second of comment 345."`
	PatchSet int      `name:"patch-set" placeholder:"P" help:"The patch set that you looked at; refused when it is not current any more."`
}

func (c *commentApplyCmd) Run(p *process) error {
	in := api.Batch{PatchSet: c.PatchSet}
	for _, text := range c.Comments {
		id, index, _ := strings.Cut(text, ".")
		if index == "" {
			index = "0"
		}
		comment, err1 := strconv.ParseInt(id, 10, 64)
		which, err2 := strconv.Atoi(index)
		if err1 != nil || err2 != nil || comment <= 0 || which < 0 {
			return fault.New(fault.Invalid, "gate.comment", fmt.Sprintf("%q names no suggestion", text), "give the number of a comment, as gate comment list shows it")
		}
		in.Suggestions = append(in.Suggestions, api.Suggestion{Comment: comment, Index: which})
	}
	return c.with(p, func(cl *client) error {
		var made api.PatchSet
		if err := cl.do(http.MethodPost, changePath(c.Number, "/suggestions/apply"), in, &made); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.stdout, made)
		}
		return line(p.stdout, "patch set %d of change %d  %s", made.Number, c.Number, made.Commit)
	})
}
