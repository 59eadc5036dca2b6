package assembly

import (
	"encoding/json"
	"testing"
)

// As Kubernetes 1.37 tells of a Deployment that was applied, scaled by somebody else, and rolled out.
const ownedObject = `{
  "apiVersion": "apps/v1", "kind": "Deployment",
  "metadata": {"name": "hello", "uid": "u", "labels": {"app": "hello", "theirs": "x"}, "finalizers": ["a/ours", "a/theirs"], "managedFields": [
    {"manager": "autoscaler", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
    {"manager": "gatehouse", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {"f:replicas": {}}}},
    {"manager": "gatehouse", "operation": "Apply", "fieldsV1": {
      "f:metadata": {"f:labels": {"f:app": {}}, "f:finalizers": {"v:\"a/ours\"": {}}},
      "f:spec": {"f:selector": {}, "f:gone": {}, "f:template": {"f:spec": {
        "f:containers": {"k:{\"name\":\"hello\"}": {".": {}, "f:name": {}, "f:args": {}, "f:ports": {"k:{\"containerPort\":8080,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}},
        "f:volumes": {"k:{\"name\":\"tmp\"}": {".": {}, "f:emptyDir": {}, "f:name": {}}}}}}}}]},
  "spec": {"replicas": 4, "selector": {"matchLabels": {"app": "hello"}}, "template": {"spec": {"dnsPolicy": "ClusterFirst",
    "containers": [{"name": "sidecar", "image": "theirs"},
      {"name": "hello", "args": ["a", "b"], "imagePullPolicy": "Always", "ports": [{"containerPort": 8080, "protocol": "TCP"}, {"containerPort": 8080, "protocol": "UDP"}]}],
    "volumes": [{"name": "tmp", "emptyDir": {}}]}}},
  "status": {"replicas": 4}}`

func TestOwned(t *testing.T) {
	var o object
	if err := json.Unmarshal([]byte(ownedObject), &o); err != nil {
		t.Fatal(err)
	}
	const want = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"finalizers":["a/ours"],"labels":{"app":"hello"},"name":"hello"},` +
		`"spec":{"selector":{"matchLabels":{"app":"hello"}},"template":{"spec":{"containers":[{"args":["a","b"],"name":"hello","ports":[{"containerPort":8080,"protocol":"TCP"}]}],` +
		`"volumes":[{"emptyDir":{},"name":"tmp"}]}}}}`
	for owner, want := range map[string]string{
		"gatehouse": want, "nobody": `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"hello"}}`,
		"autoscaler": `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"hello"},"spec":{"replicas":4}}`,
	} {
		got, err := json.Marshal(o.owned(owner))
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v, want %s", owner, got, err, want)
		}
	}
}
