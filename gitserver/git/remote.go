package git

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"gatehouse/gitserver/fault"
)

// Auth is how another server knows us. The zero value is anonymous.
type Auth struct {
	SSHKeyFile string // private key, for ssh
	KnownHosts string // host keys seen so far; a host's first key is taken, another one refused
	Username   string // for https; "" means "git"
	TokenFile  string // holds the token for https
	AllowLocal bool   // also folders of this machine (and plain http): for administrators and tests
}

// Bounds of talking to another server.
const (
	lsRemoteWall = 2 * time.Minute
	fetchWall    = 4 * time.Hour // a large repository's whole history over a slow line
	pushWall     = time.Hour
	maxTokenFile = 16 << 10
	maxRefspecs  = 10_000
)

// remoteEnv checks the address and makes the environment in which git goes there. Secrets are
// in the environment or in files, never in arguments.
func (r *Repo) remoteEnv(op, url string, a Auth) ([]string, error) {
	kind, err := remoteKind(op, url, a.AllowLocal)
	if err != nil {
		return nil, err
	}
	settings := []setting{
		{"http.followRedirects", "false"}, // a redirect would take the credentials along
		{"http.lowSpeedLimit", "100"},     // bytes a second ...
		{"http.lowSpeedTime", "120"},      // ... for so many seconds end a stalled transfer
		{"http.emptyAuth", "false"},
		{"http.cookieFile", ""},
		{"protocol.version", "2"},
	}
	env := []string{"GIT_ALLOW_PROTOCOL=" + kind}
	switch kind {
	case "ssh":
		ssh, err := sshCommand(a)
		if err != nil {
			return nil, err
		}
		env = append(env, "GIT_SSH_COMMAND="+ssh, "GIT_SSH_VARIANT=ssh")
	case "https", "http":
		if a.TokenFile != "" {
			token, err := readToken(a.TokenFile)
			if err != nil {
				return nil, err
			}
			user := a.Username
			if user == "" {
				user = "git"
			}
			basic := base64.StdEncoding.EncodeToString([]byte(user + ":" + token))
			settings = append(settings, setting{"http.extraHeader", "Authorization: Basic " + basic})
		}
	case "file":
		// The other side is a child of ours: it sees only the environment, and it is the
		// administrator who asks for the folder.
		settings = append(settings, setting{"safe.directory", strings.TrimPrefix(url, "file://")})
	}
	return append(r.env(settings...), env...), nil
}

// remoteKind is the transport of an address; everything but https, ssh and, when allowed,
// plain http and local folders is Invalid.
func remoteKind(op, url string, allowLocal bool) (string, error) {
	no := fault.New(fault.Invalid, op, "this is no address that the server goes to", "use https://HOST/PATH or ssh://git@HOST/PATH")
	for i := range len(url) {
		if url[i] <= ' ' || url[i] >= 0x7f {
			return "", no
		}
	}
	scheme, rest, hasScheme := strings.Cut(url, "://")
	switch {
	case url == "" || url[0] == '-' || strings.Contains(url, "::"):
		return "", no
	case filepath.IsAbs(url):
		if allowLocal {
			return "file", nil
		}
		return "", no
	case hasScheme:
		host, path, _ := strings.Cut(rest, "/")
		user, _, hasUser := strings.Cut(host, "@")
		if host == "" || path == "" || host[0] == '-' || strings.Contains(host, "@-") {
			return "", no
		}
		switch {
		case scheme == "ssh" && !strings.Contains(user, ":"),
			scheme == "ssh" && !hasUser,
			scheme == "https" && !hasUser,
			scheme == "http" && !hasUser && allowLocal:
			return scheme, nil
		}
		return "", no
	}
	host, path, ok := strings.Cut(url, ":") // HOST:PATH, as scp writes it
	if !ok || host == "" || path == "" || strings.Contains(host, "/") || path[0] == '-' || strings.Contains(host, "@-") {
		return "", no
	}
	return "ssh", nil
}

