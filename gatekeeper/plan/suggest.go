package plan

import (
	"slices"
	"strings"
)

// elsewhere maps what other systems call a key to what a plan calls it.
var elsewhere = map[string]string{
	"needs": "after", "depends_on": "after", "depends-on": "after", "requires": "require", "rules": "require",
	"script": "run", "command": "run", "cmd": "run", "steps": "run", "commands": "run",
	"files": "paths", "path": "paths", "reports": "results", "environment_variables": "env", "variables": "env",
	"jobs": "stages", "tasks": "stages", "stage": "stages", "gate": "gates", "merge": "land", "users": "roles", "groups": "roles",
	"minimum": "min", "maximum": "max", "method": "how", "strategy": "how", "except": "not", "exclude": "not", "from": "by",
	"domain": "dns", "host": "dns", "hostname": "dns", "artefacts": "artifacts", "outputs": "produces", "artifacts": "produces", "inputs": "uses",
	"branches": "when", "branch": "when", "only": "when", "if": "when", "retries": "retry", "cache": "caches", "lock": "locks", "parallel": "matrix",
	"approval": "approve", "healthcheck": "ready", "health": "ready", "delay": "soak", "wait": "soak", "status": "external", "bypass": "bypassable",
	"manual": "hand", "automatic": "auto", "command_line": "run", "production": "standing", "rolling": "blue-green", "docker": "container",
	"approvals": "min", "deadline": "timeout", "mem": "memory", "block": "veto",
}

// didYouMean proposes one of known for a word that is none of them, "" when none is near.
func didYouMean(word string, known []string) string {
	lower := strings.ToLower(word)
	if other, ok := elsewhere[lower]; ok && slices.Contains(known, other) {
		return "did you mean `" + other + "`?"
	}
	best, nearest := "", 3 // two slips at most: further away is another word
	for _, k := range known {
		d := distance(lower, strings.ToLower(k))
		if d < nearest && d < len(k) && d*2 <= max(len(lower), len(k)) {
			best, nearest = k, d
		}
	}
	if best == "" {
		return ""
	}
	return "did you mean `" + best + "`?"
}

// distance counts the insertions, deletions, replacements and swaps of neighbours between two
// words (optimal string alignment). Words far longer than any key are far from everything.
func distance(a, b string) int {
	const longest = 64
	if len(a) > longest || len(b) > longest {
		return longest
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
