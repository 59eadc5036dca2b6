package gatekeeper

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/git"
)

// A stage's result is a function of what the stage reads: that is what makes it reusable. All
// of it is in its key, which docs/flakes.md lists: what it does, what it runs with, the files,
// what it is told, and whose cache it shares.

// keyVersion changes when keys are made of something else.
const keyVersion = "1"

// How old a result may be that is taken instead of running the stage.
const (
	// networkAge holds for a stage with network: it reads what is in no tree, and what is out
	// there changes over days.
	networkAge = 24 * time.Hour
	// bareAge holds for a run of the branch itself, which asks whether it passes now.
	bareAge = time.Hour
	// resultAge holds for all others, and is how long results are kept.
	resultAge = 30 * 24 * time.Hour
)

// told are the names of what a stage can be told about its subject. It is told those that its
// plan entry names, and no others: what it cannot know it cannot depend on.
var told = []string{"GATE_REPOSITORY", "GATE_BRANCH", "GATE_CHANGE", "GATE_PATCH_SET", "GATE_COMMIT", "GATE_BASE"}

// toldTo lists what the stage is told. The script and the environment are all of the plan
// that it can read a name from.
func toldTo(s plan.Stage) []string {
	var names []string
	for _, name := range told {
		named := strings.Contains(s.Run, name)
		for _, value := range s.Env {
			named = named || strings.Contains(value, name)
		}
		if named {
			names = append(names, name)
		}
	}
	return names
}

// resultKey names what the result of a stage of the composed plan at a commit depends on:
// with equal keys the result of the one is that of the other. changed are the paths that the
// commit changes against its base. Who ran it is not in it: [runRow.key] adds that.
func (c *Controller) resultKey(ctx context.Context, repoID int64, g *git.Repo, p *plan.Plan, stage string, commit git.OID, changed []string) (string, error) {
	s, ok := p.Stage(stage)
	if !ok {
		return "", fmt.Errorf("gatekeeper: key of stage %q: the plan has no such stage", stage)
	}
	files, err := readFiles(ctx, g, p, stage, commit, changed)
	if err != nil {
		return "", fmt.Errorf("gatekeeper: key of stage %q at %s: %w", stage, commit.Short(), err)
	}
	sum := sha256.New()
	line(sum, "version", keyVersion)
	line(sum, "stage", s.Name)
	line(sum, "run", s.Run)
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		line(sum, "env", name, s.Env[name])
	}
	for _, kind := range slices.Sorted(maps.Keys(s.Results)) {
		line(sum, "results", kind, s.Results[kind])
	}
	for _, report := range s.Annotations {
		line(sum, "annotations", report.Kind, report.File)
	}
	for _, kind := range slices.Sorted(maps.Keys(s.Coverage)) {
		line(sum, "coverage", kind, s.Coverage[kind])
	}
	line(sum, "limits", fmt.Sprint(s.Network), fmt.Sprint(s.Memory))
	if err := c.lineDelivery(ctx, sum, repoID, g, p, s, commit, changed); err != nil {
		return "", err
	}
	line(sum, "machine", c.Runner.Identity())
	line(sum, "files", files)
	if len(toldTo(s)) > 0 {
		line(sum, "commit", string(commit))
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// line writes fields so that no two lists of fields are written the same.
func line(w io.Writer, fields ...string) {
	for _, f := range fields {
		_, _ = fmt.Fprintf(w, "%d %s ", len(f), f)
	}
	_, _ = io.WriteString(w, "\n")
}

// readFiles names the files that a stage reads: the whole tree, or the part that its plan says.
func readFiles(ctx context.Context, g *git.Repo, p *plan.Plan, stage string, commit git.OID, changed []string) (string, error) {
	set, whole := p.Inputs(stage, changed)
	if whole {
		head, err := g.Commit(ctx, commit)
		return "tree " + string(head.Tree), err
	}
	digest, err := g.DigestFiles(ctx, commit, set.Matcher())
	return "part " + digest, err
}

// key is the key of a stage of the run: content is its [Controller.resultKey], trust whose
// cache it shares. A result made with one cache is not taken by a run with another, except
// that everybody may take what was made with the repository's own.
func (r *runRow) key(s plan.Stage, content, trust string, env map[string]string) string {
	if names := toldTo(s); len(names) > 0 {
		sum := sha256.New()
		line(sum, content)
		for _, name := range names {
			line(sum, name, env[name])
		}
		content = hex.EncodeToString(sum.Sum(nil))
	}
	return trust + keySeparator + content
}

// keySeparator stands between the two parts of a key; names of caches do not hold it.
const keySeparator = "/"

// sharedKey is the same key in the repository's own cache.
func sharedKey(key string) string {
	_, content, _ := strings.Cut(key, keySeparator)
	return keySeparator + content
}

// maxAge is how old a result may be that the run takes for the stage.
func (r *runRow) maxAge(s plan.Stage) time.Duration {
	age := resultAge
	if s.Network {
		age = min(age, networkAge)
	}
	if r.Change == 0 {
		age = min(age, bareAge)
	}
	return age
}

// keyCacheEntries bounds the memory for keys made before: a run has a few, of 64 bytes each.
const keyCacheEntries = 1024

// keyCache keeps the content keys of runs. They hold as long as the machine stays the same.
type keyCache struct {
	mu  sync.Mutex
	all map[int64]contentKeys
}

// contentKeys are the keys of a run's stages, by their names.
type contentKeys struct {
	machine string
	keys    map[string]string
}

func (k *keyCache) get(run int64) contentKeys {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.all[run]
}

func (k *keyCache) put(run int64, keys contentKeys) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.all == nil || len(k.all) >= keyCacheEntries {
		k.all = map[int64]contentKeys{}
	}
	k.all[run] = keys
}

