package artifact

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestLooseArchivesKeepTimesAndLinks(t *testing.T) {
	root := tree(t, map[string]string{"a/f": "x text", "a/python": "-> /usr/bin/python3", "a/gone": "-> none"})
	when := time.Unix(1_000_000_000, 123_456_789)
	for _, name := range []string{"a/f", "a"} {
		must(t, root.Chtimes(name, when, when))
	}
	must(t, syscall.Mkfifo(filepath.Join(root.Name(), "pipe"), 0o644))
	var b bytes.Buffer
	must(t, Pack(&b, root, How{Loose: true}))
	to := tree(t, nil)
	must(t, Extract(&b, int64(b.Len()), to, How{Loose: true}))
	same(t, look(t, to.Name()), map[string]string{"a/": "", "a/f": "x text", "a/python": "-> /usr/bin/python3", "a/gone": "-> none"})
	for _, name := range []string{"a/f", "a"} {
		info, err := to.Stat(name)
		must(t, err)
		if !info.ModTime().Equal(when) {
			t.Errorf("%s is of %s", name, info.ModTime())
		}
	}
	if err := Pack(io.Discard, root, How{}); !Content(err) {
		t.Errorf("strictly: %v", err)
	}
}

func TestEntriesAreBounded(t *testing.T) {
	p := &packer{dir: tree(t, map[string]string{"a": "", "b": "", "c": ""}), entries: MaxEntries - 2}
	if _, err := p.names("."); !Content(err) || !strings.Contains(err.Error(), "more than 200000 files") {
		t.Errorf("%v", err)
	}
	p.entries = MaxEntries - 3
	if names, err := p.names("."); err != nil || !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Errorf("%q, %v", names, err)
	}
}

// The command of docs/artifacts.md makes the same archive, so that anybody can check a digest.
func TestGNUTarMakesTheSame(t *testing.T) {
	if out, err := exec.Command("tar", "--version").Output(); err != nil || !bytes.Contains(out, []byte("GNU tar")) {
		t.Skip("there is no GNU tar")
	}
	doc, err := os.ReadFile("../../docs/artifacts.md")
	must(t, err)
	var command string
	for line := range strings.Lines(string(doc)) {
		if strings.HasPrefix(line, "ls -A ") {
			command = line
		}
	}
	root := tree(t, map[string]string{
		"bin/run": "x #!/bin/sh\n", "etc/conf": "a=b\n", "empty/": "", "run": "-> bin/run", "bin/conf": "-> ../etc/conf", "bin-2": "sorts after bin/", "Z": "sorts first", "a b": "",
	})
	var b bytes.Buffer
	must(t, Pack(&b, root, How{}))
	cmd := exec.Command("sh", "-ec", command)
	cmd.Dir, cmd.Stderr = root.Name(), t.Output()
	got, err := cmd.Output()
	must(t, err)
	sum := sha256.Sum256(b.Bytes())
	if want := hex.EncodeToString(sum[:]); !strings.HasPrefix(string(got), want) {
		t.Errorf("%q gives %s, want %s", command, got, want)
	}
}
