package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// helpWidth keeps help readable on wide terminals.
const helpWidth = 110

// commands is the command tree: nouns, then verbs; the acts of every day stand alone.
type commands struct {
	Serve serveCmd `cmd:"" help:"Start the server. An empty folder is enough."`
	Demo  demoCmd  `cmd:"" help:"Show the whole way of a change, from push to production, on a sample service."`

	Repo struct {
		Create   repoCreateCmd   `cmd:"" help:"Create a repository, empty or from another one."`
		Import   repoImportCmd   `cmd:"" help:"Fill an empty repository from another one."`
		List     repoListCmd     `cmd:"" help:"List repositories."`
		Set      repoSetCmd      `cmd:"" help:"Change a repository's settings."`
		Grant    repoGrantCmd    `cmd:"" help:"Give an account or a group a role."`
		Grants   repoGrantsCmd   `cmd:"" help:"List who has which role."`
		Rule     repoRuleCmd     `cmd:"" help:"Keep a verb on some branches for a role and above."`
		Rules    repoRulesCmd    `cmd:"" help:"List the branch rules."`
		Rulegone repoRuleGoneCmd `cmd:"" name:"unrule" help:"Remove a branch rule."`
	} `cmd:"" help:"Repositories."`
	Mirror struct {
		List   mirrorListCmd   `cmd:"" help:"List mirrors and how they are."`
		Add    mirrorAddCmd    `cmd:"" help:"Add a mirror."`
		Retry  mirrorRetryCmd  `cmd:"" help:"Try a mirror now, also a stopped one."`
		Pause  mirrorPauseCmd  `cmd:"" help:"Stop a mirror until it is retried."`
		Remove mirrorRemoveCmd `cmd:"" help:"Remove a mirror; upstream stays as it is."`
	} `cmd:"" help:"Mirrors: destinations that follow what has landed."`
	Entrance entranceVerbs `cmd:"" help:"Entrances: other servers where changes are proposed, and where they may land."`
	Change   struct {
		List changeListCmd `cmd:"" help:"List changes, newest first."`
		Show changeShowCmd `cmd:"" help:"Show a change and where it stands."`

		Files  changeFilesCmd  `cmd:"" help:"List the files that a change touches, and which of them you have viewed."`
		Viewed changeViewedCmd `cmd:"" help:"Mark files of a change as viewed, or take the marks back."`
		changeActs
	} `cmd:"" help:"Changes."`
	Inbox    inboxCmd `cmd:"" help:"What concerns you: my turn, waiting on others, mine, watched, recently landed."`
	Reviewer struct {
		List    reviewerListCmd    `cmd:"" help:"List who was asked to review, or did."`
		Add     reviewerAddCmd     `cmd:"" help:"Ask people to review."`
		Remove  reviewerRemoveCmd  `cmd:"" help:"Take people off the reviewers."`
		Suggest reviewerSuggestCmd `cmd:"" help:"Whom to ask: owners of the paths, and who wrote the lines."`
	} `cmd:"" help:"Reviewers of a change."`
	Attention struct {
		List   attentionListCmd   `cmd:"" help:"List whose turn it is, and why."`
		Add    attentionAddCmd    `cmd:"" help:"Make it somebody's turn."`
		Remove attentionRemoveCmd `cmd:"" help:"Say that it is not your turn, or somebody's."`
	} `cmd:"" help:"Whose turn it is on a change."`
	Watch struct {
		List   watchListCmd   `cmd:"" help:"List what you watch."`
		Add    watchAddCmd    `cmd:"" help:"Watch a repository, a branch, a path or a search."`
		Remove watchRemoveCmd `cmd:"" help:"Watch something no more."`
	} `cmd:"" help:"What you watch: it stands on your dashboard."`
	Star    starCmd    `cmd:"" help:"Star a change."`
	Why     whyCmd     `cmd:"" help:"Why a change has not landed, and who can do what; and once it has, where it runs and what it waits for."`
	Vote    voteCmd    `cmd:"" help:"Vote on a change."`
	Comment commentCmd `cmd:"" help:"Comments, drafts, threads and suggestions. Without a verb: add."`
	Submit  submitCmd  `cmd:"" help:"Ask that a change land as soon as its gates are open."`
	Abandon abandonCmd `cmd:"" help:"Give a change up."`
	Restore restoreCmd `cmd:"" help:"Take an abandoned change up again."`
	Recheck recheckCmd `cmd:"" help:"Run stages of a change again: what did not pass, or those that are named."`
	Stop    stopCmd    `cmd:"" help:"Stop a stage that runs, without a verdict; gate recheck runs it again."`
	Checks  checksCmd  `cmd:"" help:"What stages say about the lines of a change: findings and coverage."`
	WIP     wipCmd     `cmd:"" name:"wip" help:"Mark a change as work in progress, or with --off as ready."`
	Queue   queueCmd   `cmd:"" help:"The queue in front of a branch."`
	Log     logCmd     `cmd:"" help:"Show the log of a stage run."`
	Flakes  flakesCmd  `cmd:"" help:"How reliable stages and tests are: what fails and then passes on the same files."`
	Tests   testsCmd   `cmd:"" help:"The tests of a repository, or the history of one."`
	deliveryVerbs

	Account struct {
		Create   accountCreateCmd   `cmd:"" help:"Create an account."`
		List     accountListCmd     `cmd:"" help:"List accounts."`
		Link     accountLinkCmd     `cmd:"" help:"Make a link that signs an account in once."`
		Password accountPasswordCmd `cmd:"" help:"Set an account's password, read from stdin."`
		Disable  accountDisableCmd  `cmd:"" help:"Cut an account off."`
		Enable   accountEnableCmd   `cmd:"" help:"Let an account in again."`
		Key      struct {
			Add    keyAddCmd    `cmd:"" help:"Add an SSH key."`
			List   keyListCmd   `cmd:"" help:"List SSH keys."`
			Remove keyRemoveCmd `cmd:"" help:"Remove an SSH key."`
		} `cmd:"" help:"SSH keys of an account."`
	} `cmd:"" help:"Accounts."`
	Group struct {
		Create groupCreateCmd `cmd:"" help:"Create a group."`
		List   groupListCmd   `cmd:"" help:"List groups and their members."`
		Add    groupAddCmd    `cmd:"" help:"Put accounts into a group."`
		Remove groupRemoveCmd `cmd:"" help:"Take accounts out of a group."`
	} `cmd:"" help:"Groups of accounts."`
	Token struct {
		Create tokenCreateCmd `cmd:"" help:"Make an API token and print it, alone, on stdout."`
		List   tokenListCmd   `cmd:"" help:"List an account's tokens."`
		Revoke tokenRevokeCmd `cmd:"" help:"Revoke a token."`
	} `cmd:"" help:"API tokens: for git over HTTP, the API and this command line."`

	Notify  notifyVerbs  `cmd:"" help:"What you are told, and what of it is mailed."`
	Webhook webhookVerbs `cmd:"" help:"Webhooks: chats and servers that are told what happens in a repository."`
	Mail    mailVerbs    `cmd:"" help:"Mail of the server."`

	Plan struct {
		Check   planCheckCmd   `cmd:"" help:"Read a plan file and say all that is wrong with it."`
		Explain planExplainCmd `cmd:"" help:"Say in words what a plan does: what runs when, what each gate asks, for each outcome."`
		Graph   planGraphCmd   `cmd:"" help:"Draw a plan: as text, as a picture or for Graphviz."`
		Schema  planSchemaCmd  `cmd:"" help:"Print the JSON Schema of plans, for editors."`
		Import  planImportCmd  `cmd:"" help:"Make a plan out of a file of OpenStack Solum, and print it."`
	} `cmd:"" help:"Plans (gatehouse.yaml)."`
	Config struct {
		Show configShowCmd `cmd:"" help:"Show the server's settings and where each came from."`
	} `cmd:"" help:"Settings of the server."`
	Sim     simCmd     `cmd:"" help:"Play workloads against the merge queue and those of others."`
	Doctor  doctorCmd  `cmd:"" help:"Check what the server stands on."`
	Version versionCmd `cmd:"" help:"Show the version."`
}

