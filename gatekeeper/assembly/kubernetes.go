package assembly

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
)

const (
	// fieldManager is who the cluster says owns what we apply.
	fieldManager = "gatehouse"
	// rolloutWithin is how long a rollout may take when the plan does not say: images are fetched.
	rolloutWithin = 5 * time.Minute
	// rolloutPause is the time between two looks at a rollout.
	rolloutPause = time.Second
	// endingWithin is how long an object of ours may take to go that is being deleted: a volume goes
	// when its pods have, which have half a minute.
	endingWithin = 2 * time.Minute
)

// The labels by which objects are found again.
const (
	labelManager  = "app.kubernetes.io/managed-by"
	labelAssembly = "gatehouse.assembly" // which one applied it last
	labelPlace    = "gatehouse.place"    // which repository and environment it is of
	labelBefore   = "gatehouse.before"   // on what is remembered: which assembly is put back
)

// addressAnnotation is where a manifest says how the assembly is reached, on any of its objects.
const addressAnnotation = "gatehouse/address"

// Kubernetes applies a manifest of the repository to a cluster.
//
// Objects are applied on the server's side, under the field manager gatehouse, and without force:
// what others own is left to them. All of them are tried first with nothing changed, so that one that the
// cluster refuses leaves the others as they were. An object that is there already and is not of the same
// repository and environment is refused. The same names again are a rolling update: what the
// manifest has no longer keeps the label of the assembly before, and goes when that is destroyed.
//
// A deploy that fails, or an assembly that is destroyed before the one in whose place it came, puts
// back what it changed: see undo.go.
//
// Only kinds that live in a namespace are applied, and only in the environment's own: see
// kinds in manifest.go. What the manifest may do beyond that is for the rights of the account that
// the server uses in the cluster.
type Kubernetes struct {
	cluster *cluster
	scope   string
	clock   Clock
}

// KubernetesConfig is what [NewKubernetes] needs.
type KubernetesConfig struct {
	Cluster *rest.Config // see [LoadCluster]
	Scope   string       // names this server among those that use the same cluster, as ContainerConfig.Scope
	Clock   Clock        // nil is the system's
}

// LoadCluster reads a kubeconfig file. With "" it is the cluster that the server itself runs in.
func LoadCluster(kubeconfig string) (*rest.Config, error) {
	c, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("assembly: kubernetes: %w", err)
	}
	return c, nil
}

// NewKubernetes makes the driver. It does not ask the cluster yet.
func NewKubernetes(c KubernetesConfig) (*Kubernetes, error) {
	if c.Clock == nil {
		c.Clock = SystemClock{}
	}
	if !scopeForm.MatchString(c.Scope) {
		return nil, fmt.Errorf("assembly: kubernetes: %q is no scope", c.Scope)
	}
	client, err := rest.HTTPClientFor(c.Cluster)
	if err != nil {
		return nil, fmt.Errorf("assembly: kubernetes: %w", err)
	}
	base, _, err := rest.DefaultServerUrlFor(c.Cluster)
	if err != nil {
		return nil, fmt.Errorf("assembly: kubernetes: %w", err)
	}
	return &Kubernetes{cluster: &cluster{client: client, base: base}, scope: c.Scope, clock: c.Clock}, nil
}

// kubernetesHandle survives a restart.
type kubernetesHandle struct {
	ID        int64      `json:"id"`
	Namespace string     `json:"namespace"`
	Objects   []objectID `json:"objects"`
	Ready     plan.Probe `json:"ready"`
}

// place names the repository, environment and instance; it fits where a label does.
func (d *Kubernetes) place(s Spec) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d\x00%s\x00%s", d.scope, s.Repository, s.RepoID, s.Environment, s.Instance))
	return d.scope + "-" + hex.EncodeToString(sum[:10])
}

func (d *Kubernetes) label(id int64) string { return d.scope + "-" + strconv.FormatInt(id, 10) }

