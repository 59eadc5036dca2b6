package gitserver

import (
	"strings"
	"testing"

	"gatehouse/gitserver/git"
)

func readPkts(t *testing.T, text string) string {
	t.Helper()
	r := pkts(text)
	var out strings.Builder
	for {
		kind, line, err := r.next(maxPayload)
		switch {
		case err != nil:
			t.Fatal(err)
		case kind == pktEnd:
			return out.String()
		case kind == pktFlush:
			out.WriteString("FLUSH\n")
		default:
			out.Write(line)
		}
	}
}

func TestReport(t *testing.T) {
	two := git.OID(strings.Repeat("2", 40))
	outcomes := []outcome{
		{Command{"refs/for/main", git.Zero, git.OID(oneID)}, Result{Ref: "refs/for/main", HeldRef: "refs/changes/01/1/1"}},
		{Command{"refs/heads/a", git.Zero, git.OID(oneID)}, Result{Ref: "refs/heads/a", NewOID: git.OID(oneID)}},
		{Command{"refs/heads/b", git.Zero, git.OID(oneID)}, Result{Ref: "refs/heads/b", NewOID: two}},
		{Command{"refs/heads/c\x1b[2J", git.Zero, git.OID(oneID)}, Result{Reason: "no\nok refs/heads/d\x1b[2J " + strings.Repeat("é", 400)}},
	}
	got := readPkts(t, string(report(true, "", outcomes)))
	want := "unpack ok\nok refs/for/main\noption refname refs/changes/01/1/1\noption old-oid " + zeroID +
		"\nok refs/heads/a\nok refs/heads/b\noption new-oid " + string(two) + "\nng refs/heads/c[2J no ok refs/heads/d[2J é"
	if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "…\nFLUSH\n") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	got = readPkts(t, string(report(false, "index-pack\ndied", outcomes[:1])))
	if want := "unpack index-pack died\nok refs/for/main\nFLUSH\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
