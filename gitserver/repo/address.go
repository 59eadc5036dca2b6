package repo

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"gatehouse/gitserver/fault"
)

// maxAddress bounds the address of an upstream; it is shown on pages and in every status line.
const maxAddress = 500

// How an [Address] is reached.
const (
	OverHTTPS = "https"
	OverSSH   = "ssh"
	OverPath  = "path" // a folder of this machine
)

// Address is where an upstream repository is.
type Address struct {
	URL  string // as git is given it
	Over string // [OverHTTPS], [OverSSH] or [OverPath]
	Host string // "" for a path
	User string // the one in front of an SSH host, or ""
}

// The forms, whole and strict: git understands far more, and some of it runs programs.
var (
	hostForm = `([A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])`
	userForm = `(?:([A-Za-z0-9_][A-Za-z0-9._-]{0,63})@)?`
	portForm = `(?::([0-9]{1,5}))?`
	pathForm = `([A-Za-z0-9_~.%+,=@/-]+)`

	httpsURL = regexp.MustCompile(`^https://` + hostForm + portForm + `/` + pathForm + `$`)
	sshURL   = regexp.MustCompile(`^ssh://` + userForm + hostForm + portForm + `/` + pathForm + `$`)
	scpURL   = regexp.MustCompile(`^` + userForm + hostForm + `:` + pathForm + `$`)
	withUser = regexp.MustCompile(`^[A-Za-z0-9+]*://[^/]*@`)
	withPass = regexp.MustCompile(`^[A-Za-z0-9+]*://[^/@]*:[^/]*@`)
)

// ParseAddress reads the address of an upstream that the server is asked to go to: https, ssh
// (also as HOST:PATH), or, where allowLocal, an absolute path. All else is Invalid: other
// transports, credentials inside the address, anything that a program could take for an
// option, and control characters.
func ParseAddress(address string, allowLocal bool) (Address, error) {
	const forms = "use https://HOST/PATH, ssh://git@HOST/PATH or git@HOST:PATH"
	refuse := func(why, next string) (Address, error) {
		return Address{}, fault.New(fault.Invalid, "repo.ParseAddress", why, next)
	}
	if address == "" || len(address) > maxAddress {
		return refuse(fmt.Sprintf("an address has 1 to %d characters", maxAddress), forms)
	}
	for i := range len(address) {
		if c := address[i]; c <= ' ' || c >= 0x7f {
			return refuse("this address has spaces, control or non-ASCII characters", "write them as %20 and so on")
		}
	}
	if filepath.IsAbs(address) {
		return parsePath(address, allowLocal)
	}
	if m := httpsURL.FindStringSubmatch(address); m != nil {
		return Address{URL: address, Over: OverHTTPS, Host: m[1]}, checkPort(m[2])
	}
	if withPass.MatchString(address) || (withUser.MatchString(address) && !strings.HasPrefix(address, "ssh://")) {
		return refuse("this address has a password or a token in it", "leave it out, and give the user name and the token by themselves")
	}
	if m := sshURL.FindStringSubmatch(address); m != nil && !strings.HasPrefix(m[4], "-") {
		return Address{URL: address, Over: OverSSH, User: m[1], Host: m[2]}, checkPort(m[3])
	}
	if m := scpURL.FindStringSubmatch(address); m != nil && !strings.Contains(address, "//") && !strings.HasPrefix(m[3], "-") {
		return Address{URL: address, Over: OverSSH, User: m[1], Host: m[2]}, nil
	}
	if strings.HasPrefix(address, "http://") || strings.HasPrefix(address, "git://") {
		return refuse("over "+address[:strings.Index(address, ":")]+" everybody on the way could read and change what is sent", forms)
	}
	return refuse("this is no address that the server goes to", forms) // not quoted back: there may be a secret in it
}

func parsePath(path string, allowLocal bool) (Address, error) {
	const op = "repo.ParseAddress"
	if !allowLocal {
		return Address{}, fault.New(fault.Denied, op, "a folder of the server's own machine is for administrators", "use an https or ssh address, or ask an administrator")
	}
	if filepath.Clean(path) != path {
		return Address{}, fault.New(fault.Invalid, op, fmt.Sprintf("%q is not a clean path", clip(path)), "use "+clip(filepath.Clean(path)))
	}
	return Address{URL: path, Over: OverPath}, nil
}

func checkPort(port string) error {
	if port == "" {
		return nil
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return fault.New(fault.Invalid, "repo.ParseAddress", fmt.Sprintf("there is no port %s", port), "use 1 to 65535")
	}
	return nil
}