// Deploy applies the manifest and waits for its rollout.
func (d *Kubernetes) Deploy(ctx context.Context, s Spec) (Instance, error) {
	const op = "assembly.Kubernetes.Deploy"
	if err := s.check(op); err != nil {
		return Instance{}, err
	}
	place, variables := d.place(s), "gate-"+d.label(s.ID)
	objects, err := manifest(ctx, op, s, variables)
	if err != nil {
		return Instance{}, err
	}
	objects = append([]object{variablesOf(s, variables)}, objects...)
	h := kubernetesHandle{ID: s.ID, Namespace: s.Namespace, Ready: s.Ready}
	for _, o := range objects {
		o.mark(map[string]string{labelManager: fieldManager, labelAssembly: d.label(s.ID), labelPlace: place})
		h.Objects = append(h.Objects, o.id())
	}
	if err := d.revert(ctx, op, s.Namespace, s.ID); err != nil { // what an earlier try left
		return Instance{}, err
	}
	address, err := d.bring(ctx, op, s, objects, place)
	if err != nil {
		if left := d.revert(context.WithoutCancel(ctx), op, s.Namespace, s.ID); left != nil {
			words, next := fault.Public(err)
			return Instance{}, fault.New(fault.KindOf(err), op, words+"; and not all of it could be taken back: "+fault.Sentence(left), next)
		}
		return Instance{}, err
	}
	if s.Previous != nil && s.Strategy != plan.BlueGreen && s.Previous.Driver == plan.DriverKubernetes {
		if err := d.Destroy(ctx, *s.Previous); err != nil { // what the manifest has no longer
			return Instance{}, err
		}
	}
	return instance(plan.DriverKubernetes, address, h), nil
}

// bring applies objects and waits until they serve.
func (d *Kubernetes) bring(ctx context.Context, op string, s Spec, objects []object, place string) (string, error) {
	var before []object
	for _, o := range objects {
		there, err := d.settled(ctx, op, s.Namespace, o.id())
		switch {
		case fault.Is(err, fault.NotFound):
			continue
		case err != nil:
			return "", err
		case there.label(labelPlace) != place:
			return "", fault.Newf(fault.Refused, op, "%s is in the namespace already and is not of this environment", o.id()).
				WithNext("give it another name in the manifest: {{instance}} tells changes apart")
		}
		before = append(before, there.owned(fieldManager))
	}
	for _, dry := range []bool{true, false} {
		for _, o := range objects {
			if err := d.cluster.apply(ctx, op, s.Namespace, o, dry); err != nil {
				return "", err
			}
		}
		if dry {
			if err := d.remember(ctx, op, s, place, objects, before); err != nil {
				return "", err
			}
		}
	}
	within := s.Ready.Within
	if within <= 0 {
		within = rolloutWithin
	}
	over := d.clock.After(within)
	for _, o := range objects {
		if err := d.rollout(ctx, op, s.Namespace, o.id(), within, over); err != nil {
			return "", err
		}
	}
	address, err := d.address(ctx, op, s, objects)
	if err != nil {
		return "", err
	}
	if s.Ready.HTTP == "" { // the cluster has its own probes; the server may be too far away to ask
		return address, nil
	}
	return address, Probe(ctx, address, s.Ready, d.clock)
}

// settled is an object as it is there, unless it is being deleted: what would be applied to it then would go
// with it, so its end is awaited.
func (d *Kubernetes) settled(ctx context.Context, op, namespace string, id objectID) (object, error) {
	over := d.clock.After(endingWithin)
	for {
		o, err := d.cluster.get(ctx, op, namespace, id)
		if err != nil || o.meta("deletionTimestamp") == "" {
			return o, err
		}
		select {
		case <-over:
			return nil, fault.Newf(fault.Unavailable, op, "%s has been deleted, and is still not gone after %s", id, endingWithin).WithNext("kubectl get -o yaml tells its finalizers")
		case <-ctx.Done():
			return nil, fault.Wrap(context.Cause(ctx), fault.Unavailable, op, "the wait for the end of an object was called off")
		case <-d.clock.After(rolloutPause):
		}
	}
}

// rollout waits until what o describes runs, if it runs anything.
func (d *Kubernetes) rollout(ctx context.Context, op, namespace string, id objectID, within time.Duration, over <-chan time.Time) error {
	for {
		o, err := d.cluster.get(ctx, op, namespace, id)
		if err != nil {
			return fault.Wrap(err, fault.Unavailable, op, "the rollout cannot be watched")
		}
		words, stuck := o.progress()
		switch {
		case words == "":
			return nil
		case stuck:
			return fault.Newf(fault.Refused, op, "the rollout of %s does not go on: %s", id, words).WithNext("kubectl describe tells of its pods")
		}
		select {
		case <-over:
			return fault.Newf(fault.Refused, op, "%s was not rolled out within %s: %s", id, within, words).WithNext("kubectl describe tells of its pods")
		case <-ctx.Done():
			return fault.Wrap(context.Cause(ctx), fault.Unavailable, op, "the wait for the rollout was called off")
		case <-d.clock.After(rolloutPause):
		}
	}
}

