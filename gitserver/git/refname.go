package git

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"gatehouse/gitserver/fault"
)

// maxRefName keeps loose ref files, their locks and reflogs within the 255 bytes that file
// systems give a name, with room for what tools put around it.
const maxRefName = 200

// refNever are characters that git refuses in ref names (git-check-ref-format), and those that
// mean something to shells: names reach build scripts in environment variables.
const refNever = " ~^:?*[\\" + "\"'`$;|&<>(){}!"

// CheckRefName holds a full ref name against a grammar that is stricter than git's: at least
// three parts under refs/, valid UTF-8 in one normal form, nothing that is invisible, reorders
// text, is read as an option, an object name or another ref, or means something to a shell.
// Which namespaces a push may touch is the transport's to say.
func CheckRefName(name string) error {
	why := refNameFlaw(name)
	if why == "" {
		return nil
	}
	return fault.New(fault.Invalid, "git.CheckRefName",
		"the ref name "+quoteName(name)+" "+why,
		"choose a name of letters, digits and . _ - / @ + # % , =")
}

// refNameFlaw says what is wrong with name, "" when nothing is.
func refNameFlaw(name string) string {
	switch {
	case len(name) > maxRefName:
		return "is longer than 200 bytes"
	case !utf8.ValidString(name):
		return "is not valid UTF-8"
	case !norm.NFC.IsNormalString(name):
		return "is not in Unicode normal form C"
	case !strings.HasPrefix(name, "refs/"):
		return "does not begin with refs/"
	}
	for _, r := range name {
		switch {
		case unicode.IsControl(r):
			return "holds a control character"
		case unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			return "holds an invisible or text-reordering character"
		case unicode.IsSpace(r):
			return "holds a space"
		case r < utf8.RuneSelf && strings.ContainsRune(refNever, r):
			return "holds the character " + string(r)
		}
	}
	if strings.Contains(name, "..") || strings.Contains(name, "@{") {
		return "holds .. or @{"
	}
	parts := strings.Split(name, "/")
	if len(parts) < 3 {
		return "has no name after its namespace"
	}
	for _, p := range parts[1:] {
		if why := refPartFlaw(p); why != "" {
			return why
		}
	}
	if parts[1] == "refs" || parts[2] == "refs" { // git would take it for a short name
		return "has refs/ inside"
	}
	return ""
}

// refPartFlaw judges what stands between two slashes.
func refPartFlaw(p string) string {
	switch {
	case p == "":
		return "has an empty part"
	case p == "@", strings.EqualFold(p, "HEAD"):
		return "has a part that git reads as HEAD"
	case strings.HasPrefix(p, "."), strings.HasSuffix(p, "."):
		return "has a part that begins or ends with a dot"
	case strings.HasPrefix(p, "-"):
		return "has a part that begins with -"
	case strings.HasSuffix(strings.ToLower(p), ".lock"):
		return "has a part that ends with .lock"
	case isHex(strings.ToLower(p), 40), isHex(strings.ToLower(p), 64):
		return "has a part that looks like an object name"
	}
	return ""
}

// FoldName maps names that some file system or reader takes for the same one (case, Unicode
// normal form) to one string, for comparing.
func FoldName(name string) string {
	if isASCII(name) { // nearly all, and a hundred times faster
		return strings.ToLower(name)
	}
	return norm.NFC.String(cases.Fold().String(norm.NFD.String(name)))
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// quoteName shows a hostile name harmlessly: every rune that is not plainly visible becomes
// an escape.
func quoteName(name string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, w := 0, 0; i < len(name) && b.Len() < 2*clipLen; i += w {
		var r rune
		r, w = utf8.DecodeRuneInString(name[i:])
		switch {
		case r == utf8.RuneError && w == 1:
			const hex = "0123456789abcdef"
			b.WriteString(`\x` + string(hex[name[i]>>4]) + string(hex[name[i]&15]))
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(escapeRune(r))
		}
	}
	if b.Len() >= 2*clipLen {
		b.WriteString("...")
	}
	b.WriteByte('"')
	return b.String()
}

// escapeRune writes r as \u{hex}.
func escapeRune(r rune) string {
	const hex = "0123456789abcdef"
	digits := ""
	for v := uint32(r); v > 0 || digits == ""; v >>= 4 {
		digits = string(hex[v&15]) + digits
	}
	return `\u{` + digits + `}`
}
