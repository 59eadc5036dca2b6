// Package bench_test measures what a client of git feels: the same operation on the same
// repository through gate and through plain git, in turn, in one run.
//
// Machines are noisy, so the figure to trust is the ratio of medians that the table at the
// end prints, not a time. `make bench` runs it.
package bench_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/cmd/gate/gatetest"
)

// commits and files make the repository: a small service of some age.
const (
	commits      = 400
	filesPerDir  = 20
	holdingRefs  = 10_000
	table        = "%-10s %-12s %-12s %9s %9s %9s  %s\n"
	pushedRefs   = "refs/heads/bench-%d"
	serverBranch = "main"
)

// endpoint is one way to a repository.
type endpoint struct {
	name  string
	plain string // the endpoint of plain git that it is compared with, "" for plain git itself
	url   string
	env   []string
}

// samples are wall-clock times by repository, operation and endpoint.
type samples map[string][]time.Duration

func key(repo, op, endpoint string) string { return repo + "\x00" + op + "\x00" + endpoint }

// BenchmarkTransport runs one round of every operation through every endpoint per iteration.
func BenchmarkTransport(b *testing.B) {
	w := newBenchWorld(b)
	all := samples{}
	for b.Loop() {
		for _, repo := range []string{"small", "held"} {
			for _, op := range operations {
				for _, e := range w.endpoints(repo) {
					took := op.run(b, w, e)
					k := key(repo, op.name, e.name)
					all[k] = append(all[k], took)
				}
			}
		}
	}
	w.print(b, all)
}

// operation is something that clients do all day.
type operation struct {
	name string
	run  func(b *testing.B, w *benchWorld, e endpoint) time.Duration
}

var operations = []operation{
	{"ls-remote", func(b *testing.B, w *benchWorld, e endpoint) time.Duration {
		return w.git(b, e, w.tmp, "ls-remote", e.url, "refs/heads/*")
	}},
	{"clone", func(b *testing.B, w *benchWorld, e endpoint) time.Duration {
		dir := filepath.Join(w.tmp, "clone")
		defer func() { _ = os.RemoveAll(dir) }()
		return w.git(b, e, w.tmp, "clone", "-q", "--bare", "--single-branch", e.url, dir)
	}},
	{"noop-fetch", func(b *testing.B, w *benchWorld, e endpoint) time.Duration {
		return w.git(b, e, w.work, "fetch", "-q", e.url, serverBranch)
	}},
	{"push", func(b *testing.B, w *benchWorld, e endpoint) time.Duration {
		w.serial++
		commit := w.commit(b, fmt.Sprintf("bench %d", w.serial))
		return w.git(b, e, w.work, "push", "-q", e.url, commit+":"+fmt.Sprintf(pushedRefs, w.serial))
	}},
}

// benchWorld is a running gate, an sshd and an http-backend over copies of one history.
type benchWorld struct {
	*gatetest.World
	tmp, work string
	plainURL  string
	sshdPort  int
	sshKey    string
	serial    int
}

func newBenchWorld(b *testing.B) *benchWorld {
	w := &benchWorld{World: gatetest.New(b), tmp: b.TempDir()}
	w.work = filepath.Join(w.tmp, "work")
	makeHistory(b, w.work)
	w.Start()
	for _, name := range []string{"small", "held"} {
		w.Gate("repo", "create", name, "--import", w.work)
		bare := filepath.Join(w.tmp, "plain", name+".git")
		run(b, w.tmp, nil, "git", "clone", "-q", "--bare", w.work, bare)
		run(b, bare, nil, "git", "config", "http.receivepack", "true")
		run(b, bare, nil, "git", "config", "receive.autogc", "false")
	}
	held := w.RepositoryDir("held")
	for _, dir := range []string{held, filepath.Join(w.tmp, "plain", "held.git")} {
		addHoldingRefs(b, dir)
	}
	w.plainURL = serveBackend(b, filepath.Join(w.tmp, "plain"))
	w.sshKey = w.Key("bench")
	w.sshdPort = startSSHD(b, w.tmp, w.sshKey+".pub")
	return w
}

func (w *benchWorld) endpoints(repo string) []endpoint {
	ssh := "GIT_SSH_COMMAND=ssh -F none -i " + w.sshKey + " -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o BatchMode=yes -o KexAlgorithms=curve25519-sha256"
	user := os.Getenv("USER")
	if user == "" {
		user = "root"
	}
	return []endpoint{
		{name: "git-http", url: w.plainURL + "/" + repo + ".git"},
		{name: "gate-http", plain: "git-http", url: w.HTTPRemote(repo)},
		{name: "sshd", url: fmt.Sprintf("ssh://%s@127.0.0.1:%d%s/plain/%s.git", user, w.sshdPort, w.tmp, repo), env: []string{ssh}},
		{name: "gate-ssh", plain: "sshd", url: w.SSHRemote("bench", repo), env: []string{ssh}},
	}
}

