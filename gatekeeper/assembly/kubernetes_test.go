package assembly

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
)

const testManifest = `# comment
apiVersion: apps/v1
kind: Deployment
metadata: {name: "hello-{{instance}}", labels: {app: hello}}
spec:
  replicas: 2
  template: {spec: {containers: [{name: hello, image: "{{image}}@{{ digest }}", envFrom: [{secretRef: {name: "{{variables}}"}}]}]}}
---
---
apiVersion: v1
kind: Service
metadata: {name: "hello-{{instance}}"}
spec: {ports: [{port: 8080}]}
`

func kubernetesSpec(t *testing.T, id int64, manifest string) Spec {
	t.Helper()
	s := spec(t, id)
	s.Manifest, s.Namespace, s.Image, s.Ready = "deploy/hello.yaml", "apps", "registry.example.test/hello", plan.Probe{}
	s.Secrets = map[string]string{"DATABASE_PASSWORD": "correct horse battery"}
	s.Tree = func(_ context.Context, dir string) error {
		if err := os.Mkdir(filepath.Join(dir, "deploy"), 0o700); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "deploy/hello.yaml"), []byte(manifest), 0o600)
	}
	return s
}

func newKubernetesDriver(t *testing.T, f *fakeCluster) *Kubernetes {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	ca := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw}))
	text := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
  clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}], users: [{name: u, user: {token: cluster-token}}]}`, f.URL, ca)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := LoadCluster(file)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewKubernetes(KubernetesConfig{Cluster: config, Scope: "test", Clock: quickClock{1000}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestKubernetesLife(t *testing.T) {
	f := newFakeCluster(t)
	d := newKubernetesDriver(t, f)
	s := kubernetesSpec(t, 7, testManifest+"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: old-settings}\ndata: {a: b}\n")
	i, err := d.Deploy(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := f.names(), []string{"configmaps/old-settings", "deployments/hello-c17", "secrets/gate-test-7", "secrets/gate-test-7-before", "services/hello-c17"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if i.Address != "http://hello-c17.apps.svc:8080" || strings.Contains(string(i.Handle), "horse") {
		t.Errorf("%+v %s", i, i.Handle)
	}
	text, _ := json.Marshal(f.objects["/apis/apps/v1/namespaces/apps/deployments/hello-c17"])
	for _, want := range []string{`"image":"registry.example.test/hello@` + s.Digest, `"gatehouse.assembly":"test-7"`, `"app":"hello"`, `"secretRef":{"name":"gate-test-7"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if got, _ := f.objects["/api/v1/namespaces/apps/secrets/gate-test-7"].sub("data")["DATABASE_PASSWORD"].(string); got != base64.StdEncoding.EncodeToString([]byte("correct horse battery")) {
		t.Errorf("%q", got)
	}
	wantHealth(t, d, i, Ready)
	if same, err := newKubernetesDriver(t, f).Adopt(t.Context(), s, i); err != nil || same.Address != i.Address {
		t.Errorf("%+v, %v", same, err)
	}

	// The next one updates what has the same name; what it has no longer goes with the old one.
	next := kubernetesSpec(t, 8, testManifest)
	next.Previous, next.Strategy = &i, plan.BlueGreen
	j, err := d.Deploy(t.Context(), next)
	if err != nil {
		t.Fatal(err)
	}
	wantHealth(t, d, i, Ready) // until it is destroyed
	if err := d.Destroy(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	if got, want := f.names(), []string{"deployments/hello-c17", "secrets/gate-test-8", "services/hello-c17"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	wantHealth(t, d, i, Gone)
	wantHealth(t, d, j, Ready)
	f.looks["/apis/apps/v1/namespaces/apps/deployments/hello-c17"], f.slow = 0, 1000
	if words := wantHealth(t, d, j, Degraded); !strings.Contains(words, "0 of 2 are ready") {
		t.Errorf("%q", words)
	}
	for range 2 {
		if err := d.Destroy(t.Context(), j); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.names()) != 0 {
		t.Errorf("left: %q", f.names())
	}
	wantHealth(t, d, j, Gone)
}

// What a deploy changed is put back when it fails, when its assembly is destroyed before the one
// before it, and when the server was killed in it.
func TestKubernetesGoesBack(t *testing.T) {
	const more = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: new-settings}\ndata: {a: b}\n"
	for name, fail := range map[string]func(t *testing.T, f *fakeCluster, d *Kubernetes, s Spec){
		"it fails": func(t *testing.T, f *fakeCluster, d *Kubernetes, s Spec) {
			f.stuck = true
			if _, err := d.Deploy(t.Context(), s); !Failed(err) {
				t.Errorf("%v", err)
			}
			f.stuck = false
		},
		"it is refused halfway": func(t *testing.T, f *fakeCluster, d *Kubernetes, s Spec) {
			f.refuse["PATCH /api/v1/namespaces/apps/configmaps"] = http.StatusForbidden
			if _, err := d.Deploy(t.Context(), s); !Failed(err) {
				t.Errorf("%v", err)
			}
		},
		"it is destroyed": func(t *testing.T, f *fakeCluster, d *Kubernetes, s Spec) {
			j, err := d.Deploy(t.Context(), s)
			if err == nil {
				err = d.Destroy(t.Context(), j)
			}
			if err != nil {
				t.Error(err)
			}
		},
		"the server is killed": func(t *testing.T, f *fakeCluster, d *Kubernetes, s Spec) {
			if _, err := d.Deploy(t.Context(), s); err != nil {
				t.Error(err)
			}
			for range 2 {
				if err := newKubernetesDriver(t, f).Sweep(t.Context(), Spec{ID: s.ID, Namespace: s.Namespace}); err != nil {
					t.Error(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeCluster(t)
			d := newKubernetesDriver(t, f)
			i, err := d.Deploy(t.Context(), kubernetesSpec(t, 7, testManifest))
			if err != nil {
				t.Fatal(err)
			}
			names := f.names()
			next := kubernetesSpec(t, 8, strings.Replace(testManifest, "replicas: 2", "replicas: 5\n  paused: false", 1)+more)
			next.Previous, next.Strategy = &i, plan.BlueGreen
			fail(t, f, d, next)
			if got := f.names(); !slices.Equal(got, names) {
				t.Errorf("%q, want %q", got, names)
			}
			o := f.objects["/apis/apps/v1/namespaces/apps/deployments/hello-c17"]
			if _, paused := o.sub("spec")["paused"]; paused || number(o.sub("spec"), "replicas", 0) != 2 || o.label(labelAssembly) != "test-7" {
				t.Errorf("%+v", o)
			}
			wantHealth(t, d, i, Ready)
		})
	}
}

func TestKubernetesAddress(t *testing.T) {
	f := newFakeCluster(t)
	d := newKubernetesDriver(t, f)
	web := newPlace(t)
	s := kubernetesSpec(t, 7, strings.Replace(testManifest, "{name: \"hello-{{instance}}\"}", `{name: x, annotations: {gatehouse/address: "`+web.URL+`"}}`, 1))
	s.Ready = plan.Probe{HTTP: "/", Within: time.Hour}
	i, err := d.Deploy(t.Context(), s)
	if err != nil || i.Address != web.URL {
		t.Fatalf("%+v, %v", i, err)
	}
	web.broken = true
	wantHealth(t, d, i, Degraded)
	if got := (object{"status": map[string]any{"loadBalancer": map[string]any{"ingress": []any{map[string]any{"ip": "192.0.2.5"}}}}}).ingress(); got != "192.0.2.5" {
		t.Errorf("%q", got)
	}
}

func TestKubernetesFails(t *testing.T) {
	const deployment = "/apis/apps/v1/namespaces/apps/deployments/hello-c17"
	tests := []struct {
		name   string
		edit   func(*fakeCluster, *Spec)
		failed bool
		want   string
	}{
		{"stuck", func(f *fakeCluster, _ *Spec) { f.stuck = true }, true, "does not go on: ReplicaSet has timed out progressing."},
		{"slow", func(f *fakeCluster, s *Spec) { f.slow, s.Ready.Within = 1<<30, time.Minute }, true, "Deployment hello-c17 was not rolled out within 1m0s: 0 of 2 are ready"},
		{"fields of others", func(f *fakeCluster, _ *Spec) { f.foreign[deployment] = true }, true, `conflict with "autoscaler": .spec.replicas; leave the field`},
		{"may not", func(f *fakeCluster, _ *Spec) { f.refuse["PATCH "] = http.StatusForbidden }, true, "give the server's account in the cluster the right"},
		{"ill", func(f *fakeCluster, _ *Spec) { f.refuse["PATCH /apis"] = http.StatusInternalServerError }, false, "the test says no"},
		{"away", func(f *fakeCluster, _ *Spec) { f.Close() }, false, "the cluster does not answer"},
		{"somebody else's", func(f *fakeCluster, _ *Spec) {
			f.objects[deployment] = object{"metadata": map[string]any{"name": "hello-c17", "uid": "theirs"}}
		}, true, "is in the namespace already and is not of this environment"},
		{"no manifest", func(_ *fakeCluster, s *Spec) { s.Manifest = "" }, true, "give the environment a manifest"},
		{"no namespace", func(_ *fakeCluster, s *Spec) { s.Namespace = "a/../b" }, true, "is no namespace"},
		{"no such file", func(_ *fakeCluster, s *Spec) { s.Manifest = "deploy/nothing.yaml" }, true, "the commit has no file"},
		{"out of the tree", func(_ *fakeCluster, s *Spec) { s.Manifest = "../../etc/passwd" }, true, "the commit has no file"},
		{"a link", func(_ *fakeCluster, s *Spec) {
			s.Tree = func(_ context.Context, dir string) error {
				_ = os.Mkdir(filepath.Join(dir, "deploy"), 0o700)
				return os.Symlink("/etc/passwd", filepath.Join(dir, "deploy/hello.yaml"))
			}
		}, true, "the commit has no file"},
		{"a value that is YAML", func(_ *fakeCluster, s *Spec) { s.Image = "x\", command: [\"sh" }, true, "cannot be put in the place of {{image}}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFakeCluster(t)
			d := newKubernetesDriver(t, f)
			s := kubernetesSpec(t, 7, testManifest)
			tt.edit(f, &s)
			before := len(f.objects)
			i, err := d.Deploy(t.Context(), s)
			if err == nil || Failed(err) != tt.failed || i.Address != "" || !strings.Contains(fault.Sentence(err), tt.want) {
				t.Errorf("%+v, %v, want %q", i, fault.Sentence(err), tt.want)
			}
			if len(f.objects) != before {
				t.Errorf("left: %q", f.names())
			}
		})
	}
}

// A manifest comes from a change that perhaps nobody has read.
func TestHostileManifests(t *testing.T) {
	object := func(version, kind, meta string) string {
		return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: %s\n", version, kind, meta)
	}
	for want, text := range map[string]string{
		`"ClusterRoleBinding" of`:             object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "{name: x}"),
		`"RoleBinding" of`:                    object("rbac.authorization.k8s.io/v1", "RoleBinding", "{name: x}"),
		`"ServiceAccount" of`:                 object("v1", "ServiceAccount", "{name: x}"),
		`"Namespace" of`:                      object("v1", "Namespace", "{name: x}"),
		`"Deployment" of "../../v1"`:          object("../../v1", "Deployment", "{name: x}"),
		`"../secrets" is no name`:             object("v1", "Service", "{name: ../secrets}"),
		`namespace "kube-system", not "apps"`: object("v1", "ConfigMap", "{name: x, namespace: kube-system}"),
		"Service x is there twice":            object("v1", "Service", "{name: x}") + "---\n" + object("v1", "Service", "{name: x}"),
		"it is empty":                         "# nothing\n---\n",
		"it has more than 100 objects":        manyObjects(101),
		"larger than 1048576 bytes":           strings.Repeat("#", maxManifest+1),
		"{{secret}}, which stands for":        object("v1", "Service", `{name: "{{secret}}"}`),
		"the manifest deploy/hello.yaml: ":    "a: &a [b, *a",
		"no Service by which it is reached":   object("v1", "ConfigMap", "{name: x}"),
		"no assembly is at the address":       object("v1", "ConfigMap", `{name: x, annotations: {gatehouse/address: "http://169.254.169.254"}}`),
	} {
		f := newFakeCluster(t)
		_, err := newKubernetesDriver(t, f).Deploy(t.Context(), kubernetesSpec(t, 7, text))
		if !Failed(err) || !strings.Contains(fault.Sentence(err), want) {
			t.Errorf("%s, want %q", fault.Sentence(err), want)
		}
		if len(f.objects) != 0 {
			t.Errorf("%s: left %q", want, f.names())
		}
	}
	if _, err := NewKubernetes(KubernetesConfig{Cluster: &rest.Config{Host: "http://x"}, Scope: "A B"}); err == nil {
		t.Error("a scope that is no label")
	}
	if _, err := LoadCluster("/nonexistent"); err == nil {
		t.Error("no kubeconfig")
	}
}

func manyObjects(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "---\n{apiVersion: v1, kind: Service, metadata: {name: s%d}}\n", i)
	}
	return text.String()
}
