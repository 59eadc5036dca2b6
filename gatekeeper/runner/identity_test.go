package runner

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestIdentityFollowsWhatStagesRunWith(t *testing.T) {
	dir := t.TempDir()
	tool := filepath.Join(dir, "tool")
	if err := os.Mkdir(tool, 0o755); err != nil {
		t.Fatal(err)
	}
	with := func() *Runner {
		return &Runner{Sandbox: Bubblewrap, Toolchain: Toolchain{ReadOnly: []string{tool}, Env: map[string]string{"GOPROXY": "off"}}}
	}
	first := with().Identity()
	if again := with().Identity(); again != first {
		t.Fatal("the same runner has two identities")
	}
	for what, change := range map[string]func(r *Runner){
		"another sandbox":     func(r *Runner) { r.Sandbox = Embedded },
		"another limit":       func(r *Runner) { r.Limits.Memory = 1 << 30 },
		"another environment": func(r *Runner) { r.Toolchain.Env["GOPROXY"] = "direct" },
		"another folder":      func(r *Runner) { r.Toolchain.ReadOnly = []string{dir} },
		"no folder":           func(r *Runner) { r.Toolchain.ReadOnly = nil },
	} {
		r := with()
		if change(r); r.Identity() == first {
			t.Errorf("%s: the identity is the same", what)
		}
	}
	later := time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := os.Chtimes(tool, later, later); err != nil {
		t.Fatal(err)
	}
	if with().Identity() == first {
		t.Error("the folder of tools changed and the identity is the same")
	}
	where := &Runner{Sandbox: Bubblewrap, Work: "/a", Cache: "/b", Hide: []string{"/c"}}
	if (&Runner{Sandbox: Bubblewrap}).Identity() != where.Identity() {
		t.Error("where the server keeps its folders changed the identity")
	}
}
