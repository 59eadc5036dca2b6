package assembly

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gatehouse/gitserver/fault"
)

const (
	testKey    = "gate-key"
	testSecret = "c2VjcmV0IG9mIHRoZSB0ZXN0cywgb2YgMzIgYnl0ZXM="
)

// named is BIND with the zone example.test, on a port of its own.
func named(t *testing.T) RFC2136 {
	t.Helper()
	program, err := exec.LookPath("named")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/named")
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("BIND is not installed: apt-get install bind9")
		}
		t.Skip("BIND is not installed: apt-get install bind9")
	}
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("zone", "$TTL 60\n@ SOA ns.example.test. admin.example.test. 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\nwww A 192.0.2.80\nmail MX 10 ns\n")
	write("named.conf", fmt.Sprintf(`
options { directory %q; pid-file none; session-keyfile none; listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; };
  recursion no; dnssec-validation no; max-journal-size 1m; };
controls { };
key %s { algorithm hmac-sha256; secret %q; };
key readonly { algorithm hmac-sha256; secret %q; };
zone "example.test" { type primary; file "zone"; update-policy { grant %s subdomain example.test. A AAAA CNAME TXT; }; };
`, dir, port, testKey, testSecret, testSecret, testKey))
	cmd := exec.Command(program, "-g", "-c", filepath.Join(dir, "named.conf"), "-p", strconv.Itoa(port), "-n", "1") //nolint:gosec // a test's
	var log syncBuffer
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &log, &log, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("named:\n%s", log.String())
		}
	})
	eventually(t, "named runs", func() bool { return strings.Contains(log.String(), "running") && taken(port) })
	return RFC2136{
		Server: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Zone: "example.test", KeyName: testKey, Secret: testSecret,
		Owner: "https://gate.example.test", Target: "203.0.113.7",
	}
}

// zone asks the name server, as anybody may, for all that a name has.
func zone(t *testing.T, p RFC2136, name string) []string {
	t.Helper()
	var found []string
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeTXT, dns.TypeMX} {
		m := new(dns.Msg)
		m.SetQuestion(dns.Fqdn(name), kind)
		answer, err := dns.Exchange(m, p.Server)
		if err != nil {
			t.Fatal(err)
		}
		for _, rr := range answer.Answer {
			if rr.Header().Rrtype == kind {
				found = append(found, strings.Join(strings.Fields(rr.String())[1:], " "))
			}
		}
	}
	return found
}

func wantZone(t *testing.T, p RFC2136, name string, want ...string) {
	t.Helper()
	if got := zone(t, p, name); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s has %q, want %q", name, got, want)
	}
}

