package plan

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// Grammars of the names in a plan. They are also file names, environment values and parts of
// addresses, so they are narrow.
var (
	nodeName   = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,39}$`)
	labelName  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,39}$`)
	memberName = regexp.MustCompile(`^(group:)?[a-z0-9][a-z0-9._-]{0,38}$`)
	envName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,99}$`)
	timeText   = regexp.MustCompile(`^(?:([0-9]{1,4})d)?([0-9]{1,4}h)?([0-9]{1,5}m)?([0-9]{1,6}s)?$`)
	sizeText   = regexp.MustCompile(`^([0-9]{1,9})(KiB|MiB|GiB)$`)
	amount     = regexp.MustCompile(`^([0-9]{1,6}) *([A-Za-z]*)$`)
)

// pair is one entry of a mapping.
type pair struct {
	key, value *yaml.Node
}

// isNull reports whether a key was given without a value.
func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// pairs lists the entries of a mapping with at most limit distinct keys. what names the
// mapping in problems, at is its path in the file.
func (r *reader) pairs(n *yaml.Node, what, at string, limit int) []pair {
	if n.Kind != yaml.MappingNode {
		r.bad(n, "write `key: value` pairs", "%s must be a mapping", what)
		return nil
	}
	if len(n.Content)/2 > limit {
		r.bad(n, "", "%s has %d entries; at most %d are allowed", what, len(n.Content)/2, limit)
		return nil
	}
	var all []pair
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || isNull(key) {
			r.bad(key, "write a plain word as the key", "a key of %s is not a word", what)
			continue
		}
		if first, twice := seen[key.Value]; twice {
			r.bad(key, "keep one of the two", "%s has the key `%s` twice, first in line %d", what, key.Value, first)
			continue
		}
		seen[key.Value] = key.Line
		r.plan.lines[strings.TrimPrefix(at+"."+key.Value, ".")] = key.Line
		all = append(all, pair{key, value})
	}
	return all
}

// field says how to read the value of a key.
type field func(value *yaml.Node)

// fields reads a mapping with fixed keys. later are keys that belong to plans but that this
// version does not run: they are refused, because what they ask for would not happen.
func (r *reader) fields(n *yaml.Node, what, at string, known map[string]field, later []string) {
	names := make([]string, 0, len(known))
	for k := range known {
		names = append(names, k)
	}
	slices.Sort(names)
	if r.watch != nil {
		r.watch(at, names)
	}
	for _, p := range r.pairs(n, what, at, len(known)+MaxList) {
		read, ok := known[p.key.Value]
		switch {
		case ok && isNull(p.value):
			r.bad(p.key, "give it a value, or remove it", "`%s` in %s has no value", p.key.Value, what)
		case ok:
			read(p.value)
		case strings.EqualFold(p.key.Value, "on"):
			r.bad(p.key, "remove it: a push starts the plan", "`on` is no key of a plan, and many YAML readers take it for true")
		case slices.Contains(later, p.key.Value):
			r.bad(p.key, "remove it", "this version of Gatehouse does not run `%s` yet, and does not ignore it either", p.key.Value)
		default:
			fix := didYouMean(p.key.Value, names)
			if fix == "" {
				fix = "known keys: " + strings.Join(names, ", ")
			}
			r.bad(p.key, fix, "%s has no key `%s`", what, clip(p.key.Value))
		}
	}
}

// clip shortens text from the file for a message.
func clip(s string) string {
	const enough = 60
	if len(s) <= enough {
		return s
	}
	return strings.ToValidUTF8(s[:enough], "") + "…"
}

// text reads a scalar as it is written.
func (r *reader) text(n *yaml.Node, what string) (string, bool) {
	switch {
	case n.Kind != yaml.ScalarNode || isNull(n):
		r.bad(n, "write text; put it in quotes when it holds `: `, `{` or `[`", "%s must be text", what)
	case n.Value == "":
		r.bad(n, "remove the key, or give it a value", "%s is empty", what)
	case len(n.Value) > MaxText:
		r.bad(n, "", "%s has %d bytes; at most %d are allowed", what, len(n.Value), MaxText)
	case strings.ContainsFunc(n.Value, unicode.IsControl):
		r.bad(n, "remove them", "%s holds control characters", what)
	default:
		return n.Value, true
	}
	return "", false
}

// word reads one of a few words.
func (r *reader) word(n *yaml.Node, what string, words []string, later ...string) (string, bool) {
	text, ok := r.text(n, what)
	if !ok {
		return "", false
	}
	if slices.Contains(words, text) {
		return text, true
	}
	if slices.Contains(later, text) {
		r.bad(n, "write "+either(words), "this version of Gatehouse does not know `%s` as %s yet", text, what)
		return "", false
	}
	fix := didYouMean(text, words)
	if fix == "" {
		fix = "write " + either(words)
	}
	r.bad(n, fix, "%s cannot be `%s`", what, clip(text))
	return "", false
}

// either joins words as alternatives.
func either(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = "`" + w + "`"
	}
	if len(quoted) < 2 {
		return strings.Join(quoted, "")
	}
	return strings.Join(quoted[:len(quoted)-1], ", ") + " or " + quoted[len(quoted)-1]
}

// list reads a sequence of scalars, none of them twice.
func (r *reader) list(n *yaml.Node, what string, limit int) []*yaml.Node {
	if n.Kind == yaml.ScalarNode && !isNull(n) {
		r.bad(n, "write `["+clip(n.Value)+"]`", "%s must be a list", what)
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.bad(n, "write `[one, two]`", "%s must be a list", what)
		return nil
	}
	if len(n.Content) > limit {
		r.bad(n, "", "%s has %d items; at most %d are allowed", what, len(n.Content), limit)
		return nil
	}
	var items []*yaml.Node
	seen := map[string]bool{}
	for _, item := range n.Content {
		text, ok := r.text(item, "an item of "+what)
		switch {
		case !ok:
		case seen[text]:
			r.bad(item, "remove one of them", "%s names `%s` twice", what, clip(text))
		default:
			seen[text] = true
			items = append(items, item)
		}
	}
	return items
}

func values(nodes []*yaml.Node) []string {
	var all []string
	for _, n := range nodes {
		all = append(all, n.Value)
	}
	return all
}

// integer reads a decimal number between two bounds.
func (r *reader) integer(n *yaml.Node, what string, low, high int) (int, bool) {
	value, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || value < low || value > high {
		r.bad(n, "", "%s must be a number from %d to %d", what, low, high)
		return 0, false
	}
	return value, true
}

// boolean reads true or false, in one spelling.
func (r *reader) boolean(n *yaml.Node, what string) bool {
	if n.Kind == yaml.ScalarNode && (n.Value == "true" || n.Value == "false") {
		return n.Value == "true"
	}
	fix := "write `true` or `false`"
	switch strings.ToLower(n.Value) {
	case "yes", "on", "y", "1":
		fix = "write `true`"
	case "no", "off", "n", "0":
		fix = "write `false`"
	}
	r.bad(n, fix, "%s must be true or false", what)
	return false
}

// duration reads a time such as 90s, 10m, 1h30m or 30d, of at most high. A day is 24 hours.
func (r *reader) duration(n *yaml.Node, what, key string, high time.Duration) time.Duration {
	if m := timeText.FindStringSubmatch(n.Value); m != nil && n.Kind == yaml.ScalarNode && n.Value != "" {
		count, _ := strconv.Atoi("0" + m[1])
		d, err := time.ParseDuration("0s" + strings.TrimPrefix(n.Value, m[1]+"d"))
		d += time.Duration(count) * day
		if err == nil && d > 0 && d <= high {
			return d
		}
		r.bad(n, "", "%s must be more than 0 and at most %s", what, shortDuration(high))
		return 0
	}
	example := "10m"
	if m := amount.FindStringSubmatch(n.Value); m != nil {
		unit := strings.ToLower(m[2] + "m")[:1]
		if strings.Contains("dhms", unit) {
			example = m[1] + unit
		}
	}
	r.bad(n, "write `"+key+": "+example+"`", "%s must be a time with a unit (d, h, m, s)", what)
	return 0
}

// shortDuration is d without zero minutes and seconds, and in days from two on.
func shortDuration(d time.Duration) string {
	if d >= 2*day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// size reads an amount of memory such as 512MiB.
func (r *reader) size(n *yaml.Node, what, key string, low, high int64) int64 {
	if m := sizeText.FindStringSubmatch(n.Value); m != nil && n.Kind == yaml.ScalarNode {
		shift := map[string]int{"KiB": 10, "MiB": 20, "GiB": 30}[m[2]]
		count, err := strconv.ParseInt(m[1], 10, 64)
		if size := count << shift; err == nil && size >= low && size <= high {
			return size
		}
		r.bad(n, "", "%s must be from %dMiB to %dGiB", what, low>>20, high>>30)
		return 0
	}
	example := "512MiB"
	if m := amount.FindStringSubmatch(n.Value); m != nil {
		switch strings.ToLower(m[2] + " ")[:1] {
		case "k":
			example = m[1] + "KiB"
		case "m", " ":
			example = m[1] + "MiB"
		case "g":
			example = m[1] + "GiB"
		}
	}
	r.bad(n, "write `"+key+": "+example+"`", "%s must be a size in KiB, MiB or GiB", what)
	return 0
}

// resultPath reads the path of a file that a stage leaves in its working copy.
func (r *reader) resultPath(n *yaml.Node, what string) (string, bool) {
	name, ok := r.text(n, what)
	if !ok {
		return "", false
	}
	clean := path.Clean(name)
	outside := path.IsAbs(name) || clean == "." || clean == ".." || strings.HasPrefix(clean, "../") || strings.Contains(name, `\`)
	hidden := clean == ".git" || strings.HasPrefix(clean, ".git/")
	if outside || hidden {
		r.bad(n, "write a path like `out/unit.json`", "%s must be a file inside the working copy, not `%s`", what, clip(name))
		return "", false
	}
	if clean != name {
		r.bad(n, "write `"+clean+"`", "%s is written in a roundabout way", what)
		return "", false
	}
	return name, true
}
