package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"gatehouse/gitserver/fault"
)

const (
	// hookTimeout bounds one delivery, from the look-up of the name to the end of the answer.
	hookTimeout = 10 * time.Second
	// hookDial bounds the connection alone.
	hookDial = 5 * time.Second
	// maxAnswer is how much of an answer is read; what is beyond nobody needs.
	maxAnswer = 4 << 10
	// maxAnswerHeaders bounds the headers of an answer.
	maxAnswerHeaders = 16 << 10
)

// special are the networks that are no part of the public internet (the registries of IANA,
// RFC 6890), beside those that netip knows by itself, and those of IPv6 that carry an IPv4
// address in them, which could be any of the others.
var special = networks(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
)

func networks(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// public reports whether an address is one of the public internet.
func public(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
		return false
	}
	for _, n := range special {
		if n.Contains(ip) {
			return false
		}
	}
	return true
}

// errPlace is why an address is not dialled. It names no address: who owns a repository should
// not learn how names resolve inside the server's network.
var errPlace = errors.New("the address is not a public one, and this server allows no webhooks there (webhook-networks)")

// errPlain is why a public address is not dialled without TLS.
var errPlain = errors.New("plain http goes only to the networks that the server's operator named (webhook-networks); use https")

// allowed decides about the address that is about to be dialled: after the name was looked up,
// so that a name which answers differently each time gains nothing.
func (s *Service) allowed(address string, encrypted bool) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return errPlace
	}
	ip := at.Addr().Unmap()
	for _, n := range s.Networks {
		if n.Contains(ip.WithZone("")) {
			return nil
		}
	}
	if ip.Zone() != "" || !public(ip) {
		return errPlace
	}
	if !encrypted {
		return errPlain
	}
	return nil
}

// hookClient makes one request to wherever a webhook goes. Each has its own: no connection is
// kept, so that each dial is decided anew.
func (s *Service) hookClient(encrypted bool) *http.Client {
	dialer := &net.Dialer{Timeout: hookDial, Control: func(_, address string, _ syscall.RawConn) error { return s.allowed(address, encrypted) }}
	return &http.Client{
		Timeout: hookTimeout,
		// A redirect could lead anywhere, and would take the signature along.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: nil, // a proxy would look the name up by itself
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, address)
			},
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.Roots},
			TLSHandshakeTimeout:    hookDial,
			ResponseHeaderTimeout:  hookTimeout,
			MaxResponseHeaderBytes: maxAnswerHeaders,
			DisableKeepAlives:      true,
			DisableCompression:     true, // a small answer could unfold to a large one
			ForceAttemptHTTP2:      true,
		},
	}
}

// OutsideClient makes one request to another server that somebody named, as a webhook's is made:
// to a public address, or one in the networks that the operator allowed.
func (s *Service) OutsideClient(encrypted bool) *http.Client { return s.hookClient(encrypted) }

// ParseNetworks reads the networks that webhooks may go to although they are not public:
// "10.1.0.0/16", or one address.
func ParseNetworks(texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range texts {
		n, err := netip.ParsePrefix(text)
		if err != nil {
			ip, err := netip.ParseAddr(text)
			if err != nil || ip.Zone() != "" {
				return nil, fault.New(fault.Invalid, "notify.ParseNetworks", fmt.Sprintf("webhook-networks has %q, which is no network", oneLine(text, maxWord)), "write it as 10.1.0.0/16 or 127.0.0.1")
			}
			ip = ip.Unmap()
			n = netip.PrefixFrom(ip, ip.BitLen())
		}
		all = append(all, n.Masked())
	}
	return all, nil
}
