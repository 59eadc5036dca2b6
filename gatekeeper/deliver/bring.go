package deliver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"gatehouse/gatekeeper/artifact"
	"gatehouse/gatekeeper/assembly"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
)

const (
	// maxConfig is the size of a file of configuration: names and values, not data.
	maxConfig = 256 << 10
	// drainLimit is how long the requests that an assembly still answers may take when another
	// has taken its place.
	drainLimit = 30 * time.Second
	// maxVariable is the length in bytes of one value of configuration.
	maxVariable = 32 << 10
)

// Deployment is what a stage run brings into an environment.
type Deployment struct {
	Place
	App       string
	Run       int64
	StageRun  int64
	Change    int64
	PS        int
	Commit    git.OID
	Policy    git.OID // the commit whose configuration holds: the tip of the branch
	Stage     plan.Stage
	Env       plan.Environment
	Instance  string // "" but for an ephemeral environment
	Artifact  artifact.Artifact
	Promotion bool // it enters a standing environment as a promotion
	Trust     string
	Log       io.Writer
	// Try runs the stage's script once the assembly serves, with what it is told; nil without one.
	Try func(ctx context.Context, env map[string]string) Outcome
}

// Outcome is how a part of a deployment ended.
type Outcome struct {
	State  plan.StageState
	Reason string
}

func failedBy(err error, what string) Outcome {
	why := strings.TrimPrefix(what+": "+fault.Sentence(err), ": ")
	if assembly.Failed(err) {
		return Outcome{plan.Failed, why}
	}
	return Outcome{plan.Errored, why}
}

// Bring brings an artifact into its environment: it is deployed and answers its probe, gets its
// name, is tried and verified, and takes the place of what served before. When any of that fails,
// what was brought is taken away again, and what served before serves still, as far as the
// strategy lets it.
func (s *Service) Bring(ctx context.Context, d Deployment) Outcome {
	driver, err := s.driver(d.Env.Driver)
	if err != nil {
		return failedBy(err, "it could not be deployed")
	}
	if ok, err := s.Artifacts.Has(d.Artifact); err != nil || !ok {
		return Outcome{plan.Errored, fmt.Sprintf("artifact %s (%s) is not in the store any more", d.Artifact.Name, short(d.Artifact.Digest))}
	}
	before, replaces, err := serving(ctx, s.DB.Read(), d.Place, d.Env.Name, d.Instance)
	if err != nil {
		return Outcome{plan.Errored, "the server could not look at the environment"}
	}
	a, spec, err := s.begin(ctx, d, before, replaces)
	if err != nil {
		return failedBy(err, "it could not be deployed")
	}
	crash("deploy.begun")
	say(d.Log, "deploying %s (%s) into %s as assembly %d", d.Artifact.Name, short(d.Artifact.Digest), d.Env.Name, a.ID)
	instance, err := driver.Deploy(ctx, spec)
	if err != nil {
		o := failedBy(err, "")
		s.spoilt(ctx, a, o.Reason)
		return o
	}
	crash("deploy.serves")
	if a, err = s.started(ctx, a, instance); err != nil {
		s.spoilt(ctx, a, "the server could not keep it")
		return Outcome{plan.Errored, "the server could not write down what it deployed"}
	}
	say(d.Log, "it serves at %s", a.Address)
	if o := s.try(ctx, d, &a, spec, before, replaces); o.State != plan.Passed {
		s.spoilt(ctx, a, o.Reason)
		if replaces && spec.Strategy == plan.BlueGreen {
			s.rebind(ctx, before)
		}
		return o
	}
	return s.take(ctx, d, a, before, replaces)
}

// say writes a line of the server's own into the log of a stage.
func say(log io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(log, "gate: "+format+"\n", args...) // who reads the log misses a line at worst
}

