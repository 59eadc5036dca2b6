package main

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"os"
	"unicode/utf8"

	"gatehouse/gatekeeper/secret"
	"gatehouse/gitserver/fault"
	"gatehouse/web/api"
)

// secretCmd is the secrets of a repository. No verb shows a value.
type secretCmd struct {
	Set    secretSetCmd    `cmd:"" help:"Keep a secret, read from stdin or from a file. One line loses the newline at its end; several are kept as they are."`
	List   secretListCmd   `cmd:"" help:"Name the secrets of a repository."`
	Remove secretRemoveCmd `cmd:"" help:"Forget a secret."`
}

// ofSecret names a secret of a repository.
type ofSecret struct {
	Repo string `arg:"" help:"The repository."`
	Name string `arg:"" help:"The secret's name, as plans write it."`
}

func (o ofSecret) path() string {
	return "/repositories/" + inPath(o.Repo) + "/secrets/" + url.PathEscape(o.Name)
}

type secretSetCmd struct {
	target
	reading
	ofSecret
	File string `placeholder:"FILE" default:"-" help:"Read the value from this file; - is stdin."`
}

func (c *secretSetCmd) Run(p *process) error {
	if err := secret.CheckName(c.Name); err != nil { // before a value is read for it
		return err
	}
	value, err := secretValue(p, c.File)
	if err != nil {
		return err
	}
	in := api.NewSecret{Value: string(value)}
	if !utf8.Valid(value) {
		in = api.NewSecret{Value: base64.StdEncoding.EncodeToString(value), Base64: true}
	}
	return c.with(p, func(cl *client) error {
		var kept secret.Info
		if err := cl.do(http.MethodPut, c.path(), in, &kept); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.stdout, kept)
		}
		return line(p.stdout, "%s, revision %s", clean(kept.Name), kept.Revision)
	})
}

// secretValue reads a value whole. What an editor or echo puts behind a single line is no part of
// it; what has several lines is a key, and some programs want its last newline.
func secretValue(p *process, file string) ([]byte, error) {
	in := p.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fault.Newf(fault.Invalid, "gate.secret", "the secret cannot be read: %v", err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	value, err := io.ReadAll(io.LimitReader(in, secret.MaxValue+1))
	if err != nil {
		return nil, fault.Newf(fault.Invalid, "gate.secret", "the secret cannot be read: %v", err)
	}
	if bytes.Count(value, []byte("\n")) == 1 {
		value = bytes.TrimSuffix(bytes.TrimSuffix(value, []byte("\n")), []byte("\r"))
	}
	if len(value) > secret.MaxValue {
		return nil, fault.Newf(fault.TooLarge, "gate.secret", "the secret has more than %d bytes, which is what is kept", secret.MaxValue)
	}
	return value, nil
}

type secretListCmd struct {
	target
	reading
	Repo string `arg:"" help:"The repository."`
}

func (c *secretListCmd) Run(p *process) error {
	return fetchAll(p, c.target, c.reading, "/repositories/"+inPath(c.Repo)+"/secrets", func(w io.Writer, all []secret.Info) error {
		var rows [][]string
		for _, s := range all {
			rows = append(rows, []string{s.Name, s.Revision, date(s.SetAt)})
		}
		return printTable(w, "SECRET REVISION SET", rows)
	})
}

type secretRemoveCmd struct {
	target
	ofSecret
}

func (c *secretRemoveCmd) Run(p *process) error {
	if err := secret.CheckName(c.Name); err != nil {
		return err
	}
	return c.with(p, func(cl *client) error { return cl.do(http.MethodDelete, c.path(), nil, nil) })
}
