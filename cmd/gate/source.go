package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gatehouse/gitserver/fault"
	"gatehouse/web/api"
)

// source is a repository on this machine that another is filled from.
type source struct {
	dir    string // absolute
	branch string // what its HEAD points to, "" when that is no branch
}

// findSource looks whether an import names a folder here; a URL gives nil.
func findSource(ctx context.Context, spec string) (*source, error) {
	if spec == "" || strings.Contains(spec, "://") {
		return nil, nil
	}
	info, err := os.Stat(spec)
	if os.IsNotExist(err) && strings.Contains(spec, ":") {
		return nil, nil // git@host:path
	}
	if err != nil || !info.IsDir() {
		return nil, fault.New(fault.NotFound, "gate.import", fmt.Sprintf("there is no folder %s", spec), "name a git repository's folder, or a URL")
	}
	dir, err := filepath.Abs(spec)
	if err != nil {
		return nil, fmt.Errorf("gate: import: %w", err)
	}
	if _, err := ownGit(ctx, dir, nil, "rev-parse", "--git-dir"); err != nil {
		return nil, fault.New(fault.Invalid, "gate.import", fmt.Sprintf("%s is not a git repository", spec), "name the folder that holds .git, or a bare repository")
	}
	s := &source{dir: dir}
	// A detached HEAD is no branch; then the server decides.
	if head, err := ownGit(ctx, dir, nil, "symbolic-ref", "--quiet", "--short", "HEAD"); err == nil {
		s.branch = strings.TrimSpace(head)
	}
	return s, nil
}

// ownGit runs the git of the person at the command line, with that person's configuration:
// here git is a client like any other. The server's own git is in gitserver/git.
func ownGit(ctx context.Context, dir string, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
	cmd.Env = append(os.Environ(), append(env, "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return "", fmt.Errorf("git %s: %s", args[0], strings.TrimSpace(string(exit.Stderr)))
	}
	return string(out), err
}

// fill brings branches and tags into an empty repository. A folder of this machine is read by
// the server when it is the same machine, and pushed to it otherwise; a URL it fetches itself.
func fill(p *process, cl *client, into api.Repository, from *source, spec, token string) (api.Repository, error) {
	path := "/repositories/" + inPath(into.Name)
	if from != nil && cl.local == nil {
		if err := pushAll(p, cl, into, from); err != nil {
			return into, err
		}
		err := cl.do(http.MethodGet, path, nil, &into)
		return into, err
	}
	in := api.Import{URL: spec, Token: token}
	if from != nil {
		in.URL = from.dir
	}
	err := cl.do(http.MethodPost, path+"/import", in, &into)
	return into, err
}

// pushAll is the first push of an owner into an empty repository: all branches and tags.
func pushAll(p *process, cl *client, into api.Repository, from *source) error {
	// The token goes in the environment, which other users cannot read, not on the command line.
	env := []string{"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.extraHeader", "GIT_CONFIG_VALUE_0=Authorization: Bearer " + cl.token}
	address := cl.base + "/" + into.Name + ".git"
	_, err := ownGit(p.ctx, from.dir, env, "push", "--quiet", "--no-follow-tags", address, "refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*")
	if err != nil {
		return fault.New(fault.Refused, "gate.import", "the branches could not be pushed: "+lastLines(err.Error()), "gate repo import "+into.Name+" "+from.dir+" tries again")
	}
	return nil
}

// lastLines keeps the end of what git said, where the reason is.
func lastLines(text string) string {
	const most = 600
	if len(text) > most {
		text = "…" + text[len(text)-most:]
	}
	return text
}
