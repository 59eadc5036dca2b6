package assembly

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"gatehouse/gitserver/fault"
)

const (
	// dnsTimeout bounds one exchange with the name server.
	dnsTimeout = 10 * time.Second
	// updateTries is how often an update is made anew when somebody else changed the name between
	// our look and our word.
	updateTries = 5
	// fudge is by how many seconds the clocks of a signer and its server may differ (RFC 8945,
	// section 10, recommends this).
	fudge = 300
	// marker is the label below which a TXT record says that the name is this server's. The name
	// itself may be a CNAME, which has no other records beside it.
	marker = "_gatehouse."
)

// RFC2136 tells a name server by dynamic updates (RFC 2136), signed with TSIG (RFC 8945).
//
// A name that this server bound is marked by a TXT record at _gatehouse.NAME. Names without the mark,
// or with that of another server, are left alone: nobody takes the name of the company's own web
// pages by a plan. Each update is one message, with all that was seen before it as its
// prerequisites: it is made as a whole, or not at all, and never over somebody else's change.
type RFC2136 struct {
	Server    string // host:port of the zone's primary
	Zone      string
	KeyName   string
	Secret    string // base64, as tsig-keygen prints it
	Algorithm string // "" is hmac-sha256
	Owner     string // names this server in its marks, as its address
	// Target is how others reach this server, an IP address or a host name: names of assemblies
	// on loopback are bound to it, and the router does the rest.
	Target string
}

// records is what a name has.
type records struct {
	found []dns.RR // A, AAAA, CNAME and the mark
	owned bool     // the mark is ours
	other bool     // there is something at the name itself
}

// Bind makes the update, and reads it back.
func (p RFC2136) Bind(ctx context.Context, name, address string, ttl time.Duration) error {
	const op = "assembly.RFC2136.Bind"
	fqdn, err := p.check(op, name)
	if err != nil {
		return err
	}
	host, err := reachable(op, address, p.Target)
	if err != nil {
		return err
	}
	if ttl, err = checkTTL(op, ttl); err != nil {
		return err
	}
	want := []dns.RR{record(fqdn, host, ttl), p.mark(fqdn, ttl)}
	if c, ok := want[0].(*dns.CNAME); ok && c.Target == fqdn {
		return fault.Newf(fault.Invalid, op, "%s cannot lead to itself", hostName(name))
	}
	return p.change(ctx, op, fqdn, want)
}

// Release removes the name, if it is ours.
func (p RFC2136) Release(ctx context.Context, name string) error {
	const op = "assembly.RFC2136.Release"
	fqdn, err := p.check(op, name)
	if err != nil {
		return err
	}
	return p.change(ctx, op, fqdn, nil)
}

// change brings name to want, and asks the server whether it is there.
func (p RFC2136) change(ctx context.Context, op, fqdn string, want []dns.RR) error {
	for range updateTries {
		now, err := p.look(ctx, op, fqdn)
		if err != nil {
			return err
		}
		switch {
		case same(now.found, want) && (now.owned || len(want) == 0):
			return nil
		case len(want) == 0 && !now.owned:
			return nil // it is not ours to take away
		case now.other && !now.owned:
			return fault.New(fault.Refused, op, fmt.Sprintf("the name %s exists and was not made by this server", strings.TrimSuffix(fqdn, ".")),
				"choose another name, or remove its records from the zone")
		}
		code, err := p.exchange(ctx, op, p.update(fqdn, now, want))
		if err != nil {
			return err
		}
		switch code.Rcode {
		case dns.RcodeSuccess: // the next look confirms it
		case dns.RcodeNXRrset, dns.RcodeYXDomain, dns.RcodeYXRrset, dns.RcodeNameError: // somebody was quicker
		default:
			return p.said(op, code.Rcode)
		}
	}
	return fault.Newf(fault.Unavailable, op, "the name server does not show the change of %s, or somebody else keeps changing it", strings.TrimSuffix(fqdn, "."))
}

