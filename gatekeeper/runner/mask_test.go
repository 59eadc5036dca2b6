package runner

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gatehouse/gatekeeper/annotate"
	"gatehouse/gatekeeper/plan"
)

func maskOf(values ...string) *mask {
	var all []Secret
	for _, v := range values {
		all = append(all, Secret{Name: "s", Env: "S", Value: []byte(v)})
	}
	return newMask(all)
}

// naive masks a text of which all is known: the reference.
func naive(m *mask, text []byte) string {
	covered := make([]bool, len(text))
	for _, list := range m.byFirst {
		for _, form := range list {
			for at := range text {
				if bytes.HasPrefix(text[at:], form) {
					for i := range form {
						covered[at+i] = true
					}
				}
			}
		}
	}
	var b strings.Builder
	for i, c := range text {
		switch {
		case !covered[i]:
			b.WriteByte(c)
		case i == 0 || !covered[i-1]:
			b.WriteString(masked)
		}
	}
	return b.String()
}

// However a text is split, what comes out is the same, and right. Few letters make secrets that
// overlap, contain each other and begin alike.
func TestMaskOverAnySplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), minSecret, 12, -1)
		secrets := rapid.SliceOfN(letters, 1, 3).Draw(t, "secrets")
		m := maskOf(secrets...)
		piece := rapid.OneOf(rapid.SampledFrom(secrets), rapid.StringOfN(rapid.RuneFrom([]rune("ab \n")), 0, 9, -1))
		text := []byte(strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "text"), ""))
		var out bytes.Buffer
		w := &maskWriter{mask: m, to: &out}
		for rest := text; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "split")
			if k, err := w.Write(rest[:n]); k != n || err != nil {
				t.Fatalf("wrote %d of %d, %v", k, n, err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		want := naive(m, text)
		if out.String() != want {
			t.Fatalf("secrets %q, text %q:\ngot  %q\nwant %q", secrets, text, out.String(), want)
		}
		for _, s := range secrets {
			if strings.Contains(out.String(), s) {
				t.Fatalf("%q shows in %q", s, out.String())
			}
		}
	})
}

func TestMaskedForms(t *testing.T) {
	const value = "p<ss/w0rd+&\"'é%~ x"
	js, _ := json.Marshal(value)
	forms := map[string]string{
		"plain": value, "JSON": string(js), "query": url.QueryEscape(value), "path": url.PathEscape(value),
		"percent": "p%3Css%2Fw0rd%2B%26%22%27%C3%A9%25~%20x", "lower percent": "p%3css%2fw0rd%2b%26%22%27%c3%a9%25~%20x",
		"hex": hex.EncodeToString([]byte(value)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(value))),
		"JSON without HTML": `p<ss/w0rd+&\"'é%~ x`, "shell": `p<ss/w0rd+&"'\''é%~ x`,
	}
	m := maskOf(value)
	for name, form := range forms {
		if got := m.text("before " + form + " after"); strings.Trim(got, `"`) != "before *** after" && got != `before "***" after` {
			t.Errorf("%s: %q", name, got)
		}
	}
	// Encoded alone, with a new line, after a user's name of any length, and before something.
	for n := range 7 {
		for _, after := range []string{"", "\n", ":x"} {
			for name, e := range map[string]*base64.Encoding{"std": base64.StdEncoding, "url": base64.URLEncoding, "raw": base64.RawStdEncoding} {
				whole := e.EncodeToString([]byte(strings.Repeat("u", n) + value + after))
				got := m.text(whole)
				// What is left are the digits of its neighbours and those shared with them.
				if len(got) > len(masked)+(n*8+5)/6+2+len(after)*2+4 || !strings.Contains(got, masked) {
					t.Errorf("%s after %d letters, before %q: %s gives %s", name, n, after, whole, got)
				}
			}
		}
	}
	long := strings.Repeat("0123456789abcdef", 20)
	m = maskOf(long)
	for _, width := range []int{64, 76} {
		var wrapped strings.Builder
		text := base64.StdEncoding.EncodeToString([]byte(long + "\n"))
		for len(text) > width {
			wrapped.WriteString(text[:width] + "\n")
			text = text[width:]
		}
		wrapped.WriteString(text)
		for line := range strings.Lines(m.text(wrapped.String())) {
			if !strings.HasPrefix(line, masked) || len(line) > 8 {
				t.Errorf("wrapped at %d: %q", width, line)
			}
		}
	}
	key := "-----BEGIN KEY-----\nabcdefghijklmnop\nshort\nqrstuvwxyz012345\n-----END KEY-----\n"
	m = maskOf(key)
	if got := m.text("a\n" + key + "b"); got != "a\n***\nb" {
		t.Errorf("a key: %q", got)
	}
	if got := m.text("  qrstuvwxyz012345\nshort\n"); got != "  ***\nshort\n" {
		t.Errorf("a line of it: %q", got)
	}
	if got := (*mask)(nil).text("x"); got != "x" {
		t.Errorf("no secrets: %q", got)
	}
}

