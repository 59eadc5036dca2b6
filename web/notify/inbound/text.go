package inbound

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"
)

const (
	// maxParts bounds the parts of a mail that are looked at, and maxNesting how deep they may be
	// in each other: an honest one has two of text and its attachments.
	maxParts   = 50
	maxNesting = 5
)

// answer is what is taken of a mail.
type answer struct {
	id   string // its Message-ID
	text string // what was written, without what it answers
	auto bool   // a program sent it
}

// errNoText is a mail without words of its own in plain text.
var errNoText = errors.New("the mail says nothing in plain text above what it quotes")

// read takes a mail apart.
func read(raw []byte) (answer, error) {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return answer{}, err
	}
	a := answer{id: strings.TrimSpace(m.Header.Get("Message-ID")), auto: automatic(m.Header)}
	if a.auto {
		return a, nil
	}
	parts := 0
	text, ok := plainText(header(m.Header), m.Body, 0, &parts)
	if a.text = own(text); !ok || a.text == "" {
		return a, errNoText
	}
	return a, nil
}

// automatic reports whether a program sent a mail (RFC 3834), as replies of the absent, lists
// and reports do: to answer such a one is how loops begin.
func automatic(h mail.Header) bool {
	if auto := strings.ToLower(strings.TrimSpace(h.Get("Auto-Submitted"))); auto != "" && auto != "no" {
		return true
	}
	switch strings.ToLower(strings.TrimSpace(h.Get("Precedence"))) {
	case "bulk", "junk", "list", "auto_reply":
		return true
	}
	for _, name := range []string{"X-Autoreply", "X-Autorespond", "X-Auto-Response-Suppress", "X-Loop", "List-Id", "X-Gatehouse-URL"} {
		if h.Get(name) != "" {
			return true
		}
	}
	kind, params, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return kind == "multipart/report" || params["report-type"] != "" || strings.TrimSpace(h.Get("Return-Path")) == "<>"
}

// header is what a mail and its parts have alike.
type header map[string][]string

func (h header) get(name string) string {
	for key, values := range h {
		if strings.EqualFold(key, name) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// plainText is the first part of a mail that is plain text and no attachment.
func plainText(h header, body io.Reader, depth int, parts *int) (string, bool) {
	if *parts++; *parts > maxParts || depth > maxNesting {
		return "", false
	}
	kind, params, err := mime.ParseMediaType(h.get("Content-Type"))
	if h.get("Content-Type") == "" || err != nil {
		kind, params = "text/plain", nil
	}
	if disposition, _, _ := mime.ParseMediaType(h.get("Content-Disposition")); disposition == "attachment" {
		return "", false
	}
	switch {
	case strings.HasPrefix(kind, "multipart/"):
		r := multipart.NewReader(body, params["boundary"])
		for {
			p, err := r.NextRawPart()
			if err != nil {
				return "", false
			}
			if text, ok := plainText(header(p.Header), p, depth+1, parts); ok {
				return text, true
			}
		}
	case kind == "text/plain":
		return decoded(h.get("Content-Transfer-Encoding"), params["charset"], body)
	}
	return "", false
}

// decoded is a part's text in UTF-8.
func decoded(encoding, charset string, body io.Reader) (string, bool) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	if charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
		known, err := htmlindex.Get(charset)
		if err != nil {
			return "", false
		}
		body = known.NewDecoder().Reader(body)
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		return "", false
	}
	text := strings.ToValidUTF8(string(raw), "\uFFFD")
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, strings.ReplaceAll(text, "\r\n", "\n"))
	return text, utf8.ValidString(text)
}

var (
	// attribution is the line above a quotation: "On Monday, X wrote:", also in the words of
	// other languages, and also when it was broken in two.
	attribution = regexp.MustCompile(`(?m)^(?:On|Am|Le|El|Il|Op|Den|Em) [^\n]{4,300}(?:\n[^\n>]{0,200})?(?:wrote|schrieb|écrit|escribió|ha scritto|schreef|skrev|escreveu)[^\n]{0,80}:[ \t]*$`)
	// below begins what a mail program puts under an answer: an older mail whole.
	below = regexp.MustCompile(`(?m)^(?:-{2,} ?(?:Original Message|Ursprüngliche Nachricht|Message d'origine|Forwarded message) ?-{2,}|_{20,}|(?:From|Von|De): [^\n]*\n(?:Sent|Date|Gesendet|Datum|Envoyé|To|An|À): )`)
	// signature is the line above one (RFC 3676, 4.3).
	signature = regexp.MustCompile(`(?m)^-- ?$`)
)

// own is what somebody wrote: without the signature, and without what is quoted below or above
// it. What is quoted between answers stays, as a quotation.
func own(text string) string {
	for _, cut := range []*regexp.Regexp{below, signature} {
		if at := cut.FindStringIndex(text); at != nil {
			text = text[:at[0]]
		}
	}
	text = unattributed(text)
	lines := strings.Split(strings.TrimSpace(text), "\n")
	quoted := func(line string) bool { return strings.HasPrefix(line, ">") || strings.TrimSpace(line) == "" }
	for len(lines) > 0 && quoted(lines[len(lines)-1]) {
		lines = lines[:len(lines)-1]
	}
	if first := firstOwn(lines); first > 0 && !between(lines[first:]) {
		lines = lines[first:] // all that is quoted stands above
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// unattributed takes out the lines above quotations; a sentence that only looks like one stays.
func unattributed(text string) string {
	var b strings.Builder
	from := 0
	for _, at := range attribution.FindAllStringIndex(text, -1) {
		if rest := strings.TrimSpace(text[at[1]:]); rest == "" || rest[0] == '>' {
			b.WriteString(text[from:at[0]])
			from = at[1]
		}
	}
	b.WriteString(text[from:])
	return b.String()
}

func firstOwn(lines []string) int {
	for i, line := range lines {
		if !strings.HasPrefix(line, ">") && strings.TrimSpace(line) != "" {
			return i
		}
	}
	return 0
}

func between(lines []string) bool {
	for _, line := range lines {
		if strings.HasPrefix(line, ">") {
			return true
		}
	}
	return false
}
