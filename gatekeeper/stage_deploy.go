package gatekeeper

import (
	"context"
	"fmt"
	"io"
	"maps"

	"gatehouse/gatekeeper/artifact"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/fault"
)

// builderID names who builds here, in statements about artifacts.
const builderID = "https://gatehouse.dev/gate"

// request is what the runner is asked to do for a stage.
func (c *Controller) request(ctx context.Context, w *stageWork, log io.Writer) (runner.Request, error) {
	req := runner.Request{
		StageRun: w.ID, Stage: w.stage, Repo: w.git, RepoID: w.repo.ID, Commit: w.run.Candidate, Log: log,
		Env: w.env, Trust: w.trust, Changed: w.changed, ArtifactTypes: w.types,
	}
	var err error
	if req.Uses, err = c.handed(ctx, c.DB.Read(), w.run, w.stage); err != nil {
		return req, err
	}
	w.uses = req.Uses
	for _, s := range w.stage.Secrets {
		if c.Secrets == nil {
			return req, fault.Newf(fault.Unavailable, "gatekeeper.stage", "this server keeps no secrets")
		}
		value, _, err := c.Secrets.Get(w.repo.ID, s.Name)
		if err != nil {
			return req, err
		}
		req.Secrets = append(req.Secrets, runner.Secret{Name: s.Name, Env: s.Env, File: s.File, Value: value})
	}
	return req, nil
}

// perform executes a stage: its script in the sandbox and, where it has one, its deploy around it.
func (c *Controller) perform(ctx context.Context, w *stageWork, log io.Writer) (runner.Result, error) {
	req, err := c.request(ctx, w, log)
	if err != nil {
		return notPerformed(err), nil
	}
	if w.stage.Environment == "" {
		return c.Runner.Run(ctx, req), nil
	}
	if c.Delivery == nil {
		return runner.Result{State: string(plan.Errored), ExitCode: -1, Reason: "this server has no environments"}, nil
	}
	if w.stage.Deploy == nil {
		return c.performBeside(ctx, w, req)
	}
	d, err := c.deployment(ctx, w)
	if err != nil {
		return notPerformed(err), nil
	}
	d.Log = log
	var result runner.Result
	if w.stage.Run != "" {
		d.Try = func(ctx context.Context, env map[string]string) deliver.Outcome {
			told := maps.Clone(req.Env)
			maps.Copy(told, env)
			req.Env = told
			result = c.Runner.Run(ctx, req)
			return deliver.Outcome{State: plan.StageState(result.State), Reason: result.Reason}
		}
	}
	begun := c.Now()
	o := c.Delivery.Bring(ctx, d)
	result.State, result.Reason, result.Duration = string(o.State), o.Reason, c.Now().Sub(begun)
	if o.State != plan.Passed {
		result.Artifacts = nil
		if o.State != plan.Failed {
			result.ExitCode = -1
		}
	}
	return result, nil
}

// notPerformed is the result of a stage that could not begin: what a person has to mend is told in
// the fault's own words.
func notPerformed(err error) runner.Result {
	reason := fault.Sentence(err)
	if fault.Is(err, fault.Internal) {
		reason = "the server could not start the stage: " + err.Error()
	}
	return runner.Result{State: string(plan.Errored), ExitCode: -1, Reason: reason}
}

// performBeside runs a stage against what serves in its environment, which must be what its own
// run brought there.
func (c *Controller) performBeside(ctx context.Context, w *stageWork, req runner.Request) (runner.Result, error) {
	running, err := deliver.Running(ctx, c.DB.Read(), deliver.Place{Repo: w.repo.ID, Branch: w.run.branch})
	if err != nil {
		return runner.Result{}, err
	}
	made, err := c.madeFor(ctx, c.DB.Read(), w.run)
	if err != nil {
		return runner.Result{}, err
	}
	a, ok := running[w.stage.Environment]
	if !ok {
		return runner.Result{State: string(plan.Errored), ExitCode: -1, Reason: "nothing serves in " + w.stage.Environment}, nil
	}
	if b, ok := made[a.Artifact]; !ok || b.Digest != a.Digest {
		return runner.Result{State: string(plan.Errored), ExitCode: -1,
			Reason: fmt.Sprintf("%s serves another artifact by now: %s of commit %s", w.stage.Environment, a.Digest, a.Commit.Short())}, nil
	}
	told := maps.Clone(req.Env)
	maps.Copy(told, map[string]string{"GATE_ENVIRONMENT": a.Environment, "GATE_ADDRESS": a.Address, "GATE_HOST": a.Host, "GATE_DIGEST": a.Digest})
	req.Env = told
	return c.Runner.Run(ctx, req), nil
}

// typesOf are the types of the artifacts that a plan names.
func typesOf(p *plan.Plan) map[string]string {
	types := make(map[string]string, len(p.Artifacts))
	for _, a := range p.Artifacts {
		types[a.Name] = a.Type
	}
	return types
}

// statement is the provenance of an artifact that a stage run made, in an envelope that the server
// has signed, or bare on a server without keys.
func (c *Controller) statement(w *stageWork, s StageRun, a artifact.Artifact, tree string) (string, error) {
	var materials []artifact.Material
	for _, h := range w.uses {
		materials = append(materials, artifact.Material{URI: "artifact:" + h.Artifact.Name, Digest: h.Artifact.Digest})
	}
	text, err := artifact.Statement([]artifact.Artifact{a}, artifact.Provenance{
		Builder: builderID, Repository: c.URL + "/" + w.repo.Name, Commit: string(w.run.Candidate), Tree: tree, Plan: "sha256:" + w.run.planDigest,
		Stage: s.Stage, StageRun: s.ID, Started: s.StartedAt, Finished: s.FinishedAt, Materials: materials,
	})
	if err != nil || c.Signing == nil {
		return string(text), err
	}
	signed, err := c.Signing.Sign(artifact.StatementPayload, text)
	return string(signed), err
}
