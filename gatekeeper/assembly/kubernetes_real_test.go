package assembly

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
)

// realManifest has what a cluster fills in by itself and what it keeps lists of.
const realManifest = `apiVersion: apps/v1
kind: Deployment
metadata: {name: "hello-{{instance}}", labels: {app: hello}}
spec:
  replicas: 2
  selector: {matchLabels: {app: hello}}
  template:
    metadata: {labels: {app: hello}}
    spec:
      containers:
      - name: hello
        image: "{{image}}@{{digest}}"
        ports: [{containerPort: 8080}, {containerPort: 9090}]
        args: [--first, --second]
        env: [{name: OLD, value: "1"}]
        envFrom: [{secretRef: {name: "{{variables}}"}}]
        volumeMounts: [{name: tmp, mountPath: /tmp}]
      volumes: [{name: tmp, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: "hello-{{instance}}"}
spec: {selector: {app: hello}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Secret
metadata: {name: "more-{{instance}}"}
stringData: {old: one, both: two}
`

const oldSettings = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: old-settings}\ndata: {a: b}\n"

// The whole life of assemblies in a real API server, with an account that may do only what it must.
func TestKubernetesOfACluster(t *testing.T) {
	c := useCluster(t)
	d := c.driver()
	s := c.kubernetesSpec(7, realManifest+oldSettings)
	i, err := d.Deploy(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if want := "http://hello-c17." + c.namespace + ".svc:80"; i.Address != want {
		t.Errorf("%s, want %s", i.Address, want)
	}
	want := []string{"configmaps/old-settings", "deployments/hello-c17", "secrets/gate-test-7", "secrets/gate-test-7-before", "secrets/more-c17", "services/hello-c17"}
	if got := c.ours(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for _, want := range []string{`"image":"registry.example.test/hello@` + s.Digest, `"gatehouse.assembly":"test-7"`, `"secretRef":{"name":"gate-test-7"}`} {
		if spec := c.spec("deployments/hello-c17"); !strings.Contains(spec, want) {
			t.Errorf("no %s in %s", want, spec)
		}
	}
	if got := c.spec("secrets/gate-test-7"); !strings.Contains(got, base64.StdEncoding.EncodeToString([]byte("correct horse battery"))) {
		t.Errorf("%s", got)
	}
	wantHealth(t, d, i, Ready)
	if same, err := c.driver().Adopt(t.Context(), s, i); err != nil || same.Address != i.Address {
		t.Errorf("%+v, %v", same, err)
	}
	t.Run("deploys that fail", func(t *testing.T) { failInCluster(t, c) })
	wantHealth(t, d, i, Ready)
	t.Run("it is destroyed before the one before it", func(t *testing.T) { goBackInCluster(t, c, i) })
	t.Run("an update", func(t *testing.T) { i = updateInCluster(t, c, i) })
	t.Run("an object that is being deleted", func(t *testing.T) { i = waitInCluster(t, c, i) })
	for range 2 {
		if err := d.Destroy(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	if left := c.ours(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	wantHealth(t, d, i, Gone)
}

// failInCluster makes deploys that fail beside one that serves: that is as it was.
func failInCluster(t *testing.T, c *realCluster) {
	t.Helper()
	c.t = t
	next := func(edit ...string) Spec {
		s := c.kubernetesSpec(8, strings.NewReplacer(edit...).Replace(realManifest)+strings.ReplaceAll(oldSettings, "old", "new"))
		s.Strategy = plan.BlueGreen
		return s
	}
	c.roll("stuck")
	c.wantRefused(next("args: [--first, --second]", "args: [--first]", "replicas: 2", "replicas: 5", "{containerPort: 9090}", "{containerPort: 7070}"), true, "does not go on: ProgressDeadlineExceeded")
	c.roll("")
	c.wantRefused(next("replicas: 2", "replicas: 3\n  replica: 4"), true, ".spec.replica: field not declared in schema")
	c.wantRefused(next("app: hello}}\n  template", "app: other}}\n  template"), true, "selector")
	c.wantRefused(next("port: 80,", "port: 800000,"), true, "does not apply Service hello-c17 (422)")
	s := next()
	s.Manifest = "deploy/hello.yaml"
	c.wantRefused(c.kubernetesSpec(8, realManifest+"---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: x}\nspec: {podSelector: {}}\n"), true,
		"(403)", "give the server's account in the cluster the right")

	// Somebody else's object, and somebody else's field.
	c.must(http.MethodPost, c.at("configmaps"), object{"metadata": map[string]any{"name": "new-settings"}})
	c.wantRefused(next(), true, "ConfigMap new-settings is in the namespace already and is not of this environment")
	c.must(http.MethodDelete, c.at("configmaps/new-settings"), nil)
	c.must("APPLY", c.at("deployments/hello-c17"), object{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "hello-c17"}, "spec": map[string]any{"replicas": 4},
	})
	c.wantRefused(next("replicas: 2", "replicas: 3"), true, `conflict with "autoscaler"`, ".spec.replicas", "leave the field to whoever owns it")

	other := c.kubernetesSpec(8, realManifest)
	other.Namespace += "-not"
	c.wantRefused(other, true, "(403)")
	config := *c.gate
	config.BearerToken = "nobody's"
	d, err := NewKubernetes(KubernetesConfig{Cluster: &config, Scope: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Deploy(t.Context(), next()); err == nil || Failed(err) || !strings.Contains(fault.Sentence(err), "(401)") {
		t.Errorf("%v", err)
	}
}

// goBackInCluster brings something in the place of i, and takes it away: by its instance, and without one.
func goBackInCluster(t *testing.T, c *realCluster, i Instance) {
	t.Helper()
	c.t = t
	d, names, spec, secret := c.driver(), c.ours(), c.spec("deployments/hello-c17"), c.spec("secrets/more-c17")
	for _, how := range []string{"destroyed", "swept"} {
		s := c.kubernetesSpec(8, strings.NewReplacer("  replicas: 2\n", "", "{containerPort: 9090}", "{containerPort: 7070, name: more}", "old: one, ", "", "env: [{name: OLD", "env: [{name: NEW",
			"emptyDir: {}", "emptyDir: {medium: Memory}").Replace(realManifest)+strings.ReplaceAll(oldSettings, "old", "new"))
		s.Previous, s.Strategy = &i, plan.BlueGreen
		j, err := d.Deploy(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		wantHealth(t, d, i, Ready) // its pods serve until it is destroyed
		if c.spec("deployments/hello-c17") == spec || c.spec("secrets/more-c17") == secret {
			t.Error("nothing was deployed")
		}
		if how == "destroyed" {
			err = d.Destroy(t.Context(), j)
		} else {
			err = c.driver().Sweep(t.Context(), Spec{ID: s.ID, Namespace: s.Namespace})
		}
		if err != nil {
			t.Fatal(err)
		}
		if now := c.spec("deployments/hello-c17"); now != spec {
			t.Errorf("%s: it is %s, want %s", how, now, spec)
		}
		if now := c.spec("secrets/more-c17"); now != secret {
			t.Errorf("%s: it is %s, want %s", how, now, secret)
		}
		if now := c.ours(); !slices.Equal(now, names) {
			t.Errorf("%s: %q, want %q", how, now, names)
		}
		wantHealth(t, d, i, Ready)
	}
}

// updateInCluster brings something in the place of i that has less.
func updateInCluster(t *testing.T, c *realCluster, i Instance) Instance {
	t.Helper()
	c.t = t
	d := c.driver()
	s := c.kubernetesSpec(9, strings.NewReplacer("  replicas: 2\n", "", ", {containerPort: 9090}", "", "old: one, ", "", "        env: [{name: OLD, value: \"1\"}]\n", "").Replace(realManifest))
	s.Previous, s.Strategy = &i, plan.BlueGreen
	delete(s.Secrets, "DATABASE_PASSWORD")
	j, err := d.Deploy(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Destroy(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	if got, want := c.ours(), []string{"deployments/hello-c17", "secrets/gate-test-9", "secrets/more-c17", "services/hello-c17"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	spec := c.spec("deployments/hello-c17")
	for _, gone := range []string{"9090", "OLD"} {
		if strings.Contains(spec, gone) {
			t.Errorf("%s is in %s still", gone, spec)
		}
	}
	if !strings.Contains(spec, `"replicas":4`) { // the autoscaler's, whom nobody contradicts
		t.Errorf("%s", spec)
	}
	if got := c.spec("secrets/more-c17"); strings.Contains(got, "old") {
		t.Errorf("a value that the manifest has no longer: %s", got)
	}
	if got := c.spec("secrets/gate-test-9"); strings.Contains(got, "DATABASE_PASSWORD") {
		t.Errorf("%s", got)
	}
	wantHealth(t, d, i, Gone)
	wantHealth(t, d, j, Ready)
	return j
}

// waitInCluster brings back an object whose end somebody delays.
func waitInCluster(t *testing.T, c *realCluster, i Instance) Instance {
	t.Helper()
	c.t = t
	d := c.driver()
	held := c.at("services/hello-c17")
	c.must(http.MethodPatch, held, object{"metadata": map[string]any{"finalizers": []string{"example.test/hold"}}})
	if err := d.Destroy(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	let := time.AfterFunc(300*time.Millisecond, func() {
		_, _ = c.ask(http.MethodPatch, held, object{"metadata": map[string]any{"finalizers": nil}})
	})
	defer let.Stop()
	j, err := d.Deploy(t.Context(), c.kubernetesSpec(10, realManifest))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.must(http.MethodGet, held, nil); got.meta("deletionTimestamp") != "" || got.label(labelAssembly) != "test-10" {
		t.Errorf("%+v", got)
	}
	return j
}
