package main

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"gatehouse/gitserver/fault"
)

// fileValue is one setting as the file spells it.
type fileValue struct {
	text string
	line int
}

// parseSettingsFile reads a flat YAML mapping of settings. Every problem is told at once,
// each with its line: unknown keys, keys given twice, values that are not simple.
func parseSettingsFile(path string, text []byte, known []string) (map[string]fileValue, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fault.Newf(fault.Invalid, "config.parse", "%s cannot be read as YAML: %v", path, err)
	}
	values := map[string]fileValue{}
	if len(doc.Content) == 0 {
		return values, nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fault.New(fault.Invalid, "config.parse", fmt.Sprintf("%s:%d: the file is not a list of settings", path, root.Line), "write one setting per line, as http: 127.0.0.1:8080")
	}
	var problems []string
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		switch _, twice := values[key.Value]; {
		case key.Value == "config":
			problems = append(problems, fmt.Sprintf("%s:%d: config names this file and cannot stand in it", path, key.Line))
		case !slices.Contains(known, key.Value):
			problems = append(problems, fmt.Sprintf("%s:%d: there is no setting %q%s", path, key.Line, key.Value, didYouMean(key.Value, known)))
		case twice:
			problems = append(problems, fmt.Sprintf("%s:%d: %s is given twice", path, key.Line, key.Value))
		default:
			text, ok := plainValue(value)
			if !ok {
				problems = append(problems, fmt.Sprintf("%s:%d: %s needs one simple value, or a list of them", path, value.Line, key.Value))
			}
			values[key.Value] = fileValue{text, key.Line}
		}
	}
	if len(problems) > 0 {
		return nil, fault.New(fault.Invalid, "config.parse", strings.Join(problems, "\n"), "see `gate config show` for the settings")
	}
	return values, nil
}

// plainValue is a value as a flag would spell it: a list is joined by commas.
func plainValue(value *yaml.Node) (string, bool) {
	switch value.Kind {
	case yaml.ScalarNode:
		return value.Value, true
	case yaml.SequenceNode:
		var parts []string
		for _, one := range value.Content {
			if one.Kind != yaml.ScalarNode {
				return "", false
			}
			parts = append(parts, one.Value)
		}
		return strings.Join(parts, ","), true
	default:
		return "", false
	}
}

// didYouMean names the closest known word, as ", did you mean http?", or nothing when none is close.
func didYouMean(word string, known []string) string {
	best, distance := "", max(2, len(word)/3)+1
	for _, k := range known {
		if d := editDistance(word, k); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

// editDistance is Levenshtein's distance between two short words.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
