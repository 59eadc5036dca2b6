package deliver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"gatehouse/gatekeeper/assembly"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/promote"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// logKept bounds what is read of an assembly's log: its end is what tells why it does not answer.
const logKept = 256 << 10

// May says whether somebody may order an environment of the place about: freezing has a verb of
// its own.
func (s *Service) May(ctx context.Context, actor account.Actor, at Place, kind string) error {
	return s.may(ctx, actor, at, kind)
}

// Place is where a promotion is on its way.
func (p *Promotion) Place() Place { return p.place }

// Place is the branch whose environment an assembly is in.
func (a *Assembly) Place() Place { return a.place }

// PromotionByID reads one promotion. Whoever shows it has asked whether its branch may be read.
func (s *Service) PromotionByID(ctx context.Context, id int64) (Promotion, error) {
	return promotionByID(ctx, s.DB.Read(), id)
}

// AssemblyByID reads one assembly, of which the same is true.
func (s *Service) AssemblyByID(ctx context.Context, id int64) (Assembly, error) {
	return assemblyByID(ctx, s.DB.Read(), id)
}

// Promotions are those of an environment, newest first, at most limit of those with an id below
// before; 0 is all of them.
func (s *Service) Promotions(ctx context.Context, at Place, environment string, before int64, limit int) ([]Promotion, error) {
	all, err := queryPromotions(ctx, s.DB.Read(), `p.id IN (SELECT id FROM promotions WHERE repo_id = $1 AND branch = $2 AND environment = $3 AND ($4 = 0 OR id < $4)
		ORDER BY id DESC LIMIT $5)`, at.Repo, at.Branch, environment, before, limit)
	slices.Reverse(all)
	return all, err
}

// Assemblies are those of a place that are not gone, newest first; with gone also those that are,
// at most limit.
func (s *Service) Assemblies(ctx context.Context, at Place, gone bool, limit int) ([]Assembly, error) {
	all, err := queryAssemblies(ctx, s.DB.Read(), `m.id IN (SELECT id FROM assemblies WHERE repo_id = $1 AND branch = $2 AND ($3 = 1 OR state NOT IN ($4, $5))
		ORDER BY id DESC LIMIT $6)`, at.Repo, at.Branch, db.Bool(gone), string(AssemblyDeleted), string(AssemblyError), limit)
	slices.Reverse(all)
	return all, err
}

// Serving are the assemblies of a repository that run a digest.
func Serving(ctx context.Context, q db.Querier, repo int64, digest string) ([]Assembly, error) {
	return queryAssemblies(ctx, q, `m.repo_id = $1 AND m.digest = $2 AND m.state IN ($3, $4, $5)`, repo, digest,
		string(AssemblyStarting), string(AssemblyReady), string(AssemblyDegraded))
}

// LastBefore is the promotion of an environment that ran well last before a time; ok is false
// when none did.
func LastBefore(ctx context.Context, q db.Querier, at Place, environment string, t time.Time) (p Promotion, ok bool, err error) {
	all, err := queryPromotions(ctx, q, `p.id IN (SELECT id FROM promotions WHERE repo_id = $1 AND branch = $2 AND environment = $3 AND state = $4 AND ended_at < $5
		ORDER BY ended_no DESC LIMIT 1)`, at.Repo, at.Branch, environment, string(promote.Succeeded), db.Micros(t))
	if err != nil || len(all) == 0 {
		return p, false, err
	}
	return all[0], true, nil
}

// Orders are those that hold for an environment.
func (s *Service) Orders(ctx context.Context, at Place, environment string) ([]Order, error) {
	all, err := ordersOf(ctx, s.DB.Read(), at, s.Now())
	return slices.DeleteFunc(all, func(o Order) bool { return o.Environment != environment }), err
}

// DigestOf is the digest of what was on its way into an environment by a digest, a commit or a
// change.
func (s *Service) DigestOf(ctx context.Context, at Place, environment, what string) (string, error) {
	p, err := s.known(ctx, at, environment, what)
	return p.Digest, err
}

