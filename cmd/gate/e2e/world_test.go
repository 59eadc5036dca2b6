package e2e_test

import (
	"crypto/sha1" //nolint:gosec // a Change-Id, not a secret
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// variable is what a name becomes in the environment's names.
func variable(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToUpper(r)
		}
		return '_'
	}, name)
}

// serve starts the server. Its ports are new each time, so every address is set anew.
func (s *script) serve(args []string) {
	s.world.Flags = args
	s.world.Start()
	s.Setenv("HTTP", s.world.HTTP)
	s.Setenv("SSH", s.world.SSH)
	s.Setenv("GATE_URL", s.world.HTTP)
	for name := range s.world.tokens {
		s.address(name)
	}
}

func (s *script) stopIt(_ []string) {
	s.world.Stop()
	s.Setenv("GATE_URL", "")
}

// address sets where somebody reaches the server.
func (s *script) address(name string) {
	s.Setenv(variable(name)+"_TOKEN", s.world.tokens[name])
	s.Setenv(variable(name)+"_HTTP", strings.TrimSuffix(s.world.HTTPRemoteAs(name, s.world.tokens[name], ""), "/"))
	s.Setenv(variable(name)+"_SSH", strings.TrimSuffix(s.world.SSHRemote(name, ""), "/"))
}

func (s *script) account(args []string) {
	if len(args) == 0 {
		s.Fatalf("usage: account NAME [FLAG…]")
	}
	name := args[0]
	key := filepath.Join(s.world.Dir, "key-"+name)
	s.must([]string{"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", key})
	s.must(append([]string{"gate", "account", "create", name, "--email", name + "@example.test", "--ssh-key", key + ".pub"}, args[1:]...))
	s.must([]string{"gate", "token", "create", name})
	s.world.tokens[name] = strings.TrimSpace(s.ReadFile("stdout"))
	f, err := os.OpenFile(s.world.ssh, os.O_APPEND|os.O_WRONLY, 0o600)
	s.Check(err)
	_, err = fmt.Fprintf(f, "Match user %s\n\tIdentityFile %s\n", name, key)
	s.Check(err)
	s.Check(f.Close())
	s.address(name)
}

// seed makes a git repository of a folder and a repository of the server from it, and goes there.
func (s *script) seed(args []string) {
	if len(args) == 0 {
		s.Fatalf("usage: seed NAME [FLAG…]")
	}
	name := args[0]
	s.must([]string{"git", "init", "-q", "-b", "main", name})
	s.Check(s.Chdir(name))
	s.must([]string{"git", "add", "-A"})
	s.must([]string{"git", "commit", "-q", "--allow-empty", "-m", "begin"})
	s.must(append([]string{"gate", "repo", "create", name, "--import", "."}, args[1:]...))
	s.world.repos[name] = s.world.RepositoryDir(name)
	s.Setenv(variable(name)+"_REPO", s.world.repos[name])
}

// change commits one more line in a file, with a Change-Id made of the subject.
func (s *script) change(args []string) {
	if len(args) < 2 || len(args) > 3 {
		s.Fatalf("usage: change FILE SUBJECT [CHANGE-ID|none]")
	}
	f, err := os.OpenFile(s.MkAbs(args[0]), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	s.Check(err)
	_, err = fmt.Fprintln(f, args[1])
	s.Check(err)
	s.Check(f.Close())
	id := fmt.Sprintf("I%x", sha1.Sum([]byte(args[1]))) //nolint:gosec // as git's own hook does
	if len(args) == 3 {
		id = args[2]
	}
	message := args[1]
	if id != "none" {
		message += "\n\nChange-Id: " + id
	}
	s.must([]string{"git", "add", "-A"})
	s.must([]string{"git", "commit", "-q", "-m", message})
}

// waitState waits until a change is where it shall be.
func (s *script) waitState(args []string) {
	if len(args) != 2 {
		s.Fatalf("usage: wait-state CHANGE STATE")
	}
	why := []string{"gate", "why", args[0], "--json"}
	there := s.look(func() bool {
		out, err := s.world.As(s.world.Token(), why[1:]...)
		s.Check(err)
		var e struct{ State string }
		s.Check(json.Unmarshal([]byte(out), &e))
		return e.State == args[1]
	})
	s.must(why)
	if !there {
		s.Fatalf("change %s does not become %s within %s", args[0], args[1], patience)
	}
}

// json looks for something in the JSON on stdout, as requirements[name=unit].evidence.
func (s *script) json(args []string) {
	if len(args) != 2 {
		s.Fatalf("usage: json PATH REGEXP")
	}
	text := s.at(args[0])
	if matched, err := regexp.MatchString(args[1], text); err != nil || !matched {
		s.Fatalf("%s is %q, want %q (%v)", args[0], text, args[1], err)
	}
}

func (s *script) get(args []string) {
	if len(args) != 2 {
		s.Fatalf("usage: get VARIABLE PATH")
	}
	s.Setenv(args[0], s.at(args[1]))
}

// at is the text at a path in the JSON on stdout.
func (s *script) at(path string) string {
	var v any
	s.Check(json.Unmarshal([]byte(s.ReadFile("stdout")), &v))
	v, err := find(v, path)
	s.Check(err)
	if text, ok := v.(string); ok {
		return text
	}
	raw, err := json.Marshal(v)
	s.Check(err)
	return string(raw)
}

// pathStep is one step of a path into JSON: a key, or a choice among the items of a list.
var pathStep = regexp.MustCompile(`^([^.\[\]]+)|^\[(?:(\d+)|([^=\]]+)=([^\]]*))\]`)

func find(v any, path string) (any, error) {
	for rest := path; rest != ""; {
		rest = strings.TrimPrefix(rest, ".")
		m := pathStep.FindStringSubmatch(rest)
		if m == nil {
			return nil, fmt.Errorf("%q is no path", path)
		}
		rest = rest[len(m[0]):]
		var found bool
		switch {
		case m[1] != "":
			object, _ := v.(map[string]any)
			v, found = object[m[1]]
		case m[2] != "":
			list, _ := v.([]any)
			if i, err := strconv.Atoi(m[2]); err == nil && i < len(list) {
				v, found = list[i], true
			}
		default:
			list, _ := v.([]any)
			for _, item := range list {
				if object, ok := item.(map[string]any); ok && !found && fmt.Sprint(object[m[3]]) == m[4] {
					v, found = item, true
				}
			}
		}
		if !found {
			return nil, fmt.Errorf("there is no %s in %s", m[0], path)
		}
	}
	return v, nil
}