// What is written does not wait longer than it may be the beginning of a secret.
func TestMaskHoldsBackLittle(t *testing.T) {
	var out bytes.Buffer
	w := &maskWriter{mask: maskOf("hunter2-hunter2"), to: &out}
	for _, step := range []struct{ in, out string }{
		{"hello\n", "hello\n"}, {"hunt", "hello\n"}, {"ing\n", "hello\nhunting\n"}, {"hunter2-hunter", "hello\nhunting\n"}, {"2", "hello\nhunting\n***"}, {"!", "hello\nhunting\n***!"},
	} {
		_, _ = w.Write([]byte(step.in))
		if out.String() != step.out {
			t.Errorf("after %q: %q, want %q", step.in, out.String(), step.out)
		}
	}
}

func TestMaskedResult(t *testing.T) {
	const secret = "hunter2-hunter2"
	r := Result{
		Reason: "r " + secret, Notes: []string{secret},
		Tests:    &plan.Tests{Cases: []plan.Case{{Package: secret, Name: "T" + secret, Output: "o\n" + secret}}},
		Findings: annotate.Findings{Kept: []annotate.Annotation{{Path: secret, Tool: secret, Rule: secret, Message: secret, URL: "https://" + secret}}},
		Coverage: annotate.Coverage{Files: map[string]annotate.Lines{secret: nil}},
		Metrics:  map[string]float64{secret: 1},
	}
	maskOf(secret).result(&r)
	text := fmt.Sprintf("%+v %+v", r, *r.Tests)
	if strings.Contains(text, secret) || strings.Count(text, masked) != 12 {
		t.Errorf("%d marks in %s", strings.Count(text, masked), text)
	}
}

func FuzzMask(f *testing.F) {
	f.Add("secret-value", "a secret-value b")
	f.Fuzz(func(t *testing.T, secret, text string) {
		if len(strings.TrimSpace(secret)) < minSecret {
			return
		}
		m := maskOf(secret)
		if got := m.text(text); got != naive(m, []byte(text)) {
			t.Errorf("%q, want %q", got, naive(m, []byte(text)))
		}
	})
}

// BenchmarkMask is a log of a build with a token, a password and a private key to look for.
func BenchmarkMask(b *testing.B) {
	var key strings.Builder
	for n := range 50 {
		sum := sha256.Sum256([]byte{byte(n)})
		key.WriteString(base64.StdEncoding.EncodeToString(sum[:]) + "\n")
	}
	m := maskOf("ghp_0123456789abcdef0123456789abcdef", "correct horse battery staple", key.String())
	line := []byte(strings.Repeat("=== RUN   TestSomething/with_a_name\n    some_test.go:42: it went well, as it should\n", 400))
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		w := &maskWriter{mask: m, to: io.Discard}
		_, _ = w.Write(line)
		_ = w.Close()
	}
}
