package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdNameserver starts BIND with the zone example.test, which takes signed updates, and sets
// DNS_SERVER and DNS_KEY_FILE.
func cmdNameserver(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: nameserver")
	}
	program, err := exec.LookPath("named")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/named")
	}
	if err != nil {
		ts.Fatalf("BIND is not installed: apt-get install bind9")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	at := listener.Addr().String()
	ts.Check(listener.Close())
	_, port, err := net.SplitHostPort(at)
	ts.Check(err)
	dir := ts.MkAbs("nameserver")
	ts.Check(os.MkdirAll(dir, 0o700))
	key := base64.StdEncoding.EncodeToString([]byte("a key of thirty-two bytes, made up"))
	for name, text := range map[string]string{
		"key":  key + "\n",
		"zone": "$TTL 60\n@ SOA ns.example.test. admin.example.test. 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\n",
		"named.conf": fmt.Sprintf(`
options { directory %q; pid-file none; session-keyfile none; listen-on port %s { 127.0.0.1; }; listen-on-v6 { none; }; recursion no; dnssec-validation no; };
controls { };
key gate { algorithm hmac-sha256; secret %q; };
zone "example.test" { type primary; file "zone"; update-policy { grant gate subdomain example.test. A AAAA CNAME TXT; }; };
`, dir, port, key),
	} {
		ts.Check(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	ts.Check(err)
	cmd := exec.Command(program, "-g", "-c", filepath.Join(dir, "named.conf"), "-n", "1") //nolint:gosec // a test's
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
	})
	until(ts, "the name server runs", func() bool {
		text, err := os.ReadFile(log.Name())
		return err == nil && strings.Contains(string(text), "running")
	})
	ts.Setenv("DNS_SERVER", at)
	ts.Setenv("DNS_KEY_FILE", filepath.Join(dir, "key"))
}

// cmdResolves wants the name server to say that a name leads to an address, or with ! that it
// leads nowhere.
func cmdResolves(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] resolves NAME ADDRESS")
	}
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, ts.Getenv("DNS_SERVER"))
	}}
	found, err := resolver.LookupHost(context.Background(), args[0])
	if is := err == nil && slices.Equal(found, []string{args[1]}); is == neg {
		ts.Fatalf("%s leads to %q, %v", args[0], found, err)
	}
}

// cmdWaitSays runs a command until its output has a text.
func cmdWaitSays(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: waitsays TEXT COMMAND…")
	}
	last := ""
	until(ts, fmt.Sprintf("%s says %q", strings.Join(args[1:], " "), args[0]), func() bool {
		path := args[1]
		if found, err := exec.LookPath(path); err == nil {
			path = found
		}
		cmd := exec.Command(path, args[2:]...) //nolint:gosec // the script's
		cmd.Dir, cmd.Env = ts.MkAbs("."), os.Environ()
		for _, name := range []string{"GATE_URL", "GATE_TOKEN"} {
			cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
		}
		out, _ := cmd.CombinedOutput() // a command that fails says why, which is looked at too
		if string(out) != last {
			last = string(out)
			ts.Logf("[%s]", last)
		}
		return strings.Contains(last, args[0])
	})
}
