package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"unicode/utf8"

	"gatehouse/gitserver/fault"
	"gatehouse/web/api"
)

// changeActs are the acts on a change that are not of every day.
type changeActs struct {
	Edit       changeEditCmd     `cmd:"" help:"Edit the message or files of a change without a working copy: makes a patch set."`
	Rebase     changeRebaseCmd   `cmd:"" help:"Move a change onto its branch, or onto another change: makes a patch set."`
	CherryPick changePickCmd     `cmd:"" name:"cherry-pick" help:"Propose a change for another branch too."`
	Revert     changeRevertCmd   `cmd:"" help:"Propose to take a landed change back."`
	Move       changeMoveCmd     `cmd:"" help:"Propose a change for another branch instead; its votes are void."`
	Private    changePrivateCmd  `cmd:"" help:"Show a change to its owner, its reviewers and administrators only, or with --off to everybody."`
	Topic      changeTopicCmd    `cmd:"" help:"Set the topic of a change, or take it away."`
	Hashtags   changeHashtagsCmd `cmd:"" help:"Tie words to a change, and take others off."`
}

func init() {
	for path, lines := range map[string][]string{
		"change edit":        {"gate change edit 12 --message-file - < message", "gate change edit 12 --file docs/use.md=./use.md", "gate change edit 12 --delete old.txt --title 'not needed any more'"},
		"change rebase":      {"gate change rebase 12", "gate change rebase 12 --onto 11"},
		"change cherry-pick": {"gate change cherry-pick 12 release/1"},
		"change revert":      {"gate change revert 12 -m 'it broke the build'"},
		"change move":        {"gate change move 12 release/1"},
		"change private":     {"gate change private 12", "gate change private 12 --off"},
		"change hashtags":    {"gate change hashtags 12 --add urgent --remove later"},
	} {
		examples[path] = lines
	}
}

type changeEditCmd struct {
	target
	reading
	Number      int64    `arg:"" help:"The change's number."`
	PatchSet    int      `name:"patch-set" placeholder:"P" help:"The patch set that you looked at; without it the current one. When it is not current any more nothing is made."`
	Message     string   `short:"m" placeholder:"TEXT" help:"The new commit message; the Change-Id stays."`
	MessageFile string   `name:"message-file" placeholder:"FILE" help:"Read the new commit message from this file; - is stdin."`
	File        []string `sep:"none" placeholder:"PATH=FILE" help:"Write this file of ours to that path; - is stdin. May be given more than once."`
	Delete      []string `sep:"none" placeholder:"PATH" help:"Delete this path. May be given more than once."`
	Title       string   `placeholder:"TEXT" help:"What the change's story says about it."`
}

// maxEdit is what is read of one file: more than the server takes in one request.
const maxEdit = 8 << 20

func (c *changeEditCmd) Run(p *process) error {
	const op = "gate.edit"
	in := api.Amendment{PatchSet: c.PatchSet, Message: c.Message, Title: c.Title}
	if c.MessageFile != "" {
		if c.Message != "" {
			return fault.New(fault.Invalid, op, "--message and --message-file both give a message", "give one of them")
		}
		text, err := readPart(p, c.MessageFile)
		if err != nil {
			return err
		}
		in.Message = string(text)
	}
	for _, pair := range c.File {
		path, file, ok := strings.Cut(pair, "=")
		if !ok {
			return fault.New(fault.Invalid, op, fmt.Sprintf("%q names no file", pair), "write it as --file docs/use.md=./use.md")
		}
		content, err := readPart(p, file)
		if err != nil {
			return err
		}
		edit := api.FileEdit{Path: path, Content: string(content)}
		if !utf8.Valid(content) {
			edit.Content, edit.Base64 = base64.StdEncoding.EncodeToString(content), true
		}
		in.Files = append(in.Files, edit)
	}
	for _, path := range c.Delete {
		in.Files = append(in.Files, api.FileEdit{Path: path, Delete: true})
	}
	if in.PatchSet == 0 {
		err := c.with(p, func(cl *client) error {
			var now api.Change
			err := cl.do(http.MethodGet, changePath(c.Number, ""), nil, &now)
			in.PatchSet = now.PatchSet
			return err
		})
		if err != nil {
			return err
		}
	}
	return c.act(p, c.Number, http.MethodPost, "/amend", in, c.reading)
}

