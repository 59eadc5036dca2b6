package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/artifact"
	"gatehouse/gatekeeper/attest"
	"gatehouse/gitserver/fault"
	"gatehouse/web/api"
)

const (
	// envelopeSuffix is what the envelope of a file is called when nobody says: the name that tools of
	// in-toto look for.
	envelopeSuffix = ".intoto.jsonl"
	// maxVerified bounds an envelope or a file of keys that is read.
	maxVerified = 16 << 20
)

// signatureLine says who has signed the provenance of an artifact.
func signatureLine(s *gatekeeper.ArtifactSignature) string {
	switch {
	case s == nil:
		return "  its provenance is not signed\n"
	case !s.Valid:
		return fmt.Sprintf("  its provenance was CHANGED, or is not signed by this server: key %s\n", clean(s.KeyID))
	case s.Retired:
		return fmt.Sprintf("  its provenance is signed with an earlier key of this server, %s\n", s.KeyID) + signatureText(s)
	default:
		return fmt.Sprintf("  its provenance is signed with the key %s\n", s.KeyID) + signatureText(s)
	}
}

func signatureText(s *gatekeeper.ArtifactSignature) string {
	return fmt.Sprintf("  signature %x\n", s.Signature)
}

// artifactVerifyCmd needs no server.
type artifactVerifyCmd struct {
	reading
	File     string   `arg:"" type:"path" help:"The artifact: a file, a tar archive as it was fetched, or the folder of a bundle or an image."`
	Envelope string   `placeholder:"FILE" type:"path" help:"Its signed provenance, as gate artifact show REPO DIGEST --envelope prints it; without it FILE.intoto.jsonl."`
	Key      []string `required:"" placeholder:"FILE" type:"path" help:"Public keys that you trust, in PEM: gate artifact keys --public prints those of a server. May be given more than once."`
	Repo     string   `placeholder:"URL" help:"Demand that it was built from this repository."`
	Commit   string   `placeholder:"COMMIT" help:"Demand that it was built from this commit."`
	Stage    string   `placeholder:"NAME" help:"Demand that this stage built it."`
}

// Verified is what a verification found.
type Verified struct {
	Digest     string    `json:"digest"`
	Name       string    `json:"name"`
	KeyID      string    `json:"key_id"`
	Builder    string    `json:"builder"`
	Repository string    `json:"repository"`
	Commit     string    `json:"commit"`
	Stage      string    `json:"stage"`
	StageRun   int64     `json:"stage_run,omitempty"`
	Plan       string    `json:"plan,omitempty"`
	Finished   time.Time `json:"finished,omitzero"`
}

// Run verifies.
func (c *artifactVerifyCmd) Run(p *process) error {
	v, err := c.verify(p)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(p.stdout, v)
	}
	return line(p.stdout, "%s is %s\n  built %s by stage %s of %s\n  from commit %s\n  signed with the key %s",
		clean(c.File), v.Digest, date(v.Finished), clean(v.Stage), clean(v.Repository), clean(v.Commit), v.KeyID)
}

func (c *artifactVerifyCmd) verify(p *process) (Verified, error) {
	const op = "gate.verify"
	var trusted []attest.PublicKey
	for _, file := range c.Key {
		text, err := readBounded(file, "the public key")
		if err != nil {
			return Verified{}, err
		}
		keys, err := attest.ParsePublic(text)
		if err != nil {
			return Verified{}, err
		}
		trusted = append(trusted, keys...)
	}
	file := c.Envelope
	if file == "" {
		file = strings.TrimRight(c.File, "/") + envelopeSuffix
	}
	text, err := readBounded(file, "the signed provenance")
	if err != nil {
		return Verified{}, err
	}
	e, err := attest.Parse(text)
	if err != nil {
		return Verified{}, err
	}
	by, err := e.Verify(trusted)
	if err != nil {
		return Verified{}, err
	}
	if e.PayloadType != artifact.StatementPayload {
		return Verified{}, fault.Newf(fault.Refused, op, "what was signed is no statement about artifacts, but of the type %q", e.PayloadType)
	}
	subjects, from, err := artifact.ReadStatement(e.Payload)
	if err != nil {
		return Verified{}, err
	}
	digests, err := artifact.DigestsOf(p.ctx, c.File)
	if err != nil {
		return Verified{}, err
	}
	n := slices.IndexFunc(subjects, func(a artifact.Artifact) bool { return slices.Contains(digests, a.Digest) })
	if n < 0 {
		return Verified{}, fault.New(fault.Refused, op, fmt.Sprintf("%s is %s, and the statement is about another artifact", clean(c.File), strings.Join(digests, " or ")),
			"it was changed since it was built, or this is the provenance of something else")
	}
	return Verified{
		Digest: subjects[n].Digest, Name: subjects[n].Name, KeyID: by.ID, Builder: from.Builder, Repository: from.Repository, Commit: from.Commit,
		Stage: from.Stage, StageRun: from.StageRun, Plan: from.Plan, Finished: from.Finished,
	}, c.demands(from)
}

// demands refuses what was built by this server, but not from what was asked for.
func (c *artifactVerifyCmd) demands(from artifact.Provenance) error {
	for _, d := range []struct{ what, want, is string }{
		{"repository", strings.TrimSuffix(c.Repo, "/"), from.Repository}, {"commit", c.Commit, from.Commit}, {"stage", c.Stage, from.Stage},
	} {
		if d.want != "" && d.want != d.is {
			return fault.Newf(fault.Refused, "gate.verify", "it was built, but from another %s: %s", d.what, clean(d.is))
		}
	}
	return nil
}

func readBounded(file, what string) ([]byte, error) {
	info, err := os.Stat(file)
	if err == nil && info.Size() > maxVerified {
		return nil, fault.Newf(fault.TooLarge, "gate.verify", "%s is larger than %d bytes", clean(file), maxVerified)
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(file) //nolint:gosec // the caller's own
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Newf(fault.NotFound, "gate.verify", "there is no file %s with %s", clean(file), what)
	}
	if err != nil {
		return nil, fault.Newf(fault.Invalid, "gate.verify", "%s cannot be read: %v", what, err)
	}
	return text, nil
}

type artifactKeysCmd struct {
	target
	reading
	Public bool `help:"Print the keys themselves, in PEM, for gate artifact verify and other tools."`
}

// Run lists the keys.
func (c *artifactKeysCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		var found struct {
			Items []api.SigningKey `json:"items"`
		}
		if err := cl.do(http.MethodGet, "/signing-keys", nil, &found); err != nil {
			return err
		}
		switch {
		case c.JSON:
			return printJSON(p.stdout, found.Items)
		case c.Public:
			var all []byte
			for _, k := range found.Items {
				keys, err := attest.ParsePublic([]byte(k.PEM))
				if err != nil {
					return err
				}
				all = append(all, attest.PEM(keys)...)
			}
			_, err := p.stdout.Write(all)
			return err
		}
		var rows [][]string
		for _, k := range found.Items {
			state := "verifies"
			if k.Signs {
				state = "signs"
			}
			rows = append(rows, []string{k.ID, state})
		}
		return printTable(p.stdout, "KEY STATE", rows)
	})
}

type artifactRotateCmd struct {
	target
	reading
}

// Run makes a new key.
func (c *artifactRotateCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		var made api.SigningKey
		if err := cl.do(http.MethodPost, "/signing-keys", nil, &made); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.stdout, made)
		}
		say(p.stderr, "next: hand gate artifact keys --public to whoever verifies")
		return line(p.stdout, "%s signs now", made.ID)
	})
}
