package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
)

// node is a part of the schema.
type node = map[string]any

func readSchema(t *testing.T) node {
	t.Helper()
	var root node
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	return root
}

// resolved follows a reference.
func resolved(root, n node) node {
	if name, ok := n["$ref"].(string); ok {
		return root["$defs"].(node)[strings.TrimPrefix(name, "#/$defs/")].(node)
	}
	return n
}

// choices lists the alternatives of a part, or the part itself.
func choices(root, n node) []node {
	n = resolved(root, n)
	for _, key := range []string{"oneOf", "anyOf"} {
		if all, ok := n[key].([]any); ok {
			var found []node
			for _, one := range all {
				found = append(found, choices(root, one.(node))...)
			}
			return found
		}
	}
	return []node{n}
}

// partAt finds the mapping with fixed keys at a path as the reader knows it, nil for none.
func partAt(root node, path string) node {
	here := []node{root}
	for step := range strings.SplitSeq(path, ".") {
		if step == "" {
			continue
		}
		var next []node
		for _, n := range here {
			props, _ := n["properties"].(node)
			rest, _ := n["additionalProperties"].(node)
			items, _ := n["items"].(node)
			switch _, err := strconv.Atoi(step); {
			case props[step] != nil:
				next = append(next, choices(root, props[step].(node))...)
			case rest != nil:
				next = append(next, choices(root, rest)...)
			case items != nil && err == nil:
				next = append(next, choices(root, items)...)
			}
		}
		here = next
	}
	for _, n := range here {
		if _, fixed := n["properties"]; fixed {
			return n
		}
	}
	return nil
}

// everything has each mapping with fixed keys at least once; it is no plan without problems.
const everything = `version: 1
outcomes: {o: {}}
artifacts: {a: {}}
environments: {e: {dns: {}, promote: {}, freeze: [{}], rollback: {}, scripts: {}}}
targets: {t: {}}
labels: {L: {}}
land: {}
stages:
  s: {inputs: {}, results: {}, annotations: [{x: y}], coverage: {}, quarantine: {}, deploy: {ready: {}}, verify: {}, secrets: {s: {}}, services: {d: {ready: {}}}, bypassable: {}}
gates:
  g: {bypassable: {}, require: [{review: {}}, {owners: {}}, {tests: {}}, {approve: {}}, {metric: {regression: {}}}, {soak: {}}, {evidence: {}}, {window: {}}, {external: {}}]}
`

// The schema has exactly the keys that the reader has, everywhere.
func TestSchemaKeys(t *testing.T) {
	root := readSchema(t)
	seen := map[string]bool{}
	r := newReader(File)
	r.watch = func(path string, known []string) {
		n := partAt(root, path)
		if n == nil {
			t.Errorf("the schema has nothing at %q", path)
			return
		}
		keys := slices.Sorted(maps.Keys(n["properties"].(node)))
		if diff := cmp.Diff(known, keys); diff != "" {
			t.Errorf("%q (-reader +schema):\n%s", path, diff)
		}
		seen[fmt.Sprint(keys)] = true
	}
	r.readPlan(r.load([]byte(everything)))
	var walk func(path string, n any)
	walk = func(path string, n any) {
		switch n := n.(type) {
		case []any:
			for i, one := range n {
				walk(path+"/"+strconv.Itoa(i), one)
			}
		case node:
			props, isObject := n["properties"].(node)
			if isObject && n["type"] == "object" && !seen[fmt.Sprint(slices.Sorted(maps.Keys(props)))] {
				t.Errorf("the reader never reads what the schema has at %s", path)
			}
			if isObject && n["additionalProperties"] != false {
				t.Errorf("the schema lets unknown keys through at %s", path)
			}
			for key, one := range n {
				walk(path+"/"+key, one)
			}
		}
	}
	walk("", root)
}

// What the reader accepts, the schema accepts: the examples of all docs, and the tests' own.
func TestSchemaAccepts(t *testing.T) {
	root := readSchema(t)
	plans := []string{full, fiveGates}
	for _, file := range manuals {
		plans = append(plans, examplesOf(t, file)...)
	}
	for _, text := range plans {
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		plain, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		var parsed any
		// Our YAML reader takes days for times; the core schema of YAML 1.2 has no times.
		if err := json.Unmarshal(bytes.ReplaceAll(plain, []byte(`T00:00:00Z"`), []byte(`"`)), &parsed); err != nil {
			t.Fatal(err)
		}
		if why := fits(root, root, parsed, ""); why != "" {
			t.Errorf("%s\nin\n%s", why, text)
		}
	}
}

