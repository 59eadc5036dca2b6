package annotate

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
)

// maxRules is how many rules of a tool are remembered; the largest analysers have a few
// thousand.
const maxRules = 10_000

// few is a JSON array of which only the first n elements are read: an array of a million empty
// objects is small in the file and large in memory.
type few[T any, N limit] []T

type limit interface{ most() int }

type (
	one  struct{}
	many struct{}
)

func (one) most() int  { return 1 }
func (many) most() int { return maxRules }

// UnmarshalJSON reads the beginning of an array. Anything else is an empty one.
func (f *few[T, N]) UnmarshalJSON(text []byte) error {
	var n N
	d := json.NewDecoder(bytes.NewReader(text))
	if token, err := d.Token(); err != nil || token != json.Delim('[') {
		return err
	}
	for len(*f) < n.most() && d.More() {
		var element T
		if err := d.Decode(&element); err != nil {
			return err
		}
		*f = append(*f, element)
	}
	return nil
}

// skipped is a JSON value that is not kept.
type skipped struct{}

// UnmarshalJSON keeps nothing.
func (*skipped) UnmarshalJSON([]byte) error { return nil }

// The parts of SARIF 2.1.0 (docs.oasis-open.org/sarif/sarif/v2.1.0) that are read: sections
// 3.18 tool, 3.27 result, 3.28 location, 3.49 reportingDescriptor.
type (
	sarifText struct {
		Text     string `json:"text"`
		Markdown string `json:"markdown"`
		ID       string `json:"id"`
	}
	sarifRule struct {
		ID      string    `json:"id"`
		Name    string    `json:"name"`
		HelpURI string    `json:"helpUri"`
		Short   sarifText `json:"shortDescription"`
		Default struct {
			Level string `json:"level"`
		} `json:"defaultConfiguration"`
	}
	sarifTool struct {
		Driver struct {
			Name  string               `json:"name"`
			Rules few[sarifRule, many] `json:"rules"`
		} `json:"driver"`
	}
	sarifLocation struct {
		Physical struct {
			Artifact struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
			Region struct {
				StartLine   float64 `json:"startLine"`
				EndLine     float64 `json:"endLine"`
				StartColumn float64 `json:"startColumn"`
			} `json:"region"`
		} `json:"physicalLocation"`
	}
	sarifResult struct {
		RuleID string `json:"ruleId"`
		Rule   struct {
			ID    string `json:"id"`
			Index *int   `json:"index"`
		} `json:"rule"`
		RuleIndex    *int                    `json:"ruleIndex"`
		Kind         string                  `json:"kind"`
		Level        string                  `json:"level"`
		Message      sarifText               `json:"message"`
		Baseline     string                  `json:"baselineState"`
		Suppressions few[skipped, one]       `json:"suppressions"`
		Locations    few[sarifLocation, one] `json:"locations"`
	}
)

var errSARIF = errors.New("this is not SARIF, or the file is cut")

// sarif reads SARIF 2.1.0 in two passes, because a run may tell its rules after its results.
func (c *Collector) sarif(text []byte, tree Tree) error {
	var tools []sarifTool
	err := sarifRuns(text, "tool", func(run int, d *json.Decoder) error {
		for len(tools) <= run {
			tools = append(tools, sarifTool{})
		}
		return d.Decode(&tools[run])
	})
	if err != nil {
		return err
	}
	return sarifRuns(text, "results", func(run int, d *json.Decoder) error {
		var tool sarifTool
		if run < len(tools) {
			tool = tools[run]
		}
		switch token, err := d.Token(); {
		case err == nil && token == nil:
			return nil // the tool did not run
		case err != nil || token != json.Delim('['):
			return errSARIF
		}
		for d.More() {
			var r sarifResult
			if err := d.Decode(&r); err != nil {
				return errSARIF
			}
			if err := c.sarifResult(r, tool, tree); err != nil {
				return err
			}
		}
		_, err := d.Token()
		return err
	})
}

// maxRuns is how many runs of tools one file has: one as a rule.
const maxRuns = 1_000

// sarifRuns calls found at the value of the property name in each run of the file.
func sarifRuns(text []byte, name string, found func(run int, d *json.Decoder) error) error {
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))))
	runs := false
	err := members(d, func(key string) error {
		if key != "runs" {
			return d.Decode(&skipped{})
		}
		runs = true
		if token, err := d.Token(); err != nil || token != json.Delim('[') {
			return errSARIF
		}
		for run := 0; d.More(); run++ {
			if run >= maxRuns {
				return errEnough
			}
			err := members(d, func(key string) error {
				if key != name {
					return d.Decode(&skipped{})
				}
				return found(run, d)
			})
			if err != nil {
				return err
			}
		}
		_, err := d.Token()
		return err
	})
	switch {
	case errors.Is(err, errEnough):
		return err
	case err != nil || !runs:
		return errSARIF
	}
	return nil
}

// members calls found for each property of an object, which has to read its value.
func members(d *json.Decoder, found func(key string) error) error {
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return errSARIF
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return errSARIF
		}
		name, _ := key.(string) // keys of objects are strings
		if err := found(name); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

func (c *Collector) sarifResult(r sarifResult, tool sarifTool, tree Tree) error {
	if len(r.Suppressions) > 0 || r.Baseline == "absent" || r.Level == "none" {
		return nil
	}
	rule := r.rule(tool)
	a := Annotation{Tool: tool.Driver.Name, Rule: rule.ID, URL: rule.HelpURI, Message: firstOf(r.Message.Text, r.Message.Markdown, rule.Short.Text, rule.Name, rule.ID)}
	switch r.Kind {
	case "", "fail":
		a.Severity = sarifLevel(firstOf(r.Level, rule.Default.Level))
	case "informational", "open", "review":
		a.Severity = Notice
	default: // pass, notApplicable
		return nil
	}
	if len(r.Locations) > 0 {
		at := r.Locations[0].Physical
		a.Path = tree.Path(unescaped(at.Artifact.URI))
		a.Line, a.EndLine, a.Column = count(at.Region.StartLine), count(at.Region.EndLine), count(at.Region.StartColumn)
	}
	return c.add(a)
}

// rule finds what the tool says about the result's rule.
func (r sarifResult) rule(tool sarifTool) sarifRule {
	index := r.RuleIndex
	if index == nil {
		index = r.Rule.Index
	}
	id := firstOf(r.RuleID, r.Rule.ID)
	if index != nil && *index >= 0 && *index < len(tool.Driver.Rules) {
		found := tool.Driver.Rules[*index]
		found.ID = firstOf(id, found.ID)
		return found
	}
	for _, rule := range tool.Driver.Rules {
		// "CA1000/1" names a rule below CA1000 (section 3.27.5).
		if rule.ID == id || strings.HasPrefix(id, rule.ID+"/") && rule.ID != "" {
			rule.ID = id
			return rule
		}
	}
	return sarifRule{ID: id}
}

// sarifLevel is the severity of a level; without one a result is a warning (section 3.27.10).
func sarifLevel(level string) Severity {
	switch level {
	case "error":
		return Error
	case "note":
		return Notice
	default:
		return Warning
	}
}

// unescaped is a relative address as a path; an absolute one is [Tree.Path]'s to read.
func unescaped(uri string) string {
	if strings.HasPrefix(uri, "file:") {
		return uri
	}
	plain, err := url.PathUnescape(uri)
	if err != nil {
		return uri
	}
	return plain
}

// count is a number of a report as a line or column, 0 for nonsense.
func count(n float64) int {
	if n >= 1 && n <= MaxLine {
		return int(n)
	}
	return 0
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
