package mirror

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
)

const (
	// attemptLimit is how long one attempt may take in all: the first push of a large
	// repository over a slow line, not a connection that hangs.
	attemptLimit = 2 * time.Hour
	// refsAtOnce bounds the refspecs of one push, so that an argument list never overflows.
	refsAtOnce = 200

	heads = "refs/heads/"
	tags  = "refs/tags/"
)

// divergence is an upstream that has what we have not.
type divergence struct {
	ref         string
	here, there git.OID
}

// Error is the reason that the page shows.
func (d *divergence) Error() string {
	name := strings.TrimPrefix(strings.TrimPrefix(d.ref, heads), tags)
	kind, remedy := "branch", "bring that commit here as a change if it is wanted"
	if strings.HasPrefix(d.ref, tags) {
		kind, remedy = "tag", "decide which of the two is right"
	}
	return fmt.Sprintf("the %s %s is %s there and %s here, and one does not follow from the other; nothing is forced: %s, then move or delete the %s upstream and retry this mirror",
		kind, name, d.there.Short(), d.here.Short(), remedy, kind)
}

// CrashPoint, when set, is called at the named points between two effects. Tests kill the
// process there; production leaves it nil.
var CrashPoint func(name string)

func crash(name string) {
	if CrashPoint != nil {
		CrashPoint(name)
	}
}

// Sync makes one attempt to bring the mirror id up to date and writes down how it went. again
// is how long to wait before the next attempt, 0 when none is needed. An error is ours (the
// database, the end of the server): the upstream's failures are written into the row.
func (s *Store) Sync(ctx context.Context, id int64) (again time.Duration, err error) {
	m, err := s.ByID(ctx, s.DB.Read(), id)
	if fault.Is(err, fault.NotFound) {
		return 0, nil // removed meanwhile
	}
	if err != nil || m.stopped() {
		return 0, err
	}
	r, err := s.Repos.ByID(ctx, s.DB.Read(), m.Repo)
	if err != nil {
		return 0, fmt.Errorf("mirror: sync %d: %w", id, err)
	}
	limited, cancel := context.WithTimeout(ctx, attemptLimit)
	defer cancel()
	done, err := s.attempt(limited, r, m)
	if ctx.Err() != nil { // the server stops: nobody's failure, and the job is still there
		return 0, fmt.Errorf("mirror: sync %d: %w", id, ctx.Err())
	}
	if done.pushed > 0 {
		crash("mirror.pushed")
	}
	again, err = s.record(ctx, r, m, done, err)
	if done.pushed > 0 {
		crash("mirror.recorded")
	}
	return again, err
}

// did is what an attempt found and did.
type did struct {
	pushed int     // refs
	tip    git.OID // of the default branch, now on both sides
}

// attempt compares and pushes. It is a pure function of the two repositories.
func (s *Store) attempt(ctx context.Context, r repo.Repository, m Mirror) (did, error) {
	to, err := repo.ParseAddress(m.URL, strings.HasPrefix(m.URL, "/")) // a path was allowed when it was added
	if err != nil {
		return did{}, err
	}
	auth := s.auth(m, to)
	g, err := s.Repos.Open(r)
	if err != nil {
		return did{}, err
	}
	here, err := g.Refs(ctx, heads, tags)
	if err != nil {
		return did{}, fmt.Errorf("mirror: refs: %w", err)
	}
	offered, err := g.LsRemote(ctx, to.URL, auth)
	if err != nil {
		return did{}, fmt.Errorf("mirror: look at upstream: %w", err)
	}
	there := make(map[string]git.OID, len(offered))
	for _, ref := range offered {
		there[ref.Name] = ref.OID
	}
	branches := landed(r, here)
	specs, err := branchSpecs(ctx, g, branches, there)
	if err != nil {
		return did{}, err
	}
	tagged, err := tagSpecs(ctx, g, here, branches, there)
	if err != nil {
		return did{}, err
	}
	// Branches first: a tag must not arrive before the history that it names.
	specs = append(specs, tagged...)
	for batch := range slices.Chunk(specs, refsAtOnce) {
		if err := g.PushTo(ctx, to.URL, batch, auth); err != nil {
			return did{}, fmt.Errorf("mirror: push: %w", err)
		}
	}
	d := did{pushed: len(specs)}
	if len(branches) > 0 {
		d.tip = branches[0].OID
	}
	return d, nil
}

// landed are the gated branches, the default branch first.
func landed(r repo.Repository, refs []git.Ref) []git.Ref {
	var gated []git.Ref
	for _, ref := range refs {
		branch, ok := strings.CutPrefix(ref.Name, heads)
		switch {
		case !ok || !r.Gates(branch):
		case branch == r.DefaultBranch:
			gated = slices.Insert(gated, 0, ref)
		default:
			gated = append(gated, ref)
		}
	}
	return gated
}

// branchSpecs are the pushes that bring the branches up to date, or a [divergence].
func branchSpecs(ctx context.Context, g *git.Repo, branches []git.Ref, there map[string]git.OID) ([]string, error) {
	var specs []string
	for _, ref := range branches {
		old, exists := there[ref.Name]
		if exists && old == ref.OID {
			continue
		}
		if exists {
			follows, err := followsFrom(ctx, g, old, ref.OID)
			if err != nil {
				return nil, err
			}
			if !follows {
				return nil, &divergence{ref: ref.Name, here: ref.OID, there: old}
			}
		}
		specs = append(specs, string(ref.OID)+":"+ref.Name)
	}
	return specs, nil
}

// followsFrom reports whether going from old to tip only adds. A commit that we do not have
// is not in the history of one that we have.
func followsFrom(ctx context.Context, g *git.Repo, old, tip git.OID) (bool, error) {
	if _, err := g.Resolve(ctx, string(old)); fault.Is(err, fault.NotFound) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("mirror: compare: %w", err)
	}
	follows, err := g.IsAncestor(ctx, old, tip)
	if err != nil {
		return false, fmt.Errorf("mirror: compare: %w", err)
	}
	return follows, nil
}

// tagSpecs are the pushes of the tags that upstream lacks and the landed branches reach.
func tagSpecs(ctx context.Context, g *git.Repo, refs, branches []git.Ref, there map[string]git.OID) ([]string, error) {
	var specs []string
	for _, ref := range refs {
		if !strings.HasPrefix(ref.Name, tags) || there[ref.Name] == ref.OID {
			continue
		}
		reached, err := reaches(ctx, g, branches, ref)
		if err != nil {
			return nil, err
		}
		if !reached {
			continue
		}
		if old, exists := there[ref.Name]; exists {
			return nil, &divergence{ref: ref.Name, here: ref.OID, there: old}
		}
		specs = append(specs, string(ref.OID)+":"+ref.Name)
	}
	return specs, nil
}

// reaches reports whether the history of one of the branches has what the tag names. A tag
// of something that is no commit is in no history.
func reaches(ctx context.Context, g *git.Repo, branches []git.Ref, tag git.Ref) (bool, error) {
	commit, err := g.Resolve(ctx, tag.Name)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("mirror: tag %s: %w", tag.Name, err)
	}
	for _, branch := range branches {
		in, err := g.IsAncestor(ctx, commit, branch.OID)
		if err != nil {
			return false, fmt.Errorf("mirror: tag %s: %w", tag.Name, err)
		}
		if in {
			return true, nil
		}
	}
	return false, nil
}
