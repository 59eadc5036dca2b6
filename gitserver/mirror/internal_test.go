package mirror

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
)

func TestAuth(t *testing.T) {
	s := &Store{Dir: "/data/mirrors"}
	for url, c := range map[string]struct {
		m    Mirror
		want git.Auth
	}{
		"git@example.org:x":     {Mirror{ID: 7, secretFile: "7.key"}, git.Auth{SSHKeyFile: "/data/mirrors/7.key", KnownHosts: "/data/mirrors/7.hosts"}},
		"https://example.org/x": {Mirror{ID: 8, Username: "bob", secretFile: "8.token"}, git.Auth{Username: "bob", TokenFile: "/data/mirrors/8.token"}},
		"https://example.org/y": {Mirror{ID: 9}, git.Auth{}},
		"/srv/git/x.git":        {Mirror{ID: 10}, git.Auth{AllowLocal: true}},
	} {
		to, err := repo.ParseAddress(url, true)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, s.auth(c.m, to)); diff != "" {
			t.Errorf("%s:\n%s", url, diff)
		}
	}
}

func TestPause(t *testing.T) {
	for attempt := range 2000 {
		for id := int64(1); id < 4; id++ {
			got := pause(id, attempt)
			if got < firstPause || got > longestPause {
				t.Fatalf("mirror %d, attempt %d: %v", id, attempt, got)
			}
			if again := pause(id, attempt); again != got {
				t.Fatalf("mirror %d, attempt %d: %v, then %v", id, attempt, got, again)
			}
			if attempt >= 8 && got < longestPause*3/4 {
				t.Fatalf("mirror %d, attempt %d: %v", id, attempt, got)
			}
		}
	}
	spread := map[time.Duration]bool{}
	for id := range int64(100) {
		spread[pause(id, 9)] = true
	}
	if len(spread) < 90 {
		t.Errorf("a hundred mirrors come back at %d times", len(spread))
	}
}

func TestWhyTellsNoSecretAndNoControl(t *testing.T) {
	s := &Store{Dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(s.Dir, "8.token"), []byte("glpat-1"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := Mirror{ID: 8, secretFile: "8.token"}
	got := s.why(m, errors.New("fatal: \x1b[2J401 for glpat-1\n\tat https://example.org \u202e"+strings.Repeat("x", 2000)))
	if strings.Contains(got, "glpat-1") || strings.ContainsAny(got, "\x1b\n\t\u202e") || len([]rune(got)) > maxReason+1 || !strings.Contains(got, "401 for (token) at") {
		t.Errorf("%q", got)
	}
}
