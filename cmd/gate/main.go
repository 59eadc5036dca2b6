package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"gatehouse/gatekeeper/runner"
	"gatehouse/gatekeeper/sim"
)

// process is what a command has of the world around it.
type process struct {
	ctx     context.Context
	environ []string
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	layers  *layers
}

// env looks a variable up.
func (p *process) env(name string) (string, bool) {
	for i := len(p.environ) - 1; i >= 0; i-- {
		if key, value, ok := strings.Cut(p.environ[i], "="); ok && key == name {
			return value, true
		}
	}
	return "", false
}

func main() {
	if runner.Main() {
		return
	}
	os.Exit(mainExit())
}

// mainExit is main for tests as well: it never exits itself.
func mainExit() int {
	p := &process{ctx: context.Background(), environ: os.Environ(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	return p.run(os.Args[1:])
}

// helpShown ends a command line that asked for help: kong prints it while it parses.
type helpShown int

// run carries out one command line and returns its exit code.
func (p *process) run(args []string) (code int) {
	defer func() {
		if cause := recover(); cause != nil {
			shown, ok := cause.(helpShown)
			if !ok {
				panic(cause)
			}
			code = int(shown)
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	var tree commands
	p.layers = newLayers(p.env)
	parser, err := newParser(&tree, p)
	if err != nil {
		complain(p.stderr, err)
		return exitFailed
	}
	kctx, err := parser.Parse(longFlags(args))
	if err != nil {
		err = usageError(err)
		complain(p.stderr, err)
		return exitCode(err)
	}
	p.layers.note(kctx)
	err = kctx.Run(p)
	var silent exitError
	if errors.As(err, &silent) {
		return int(silent)
	}
	if err != nil {
		complain(p.stderr, err)
	}
	return exitCode(err)
}

// exitError is an exit code whose reason was told already.
type exitError int

func (exitError) Error() string { return "" }

func newParser(tree *commands, p *process) (*kong.Kong, error) {
	parser, err := kong.New(tree,
		kong.Name("gate"),
		kong.Description("Gatehouse: a git server with a gate in front of its primary branches."),
		kong.Writers(p.stdout, p.stderr),
		kong.Exit(func(code int) { panic(helpShown(code)) }),
		kong.Resolvers(p.layers),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: helpWidth, FlagsLast: true, NoExpandSubcommands: true}),
		kong.ValueFormatter(describe),
		kong.Vars{"kinds": strings.Join(sim.Kinds(), ", "), "policies": strings.Join(sim.Policies(), ", ")},
		kong.ExplicitGroups([]kong.Group{{Key: "server", Title: "Which server:"}}),
	)
	if err != nil {
		return nil, err
	}
	addExamples(parser.Model.Node)
	return parser, nil
}
