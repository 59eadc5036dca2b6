package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"gatehouse/gatekeeper/artifact"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
)

// Handed is an artifact that a stage finds in its tree.
type Handed struct {
	Artifact artifact.Artifact
	Path     string // relative to the tree
}

// refusal is a mistake of the plan or the code that keeps a stage from beginning: FAILED, and not
// ERRORED, which would be tried again.
type refusal struct{ words string }

func (r refusal) Error() string { return r.words }

// needStore says whether the stage asks for artifacts where none are kept.
func (j *job) needStore() error {
	if j.runner.Artifacts != nil || len(j.req.Stage.Produces) == 0 && len(j.req.Uses) == 0 {
		return nil
	}
	return errors.New("the stage produces or uses artifacts, but this worker keeps none: give the runner an artifact store")
}

// hand puts the artifacts that the stage uses into its tree, which nobody writes in yet but the
// commit's author did: what is there already, links above all, is not touched.
func (j *job) hand(ctx context.Context) error {
	for _, h := range j.req.Uses {
		err := j.runner.Artifacts.Unpack(ctx, h.Artifact, j.tree, h.Path)
		if fault.Is(err, fault.Invalid) {
			return refusal{fmt.Sprintf("the artifact %q cannot be handed to it: %s", h.Artifact.Name, fault.Sentence(err))}
		}
		if err != nil {
			return fmt.Errorf("runner: hand over the artifact %q: %w", h.Artifact.Name, err)
		}
	}
	return nil
}

// produce takes what a stage that passed has made into the store.
func (j *job) produce(ctx context.Context, result *Result) {
	produces := j.req.Stage.Produces
	if len(produces) == 0 {
		return
	}
	root, err := os.OpenRoot(j.tree)
	if err != nil {
		result.State, result.Reason = errored, "its artifacts cannot be read: "+err.Error()
		return
	}
	defer func() { _ = root.Close() }()
	var made []artifact.Artifact
	for _, name := range slices.Sorted(maps.Keys(produces)) {
		typ := j.req.ArtifactTypes[name]
		if typ == "" {
			typ = plan.FileArtifact
		}
		a, err := j.runner.Artifacts.Put(ctx, typ, root, produces[name], j.limits.Artifact)
		if err != nil {
			result.State, result.Reason = produceFailed(ctx, name, produces[name], err)
			return
		}
		a.Name = name
		made = append(made, a)
	}
	result.Artifacts = made
}

// produceFailed is the verdict about an artifact that could not be taken.
func produceFailed(ctx context.Context, name, path string, err error) (state, reason string) {
	switch {
	case ctx.Err() != nil:
		return canceled, "canceled while its artifacts were taken"
	case fault.Is(err, fault.Invalid), fault.Is(err, fault.TooLarge):
		return failed, fmt.Sprintf("it did not leave its artifact %q at %q: %s", name, path, fault.Sentence(err))
	case fault.Is(err, fault.Unavailable):
		return errored, fmt.Sprintf("its artifact %q could not be kept: %s", name, fault.Sentence(err))
	default:
		return errored, fmt.Sprintf("its artifact %q could not be kept: %v", name, err)
	}
}
