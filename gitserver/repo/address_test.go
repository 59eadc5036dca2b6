package repo_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
)

func TestParseAddress(t *testing.T) {
	for address, want := range map[string]repo.Address{
		"https://git.example.org/team/hello.git":       {Over: repo.OverHTTPS, Host: "git.example.org"},
		"https://git.example.org:8443/hello":           {Over: repo.OverHTTPS, Host: "git.example.org"},
		"https://git.example.org/scm/~bob/hello.git":   {Over: repo.OverHTTPS, Host: "git.example.org"},
		"https://[2001:db8::1]/hello":                  {Over: repo.OverHTTPS, Host: "[2001:db8::1]"},
		"ssh://git@git.example.org/hello.git":          {Over: repo.OverSSH, Host: "git.example.org", User: "git"},
		"ssh://git.example.org:29418/team/hello":       {Over: repo.OverSSH, Host: "git.example.org"},
		"git@git.example.org:team/hello.git":           {Over: repo.OverSSH, Host: "git.example.org", User: "git"},
		"git.example.org:hello":                        {Over: repo.OverSSH, Host: "git.example.org"},
		"org-123@git.example.org:/srv/hello.git":       {Over: repo.OverSSH, Host: "git.example.org", User: "org-123"},
		"/srv/git/hello.git":                           {Over: repo.OverPath},
		"https://git.example.org/with%20space/and@at":  {Over: repo.OverHTTPS, Host: "git.example.org"},
		"ssh://git@git.example.org/~bob/hello%20x.git": {Over: repo.OverSSH, Host: "git.example.org", User: "git"},
	} {
		want.URL = address
		got, err := repo.ParseAddress(address, true)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", address, err, diff)
		}
	}
}

func TestParseAddressRefuses(t *testing.T) {
	const secret = "s3cret"
	for _, address := range []string{
		"", "hello", "./hello", "../hello", "~/hello",
		"ext::sh -c id", "ext::sh%20-c%20id", "fd::17", "transport::x", "a:ext::sh", "git@host::path",
		"file:///srv/hello.git", "file://host/x", "http://example.org/x", "git://example.org/x", "ftp://example.org/x", "rsync://example.org/x", "svn+ssh://example.org/x", "HTTPS://example.org/x",
		"-oProxyCommand=id", "ssh://-oProxyCommand=id/x", "ssh://-oProxyCommand=id@host/x", "-oProxyCommand=id:x", "git@-oProxyCommand=id:x", "git@host:-x", "ssh://git@host/-x", "host:--upload-pack=id", "https://-x/y", "--upload-pack=id",
		"https://alice:" + secret + "@example.org/x", "https://" + secret + "@example.org/x", "ssh://git:" + secret + "@example.org/x", "https://:" + secret + "@example.org/x", "http://alice:" + secret + "@example.org/x", "https://alice%3a" + secret + "@example.org/x",
		"https://example.org/x?token=" + secret, "https://example.org/x#" + secret, "https://example.org", "https://example.org/", "https:///x", "https://example.org:0/x", "https://example.org:99999/x", "ssh://example.org:70000/x",
		"https://example.org/x\nurl=evil", "https://example.org/x\x00", "https://example.org/\x1b[2J", "https://example.org/x y", "https://exämple.org/x", "https://example.org/\u202ex", "https://example.org\\@evil.org/x", "ssh://host/x'y", "ssh://host/$(id)", "ssh://host/`id`", "host:x;id", "host:x|id",
		"/srv/../etc", "/srv/git/", "//srv/git", "/srv/./git", "https://example.org/" + strings.Repeat("a", 500),
	} {
		_, err := repo.ParseAddress(address, true)
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", address, err)
			continue
		}
		if sentence, next := fault.Public(err); next == "" || strings.Contains(err.Error()+sentence+next, secret) {
			t.Errorf("%q: the refusal is %q", address, fault.Sentence(err))
		}
	}
	_, err := repo.ParseAddress("/srv/git/hello.git", false)
	if !fault.Is(err, fault.Denied) {
		t.Errorf("a path where none is allowed: %v", err)
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add("https://git.example.org:8443/hello")
	f.Add("git@git.example.org:team/hello.git")
	f.Add("ext::sh -c id")
	f.Fuzz(func(t *testing.T, address string) {
		a, err := repo.ParseAddress(address, true)
		if err != nil {
			return
		}
		if a.URL != address || strings.HasPrefix(address, "-") || strings.HasPrefix(a.Host, "-") || strings.Contains(address, "::") && !strings.Contains(a.Host, "::") && a.Over != repo.OverPath {
			t.Fatalf("%q became %+v", address, a)
		}
		for _, c := range []byte(address) {
			if c <= ' ' || c >= 0x7f {
				t.Fatalf("%q has %q", address, c)
			}
		}
		if _, rest, ok := strings.Cut(address, "://"); ok && a.Over == repo.OverHTTPS {
			if host, _, _ := strings.Cut(rest, "/"); strings.Contains(host, "@") {
				t.Fatalf("%q has credentials", address)
			}
		}
	})
}