// begin writes the assembly down before anything of it exists, so that what a crash leaves is
// found and taken away.
func (s *Service) begin(ctx context.Context, d Deployment, before Assembly, replaces bool) (Assembly, assembly.Spec, error) {
	spec, err := s.spec(ctx, d)
	if err != nil {
		return Assembly{}, spec, err
	}
	a := Assembly{
		place: d.Place, Environment: d.Env.Name, Instance: d.Instance, Run: d.Run, StageRun: d.StageRun, Change: d.Change, PS: d.PS,
		Artifact: d.Artifact.Name, Digest: d.Artifact.Digest, Commit: d.Commit, Config: spec.ConfigRev, Driver: d.Env.Driver, State: AssemblyDeploying,
		DNS: DNSNone, CreatedAt: s.Now(), owner: s.me,
	}
	if d.Env.Class == plan.Ephemeral && d.Env.TTL > 0 {
		a.ExpiresAt = a.CreatedAt.Add(d.Env.TTL)
	}
	err = s.DB.Transact(ctx, func(tx *db.Tx) error {
		var err error
		if a.ID, err = tx.NextID(ctx, db.RowIDs); err != nil {
			return err
		}
		if d.Promotion {
			if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(id), 0) FROM promotions WHERE stage_run_id = $1`, d.StageRun).Scan(&a.Promotion); err != nil {
				return fmt.Errorf("deliver: promotion of stage run %d: %w", d.StageRun, err)
			}
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO assemblies (id, repo_id, branch, environment, instance, run_id, stage_run_id, promotion_id, change_id, ps, artifact,
				digest, commit_oid, config, driver, state, owner, created_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`,
			a.ID, d.Repo, d.Branch, a.Environment, a.Instance, a.Run, a.StageRun, a.Promotion, a.Change, a.PS, a.Artifact,
			a.Digest, string(a.Commit), a.Config, a.Driver, string(a.State), a.owner, db.Micros(a.CreatedAt), db.Micros(a.ExpiresAt))
		if err != nil {
			return fmt.Errorf("deliver: write assembly: %w", err)
		}
		if replaces && spec.Strategy != plan.BlueGreen { // its driver ends it first
			if _, err := s.move(ctx, tx, before.ID, AssemblySuperseded, fmt.Sprintf("assembly %d takes its place", a.ID)); err != nil {
				return err
			}
		}
		return tx.Enqueue(ctx, assemblyJob(a.ID))
	})
	if err != nil {
		return a, spec, err
	}
	spec.ID = a.ID
	if replaces {
		previous := before.instance()
		spec.Previous, spec.PreviousDigest = &previous, before.Digest
		if spec.Strategy != plan.BlueGreen {
			s.unbind(ctx, before)
		}
	}
	return a, spec, nil
}

// spec says what is to run, from the plan, the configuration and the artifact.
func (s *Service) spec(ctx context.Context, d Deployment) (assembly.Spec, error) {
	r, g, err := s.open(ctx, d.Place)
	if err != nil {
		return assembly.Spec{}, err
	}
	deploy := d.Stage.Deploy
	spec := assembly.Spec{
		Repository: r.Name, RepoID: r.ID, App: d.App, Environment: d.Env.Name, Instance: d.Instance, Commit: string(d.Commit), Digest: d.Artifact.Digest, Type: d.Artifact.Type,
		Unpack: func(ctx context.Context, dir string) error {
			return s.Artifacts.Unpack(ctx, d.Artifact, dir, d.Artifact.Name)
		},
		Tree: func(ctx context.Context, dir string) error { return g.Checkout(ctx, d.Commit, dir) },
		Run:  deploy.Run, Port: deploy.Port, Ready: deploy.Ready, Strategy: deploy.Strategy, Scripts: d.Env.Scripts,
		Manifest: d.Env.Manifest, Namespace: d.Env.Namespace, Image: d.Env.Image, Log: d.Log, Trust: d.Trust,
		Env: map[string]string{}, Secrets: map[string]string{},
	}
	switch {
	case d.Env.Driver == plan.DriverKubernetes: // a cluster keeps the old pods until the new ones are well
		spec.Strategy = plan.BlueGreen
	case spec.Strategy == "":
		spec.Strategy = plan.Replace
	}
	if d.Env.Config != "" {
		text, err := g.FileAt(ctx, d.Policy, d.Env.Config, maxConfig)
		if err != nil {
			return spec, fault.Wrap(err, fault.Refused, "deliver.spec", fmt.Sprintf("the configuration %s of %s cannot be read from the branch", d.Env.Config, d.Env.Name))
		}
		if spec.Env, err = parseConfig(d.Env.Config, text); err != nil {
			return spec, err
		}
	}
	maps.Copy(spec.Env, d.Env.Env)
	for _, name := range d.Env.Secrets {
		value, err := s.secret(ctx, d.Repo, name)
		if err != nil {
			return spec, err
		}
		spec.Secrets[plan.SecretEnv(name)] = string(value)
	}
	spec.ConfigRev = revision(spec.Env)
	return spec, nil
}

