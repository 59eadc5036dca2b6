package gitserver

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"gatehouse/gitserver/git"
)

const (
	// maxCommands is how many refs one push may name: 20,000 took 39 s of one core and a
	// person never pushes that many; an import has its own way.
	maxCommands = 256
	// maxCommandLine is two ids, a ref with its options, and the capabilities.
	maxCommandLine = 8 << 10
	// maxPushOptions and maxPushOption bound `git push -o`: git itself bounds neither.
	maxPushOptions = 32
	maxPushOption  = 4 << 10
	// oidLen is the length of an object id on the wire; this server speaks SHA-1 alone.
	oidLen = 40
)

// request is everything that a push says in front of its pack.
type request struct {
	commands []Command
	caps     capabilities
	options  []string
	shallow  bool
	// capsKnown says that caps were read: the answer can take the form that they ask for.
	capsKnown bool
	// refused is why no command of this push can be taken although the protocol was kept.
	refused error
}

// capabilities is what a client asked for behind its first command
// (Documentation/gitprotocol-capabilities.txt). What it asks for beyond is ignored.
type capabilities struct {
	report, reportV2, sideband, quiet, atomic, pushOptions bool
	objectFormat, agent                                    string
}

func parseCapabilities(text string) capabilities {
	var c capabilities
	for word := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "report-status":
			c.report = true
		case "report-status-v2":
			c.reportV2 = true
		case "side-band-64k":
			c.sideband = true
		case "quiet":
			c.quiet = true
		case "atomic":
			c.atomic = true
		case "push-options":
			c.pushOptions = true
		case "object-format":
			c.objectFormat = cleanReason(value)
		case "agent":
			c.agent = cleanReason(value)
		}
	}
	return c
}

// readRequest reads commands and push options. An error is a *protocolError or the
// connection's; caps is filled as far as it got, so that the answer can take the form that
// the client expects. A nil request with a nil error is a client that has nothing to push.
func readRequest(in *pktReader) (*request, error) {
	r := &request{}
	if err := r.readCommands(in); err != nil {
		return r, err
	}
	if len(r.commands) == 0 {
		if r.shallow {
			return r, malformed("shallow lines without a command")
		}
		return nil, nil
	}
	if r.caps.pushOptions {
		if err := r.readOptions(in); err != nil {
			return r, err
		}
	}
	if r.shallow {
		r.refuse("a push from a shallow clone is not taken: its history is cut off", "run `git fetch --unshallow`, then push again")
	}
	if f := r.caps.objectFormat; f != "" && f != "sha1" {
		r.refuse("this server speaks object-format sha1, not "+f, "")
	}
	return r, nil
}

// refuse keeps the first reason.
func (r *request) refuse(public, next string) {
	if r.refused == nil {
		r.refused = refusal("gitserver.Receive", public, next)
	}
}

func (r *request) readCommands(in *pktReader) error {
	seen := map[string]bool{}
	for {
		kind, line, err := in.next(maxCommandLine)
		if err != nil {
			return err
		}
		switch kind {
		case pktFlush:
			return nil
		case pktEnd:
			if len(r.commands) == 0 && !r.shallow {
				return nil // it looked at the refs and left
			}
			return malformed("the connection ended among the commands")
		}
		if isShallow, err := shallowLine(line); err != nil {
			return err
		} else if isShallow {
			r.shallow = true
			continue
		}
		if bytes.HasPrefix(line, []byte("push-cert")) {
			r.takeCaps(line)
			return malformed("signed pushes are not taken here: push without --signed")
		}
		c, err := r.command(line)
		if err != nil {
			return err
		}
		if len(r.commands) == maxCommands {
			return malformed("a push may name at most %d refs: push in smaller groups", maxCommands)
		}
		if seen[c.Ref] {
			r.refuse(fmt.Sprintf("%s is named twice in this push", cleanReason(c.Ref)), "name each ref once")
		}
		seen[c.Ref] = true
		r.commands = append(r.commands, c)
	}
}

// takeCaps keeps what stands behind the line's NUL, if it is the first command.
func (r *request) takeCaps(line []byte) []byte {
	text, caps, found := bytes.Cut(line, []byte{0})
	if found && len(r.commands) == 0 {
		r.caps, r.capsKnown = parseCapabilities(string(caps)), true
	}
	return text
}

// command reads "OLD NEW REF", on the first one also NUL and the capabilities.
func (r *request) command(line []byte) (Command, error) {
	first := len(r.commands) == 0
	text := r.takeCaps(line)
	if !first && len(text) != len(line) {
		return Command{}, malformed("capabilities behind a command that is not the first")
	}
	text = bytes.TrimSuffix(text, []byte("\n"))
	if len(text) < 2*oidLen+3 || text[oidLen] != ' ' || text[2*oidLen+1] != ' ' {
		return Command{}, malformed("a line that is no command: %q", clip(cleanLine(string(text)), 120))
	}
	before, err := git.ParseOID(string(text[:oidLen]))
	if err != nil {
		return Command{}, malformed("bad old object id in a command")
	}
	after, err := git.ParseOID(string(text[oidLen+1 : 2*oidLen+1]))
	if err != nil {
		return Command{}, malformed("bad new object id in a command")
	}
	return Command{Ref: string(text[2*oidLen+2:]), Old: before, New: after}, nil
}

func shallowLine(line []byte) (bool, error) {
	rest, ok := bytes.CutPrefix(line, []byte("shallow "))
	if !ok {
		return false, nil
	}
	if _, err := git.ParseOID(string(bytes.TrimSuffix(rest, []byte("\n")))); err != nil {
		return false, malformed("bad object id in a shallow line")
	}
	return true, nil
}

// readOptions reads `git push -o`. Options that break a rule refuse the push as a whole and
// in words; only when they do not end is it the protocol that was broken.
func (r *request) readOptions(in *pktReader) error {
	for count := 0; ; count++ {
		kind, line, err := in.next(maxPayload)
		if err != nil {
			return err
		}
		switch {
		case kind == pktFlush:
			return nil
		case kind == pktEnd:
			return malformed("the connection ended among the push options")
		case count == maxPushOptions:
			return malformed("a push may have at most %d options", maxPushOptions)
		}
		text := string(bytes.TrimSuffix(line, []byte("\n")))
		if err := checkOption(text); err != nil {
			r.refuse(err.Error(), "change the -o options and push again")
			continue
		}
		r.options = append(r.options, text)
	}
}

func checkOption(text string) error {
	switch {
	case len(text) > maxPushOption:
		return fmt.Errorf("a push option may have at most %d bytes", maxPushOption)
	case !utf8.ValidString(text):
		return errors.New("a push option is not UTF-8")
	case strings.ContainsFunc(text, unsafeRune):
		return errors.New("a push option contains control characters")
	}
	return nil
}
