package main

import (
	"runtime"
	"runtime/debug"
)

// version is the released version; a build from a checkout adds its commit.
const version = "0.1.0"

// fullVersion is the version with the commit that the program was built from, when the build
// knows it.
func fullVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version
	}
	commit, dirty := "", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			commit = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "-modified"
			}
		}
	}
	if len(commit) > 10 {
		return version + "+" + commit[:10] + dirty
	}
	return version
}

type versionCmd struct{ reading }

// programVersion is what gate version answers.
type programVersion struct {
	Version string `json:"version"`
	API     string `json:"api"`
	Go      string `json:"go"`
}

func (c *versionCmd) Run(p *process) error {
	v := programVersion{Version: fullVersion(), API: "v1", Go: runtime.Version()}
	if c.JSON {
		return printJSON(p.stdout, v)
	}
	return line(p.stdout, "gate %s (%s)", v.Version, v.Go)
}

type configShowCmd struct {
	Settings
	reading
	Origin bool `help:"Say where each value came from: flag, environment, file or default."`
}

// shownSetting is one line of gate config show.
type shownSetting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Origin string `json:"origin"`
	Where  string `json:"where,omitempty"`
}

func (c *configShowCmd) Run(p *process) error {
	if err := c.check(); err != nil {
		return err
	}
	var all []shownSetting
	for _, row := range c.rows() {
		from := p.layers.originOf(row.name)
		all = append(all, shownSetting{row.name, row.value, from.layer, from.where})
	}
	if c.JSON {
		return printJSON(p.stdout, all)
	}
	var rows [][]string
	for _, s := range all {
		cells := []string{s.Name, s.Value}
		if c.Origin {
			cells = append(cells, origin{s.Origin, s.Where}.String())
		}
		rows = append(rows, cells)
	}
	header := "SETTING VALUE"
	if c.Origin {
		header += " ORIGIN"
	}
	for _, name := range strangers(p.environ) {
		say(p.stderr, "note: %s is set, and nothing reads it", name)
	}
	return printTable(p.stdout, header, rows)
}
