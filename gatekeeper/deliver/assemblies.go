package deliver

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"gatehouse/gatekeeper/assembly"
	"gatehouse/gatekeeper/promote"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
)

// AssemblyState is where an assembly stands.
type AssemblyState string

// The states of an assembly.
const (
	AssemblyDeploying  AssemblyState = "DEPLOYING"  // its driver brings it about
	AssemblyStarting   AssemblyState = "STARTING"   // it serves, and is being tried or verified
	AssemblyReady      AssemblyState = "READY"      // it is what runs
	AssemblyDegraded   AssemblyState = "DEGRADED"   // the same, and it does not answer now
	AssemblySuperseded AssemblyState = "SUPERSEDED" // another one took its place, and it is to end
	AssemblyDeleting   AssemblyState = "DELETING"   // it is being taken away
	AssemblyDeleted    AssemblyState = "DELETED"
	AssemblyError      AssemblyState = "ERROR" // it never served, or ended and does not come back
)

// Next are the states that may follow. Only DELETED has none: whatever went wrong is taken away.
func (s AssemblyState) Next() []AssemblyState {
	switch s {
	case AssemblyDeploying:
		return []AssemblyState{AssemblyStarting, AssemblyError, AssemblyDeleting}
	case AssemblyStarting:
		return []AssemblyState{AssemblyReady, AssemblyError, AssemblyDeleting}
	case AssemblyReady:
		return []AssemblyState{AssemblyDegraded, AssemblySuperseded, AssemblyError, AssemblyDeleting}
	case AssemblyDegraded:
		return []AssemblyState{AssemblyReady, AssemblySuperseded, AssemblyError, AssemblyDeleting}
	case AssemblySuperseded, AssemblyError:
		return []AssemblyState{AssemblyDeleting}
	case AssemblyDeleting:
		return []AssemblyState{AssemblyDeleted}
	case AssemblyDeleted:
		return nil
	default:
		panic("deliver: unknown state of an assembly " + string(s))
	}
}

// Serves says that requests are answered by it, or should be.
func (s AssemblyState) Serves() bool { return s == AssemblyReady || s == AssemblyDegraded }

// The states of an assembly's name.
const (
	DNSNone     = "NONE"
	DNSBound    = "BOUND"
	DNSReleased = "RELEASED"
	DNSFailed   = "FAILED"
)

// Assembly is an artifact with its configuration, in an environment.
type Assembly struct {
	ID          int64         `json:"id"`
	Environment string        `json:"environment"`
	Instance    string        `json:"instance,omitempty"` // of an environment that each change has for itself
	Run         int64         `json:"run"`
	StageRun    int64         `json:"stage_run"`
	Promotion   int64         `json:"promotion,omitempty"`
	Change      int64         `json:"change,omitempty"`
	PS          int           `json:"patch_set,omitempty"`
	Artifact    string        `json:"artifact"`
	Digest      string        `json:"digest"`
	Commit      git.OID       `json:"commit"`
	Config      string        `json:"config,omitempty"` // the revision of its configuration
	Driver      string        `json:"driver"`
	Address     string        `json:"address,omitempty"`
	Host        string        `json:"host,omitempty"`
	DNS         string        `json:"dns"`
	DNSReason   string        `json:"dns_reason,omitempty"`
	State       AssemblyState `json:"state"`
	Reason      string        `json:"reason,omitempty"`
	ReadySince  time.Time     `json:"ready_since,omitzero"`
	CreatedAt   time.Time     `json:"created_at"`
	EndedAt     time.Time     `json:"ended_at,omitzero"`
	ExpiresAt   time.Time     `json:"expires_at,omitzero"`

	place  Place
	handle string
	owner  string
	soaked time.Duration // the longest stretch of readiness that is over
}

