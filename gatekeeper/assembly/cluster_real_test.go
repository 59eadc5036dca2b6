package assembly

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"gatehouse/gitserver/fault"
)

// clusterEnv names a kubeconfig of an API server that runs no controllers: .ci/kubernetes starts one. The
// account in it must be an administrator's.
const clusterEnv = "GATE_TEST_KUBECONFIG"

// realCluster is a namespace of the test's own in a real API server. The test is the controllers.
type realCluster struct {
	t         *testing.T
	admin     *cluster
	gate      *rest.Config // a service account with a role in the namespace
	namespace string

	mu   sync.Mutex
	mode string // how rollouts go: "", stuck or slow
}

// someRights is what docs/deploy.md says that the server's account needs, for fewer kinds: the
// test asks for one that is not among them.
var someRights = []any{map[string]any{
	"apiGroups": []string{"", "apps"}, "resources": []string{"services", "configmaps", "secrets", "deployments", "statefulsets", "persistentvolumeclaims"},
	"verbs": []string{"get", "list", "create", "patch", "delete"},
}}

// useCluster makes a namespace, an account and its token in the cluster that the environment names.
func useCluster(t *testing.T) *realCluster {
	t.Helper()
	file := os.Getenv(clusterEnv)
	if file == "" {
		t.Skipf("no API server: %s names no kubeconfig (.ci/kubernetes go test ./gatekeeper/assembly)", clusterEnv)
	}
	config, err := LoadCluster(file)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewKubernetes(KubernetesConfig{Cluster: config, Scope: "admin"})
	if err != nil {
		t.Fatal(err)
	}
	c := &realCluster{t: t, admin: d.cluster, namespace: fmt.Sprintf("gate-%d-%d", os.Getpid(), time.Now().UnixNano()%1e6)}
	c.must(http.MethodPost, "api/v1/namespaces", object{"metadata": map[string]any{"name": c.namespace}})
	c.must(http.MethodPost, c.at("serviceaccounts"), object{"metadata": map[string]any{"name": "gate"}})
	const rbac = "apis/rbac.authorization.k8s.io/v1/namespaces/"
	c.must(http.MethodPost, rbac+c.namespace+"/roles", object{"metadata": map[string]any{"name": "gate"}, "rules": someRights})
	c.must(http.MethodPost, rbac+c.namespace+"/rolebindings", object{
		"metadata": map[string]any{"name": "gate"}, "roleRef": map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "gate"},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "gate", "namespace": c.namespace}},
	})
	token := c.must(http.MethodPost, c.at("serviceaccounts/gate/token"), object{"spec": map[string]any{"expirationSeconds": 3600}})
	c.gate = rest.AnonymousClientConfig(config)
	c.gate.BearerToken, _ = token.sub("status")["token"].(string)
	stop := make(chan struct{})
	var control sync.WaitGroup
	control.Go(func() { c.control(stop) })
	t.Cleanup(func() {
		close(stop)
		control.Wait()
		_, _ = c.ask(http.MethodDelete, "api/v1/namespaces/"+c.namespace, nil)
	})
	return c
}

// at is a path in the namespace; in the group apps for what is there.
func (c *realCluster) at(rest string) string {
	if strings.HasPrefix(rest, "deployments") || strings.HasPrefix(rest, "statefulsets") {
		return path.Join("apis/apps/v1/namespaces", c.namespace, rest)
	}
	return path.Join("api/v1/namespaces", c.namespace, rest)
}

// ask does something as the administrator.
func (c *realCluster) ask(method, at string, in any) (object, error) {
	kind, query := "application/json", url.Values{}
	switch method {
	case http.MethodPatch:
		kind = "application/merge-patch+json"
	case "APPLY": // as somebody else, who takes what they want
		method, kind, query = http.MethodPatch, "application/apply-patch+yaml", url.Values{"fieldManager": {"autoscaler"}, "force": {"true"}}
	}
	u := c.admin.base.JoinPath(at)
	u.RawQuery = query.Encode()
	var out object
	err := c.admin.do(context.WithoutCancel(c.t.Context()), "test", method, u.String(), method+" "+at, kind, in, &out)
	return out, err
}

