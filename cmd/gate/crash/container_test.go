package crash_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"gatehouse/cmd/gate/gatetest"
	"gatehouse/gatekeeper/assembly/enginetest"
)

// imagePlan builds an image, once, and lets it run in an engine of this machine. %s is the name of
// the environment.
const imagePlan = `version: 1
artifacts:
  server: {type: oci-image}
environments:
  %[1]s: {class: standing, driver: container, dns: {name: hello.example.test}}
stages:
  build: {run: "sh -e image.sh", produces: {server: out}}
  %[1]s:
    after: [land]
    environment: %[1]s
    deploy: {artifact: server, port: 8080, ready: {http: /healthz, within: 60s}, strategy: blue-green}
gates:
  tested: {after: [build], require: [{stages: passed}]}
land: {after: [tested], how: merge}
`

// imageScript makes an image in the OCI layout with what every machine has. %s is the processor.
const imageScript = `mkdir -p out/blobs/sha256
put() {
  sum=$(sha256sum "$1" | cut -d ' ' -f 1)
  cp "$1" "out/blobs/sha256/$sum"
  echo "\"mediaType\": \"application/vnd.oci.image.$2\", \"digest\": \"sha256:$sum\", \"size\": $(wc -c < "$1")"
}
tar --owner=0 --group=0 --mtime=@0 -cf layer service
layer=$(put layer layer.v1.tar)
diff=$(sha256sum layer | cut -d ' ' -f 1)
echo '{"architecture": "%s", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:'$diff'"]},
  "config": {"Entrypoint": ["/service"], "Env": ["LISTEN=0.0.0.0", "VERSION='$(cat version)'", "MODE='$(cat mode)'"]}}' > config
echo '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": {'$(put config config.v1+json)'}, "layers": [{'$layer'}]}' > manifest
echo '{"schemaVersion": 2, "manifests": [{'$(put manifest manifest.v1+json)'}]}' > out/index.json
echo '{"imageLayoutVersion": "1.0.0"}' > out/oci-layout
`

// containerWorld is a server that runs images in a real engine.
type containerWorld struct {
	*crashWorld
	engine      enginetest.Engine
	environment string
}

func newContainerWorld(t *testing.T) *containerWorld {
	t.Helper()
	w := &containerWorld{crashWorld: &crashWorld{World: gatetest.New(t)}, engine: enginetest.Use(t), environment: fmt.Sprintf("staging-%d", os.Getpid())}
	w.Flags = []string{"--sandbox=none", "--container-engine=" + w.engine.Program}
	w.work = filepath.Join(w.Dir, "work")
	w.Git(w.Dir, "init", "-q", "-b", "main", w.work)
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", filepath.Join(w.work, "service"), "../../../gatekeeper/assembly/testdata/service") //nolint:gosec // the test's own
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	w.write("gatehouse.yaml", fmt.Sprintf(imagePlan, w.environment))
	w.write("image.sh", fmt.Sprintf(imageScript, runtime.GOARCH))
	w.write("version", "zero\n")
	w.write("mode", "\n")
	w.Git(w.work, "add", "-A")
	w.Git(w.work, "commit", "-qm", "begin")
	w.Local("repo", "create", "hello", "--import", w.work)
	t.Cleanup(func() {
		w.Kill()
		for _, id := range w.containers() {
			_, _ = w.engine.Run("rm", "--force", id)
		}
	})
	return w
}

// containers are all of the environment, by their ids.
func (w *containerWorld) containers() []string {
	w.Helper()
	return strings.Fields(w.engine.Must("ps", "--all", "--quiet", "--no-trunc", "--filter", "label=gatehouse.environment="+w.environment))
}

