package git

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

// askFor is what a client sends under version 2 to get one object.
func askFor(oid OID) string {
	line := func(s string) string { return fmt.Sprintf("%04x%s", len(s)+4, s) }
	return line("command=fetch") + "0001" + line("no-progress") + line("want "+string(oid)+"\n") + line("done\n") + "0000"
}

// What is under the veil is neither listed nor given to whoever knows its name, under any
// version of the protocol; everything else is.
func TestVeil(t *testing.T) {
	r, w, base := seeded(t, map[string]string{"f": "1\n"})
	ctx := t.Context()
	secret := w.commit("secret", map[string]string{"f": "2\n"})
	shown := w.commit("shown", map[string]string{"g": "3\n"})
	w.git("checkout", "-q", string(base))
	beside := w.commit("beside", map[string]string{"h": "4\n"})
	must(t, send(t, r, w, []OID{shown}))
	must(t, send(t, r, w, []OID{beside}))
	must(t, r.UpdateRefs(ctx, []RefUpdate{{"refs/changes/12/12/1", Zero, secret}, {"refs/changes/12/12/2", Zero, shown}, {"refs/changes/12/112/1", Zero, beside}}, ""))
	only, err := r.OnlyOf(ctx, []OID{secret, shown}, []string{"refs/changes/12/12", "refs/gate"})
	must(t, err)
	if !only[secret] || !only[shown] || only[base] || only[beside] || len(only) != 6 {
		t.Fatalf("only these: %v", only)
	}
	veiled := r.Under(Veil{Refs: []string{"refs/changes/12/12"}, Objects: only})
	blob, err := r.Entry(ctx, secret, "f")
	must(t, err)
	for _, oid := range []OID{secret, shown, blob.OID} {
		for name, repo := range map[string]*Repo{"veiled": veiled, "whole": r} {
			var out bytes.Buffer
			err := repo.UploadPack(ctx, UploadPackOptions{Stateless: true, Protocol: "version=2", In: strings.NewReader(askFor(oid)), Out: &out})
			if got := strings.Contains(out.String(), "PACK"); got != (name == "whole") {
				t.Errorf("%s gave %s: %v, %v\n%q", name, oid, got, err, out.String())
			}
		}
	}
	for _, oid := range []OID{base, beside} {
		var out bytes.Buffer
		must(t, veiled.UploadPack(ctx, UploadPackOptions{Stateless: true, Protocol: "version=2", In: strings.NewReader(askFor(oid)), Out: &out}))
		if !strings.Contains(out.String(), "PACK") {
			t.Errorf("%s was not given: %q", oid, out.String())
		}
	}
	for _, protocol := range []string{"", "version=1"} {
		var out bytes.Buffer
		must(t, veiled.UploadPack(ctx, UploadPackOptions{Stateless: true, AdvertiseRefs: true, Protocol: protocol, In: strings.NewReader(""), Out: &out}))
		if text := out.String(); strings.Contains(text, "refs/changes/12/12/") || strings.Contains(text, string(secret)) || !strings.Contains(text, "refs/changes/12/112/1") {
			t.Errorf("advertised under %q: %s", protocol, text)
		}
	}
	var out bytes.Buffer
	list := "0014command=ls-refs\n00010000"
	must(t, veiled.UploadPack(ctx, UploadPackOptions{Stateless: true, Protocol: "version=2", In: strings.NewReader(list), Out: &out}))
	if text := out.String(); strings.Contains(text, "refs/changes/12/12/") || !strings.Contains(text, "refs/changes/12/112/1") {
		t.Errorf("listed: %s", text)
	}
}

// What is no pkt-line comes through as it is.
func TestWantsPassesOn(t *testing.T) {
	secret := OID(strings.Repeat("a", oidLen))
	veil := map[OID]bool{secret: true}
	for name, text := range map[string]string{
		"empty": "", "short": "00", "flush": "0000", "no number": "zzzzwant " + string(secret), "cut": "0032want aaaa", "cut header": "0032", "long": "fff0want " + string(secret),
		"other": "0032want " + strings.Repeat("b", oidLen) + "\n0000", "several": "000ahello\n" + "0009done\n", "tiny": "0001000200030004",
	} {
		got, err := io.ReadAll(&wants{in: newBuffered(text), veil: veil})
		if err != nil || string(got) != text {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, oid := range []string{string(secret), strings.ToUpper(string(secret))} {
		got, err := io.ReadAll(&wants{in: newBuffered("0032want " + oid + "\n0000"), veil: veil})
		if err != nil || string(got) != "0032want "+strings.Repeat("f", oidLen)+"\n0000" {
			t.Errorf("%s: %q, %v", oid, got, err)
		}
	}
}

func newBuffered(text string) *bufio.Reader { return bufio.NewReader(strings.NewReader(text)) }