// describe is a flag's help with its variable.
func describe(value *kong.Value) string {
	help := kong.DefaultHelpValueFormatter(value)
	if value.Tag != nil && value.Tag.Has("setting") {
		help = strings.TrimSuffix(help, ".") + fmt.Sprintf(" ($%s).", envName(value.Name))
	}
	return help
}

// examples are shown under the help of a command.
var examples = map[string][]string{
	"artifact verify": {"gate artifact keys --public > gate.pub", "gate artifact show hello 8f41 --envelope > server.intoto.jsonl", "gate artifact verify server --key gate.pub"},
	"":                {"gate serve", "gate demo", "gate repo create hello --import . --data ./gate-data", "gate why 12"},
	"serve":           {"gate serve", "gate serve --http 127.0.0.1:9000 --data /var/lib/gatehouse", "gate serve --http :443 --tls-cert cert.pem --tls-key key.pem --public-url https://git.example.org"},
	"demo":            {"gate demo", "gate demo --once --keep /tmp/demo --json"},
	"repo":            {"gate repo create hello", "gate repo list --json"},
	"repo create":     {"gate repo create hello", "gate repo create hello --import . --mirror ssh://git@github.com/team/hello.git", "gate repo create team/tool --private --import https://git.example.org/tool.git"},
	"repo set":        {"gate repo set hello --gated main --gated 'release/*'", "gate repo set hello --private", "gate repo set hello --ungated", "gate repo set hello --direct-push refuse"},
	"repo grant":      {"gate repo grant hello --to alice --role write", "gate repo grant hello --to group:release --role maintain --branch 'release/*'", "gate repo grant hello --to alice --role none"},
	"repo rule":       {"gate repo rule hello --branch 'release/*' --verb submit --role maintain"},
	"mirror add":      {"gate mirror add hello ssh://git@github.com/team/hello.git", "gate mirror add hello https://git.example.org/hello.git --token-file upstream-token"},
	"change list":     {"gate change list", "gate change list --repo hello --status landed --json", "gate change list --reviewer self", "gate change list -q 'is:open file:web/ -owner:self'"},
	"change files":    {"gate change files 12", "gate change files 12 --base 1"},
	"change viewed":   {"gate change viewed 12 main.go docs/guide.md", "gate change viewed 12 main.go --off"},
	"inbox":           {"gate inbox", "gate inbox --json"},
	"reviewer":        {"gate reviewer suggest 12", "gate reviewer add 12 alice bob", "gate reviewer add 12 carol --cc", "gate reviewer remove 12 bob"},
	"attention":       {"gate attention list 12", "gate attention add 12 alice -m 'you know this file'", "gate attention remove 12"},
	"watch":           {"gate watch add --repo hello --path docs/", "gate watch add --query 'message:security'", "gate watch list"},
	"change show":     {"gate change show 12", "gate change show 12 --json"},
	"why":             {"gate why 12", "gate why 12 --if 'alice approves and unit passes'"},
	"vote":            {"gate vote 12 --label Code-Review=+2 -m 'reads well'", "gate vote 12 --label Code-Review=-1 -m 'see my comments'"},
	"comment":         {"gate comment 12 -m 'is this needed?'", "gate comment list 12 --unresolved", "gate comment resolve 12 345"},
	"comment add":     {"gate comment 12 -m 'is this needed?'", "gate comment 12 --file main.go --line 40 --unresolved -m 'this leaks'", "gate comment 12 --file main.go --start-line 38 --line 40 --draft -m - <text"},
	"comment list":    {"gate comment list 12", "gate comment list 12 --unresolved --json", "gate comment list 12 --drafts"},
	"comment resolve": {"gate comment resolve 12 345", "gate comment resolve 12 345 -m 'in the next patch set'", "gate comment resolve 12 345 --reopen"},
	"comment apply":   {"gate comment apply 12 345", "gate comment apply 12 345 346.1"},
	"comment publish": {"gate comment publish 12", "gate comment publish 12 -m 'see inline'"},
	"submit":          {"gate submit 12"},
	"log":             {"gate log 57", "gate log 57 --follow", "gate log 57 --raw > log.txt"},
	"recheck":         {"gate recheck 12", "gate recheck 12 --stage unit -m 'the mirror was down'"},
	"checks":          {"gate checks 12", "gate checks 12 --json"},
	"tests":           {"gate tests hello", "gate tests hello parse", "gate tests hello --test example.org/hello.TestAdd"},
	"queue":           {"gate queue show hello", "gate queue why 12", "gate queue hold 12 --reason 'waits for the release notes'"},
	"flakes":          {"gate flakes hello", "gate flakes hello --json"},
	"queue show":      {"gate queue show", "gate queue show hello", "gate queue show hello release/1 --json"},
	"queue why":       {"gate queue why 12"},
	"queue promote":   {"gate queue promote 12 --reason 'the release waits for it'", "gate queue promote 12 --hotfix --reason 'production is down'", "gate queue promote 12 --off"},
	"queue hold":      {"gate queue hold 12 --reason 'waits for the release notes'"},
	"queue remove":    {"gate queue remove 12 --reason 'not today'"},
	"queue requeue":   {"gate queue requeue 12"},
	"queue freeze":    {"gate queue freeze hello --reason 'release day' --for 8h", "gate queue freeze hello release/1 --reason holidays --until 2027-01-02"},
	"queue thaw":      {"gate queue thaw hello"},
	"account":         {"gate account create alice --email alice@example.org --ssh-key ~/.ssh/id_ed25519.pub"},
	"account create":  {"gate account create alice --email alice@example.org --ssh-key ~/.ssh/id_ed25519.pub", "gate account create root --email root@example.org --admin --data ./gate-data"},
	"account link":    {"gate account link alice --data ./gate-data"},
	"token create":    {"GATE_TOKEN=$(gate token create alice --data ./gate-data)", "gate token create ci --label pipeline --ttl 720h"},
	"plan check":      {"gate plan check", "gate plan check path/to/gatehouse.yaml --json"},
	"config show":     {"gate config show", "gate config show --origin", "gate config show --data /var/lib/gatehouse --json"},
	"sim":             {"gate sim --trace trace.json --workers 4 --json", "gate sim --generate s20w4 --seed 1 --policy all", "gate sim --check --seed 1"},
	"doctor":          {"gate doctor", "gate doctor --data /var/lib/gatehouse --json"},
}

// addExamples puts the examples under the help of the commands that have some.
func addExamples(node *kong.Node) {
	path := strings.TrimPrefix(strings.TrimPrefix(node.FullPath(), "gate"), " ")
	if lines := examples[path]; len(lines) > 0 {
		node.Detail = "Examples:\n\n    " + strings.Join(lines, "\n    ")
	}
	for _, child := range node.Children {
		addExamples(child)
	}
}
