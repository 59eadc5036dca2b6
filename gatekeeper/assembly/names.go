package assembly

import (
	"net"
	"net/netip"
	"net/url"
	"strings"

	"gatehouse/gitserver/fault"
)

// maxName is the longest host name, see RFC 1035, section 2.3.4.
const maxName = 253

// checkName refuses what is no host name (RFC 1123, section 2.1).
func checkName(op, name string) error {
	bad := fault.Newf(fault.Invalid, op, "%q is no host name", name).WithNext("use letters, digits, hyphens and dots")
	if name == "" || len(name) > maxName || net.ParseIP(name) != nil {
		return bad
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return bad
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return bad
			}
		}
	}
	return nil
}

// hostName is a host as it comes in a request, without its port, its last dot and its case.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// parseAddress reads the address of an assembly: http or https, a host, a port, and nothing else.
// Link-local addresses are refused, because that is where clouds keep their machines' credentials.
func parseAddress(op, address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fault.Newf(fault.Invalid, op, "%q is no address of an assembly", address).WithNext("write it as http://HOST:PORT")
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && (ip.Unmap().IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified()) {
		return nil, fault.Newf(fault.Refused, op, "no assembly is at the address %s", address)
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}, nil
}

// leadsTo reports whether to is where the server listens, which it says as net.Listen takes it. One
// that listens everywhere is at every address of this machine.
func leadsTo(own string, to *url.URL) bool {
	host, port, err := net.SplitHostPort(own)
	if err != nil || port != portNumber(to) {
		return false
	}
	if strings.EqualFold(host, to.Hostname()) {
		return true
	}
	ip := func(name string) netip.Addr {
		if strings.EqualFold(name, "localhost") {
			name = "127.0.0.1"
		}
		a, _ := netip.ParseAddr(name) // a name is the zero value, which is no address
		return a.Unmap()
	}
	a, b := ip(host), ip(to.Hostname())
	switch {
	case a.IsLoopback() || host != "" && !a.IsUnspecified():
		return a.IsValid() && a == b
	case b.IsLoopback():
		return true
	}
	addresses, _ := net.InterfaceAddrs() // without them the loop is found by its header
	for _, local := range addresses {
		if n, ok := local.(*net.IPNet); ok && n.IP.String() == b.String() {
			return true
		}
	}
	return false
}

func portNumber(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}