func (c *realCluster) must(method, at string, in any) object {
	c.t.Helper()
	out, err := c.ask(method, at, in)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

func (c *realCluster) roll(mode string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mode = mode
}

// control does what controllers do until stop: it says how rollouts go.
func (c *realCluster) control(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(50 * time.Millisecond):
		}
		c.mu.Lock()
		mode := c.mode
		c.mu.Unlock()
		for _, kind := range []string{"deployments", "statefulsets"} {
			list, err := c.ask(http.MethodGet, c.at(kind), nil)
			items, _ := list["items"].([]any)
			for _, item := range items {
				o, _ := item.(map[string]any)
				if err == nil && mode != "slow" {
					_, _ = c.ask(http.MethodPatch, c.at(kind+"/"+object(o).meta("name")+"/status"), object{"status": rolled(o, mode)})
				}
			}
		}
	}
}

// rolled is the status of a rollout that went well, or is stuck.
func rolled(o object, mode string) map[string]any {
	want := number(o.sub("spec"), "replicas", 1)
	status := map[string]any{"observedGeneration": o.sub("metadata")["generation"], "replicas": want, "updatedReplicas": want, "readyReplicas": want, "availableReplicas": want}
	if o.sub("spec")["serviceName"] != nil { // a StatefulSet
		return status
	}
	condition := func(kind, is, reason string) any {
		now := time.Now().UTC().Format(time.RFC3339)
		return map[string]any{"type": kind, "status": is, "reason": reason, "message": reason, "lastUpdateTime": now, "lastTransitionTime": now}
	}
	status["conditions"] = []any{condition("Available", "True", "MinimumReplicasAvailable"), condition("Progressing", "True", "NewReplicaSetAvailable")}
	if mode == "stuck" {
		status["updatedReplicas"] = 1
		status["conditions"] = []any{condition("Available", "True", "MinimumReplicasAvailable"), condition("Progressing", "False", "ProgressDeadlineExceeded")}
	}
	return status
}

// driver is a new driver with the account's token, as a restart of the server makes it.
func (c *realCluster) driver() *Kubernetes {
	c.t.Helper()
	d, err := NewKubernetes(KubernetesConfig{Cluster: c.gate, Scope: "test", Clock: quickClock{20}})
	if err != nil {
		c.t.Fatal(err)
	}
	return d
}

// ours are the names of all that has our label.
func (c *realCluster) ours() []string {
	c.t.Helper()
	var names []string
	for _, kind := range []string{"deployments", "statefulsets", "services", "configmaps", "secrets", "persistentvolumeclaims"} {
		items, _ := c.must(http.MethodGet, c.at(kind), nil)["items"].([]any)
		for _, item := range items {
			if o, _ := item.(map[string]any); object(o).label(labelManager) == fieldManager {
				names = append(names, kind+"/"+object(o).meta("name"))
			}
		}
	}
	slices.Sort(names)
	return names
}

// spec is what an object is, without what changes at each write.
func (c *realCluster) spec(at string) string {
	c.t.Helper()
	o := c.must(http.MethodGet, c.at(at), nil)
	text, err := json.Marshal(map[string]any{"labels": o.sub("metadata", "labels"), "spec": o["spec"], "data": o["data"]})
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}

func (c *realCluster) kubernetesSpec(id int64, manifest string) Spec {
	s := kubernetesSpec(c.t, id, manifest)
	s.Namespace = c.namespace
	return s
}

// wantRefused wants an error of a deploy, and that nothing has changed.
func (c *realCluster) wantRefused(s Spec, failed bool, words ...string) {
	c.t.Helper()
	before, spec := c.ours(), c.spec("deployments/hello-c17")
	i, err := c.driver().Deploy(c.t.Context(), s)
	if err == nil || Failed(err) != failed {
		c.t.Errorf("%+v: %v; failed shall be %v", i, err, failed)
	}
	for _, want := range words {
		if !strings.Contains(fault.Sentence(err), want) {
			c.t.Errorf("%q, want %q", fault.Sentence(err), want)
		}
	}
	if now := c.ours(); !slices.Equal(now, before) {
		c.t.Errorf("%q, want %q", now, before)
	}
	if now := c.spec("deployments/hello-c17"); now != spec {
		c.t.Errorf("it is %s, want %s", now, spec)
	}
}
