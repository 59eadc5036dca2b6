package git

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"gatehouse/gitserver/fault"
)

// UploadPackOptions say how one fetch is served.
type UploadPackOptions struct {
	Stateless     bool   // one request of smart HTTP
	AdvertiseRefs bool   // only the advertisement
	Protocol      string // GIT_PROTOCOL as the client sent it: "version=2", else it is left out
	In            io.Reader
	Out           io.Writer
}

// Bounds of a fetch.
const (
	uploadWall    = 2 * time.Hour // a whole history over a slow line
	uploadSilence = "300"         // seconds without a word from the client
	// treeFilterDepth bounds filter=tree:<depth>, whose work grows with it; 0 is what treeless clones ask for.
	treeFilterDepth = "16"
)

// uploadConfig is what a fetch may see and ask for. Of refs/gate/ only refs/gate/tested/ is
// shown, what was tested and refused; everything else is, and a patch set can be fetched by
// its object name. Filters are those that real clients use and
// that cost little.
var uploadConfig = []setting{
	{"transfer.hideRefs", "refs/gate/"},
	{"transfer.hideRefs", "!refs/gate/tested/"}, // the last that matches decides
	{"uploadpack.allowAnySHA1InWant", "true"},
	{"uploadpack.allowFilter", "true"},
	{"uploadpackfilter.allow", "false"},
	{"uploadpackfilter.blob:none.allow", "true"},
	{"uploadpackfilter.blob:limit.allow", "true"},
	{"uploadpackfilter.object:type.allow", "true"},
	{"uploadpackfilter.tree.allow", "true"},
	{"uploadpackfilter.tree.maxDepth", treeFilterDepth},
	{"uploadpack.keepAlive", "5"}, // seconds
	{"pack.window", "10"},
	{"pack.windowMemory", "256m"}, // for each of the two threads
	{"pack.deltaCacheSize", "64m"},
}

var protocolForm = regexp.MustCompile(`^version=[012]$`)

// UploadPack serves one fetch. In may stay open behind what was asked; the caller ends it.
func (r *Repo) UploadPack(ctx context.Context, o UploadPackOptions) error {
	args := []string{"upload-pack", "--strict", "--timeout=" + uploadSilence}
	if o.Stateless {
		args = append(args, "--stateless-rpc")
	}
	if o.AdvertiseRefs {
		args = append(args, "--http-backend-info-refs")
	}
	config := uploadConfig
	for _, ref := range r.veil.Refs {
		config = append(config[:len(config):len(config)], setting{"transfer.hideRefs", strings.TrimSuffix(ref, "/")})
	}
	if len(r.veil.Objects) > 0 && o.In != nil {
		o.In = &wants{in: bufio.NewReader(o.In), veil: r.veil.Objects}
	}
	env := r.env(config...)
	if protocolForm.MatchString(o.Protocol) {
		env = append(env, "GIT_PROTOCOL="+o.Protocol)
	}
	_, err := r.git.run(ctx, child{
		args: append(args, r.dir), env: env, stdin: o.In, live: o.In != nil, stdout: o.Out, max: -1, wall: uploadWall,
	})
	if exitCode(err) >= 0 {
		// The client hung up, or asked for what is not there; it was told in the protocol.
		return fault.Wrap(err, fault.Invalid, "git.UploadPack", "the fetch ended early: "+complaint(stderrOf(err)))
	}
	if err != nil {
		return fmt.Errorf("git: serve fetch: %w", err)
	}
	return nil
}
