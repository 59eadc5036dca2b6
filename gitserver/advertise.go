package gitserver

import (
	"context"
	"strings"

	"gatehouse/gitserver/git"
)

// agent names this server to clients. It carries no version: that is for administrators.
const agent = "gatehouse"

// pushPrefixes are the refs that a push is shown. Holding refs (refs/changes) and the
// gate's own (refs/gate) are the server's; ten thousand of them would also cost each push a
// megabyte.
var pushPrefixes = []string{"refs/heads/", "refs/tags/"}

// pushCapabilities is what this server's receive-pack can do.
const pushCapabilities = "report-status report-status-v2 delete-refs side-band-64k quiet atomic ofs-delta push-options object-format=sha1 agent=" + agent

// advertisement is what receive-pack says first: protocol v0, or v1 when that is asked for
// (Documentation/gitprotocol-pack.txt, "Reference Discovery"). There is no v2 for pushes;
// git asks for it and expects v0.
func advertisement(ctx context.Context, r *git.Repo, protocol string) ([]byte, error) {
	refs, err := r.Refs(ctx, pushPrefixes...)
	if err != nil {
		return nil, err
	}
	var out []byte
	if protocol == "version=1" {
		out = appendPkt(out, "version 1\n")
	}
	caps := "\x00" + pushCapabilities
	for _, ref := range refs {
		if !shown(ref.Name) {
			continue
		}
		out = appendPkt(out, string(ref.OID)+" "+ref.Name+caps+"\n")
		caps = ""
	}
	if caps != "" {
		out = appendPkt(out, string(git.Zero)+" capabilities^{}"+caps+"\n")
	}
	return appendFlush(out), nil
}

func shown(ref string) bool {
	for _, prefix := range pushPrefixes {
		if strings.HasPrefix(ref, prefix) {
			return true
		}
	}
	return false
}
