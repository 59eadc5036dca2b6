package assembly

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// fakeEngineEnv makes the test binary an engine that keeps its containers in the folder that it
// names. There are no walls in it; what it does with arguments is what podman does.
const fakeEngineEnv = "ASSEMBLY_TEST_ENGINE"

// installEngine puts a fake podman on the path, and returns its folder.
func installEngine(t *testing.T) string {
	t.Helper()
	service(t) // while go is still on the path
	dir, bin := t.TempDir(), t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\n%s=%s exec %s \"$@\"\n", fakeEngineEnv, dir, self)
	if err := os.WriteFile(filepath.Join(bin, "podman"), []byte(script), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	t.Cleanup(func() {
		for _, c := range (fakeStore{dir}).all() {
			t.Errorf("a container is left: %+v", c)
			_ = syscall.Kill(-c.PID, syscall.SIGKILL)
		}
	})
	return dir
}

// fakeContainer is one of the fake engine's.
type fakeContainer struct {
	ID, Name, Image string
	Labels          []string
	Port            string // inside
	Host            int    // on loopback
	PID             int
	Args            []string // that it was run with
	Env             []string
}

func (c fakeContainer) status() string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.PID))
	if err != nil || strings.Contains(string(text), ") Z ") {
		return "exited"
	}
	return "running"
}

type fakeStore struct{ dir string }

func (s fakeStore) all() []fakeContainer {
	var all []fakeContainer
	files, _ := filepath.Glob(filepath.Join(s.dir, "*.json"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // removed just now
		}
		var c fakeContainer
		if err := json.Unmarshal(text, &c); err != nil {
			panic(err)
		}
		all = append(all, c)
	}
	return all
}

func (s fakeStore) find(name string) fakeContainer {
	for _, c := range s.all() {
		if c.Name == name || c.ID == name {
			return c
		}
	}
	fmt.Fprintf(os.Stderr, "Error: no such container %s\n", name)
	os.Exit(125)
	panic("unreachable")
}

// fakeEngine is the engine's program.
func fakeEngine(dir string, args []string) {
	s := fakeStore{dir}
	if text, err := os.ReadFile(filepath.Join(dir, "fail-"+args[0])); err == nil {
		fmt.Fprintln(os.Stderr, string(text))
		os.Exit(125)
	}
	last := args[len(args)-1]
	switch args[0] {
	case "run":
		s.run(args)
	case "ps":
		for _, c := range s.all() {
			wanted := true
			for n, arg := range args {
				if arg == "--filter" {
					wanted = wanted && slices.Contains(c.Labels, strings.TrimPrefix(args[n+1], "label="))
				}
			}
			if wanted {
				fmt.Println(c.ID)
			}
		}
	case "inspect":
		fmt.Println(s.find(last).status(), 0)
	case "tag":
		if err := os.WriteFile(filepath.Join(dir, "name"), []byte(last), 0o600); err != nil {
			panic(err)
		}
	case "images":
		if name, err := os.ReadFile(filepath.Join(dir, "name")); err == nil && "reference="+string(name) == last {
			fmt.Println("0123456789ab")
		}
	case "rmi":
		for _, c := range s.all() {
			if c.Image == last {
				fmt.Fprintln(os.Stderr, "Error: image used by", c.ID)
				os.Exit(2)
			}
		}
		_ = os.Remove(filepath.Join(dir, "name"))
	case "port":
		c := s.find(args[1])
		if args[2] != c.Port+"/tcp" {
			fmt.Fprintln(os.Stderr, "Error: no such port")
			os.Exit(125)
		}
		fmt.Printf("127.0.0.1:%d\n", c.Host)
	case "logs":
		text, _ := os.ReadFile(filepath.Join(dir, s.find(last).ID+".log"))
		fmt.Print(string(text))
	case "rm":
		c := s.find(last)
		_ = syscall.Kill(-c.PID, syscall.SIGKILL)
		for c.status() == "running" { //nolint:revive // until the kernel has done it
		}
		_ = os.Remove(filepath.Join(dir, c.ID+".json"))
		fmt.Println(c.ID)
	case "load":
		s.load()
	default:
		fmt.Fprintf(os.Stderr, "Error: unrecognized command podman %s\n", args[0])
		os.Exit(125)
	}
	os.Exit(0)
}

// load takes an OCI archive.
func (s fakeStore) load() {
	image := filepath.Join(s.dir, "image")
	in := tar.NewReader(os.Stdin)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			panic(err)
		}
		path := filepath.Join(image, h.Name)
		if h.FileInfo().IsDir() {
			continue
		}
		_ = os.MkdirAll(filepath.Dir(path), 0o755)
		text, _ := io.ReadAll(in)
		if err := os.WriteFile(path, text, h.FileInfo().Mode()); err != nil {
			panic(err)
		}
	}
	if _, err := os.Stat(filepath.Join(image, "oci-layout")); err != nil {
		fmt.Fprintln(os.Stderr, "Error: payload does not match any of the supported image formats")
		os.Exit(125)
	}
	fmt.Println("Loaded image: localhost/hello:latest")
}

// run starts the process of a container and leaves it running.
func (s fakeStore) run(args []string) {
	c := fakeContainer{ID: fmt.Sprintf("%032x", os.Getpid()), Args: args}
	work := filepath.Join(s.dir, "image")
	var command []string
	at := 1
	for ; at < len(args) && strings.HasPrefix(args[at], "--"); at++ {
		if args[at] == "--detach" {
			continue
		}
		value := args[at+1]
		switch args[at] {
		case "--name":
			c.Name = value
		case "--label":
			c.Labels = append(c.Labels, value)
		case "--publish":
			var host string
			host, c.Port, _ = strings.Cut(strings.TrimPrefix(value, "127.0.0.1:"), ":")
			c.Host, _ = strconv.Atoi(host)
		case "--env-file":
			text, err := os.ReadFile(value)
			if err != nil {
				panic(err)
			}
			c.Env = strings.Split(strings.TrimSpace(string(text)), "\n")
		case "--entrypoint":
			command = []string{value}
		case "--volume":
			work, _, _ = strings.Cut(value, ":")
		}
		at++
	}
	for _, other := range s.all() {
		if other.Name == c.Name {
			fmt.Fprintf(os.Stderr, "Error: the container name %q is already in use\n", c.Name)
			os.Exit(125)
		}
	}
	c.Image = args[at]
	if command == nil {
		command = []string{"./service"} // what the image itself runs
	}
	command = append(command, args[at+1:]...)
	cmd := exec.Command(command[0], command[1:]...) //nolint:gosec // a test's
	cmd.Dir, cmd.SysProcAttr = work, &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(append([]string{"PATH=/usr/bin:/bin"}, c.Env...), "PORT="+strconv.Itoa(c.Host)) // there is no other network to map from
	log, _ := os.Create(filepath.Join(s.dir, c.ID+".log"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(127)
	}
	c.PID = cmd.Process.Pid
	text, _ := json.Marshal(c)
	if err := os.WriteFile(filepath.Join(s.dir, c.ID+".json"), text, 0o600); err != nil {
		panic(err)
	}
	fmt.Println(c.ID)
}
