package crash_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/cmd/gate/gatetest"
)

// The crash points of a landing on two branches of two repositories.
var groupPoints = []string{"land.intent.written", "land.part.moved", "land.ref.moved", "land.outcome.written"}

// groupRounds is how often each of these points is met.
const groupRounds = 3

const sharedPlan = `version: 1
stages:
  unit: {run: "true"}
gates:
  tested: {after: [unit], require: [{stages: passed}]}
land: {after: [tested], how: merge, queue: both}
`

// pair is a server with two repositories whose branches share a queue.
type pair struct {
	*gatetest.World
	names []string
	works []string
	held  []string
}

func newPair(t *testing.T) *pair {
	p := &pair{World: gatetest.New(t), names: []string{"left", "right"}}
	p.Flags = []string{"--sandbox=none"}
	for _, name := range p.names {
		work := filepath.Join(p.Dir, name)
		p.Git(p.Dir, "init", "-q", "-b", "main", work)
		if err := os.WriteFile(filepath.Join(work, "gatehouse.yaml"), []byte(sharedPlan), 0o644); err != nil {
			t.Fatal(err)
		}
		p.Git(work, "add", "-A")
		p.Git(work, "commit", "-qm", "begin")
		p.Local("repo", "create", name, "--import", work)
		p.works = append(p.works, work)
	}
	p.Start()
	for _, name := range p.names {
		p.held = append(p.held, p.RepositoryDir(name))
	}
	p.Stop()
	return p
}

// push sends a change of each repository that depends on the other's.
func (p *pair) push(round int) {
	p.Helper()
	for i, work := range p.works {
		p.Git(work, "fetch", "-q", p.held[i], "main")
		p.Git(work, "checkout", "-q", "--detach", "FETCH_HEAD")
		if err := os.WriteFile(filepath.Join(work, fmt.Sprintf("file%d", round)), []byte("x\n"), 0o644); err != nil {
			p.Fatal(err)
		}
		own, other := 2*round+i, 2*round+1-i
		p.Git(work, "add", "-A")
		p.Git(work, "commit", "-qm", fmt.Sprintf("round %d\n\nChange-Id: I%040x\nDepends-On: I%040x", round, own+1, other+1))
		// The server may die in the middle of the second: it has acknowledged or will be asked again.
		if _, err := p.Run(work, nil, "git", "push", "-o", "submit", p.HTTPRemote(p.names[i]), "HEAD:refs/for/main"); err != nil && !p.Dead() {
			p.Fatal(err)
		}
	}
}

// tips are where the two branches point.
func (p *pair) tips() (tips [2]string) {
	for i, dir := range p.held {
		tips[i] = strings.TrimSpace(p.Git(dir, "rev-parse", "refs/heads/main"))
	}
	return tips
}

// A landing on two repositories is cut at every point: after the restart both have it, whole.
func TestALandingOfTwoRepositoriesIsCut(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes; make test runs it")
	}
	p := newPair(t)
	for round := range groupRounds * len(groupPoints) {
		point := groupPoints[round%len(groupPoints)]
		before := p.tips()
		p.Start("GATE_CRASH_AT=" + point)
		p.push(round)
		p.Died()
		half := p.tips()
		if moved := half[0] != before[0]; point == "land.part.moved" && moved == (half[1] != before[1]) {
			t.Fatalf("%s: it was not cut between the two: %v, were %v", point, half, before)
		}
		p.Start()
		p.Until("both have landed", func() bool {
			now := p.tips()
			return now[0] != before[0] && now[1] != before[1]
		})
		p.Until("their changes are closed", func() bool {
			return !strings.Contains(p.Gate("change", "list", "--status", "open", "--json"), "round")
		})
		p.Stop()
	}
	for i, dir := range p.held {
		p.Git(dir, "fsck", "--full", "--strict")
		chain := strings.Fields(p.Git(dir, "rev-list", "--first-parent", "refs/heads/main"))
		if want := groupRounds*len(groupPoints) + 1; len(chain) != want {
			t.Errorf("%s has %d first-parent commits, want %d", p.names[i], len(chain), want)
		}
	}
}