// git runs one client command and returns how long it took.
func (w *benchWorld) git(b *testing.B, e endpoint, dir string, args ...string) time.Duration {
	b.Helper()
	start := time.Now()
	run(b, dir, e.env, "git", args...)
	return time.Since(start)
}

func (w *benchWorld) commit(b *testing.B, message string) string {
	b.Helper()
	tree := run(b, w.work, nil, "git", "rev-parse", serverBranch+"^{tree}")
	return run(b, w.work, nil, "git", "commit-tree", "-p", serverBranch, "-m", message, tree)
}

// print writes the table: medians, and gate's as a ratio to plain git's.
func (w *benchWorld) print(b *testing.B, all samples) {
	fmt.Printf("\n"+table, "repository", "operation", "endpoint", "min ms", "median ms", "max ms", "ratio to plain git")
	for _, repo := range []string{"small", "held"} {
		for _, op := range operations {
			for _, e := range w.endpoints(repo) {
				s := all[key(repo, op.name, e.name)]
				ratio := "1.00"
				if e.plain != "" {
					r := float64(median(s)) / float64(median(all[key(repo, op.name, e.plain)]))
					ratio = fmt.Sprintf("%.2f × %s", r, e.plain)
					b.ReportMetric(r, strings.Join([]string{repo, op.name, e.name, "ratio"}, "/"))
				}
				fmt.Printf(table, repo, op.name, e.name, ms(slices.Min(s)), ms(median(s)), ms(slices.Max(s)), ratio)
			}
		}
	}
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond)) }

func median(s []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[len(sorted)/2]
}

// makeHistory writes a repository with a fixed history through fast-import.
func makeHistory(b *testing.B, dir string) {
	b.Helper()
	run(b, filepath.Dir(dir), nil, "git", "init", "-q", "-b", serverBranch, dir)
	var in bytes.Buffer
	for i := range commits {
		fmt.Fprintf(&in, "commit refs/heads/%s\ncommitter Bench <bench@example.test> %d +0000\ndata 8\ncommit\n\n", serverBranch, 1_700_000_000+i)
		body := strings.Repeat(fmt.Sprintf("line %d of a file that changes\n", i), 40)
		fmt.Fprintf(&in, "M 100644 inline dir%d/file%d.go\ndata %d\n%s\n", i%7, i%filesPerDir, len(body), body)
	}
	cmd := exec.Command("git", "-C", dir, "fast-import", "--quiet")
	cmd.Stdin = &in
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("fast-import: %v\n%s", err, out)
	}
}

// addHoldingRefs gives a bare repository the refs of a server with many changes.
func addHoldingRefs(b *testing.B, dir string) {
	b.Helper()
	tip := run(b, dir, nil, "git", "rev-parse", "refs/heads/"+serverBranch)
	var in bytes.Buffer
	for n := range holdingRefs {
		fmt.Fprintf(&in, "create refs/changes/%02d/%d/1 %s\n", (n+100_000)%100, n+100_000, tip)
	}
	cmd := exec.Command("git", "-C", dir, "update-ref", "--stdin")
	cmd.Stdin = &in
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("update-ref: %v\n%s", err, out)
	}
	run(b, dir, nil, "git", "pack-refs", "--all")
}

// serveBackend serves the folder with git http-backend behind Go's CGI.
func serveBackend(b *testing.B, root string) string {
	b.Helper()
	execPath := run(b, root, nil, "git", "--exec-path")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(&cgi.Handler{
			Path: filepath.Join(execPath, "git-http-backend"), Dir: root,
			Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=bench", "GIT_PROTOCOL=" + r.Header.Get("Git-Protocol")},
		}).ServeHTTP(w, r)
	}))
	b.Cleanup(server.Close)
	return server.URL
}

// startSSHD runs an OpenSSH server on a free loopback port that lets one key in.
func startSSHD(b *testing.B, tmp, publicKey string) int {
	b.Helper()
	hostKey := filepath.Join(tmp, "sshd_host")
	run(b, tmp, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", hostKey)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	if os.Geteuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			b.Fatal(err)
		}
	}
	cmd := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-h", hostKey, "-p", fmt.Sprint(port),
		"-o", "ListenAddress=127.0.0.1", "-o", "AuthorizedKeysFile="+publicKey, "-o", "StrictModes=no", "-o", "PidFile=none", "-o", "UsePAM=no")
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(10 * time.Second); ; {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = conn.Close()
			return port
		}
		if time.Now().After(deadline) {
			b.Fatal("sshd does not listen")
		}
	}
}

func run(b *testing.B, dir string, env []string, name string, args ...string) string {
	b.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Bench", "GIT_AUTHOR_EMAIL=bench@example.test", "GIT_COMMITTER_NAME=Bench", "GIT_COMMITTER_EMAIL=bench@example.test")
	cmd.Env = append(cmd.Env, env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		b.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	return strings.TrimSpace(out.String())
}