// queryAssemblies lists assemblies, oldest first.
func queryAssemblies(ctx context.Context, q db.Querier, where string, args ...any) ([]Assembly, error) {
	var all []Assembly
	err := each(ctx, q, `SELECT m.id, m.repo_id, m.branch, m.environment, m.instance, m.run_id, m.stage_run_id, m.promotion_id, m.change_id, m.ps,
			m.artifact, m.digest, m.commit_oid, m.config, m.driver, m.handle, m.address, m.host, m.dns_state, m.dns_reason, m.state, m.reason, m.owner,
			m.ready_since, m.soaked, m.created_at, m.ended_at, m.expires_at FROM assemblies m WHERE `+where+` ORDER BY m.id`, args, func(rows *sql.Rows) error {
		var a Assembly
		var ready, soaked, created, ended, expires int64
		err := rows.Scan(&a.ID, &a.place.Repo, &a.place.Branch, &a.Environment, &a.Instance, &a.Run, &a.StageRun, &a.Promotion, &a.Change, &a.PS,
			&a.Artifact, &a.Digest, &a.Commit, &a.Config, &a.Driver, &a.handle, &a.Address, &a.Host, &a.DNS, &a.DNSReason, &a.State, &a.Reason, &a.owner,
			&ready, &soaked, &created, &ended, &expires)
		a.ReadySince, a.CreatedAt, a.EndedAt, a.ExpiresAt = db.Time(ready), db.Time(created), db.Time(ended), db.Time(expires)
		a.soaked = time.Duration(soaked) * time.Microsecond
		all = append(all, a)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("deliver: assemblies: %w", err)
	}
	return all, nil
}

func assemblyByID(ctx context.Context, q db.Querier, id int64) (Assembly, error) {
	all, err := queryAssemblies(ctx, q, `m.id = $1`, id)
	if err != nil {
		return Assembly{}, err
	}
	if len(all) == 0 {
		return Assembly{}, fault.Newf(fault.NotFound, "deliver.assembly", "there is no assembly %d", id)
	}
	return all[0], nil
}

// instance is what the driver knows the assembly by.
func (a *Assembly) instance() assembly.Instance {
	return assembly.Instance{Driver: a.Driver, Handle: json.RawMessage(a.handle), Address: a.Address}
}

// serving finds the assembly that serves in an environment; ok is false when none does.
func serving(ctx context.Context, q db.Querier, at Place, environment, instance string) (a Assembly, ok bool, err error) {
	all, err := queryAssemblies(ctx, q, `m.repo_id = $1 AND m.branch = $2 AND m.environment = $3 AND m.instance = $4 AND m.state IN ($5, $6)`,
		at.Repo, at.Branch, environment, instance, string(AssemblyReady), string(AssemblyDegraded))
	if err != nil || len(all) == 0 {
		return Assembly{}, false, err
	}
	return all[len(all)-1], true, nil
}

// move takes an assembly from its state to another, with what set adds; it reports false when
// it is not where it may from.
func (s *Service) move(ctx context.Context, tx *db.Tx, id int64, to AssemblyState, reason string) (bool, error) {
	a, err := assemblyByID(ctx, tx, id)
	if err != nil || !slices.Contains(a.State.Next(), to) {
		return false, err
	}
	now := s.Now()
	soaked, ready, ended := a.soaked, a.ReadySince, a.EndedAt
	if to == AssemblyReady && ready.IsZero() {
		ready = now
	}
	if to != AssemblyReady && !ready.IsZero() {
		soaked, ready = max(soaked, now.Sub(ready)), time.Time{}
	}
	if to == AssemblyDeleted || to == AssemblyError {
		ended = now
	}
	_, err = tx.ExecContext(ctx, `UPDATE assemblies SET state = $1, reason = $2, ready_since = $3, soaked = $4, ended_at = $5 WHERE id = $6`,
		string(to), reason, db.Micros(ready), soaked.Microseconds(), db.Micros(ended), id)
	if err != nil {
		return false, fmt.Errorf("deliver: assembly %d is %s: %w", id, to, err)
	}
	data := map[string]string{"assembly": fmt.Sprint(id), "environment": a.Environment, "instance": a.Instance, "digest": a.Digest, "commit": string(a.Commit),
		"state": string(to), "reason": reason, "address": a.Address}
	return true, s.tell(ctx, tx, a.place, a.Change, 0, "assembly.changed", data)
}

// JobAssembly is the kind of the job that looks after one assembly; its key is its id.
const JobAssembly = "assembly"

const (
	// healthEvery is how often an assembly is looked at.
	healthEvery = 5 * time.Second
	// healthLimit bounds one look.
	healthLimit = 15 * time.Second
	// AssemblyWorkers is how many assemblies are looked after at once.
	AssemblyWorkers = 4
)

func assemblyJob(id int64) db.Job {
	return db.Job{Kind: JobAssembly, Key: strconv.FormatInt(id, 10)}
}

// Tend looks after one assembly: it takes over what another process left, asks how it is, ends it
// when its time is over, and takes away what is to go. again is when to look next, 0 for never.
func (s *Service) Tend(ctx context.Context, key string) (again time.Duration, err error) {
	id, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("deliver: assembly job %q: %w", key, err)
	}
	a, err := assemblyByID(ctx, s.DB.Read(), id)
	if err != nil {
		return 0, err
	}
	switch {
	case a.State == AssemblySuperseded, a.State == AssemblyDeleting:
		return 0, s.takeAway(ctx, a)
	case a.State == AssemblyError:
		return 0, s.clear(ctx, a)
	case a.State == AssemblyDeleted:
		return 0, nil
	case a.State == AssemblyDeploying, a.State == AssemblyStarting: // in the hands of its stage run
		return s.orphaned(ctx, a)
	case !a.ExpiresAt.IsZero() && !s.Now().Before(a.ExpiresAt):
		return 0, s.end(ctx, a.ID, "its time is over")
	}
	if a.owner != s.me {
		if a, err = s.adopt(ctx, a); err != nil {
			return healthEvery, s.ails(ctx, a, assembly.Health{State: assembly.Degraded, Words: "it could not be taken over: " + fault.Sentence(err)})
		}
	}
	ctx, cancel := context.WithTimeout(ctx, healthLimit)
	defer cancel()
	driver, err := s.driver(a.Driver)
	if err != nil {
		return healthEvery, s.ails(context.WithoutCancel(ctx), a, assembly.Health{State: assembly.Degraded, Words: fault.Sentence(err)})
	}
	health, err := driver.Health(ctx, a.instance())
	if err != nil { // of the look: it says nothing about the assembly
		s.Log.Warn("look at an assembly", "assembly", a.ID, "environment", a.Environment, "err", err)
		return healthEvery, nil
	}
	return healthEvery, s.ails(context.WithoutCancel(ctx), a, health)
}