// update is the message that replaces now by want.
func (p RFC2136) update(fqdn string, now records, want []dns.RR) *dns.Msg {
	m := new(dns.Msg)
	m.SetUpdate(dns.Fqdn(p.Zone))
	if !now.other {
		m.NameNotUsed([]dns.RR{empty(fqdn, dns.TypeANY)})
	}
	m.Used(prerequisites(now.found))
	managed := []dns.RR{empty(fqdn, dns.TypeA), empty(fqdn, dns.TypeAAAA), empty(fqdn, dns.TypeCNAME), empty(marker+fqdn, dns.TypeTXT)}
	for _, set := range managed {
		if !slices.ContainsFunc(now.found, func(rr dns.RR) bool { return rr.Header().Rrtype == set.Header().Rrtype }) {
			m.RRsetNotUsed([]dns.RR{set})
		}
	}
	m.RemoveRRset(managed)
	if len(want) > 0 {
		m.Insert(want)
	}
	return m
}

// prerequisites are copies of what was seen, in the form of RFC 2136, section 2.4.2.
func prerequisites(found []dns.RR) []dns.RR {
	var all []dns.RR
	for _, rr := range found {
		rr = dns.Copy(rr)
		rr.Header().Ttl = 0
		all = append(all, rr)
	}
	return all
}

// look asks the server itself what the name has.
func (p RFC2136) look(ctx context.Context, op, fqdn string) (records, error) {
	var r records
	for _, q := range []struct {
		name string
		kind uint16
	}{{marker + fqdn, dns.TypeTXT}, {fqdn, dns.TypeCNAME}, {fqdn, dns.TypeA}, {fqdn, dns.TypeAAAA}, {fqdn, dns.TypeTXT}, {fqdn, dns.TypeNS}, {fqdn, dns.TypeMX}} {
		m := new(dns.Msg)
		m.SetQuestion(q.name, q.kind)
		m.RecursionDesired = false
		answer, err := p.exchange(ctx, op, m)
		if err != nil {
			return records{}, err
		}
		switch {
		case answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError:
			return records{}, p.said(op, answer.Rcode)
		case !answer.Authoritative:
			return records{}, fault.New(fault.Unavailable, op, fmt.Sprintf("the name server %s does not speak for %s", p.Server, q.name),
				"let the setting name the zone's primary")
		}
		for _, rr := range answer.Answer {
			if rr.Header().Rrtype != q.kind || !strings.EqualFold(rr.Header().Name, q.name) {
				continue // where a CNAME leads to
			}
			switch q.kind {
			case dns.TypeTXT, dns.TypeNS, dns.TypeMX:
				if q.name == fqdn {
					r.other = true
					continue
				}
				r.owned = strings.Join(rr.(*dns.TXT).Txt, "") == p.words() //nolint:forcetypeassert // its type says so
			}
			r.found = append(r.found, rr)
			r.other = r.other || q.name == fqdn
		}
	}
	return r, nil
}

// exchange sends one signed message by TCP and takes a signed answer.
func (p RFC2136) exchange(ctx context.Context, op string, m *dns.Msg) (*dns.Msg, error) {
	key := dns.Fqdn(strings.ToLower(p.KeyName))
	m.SetTsig(key, p.algorithm(), fudge, time.Now().Unix()) // the protocol wants the machines' own clocks
	c := &dns.Client{Net: "tcp", Timeout: dnsTimeout, TsigSecret: map[string]string{key: p.Secret}}
	ctx, cancel := context.WithTimeout(ctx, dnsTimeout)
	defer cancel()
	answer, _, err := c.ExchangeContext(ctx, m, p.Server)
	switch {
	case errors.Is(err, dns.ErrAuth) || answer != nil && answer.Rcode == dns.RcodeNotAuth:
		return nil, p.said(op, dns.RcodeNotAuth)
	case err != nil:
		return nil, &fault.Error{
			Kind: fault.Unavailable, Op: op, Public: fmt.Sprintf("the name server %s does not answer", p.Server),
			Next: "see that it runs and takes updates by TCP", Err: err,
		}
	case answer.IsTsig() == nil:
		return nil, fault.Newf(fault.Unavailable, op, "the answer of the name server %s is not signed", p.Server)
	}
	return answer, nil
}

