package plan

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Metrics is the kind of results that are numbers: flat JSON, the summary of k6, or Prometheus'
// text. [ReadMetrics] reads it.
const Metrics = "metrics"

// Limits of metrics. A stage writes them.
const (
	// MaxMetricsFile is the size of the file in bytes: a summary with every percentile of every
	// request has a hundredth of it.
	MaxMetricsFile = 1 << 20
	// MaxMetrics is how many numbers one stage reports.
	MaxMetrics = 2_000
	// MaxMetricName is the length of a name in bytes, with its labels.
	MaxMetricName = 200
	// maxMetricsDepth is how deep the JSON nests; k6's root group is a tree of groups.
	maxMetricsDepth = 64
)

// ReadMetrics reads numbers that a stage measured, by name. It knows three forms:
//
//   - {"p95_ms": 12.3}: a flat JSON object of numbers.
//   - what `k6 run --summary-export` and k6's handleSummary write: {"metrics": {NAME: {"p(95)":
//     12.3}}}, which gives NAME.p95.
//   - lines `NAME VALUE` and `NAME{label="x"} VALUE` as Prometheus reads them (text format 0.0.4).
//
// A name that comes twice, what is not a finite number, and a file without numbers are errors: a
// gate shall not be judged by half of a report.
func ReadMetrics(r io.Reader) (map[string]float64, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxMetricsFile+1))
	if err != nil {
		return nil, fmt.Errorf("plan: metrics: %w", err)
	}
	if len(text) > MaxMetricsFile {
		return nil, fmt.Errorf("plan: metrics: they have more than %d bytes", MaxMetricsFile)
	}
	m := metrics{}
	if strings.HasPrefix(strings.TrimSpace(string(text)), "{") {
		err = m.json(text)
	} else {
		err = m.lines(text)
	}
	if err == nil && len(m) == 0 {
		err = errors.New("they have no number")
	}
	if err != nil {
		return nil, fmt.Errorf("plan: metrics: %w", err)
	}
	return m, nil
}

type metrics map[string]float64

// add takes one number, as it is written.
func (m metrics) add(name, value string) error {
	if name == "" || len(name) > MaxMetricName || !utf8.ValidString(name) || strings.ContainsFunc(name, unprintable) {
		return fmt.Errorf("%.50q is not a name: it is of 1 to %d bytes that show", name, MaxMetricName)
	}
	if _, twice := m[name]; twice {
		return fmt.Errorf("%q comes twice", name)
	}
	if len(m) >= MaxMetrics {
		return fmt.Errorf("they are more than %d", MaxMetrics)
	}
	v, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Errorf("%q is %.50q, which is not a finite number", name, value)
	}
	m[name] = v
	return nil
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// json reads both forms of JSON. It goes by the tokens, because a map would hide what comes twice.
func (m metrics) json(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := m.top(d); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something after the JSON object")
	}
	return nil
}

// top reads the outermost object.
func (m metrics) top(d *json.Decoder) error {
	return object(d, func(name string, value json.Token) error {
		switch v := value.(type) {
		case json.Number:
			return m.add(name, v.String())
		case json.Delim:
			if name == "metrics" && v == '{' {
				return members(d, m.metric(d))
			}
			return skip(d, v) // k6's root_group, options and state
		default:
			return fmt.Errorf("%.50q is not a number", name)
		}
	})
}

// metric reads one metric of k6: its numbers, and those below "values".
func (m metrics) metric(d *json.Decoder) func(string, json.Token) error {
	return func(metric string, value json.Token) error {
		if value != json.Delim('{') {
			return fmt.Errorf("the metric %.50q is not an object", metric)
		}
		var number func(name string, value json.Token) error
		number = func(name string, value json.Token) error {
			switch v := value.(type) {
			case json.Number:
				return m.add(metric+"."+k6Name(name), v.String())
			case json.Delim:
				if name == "values" && v == '{' {
					return members(d, number)
				}
				return skip(d, v) // thresholds
			default:
				return nil // the type of the metric
			}
		}
		return members(d, number)
	}
}

// k6Name makes p95 of p(95).
func k6Name(name string) string {
	if p, ok := strings.CutPrefix(name, "p("); ok && strings.HasSuffix(p, ")") {
		return "p" + strings.TrimSuffix(p, ")")
	}
	return name
}

// object reads an object from its opening brace on.
func object(d *json.Decoder, f func(name string, value json.Token) error) error {
	t, err := d.Token()
	if err != nil {
		return errors.New("they are not JSON")
	}
	if t != json.Delim('{') {
		return errors.New("they are not a JSON object")
	}
	return members(d, f)
}

// members calls f with each member of an object whose brace is read. f reads what is inside of a
// value that opens one.
func members(d *json.Decoder, f func(name string, value json.Token) error) error {
	for {
		name, err := d.Token()
		if err != nil {
			return errors.New("they are cut, or not JSON")
		}
		if name == json.Delim('}') {
			return nil
		}
		value, err := d.Token()
		if err != nil {
			return errors.New("they are cut, or not JSON")
		}
		text, ok := name.(string)
		if !ok {
			return errors.New("they are not JSON")
		}
		if err := f(text, value); err != nil {
			return err
		}
	}
}

// skip reads to the end of what open opened.
func skip(d *json.Decoder, open json.Delim) error {
	for depth := 1; depth > 0; {
		if depth > maxMetricsDepth {
			return fmt.Errorf("they are more than %d deep", maxMetricsDepth)
		}
		t, err := d.Token()
		if err != nil {
			return fmt.Errorf("they are cut after %q, or not JSON", open.String())
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
	return nil
}

// lines reads Prometheus' text.
func (m metrics) lines(text []byte) error {
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, MaxMetricsFile+1)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, rest := cutName(line)
		fields := strings.Fields(rest)
		if len(fields) != 1 && len(fields) != 2 { // a value, and perhaps the time
			return fmt.Errorf("line %d is not a name and a number: %.50q", n, line)
		}
		if err := m.add(name, fields[0]); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return lines.Err()
}

// cutName cuts a line after the name and its labels, in whose quotes anything may stand.
func cutName(line string) (name, rest string) {
	quoted, inside := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			inside = true
		case c == '}':
			inside = false
		case (c == ' ' || c == '\t') && !inside:
			return line[:i], line[i:]
		}
	}
	return line, ""
}
