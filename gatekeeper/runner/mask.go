package runner

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strings"
)

// masked is what stands for a secret in all that is kept of a stage.
const masked = "***"

// mask knows the secrets of a stage in the forms in which they are printed. The nil mask knows none.
type mask struct {
	byFirst [256][][]byte // the forms, by their first byte
}

// newMask returns nil when there is nothing to mask.
func newMask(secrets []Secret) *mask {
	if len(secrets) == 0 {
		return nil
	}
	m := &mask{}
	known := map[string]bool{}
	for _, s := range secrets {
		if len(bytes.TrimSpace(s.Value)) < minSecret {
			continue // checkSecrets has refused it
		}
		for _, form := range forms(s.Value) {
			if len(form) >= minSecret && !known[form] {
				known[form] = true
				m.byFirst[form[0]] = append(m.byFirst[form[0]], []byte(form))
			}
		}
	}
	return m
}

// forms are the ways in which programs print a value. The newline that files end in is not a part
// of it: most programs leave it out.
func forms(secret []byte) []string {
	value := strings.TrimRight(string(secret), "\r\n")
	all := []string{value, strings.TrimSpace(value), strings.ReplaceAll(value, "\n", "\r\n"), strings.ReplaceAll(value, "'", `'\''`)}
	if lines := strings.Split(value, "\n"); len(lines) > 1 {
		for _, line := range lines {
			all = append(all, strings.TrimSpace(line))
		}
	}
	for _, html := range []bool{true, false} {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(html)
		if e.Encode(value) == nil { // a string always encodes
			text := strings.TrimSuffix(b.String(), "\n")
			all = append(all, text[1:len(text)-1])
		}
	}
	for _, escaped := range []string{url.QueryEscape(value), url.PathEscape(value), percent(value)} {
		all = append(all, escaped, lowerPercent(escaped))
	}
	digits := hex.EncodeToString([]byte(value))
	return append(append(all, digits, strings.ToUpper(digits)), base64Forms(value)...)
}

// percent is RFC 3986 to the letter, as curl and JavaScript do it: all but the unreserved.
func percent(s string) string {
	return strings.NewReplacer("+", "%20").Replace(url.QueryEscape(s))
}

// lowerPercent has the hexadecimal digits of escapes in lower case.
func lowerPercent(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i:], bytes.ToLower(b[i:i+3]))
		}
	}
	return string(b)
}

// base64Forms are what a value becomes within a text that is encoded as a whole, like user:value:
// it begins at the first, second or third byte of a group, and the digits that it shares with its
// neighbours are not its own. Encoders break long lines after 64 or 76 digits.
func base64Forms(value string) []string {
	var all []string
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 {
			text := encoding.EncodeToString([]byte(strings.Repeat("\x00", shift) + value))
			begin, end := (shift*8+5)/6, (shift+len(value))*8/6
			text = text[begin:end]
			all = append(all, text)
			if shift > 0 {
				continue
			}
			for _, width := range []int{64, 76} {
				for line := range slices.Chunk([]byte(text), width) {
					all = append(all, string(line))
				}
			}
		}
	}
	return all
}

// at looks at the beginning of rest: how long the longest form is that stands there, and whether
// more text could make it a longer one.
func (m *mask) at(rest []byte) (length int, more bool) {
	for _, form := range m.byFirst[rest[0]] {
		switch {
		case len(form) <= len(rest):
			if len(form) > length && bytes.HasPrefix(rest, form) {
				length = len(form)
			}
		case bytes.HasPrefix(form, rest):
			more = true
		}
	}
	return length, more
}

// text masks all of s.
func (m *mask) text(s string) string {
	if m == nil {
		return s
	}
	return string(m.bytes([]byte(s)))
}

func (m *mask) bytes(p []byte) []byte {
	if m == nil {
		return p
	}
	var b bytes.Buffer
	w := maskWriter{mask: m, to: &b}
	_, _ = w.Write(p) // a buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

// maskWriter passes text on with its secrets masked, wherever its writes are split. It holds back
// what may be the beginning of a secret until it knows. Every byte of every occurrence is masked,
// of those that overlap too; what is masked without a gap becomes one mark.
type maskWriter struct {
	mask *mask
	to   io.Writer

	held    []byte
	covered int  // so many bytes of held belong to an occurrence
	marked  bool // the last thing that was passed on is a mark
}

// Write fails when the writer behind it does.
func (w *maskWriter) Write(p []byte) (int, error) {
	if w.mask == nil {
		return w.to.Write(p)
	}
	w.held = append(w.held, p...)
	return len(p), w.pass(false)
}

// Close passes the rest on. It does not close the writer behind.
func (w *maskWriter) Close() error {
	if w.mask == nil {
		return nil
	}
	return w.pass(true)
}

// pass passes on what is known.
func (w *maskWriter) pass(last bool) error {
	out := make([]byte, 0, len(w.held))
	at, end := 0, w.covered
	for ; at < len(w.held); at++ {
		length, more := w.mask.at(w.held[at:])
		end = max(end, at+length)
		if more && !last {
			break
		}
		if at >= end {
			out = append(out, w.held[at])
			w.marked = false
		} else if !w.marked {
			out = append(out, masked...)
			w.marked = true
		}
	}
	w.held = append(w.held[:0], w.held[at:]...)
	w.covered = max(0, end-at)
	if len(out) == 0 {
		return nil
	}
	_, err := w.to.Write(out)
	return err
}

// result masks all that a stage said in r.
func (m *mask) result(r *Result) {
	if m == nil {
		return
	}
	r.Reason = m.text(r.Reason)
	for i := range r.Notes {
		r.Notes[i] = m.text(r.Notes[i])
	}
	if r.Tests != nil {
		for i := range r.Tests.Cases {
			c := &r.Tests.Cases[i]
			c.Package, c.Name, c.Output = m.text(c.Package), m.text(c.Name), m.text(c.Output)
		}
	}
	for i := range r.Findings.Kept {
		a := &r.Findings.Kept[i]
		for _, s := range []*string{&a.Path, &a.Tool, &a.Rule, &a.Message, &a.URL} {
			*s = m.text(*s)
		}
	}
	r.Coverage.Files = maskKeys(m, r.Coverage.Files)
	r.Metrics = maskKeys(m, r.Metrics)
}

func maskKeys[V any](m *mask, all map[string]V) map[string]V {
	if all == nil {
		return nil
	}
	out := make(map[string]V, len(all))
	for key, v := range all {
		out[m.text(key)] = v
	}
	return out
}
