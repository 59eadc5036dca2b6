package plan

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// Import makes a plan out of a file of OpenStack Solum: an app file (workflow_config,
// trigger_actions, source, languagepack, ports), or the plan file of before (artifacts with
// content, language_pack, unittest_cmd, run_cmd, ports). It gives the text of a gatehouse.yaml
// that [Parse] accepts, in which comments say what has no equal; or what is wrong with the file,
// never both. Keys and tokens are not copied.
//
// Solum's unittest, build and deploy become stages of these names, the artifact between them a
// bundle, and its one live assembly a standing environment. What it deployed from a pull request
// is deployed after the landing: a change that nobody accepted replaces nothing.
func Import(name string, text []byte) (string, []Problem) {
	r := newReader(name)
	root := r.load(text)
	if root == nil || !r.screen(root) {
		return "", r.sorted()
	}
	s := &solum{r: r}
	s.read(root)
	if len(r.problems) > 0 {
		return "", r.sorted()
	}
	plan := s.write()
	if _, problems := Parse(File, []byte(plan)); len(problems) > 0 {
		// A value that no plan can hold, such as a command with control characters.
		for i := range problems {
			problems[i].File, problems[i].Line, problems[i].Column = name, 0, 0
		}
		return "", problems
	}
	return plan, nil
}

// solum is what a file of Solum says.
type solum struct {
	r       *reader
	name    string
	about   string
	parts   []solumPart
	actions []string // nil when the file does not say
	missing []string // what has no equal, in words
}

// solumPart is what is tested, built and deployed together.
type solumPart struct {
	name, pack, repository, revision, test, run string
	ports                                       []string
}

// solumActions are what Solum can do on a trigger.
var solumActions = []string{"unittest", "build", "deploy", "scale"}

func (s *solum) read(root *yaml.Node) {
	var app solumPart
	isPlan, isApp := false, false
	for _, p := range s.r.pairs(root, "the file", "", MaxList) {
		key, n := p.key.Value, p.value
		switch key {
		case "version":
		case "name":
			s.name = s.scalar(n, key)
		case "description":
			s.about = s.scalar(n, key)
		case "languagepack", "language_pack":
			isApp, app.pack = true, s.scalar(n, key)
		case "source":
			isApp = true
			s.source(n, &app)
		case "workflow_config":
			isApp = true
			s.commands(n, &app)
		case "trigger_actions":
			isApp = true
			for _, item := range s.r.list(n, "`trigger_actions`", len(solumActions)) {
				if action, ok := s.r.word(item, "an action", solumActions); ok {
					s.actions = append(s.actions, action)
				}
			}
		case "ports":
			isApp, app.ports = true, s.ports(n)
		case "artifacts":
			isPlan = true
			s.artifacts(n)
		default:
			s.lacks(key)
		}
	}
	switch {
	case isPlan && isApp:
		s.r.bad(root, "keep either `artifacts` or `workflow_config`", "this is half an app file and half a plan file of Solum")
	case isPlan && len(s.parts) == 0 && len(s.r.problems) == 0:
		s.r.bad(root, "name an artifact", "the plan file has no artifacts")
	case !isPlan && !isApp:
		s.r.bad(root, "give an app file with `workflow_config`, or a plan file with `artifacts`", "this is no file of Solum")
	case isApp:
		s.parts = []solumPart{app}
	}
}

func (s *solum) scalar(n *yaml.Node, key string) string {
	if n.Kind != yaml.ScalarNode {
		s.r.bad(n, "", "`%s` must be text", clip(key))
		return ""
	}
	return n.Value
}

// source reads where the code comes from; keys stay where they are.
func (s *solum) source(n *yaml.Node, part *solumPart) {
	for _, p := range s.r.pairs(n, "`source`", "source", MaxList) {
		switch p.key.Value {
		case "repository", "href":
			part.repository = s.scalar(p.value, p.key.Value)
		case "revision":
			part.revision = s.scalar(p.value, "revision")
		default:
			s.lacks(p.key.Value)
		}
	}
}

func (s *solum) commands(n *yaml.Node, part *solumPart) {
	for _, p := range s.r.pairs(n, "`workflow_config`", "workflow_config", MaxList) {
		switch p.key.Value {
		case "test_cmd":
			part.test = s.scalar(p.value, "test_cmd")
		case "run_cmd":
			part.run = s.scalar(p.value, "run_cmd")
		default:
			s.lacks(p.key.Value)
		}
	}
}

func (s *solum) ports(n *yaml.Node) []string {
	if n.Kind == yaml.ScalarNode {
		return []string{n.Value}
	}
	return values(s.r.list(n, "`ports`", MaxList))
}

func (s *solum) artifacts(n *yaml.Node) {
	if n.Kind != yaml.SequenceNode || len(n.Content) > MaxArtifacts/2 {
		s.r.bad(n, "", "`artifacts` must be a list of at most %d", MaxArtifacts/2)
		return
	}
	for i, item := range n.Content {
		part := solumPart{}
		for _, p := range s.r.pairs(item, "an artifact", fmt.Sprintf("artifacts.%d", i), MaxList) {
			switch p.key.Value {
			case "name":
				part.name = s.scalar(p.value, "name")
			case "content":
				s.source(p.value, &part)
			case "language_pack":
				part.pack = s.scalar(p.value, "language_pack")
			case "unittest_cmd":
				part.test = s.scalar(p.value, "unittest_cmd")
			case "run_cmd":
				part.run = s.scalar(p.value, "run_cmd")
			case "ports":
				part.ports = s.ports(p.value)
			default:
				s.lacks(p.key.Value)
			}
		}
		s.parts = append(s.parts, part)
	}
}

// withoutEqual says what becomes of keys that a plan does not have.
var withoutEqual = map[string]string{
	"repo_token":      "repo_token: not copied. The server itself tells a forge how a change stands",
	"trigger_uuid":    "trigger_uuid: a push starts the plan; there is no address to call",
	"trust_id":        "trust_id: a stage acts as nobody",
	"private":         "private: the server has the repository, and who may read it is said there",
	"private_ssh_key": "private_ssh_key: not copied. Keys belong to accounts and mirrors",
	"public_key":      "public_key: not copied. Keys belong to accounts and mirrors",
	"status_url":      "status_url: webhooks tell other servers how a change stands",
	"artifact_type":   "artifact_type: what is made is a bundle of files",
	"scale_config":    "scale_config: one assembly serves at a time",
	"parameters":      "parameters: write them as `env` or `config` of the environment",
}

func (s *solum) lacks(key string) {
	words, known := withoutEqual[key]
	if !known {
		words = clip(plainLine(key)) + ": has no equal"
	}
	if !slices.Contains(s.missing, words) {
		s.missing = append(s.missing, words)
	}
}

// plainLine is text as it can stand in a comment.
func plainLine(text string) string {
	return strings.TrimSpace(strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, text))
}

// quotedText is text as a plan can hold it: JSON's strings are YAML's too.
func quotedText(text string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		panic(fmt.Sprintf("plan: quote: %v", err)) // text always marshals
	}
	return strings.TrimSuffix(b.String(), "\n")
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// nodeWord is text as a part of a name.
func nodeWord(text string) string {
	const enough = 24 // with what goes before it
	word := strings.Trim(notInName.ReplaceAllString(strings.ToLower(text), "-"), "-")
	return strings.Trim(word[:min(len(word), enough)], "-")
}
