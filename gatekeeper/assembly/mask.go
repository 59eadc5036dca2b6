package assembly

import (
	"bytes"
	"cmp"
	"io"
	"slices"
	"strings"
)

// minMasked is the shortest value that is masked: shorter ones are in every text by chance.
const minMasked = 4

// masked is what stands for a secret.
const masked = "[masked]"

// mask passes text on with the values of secrets covered, also where a value comes in several
// writes. Whoever uses it ends it with flush.
type mask struct {
	to      io.Writer
	secrets [][]byte // longest first, so that none hides behind its own beginning
	held    []byte   // may be the beginning of one
}

func newMask(to io.Writer, secrets map[string]string) *mask {
	m := &mask{to: to}
	for _, value := range secrets {
		// A value of several lines is printed line by line more often than as a whole.
		for line := range strings.Lines(value) {
			if line = strings.TrimSpace(line); len(line) >= minMasked {
				m.secrets = append(m.secrets, []byte(line))
			}
		}
	}
	slices.SortFunc(m.secrets, func(a, b []byte) int { return cmp.Or(cmp.Compare(len(b), len(a)), bytes.Compare(a, b)) })
	m.secrets = slices.CompactFunc(m.secrets, bytes.Equal)
	return m
}

// Write takes all of p, and keeps back what may be the beginning of a secret.
func (m *mask) Write(p []byte) (int, error) {
	text := m.cover(append(m.held, p...))
	keep := m.begun(text)
	_, err := m.to.Write(text[:len(text)-keep])
	m.held = slices.Clone(text[len(text)-keep:])
	return len(p), err
}

// flush passes on what was kept back.
func (m *mask) flush() {
	_, _ = m.to.Write(m.held) // logs never fail, see logbook
	m.held = nil
}

func (m *mask) cover(text []byte) []byte {
	for _, secret := range m.secrets {
		text = bytes.ReplaceAll(text, secret, []byte(masked))
	}
	return text
}

// begun is the length of the longest end of text that a secret begins with.
func (m *mask) begun(text []byte) int {
	longest := 0
	for _, secret := range m.secrets {
		for n := min(len(secret)-1, len(text)); n > longest; n-- {
			if bytes.HasPrefix(secret, text[len(text)-n:]) {
				longest = n
			}
		}
	}
	return longest
}

// hide covers secrets in words.
func hide(words string, secrets map[string]string) string {
	return string(newMask(io.Discard, secrets).cover([]byte(words)))
}

// hideBroken covers secrets in a container's log, also where ends of lines are in the middle of one:
// podman makes a line of each write when it is asked for the last ones.
func hideBroken(log string, secrets map[string]string) string {
	var out strings.Builder
	all := newMask(io.Discard, secrets).secrets
	for at := 0; at < len(log); {
		n := 0
		for _, secret := range all {
			if n = broken(log[at:], secret); n > 0 {
				break
			}
		}
		if n > 0 {
			out.WriteString(masked)
			at += n
		} else {
			out.WriteByte(log[at])
			at++
		}
	}
	return out.String()
}

// broken is how much of the beginning of text is the secret with ends of lines in it, or 0.
func broken(text string, secret []byte) int {
	at := 0
	for n, c := range secret {
		for n > 0 && at < len(text) && text[at] == '\n' {
			at++
		}
		if at == len(text) || text[at] != c {
			return 0
		}
		at++
	}
	return at
}
