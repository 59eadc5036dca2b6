package main

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gitserver/fault"
	"gatehouse/web/api"
)

// artifactCmd is what stages made.
type artifactCmd struct {
	List    artifactListCmd    `cmd:"" help:"List what the stages of a repository made, newest first."`
	Show    artifactShowCmd    `cmd:"" help:"Show where an artifact came from, where it runs and who accepted it."`
	Fetch   artifactFetchCmd   `cmd:"" help:"Write the content of an artifact into a file: the file itself, or a tar archive."`
	Revoke  artifactRevokeCmd  `cmd:"" help:"Take an artifact back: it enters no environment any more."`
	Restore artifactRestoreCmd `cmd:"" help:"Let an artifact in again that was revoked by mistake; for owners."`
	Verify  artifactVerifyCmd  `cmd:"" help:"Check that a file is what a server says it built, without asking the server."`
	Keys    artifactKeysCmd    `cmd:"" help:"List the public keys that the server signs the provenance of artifacts with."`
	Rotate  artifactRotateCmd  `cmd:"" help:"Have the server sign with a new key. What it has signed is still verified."`
}

// ofArtifact names an artifact of a repository.
type ofArtifact struct {
	Repo   string `arg:"" help:"The repository."`
	Digest string `arg:"" help:"Its digest, or the beginning of it."`
}

func (o ofArtifact) path(rest string) string {
	return "/repositories/" + inPath(o.Repo) + "/artifacts/" + url.PathEscape(o.Digest) + rest
}

type artifactListCmd struct {
	target
	reading
	Repo  string `arg:"" help:"The repository."`
	Limit int    `default:"50" help:"At most so many."`
	After string `placeholder:"PLACE" help:"The next page, as the one before says."`
}

func (c *artifactListCmd) Run(p *process) error {
	q := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	if c.After != "" {
		q.Set("after", c.After)
	}
	return c.with(p, func(cl *client) error {
		var found struct {
			Items []gatekeeper.Built `json:"items"`
			Next  string             `json:"next"`
		}
		if err := cl.do(http.MethodGet, "/repositories/"+inPath(c.Repo)+"/artifacts?"+q.Encode(), nil, &found); err != nil {
			return err
		}
		show := func() error {
			return printTable(p.stdout, "DIGEST NAME TYPE SIZE CHANGE COMMIT STATE BUILT", builtRows(found.Items))
		}
		if c.JSON {
			show = func() error { return printJSON(p.stdout, found.Items) }
		}
		if err := show(); err != nil || found.Next == "" {
			return err
		}
		return line(p.stderr, "more: --after %s", found.Next)
	})
}

func builtRows(all []gatekeeper.Built) [][]string {
	var rows [][]string
	for _, b := range all {
		rows = append(rows, []string{shortDigest(b.Digest), b.Name, b.Type, strconv.FormatInt(b.Size, 10), orZero(b.Change), cut(string(b.Commit)), strings.ToLower(b.State), date(b.BuiltAt)})
	}
	return rows
}

type artifactShowCmd struct {
	target
	reading
	ofArtifact
	Statement bool `help:"Print its provenance instead: an in-toto statement." xor:"what"`
	Envelope  bool `help:"Print its signed provenance instead: a DSSE envelope." xor:"what"`
}

func (c *artifactShowCmd) Run(p *process) error {
	what := ""
	switch {
	case c.Statement:
		what = "/statement"
	case c.Envelope:
		what = "/envelope"
	default:
		return fetch(p, c.target, c.reading, c.path(""), showArtifact)
	}
	return c.with(p, func(cl *client) error {
		resp, err := cl.send(http.MethodGet, c.path(what), nil)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		_, err = io.Copy(p.stdout, io.LimitReader(resp.Body, maxAnswer))
		return err
	})
}

func showArtifact(w io.Writer, d gatekeeper.ArtifactDetail) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n  %s, %s, %d bytes, %s\n", d.Digest, clean(d.Name), d.Type, d.Size, strings.ToLower(d.State))
	fmt.Fprintf(&b, "  built %s by stage %s from commit %s", date(d.BuiltAt), clean(d.Stage), d.Commit)
	if d.Change != 0 {
		fmt.Fprintf(&b, " of change %d", d.Change)
	}
	fmt.Fprintf(&b, "; gate log %d\n", d.StageRun)
	if !d.Kept {
		b.WriteString("  its content is not kept any more\n")
	}
	for _, w := range d.Words {
		fmt.Fprintf(&b, "  %s by %s, %s: %s\n", strings.ToLower(w.State), clean(w.By), date(w.At), clean(w.Reason))
	}
	b.WriteString(signatureLine(d.Signature))
	for _, a := range d.Runs {
		fmt.Fprintf(&b, "  runs in %s as assembly %d, %s, at %s\n", clean(a.Environment), a.ID, strings.ToLower(string(a.State)), orNone(clean(a.Address)))
	}
	for _, a := range d.Approvals {
		fmt.Fprintf(&b, "  approved at %s by %s, %s%s\n", clean(a.Gate), clean(a.By), date(a.At), clean(strings.TrimSuffix(": "+a.Note, ": ")))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

type artifactFetchCmd struct {
	target
	ofArtifact
	Output string `short:"o" placeholder:"FILE" help:"Write it there; - is stdout. Without it a file of the artifact's name, in this folder."`
}

func (c *artifactFetchCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		resp, err := cl.send(http.MethodGet, c.path("/content"), nil)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if c.Output == "-" {
			return whole(io.Copy(p.stdout, resp.Body))(cl, resp)
		}
		name := c.Output
		if name == "" {
			if name = sentName(resp.Header.Get("Content-Disposition")); name == "" {
				return fault.New(fault.Invalid, "gate.artifact", "the server named no file that could be written here", "say where: --output FILE")
			}
		}
		mode := os.FileMode(0o644)
		if resp.Header.Get("Gate-Executable") == "true" {
			mode = 0o755
		}
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if err != nil {
			return fault.New(fault.Invalid, "gate.artifact", fmt.Sprintf("the file cannot be made: %v", err), "say another one: --output FILE")
		}
		err = whole(io.Copy(f, resp.Body))(cl, resp)
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(name) // a part of an artifact is no artifact
			return err
		}
		return line(p.stdout, "%s", clean(name))
	})
}

