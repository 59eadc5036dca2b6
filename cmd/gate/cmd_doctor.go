package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
)

const (
	// doctorPatience bounds the checks that ask somebody else.
	doctorPatience = 10 * time.Second
	// littleSpace is where pushes begin to be at risk: a pack, its index and a working copy.
	littleSpace = 1 << 30
)

type doctorCmd struct {
	reading
	Data   string `placeholder:"DIR" default:"./gate-data" help:"The server's folder ($GATE_DATA)."`
	Config string `placeholder:"FILE" help:"The server's settings file, when it is not DIR/gate.yaml ($GATE_CONFIG)."`
	DSN    string `name:"database" placeholder:"DSN" help:"The server's database, when its settings file does not say ($GATE_DATABASE)."`
}

// finding is what one check of the doctor found.
type finding struct {
	Check  string `json:"check"`
	State  string `json:"state"` // "ok", "note" or "problem"
	Detail string `json:"detail"`
	Next   string `json:"next,omitempty"`
}

// Run checks everything and ends with 1 when something is a problem.
func (c *doctorCmd) Run(p *process) error {
	ctx, cancel := context.WithTimeout(p.ctx, doctorPatience)
	defer cancel()
	findings := examine(ctx, c, p)
	if c.JSON {
		if err := printJSON(p.stdout, findings); err != nil {
			return err
		}
	}
	sick := false
	for _, f := range findings {
		sick = sick || f.State == "problem"
		if c.JSON {
			continue
		}
		if err := line(p.stdout, "%-8s %-9s %s", f.State, f.Check, clean(f.Detail)); err != nil {
			return err
		}
		if f.Next != "" {
			if err := line(p.stdout, "%-18s next: %s", "", clean(f.Next)); err != nil {
				return err
			}
		}
	}
	if sick {
		return exitError(exitFailed)
	}
	return nil
}

func examine(ctx context.Context, c *doctorCmd, p *process) []finding {
	data := c.Data
	if value, ok := p.env("GATE_DATA"); ok && value != "" && data == "./gate-data" {
		data = value
	}
	all := []finding{checkGit(ctx), checkSandbox(ctx)}
	set, err := settingsOf(p, data, c.Config, c.DSN)
	if err != nil {
		return append(all, failed("settings", err))
	}
	note := finding{Check: "settings", State: "ok", Detail: "readable"}
	if odd := strangers(p.environ); len(odd) > 0 {
		note = finding{"settings", "note", strings.Join(odd, ", ") + " set, and nothing reads it", "see gate config show"}
	}
	all = append(all, note)
	if _, err := os.Stat(set.Data); os.IsNotExist(err) {
		return append(all, finding{"data", "note", "there is no folder " + set.Data + " yet", "gate serve makes it"})
	}
	if err := knownFolder(set.Data); err != nil {
		return append(all, finding{"data", "note", "no server has run on " + set.Data + " yet", "gate serve --data " + set.Data})
	}
	return append(all, checkData(set), checkSpace(set), checkDatabase(ctx, set), checkServer(ctx, set), checkMail(ctx, set))
}

func failed(check string, err error) finding {
	sentence, next := fault.Public(err)
	if fault.KindOf(err) == fault.Internal {
		sentence = err.Error()
		next = ""
	}
	return finding{check, "problem", sentence, next}
}

func checkGit(ctx context.Context) finding {
	g, err := git.Find(ctx)
	if err != nil {
		return failed("git", err)
	}
	defer g.Close()
	return finding{Check: "git", State: "ok", Detail: "version " + g.Version()}
}

func checkSandbox(ctx context.Context) finding {
	mode, err := runner.Detect(ctx)
	if err != nil {
		f := failed("sandbox", err)
		if f.Next == "" {
			f.Next = "install bubblewrap; without a sandbox the server runs no stages"
		}
		return f
	}
	return finding{Check: "sandbox", State: "ok", Detail: string(mode)}
}

// checkMail talks with the mail server as far as a mail would, and sends none.
func checkMail(ctx context.Context, set Settings) finding {
	m := set.mailer()
	if m == nil {
		return finding{"mail", "note", "this server sends no mail", "set mail-server and mail-from in " + set.folder(fileName) + ", or as GATE_MAIL_SERVER and GATE_MAIL_FROM"}
	}
	if err := m.Check(); err != nil {
		return failed("mail", err)
	}
	if err := m.Probe(ctx); err != nil {
		return failed("mail", err)
	}
	return finding{"mail", "ok", fmt.Sprintf("%s takes mail from %s (%s)", m.Server, m.From, m.Encryption()), "gate mail test ADDRESS --data " + set.Data + " sends one"}
}

func checkData(set Settings) finding {
	if err := ownFolder(set.Data); err != nil {
		return failed("data", err)
	}
	info, err := os.Stat(set.Data)
	if err != nil {
		return failed("data", err)
	}
	if open := info.Mode().Perm() & 0o077; open != 0 {
		return finding{"data", "problem", fmt.Sprintf("%s is open to other users (mode %04o)", set.Data, info.Mode().Perm()), "chmod 700 " + set.Data}
	}
	probe, err := os.CreateTemp(set.Data, ".doctor-*")
	if err != nil {
		return failed("data", err)
	}
	_ = probe.Close() // nothing was written
	if err := os.Remove(probe.Name()); err != nil {
		return failed("data", err)
	}
	return finding{Check: "data", State: "ok", Detail: set.Data}
}

func checkSpace(set Settings) finding {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(set.Data, &fs); err != nil {
		return failed("space", err)
	}
	free := fs.Bavail * uint64(fs.Bsize) //nolint:gosec // a block size is positive
	f := finding{Check: "space", State: "ok", Detail: fmt.Sprintf("%d MiB free", free>>20)}
	if free < littleSpace {
		f.State, f.Next = "problem", "make room: a push may need as much as it brings several times over"
	}
	return f
}

// checkDatabase opens the database; for a SQLite file that is not there yet it leaves it so.
func checkDatabase(ctx context.Context, set Settings) finding {
	if err := set.checkDatabase(); err != nil {
		return failed("database", err)
	}
	dsn := set.databaseDSN()
	shown := hidePassword(dsn)
	if file, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		if _, err := os.Stat(file); os.IsNotExist(err) {
			return finding{"database", "note", shown + " is not there yet", "gate serve makes it"}
		}
	}
	d, err := db.Open(ctx, dsn)
	if err != nil {
		return finding{"database", "problem", err.Error(), "check --database"}
	}
	var one int
	err = d.Read().QueryRowContext(ctx, `SELECT count(*) FROM accounts`).Scan(&one)
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return failed("database", err)
	}
	return finding{Check: "database", State: "ok", Detail: shown}
}

// checkServer asks the server on the folder whether it is well.
func checkServer(ctx context.Context, set Settings) finding {
	if !serverRuns(set.Data) {
		return finding{Check: "server", State: "note", Detail: "not running", Next: "gate serve --data " + set.Data}
	}
	var at addresses
	text, err := os.ReadFile(filepath.Join(set.Data, addressesFile))
	if err == nil {
		err = json.Unmarshal(text, &at)
	}
	if err != nil {
		return finding{"server", "problem", "running, but it has not said where it listens", "is it still starting?"}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.HTTP+"/healthz", nil)
	if err != nil {
		return failed("server", err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return finding{"server", "problem", fmt.Sprintf("running, but %s does not answer: %v", at.HTTP, err), "look at its log"}
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return finding{"server", "problem", "running, but not ready: " + resp.Status, "is it starting or stopping?"}
	}
	return finding{Check: "server", State: "ok", Detail: at.URL}
}