// The schema refuses what the reader refuses for its form.
func TestSchemaRefuses(t *testing.T) {
	root := readSchema(t)
	for _, text := range []string{
		`{}`, `{"version": 2}`, `{"version": 1, "on": "push"}`, `{"version": 1, "gates": {}}`, `{"version": 1, "stages": {"A": {}}}`,
		`{"version": 1, "stages": {"a": {"timout": "1m"}}}`, `{"version": 1, "stages": {"a": {"timeout": 10}}}`, `{"version": 1, "land": {"how": "force"}}`,
		`{"version": 1, "gates": {"g": {"require": [{"review": {}, "tests": {}}]}}}`, `{"version": 1, "environments": {"e": {"class": "big"}}}`,
		`{"version": 1, "environments": {"e": {"class": "standing", "dns": "off"}}}`, `{"version": 1, "stages": {"a": {"env": {"GATE_X": "1"}}}}`,
	} {
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		if fits(root, root, value, "") == "" {
			t.Errorf("the schema accepts %s", text)
		}
	}
}

// fits says why a value does not fit a part of the schema, "" when it does. It knows the words
// of JSON Schema that ours uses, and fails on others.
func fits(root, n node, v any, path string) string {
	n = resolved(root, n)
	for word, arg := range n {
		if why := fitsWord(root, n, word, arg, v, path); why != "" {
			return why
		}
	}
	return ""
}

func fitsWord(root, n node, word string, arg, v any, path string) string {
	bad := func(format string, args ...any) string { return path + ": " + fmt.Sprintf(format, args...) }
	object, isObject := v.(node)
	list, isList := v.([]any)
	text, isText := v.(string)
	figure, isNumber := v.(float64)
	switch word {
	case "$schema", "$defs", "title", "description", "default", "uniqueItems", "propertyNames":
	case "type":
		types, many := arg.([]any)
		if !many {
			types = []any{arg}
		}
		_, isBool := v.(bool)
		is := map[any]bool{"object": isObject, "array": isList, "string": isText, "number": isNumber, "integer": isNumber && figure == float64(int(figure)), "boolean": isBool}
		if !slices.ContainsFunc(types, func(t any) bool { return is[t] }) {
			return bad("%v is no %v", v, arg)
		}
	case "properties", "additionalProperties":
		if word == "properties" && n["additionalProperties"] != nil {
			break // read together
		}
		for key, value := range object {
			names, limited := n["propertyNames"].(node)
			if limited && fits(root, names, key, "") != "" {
				return bad("the name %q", key)
			}
			props, _ := n["properties"].(node)
			part, known := props[key].(node)
			rest, open := n["additionalProperties"].(node)
			if !known && !open {
				return bad("unknown key %s", key)
			}
			if !known {
				part = rest
			}
			if why := fits(root, part, value, path+"."+key); why != "" {
				return why
			}
		}
	case "required":
		for _, key := range arg.([]any) {
			if isObject && object[key.(string)] == nil {
				return bad("needs %s", key)
			}
		}
	case "items":
		for i, one := range list {
			if why := fits(root, arg.(node), one, path+"."+strconv.Itoa(i)); why != "" {
				return why
			}
		}
	case "oneOf", "anyOf":
		matches, why := 0, ""
		for _, one := range arg.([]any) {
			if problem := fits(root, one.(node), v, path); problem == "" {
				matches++
			} else {
				why += "\n  " + problem
			}
		}
		if matches == 0 || word == "oneOf" && matches > 1 {
			return bad("%d alternatives fit%s", matches, why)
		}
	case "const":
		if v != arg {
			return bad("%v is not %v", v, arg)
		}
	case "enum":
		if !slices.Contains(arg.([]any), v) {
			return bad("%v is none of %v", v, arg)
		}
	case "pattern":
		if isText && !matchesPattern(arg.(string), text) {
			return bad("%q does not match %s", text, arg)
		}
	case "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minimum", "maximum":
		have := map[string]float64{"Length": float64(len(text)), "Items": float64(len(list)), "Properties": float64(len(object)), "imum": figure}[word[3:]]
		applies := map[string]bool{"Length": isText, "Items": isList, "Properties": isObject, "imum": isNumber}[word[3:]]
		if limit := arg.(float64); applies && (word[:3] == "min" && have < limit || word[:3] == "max" && have > limit) {
			return bad("%v against %s %v", v, word, arg)
		}
	default:
		return bad("the test does not know %s", word)
	}
	return ""
}

// matchesPattern knows the one look ahead that the schema has and Go's patterns have not.
func matchesPattern(pattern, text string) bool {
	const reserved = "(?!" + reservedEnv + ")"
	return !(strings.Contains(pattern, reserved) && strings.HasPrefix(text, reservedEnv)) &&
		regexp.MustCompile(strings.ReplaceAll(pattern, reserved, "")).MatchString(text)
}

// examplesOf reads the plans in a file of the docs.
func examplesOf(t testing.TB, file string) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```\n").FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1])
	}
	return all
}