// whole checks that all of an answer came: a connection may end early.
func whole(n int64, err error) func(cl *client, resp *http.Response) error {
	return func(cl *client, resp *http.Response) error {
		if err != nil {
			return cl.unreachable(err)
		}
		if want := resp.Header.Get("Content-Length"); want != "" && want != strconv.FormatInt(n, 10) {
			return fault.New(fault.Unavailable, "gate.artifact", "the connection ended early", "try again")
		}
		return nil
	}
}

// sentName is the file name that a server proposes, when it is one for this folder.
func sentName(disposition string) string {
	_, params, err := mime.ParseMediaType(disposition)
	name := params["filename"]
	if err != nil || name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") || clean(name) != name {
		return ""
	}
	return name
}

type artifactRevokeCmd struct {
	target
	reading
	ofArtifact
	Reason string `required:"" placeholder:"TEXT" help:"What is wrong with it."`
}

func (c *artifactRevokeCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		var done gatekeeper.Revoked
		if err := cl.do(http.MethodPost, c.path("/revoke"), api.Reason{Message: c.Reason}, &done); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.stdout, done)
		}
		if err := line(p.stdout, "revoked %s", done.Artifact.Digest); err != nil {
			return err
		}
		for _, a := range done.Runs {
			if err := line(p.stdout, "  it runs still: %s, assembly %d at %s", clean(a.Environment), a.ID, orNone(clean(a.Address))); err != nil {
				return err
			}
		}
		if done.Next != "" {
			say(p.stderr, "next: %s", done.Next)
		}
		return nil
	})
}

type artifactRestoreCmd struct {
	target
	reading
	ofArtifact
	Reason string `required:"" placeholder:"TEXT" help:"Why it may enter environments again."`
}

func (c *artifactRestoreCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		var done gatekeeper.Revoked
		if err := cl.do(http.MethodPost, c.path("/restore"), api.Reason{Message: c.Reason}, &done); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.stdout, done)
		}
		if err := line(p.stdout, "restored %s", done.Artifact.Digest); err != nil {
			return err
		}
		if done.Next != "" {
			say(p.stderr, "next: %s", done.Next)
		}
		return nil
	})
}

// assemblyCmd is what runs.
type assemblyCmd struct {
	List assemblyListCmd `cmd:"" help:"List what runs of a branch, with addresses."`
	Log  assemblyLogCmd  `cmd:"" help:"Show the end of what an assembly says."`
	Stop assemblyStopCmd `cmd:"" help:"End an assembly that a change has for itself."`
}

type assemblyListCmd struct {
	target
	reading
	ofBranch
	All bool `help:"Also those that are gone."`
}

func (c *assemblyListCmd) Run(p *process) error {
	all := ""
	if c.All {
		all = "true"
	}
	return fetchAll(p, c.target, c.reading, c.path("/assemblies", "all", all), func(w io.Writer, all []deliver.Assembly) error {
		if len(all) == 0 && !c.All {
			say(p.stderr, "nothing of %s runs; --all lists what did", clean(c.Repo))
		}
		var rows [][]string
		for _, a := range all {
			rows = append(rows, []string{number(a.ID), a.Environment, orZero(a.Change), cut(string(a.Commit)), shortDigest(a.Digest), strings.ToLower(string(a.State)), orNone(a.Address), nameWords(a), date(a.ExpiresAt), a.Reason})
		}
		return printTable(w, "ASSEMBLY ENVIRONMENT CHANGE COMMIT DIGEST STATE ADDRESS NAME EXPIRES WHY", rows)
	})
}

// ofAssembly names an assembly of a repository.
type ofAssembly struct {
	Repo     string `arg:"" help:"The repository."`
	Assembly int64  `arg:"" help:"Its number, as gate assembly list has it."`
}

func (o ofAssembly) path(rest string) string {
	return "/repositories/" + inPath(o.Repo) + "/assemblies/" + number(o.Assembly) + rest
}

type assemblyLogCmd struct {
	target
	ofAssembly
	Raw bool `help:"Every byte as the assembly wrote it; without it a terminal is sent text and colours only."`
}

func (c *assemblyLogCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		resp, err := cl.send(http.MethodGet, c.path("/log"), nil)
		if err != nil {
			return err
		}
		if resp.Header.Get("Gate-Cut") == "true" {
			say(p.stderr, "this is its end; there is more before it")
		}
		return cl.printLog(p, resp, c.Raw)
	})
}

type assemblyStopCmd struct {
	target
	reading
	ofAssembly
	Reason string `placeholder:"TEXT" help:"Why."`
}

func (c *assemblyStopCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		var a deliver.Assembly
		if err := cl.do(http.MethodPost, c.path("/stop"), api.Reason{Message: c.Reason}, &a); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.stdout, a)
		}
		return line(p.stdout, "assembly %d is %s: %s", a.ID, strings.ToLower(string(a.State)), clean(a.Reason))
	})
}
