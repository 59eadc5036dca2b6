package repo

import (
	"testing"

	"gatehouse/gitserver/git"
)

func TestUpstreamDefault(t *testing.T) {
	one, two := git.OID("1"), git.OID("2")
	ref := func(name string, oid git.OID) git.Ref { return git.Ref{Name: name, OID: oid} }
	for name, c := range map[string]struct {
		offered []git.Ref
		head    string
		want    string
	}{
		"told":              {[]git.Ref{ref("HEAD", one), ref("refs/heads/main", one), ref("refs/heads/x", one)}, "refs/heads/x", "x"},
		"not told":          {[]git.Ref{ref("HEAD", one), ref("refs/heads/a", two), ref("refs/heads/x", one)}, "", "x"},
		"not told, twins":   {[]git.Ref{ref("HEAD", one), ref("refs/heads/a", one), ref("refs/heads/master", one)}, "", "master"},
		"our usual":         {[]git.Ref{ref("HEAD", one), ref("refs/heads/main", one), ref("refs/heads/usual", one)}, "", "usual"},
		"unborn":            {[]git.Ref{ref("refs/heads/a", one), ref("refs/heads/b", two)}, "refs/heads/main", "a"},
		"unborn, main":      {[]git.Ref{ref("refs/heads/a", one), ref("refs/heads/main", two)}, "refs/heads/trunk", "main"},
		"a tag":             {[]git.Ref{ref("HEAD", one), ref("refs/heads/a", two), ref("refs/tags/v1", one)}, "refs/tags/v1", "a"},
		"detached":          {[]git.Ref{ref("HEAD", "3"), ref("refs/heads/a", one), ref("refs/heads/master", two)}, "", "master"},
		"nothing but a tag": {[]git.Ref{ref("refs/tags/v1", one)}, "", "usual"},
	} {
		if got := upstreamDefault(c.offered, c.head, "usual"); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}