// ails writes down how an assembly is, when that is another way than before.
func (s *Service) ails(ctx context.Context, a Assembly, h assembly.Health) error {
	var to AssemblyState
	switch h.State {
	case assembly.Ready:
		to = AssemblyReady
	case assembly.Degraded:
		to = AssemblyDegraded
	case assembly.Gone:
		to = AssemblyError
	default:
		panic("deliver: unknown health " + string(h.State))
	}
	if to == a.State {
		return nil
	}
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		if moved, err := s.move(ctx, tx, a.ID, to, h.Words); err != nil || !moved {
			return err
		}
		if to == AssemblyError {
			if err := tx.Enqueue(ctx, assemblyJob(a.ID)); err != nil {
				return err
			}
		}
		return tx.Enqueue(ctx, Job(a.place))
	})
	s.wake(a.place)
	return err
}

// orphaned takes away what a stage run began that is over by now: its process was killed. What it
// brought about is ready before it is settled, so that is asked for first and both at once: the
// assembly may have become ready since it was looked at.
func (s *Service) orphaned(ctx context.Context, a Assembly) (time.Duration, error) {
	crash("assembly.unready")
	left := false
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		left = false
		state, _, _, err := s.runs.Stage(ctx, tx, a.StageRun)
		if err != nil || !state.Settled() {
			return err
		}
		now, err := assemblyByID(ctx, tx, a.ID)
		if err != nil || now.State != AssemblyDeploying && now.State != AssemblyStarting {
			return err
		}
		left = true
		return s.ending(ctx, tx, a.ID, "who brought it about is gone")
	})
	if err != nil || !left {
		return healthEvery, err
	}
	s.wake(a.place)
	return 0, nil
}