// said turns a refusal of the name server into words.
func (p RFC2136) said(op string, code int) error {
	next := "see the name server's log"
	switch code {
	case dns.RcodeNotAuth:
		next = "see that the key's name, secret and algorithm are the same on both sides, that the clocks agree, and that the server has the zone"
	case dns.RcodeRefused:
		next = "allow the key to update the zone (update-policy or allow-update in BIND)"
	case dns.RcodeNotZone:
		next = "see that the name is in the zone of the settings"
	}
	return fault.New(fault.Unavailable, op, fmt.Sprintf("the name server %s says %s", p.Server, dns.RcodeToString[code]), next)
}

func (p RFC2136) check(op, name string) (string, error) {
	if _, _, err := net.SplitHostPort(p.Server); err != nil || p.Zone == "" || p.KeyName == "" || p.Owner == "" {
		return "", fault.New(fault.Invalid, op, "the settings for dynamic updates are not whole", "set the server as host:port, the zone, the key's name and its secret")
	}
	if _, err := base64.StdEncoding.DecodeString(p.Secret); err != nil || p.Secret == "" {
		return "", fault.New(fault.Invalid, op, "the secret of the key is not base64", "use what tsig-keygen prints after secret")
	}
	if !slices.Contains([]string{dns.HmacSHA256, dns.HmacSHA384, dns.HmacSHA512}, p.algorithm()) {
		return "", fault.New(fault.Invalid, op, fmt.Sprintf("there is no key algorithm %q", p.Algorithm), "use hmac-sha256, hmac-sha384 or hmac-sha512")
	}
	name = hostName(name)
	if err := checkName(op, name); err != nil {
		return "", err
	}
	if zone := hostName(p.Zone); !strings.HasSuffix(name, "."+zone) {
		return "", fault.Newf(fault.Invalid, op, "%s is not below the zone %s", name, zone).WithNext("choose a name in the zone, or set another zone")
	}
	return dns.Fqdn(name), nil
}

func (p RFC2136) algorithm() string {
	if p.Algorithm == "" {
		return dns.HmacSHA256
	}
	return dns.Fqdn(strings.ToLower(p.Algorithm))
}

// words are the mark of this server.
func (p RFC2136) words() string { return "heritage=gatehouse,owner=" + p.Owner }

func (p RFC2136) mark(fqdn string, ttl time.Duration) dns.RR {
	var parts []string
	for text := p.words(); text != ""; {
		n := min(len(text), 255) // the longest string of a TXT record, RFC 1035, section 3.3
		parts, text = append(parts, text[:n]), text[n:]
	}
	return &dns.TXT{Hdr: header(marker+fqdn, dns.TypeTXT, ttl), Txt: parts}
}

// record is what leads from a name to a host.
func record(fqdn, host string, ttl time.Duration) dns.RR {
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return &dns.CNAME{Hdr: header(fqdn, dns.TypeCNAME, ttl), Target: dns.Fqdn(host)}
	case ip.Is4():
		return &dns.A{Hdr: header(fqdn, dns.TypeA, ttl), A: ip.AsSlice()}
	default:
		return &dns.AAAA{Hdr: header(fqdn, dns.TypeAAAA, ttl), AAAA: ip.AsSlice()}
	}
}

func header(name string, kind uint16, ttl time.Duration) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: uint32(ttl / time.Second)} //nolint:gosec // at most a day
}

func empty(name string, kind uint16) dns.RR {
	return &dns.ANY{Hdr: dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET}}
}

// same reports whether two sets of records are equal, time to live included.
func same(a, b []dns.RR) bool {
	if len(a) != len(b) {
		return false
	}
	for _, want := range b {
		if !slices.ContainsFunc(a, func(rr dns.RR) bool { return dns.IsDuplicate(rr, want) && rr.Header().Ttl == want.Header().Ttl }) {
			return false
		}
	}
	return true
}

var _ Provider = RFC2136{}
