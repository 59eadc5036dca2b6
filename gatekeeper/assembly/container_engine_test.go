package assembly

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"gatehouse/gatekeeper/assembly/enginetest"
	"gatehouse/gitserver/fault"
)

// realEngine is an engine as the driver uses it.
type realEngine struct{ enginetest.Engine }

func useEngine(t *testing.T) realEngine {
	t.Helper()
	service(t)
	return realEngine{enginetest.Use(t)}
}

// driver is a new driver, as a restart of the server makes it.
func (e realEngine) driver(dir string) *Container {
	e.Helper()
	d, err := NewContainer(ContainerConfig{Engine: e.Program, Dir: dir, Scope: e.scope()})
	if err != nil {
		e.Fatal(err)
	}
	return d
}

// scope is the test's own among whatever else the engine runs.
func (e realEngine) scope() string { return fmt.Sprintf("test-%d", os.Getpid()) }

// containers are those of the test, by their ids.
func (e realEngine) containers() []string {
	return strings.Fields(e.Must("ps", "--all", "--quiet", "--no-trunc", "--filter", "label=gatehouse.server="+e.scope()))
}

func (e realEngine) wantNothing(dir string) {
	e.Helper()
	if left := e.containers(); len(left) > 0 {
		e.Errorf("containers are left: %s", e.Must("ps", "--all", "--filter", "label=gatehouse.server="+e.scope()))
	}
	if left := e.Must("images", "--quiet", "--filter", "reference=localhost/gatehouse/"+e.scope()); left != "" {
		e.Errorf("images are left: %s", e.Must("images"))
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		e.Errorf("folders are left: %v, %v", left, err)
	}
}

// wantRefused wants an error of a deploy, and that nothing is left of it.
func (e realEngine) wantRefused(d *Container, s Spec, failed bool, words ...string) {
	e.Helper()
	before := len(e.containers())
	i, err := d.Deploy(e.Context(), s)
	if err == nil || Failed(err) != failed {
		e.Errorf("%+v: %v; failed shall be %v", i, err, failed)
	}
	for _, want := range words {
		if !strings.Contains(fault.Sentence(err), want) {
			e.Errorf("%q, want %q", fault.Sentence(err), want)
		}
	}
	if len(e.containers()) != before {
		e.Errorf("left: %s", e.Must("ps", "--all"))
	}
	if _, err := os.Stat(d.folder(s.ID)); !errors.Is(err, fs.ErrNotExist) {
		e.Errorf("its folder: %v", err)
	}
}