// address is how the assembly is reached: as the manifest says, or by its first Service.
func (d *Kubernetes) address(ctx context.Context, op string, s Spec, objects []object) (string, error) {
	for _, o := range objects {
		if address := o.annotation(addressAnnotation); address != "" {
			u, err := parseAddress(op, address)
			if err != nil {
				return "", err
			}
			return u.String(), nil
		}
	}
	for _, o := range objects {
		if o.id().Kind != "Service" {
			continue
		}
		there, err := d.cluster.get(ctx, op, s.Namespace, o.id())
		if err != nil {
			return "", err
		}
		port := there.servicePort()
		if port == 0 {
			continue
		}
		host := there.ingress()
		if host == "" {
			host = o.id().Name + "." + s.Namespace + ".svc"
		}
		return "http://" + net.JoinHostPort(host, strconv.Itoa(port)), nil
	}
	return "", fault.New(fault.Refused, op, "the manifest has no Service by which it is reached", "add a Service with a port, or the annotation "+addressAnnotation)
}

// Adopt has nothing to do: what a cluster runs does not live in this server.
func (d *Kubernetes) Adopt(_ context.Context, _ Spec, i Instance) (Instance, error) {
	var h kubernetesHandle
	return i, mine("assembly.Kubernetes.Adopt", plan.DriverKubernetes, i, &h)
}

// Health asks the cluster, and the probe if it is one for HTTP.
func (d *Kubernetes) Health(ctx context.Context, i Instance) (Health, error) {
	const op = "assembly.Kubernetes.Health"
	var h kubernetesHandle
	if err := mine(op, plan.DriverKubernetes, i, &h); err != nil {
		return Health{}, err
	}
	for _, id := range h.Objects {
		o, err := d.cluster.get(ctx, op, h.Namespace, id)
		switch {
		case fault.Is(err, fault.NotFound):
			return Health{State: Gone, Words: fmt.Sprintf("%s is not there any more", id)}, nil
		case err != nil:
			return Health{}, err
		case o.label(labelAssembly) != d.label(h.ID):
			if !o.available() {
				return Health{State: Degraded, Words: fmt.Sprintf("%s is being replaced and not available", id)}, nil
			}
			continue // a later one takes its place, and the cluster keeps pods of this one until that is well
		}
		if words, _ := o.progress(); words != "" {
			return Health{State: Degraded, Words: fmt.Sprintf("%s: %s", id, words)}, nil
		}
	}
	if h.Ready.HTTP == "" {
		return Health{State: Ready}, nil
	}
	return healthOf(ctx, op, i.Address, h.Ready)
}

// Destroy deletes what still has the assembly's label, and puts back what it has taken the place of,
// unless that was destroyed before.
func (d *Kubernetes) Destroy(ctx context.Context, i Instance) error {
	const op = "assembly.Kubernetes.Destroy"
	var h kubernetesHandle
	if err := mine(op, plan.DriverKubernetes, i, &h); err != nil {
		return err
	}
	if err := d.revert(ctx, op, h.Namespace, h.ID); err != nil {
		return err
	}
	if err := d.remove(ctx, op, h.Namespace, h.Objects, labelAssembly, d.label(h.ID)); err != nil {
		return err
	}
	return d.remove(ctx, op, h.Namespace, []objectID{{APIVersion: "v1", Kind: "Secret"}}, labelBefore, d.label(h.ID))
}

// variablesOf is the Secret with the environment's variables and secrets, for envFrom. Each assembly has one of
// its own: another value is another pod, and what is put back finds its own values.
func variablesOf(s Spec, name string) object {
	data := map[string]any{}
	for _, env := range []map[string]string{s.Env, s.Secrets, s.told()} {
		for key, value := range env {
			data[key] = base64.StdEncoding.EncodeToString([]byte(value))
		}
	}
	return object{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": name}, "type": "Opaque", "data": data,
	}
}

// untyped is how an API server begins to say that an applied object does not fit its kind, as for a
// field that nobody knows. Its status is 500, as if the server were ill (Kubernetes 1.37).
const untyped = "failed to create typed patch object"

// words of a status that is about the request, not about the code.
func clusterKind(status int, message string) fault.Kind {
	if strings.HasPrefix(message, untyped) {
		return fault.Refused
	}
	switch status {
	case http.StatusNotFound:
		return fault.NotFound
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusConflict, http.StatusForbidden:
		return fault.Refused
	default:
		return fault.Unavailable
	}
}

// clusterNext is what to do about a status.
func clusterNext(status int) string {
	switch status {
	case http.StatusForbidden:
		return "give the server's account in the cluster the right, in this namespace"
	case http.StatusConflict:
		return "leave the field to whoever owns it: take it out of the manifest"
	case http.StatusUnauthorized:
		return "see that the server's kubeconfig is valid"
	default:
		return ""
	}
}

// clusterWords fits a cluster's message into a sentence.
func clusterWords(message string) string { return lastLines([]byte(strings.TrimSpace(message))) }

var (
	_ Driver  = (*Kubernetes)(nil)
	_ Sweeper = (*Kubernetes)(nil)
)
