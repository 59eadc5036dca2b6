package assembly

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/fault"
)

const (
	// defaultTTL is how long others may remember a name, when its plan does not say: a switch is
	// seen within a minute.
	defaultTTL = time.Minute
	// maxTTL is a day: a name that somebody remembers for longer cannot follow an assembly.
	maxTTL = 24 * time.Hour
)

// Provider makes a host name lead to an address.
type Provider interface {
	// Bind lets name lead to address, which is an IP address, a host name, or an assembly's
	// address as http://host:port, and to nothing else. It returns when that is so.
	Bind(ctx context.Context, name, address string, ttl time.Duration) error
	// Release takes the name away. One that is gone already is no error.
	Release(ctx context.Context, name string) error
}

// Proxy is the provider that has nothing to do: the names of the [Router] lead to this server
// already, by a wildcard record for example.
type Proxy struct{}

// Bind checks the name only.
func (Proxy) Bind(_ context.Context, name, _ string, _ time.Duration) error {
	return checkName("assembly.Proxy.Bind", hostName(name))
}

// Release does nothing.
func (Proxy) Release(context.Context, string) error { return nil }

// CommandDNS runs a script of the repository, in the sandbox and with network. It is told
// GATE_DNS_ACTION (bind or release), GATE_DNS_NAME, GATE_DNS_ADDRESS (an IP address or a host
// name, for bind) and GATE_DNS_TTL in seconds, and ends with 0 when the name is as it was asked for.
type CommandDNS struct {
	Runner *runner.Runner
	Script string
	// Spec is of the assembly: its tree, secrets and environment are the script's too.
	Spec Spec
	// Target takes the place of addresses on loopback, which lead nowhere from elsewhere: see
	// RFC2136.Target.
	Target string
}

// Bind runs the script.
func (c CommandDNS) Bind(ctx context.Context, name, address string, ttl time.Duration) error {
	const op = "assembly.CommandDNS.Bind"
	host, err := reachable(op, address, c.Target)
	if err != nil {
		return err
	}
	ttl, err = checkTTL(op, ttl)
	if err != nil {
		return err
	}
	return c.run(ctx, op, name, map[string]string{
		"GATE_DNS_ACTION": "bind", "GATE_DNS_ADDRESS": host, "GATE_DNS_TTL": strconv.Itoa(int(ttl / time.Second)),
	})
}

// Release runs the script.
func (c CommandDNS) Release(ctx context.Context, name string) error {
	return c.run(ctx, "assembly.CommandDNS.Release", name, map[string]string{"GATE_DNS_ACTION": "release"})
}

func (c CommandDNS) run(ctx context.Context, op, name string, env map[string]string) error {
	name = hostName(name)
	if err := checkName(op, name); err != nil {
		return err
	}
	if c.Script == "" {
		return fault.New(fault.Invalid, op, "the plan does not say which script binds the name", "give dns a command:")
	}
	env["GATE_DNS_NAME"] = name
	s := script{op: op, what: "the script that binds names", spec: c.Spec, text: c.Script, env: env, bare: true}
	_, err := s.run(ctx, c.Runner)
	return err
}

// reachable is what a name is bound to for an address of an assembly.
func reachable(op, address, target string) (string, error) {
	host := strings.Trim(address, "[]")
	if !strings.Contains(address, "://") {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		address = "http://" + host
	}
	u, err := parseAddress(op, address)
	if err != nil {
		return "", err
	}
	host = u.Hostname()
	ip, err := netip.ParseAddr(host)
	if err != nil && host != "localhost" {
		host = hostName(host)
		return host, checkName(op, host)
	}
	if host != "localhost" && !ip.Unmap().IsLoopback() {
		return ip.Unmap().String(), nil
	}
	if target == "" {
		return "", fault.New(fault.Invalid, op, fmt.Sprintf("%s leads nowhere from elsewhere", address), "tell the server the address at which others reach it")
	}
	if ip, err := netip.ParseAddr(target); err == nil {
		return ip.Unmap().String(), nil
	}
	target = hostName(target)
	return target, checkName(op, target)
}

func checkTTL(op string, ttl time.Duration) (time.Duration, error) {
	if ttl == 0 {
		ttl = defaultTTL
	}
	if ttl < time.Second || ttl > maxTTL {
		return 0, fault.Newf(fault.Invalid, op, "a name may be remembered for 1s to %s, not for %s", maxTTL, ttl)
	}
	return ttl, nil
}

var (
	_ Provider = Proxy{}
	_ Provider = CommandDNS{}
)
