package gitserver

import (
	"strings"
	"testing"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
)

func TestParseExec(t *testing.T) {
	for line, want := range map[string]execCommand{
		"git-upload-pack 'hello.git'":                           {uploadPack, "hello"},
		"git-upload-pack '/hello.git'":                          {uploadPack, "hello"},
		"git-upload-pack '/hello'":                              {uploadPack, "hello"},
		"git-upload-pack hello":                                 {uploadPack, "hello"}, // Zuul does not quote
		"git-upload-pack 'org/proj.git'":                        {uploadPack, "org/proj"},
		"git-upload-pack /org/proj":                             {uploadPack, "org/proj"},
		"git-upload-pack \"org/proj\"":                          {uploadPack, "org/proj"},
		"git-upload-pack '/a/org/proj'":                         {uploadPack, "org/proj"},
		"git-upload-pack '/p/proj.git'":                         {uploadPack, "proj"},
		"git upload-pack 'hello.git'":                           {uploadPack, "hello"},
		"git receive-pack '/hello.git'":                         {receivePack, "hello"},
		"git-receive-pack 'hello.git'":                          {receivePack, "hello"},
		"git-receive-pack 'hel'\\''lo.git'":                     {}, // unquoted well, and no name
		"git-receive-pack hel\\lo":                              {receivePack, "hello"},
		"git-receive-pack 'hel'lo\".git\"":                      {receivePack, "hello"},
		"git-receive-pack  'hello'  ":                           {receivePack, "hello"},
		"git-upload-archive 'hello.git'":                        {},
		"git|upload-pack 'hello.git'":                           {},
		"git\tupload-pack 'hello.git'":                          {},
		"git  upload-pack 'hello.git'":                          {},
		"git-upload-pack":                                       {},
		"git-upload-pack ''":                                    {},
		"git-upload-pack 'a' 'b'":                               {},
		"git-upload-pack 'a":                                    {},
		"git-upload-pack a\\":                                   {},
		"git-upload-pack --strict 'a'":                          {},
		"git-upload-pack '--help'":                              {},
		"git-upload-pack -h":                                    {},
		"git-upload-pack 'a'; touch /tmp/x":                     {},
		"git-upload-pack a;id":                                  {},
		"git-upload-pack $(id)":                                 {},
		"git-upload-pack `id`":                                  {},
		"git-upload-pack \"$HOME\"":                             {},
		"git-upload-pack \"`id`\"":                              {},
		"git-upload-pack a|b":                                   {},
		"git-upload-pack a>b":                                   {},
		"git-upload-pack a&":                                    {},
		"git-upload-pack 'a'\n'b'":                              {},
		"git-upload-pack 'a\nb'":                                {},
		"git-upload-pack 'a\x00b'":                              {},
		"git-upload-pack a\x00":                                 {},
		"git-upload-pack '../x'":                                {},
		"git-upload-pack '../../x.git'":                         {},
		"git-upload-pack '//etc/passwd'":                        {},
		"git-upload-pack '/etc/../x'":                           {},
		"git-upload-pack 'hello.git.git'":                       {},
		"git-upload-pack 'hello%2egit'":                         {},
		"git-upload-pack '~/x'":                                 {},
		"git-upload-pack 'a//b'":                                {},
		"git-upload-pack 'a/'":                                  {},
		"GIT-UPLOAD-PACK 'hello'":                               {},
		"git-lfs-authenticate 'hello' upload":                   {},
		"sh -c id":                                              {},
		"scp -f x":                                              {},
		"":                                                      {},
		" ":                                                     {},
		"git":                                                   {},
		"git-upload-pack '" + strings.Repeat("x", 64<<10) + "'": {},
	} {
		got, err := parseExec(line)
		if got != want || (err == nil) != (want != execCommand{}) {
			t.Errorf("%.80q: got %+v, %v; want %+v", line, got, err, want)
		}
		if err != nil && fault.Is(err, fault.Internal) {
			t.Errorf("%.80q: no words: %v", line, err)
		}
	}
}

func FuzzParseExec(f *testing.F) {
	for _, line := range []string{"git-upload-pack 'hello.git'", "git receive-pack \"a/b\"", "git-upload-pack 'a'\\''b'", "git-upload-pack $(id)"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		cmd, err := parseExec(line)
		if err != nil {
			if cmd != (execCommand{}) {
				t.Fatalf("%q: an error and %+v", line, cmd)
			}
			return
		}
		if cmd.service != uploadPack && cmd.service != receivePack {
			t.Fatalf("%q: service %q", line, cmd.service)
		}
		if err := repo.CheckName(cmd.repo); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
	})
}