// sshCommand is the ssh that git starts. git gives it to a shell, so every name in it is a
// path of ours, checked and quoted; nothing of a user's is in it.
func sshCommand(a Auth) (string, error) {
	program, err := exec.LookPath("ssh")
	if err != nil {
		return "", fault.Wrap(err, fault.Unavailable, "git.ssh", "ssh is not installed on the server")
	}
	options := []string{"BatchMode=yes", "IdentitiesOnly=yes", "IdentityAgent=none", "PreferredAuthentications=publickey",
		"StrictHostKeyChecking=accept-new", "GlobalKnownHostsFile=/dev/null", "UpdateHostKeys=no", "ForwardAgent=no",
		"ClearAllForwardings=yes", "PermitLocalCommand=no", "ProxyCommand=none", "ControlPath=none", "ConnectTimeout=20",
		"ServerAliveInterval=20", "ServerAliveCountMax=3", "LogLevel=ERROR"}
	hosts := a.KnownHosts
	if hosts == "" {
		hosts = os.DevNull
	}
	if err := sshPath(hosts); err != nil {
		return "", err
	}
	options = append(options, `UserKnownHostsFile="`+hosts+`"`)
	command := quoteShell(program) + " -F /dev/null"
	for _, o := range options {
		command += " -o " + quoteShell(o)
	}
	if a.SSHKeyFile == "" {
		return command + " -o " + quoteShell("IdentityFile=none"), nil
	}
	if err := sshPath(a.SSHKeyFile); err != nil {
		return "", err
	}
	return command + " -i " + quoteShell(a.SSHKeyFile), nil
}

// sshPath refuses paths that ssh would expand or cut.
func sshPath(path string) error {
	if !filepath.IsAbs(path) || strings.ContainsAny(path, "\"%$\\\n\x00") {
		return fmt.Errorf("git: ssh: the path %q cannot be given to ssh", path)
	}
	return nil
}

// quoteShell makes one word of the shell's of s.
func quoteShell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// readToken reads a secret of one line.
func readToken(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", fmt.Errorf("git: read token: %w", err)
	}
	if info.Size() > maxTokenFile {
		return "", fault.Newf(fault.TooLarge, "git.token", "a token is not larger than %d bytes", maxTokenFile)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("git: read token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsFunc(token, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return "", fault.New(fault.Invalid, "git.token", "the stored token is empty or has more than one line", "set it again")
	}
	return token, nil
}

// checkRefspecs lets only full names of known namespaces through, and no force for a push.
func checkRefspecs(op string, specs []string, force bool, into ...string) error {
	if len(specs) == 0 || len(specs) > maxRefspecs {
		return fault.Newf(fault.Invalid, op, "1 to %d refspecs", maxRefspecs)
	}
	for _, spec := range specs {
		bad := fault.Newf(fault.Invalid, op, "%s is not a refspec for this", quoteName(spec))
		plain := strings.TrimPrefix(spec, "+")
		if plain != spec && !force {
			return bad
		}
		from, to, ok := strings.Cut(plain, ":")
		known := false
		for _, prefix := range into {
			known = known || strings.HasPrefix(to, prefix)
		}
		if !ok || !known || strings.Count(from, "*") != strings.Count(to, "*") || strings.Count(to, "*") > 1 {
			return bad
		}
		for _, side := range []string{from, to} {
			if isHex(side, oidLen) {
				continue
			}
			if refNameFlaw(strings.Replace(side, "*", "x", 1)) != "" {
				return bad
			}
		}
	}
	return nil
}

// LsRemote lists what the server at url offers: HEAD, branches, tags and the rest, tags with
// what is behind them.
func (r *Repo) LsRemote(ctx context.Context, url string, auth Auth) ([]Ref, error) {
	const op = "git.LsRemote"
	env, err := r.remoteEnv(op, url, auth)
	if err != nil {
		return nil, err
	}
	out, err := r.git.run(ctx, child{args: []string{"ls-remote", "--quiet", "--", url}, env: env, wall: lsRemoteWall, max: maxRefListing})
	if err != nil {
		return nil, remoteFault(op, err)
	}
	var refs []Ref
	for line := range strings.Lines(string(out)) {
		oid, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok || !isHex(oid, oidLen) {
			return nil, fault.New(fault.Unavailable, op, "the other server's list of refs is unreadable", "")
		}
		if tag, ok := strings.CutSuffix(name, "^{}"); ok {
			if n := len(refs); n > 0 && refs[n-1].Name == tag {
				refs[n-1].Peeled = OID(oid)
			}
			continue
		}
		refs = append(refs, Ref{Name: name, OID: OID(oid), Peeled: OID(oid)})
	}
	return refs, nil
}

// legacyFlaws are what honest old histories have; an import takes them, a push may not.
var legacyFlaws = []string{"zeroPaddedFilemode", "missingSpaceBeforeDate", "badTimezone", "missingEmail", "missingNameBeforeEmail",
	"zeroPaddedDate", "badDate", "missingSpaceBeforeEmail", "badName", "badEmail", "nulInCommit"}

