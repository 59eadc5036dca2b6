package annotate

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"gatehouse/gatekeeper/plan"
)

// Limits of reports.
const (
	// MaxReport is the size of a report in bytes; an analysis of a large service has a tenth.
	MaxReport = 32 << 20
	// MaxFindings is how many findings of one report are looked at.
	MaxFindings = 100_000
	// MaxKept is how many findings of one stage run are kept, those in changed files first,
	// of them the errors: who has more needs another tool to read them with.
	MaxKept = 1_000
	// MaxMessage is the length in bytes of a message, MaxName of a tool's or a rule's name,
	// MaxPath of a path and MaxURL of an address. What is longer is cut; a path or an address
	// that is longer is dropped.
	MaxMessage = 2_000
	MaxName    = 200
	MaxPath    = 1 << 10
	MaxURL     = 1 << 10
	// MaxLine is the highest line of a file that is marked.
	MaxLine = 200_000
)

// Severity is how bad a finding is.
type Severity string

// The severities.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Notice  Severity = "notice"
)

// rank orders severities, the worst first.
func (s Severity) rank() int {
	switch s {
	case Error:
		return 0
	case Warning:
		return 1
	case Notice:
		return 2
	}
	panic("annotate: unknown severity " + string(s))
}

// Annotation is one finding.
type Annotation struct {
	Path     string   `json:"path,omitempty"`     // in the repository; "" for none
	Line     int      `json:"line,omitempty"`     // 1 is the first; 0 is the file as a whole
	EndLine  int      `json:"end_line,omitempty"` // at least Line; 0 when Line is
	Column   int      `json:"column,omitempty"`   // as the tool counts; 0 for none
	Severity Severity `json:"severity"`
	Tool     string   `json:"tool,omitempty"`
	Rule     string   `json:"rule,omitempty"`
	Message  string   `json:"message"`
	URL      string   `json:"url,omitempty"` // where the rule is explained
}

// Findings are the annotations of a stage run, the worst first.
type Findings struct {
	Kept []Annotation
	// Dropped is how many more there were.
	Dropped int
}

// Collector gathers annotations within the limits. The zero value keeps no preference among
// files.
type Collector struct {
	// Changed are the files whose findings are kept first; nil when that is not known.
	Changed map[string]bool

	kept    [2][3][]Annotation // by file changed or not, and by severity
	seen    int
	dropped int
}

// errEnough ends the reading of a report that has more findings than are looked at.
var errEnough = errors.New("annotate: enough")

// add takes one in, made harmless.
func (c *Collector) add(a Annotation) error {
	if c.seen++; c.seen > MaxFindings {
		return errEnough
	}
	a.tidy()
	if a.Message == "" {
		return nil
	}
	tier := 1
	if c.Changed[a.Path] {
		tier = 0
	}
	list := &c.kept[tier][a.Severity.rank()]
	if len(*list) >= MaxKept {
		c.dropped++
		return nil
	}
	*list = append(*list, a)
	return nil
}

func (a *Annotation) tidy() {
	a.Message = strings.TrimSpace(clean(a.Message, MaxMessage))
	a.Tool, a.Rule = oneLine(a.Tool), oneLine(a.Rule)
	a.URL = webAddress(a.URL)
	if a.Path == "" || a.Line < 1 || a.Line > MaxLine {
		a.Line, a.EndLine, a.Column = 0, 0, 0
	} else if a.EndLine < a.Line || a.EndLine > MaxLine {
		a.EndLine = a.Line
	}
	if a.Column < 0 || a.Column > MaxLine {
		a.Column = 0
	}
}

// Findings is what was gathered, each once: those in changed files first, then the worst.
func (c *Collector) Findings() Findings {
	f := Findings{Dropped: c.dropped}
	if c.seen > MaxFindings {
		f.Dropped += c.seen - MaxFindings
	}
	seen := map[Annotation]bool{}
	for _, tier := range c.kept {
		for _, list := range tier {
			for _, a := range list {
				switch {
				case seen[a]:
				case len(f.Kept) >= MaxKept:
					f.Dropped++
				default:
					seen[a] = true
					f.Kept = append(f.Kept, a)
				}
			}
		}
	}
	slices.SortStableFunc(f.Kept, Compare)
	return f
}

// Compare orders annotations: the worst first, then by place.
func Compare(a, b Annotation) int {
	return cmp.Or(cmp.Compare(a.Severity.rank(), b.Severity.rank()), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line),
		cmp.Compare(a.Column, b.Column), cmp.Compare(a.Tool, b.Tool), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Message, b.Message))
}

// Parse reads a report that a stage left: kind is [plan.SARIF], [plan.Checkstyle] or
// [plan.Lines]. What stands in it before an error is kept.
func (c *Collector) Parse(kind string, text []byte, tree Tree) error {
	if len(text) > MaxReport {
		return fmt.Errorf("annotate: %s has %d bytes; at most %d are read", kind, len(text), MaxReport)
	}
	var err error
	switch kind {
	case plan.SARIF:
		err = c.sarif(text, tree)
	case plan.Checkstyle:
		err = c.checkstyle(text, tree)
	case plan.Lines:
		s := Scanner{Collector: c, Tree: tree, Lines: true}
		_, _ = s.Write(text) // it takes everything
		s.Close()
	default:
		err = fmt.Errorf("this version reads no annotations of kind %q", kind)
	}
	if errors.Is(err, errEnough) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("annotate: %s: %w", kind, err)
	}
	return nil
}

// clean is text of at most limit bytes without control characters that a terminal obeys.
func clean(s string, limit int) string {
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// oneLine is a name: clean and without line ends.
func oneLine(s string) string {
	return strings.TrimSpace(strings.NewReplacer("\n", " ", "\t", " ").Replace(clean(s, MaxName)))
}

// webAddress is s when it is one that a page may link to, else "".
func webAddress(s string) string {
	if s == "" || len(s) > MaxURL || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return ""
	}
	return s
}