// Stop ends an assembly of an environment that each change has for itself. What runs in a
// standing environment is replaced, not stopped.
func (s *Service) Stop(ctx context.Context, a Assembly, e plan.Environment, by, reason string) error {
	const op = "deliver.Stop"
	switch {
	case e.Class != plan.Ephemeral:
		return fault.New(fault.Refused, op, fmt.Sprintf("assembly %d is in %s, where something always runs", a.ID, a.Environment), "promote something else, or gate rollback")
	case len(reason) > maxReason:
		return fault.Newf(fault.TooLarge, op, "the reason has %d bytes; at most %d are kept", len(reason), maxReason)
	case a.State == AssemblyDeploying, a.State == AssemblyStarting:
		return fault.New(fault.Conflict, op, fmt.Sprintf("assembly %d is still being brought about", a.ID), fmt.Sprintf("wait until it serves: gate log %d follows it", a.StageRun))
	case !a.State.Serves():
		return fault.New(fault.Refused, op, fmt.Sprintf("assembly %d is %s", a.ID, a.State), "gate assembly list REPO names those that run")
	}
	why := "stopped by " + by
	if reason = strings.TrimSpace(reason); reason != "" {
		why += ": " + reason
	}
	return s.end(ctx, a.ID, why)
}

// logged is a driver whose assemblies write a log into a folder of the server's.
type logged interface {
	// Log is the path of an assembly's log, which may not exist.
	Log(id int64) string
}

// heard is a driver that asks elsewhere for what an assembly says.
type heard interface {
	// Output is the end of it, with the values masked that the assembly has in the variables that
	// secrets names.
	Output(ctx context.Context, i assembly.Instance, secrets []string, limit int) (text []byte, cut bool, err error)
}

// Output is the end of what an assembly says, at most logKept bytes; cut tells that there is more
// before it. Only drivers that keep a log have one.
func (s *Service) Output(ctx context.Context, a Assembly) (text []byte, cut bool, err error) {
	const op = "deliver.Output"
	driver, err := s.driver(a.Driver)
	if err != nil {
		return nil, false, err
	}
	if h, ok := driver.(heard); ok && a.handle != "" {
		d, err := s.runs.Deployment(ctx, a.Run, a.StageRun) // knows which variables are secret
		if err != nil {
			return nil, false, err
		}
		var secrets []string
		for _, name := range d.Env.Secrets {
			secrets = append(secrets, plan.SecretEnv(name))
		}
		return h.Output(ctx, a.instance(), secrets, logKept)
	}
	l, ok := driver.(logged)
	if !ok {
		return nil, false, fault.New(fault.Unavailable, op, fmt.Sprintf("the server keeps no log of what the driver %s runs", a.Driver), "ask where it runs")
	}
	text, cut, err = tail(l.Log(a.ID))
	if errors.Is(err, fs.ErrNotExist) {
		if a.State.Serves() { // a log begins with its first line
			return nil, false, nil
		}
		return nil, false, fault.New(fault.NotFound, op, fmt.Sprintf("assembly %d has no log", a.ID), "the log goes when its assembly does")
	}
	return text, cut, err
}

// tail reads the end of a file that stands in its folder itself: no link leads elsewhere.
func tail(path string) (text []byte, cut bool, err error) {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, false, fmt.Errorf("deliver: log: %w", err)
	}
	defer func() { _ = root.Close() }()
	f, err := root.OpenFile(filepath.Base(path), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, false, fmt.Errorf("deliver: log: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, false, fmt.Errorf("deliver: log: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, false, fmt.Errorf("deliver: the log %s is no regular file", path)
	}
	from := max(0, info.Size()-logKept)
	text, err = io.ReadAll(io.NewSectionReader(f, from, logKept))
	return text, from > 0, err
}

// stateRevoked adds what was revoked to the vetoes: it enters nowhere any more, by rollbacks
// neither.
func stateRevoked(ctx context.Context, q db.Querier, at Place, st *promote.State) error {
	err := each(ctx, q, `SELECT DISTINCT p.digest FROM promotions p JOIN artifacts a ON a.repo_id = p.repo_id AND a.digest = p.digest
		WHERE p.repo_id = $1 AND p.branch = $2 AND p.environment = $3 AND a.state = 'REVOKED'`, []any{at.Repo, at.Branch, st.Environment}, func(rows *sql.Rows) error {
		var digest string
		if err := rows.Scan(&digest); err != nil {
			return err
		}
		i := slices.IndexFunc(st.Vetoes, func(v promote.Veto) bool { return v.Digest == digest })
		if i < 0 {
			st.Vetoes = append(st.Vetoes, promote.Veto{Digest: digest, Why: "it was revoked"})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("deliver: revoked artifacts: %w", err)
	}
	return nil
}
