package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"gatehouse/gitserver/fault"
)

// StatementPayload is the media type of a statement in a signed envelope (in-toto attestation
// framework, v1).
const StatementPayload = "application/vnd.in-toto+json"

// ReadStatement reads a statement that [Statement] wrote, or another builder of the same form: its
// subjects, with names and digests, and what of the provenance it says.
func ReadStatement(text []byte) ([]Artifact, Provenance, error) {
	const op = "artifact.ReadStatement"
	var s statement
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, Provenance{}, fault.Newf(fault.Invalid, op, "the statement is not in-toto's JSON")
	}
	if s.Type != statementType || s.PredicateType != provenanceType {
		return nil, Provenance{}, fault.Newf(fault.Invalid, op, "the statement is of the type %q with a predicate of the type %q, not %s with %s", s.Type, s.PredicateType, statementType, provenanceType)
	}
	var subjects []Artifact
	for _, r := range s.Subject {
		digest := digestPrefix + r.Digest["sha256"]
		if _, ok := hexOf(digest); !ok {
			return nil, Provenance{}, fault.Newf(fault.Invalid, op, "the statement names %q without its SHA-256", r.Name)
		}
		subjects = append(subjects, Artifact{Name: r.Name, Digest: digest})
	}
	d, run := s.Predicate.Definition, s.Predicate.Run
	p := Provenance{
		Builder: run.Builder["id"], Repository: d.External["repository"], Commit: d.External["commit"], Stage: d.External["stage"],
		Plan: d.Internal["plan"],
	}
	p.StageRun, _ = strconv.ParseInt(run.Metadata["invocationId"], 10, 64) // another builder's need not be a number
	p.Started, _ = time.Parse(time.RFC3339, run.Metadata["startedOn"])     // nor need it know
	p.Finished, _ = time.Parse(time.RFC3339, run.Metadata["finishedOn"])
	for n, r := range d.Dependency {
		if n == 0 {
			p.Tree = r.Digest["gitTree"]
		} else {
			p.Materials = append(p.Materials, Material{URI: r.URI, Digest: digestPrefix + r.Digest["sha256"]})
		}
	}
	return subjects, p, nil
}

// DigestsOf are the digests by which what is at path could be named: of a file its own, which is
// also that of a bundle as it is fetched, and that of the image in it; of a folder that of a bundle,
// or of the image whose layout it is.
func DigestsOf(ctx context.Context, path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fault.Newf(fault.Invalid, "artifact.DigestsOf", "the artifact cannot be read: %v", err)
	}
	var all []string
	if info.IsDir() {
		all, err = ofFolder(ctx, path)
	} else {
		all, err = ofFile(ctx, path)
	}
	var b badContent
	switch {
	case errors.As(err, &b):
		return nil, fault.Newf(fault.Refused, "artifact.DigestsOf", "%s", b.words)
	case err != nil:
		return nil, fmt.Errorf("artifact: digests of %s: %w", filepath.Base(path), err)
	}
	return all, nil
}

func ofFolder(ctx context.Context, path string) ([]string, error) {
	dir, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	if _, err := dir.Lstat("oci-layout"); err == nil {
		digest, err := packImage(ctx, io.Discard, folder{dir})
		return []string{digest}, err
	}
	sum := sha256.New()
	if err := Pack(sum, dir, How{}); err != nil {
		return nil, err
	}
	return []string{digestOf(sum)}, nil
}

func ofFile(ctx context.Context, path string) ([]string, error) {
	f, err := os.Open(path) //nolint:gosec // the reader's own
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	size, err := io.Copy(sum, contextReader{ctx, f})
	if err != nil {
		return nil, err
	}
	all := []string{digestOf(sum)}
	if l, err := indexTar(f, size); err == nil && l["oci-layout"] != nil {
		digest, err := packImage(ctx, io.Discard, l)
		if err != nil {
			return nil, err
		}
		all = append(all, digest)
	}
	return slices.Clip(all), nil
}
