package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// printJSON prints an answer for programs.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// printTable prints rows under a header, or says that there are none.
func printTable(w io.Writer, header string, rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	var text bytes.Buffer
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	lines := append([][]string{strings.Split(header, " ")}, rows...)
	for _, cells := range lines {
		for i, cell := range cells {
			cells[i] = clean(cell)
		}
		// An empty last cell keeps its tab: without it the columns above and below part.
		if _, err := fmt.Fprintln(t, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for row := range strings.Lines(text.String()) {
		if err := line(w, "%s", strings.TrimRight(row, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// clean makes text of other people harmless for a terminal and a table: what would move the
// cursor, reorder letters or hide is shown as a question mark.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			return '?'
		}
		return r
	}, text)
}

// indent cleans a text of several lines and sets it in.
func indent(text, margin string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(margin+clean(strings.ReplaceAll(line, "\t", "    ")), " ")
	}
	return strings.Join(lines, "\n")
}

// date is a time as tables show it.
func date(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}

func yes(b bool, word string) string {
	if b {
		return word
	}
	return "-"
}

// line prints one line of an answer.
func line(w io.Writer, format string, args ...any) error {
	_, err := fmt.Fprintf(w, format+"\n", args...)
	return err
}
