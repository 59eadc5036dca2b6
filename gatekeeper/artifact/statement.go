package artifact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The types that a statement names: in-toto's Statement v1 and SLSA's provenance v1.
const (
	statementType  = "https://in-toto.io/Statement/v1"
	provenanceType = "https://slsa.dev/provenance/v1"
	// BuildType says how to read the parameters of a provenance: a stage of a plan, run on a commit.
	BuildType = "urn:gatehouse:provenance:stage:v1"
)

// Provenance is how artifacts came to be.
type Provenance struct {
	Builder    string // URI of the server: who vouches
	Repository string // URI of the repository
	Commit     string // object name of the commit that was built
	Tree       string // object name of its tree
	Stage      string
	Plan       string // digest of the plan that the stage stood in, sha256:HEX
	StageRun   int64
	Started    time.Time
	Finished   time.Time
	Materials  []Material // what else went in: artifacts that the stage used
}

// Material is something that went into an artifact.
type Material struct {
	URI    string // or the name of an artifact
	Digest string // sha256:HEX
}

type resource struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest"`
}

type statement struct {
	Type          string     `json:"_type"`
	Subject       []resource `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     struct {
		Definition definition `json:"buildDefinition"`
		Run        runDetails `json:"runDetails"`
	} `json:"predicate"`
}

type definition struct {
	BuildType  string            `json:"buildType"`
	External   map[string]string `json:"externalParameters"`
	Internal   map[string]string `json:"internalParameters"`
	Dependency []resource        `json:"resolvedDependencies"`
}

type runDetails struct {
	Builder  map[string]string `json:"builder"`
	Metadata map[string]string `json:"metadata"`
}

// Statement is an in-toto Statement v1 (https://in-toto.io/Statement/v1) about the artifacts, with
// a SLSA provenance v1 (https://slsa.dev/provenance/v1): JSON whose bytes follow from the arguments
// alone, whatever the order of the artifacts and materials. It is not signed.
func Statement(subjects []Artifact, p Provenance) ([]byte, error) {
	var s statement
	s.Type, s.PredicateType = statementType, provenanceType
	for _, a := range subjects {
		hexed, ok := hexOf(a.Digest)
		if !ok || a.Name == "" {
			return nil, fmt.Errorf("artifact: statement: %q with the digest %q is no artifact", a.Name, a.Digest)
		}
		s.Subject = append(s.Subject, resource{Name: a.Name, Digest: map[string]string{"sha256": hexed}})
	}
	if len(s.Subject) == 0 {
		return nil, fmt.Errorf("artifact: statement: it is about no artifact")
	}
	if p.Builder == "" || p.Commit == "" || p.Stage == "" {
		return nil, fmt.Errorf("artifact: statement: builder, commit and stage must be known")
	}
	source := map[string]string{"gitCommit": p.Commit}
	if p.Tree != "" {
		source["gitTree"] = p.Tree
	}
	var materials []resource
	for _, m := range p.Materials {
		hexed, ok := hexOf(m.Digest)
		if !ok {
			return nil, fmt.Errorf("artifact: statement: the material %q has no digest: %q", m.URI, m.Digest)
		}
		materials = append(materials, resource{URI: m.URI, Digest: map[string]string{"sha256": hexed}})
	}
	sortResources(s.Subject)
	sortResources(materials)
	s.Predicate.Definition = definition{
		BuildType:  BuildType,
		External:   map[string]string{"repository": p.Repository, "commit": p.Commit, "stage": p.Stage},
		Internal:   map[string]string{"plan": p.Plan},
		Dependency: append([]resource{{URI: p.Repository, Digest: source}}, materials...),
	}
	s.Predicate.Run = runDetails{
		Builder: map[string]string{"id": p.Builder},
		Metadata: map[string]string{
			"invocationId": strconv.FormatInt(p.StageRun, 10),
			"startedOn":    p.Started.UTC().Format(time.RFC3339), "finishedOn": p.Finished.UTC().Format(time.RFC3339),
		},
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return nil, fmt.Errorf("artifact: statement: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

func sortResources(all []resource) {
	slices.SortFunc(all, func(a, b resource) int {
		return strings.Compare(a.Name+"\x00"+a.URI+"\x00"+a.Digest["sha256"], b.Name+"\x00"+b.URI+"\x00"+b.Digest["sha256"])
	})
}
