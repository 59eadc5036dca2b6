package main

import (
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"

	"gatehouse/web/api"
)

type mirrorListCmd struct {
	target
	reading
	Repo string `arg:"" help:"The repository."`
}

func (c *mirrorListCmd) Run(p *process) error {
	return fetchAll(p, c.target, c.reading, "/repositories/"+inPath(c.Repo)+"/mirrors", func(w io.Writer, all []api.Mirror) error {
		var rows [][]string
		for _, m := range all {
			last := "-"
			if m.LastSync != nil {
				last = date(*m.LastSync)
			}
			rows = append(rows, []string{strconv.FormatInt(m.ID, 10), m.URL, m.State, last, m.Reason})
		}
		return printTable(w, "ID URL STATE LAST-SYNC REASON", rows)
	})
}

type mirrorAddCmd struct {
	target
	reading
	Repo       string `arg:"" help:"The repository."`
	Upstream   string `arg:"" name:"upstream" help:"ssh://…, https://…, or for administrators a path on the server."`
	Username   string `placeholder:"NAME" help:"For an https URL."`
	MirrorFile string `name:"mirror-token-file" placeholder:"FILE" help:"File with a token for an https URL; - is stdin."`
}

func (c *mirrorAddCmd) Run(p *process) error {
	n := api.NewMirror{URL: c.Upstream, Username: c.Username}
	if c.MirrorFile != "" {
		secret, err := readSecret(p, c.MirrorFile)
		if err != nil {
			return err
		}
		n.Token = secret
	}
	return c.with(p, func(cl *client) error {
		if c.JSON {
			var made api.Mirror
			n.URL = localAbsolute(cl, n.URL)
			if err := cl.do(http.MethodPost, "/repositories/"+inPath(c.Repo)+"/mirrors", n, &made); err != nil {
				return err
			}
			return printJSON(p.stdout, made)
		}
		return addMirror(p, cl, c.Repo, n)
	})
}

// addMirror adds a mirror; a key that upstream has to be given is the answer.
func addMirror(p *process, cl *client, repository string, n api.NewMirror) error {
	var made api.Mirror
	n.URL = localAbsolute(cl, n.URL)
	if err := cl.do(http.MethodPost, "/repositories/"+inPath(repository)+"/mirrors", n, &made); err != nil {
		return err
	}
	if made.PublicKey == "" {
		return nil
	}
	say(p.stderr, "give this key write access to %s, then: gate mirror retry %s %d", made.URL, repository, made.ID)
	return line(p.stderr, "%s", strings.TrimSpace(made.PublicKey))
}

// localAbsolute makes a relative path absolute for the local operator: the server has another
// working folder.
func localAbsolute(cl *client, address string) string {
	if cl.local == nil || strings.Contains(address, ":") || filepath.IsAbs(address) {
		return address
	}
	if abs, err := filepath.Abs(address); err == nil {
		return abs
	}
	return address
}

type mirrorRetryCmd struct {
	target
	Repo string `arg:"" help:"The repository."`
	ID   int64  `arg:"" help:"The mirror's id, as gate mirror list shows it."`
}

func (c *mirrorRetryCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		return cl.do(http.MethodPost, mirrorPath(c.Repo, c.ID)+"/retry", nil, nil)
	})
}

type mirrorPauseCmd struct {
	target
	Repo string `arg:"" help:"The repository."`
	ID   int64  `arg:"" help:"The mirror's id, as gate mirror list shows it."`
}

func (c *mirrorPauseCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		return cl.do(http.MethodPost, mirrorPath(c.Repo, c.ID)+"/pause", nil, nil)
	})
}

type mirrorRemoveCmd struct {
	target
	Repo string `arg:"" help:"The repository."`
	ID   int64  `arg:"" help:"The mirror's id, as gate mirror list shows it."`
}

func (c *mirrorRemoveCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		return cl.do(http.MethodDelete, mirrorPath(c.Repo, c.ID), nil, nil)
	})
}

func mirrorPath(repository string, id int64) string {
	return "/repositories/" + inPath(repository) + "/mirrors/" + strconv.FormatInt(id, 10)
}
