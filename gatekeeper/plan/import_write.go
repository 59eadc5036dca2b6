package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// asks reports whether Solum would have done the action on a trigger. An app that does not say
// did all that it could.
func (s *solum) asks(action string) bool {
	return s.actions == nil || slices.Contains(s.actions, action)
}

// imported is a part with the names that it has in the plan.
type imported struct {
	solumPart
	unittest, build, deploy, artifact, environment string // "" for what it does not have
}

// named gives the parts the names of their stages: unittest, build and deploy when there is one
// part, unittest-NAME and so on when there are several.
func (s *solum) named() []imported {
	var all []imported
	taken := map[string]bool{}
	for i, part := range s.parts {
		suffix := ""
		if len(s.parts) > 1 {
			suffix = "-" + nodeWord(part.name)
			if suffix == "-" || taken[suffix] {
				suffix = "-" + strconv.Itoa(i+1)
			}
			taken[suffix] = true
		}
		in := imported{solumPart: part}
		if strings.TrimSpace(part.test) != "" && s.asks("unittest") {
			in.unittest = "unittest" + suffix
		}
		deploys := s.asks("deploy") && strings.TrimSpace(part.run) != ""
		if s.asks("build") || deploys {
			in.build, in.artifact = "build"+suffix, "app"+suffix
		}
		if deploys {
			in.deploy, in.environment = "deploy"+suffix, "live"+suffix
		}
		all = append(all, in)
	}
	return all
}

// write makes the plan.
func (s *solum) write() string {
	parts := s.named()
	var b strings.Builder
	b.WriteString("# Made from a file of OpenStack Solum.\n")
	if s.about != "" {
		fmt.Fprintf(&b, "# %s\n", plainLine(s.about))
	}
	b.WriteString("version: 1\n")
	if name := plainLine(s.name); name != "" {
		fmt.Fprintf(&b, "app: %s\n", quotedText(clip(name)))
	}
	if len(s.actions) > 0 {
		fmt.Fprintf(&b, "\n# trigger_actions were %s: these are the stages below, and `deliver` is as far as they went.\n", strings.Join(s.actions, ", "))
	} else {
		b.WriteString("\n")
	}
	s.writeOutcomes(&b, parts)
	writeArtifacts(&b, parts)
	s.writeStages(&b, parts)
	s.writeGates(&b, parts)
	s.writeMissing(&b, parts)
	return b.String()
}

// namesOf lists one kind of name of all parts that have it.
func namesOf(parts []imported, of func(imported) string) []string {
	var all []string
	for _, p := range parts {
		if name := of(p); name != "" {
			all = append(all, name)
		}
	}
	return all
}

func (s *solum) writeOutcomes(b *strings.Builder, parts []imported) {
	b.WriteString("outcomes:\n")
	if tests := namesOf(parts, func(p imported) string { return p.unittest }); len(tests) > 0 {
		fmt.Fprintf(b, "  test-only: {reach: [%s]}\n", strings.Join(tests, ", "))
	}
	reach := append([]string{LandNode}, namesOf(parts, func(p imported) string { return p.deploy })...)
	fmt.Fprintf(b, "  deliver: {reach: [%s]}\n", strings.Join(reach, ", "))
}

func writeArtifacts(b *strings.Builder, parts []imported) {
	if len(namesOf(parts, func(p imported) string { return p.artifact })) > 0 {
		b.WriteString("\nartifacts: # the deployment units: made once, kept by their digest\n")
	}
	for _, p := range parts {
		if p.artifact != "" {
			fmt.Fprintf(b, "  %s: {type: bundle, stage: %s}\n", p.artifact, p.build)
		}
	}
	if len(namesOf(parts, func(p imported) string { return p.environment })) > 0 {
		b.WriteString("\nenvironments: # where an assembly always runs\n")
	}
	for _, p := range parts {
		if p.environment != "" {
			fmt.Fprintf(b, "  %s: {class: standing, lock: exclusive, rollback: {when: [deploy-failed]}}\n", p.environment)
		}
	}
}

func (s *solum) writeStages(b *strings.Builder, parts []imported) {
	if len(namesOf(parts, func(p imported) string { return p.unittest + p.build })) > 0 {
		b.WriteString("\nstages:\n")
	}
	for _, p := range parts {
		if p.unittest != "" {
			fmt.Fprintf(b, "  %s: {run: %s}\n", p.unittest, quotedText(p.test))
		}
		if p.build == "" {
			continue
		}
		pack := ""
		if p.pack != "" {
			pack = " of the language pack " + clip(plainLine(p.pack))
		}
		fmt.Fprintf(b, "  %s:\n    # The build.sh%s stood here: have it write what serves to out/. This takes the files as they are.\n", p.build, pack)
		b.WriteString("    run: mkdir out && tar --exclude=./out --exclude=./.git -cf - . | tar -xf - -C out\n")
		fmt.Fprintf(b, "    produces: {%s: out}\n", p.artifact)
		if p.deploy == "" {
			continue
		}
		fmt.Fprintf(b, "  %s:\n    after: [land] # not before somebody has accepted it\n    environment: %s\n", p.deploy, p.environment)
		if port := p.port(); port > 0 {
			fmt.Fprintf(b, "    # It served at port %d; the command is told its port in $PORT.\n", port)
			fmt.Fprintf(b, "    deploy: {artifact: %s, run: %s, port: %d, ready: {http: /, status: 200, within: 2m}}\n", p.artifact, quotedText(p.run), port)
			continue
		}
		fmt.Fprintf(b, "    # The command is told its port in $PORT.\n    deploy: {artifact: %s, run: %s}\n", p.artifact, quotedText(p.run))
	}
}

// port is the first of the ports, 0 for none.
func (p imported) port() int {
	if len(p.ports) == 0 {
		return 0
	}
	port, err := strconv.Atoi(p.ports[0])
	if err != nil || port < 1 || port > 65535 {
		return 0
	}
	return port
}

func (s *solum) writeGates(b *strings.Builder, parts []imported) {
	b.WriteString("\ngates:\n  review: {require: [{review: {min: 1, not: [author, uploader]}}]} # Solum had none; remove it to land without\n")
	before := append(namesOf(parts, func(p imported) string { return p.unittest }), namesOf(parts, func(p imported) string { return p.build })...)
	if len(before) > 0 {
		fmt.Fprintf(b, "  tested: {after: [%s], require: [{stages: passed}]}\n", strings.Join(before, ", "))
	}
}

// writeMissing lists what has no equal.
func (s *solum) writeMissing(b *strings.Builder, parts []imported) {
	var notes []string
	for _, p := range parts {
		if p.repository != "" {
			note := "source: " + plainLine(p.repository)
			if p.revision != "" {
				note += " at " + plainLine(p.revision)
			}
			notes = append(notes, note+". The plan is for the repository that it is in: `gate repo create NAME --import ADDRESS`")
		}
		if len(p.ports) > 1 {
			notes = append(notes, "ports: an assembly serves at one; also named were "+plainLine(strings.Join(p.ports[1:], ", ")))
		}
		if strings.TrimSpace(p.test) != "" && p.unittest == "" {
			notes = append(notes, "the tests were left out by trigger_actions: "+clip(plainLine(p.test)))
		}
	}
	if slices.Contains(s.actions, "scale") {
		notes = append(notes, "scale: one assembly serves at a time")
	}
	notes = append(notes, s.missing...)
	if len(notes) == 0 {
		return
	}
	b.WriteString("\n# What has no equal here:\n")
	for _, note := range notes {
		fmt.Fprintf(b, "#   %s\n", note)
	}
}