// Recover asks for a look at every assembly that is not gone, after a start of the server.
func (s *Service) Recover(ctx context.Context) error {
	all, err := queryAssemblies(ctx, s.DB.Read(), `m.state NOT IN ($1, $2)`, string(AssemblyDeleted), string(AssemblyError))
	if err != nil {
		return err
	}
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		places := map[Place]bool{}
		for _, a := range all {
			places[a.place] = true
			if err := tx.Enqueue(ctx, assemblyJob(a.ID)); err != nil {
				return err
			}
		}
		waiting, err := queryPromotions(ctx, tx, `p.ended_at = 0`)
		if err != nil {
			return err
		}
		for _, p := range waiting {
			places[p.place] = true
		}
		for at := range places {
			if err := tx.Enqueue(ctx, Job(at)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Service) driver(name string) (assembly.Driver, error) {
	d, ok := s.Drivers[name]
	if !ok {
		return nil, fault.New(fault.Unavailable, "deliver.driver", fmt.Sprintf("this server has no driver %s", name), "see docs/deploy.md for what each driver needs")
	}
	return d, nil
}

// instances are the assemblies of an ephemeral environment, as decisions need them.
func (s *Service) instances(ctx context.Context, q db.Querier, at Place, environment string) ([]promote.Instance, error) {
	var all []promote.Instance
	err := each(ctx, q, `SELECT m.id, m.change_id, m.ps, m.created_at, m.state, COALESCE(c.status, '') FROM assemblies m LEFT JOIN changes c ON c.id = m.change_id
		WHERE m.repo_id = $1 AND m.branch = $2 AND m.environment = $3 AND m.state IN ($4, $5, $6) ORDER BY m.id`,
		[]any{at.Repo, at.Branch, environment, string(AssemblyReady), string(AssemblyDegraded), string(AssemblyDeleting)}, func(rows *sql.Rows) error {
			var i promote.Instance
			var created int64
			var state AssemblyState
			var status string
			err := rows.Scan(&i.ID, &i.Change, &i.PatchSet, &created, &state, &status)
			i.Since, i.Ready, i.Ending = db.Time(created), state.Serves(), state == AssemblyDeleting
			i.Closed = status != "" && status != changeOpen
			all = append(all, i)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("deliver: instances of %s: %w", environment, err)
	}
	return all, nil
}

// changeOpen is the status of a change that is neither landed nor abandoned.
const changeOpen = "open"

// Soaks is how long each of the digests has served in the environments of a place.
func Soaks(ctx context.Context, q db.Querier, at Place, digests []string, now time.Time) (map[string]Soak, error) {
	all, err := queryAssemblies(ctx, q, `m.repo_id = $1 AND m.branch = $2 AND m.instance = '' AND (m.ready_since > 0 OR m.soaked > 0)`, at.Repo, at.Branch)
	if err != nil {
		return nil, err
	}
	found := map[string]Soak{}
	for _, a := range all {
		if !slices.Contains(digests, a.Digest) {
			continue
		}
		k := Soak{For: a.soaked}
		if !a.ReadySince.IsZero() {
			k = Soak{Ready: true, Since: a.ReadySince, For: max(a.soaked, now.Sub(a.ReadySince))}
		}
		if old, ok := found[a.Environment]; !ok || k.Ready && !old.Ready || k.Ready == old.Ready && k.For > old.For {
			found[a.Environment] = k
		}
	}
	return found, nil
}

// Soak is how long an artifact has served in an environment without a break.
type Soak struct {
	Ready bool
	Since time.Time
	For   time.Duration
}

// Running are the runs whose artifact serves in each standing environment of a place.
func Running(ctx context.Context, q db.Querier, at Place) (map[string]Assembly, error) {
	all, err := queryAssemblies(ctx, q, `m.repo_id = $1 AND m.branch = $2 AND m.instance = '' AND m.state IN ($3, $4)`, at.Repo, at.Branch, string(AssemblyReady), string(AssemblyDegraded))
	if err != nil {
		return nil, err
	}
	found := map[string]Assembly{}
	for _, a := range all {
		found[a.Environment] = a
	}
	return found, nil
}
