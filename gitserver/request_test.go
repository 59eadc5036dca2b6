package gitserver

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
)

const (
	zeroID = string(git.Zero)
	oneID  = "1111111111111111111111111111111111111111"
	allCap = "\x00 report-status-v2 side-band-64k push-options atomic object-format=sha1 agent=git/2.39.5"
)

// lines frames lines as pkt-lines with a flush behind them.
func lines(lines ...string) string {
	var out []byte
	for _, line := range lines {
		out = appendPkt(out, line)
	}
	return string(appendFlush(out))
}

func TestReadRequest(t *testing.T) {
	in := lines(zeroID+" "+oneID+" refs/for/main"+allCap, oneID+" "+zeroID+" refs/heads/old\n") + lines("topic=x\n", "wait")
	r, err := readRequest(pkts(in))
	if err != nil || r.refused != nil {
		t.Fatal(err, r.refused)
	}
	if len(r.commands) != 2 || r.commands[0].Ref != "refs/for/main" || r.commands[1].Ref != "refs/heads/old" || !r.commands[1].New.IsZero() {
		t.Errorf("commands: %v", r.commands)
	}
	if c := r.caps; c.report || !c.reportV2 || !c.sideband || !c.atomic || c.quiet || c.agent != "git/2.39.5" {
		t.Errorf("capabilities: %+v", c)
	}
	if strings.Join(r.options, "|") != "topic=x|wait" {
		t.Errorf("options: %q", r.options)
	}
}

func TestReadRequestWithNothingToPush(t *testing.T) {
	for _, in := range []string{"", "0000"} {
		if r, err := readRequest(pkts(in)); r != nil || err != nil {
			t.Errorf("%q: %v, %v", in, r, err)
		}
	}
}

func TestReadRequestRefusesWhatIsMalformed(t *testing.T) {
	good := zeroID + " " + oneID + " refs/heads/a"
	var tooMany []string
	for i := range maxCommands + 1 {
		tooMany = append(tooMany, fmt.Sprintf("%s %s refs/heads/b%d", zeroID, oneID, i))
	}
	tests := []struct{ name, in, want string }{
		{"no command at all", lines("hello"), "no command"},
		{"empty line", lines(""), "no command"},
		{"no ref", lines(zeroID + " " + oneID + " "), "no command"},
		{"short id", lines(zeroID[1:] + " " + oneID + " refs/heads/a"), "no command"},
		{"upper-case id", lines(zeroID + " " + strings.Repeat("A", 40) + " refs/heads/a"), "bad new object id"},
		{"no id", lines(strings.Repeat("g", 40) + " " + oneID + " refs/heads/a"), "bad old object id"},
		{"sha256 id", lines(strings.Repeat("0", 64) + " " + strings.Repeat("1", 64) + " refs/heads/a"), "no command"},
		{"no flush", lines(good)[:len(lines(good))-4], "among the commands"},
		{"capabilities twice", lines(good+allCap, zeroID+" "+oneID+" refs/heads/b"+allCap), "not the first"},
		{"shallow alone", lines("shallow " + oneID), "without a command"},
		{"bad shallow", lines("shallow xyz", good), "shallow line"},
		{"push certificate", lines("push-cert" + allCap), "signed pushes"},
		{"too many refs", lines(tooMany...), "at most 256 refs"},
		{"delimiter", "0001", "no meaning"},
		{"long ref", lines(zeroID + " " + oneID + " refs/heads/" + strings.Repeat("x", maxCommandLine)), "longer than"},
		{"options without end", lines(good+allCap) + lines("x")[:5], "among the push options"},
		{"too many options", lines(good+allCap) + lines(make([]string, maxPushOptions+1)...), "at most 32 options"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readRequest(pkts(tt.in))
			var broken *protocolError
			if !errors.As(err, &broken) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestReadRequestRefusesInWords(t *testing.T) {
	good := zeroID + " " + oneID + " refs/heads/a"
	caps := "\x00report-status push-options"
	tests := []struct{ name, in, want string }{
		{"ref twice", lines(good, good), "named twice"},
		{"shallow", lines("shallow "+oneID, good), "git fetch --unshallow"},
		{"sha256", lines(good + "\x00object-format=sha256"), "object-format sha1"},
		{"option with a newline", lines(good+caps) + lines("a;b=c\nX-Inject: 1"), "control characters"},
		{"option with ESC", lines(good+caps) + lines("\x1b[2J"), "control characters"},
		{"option with NUL", lines(good+caps) + lines("a\x00b"), "control characters"},
		{"option not UTF-8", lines(good+caps) + lines("\xff\xfe"), "not UTF-8"},
		{"long option", lines(good+caps) + lines(strings.Repeat("x", maxPushOption+1)), "at most 4096 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := readRequest(pkts(tt.in))
			if err != nil || r.refused == nil || !strings.Contains(fault.Sentence(r.refused), tt.want) {
				t.Fatalf("got %v, %v, want %q", r.refused, err, tt.want)
			}
		})
	}
}

func FuzzReadRequest(f *testing.F) {
	f.Add([]byte(lines(zeroID+" "+oneID+" refs/for/main"+allCap) + lines("topic=x")))
	f.Add([]byte(lines("shallow "+oneID, zeroID+" "+oneID+" refs/for/main"+allCap)))
	f.Add([]byte(lines("push-cert" + allCap)))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := readRequest(pkts(string(in)))
		if err != nil || r == nil {
			return
		}
		if len(r.commands) == 0 || len(r.commands) > maxCommands || len(r.options) > maxPushOptions {
			t.Fatalf("out of bounds: %d commands, %d options", len(r.commands), len(r.options))
		}
		for _, c := range r.commands {
			if len(c.Old) != 40 || len(c.New) != 40 || c.Ref == "" || strings.ContainsAny(c.Ref, "\x00") {
				t.Fatalf("bad command %q", c)
			}
		}
		for _, o := range r.options {
			if checkOption(o) != nil {
				t.Fatalf("bad option %q", o)
			}
		}
	})
}

