package runner

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Secret is a value that a stage is told and that nothing which is kept of the stage shows.
type Secret struct {
	Name  string // the server's
	Env   string // the variable that holds it, or "",
	File  string // the file below $GATE_SECRETS, or ""
	Value []byte
}

// Limits of secrets.
const (
	// minSecret is the shortest value, in bytes, that can be a secret: a shorter one stands in
	// logs by chance, and is guessed.
	minSecret = 8
	// maxSecret is the size of one value, a private key with its chain; maxSecrets how many a
	// stage has.
	maxSecret  = 64 << 10
	maxSecrets = 64
	// maxSecretFile is the length of a file's name.
	maxSecretFile = 100
)

// secretsAt is where the files with secrets are inside the walls.
const secretsAt = "/secrets"

// secretsVar tells the stage where.
const secretsVar = "GATE_SECRETS"

// checkSecrets sees that all can be told and masked.
func checkSecrets(secrets []Secret) error {
	if len(secrets) > maxSecrets {
		return refusal{fmt.Sprintf("it asks for %d secrets; at most %d are told", len(secrets), maxSecrets)}
	}
	files := map[string]bool{}
	for _, s := range secrets {
		switch {
		case len(bytes.TrimSpace(s.Value)) < minSecret:
			return fmt.Errorf("the secret %q has less than %d bytes: it could be guessed, and would be masked where it stands by chance; give it a longer value", s.Name, minSecret)
		case len(s.Value) > maxSecret:
			return fmt.Errorf("the secret %q has more than %d bytes: tell the stage a key to fetch it with", s.Name, maxSecret)
		case s.Env == "" && s.File == "":
			return refusal{fmt.Sprintf("the secret %q has neither a variable nor a file: name one in the plan", s.Name)}
		case s.Env != "" && (!isVariable(s.Env) || s.Env == secretsVar):
			return refusal{fmt.Sprintf("the secret %q cannot be in the variable %q: use letters, digits and _", s.Name, s.Env)}
		case s.Env != "" && bytes.IndexByte(s.Value, 0) >= 0:
			return fmt.Errorf("the secret %q has a zero byte, which no variable can hold: name a file for it in the plan", s.Name)
		case s.File != "" && (!isPlainName(s.File) || files[s.File]):
			return refusal{fmt.Sprintf("the secret %q cannot be in the file %q: use letters, digits, - . and _, and each name once", s.Name, s.File)}
		}
		if s.File != "" {
			files[s.File] = true
		}
	}
	return nil
}

func isVariable(s string) bool {
	return s[0] > '9' && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

func isPlainName(s string) bool {
	return len(s) <= maxSecretFile && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._") == "" && s != "." && s != ".."
}

// secretFiles are those secrets that are told in files, by name; nil for none.
func (j *job) secretFiles() map[string][]byte {
	var files map[string][]byte
	for _, s := range j.req.Secrets {
		if s.File != "" {
			if files == nil {
				files = map[string][]byte{}
			}
			files[s.File] = s.Value
		}
	}
	return files
}

// secretsDir is where the stage finds them. Inside the walls that is memory of its own, which is
// gone with it; without walls it is a folder of the work folder.
func (j *job) secretsDir() string {
	if j.runner.Sandbox == None {
		return filepath.Join(j.dir, "secrets")
	}
	return secretsAt
}

// writeSecrets makes the files, as their reader.
func writeSecrets(o orders) error {
	if len(o.Secrets) == 0 {
		return nil
	}
	if o.Mode == None {
		if err := os.Mkdir(o.SecretsDir, 0o700); err != nil {
			return err
		}
	}
	err := asStage(o, func() error {
		for name, value := range o.Secrets {
			f, err := os.OpenFile(filepath.Join(o.SecretsDir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY|unix.O_NOFOLLOW, 0o400)
			if err != nil {
				return err
			}
			_, err = f.Write(value)
			if err := errors.Join(err, f.Close()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if o.Mode == Embedded {
		return unix.Mount("", o.SecretsDir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	}
	return nil
}

// secretsSize bounds the memory of the files: each takes whole pages.
const secretsSize = maxSecrets * (maxSecret + 8<<10)

// mountSecrets makes the memory that they are in, below the root of an embedded sandbox.
func mountSecrets(o orders) error {
	if len(o.Secrets) == 0 {
		return nil
	}
	target := filepath.Join(o.Root, o.SecretsDir)
	if err := os.Mkdir(target, 0o755); err != nil {
		return err
	}
	return unix.Mount("tmpfs", target, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, fmt.Sprintf("size=%d,mode=1777", secretsSize))
}
