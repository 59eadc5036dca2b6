package diff

import (
	"fmt"
	"strconv"
	"strings"
)

// parser walks a patch line by line.
type parser struct {
	text string // what is left, from the line after the current one
	line string // the current line without its end
	n    int    // its number, from 1
	eof  bool
}

func (p *parser) next() {
	if p.text == "" {
		p.line, p.eof = "", true
		return
	}
	p.line, p.text, _ = strings.Cut(p.text, "\n")
	p.n++
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("diff: patch line %d: %s", p.n, fmt.Sprintf(format, args...))
}

// Parse reads the output of `git diff-tree -p` (or `git diff`) between two trees. An empty
// patch has no files. Combined diffs, which git shows for merges with conflicts, are refused.
func Parse(patch []byte) ([]File, error) {
	p := &parser{text: string(patch)}
	p.next()
	var files []File
	for !p.eof {
		if !strings.HasPrefix(p.line, "diff --git ") {
			return nil, p.errorf("expected \"diff --git\", got %q", clip(p.line))
		}
		f, err := p.file()
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// file reads one file, from its "diff --git" line to the next file's.
func (p *parser) file() (File, error) {
	var h header
	h.git = strings.TrimPrefix(p.line, "diff --git ")
	p.next()
	for !p.eof && h.take(p.line) {
		p.next()
	}
	if err := p.binary(&h); err != nil {
		return File{}, err
	}
	if strings.HasPrefix(p.line, "--- ") {
		h.minus = strings.TrimPrefix(p.line, "--- ")
		p.next()
		if !strings.HasPrefix(p.line, "+++ ") {
			return File{}, p.errorf("expected \"+++\" after \"---\"")
		}
		h.plus = strings.TrimPrefix(p.line, "+++ ")
		p.next()
	}
	f, err := h.file()
	if err != nil {
		return File{}, p.errorf("%v", err)
	}
	for strings.HasPrefix(p.line, "@@ ") {
		hunk, err := p.hunk()
		if err != nil {
			return File{}, err
		}
		for _, l := range hunk.Lines {
			switch l.Kind {
			case '+':
				f.Added++
			case '-':
				f.Deleted++
			}
		}
		f.Hunks = append(f.Hunks, hunk)
	}
	return f, nil
}

// binary skips what git writes in place of lines.
func (p *parser) binary(h *header) error {
	switch {
	case strings.HasPrefix(p.line, "Binary files ") && strings.HasSuffix(p.line, " differ"):
		h.binary = true
		p.next()
	case p.line == "GIT binary patch":
		h.binary = true
		// base85 lines cannot begin with a lower-case d followed by a space
		for p.next(); !p.eof && !strings.HasPrefix(p.line, "diff --git "); p.next() {
		}
	}
	return nil
}

// hunk reads one hunk, from its "@@" line on.
func (p *parser) hunk() (Hunk, error) {
	h, ok := hunkHeader(p.line)
	if !ok {
		return Hunk{}, p.errorf("no hunk header: %q", clip(p.line))
	}
	p.next()
	before, after := h.OldStart, h.NewStart
	oldLeft, newLeft := h.OldLines, h.NewLines
	for oldLeft > 0 || newLeft > 0 {
		if p.eof || p.line == "" {
			return Hunk{}, p.errorf("the hunk ends before its %d old and %d new lines", oldLeft, newLeft)
		}
		l := Line{Kind: p.line[0], Text: p.line[1:]}
		if l.Kind == ' ' || l.Kind == '-' {
			l.Old = before
			before++
			oldLeft--
		}
		if l.Kind == ' ' || l.Kind == '+' {
			l.New = after
			after++
			newLeft--
		}
		if (l.Old == 0 && l.New == 0) || oldLeft < 0 || newLeft < 0 {
			return Hunk{}, p.errorf("this line does not belong in its hunk: %q", clip(p.line))
		}
		p.next()
		if strings.HasPrefix(p.line, `\ `) { // "\ No newline at end of file", in git's language
			l.NoEOL = true
			p.next()
		}
		h.Lines = append(h.Lines, l)
	}
	return h, nil
}

// hunkHeader reads "@@ -1,2 +3,4 @@ section". A missing count is 1.
func hunkHeader(line string) (Hunk, bool) {
	ranges, section, ok := strings.Cut(strings.TrimPrefix(line, "@@ -"), " @@")
	if !ok || !strings.HasPrefix(line, "@@ -") {
		return Hunk{}, false
	}
	before, after, ok := strings.Cut(ranges, " +")
	if !ok {
		return Hunk{}, false
	}
	var h Hunk
	var okOld, okNew bool
	h.OldStart, h.OldLines, okOld = lineRange(before)
	h.NewStart, h.NewLines, okNew = lineRange(after)
	h.Section = strings.TrimPrefix(section, " ")
	return h, okOld && okNew
}

// maxLine bounds line numbers: git itself does not diff files of a gigabyte.
const maxLine = 1 << 30

func lineRange(s string) (start, count int, ok bool) {
	first, rest, has := strings.Cut(s, ",")
	if !has {
		rest = "1"
	}
	start, err := strconv.Atoi(first)
	if err != nil {
		return 0, 0, false
	}
	count, err = strconv.Atoi(rest)
	return start, count, err == nil && start >= 0 && count >= 0 && start <= maxLine && count <= maxLine
}

func clip(s string) string {
	const most = 60
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