// readPart reads what an edit is made of from a file; "-" is stdin.
func readPart(p *process, name string) ([]byte, error) {
	in := p.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fault.Newf(fault.Invalid, "gate.edit", "%s cannot be read: %v", name, err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxEdit+1))
	if err != nil {
		return nil, fault.Newf(fault.Invalid, "gate.edit", "%s cannot be read: %v", name, err)
	}
	if len(text) > maxEdit {
		return nil, fault.Newf(fault.TooLarge, "gate.edit", "%s has more than %d bytes", name, maxEdit)
	}
	return text, nil
}

type changeRebaseCmd struct {
	target
	reading
	Number   int64 `arg:"" help:"The change's number."`
	Onto     int64 `placeholder:"N" help:"Onto this change instead of the branch."`
	PatchSet int   `name:"patch-set" placeholder:"P" help:"The patch set that you looked at."`
}

func (c *changeRebaseCmd) Run(p *process) error {
	return c.act(p, c.Number, http.MethodPost, "/rebase", api.Rebasing{Onto: c.Onto, PatchSet: c.PatchSet}, c.reading)
}

type changePickCmd struct {
	target
	reading
	Number   int64  `arg:"" help:"The change's number."`
	Branch   string `arg:"" help:"The branch to propose it for."`
	PatchSet int    `name:"patch-set" placeholder:"P" help:"Take this patch set; without it the current one."`
	Message  string `short:"m" placeholder:"TEXT" help:"The commit message; without it that of the patch set, with where it came from."`
}

func (c *changePickCmd) Run(p *process) error {
	return c.act(p, c.Number, http.MethodPost, "/cherry-pick", api.Pick{Branch: c.Branch, PatchSet: c.PatchSet, Message: c.Message}, c.reading)
}

type changeRevertCmd struct {
	target
	reading
	Number  int64  `arg:"" help:"The change's number."`
	Message string `short:"m" placeholder:"TEXT" help:"Why; it goes into the commit message."`
}

func (c *changeRevertCmd) Run(p *process) error {
	return c.act(p, c.Number, http.MethodPost, "/revert", api.Reason{Message: c.Message}, c.reading)
}

type changeMoveCmd struct {
	target
	reading
	Number int64  `arg:"" help:"The change's number."`
	Branch string `arg:"" help:"The branch to propose it for instead."`
}

func (c *changeMoveCmd) Run(p *process) error {
	return c.act(p, c.Number, http.MethodPost, "/branch", api.Target{Branch: c.Branch}, c.reading)
}

type changePrivateCmd struct {
	target
	reading
	Number int64 `arg:"" help:"The change's number."`
	Off    bool  `help:"Show it to everybody who may read the repository."`
}

func (c *changePrivateCmd) Run(p *process) error {
	return c.act(p, c.Number, http.MethodPost, "/private", api.Privacy{Private: !c.Off}, c.reading)
}

type changeTopicCmd struct {
	target
	reading
	Number int64  `arg:"" help:"The change's number."`
	Topic  string `arg:"" optional:"" help:"The topic; without it the change has none."`
}

func (c *changeTopicCmd) Run(p *process) error {
	return c.act(p, c.Number, http.MethodPost, "/topic", api.Topic{Topic: c.Topic}, c.reading)
}

type changeHashtagsCmd struct {
	target
	reading
	Number int64    `arg:"" help:"The change's number."`
	Add    []string `placeholder:"WORD" help:"Tie this word to it."`
	Remove []string `placeholder:"WORD" help:"Take this word off it."`
}

func (c *changeHashtagsCmd) Run(p *process) error {
	return c.act(p, c.Number, http.MethodPost, "/hashtags", api.Hashtags{Add: c.Add, Remove: c.Remove}, c.reading)
}