func (s *Service) secret(ctx context.Context, repoID int64, name string) ([]byte, error) {
	if s.Secret == nil {
		return nil, fault.New(fault.Unavailable, "deliver.secret", fmt.Sprintf("this server keeps no secrets, and %s is asked for", name), "take it out of `secrets` of the environment")
	}
	return s.Secret(ctx, repoID, name)
}

// parseConfig reads NAME=value lines; # begins a comment. Nothing is expanded: a value is what
// stands behind the first =.
func parseConfig(file string, text []byte) (map[string]string, error) {
	env := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxVariable)
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, fault.New(fault.Refused, "deliver.config", fmt.Sprintf("%s:%d is no NAME=value", file, n), "write one variable a line; # begins a comment")
		}
		env[name] = strings.TrimSpace(value)
	}
	if err := lines.Err(); err != nil {
		return nil, fault.New(fault.Refused, "deliver.config", fmt.Sprintf("%s:%d is too long", file, n+1), fmt.Sprintf("a line has at most %d bytes", maxVariable))
	}
	return env, nil
}

// revision names a configuration by its content.
func revision(env map[string]string) string {
	if len(env) == 0 {
		return ""
	}
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(env)) {
		_, _ = fmt.Fprintf(sum, "%d %s %d %s\n", len(name), name, len(env[name]), env[name])
	}
	return hex.EncodeToString(sum.Sum(nil))[:12]
}

