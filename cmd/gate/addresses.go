package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"gatehouse/gitserver/fault"
)

// addresses is where a server listens, as it writes it down for scripts and for the verbs on
// its folder (DATA/addresses.json). Without a fixed port nothing else knows.
type addresses struct {
	HTTP   string `json:"http"` // with its scheme, as http://127.0.0.1:8080
	SSH    string `json:"ssh"`  // host and port
	URL    string `json:"url"`  // how people reach it
	SSHURL string `json:"ssh_url"`
	PID    int    `json:"pid"`
}

const addressesFile = "addresses.json"

// useAddresses fills in the URLs that were not set: those of the server that ran last on the
// folder, or what the listening addresses come to.
func (s *Settings) useAddresses() {
	var last addresses
	if text, err := os.ReadFile(s.folder(addressesFile)); err == nil {
		_ = json.Unmarshal(text, &last) // what cannot be read says nothing
	}
	if s.URL == "" {
		s.URL = last.URL
	}
	if s.SSHURL == "" {
		s.SSHURL = last.SSHURL
	}
	s.addressed(s.HTTP, s.SSH)
}

// addressed fills in the URLs that were not set from the addresses that are listened on.
func (s *Settings) addressed(http, ssh string) {
	if s.URL == "" {
		s.URL = s.scheme() + "://" + reachable(http)
	}
	s.URL = strings.TrimSuffix(s.URL, "/")
	if s.SSHURL == "" {
		s.SSHURL = "ssh://" + reachable(ssh)
		if u, err := url.Parse(s.URL); err == nil && !isLoopback(ssh) {
			if _, port, err := net.SplitHostPort(ssh); err == nil {
				s.SSHURL = "ssh://" + net.JoinHostPort(u.Hostname(), port)
			}
		}
	}
}

func (s Settings) scheme() string {
	if s.TLSCert != "" {
		return "https"
	}
	return "http"
}

// reachable puts a name for this machine where an address has none.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	return net.JoinHostPort(host, port)
}

// isLoopback reports whether only this machine reaches a listening address.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// checkExposure refuses to send tokens over the network in the clear.
func (s Settings) checkExposure() error {
	if isLoopback(s.HTTP) || s.TLSCert != "" || s.Insecure {
		return nil
	}
	return fault.New(fault.Refused, "gate.serve", fmt.Sprintf("%s is reached by other machines, and without TLS they would send their tokens in the clear", s.HTTP),
		"give --tls-cert and --tls-key, or --insecure-http behind a proxy that does TLS")
}

// tlsConfig is how HTTP is encrypted, nil when it is not.
func (s Settings) tlsConfig() (*tls.Config, error) {
	if s.TLSCert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(s.TLSCert, s.TLSKey)
	if err != nil {
		return nil, fault.Newf(fault.Invalid, "gate.serve", "the certificate cannot be used: %v", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// writeWhole replaces a file as a whole, readable for its owner alone.
func writeWhole(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*") // made with mode 0600
	if err != nil {
		return fmt.Errorf("gate: write %s: %w", name, err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("gate: write %s: %w", name, err), os.Remove(f.Name()))
	}
	return nil
}
