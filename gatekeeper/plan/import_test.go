package plan

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const solumApp = `version: 1
name: cherrypy
description: A small web service
languagepack: python
source: {repository: https://git.example/cherrypy.git, revision: master, private_ssh_key: SECRETKEY}
workflow_config: {test_cmd: ./unit_tests.sh, run_cmd: python app.py}
trigger_actions: [unittest, build, deploy]
repo_token: SECRETTOKEN
ports: [80, 443]
`

const solumPlan = `version: 1
name: two
artifacts:
- name: web
  content: {href: https://git.example/web.git, private: false}
  language_pack: auto
  unittest_cmd: "./unit_tests.sh --say \"hello\""
  run_cmd: python app.py
  repo_token: SECRETTOKEN
  ports: 5000
- name: Worker One
  content: {href: https://git.example/worker.git}
  run_cmd: ./worker
`

func TestImport(t *testing.T) {
	t.Run("app", func(t *testing.T) {
		text, problems := Import("app.yaml", []byte(solumApp))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		want := `# Made from a file of OpenStack Solum.
# A small web service
version: 1
app: "cherrypy"

# trigger_actions were unittest, build, deploy: these are the stages below, and ` + "`deliver`" + ` is as far as they went.
outcomes:
  test-only: {reach: [unittest]}
  deliver: {reach: [land, deploy]}

artifacts: # the deployment units: made once, kept by their digest
  app: {type: bundle, stage: build}

environments: # where an assembly always runs
  live: {class: standing, lock: exclusive, rollback: {when: [deploy-failed]}}

stages:
  unittest: {run: "./unit_tests.sh"}
  build:
    # The build.sh of the language pack python stood here: have it write what serves to out/. This takes the files as they are.
    run: mkdir out && tar --exclude=./out --exclude=./.git -cf - . | tar -xf - -C out
    produces: {app: out}
  deploy:
    after: [land] # not before somebody has accepted it
    environment: live
    # It served at port 80; the command is told its port in $PORT.
    deploy: {artifact: app, run: "python app.py", port: 80, ready: {http: /, status: 200, within: 2m}}

gates:
  review: {require: [{review: {min: 1, not: [author, uploader]}}]} # Solum had none; remove it to land without
  tested: {after: [unittest, build], require: [{stages: passed}]}

# What has no equal here:
#   source: https://git.example/cherrypy.git at master. The plan is for the repository that it is in: ` + "`gate repo create NAME --import ADDRESS`" + `
#   ports: an assembly serves at one; also named were 443
#   private_ssh_key: not copied. Keys belong to accounts and mirrors
#   repo_token: not copied. The server itself tells a forge how a change stands
`
		if diff := cmp.Diff(want, text); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		p := mustParse(t, text)
		if steps := Next(p.Gating(""), Evidence{}, noon); strings.Join(steps.Start, " ") != "unittest build" {
			t.Errorf("%+v", steps)
		}
		if stages, _ := nodesOf(p.Delivering("")); strings.Join(stages, " ") != "deploy" {
			t.Errorf("delivers %v", stages)
		}
	})
	t.Run("plan", func(t *testing.T) {
		text, problems := Import("plan.yaml", []byte(solumPlan))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		p := mustParse(t, text)
		stages, _ := nodesOf(p)
		if got := strings.Join(stages, " "); got != "unittest-web build-web deploy-web build-worker-one deploy-worker-one" {
			t.Errorf("stages %s in\n%s", got, text)
		}
		if s, _ := p.Stage("unittest-web"); s.Run != `./unit_tests.sh --say "hello"` {
			t.Errorf("runs %q", s.Run)
		}
	})
	t.Run("only tests", func(t *testing.T) {
		text, problems := Import("app.yaml", []byte(strings.Replace(solumApp, "[unittest, build, deploy]", "[unittest]", 1)))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if stages, _ := nodesOf(mustParse(t, text)); strings.Join(stages, " ") != "unittest" {
			t.Errorf("stages %v", stages)
		}
	})
	t.Run("no tests", func(t *testing.T) {
		text, problems := Import("app.yaml", []byte(strings.Replace(solumApp, "[unittest, build, deploy]", "[deploy, scale]", 1)))
		if len(problems) > 0 || !strings.Contains(text, "#   the tests were left out by trigger_actions: ./unit_tests.sh\n") || !strings.Contains(text, "#   scale: ") {
			t.Errorf("%v\n%s", problems, text)
		}
	})
	for text, want := range map[string]string{
		"":                                     "app.yaml: the plan is empty",
		"name: x":                              "app.yaml:1:1: this is no file of Solum",
		"[1]":                                  "app.yaml:1:1: the file must be a mapping",
		"workflow_config: x":                   "`workflow_config` must be a mapping",
		"workflow_config: {test_cmd: [x]}":     "`test_cmd` must be text",
		"trigger_actions: [tset]":              "an action cannot be `tset`",
		"artifacts: x":                         "`artifacts` must be a list",
		"artifacts: []":                        "the plan file has no artifacts",
		"artifacts: [{}]\nworkflow_config: {}": "half an app file and half a plan file",
		"workflow_config: {test_cmd: \"a\\x07\"}": "app.yaml: `run` of stage `unittest` holds control characters",
		"a: &x {}\nworkflow_config: *x":           "a plan has no anchors",
	} {
		out, problems := Import("app.yaml", []byte(text))
		if out != "" || len(problems) == 0 || !strings.Contains(problems[0].String(), want) {
			t.Errorf("%q: %q %v, want %q", text, out, problems, want)
		}
	}
}

// Whatever a file of Solum holds, it becomes a plan without problems, or is said to have some;
// and no secret of it is in the plan.
func TestImportedPlansParse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := func(what string) string { return quotedText(rapid.String().Draw(t, what)) }
		text := fmt.Sprintf("name: %s\ndescription: %s\nlanguagepack: %s\nrepo_token: SECRET\nports: [%s]\nsource: {repository: %s, private_ssh_key: SECRET}\nworkflow_config: {test_cmd: %s, run_cmd: %s}\n%s: x\n",
			value("name"), value("description"), value("pack"), value("port"), value("repository"), value("test"), value("run"), value("key"))
		plan, problems := Import("app.yaml", []byte(text))
		if strings.Contains(plan, "SECRET") || (plan == "") == (len(problems) == 0) {
			t.Fatalf("%q\n%v", plan, problems)
		}
		if plan == "" {
			return
		}
		if _, problems := Parse(File, []byte(plan)); len(problems) > 0 {
			t.Fatalf("%s\n%v", plan, problems)
		}
	})
}
