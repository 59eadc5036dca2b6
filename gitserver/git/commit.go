package git

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"gatehouse/gitserver/fault"
)

// Signature is who made a commit, and when.
type Signature struct {
	Name, Email string
	When        time.Time // whole seconds, with the zone of its author
}

// Commit is one commit.
type Commit struct {
	OID, Tree         OID
	Parents           []OID
	Author, Committer Signature
	Message           string // as it is, with whatever encoding it has
	// ExtraHeaders are the headers beyond tree, parent, author and committer, in the order of
	// each name; a value of several lines keeps its line feeds.
	ExtraHeaders map[string][]string
	Raw          []byte // the object
}

// Subject is the first line of the message.
func (c Commit) Subject() string {
	line, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\n"), "\n")
	return strings.TrimSpace(line)
}

// Commit reads one commit. An object of another type is Invalid, none NotFound.
func (r *Repo) Commit(ctx context.Context, oid OID) (Commit, error) {
	cs, err := r.commits(ctx, []OID{oid})
	if err != nil {
		return Commit{}, err
	}
	return cs[0], nil
}

// commits reads commits in the order of oids.
func (r *Repo) commits(ctx context.Context, oids []OID) ([]Commit, error) {
	if err := valid("git.Commit", oids...); err != nil {
		return nil, err
	}
	cs := make([]Commit, 0, len(oids))
	err := r.withReader(ctx, func(b *reader) error {
		for _, oid := range oids {
			var raw bytes.Buffer
			kind, err := b.contents(oid, maxCommitBytes, &raw)
			if err != nil {
				return err
			}
			if kind != "commit" {
				return fault.Newf(fault.Invalid, "git.Commit", "%s is a %s, not a commit", oid.Short(), kind)
			}
			c, err := parseCommit(oid, raw.Bytes())
			if err != nil {
				return err
			}
			cs = append(cs, c)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return cs, nil
}

// header is one commit header, in the order of the object.
type header struct{ key, value string }

// splitCommit cuts a commit object into its headers and its message. Continuation lines
// belong to the value before them, as git reads them (commit.c: read_commit_extra_header_lines).
func splitCommit(raw []byte) (headers []header, message []byte, err error) {
	for {
		line, rest, ended := bytes.Cut(raw, []byte("\n"))
		if !ended {
			return nil, nil, fmt.Errorf("git: commit header without an end")
		}
		raw = rest
		if len(line) == 0 {
			return headers, raw, nil
		}
		if line[0] == ' ' {
			if len(headers) == 0 {
				return nil, nil, fmt.Errorf("git: commit begins with a continuation line")
			}
			headers[len(headers)-1].value += "\n" + string(line[1:])
			continue
		}
		key, value, _ := bytes.Cut(line, []byte(" "))
		headers = append(headers, header{string(key), string(value)})
		if len(raw) == 0 { // headers only, no message: git writes none and reads it
			return headers, nil, nil
		}
	}
}

// parseCommit reads a commit object.
func parseCommit(oid OID, raw []byte) (Commit, error) {
	headers, message, err := splitCommit(raw)
	if err != nil {
		return Commit{}, err
	}
	c := Commit{OID: oid, Message: string(message), Raw: raw}
	for i, h := range headers {
		switch {
		case h.key == "tree" && i == 0:
			c.Tree = OID(h.value)
		case h.key == "parent" && i == 1+len(c.Parents):
			c.Parents = append(c.Parents, OID(h.value))
		case h.key == "author" && i == 1+len(c.Parents):
			c.Author = parseSignature(h.value)
		case h.key == "committer" && i == 2+len(c.Parents):
			c.Committer = parseSignature(h.value)
		default:
			if c.ExtraHeaders == nil {
				c.ExtraHeaders = map[string][]string{}
			}
			c.ExtraHeaders[h.key] = append(c.ExtraHeaders[h.key], h.value)
		}
	}
	if err := valid("git.Commit", append([]OID{c.Tree}, c.Parents...)...); err != nil {
		return Commit{}, fmt.Errorf("git: commit %s: %w", oid, err)
	}
	return c, nil
}

// parseSignature reads "Name <email> seconds zone"; what is unreadable stays empty.
func parseSignature(s string) Signature {
	var sig object.Signature
	sig.Decode([]byte(s))
	return Signature{Name: sig.Name, Email: sig.Email, When: sig.When}
}

// maxZone is the largest offset git itself writes, 14 hours, rounded up to a day.
const maxZone = 24 * 60 * 60

// format writes a signature as git does: no angle brackets or line ends inside, never empty.
func (s Signature) format() string {
	clean := func(text string) string {
		text = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f || r == '<' || r == '>' {
				return -1
			}
			return r
		}, text)
		return strings.Trim(text, " .,:;\"\\'")
	}
	email := clean(s.Email)
	name := clean(s.Name)
	if name == "" {
		name, _, _ = strings.Cut(email, "@")
	}
	if name == "" {
		name = "unknown"
	}
	_, zone := s.When.Zone()
	if zone <= -maxZone || zone >= maxZone {
		zone = 0
	}
	sign := '+'
	if zone < 0 {
		sign, zone = '-', -zone
	}
	return fmt.Sprintf("%s <%s> %d %c%02d%02d", name, email, max(s.When.Unix(), 0), sign, zone/3600, zone%3600/60)
}

// composeCommit writes the commit object, exactly.
func composeCommit(tree OID, parents []OID, author, committer Signature, message string) []byte {
	var b bytes.Buffer
	b.WriteString("tree " + string(tree) + "\n")
	for _, p := range parents {
		b.WriteString("parent " + string(p) + "\n")
	}
	b.WriteString("author " + author.format() + "\n")
	b.WriteString("committer " + committer.format() + "\n\n")
	b.WriteString(message)
	return b.Bytes()
}

// WriteCommit writes a commit with exactly these parts and this message, durably (in a
// quarantine: once it migrates). The tree and the parents must exist.
func (r *Repo) WriteCommit(ctx context.Context, tree OID, parents []OID, author, committer Signature, message string) (OID, error) {
	const op = "git.WriteCommit"
	if strings.ContainsRune(message, 0) {
		return "", fault.New(fault.Invalid, op, "the message holds a NUL byte", "")
	}
	if err := valid(op, append([]OID{tree}, parents...)...); err != nil {
		return "", err
	}
	raw := composeCommit(tree, parents, author, committer, message)
	if len(raw) > maxCommitBytes {
		return "", fault.Newf(fault.TooLarge, op, "the commit is larger than %d bytes", maxCommitBytes)
	}
	if err := r.mustBe(ctx, map[OID]string{tree: "tree"}, parents); err != nil {
		return "", err
	}
	out, err := r.runIn(ctx, string(raw), "hash-object", "-t", "commit", "-w", "--stdin")
	if err != nil {
		return "", fmt.Errorf("git: write commit: %w", err)
	}
	oid, err := ParseOID(strings.TrimSpace(string(out)))
	if err != nil {
		return "", fmt.Errorf("git: write commit: %w", err)
	}
	if own := plumbing.ComputeHash(plumbing.CommitObject, raw).String(); own != string(oid) {
		return "", fmt.Errorf("git: write commit: git names it %s, its bytes are %s", oid, own)
	}
	if r.inQuarantine() {
		return oid, nil
	}
	return oid, syncUp(r.path("objects"), r.path("objects", string(oid[:2])))
}

// mustBe checks that objects exist with their types; commits are to be commits.
func (r *Repo) mustBe(ctx context.Context, kinds map[OID]string, commits []OID) error {
	for _, c := range commits {
		kinds[c] = "commit"
	}
	return r.withReader(ctx, func(b *reader) error {
		for oid, want := range kinds {
			if oid == EmptyTree {
				continue
			}
			kind, _, err := b.info(oid)
			if err != nil {
				return err
			}
			if kind != want {
				return fault.Newf(fault.Invalid, "git.mustBe", "%s is a %s, not a %s", oid.Short(), kind, want)
			}
		}
		return nil
	})
}

// parseCount reads a decimal count of git's, "-" (binary) as 0.
func parseCount(s string) (int, error) {
	if s == "-" {
		return 0, nil
	}
	return strconv.Atoi(s)
}