// FetchFrom copies refs of another server ("refs/heads/*:refs/heads/*") into branches, tags or
// refs/gate/, all or none, durably. Objects are checked, though not for the flaws of age.
func (r *Repo) FetchFrom(ctx context.Context, url string, refspecs []string, auth Auth) error {
	const op = "git.FetchFrom"
	if err := checkRefspecs(op, refspecs, true, "refs/heads/", "refs/tags/", "refs/gate/"); err != nil {
		return err
	}
	env, err := r.remoteEnv(op, url, auth)
	if err != nil {
		return err
	}
	args := []string{"-c", "fetch.fsckObjects=true"}
	for _, flaw := range legacyFlaws {
		args = append(args, "-c", "fetch.fsck."+flaw+"=warn")
	}
	args = append(args, "fetch", "--quiet", "--atomic", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance",
		"--no-recurse-submodules", "--no-prune", "--refmap=", "--stdin", "--", url)
	_, err = r.git.run(ctx, child{args: args, env: env, stdin: strings.NewReader(strings.Join(refspecs, "\n") + "\n"), wall: fetchWall})
	if err != nil {
		return remoteFault(op, err)
	}
	for _, dir := range []string{"objects/pack", "refs", "logs"} {
		if err := syncTree(r.path(dir)); err != nil {
			return fmt.Errorf("git: fetch: %w", err)
		}
	}
	return syncUp(r.dir, r.path("objects"))
}

// PushTo sends refs ("refs/heads/main:refs/heads/main", or an object name before the colon)
// and never forces. When the other side has moved on where we did not, it is a Conflict; when
// it does not want them, Refused.
func (r *Repo) PushTo(ctx context.Context, url string, refspecs []string, auth Auth) error {
	const op = "git.PushTo"
	if err := checkRefspecs(op, refspecs, false, "refs/heads/", "refs/tags/"); err != nil {
		return err
	}
	env, err := r.remoteEnv(op, url, auth)
	if err != nil {
		return err
	}
	args := append([]string{"push", "--porcelain", "--quiet", "--no-verify", "--no-follow-tags", "--no-signed",
		"--recurse-submodules=no", "--", url}, refspecs...)
	var out bytes.Buffer
	_, err = r.git.run(ctx, child{args: args, env: env, stdout: &out, wall: pushWall})
	if err == nil {
		return nil
	}
	return pushFault(op, out.String(), err)
}

// pushFault reads the lines "!<tab>FROM:TO<tab>[rejected] (reason)" of push --porcelain.
func pushFault(op, out string, cause error) error {
	var refused error
	for line := range strings.Lines(out) {
		fields := strings.SplitN(strings.TrimRight(line, "\n"), "\t", 3)
		if len(fields) != 3 || fields[0] != "!" {
			continue
		}
		_, to, _ := strings.Cut(fields[1], ":")
		switch {
		case strings.HasPrefix(fields[2], "[rejected]"):
			return &fault.Error{Kind: fault.Conflict, Op: op, Err: cause, Public: complaint("fatal: the other server's " + to + " has commits that are not here")}
		case refused == nil:
			refused = &fault.Error{Kind: fault.Refused, Op: op, Err: cause, Public: complaint("fatal: the other server does not take " + to + ": " + fields[2])}
		}
	}
	if refused != nil {
		return refused
	}
	return remoteFault(op, cause)
}

// remoteFault says in our words why the other server could not be used. git's own are kept
// behind them, for the log.
func remoteFault(op string, err error) error {
	if exitCode(err) < 0 {
		return fmt.Errorf("%s: %w", op, err)
	}
	said := stderrOf(err)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(said, w) {
				return true
			}
		}
		return false
	}
	f := &fault.Error{Kind: fault.Unavailable, Op: op, Err: err, Public: "the other server did not answer as it should: " + complaint(said)}
	switch {
	case has("Authentication failed", "Permission denied", "could not read Username", "could not read Password", "terminal prompts disabled", "error: 401", "error: 403"):
		f.Kind, f.Public, f.Next = fault.Denied, "the other server does not accept the key or token", "check that it is registered there and may write"
	case has("Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED"):
		f.Kind, f.Public, f.Next = fault.Refused, "the other server shows another host key than before", "make sure that it is the same server, then forget its old key"
	case has("not found", "does not exist", "does not appear to be a git repository"):
		f.Kind, f.Public, f.Next = fault.NotFound, "the other server has no such repository, or does not show it to us", "check the address"
	case has("fsck error"):
		f.Kind, f.Public = fault.Refused, "git refused the other server's objects: "+complaint(said)
	}
	return f
}