func TestCheckCommand(t *testing.T) {
	one := git.OID(oneID)
	tests := []struct {
		c    Command
		want string // "" is allowed
	}{
		{Command{"refs/heads/main", git.Zero, one}, ""},
		{Command{"refs/tags/v1", git.Zero, one}, ""},
		{Command{"refs/for/main", git.Zero, one}, ""},
		{Command{"refs/for/main%topic=a/b,wip,r=x@y.z", git.Zero, one}, ""},
		{Command{"refs/for/refs/heads/main", git.Zero, one}, ""},
		{Command{"refs/heads/old", one, git.Zero}, ""},
		{Command{"refs/heads/main", git.Zero, git.Zero}, "neither"},
		{Command{"refs/for/main", one, git.Zero}, "no branch that could be deleted"},
		{Command{"refs/for/main%m=\x1b[2J", git.Zero, one}, "control characters"},
		{Command{"refs/for/main%m=" + strings.Repeat("x", 5000), git.Zero, one}, "too long"},
		{Command{"refs/changes/01/1/1", git.Zero, one}, "kept by the server"},
		{Command{"refs/gate/x", git.Zero, one}, "alone"},
		{Command{"refs/replace/" + oneID, git.Zero, one}, "alone"},
		{Command{"refs/meta/config", git.Zero, one}, "alone"},
		{Command{"refs/notes/commits", git.Zero, one}, "alone"},
		{Command{"refs/stash", git.Zero, one}, "alone"},
		{Command{"refs/remotes/origin/main", git.Zero, one}, "alone"},
		{Command{"HEAD", git.Zero, one}, "alone"},
		{Command{"refs/heads", git.Zero, one}, "alone"},
		{Command{"refs/../config", git.Zero, one}, "alone"},
		{Command{"Refs/heads/main", git.Zero, one}, "alone"},
	}
	for _, tt := range tests {
		err := checkCommand(tt.c)
		if tt.want == "" && err != nil {
			t.Errorf("%q: %v", tt.c.Ref, err)
		}
		if tt.want != "" && (err == nil || !strings.Contains(fault.Sentence(err), tt.want)) {
			t.Errorf("%q: got %v, want %q", tt.c.Ref, err, tt.want)
		}
	}
	// The grammar itself is the git room's; here only that it is asked.
	for _, name := range []string{"a\nX", "a\x00b", "a b", "a..b", "a@{b", "a.lock", "a.", "-rf", "a\u202eb", "\xff", strings.Repeat("x", 300), oneID} {
		for _, prefix := range []string{"refs/heads/", "refs/tags/", "refs/for/"} {
			if err := checkCommand(Command{prefix + name, git.Zero, one}); err == nil {
				t.Errorf("%q is allowed", prefix+name)
			}
		}
	}
}