// started writes down what the driver gave, and that the assembly serves.
func (s *Service) started(ctx context.Context, a Assembly, i assembly.Instance) (Assembly, error) {
	a.handle, a.Address, a.State = string(i.Handle), i.Address, AssemblyStarting
	err := s.DB.Transact(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE assemblies SET handle = $1, address = $2 WHERE id = $3`, a.handle, a.Address, a.ID)
		if err != nil {
			return fmt.Errorf("deliver: assembly %d serves: %w", a.ID, err)
		}
		_, err = s.move(ctx, tx, a.ID, AssemblyStarting, "")
		return err
	})
	s.wake(a.place)
	return a, err
}

// try binds the name, runs the stage's script and watches the assembly for as long as the plan asks.
func (s *Service) try(ctx context.Context, d Deployment, a *Assembly, spec assembly.Spec, before Assembly, replaces bool) Outcome {
	if err := s.bind(ctx, d, a, spec); err != nil {
		return failedBy(err, "its name could not be bound")
	}
	if d.Try != nil {
		env := map[string]string{"GATE_ENVIRONMENT": d.Env.Name, "GATE_ADDRESS": a.Address, "GATE_HOST": a.Host, "GATE_DIGEST": a.Digest, "GATE_INSTANCE": a.Instance}
		if replaces {
			env["GATE_PREVIOUS_DIGEST"] = before.Digest
		}
		if o := d.Try(ctx, env); o.State != plan.Passed {
			return o
		}
	}
	if d.Stage.Verify == nil {
		return Outcome{State: plan.Passed}
	}
	if d.Promotion {
		if err := s.deployed(ctx, d.StageRun); err != nil {
			return Outcome{plan.Errored, "the server could not write down that it serves"}
		}
		crash("deploy.verifying")
	}
	return s.verify(ctx, d, *a)
}

// verify watches an assembly: it must answer at every look.
func (s *Service) verify(ctx context.Context, d Deployment, a Assembly) Outcome {
	v := d.Stage.Verify
	end := s.Clock.Now().Add(v.For)
	say(d.Log, "watching it for %s", v.For)
	for looks := 1; ; looks++ {
		if err := assembly.Ask(ctx, a.Address, v.Probe); err != nil {
			if ctx.Err() != nil {
				return Outcome{plan.Canceled, "it was stopped while it was verified"}
			}
			return Outcome{plan.Failed, fmt.Sprintf("%s, at look %d of the verification", fault.Sentence(err), looks)}
		}
		left := end.Sub(s.Clock.Now())
		if left <= 0 {
			say(d.Log, "it answered at all of %d looks", looks)
			return Outcome{State: plan.Passed}
		}
		select {
		case <-ctx.Done():
			return Outcome{plan.Canceled, "it was stopped while it was verified"}
		case <-s.Clock.After(min(left, v.Every)):
		}
	}
}

// take makes the assembly what runs; what served before ends.
func (s *Service) take(ctx context.Context, d Deployment, a, before Assembly, replaces bool) Outcome {
	ctx = context.WithoutCancel(ctx)
	done := Outcome{State: plan.Passed}
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		if replaces {
			superseded, err := s.move(ctx, tx, before.ID, AssemblySuperseded, fmt.Sprintf("assembly %d took its place", a.ID))
			if err != nil {
				return err
			}
			if superseded || before.State.Serves() {
				if err := tx.Enqueue(ctx, assemblyJob(before.ID)); err != nil {
					return err
				}
			}
		}
		if moved, err := s.move(ctx, tx, a.ID, AssemblyReady, ""); err != nil || !moved {
			return errors.Join(err, errIf(!moved, "the assembly was taken away meanwhile"))
		}
		if d.Env.Class == plan.Shared { // empty again for the next
			if _, err := s.move(ctx, tx, a.ID, AssemblyDeleting, "its stage is over"); err != nil {
				return err
			}
		}
		if err := tx.Enqueue(ctx, Job(d.Place)); err != nil {
			return err
		}
		return tx.Enqueue(ctx, assemblyJob(a.ID))
	})
	if err != nil {
		s.spoilt(ctx, a, "the server could not write down that it runs")
		return Outcome{plan.Errored, "the server could not write down that it runs"}
	}
	crash("deploy.taken")
	s.wake(d.Place)
	return done
}

// spoilt takes away what came to nothing.
func (s *Service) spoilt(ctx context.Context, a Assembly, why string) {
	ctx = context.WithoutCancel(ctx)
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		if _, err := s.move(ctx, tx, a.ID, AssemblyDeleting, why); err != nil {
			return err
		}
		return tx.Enqueue(ctx, assemblyJob(a.ID))
	})
	if err != nil {
		s.Log.Error("take a spoilt assembly away", "assembly", a.ID, "err", err) // its job finds it orphaned
	}
	s.wake(a.place)
}

func errIf(bad bool, text string) error {
	if bad {
		return errors.New("deliver: " + text)
	}
	return nil
}

// adopt takes over an assembly that another process of the server brought about.
func (s *Service) adopt(ctx context.Context, a Assembly) (Assembly, error) {
	driver, err := s.driver(a.Driver)
	if err != nil {
		return a, err
	}
	d, err := s.runs.Deployment(ctx, a.Run, a.StageRun)
	if err != nil {
		return a, err
	}
	d.Log = io.Discard
	spec, err := s.spec(ctx, d)
	if err != nil {
		return a, err
	}
	spec.ID = a.ID
	instance, err := driver.Adopt(ctx, spec, a.instance())
	if err != nil {
		return a, err
	}
	a.handle, a.Address, a.owner = string(instance.Handle), instance.Address, s.me
	err = s.DB.Transact(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE assemblies SET handle = $1, address = $2, owner = $3 WHERE id = $4`, a.handle, a.Address, a.owner, a.ID)
		return err
	})
	if err != nil {
		return a, fmt.Errorf("deliver: adopt assembly %d: %w", a.ID, err)
	}
	s.rebind(ctx, a)
	return a, nil
}

// Recall finds again what an assembly of the driver `command` was deployed from: its handle has no
// secrets, and its scripts need them at its end too.
func (s *Service) Recall(ctx context.Context, repoID int64, environment, commit string) (assembly.Recalled, error) {
	all, err := queryAssemblies(ctx, s.DB.Read(), `m.repo_id = $1 AND m.environment = $2 AND m.commit_oid = $3`, repoID, environment, commit)
	if err != nil || len(all) == 0 {
		return assembly.Recalled{}, errors.Join(err, errIf(len(all) == 0, "nothing was deployed from that commit"))
	}
	last := all[len(all)-1]
	d, err := s.runs.Deployment(ctx, last.Run, last.StageRun)
	if err != nil {
		return assembly.Recalled{}, err
	}
	d.Log = io.Discard
	spec, err := s.spec(ctx, d)
	return assembly.Recalled{Tree: spec.Tree, Secrets: spec.Secrets}, err
}