func TestDynamicUpdates(t *testing.T) {
	p, ctx := named(t), t.Context()
	const name, mark = "c17.preview.example.test", "_gatehouse.c17.preview.example.test"
	marked := func(ttl string) string { return ttl + ` IN TXT "heritage=gatehouse,owner=https://gate.example.test"` }
	for _, tt := range []struct {
		address string
		ttl     time.Duration
		want    string
	}{
		{"192.0.2.1", 0, "60 IN A 192.0.2.1"},
		{"192.0.2.1", 0, "60 IN A 192.0.2.1"}, // once more
		{"http://192.0.2.2:8080", 5 * time.Minute, "300 IN A 192.0.2.2"},
		{"http://[2001:db8::2]:8080", time.Minute, "60 IN AAAA 2001:db8::2"},
		{"2001:db8::3", time.Minute, "60 IN AAAA 2001:db8::3"},
		{"lb.cloud.example.net", time.Minute, "60 IN CNAME lb.cloud.example.net."},
		{"lb.cloud.example.net", time.Hour, "3600 IN CNAME lb.cloud.example.net."}, // the time alone
		{"http://127.0.0.1:4123", time.Minute, "60 IN A 203.0.113.7"},              // the router's
	} {
		if err := p.Bind(ctx, "C17.preview.example.test.", tt.address, tt.ttl); err != nil {
			t.Fatalf("%s: %v", tt.address, err)
		}
		wantZone(t, p, name, tt.want)
		ttl, _, _ := strings.Cut(tt.want, " ")
		wantZone(t, p, mark, marked(ttl))
	}
	other := p
	other.Owner = "https://gate.other.test"
	if err := other.Bind(ctx, name, "192.0.2.9", 0); !fault.Is(err, fault.Refused) {
		t.Errorf("another server's name: %v", err)
	}
	if err := other.Release(ctx, name); err != nil {
		t.Error(err)
	}
	wantZone(t, p, name, "60 IN A 203.0.113.7")
	for range 2 {
		if err := p.Release(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	wantZone(t, p, name)
	wantZone(t, p, mark)
}

// A plan cannot take a name that people use.
func TestDynamicUpdatesLeaveOthersNamesAlone(t *testing.T) {
	p, ctx := named(t), t.Context()
	for name, want := range map[string]string{"www.example.test": "60 IN A 192.0.2.80", "mail.example.test": "60 IN MX 10 ns.example.test."} {
		err := p.Bind(ctx, name, "192.0.2.1", 0)
		if !fault.Is(err, fault.Refused) || !strings.Contains(err.Error(), "was not made by this server") {
			t.Errorf("%s: %v", name, err)
		}
		if err := p.Release(ctx, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantZone(t, p, name, want)
	}
	for name, want := range map[string]string{
		"example.test": "not below the zone", "www.example.com": "not below the zone", "*.example.test": "no host name", "a_b.example.test": "no host name",
		"evilexample.test": "not below the zone",
	} {
		if err := p.Bind(ctx, name, "192.0.2.1", 0); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, tt := range []struct {
		address string
		ttl     time.Duration
	}{{"http://169.254.169.254", 0}, {"fe80::1", 0}, {"http://a.test/path", 0}, {"a b", 0}, {"", 0}, {"192.0.2.1", time.Millisecond}, {"192.0.2.1", 48 * time.Hour}, {"x.example.test", 0}} {
		if err := p.Bind(ctx, "x.example.test", tt.address, tt.ttl); !Failed(err) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

func TestDynamicUpdatesSayWhatIsWrong(t *testing.T) {
	p := named(t)
	for _, tt := range []struct {
		name string
		edit func(*RFC2136)
		want string
	}{
		{"another secret", func(p *RFC2136) { p.Secret = "YW5vdGhlciBzZWNyZXQ=" }, "the key's name, secret and algorithm"},
		{"no such key", func(p *RFC2136) { p.KeyName = "nobody" }, "the key's name, secret and algorithm"},
		{"a key that may not", func(p *RFC2136) { p.KeyName = "readonly" }, "allow the key to update the zone"},
		{"another algorithm", func(p *RFC2136) { p.Algorithm = "hmac-sha512" }, "the key's name, secret and algorithm"},
		{"an old algorithm", func(p *RFC2136) { p.Algorithm = "hmac-md5" }, "use hmac-sha256"},
		{"no base64", func(p *RFC2136) { p.Secret = "%%" }, "what tsig-keygen prints"},
		{"no server", func(p *RFC2136) { p.Server = "127.0.0.1" }, "host:port"},
		{"nobody there", func(p *RFC2136) { p.Server = "127.0.0.1:1" }, "see that it runs"},
		{"no target", func(p *RFC2136) { p.Target = "" }, "at which others reach it"},
	} {
		q := p
		tt.edit(&q)
		err := q.Bind(t.Context(), "x.example.test", "http://127.0.0.1:4000", 0)
		if _, next := fault.Public(err); !strings.Contains(next, tt.want) {
			t.Errorf("%s: %v; %s", tt.name, err, next)
		}
		if err != nil && strings.Contains(err.Error()+fault.Sentence(err), q.Secret) {
			t.Errorf("%s: the secret is in %v", tt.name, err)
		}
	}
	wantZone(t, p, "x.example.test")
}

// Many at once, of two servers: one wins the name, and it has that one's records whole.
func TestDynamicUpdatesRace(t *testing.T) {
	p := named(t)
	const servers = 4
	won := make([]bool, servers)
	var binds sync.WaitGroup
	for n := range servers {
		q := p
		q.Owner = fmt.Sprintf("server-%d", n)
		binds.Go(func() {
			err := q.Bind(context.Background(), "race.example.test", fmt.Sprintf("192.0.2.%d", n+1), 0)
			won[n] = err == nil
			if err != nil && !fault.Is(err, fault.Refused) {
				t.Error(err)
			}
		})
	}
	binds.Wait()
	winners := 0
	for n, w := range won {
		if w {
			winners++
			wantZone(t, p, "race.example.test", fmt.Sprintf("60 IN A 192.0.2.%d", n+1))
			wantZone(t, p, "_gatehouse.race.example.test", fmt.Sprintf(`60 IN TXT "heritage=gatehouse,owner=server-%d"`, n))
		}
	}
	if winners != 1 {
		t.Errorf("%d servers have the name: %v", winners, won)
	}
}

func TestCommandDNS(t *testing.T) {
	dir := t.TempDir()
	tree := t.TempDir()
	if err := os.WriteFile(filepath.Join(tree, "dns.sh"), []byte("echo $GATE_DNS_ACTION $GATE_DNS_NAME $GATE_DNS_ADDRESS $GATE_DNS_TTL with $TOKEN\nexit ${CODE:-0}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log syncBuffer
	s := spec(t, 7)
	s.Tree, s.Secrets, s.Log = copyTo(tree), map[string]string{"TOKEN": "hunter2hunter2"}, &log
	c := CommandDNS{Runner: newRunner(dir), Script: "sh dns.sh", Spec: s, Target: "gate.example.test"}
	var p Provider = c
	if err := p.Bind(t.Context(), "Hello.example.test", "http://127.0.0.1:4000", 0); err != nil {
		t.Fatal(err)
	}
	if err := p.Release(t.Context(), "hello.example.test"); err != nil {
		t.Fatal(err)
	}
	want := "bind hello.example.test gate.example.test 60 with [masked]\nrelease hello.example.test with [masked]\n"
	if got := strings.ReplaceAll(log.String(), "   ", " "); strings.ReplaceAll(got, "  ", " ") != want {
		t.Errorf("%q, want %q", got, want)
	}
	s.Env["CODE"] = "1"
	if err := p.Release(t.Context(), "hello.example.test"); !Failed(err) || !strings.Contains(err.Error(), "exit code 1") {
		t.Errorf("%v", err)
	}
	s.Env["CODE"] = "75"
	if err := p.Release(t.Context(), "hello.example.test"); err == nil || Failed(err) {
		t.Errorf("%v", err)
	}
	if err := p.Bind(t.Context(), "$(touch x).example.test", "192.0.2.1", 0); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
	if err := (Proxy{}).Bind(t.Context(), "a b", "", 0); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
}
