package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"gatehouse/web/api"
)

type changeFilesCmd struct {
	target
	reading
	Number   int64 `arg:"" help:"The change's number."`
	PatchSet int   `name:"patch-set" placeholder:"P" help:"Of this patch set; the current one otherwise."`
	Base     int   `placeholder:"P" help:"Compared with this patch set instead of the parent commit."`
}

func (c *changeFilesCmd) Run(p *process) error {
	q := url.Values{}
	for name, value := range map[string]int{"patch_set": c.PatchSet, "base": c.Base} {
		if value != 0 {
			q.Set(name, strconv.Itoa(value))
		}
	}
	return fetchAll(p, c.target, c.reading, changePath(c.Number, "/files?"+q.Encode()), func(w io.Writer, all []api.File) error {
		var rows [][]string
		for _, f := range all {
			lines := fmt.Sprintf("+%d -%d", f.Added, f.Deleted)
			if f.Binary {
				lines = "binary"
			}
			name := clean(f.Path)
			if f.OldPath != "" && f.OldPath != f.Path {
				name = clean(f.OldPath) + " -> " + name
			}
			rows = append(rows, []string{f.Status, lines, yes(f.Viewed, "viewed"), name})
		}
		return printTable(w, "STATUS LINES VIEWED FILE", rows)
	})
}

type changeViewedCmd struct {
	target
	Number   int64    `arg:"" help:"The change's number."`
	Files    []string `arg:"" help:"The files; /COMMIT_MSG is the commit message."`
	PatchSet int      `name:"patch-set" placeholder:"P" help:"The patch set that you looked at; the current one otherwise."`
	Off      bool     `help:"Take the marks back."`
}

func (c *changeViewedCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		for _, path := range c.Files {
			in := api.ViewedFile{Path: path, PatchSet: c.PatchSet, Viewed: !c.Off}
			if err := cl.do(http.MethodPut, changePath(c.Number, "/viewed"), in, nil); err != nil {
				return err
			}
		}
		return nil
	})
}
