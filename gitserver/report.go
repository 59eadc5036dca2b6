package gitserver

import (
	"gatehouse/gitserver/git"
)

// outcome is what became of one command.
type outcome struct {
	command Command
	result  Result
}

// report is the answer of report-status and report-status-v2
// (Documentation/gitprotocol-pack.txt): unpack is "" or why the pack was not taken. A
// version 2 client is told when a push landed on another ref, so that it does not move its
// remote-tracking branch.
func report(v2 bool, unpack string, outcomes []outcome) []byte {
	line := "unpack ok"
	if unpack != "" {
		line = "unpack " + cleanReason(unpack)
	}
	out := appendPkt(nil, line+"\n")
	for _, o := range outcomes {
		ref := cleanLine(o.command.Ref)
		if o.result.Reason != "" {
			out = appendPkt(out, "ng "+ref+" "+cleanReason(o.result.Reason)+"\n")
			continue
		}
		out = appendPkt(out, "ok "+ref+"\n")
		if v2 {
			out = appendOptions(out, o)
		}
	}
	return appendFlush(out)
}

// appendOptions says where the push went, if that is not where it was sent. The old id of a
// holding ref is always zero: each patch set is a new one.
func appendOptions(out []byte, o outcome) []byte {
	held := o.result.HeldRef
	if held != "" && held != o.command.Ref {
		out = appendPkt(out, "option refname "+cleanLine(held)+"\n")
		out = appendPkt(out, "option old-oid "+string(git.Zero)+"\n")
	}
	if id := o.result.NewOID; id != "" && id != o.command.New {
		out = appendPkt(out, "option new-oid "+string(id)+"\n")
	}
	return out
}
