package assembly

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/yaml"

	"gatehouse/gitserver/fault"
)

const (
	// maxManifest bounds a manifest: a cluster takes no object of more than 1.5 MiB.
	maxManifest = 1 << 20
	// maxObjects bounds what one assembly may consist of.
	maxObjects = 100
)

// kinds are what a manifest may have: what lives in a namespace and gives nobody rights. The value
// is where the kind is in the cluster's API.
var kinds = map[string]string{
	"v1 Service": "services", "v1 ConfigMap": "configmaps", "v1 Secret": "secrets", "v1 PersistentVolumeClaim": "persistentvolumeclaims",
	"apps/v1 Deployment": "deployments", "apps/v1 StatefulSet": "statefulsets",
	"networking.k8s.io/v1 Ingress": "ingresses", "networking.k8s.io/v1 NetworkPolicy": "networkpolicies",
	"autoscaling/v2 HorizontalPodAutoscaler": "horizontalpodautoscalers", "policy/v1 PodDisruptionBudget": "poddisruptionbudgets",
}

var (
	// wordForm is what may be put into a manifest: nothing that means something to YAML.
	wordForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._/:@-]{0,510}$`)
	// nameForm is a name in a cluster, RFC 1123 as Kubernetes reads it.
	nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
	blank    = regexp.MustCompile(`\{\{\s*([a-z]+)\s*\}\}`)
)

// object is one of a cluster's, as JSON has it.
type object map[string]any

// objectID is how an object is found.
type objectID struct {
	APIVersion string `json:"v"`
	Kind       string `json:"k"`
	Name       string `json:"n"`
}

// String is how people name it.
func (id objectID) String() string { return id.Kind + " " + id.Name }

// manifest reads the manifest of s from its tree. variables is the name of the Secret that
// {{variables}} stands for.
func manifest(ctx context.Context, op string, s Spec, variables string) ([]object, error) {
	switch {
	case s.Manifest == "":
		return nil, fault.New(fault.Invalid, op, "the plan does not say which manifest is applied", "give the environment a manifest: with a file of the repository")
	case !nameForm.MatchString(s.Namespace):
		return nil, fault.New(fault.Invalid, op, fmt.Sprintf("%q is no namespace", s.Namespace), "give the environment a namespace:")
	case s.Tree == nil:
		return nil, fault.Newf(fault.Internal, op, "a manifest without a commit")
	}
	text, err := readManifest(ctx, op, s)
	if err != nil {
		return nil, err
	}
	filled, err := fill(op, s, string(text), variables)
	if err != nil {
		return nil, err
	}
	return objects(op, s, filled, variables)
}

// objects reads the objects of a manifest whose blanks are filled, and refuses all that is not of kinds.
func objects(op string, s Spec, text, variables string) ([]object, error) {
	bad := func(format string, args ...any) error {
		return fault.Newf(fault.Refused, op, "the manifest %s: %s", s.Manifest, fmt.Sprintf(format, args...))
	}
	var all []object
	seen := map[objectID]bool{}
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), len(text)+1)
	for {
		var o object
		err := decoder.Decode(&o)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, bad("%v", err)
		}
		if len(o) == 0 {
			continue
		}
		id := o.id()
		switch {
		case kinds[id.APIVersion+" "+id.Kind] == "":
			return nil, bad("%q of %q is not applied; only kinds that live in a namespace and give no rights are", id.Kind, id.APIVersion)
		case !nameForm.MatchString(id.Name):
			return nil, bad("%q is no name", id.Name)
		case o.meta("namespace") != "" && o.meta("namespace") != s.Namespace:
			return nil, bad("%s is for the namespace %q, not %q", id, o.meta("namespace"), s.Namespace)
		case seen[id] || id.Name == variables:
			return nil, bad("%s is there twice", id)
		case len(all) == maxObjects:
			return nil, bad("it has more than %d objects", maxObjects)
		}
		seen[id] = true
		o.encodeStrings()
		all = append(all, o)
	}
	if len(all) == 0 {
		return nil, bad("it is empty")
	}
	return all, nil
}

func readManifest(ctx context.Context, op string, s Spec) ([]byte, error) {
	dir, err := os.MkdirTemp("", "gate-manifest-")
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, op, "the manifest could not be read")
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder that the system clears as well
	if err := s.Tree(ctx, dir); err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, op, "the commit could not be checked out")
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, op, "the manifest could not be read")
	}
	defer func() { _ = root.Close() }()
	name := filepath.Clean(s.Manifest)
	if info, err := root.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return nil, fault.Newf(fault.Refused, op, "the commit has no file %q, which is the manifest", s.Manifest)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, fault.Newf(fault.Refused, op, "the manifest %q cannot be read", s.Manifest)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, op, "the manifest could not be read")
	}
	if len(text) > maxManifest {
		return nil, fault.Newf(fault.TooLarge, op, "the manifest %s is larger than %d bytes", s.Manifest, maxManifest)
	}
	return bytes.TrimSpace(text), nil
}

// fill puts the values in.
func fill(op string, s Spec, text, variables string) (string, error) {
	values := map[string]string{
		"digest": s.Digest, "image": s.Image, "environment": s.Environment, "instance": s.Instance, "commit": s.Commit, "variables": variables,
	}
	if s.Instance == "" {
		values["instance"] = s.Environment
	}
	var bad error
	filled := blank.ReplaceAllStringFunc(text, func(m string) string {
		name := blank.FindStringSubmatch(m)[1]
		value, known := values[name]
		switch {
		case !known:
			bad = fault.Newf(fault.Refused, op, "the manifest has %s, which stands for nothing", m).
				WithNext("there are {{digest}}, {{image}}, {{environment}}, {{instance}}, {{commit}} and {{variables}}")
		case !wordForm.MatchString(value):
			bad = fault.Newf(fault.Refused, op, "%q cannot be put in the place of %s", value, m)
		}
		return value
	})
	return filled, bad
}

func (o object) sub(path ...string) map[string]any {
	at := map[string]any(o)
	for _, key := range path {
		next, _ := at[key].(map[string]any)
		at = next // reading from a nil map gives nothing
	}
	return at
}

func (o object) id() objectID {
	version, _ := o["apiVersion"].(string)
	kind, _ := o["kind"].(string)
	return objectID{APIVersion: version, Kind: kind, Name: o.meta("name")}
}

func (o object) meta(key string) string { text, _ := o.sub("metadata")[key].(string); return text }

func (o object) label(key string) string {
	text, _ := o.sub("metadata", "labels")[key].(string)
	return text
}

func (o object) annotation(key string) string {
	text, _ := o.sub("metadata", "annotations")[key].(string)
	return text
}

// mark sets labels.
func (o object) mark(labels map[string]string) {
	meta := o.sub("metadata")
	all, _ := meta["labels"].(map[string]any)
	if all == nil {
		all = map[string]any{}
		meta["labels"] = all
	}
	for key, value := range labels {
		all[key] = value
	}
}

// encodeStrings writes the stringData of a Secret as data. The cluster does so too, and then knows no more
// who owns the values: one that the next manifest has no longer would stay.
func (o object) encodeStrings() {
	texts, isMap := o["stringData"].(map[string]any)
	if o.id().Kind != "Secret" || !isMap {
		return
	}
	data, _ := o["data"].(map[string]any)
	if data == nil {
		data = map[string]any{}
	}
	for key, value := range texts {
		text, isText := value.(string)
		if !isText {
			return // for the cluster to refuse
		}
		data[key] = base64.StdEncoding.EncodeToString([]byte(text))
	}
	o["data"] = data
	delete(o, "stringData")
}

// available reports whether the cluster says that enough pods serve, of whichever version.
func (o object) available() bool {
	status := o.sub("status")
	switch o.id().Kind {
	case "Deployment":
		conditions, _ := status["conditions"].([]any)
		for _, c := range conditions {
			if c, _ := c.(map[string]any); c["type"] == "Available" {
				return c["status"] == "True"
			}
		}
		return number(status, "availableReplicas", 0) > 0 || number(o.sub("spec"), "replicas", 1) == 0
	case "StatefulSet":
		return number(status, "readyReplicas", 0) > 0 || number(o.sub("spec"), "replicas", 1) == 0
	default:
		return true
	}
}

func number(in map[string]any, key string, otherwise int64) int64 {
	switch n := in[key].(type) {
	case float64:
		return int64(n)
	case int64:
		return n
	default:
		return otherwise
	}
}

// progress says in words what a Deployment or a StatefulSet still waits for, "" for nothing, and
// whether the cluster has given up. The rules are those of kubectl rollout status.
func (o object) progress() (words string, stuck bool) {
	kind := o.id().Kind
	if kind != "Deployment" && kind != "StatefulSet" {
		return "", false
	}
	status, want := o.sub("status"), number(o.sub("spec"), "replicas", 1)
	conditions, _ := status["conditions"].([]any)
	if number(status, "observedGeneration", 0) < number(o.sub("metadata"), "generation", 0) {
		return "the cluster has not looked at it yet", false
	}
	for _, c := range conditions {
		c, _ := c.(map[string]any)
		if c["type"] == "Progressing" && c["reason"] == "ProgressDeadlineExceeded" {
			return clusterWords(fmt.Sprint(c["message"])), true
		}
	}
	ready := "availableReplicas"
	if kind == "StatefulSet" {
		ready = "readyReplicas"
	}
	updated, available := number(status, "updatedReplicas", 0), number(status, ready, 0)
	switch {
	case updated < want:
		return fmt.Sprintf("%d of %d are of the new version", updated, want), false
	case kind == "Deployment" && number(status, "replicas", 0) > updated:
		return fmt.Sprintf("%d of the old version still run", number(status, "replicas", 0)-updated), false
	case available < want:
		return fmt.Sprintf("%d of %d are ready", available, want), false
	}
	return "", false
}

func (o object) servicePort() int {
	ports, _ := o.sub("spec")["ports"].([]any)
	for _, p := range ports {
		if p, ok := p.(map[string]any); ok {
			return int(number(p, "port", 0))
		}
	}
	return 0
}

// ingress is the address of a Service's load balancer, or "".
func (o object) ingress() string {
	list, _ := o.sub("status", "loadBalancer")["ingress"].([]any)
	for _, i := range list {
		i, _ := i.(map[string]any)
		for _, key := range []string{"ip", "hostname"} {
			if text, _ := i[key].(string); text != "" {
				return text
			}
		}
	}
	return ""
}
