package git

import (
	"context"
	"strings"
)

// RemoteHead is the ref that HEAD means on the server at url, as "refs/heads/main", or "" when
// that server does not say.
func (r *Repo) RemoteHead(ctx context.Context, url string, auth Auth) (string, error) {
	const op = "git.RemoteHead"
	env, err := r.remoteEnv(op, url, auth)
	if err != nil {
		return "", err
	}
	out, err := r.git.run(ctx, child{args: []string{"ls-remote", "--quiet", "--symref", "--", url, "HEAD"}, env: env, wall: lsRemoteWall, max: maxRefListing})
	if err != nil {
		return "", remoteFault(op, err)
	}
	for line := range strings.Lines(string(out)) {
		target, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if branch, isRef := strings.CutPrefix(target, "ref: "); ok && isRef && name == "HEAD" && refNameFlaw(branch) == "" {
			return branch, nil
		}
	}
	return "", nil
}