// propose pushes a version that is to land and be deployed.
func (w *containerWorld) propose(version, mode string) {
	w.Helper()
	w.serial++
	w.Git(w.work, "fetch", "-q", w.HTTPRemote("hello"), "main")
	w.Git(w.work, "checkout", "-q", "--detach", "FETCH_HEAD")
	w.write("version", version+"\n")
	w.write("mode", mode+"\n")
	w.Git(w.work, "commit", "-qam", fmt.Sprintf("%s\n\nChange-Id: I%040x", version, w.serial))
	if ok, output := w.push(); !ok {
		w.Fatal(output)
	}
}

// says is what the server's router answers for the name of the environment.
func (w *containerWorld) says(path string) string {
	req, err := http.NewRequest(http.MethodGet, w.HTTP+path, nil) //nolint:noctx // the client has a timeout
	if err != nil {
		w.Fatal(err)
	}
	req.Host = "hello.example.test"
	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	answer, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	text, _ := io.ReadAll(answer.Body)
	return string(text)
}

// shown is what `gate env show` tells.
type shown struct {
	Assembly struct {
		ID      int64
		State   string
		Address string
		Digest  string
	}
}

func (w *containerWorld) show() shown {
	w.Helper()
	var s shown
	if err := json.Unmarshal([]byte(w.Gate("env", "show", "hello", w.environment, "--json")), &s); err != nil {
		w.Fatal(err)
	}
	return s
}

func (w *containerWorld) serves(version string) shown {
	w.Helper()
	defer func() {
		if w.Failed() {
			w.Logf("%q; %+v; %q; %s", w.says("/version"), w.show(), w.containers(), w.Gate("why", fmt.Sprint(w.serial)))
		}
	}()
	w.Until(version+" serves alone", func() bool {
		return w.says("/version") == version && w.show().Assembly.State == "READY" && len(w.containers()) == 1
	})
	return w.show()
}

// An image that a stage made runs in a real engine. It serves on when the server is killed, is found
// again, and gives way to the next one; what a killed deploy leaves is removed.
func TestContainersOutliveTheServer(t *testing.T) {
	w := newContainerWorld(t)
	w.Start()
	w.propose("one", "")
	one := w.serves("one")
	if image := w.engine.Must("inspect", "--type", "container", "--format", `{{index .Config.Labels "gatehouse.digest"}}`, w.containers()[0]); image != one.Assembly.Digest {
		t.Errorf("the container is of %s, want %s", image, one.Assembly.Digest)
	}
	if log := w.Gate("assembly", "log", "hello", fmt.Sprint(one.Assembly.ID)); !strings.Contains(log, "service one begins") {
		t.Errorf("its log: %q", log)
	}

	before := w.containers()
	w.Kill()
	if answer, err := http.Get(one.Assembly.Address + "/version"); err != nil || answer.StatusCode != http.StatusOK { //nolint:noctx,bodyclose // of a test
		t.Errorf("without the server: %v", err)
	}
	w.Start()
	w.serves("one")
	if now := w.containers(); now[0] != before[0] {
		t.Errorf("it is the container %s, want %s", now, before)
	}

	// The server dies when the second has begun to serve and nobody has written that down.
	w.Stop()
	w.Start("GATE_CRASH_AT=deploy.serves")
	w.propose("two", "")
	w.Died()
	if left := w.containers(); len(left) != 2 {
		t.Errorf("containers after the crash: %q", left)
	}
	w.Start()
	w.Until("what was left is removed", func() bool { return len(w.containers()) == 1 || w.says("/version") == "two" })
	if w.says("/version") != "two" { // a deploy that was cut is ERRORED, and somebody asks for it again
		w.Gate("promote", "hello", w.environment)
	}
	w.serves("two")

	// One that ends at once changes nothing.
	w.propose("three", "exit")
	w.Until("the third has failed", func() bool { return strings.Contains(w.Gate("why", "3"), "ended before it was ready") })
	w.serves("two")
	if images := w.engine.Must("images", "--quiet", "--filter", "reference=localhost/gatehouse/*"); len(strings.Fields(images)) != 1 {
		t.Errorf("images are left: %q", images)
	}
}