// contentKeys makes the content keys of all stages of a run.
func (c *Controller) contentKeys(ctx context.Context, g *git.Repo, p *plan.Plan, run *runRow) (map[string]string, error) {
	machine := c.Runner.Identity()
	if have := c.keys.get(run.ID); have.keys != nil && have.machine == machine {
		return have.keys, nil
	}
	changed, err := c.changedPaths(ctx, g, run.Base, run.Candidate)
	if err != nil {
		return nil, err
	}
	keys := map[string]string{}
	for _, s := range p.Stages {
		if s.Removed {
			continue
		}
		if keys[s.Name], err = c.resultKey(ctx, run.repo, g, p, s.Name, run.Candidate, changed); err != nil {
			return nil, err
		}
	}
	c.keys.put(run.ID, contentKeys{machine, keys})
	return keys, nil
}

// stageKeys makes the keys of all stages of a run, for the cache that it shares now.
func (c *Controller) stageKeys(ctx context.Context, g *git.Repo, p *plan.Plan, run *runRow) (map[string]string, error) {
	content, err := c.contentKeys(ctx, g, p, run)
	if err != nil {
		return nil, err
	}
	r, err := c.Repos.ByID(ctx, c.DB.Read(), run.repo)
	if err != nil {
		return nil, err
	}
	trust, err := c.trust(ctx, r, run)
	if err != nil {
		return nil, err
	}
	env := subject(r, run)
	keys := make(map[string]string, len(content))
	for _, s := range p.Stages {
		if text, ok := content[s.Name]; ok && run.reuses(s) {
			keys[s.Name] = run.key(s, text, trust, env)
		}
	}
	return keys, nil
}

// reuses reports whether the result of a stage may be that of another: not of one that works in an
// environment, which is in no tree, and not after a landing, where somebody wants to see it done.
func (r *runRow) reuses(s plan.Stage) bool { return s.Environment == "" && r.phase != phaseDeliver }

// lineDelivery writes what a stage makes, is given and is told into its key. What it uses is named
// by the key of the stage that makes it, which is known before it is made.
func (c *Controller) lineDelivery(ctx context.Context, sum io.Writer, repoID int64, g *git.Repo, p *plan.Plan, s plan.Stage, commit git.OID, changed []string) error {
	for _, name := range sortedKeys(s.Produces) {
		a, _ := p.Artifact(name)
		line(sum, "produces", name, a.Type, s.Produces[name])
	}
	for _, name := range sortedKeys(s.Uses) {
		a, ok := p.Artifact(name)
		if !ok {
			continue
		}
		made, err := c.resultKey(ctx, repoID, g, p, a.Stage, commit, changed)
		if err != nil {
			return err
		}
		line(sum, "uses", name, s.Uses[name], made)
	}
	for _, secret := range s.Secrets {
		line(sum, "secret", secret.Name, secret.Env, secret.File, c.revision(repoID, secret.Name))
	}
	for _, service := range s.Services {
		line(sum, "service", service.Name, service.Run, fmt.Sprint(service.Port))
	}
	for _, dir := range s.Caches {
		line(sum, "cache", dir)
	}
	return nil
}

// revision names the value of a secret, "" when there is none: the stage will say so.
func (c *Controller) revision(repoID int64, name string) string {
	if c.Secrets == nil {
		return ""
	}
	_, revision, err := c.Secrets.Get(repoID, name)
	if err != nil {
		return ""
	}
	return revision
}
