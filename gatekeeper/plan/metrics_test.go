package plan

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/iotest"
)

const k6Export = `{
  "root_group": {"name": "", "groups": {"a": {"checks": {}}}, "checks": [1, 2, {"x": [3]}]},
  "metrics": {
    "http_req_duration": {"avg": 1.5, "p(90)": 9, "p(99.9)": 2e1, "thresholds": {"p(95)<500": false}},
    "checks": {"passes": 3, "fails": 0, "value": 1}
  }
}`

const k6Summary = `{"metrics": {"iterations": {"type": "counter", "contains": "default", "values": {"count": 7, "rate": 0.5},
	"thresholds": {"rate>1": {"ok": false}}}}, "options": {"noColor": true}, "state": {"isStdOutTTY": false, "testRunDurationMs": 3}}`

const prometheus = `# HELP http_requests_total The total.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post \"} x",code="400"}    3

up 1
p95_ms	12.25
negative -4e-3
`

func TestReadMetrics(t *testing.T) {
	tests := map[string]struct {
		text string
		want map[string]float64
		err  string
	}{
		"flat":            {text: `{"p95_ms": 12.3, "rps": 1e3, "zero": 0}`, want: map[string]float64{"p95_ms": 12.3, "rps": 1000, "zero": 0}},
		"flat, with more": {text: ` {"a": 1, "detail": {"b": [2]}}`, want: map[string]float64{"a": 1}},
		"k6 export": {text: k6Export, want: map[string]float64{
			"http_req_duration.avg": 1.5, "http_req_duration.p90": 9, "http_req_duration.p99.9": 20, "checks.passes": 3, "checks.fails": 0, "checks.value": 1,
		}},
		"k6 summary": {text: k6Summary, want: map[string]float64{"iterations.count": 7, "iterations.rate": 0.5}},
		"prometheus": {text: prometheus, want: map[string]float64{
			`http_requests_total{method="post",code="200"}`: 1027, `http_requests_total{method="post \"} x",code="400"}`: 3, "up": 1, "p95_ms": 12.25, "negative": -0.004,
		}},
		"nothing":             {text: " \n", err: "no number"},
		"an empty object":     {text: "{}", err: "no number"},
		"comments only":       {text: "# TYPE a counter\n", err: "no number"},
		"a list":              {text: "[1]", err: "line 1 is not a name and a number"},
		"a string":            {text: `{"a": "1"}`, err: `"a" is not a number`},
		"null":                {text: `{"a": null}`, err: `"a" is not a number`},
		"twice":               {text: `{"a": 1, "a": 2}`, err: `"a" comes twice`},
		"twice in lines":      {text: "a 1\na 2\n", err: `line 2: "a" comes twice`},
		"NaN":                 {text: "a NaN\n", err: "not a finite number"},
		"infinite":            {text: "a +Inf\n", err: "not a finite number"},
		"too large":           {text: `{"a": 1e999}`, err: "not a finite number"},
		"NaN in JSON":         {text: `{"a": NaN}`, err: "not JSON"},
		"cut":                 {text: `{"a": 1, "b"`, err: "cut"},
		"cut inside":          {text: `{"x": [1, 2`, err: "cut"},
		"more behind":         {text: `{"a": 1} {"b": 2}`, err: "after the JSON"},
		"no name":             {text: `{"": 1}`, err: "is not a name"},
		"an escape sequence":  {text: "{\"\\u001b[2J\": 1}", err: "is not a name"},
		"a long name":         {text: strings.Repeat("a", MaxMetricName+1) + " 1", err: "is not a name"},
		"deep":                {text: `{"x": ` + strings.Repeat("[", 1000), err: "deep"},
		"a metric of no kind": {text: `{"metrics": {"a": 1}}`, err: "not an object"},
		"words":               {text: "it went well\n", err: `line 1: "it" is "went"`},
		"too many fields":     {text: "a 1 2 3\n", err: "line 1 is not"},
		"a large file":        {text: strings.Repeat(" ", MaxMetricsFile+1), err: "more than 1048576 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ReadMetrics(strings.NewReader(tt.text))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("%v, %v; want the error %q", got, err, tt.err)
				}
				return
			}
			if err != nil || !maps.Equal(got, tt.want) {
				t.Errorf("got  %v, %v\nwant %v", got, err, tt.want)
			}
		})
	}
	var many strings.Builder
	for n := range MaxMetrics + 1 {
		fmt.Fprintf(&many, "m%d 1\n", n)
	}
	if _, err := ReadMetrics(strings.NewReader(many.String())); err == nil || !strings.Contains(err.Error(), "more than 2000") {
		t.Errorf("too many: %v", err)
	}
	if _, err := ReadMetrics(iotest.ErrReader(errors.New("disk"))); err == nil {
		t.Error("an error of reading is not told")
	}
}

func FuzzReadMetrics(f *testing.F) {
	for _, seed := range []string{k6Export, k6Summary, prometheus, `{"a": 1}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ReadMetrics(strings.NewReader(text))
		if (err == nil) == (len(got) == 0) {
			t.Errorf("%v, %v", got, err)
		}
		for name, v := range got {
			if v != v || v-v != 0 || len(name) > MaxMetricName {
				t.Errorf("%q is %v", name, v)
			}
		}
	})
}
