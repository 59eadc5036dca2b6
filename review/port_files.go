package review

import (
	"context"
	"fmt"
	"sync"

	"gatehouse/gitserver/git"
	"gatehouse/review/diff"
)

// carriers finds what became of files between two patch sets, on one side. Names are those that
// the patch sets' own differences show: of a file that the change renames, the new one, also on
// the old side.
func (s *Service) carriers(ctx context.Context, g *git.Repo, from, to PatchSet, side string, names []string) (map[string]carried, error) {
	a, b := sidesOf(from, to, side)
	found := map[string]carried{}
	key := func(name string) porterKey { return porterKey{g.Dir(), from.Commit, to.Commit, side, name} }
	var ask []string
	for _, name := range names {
		if file, ok := s.porters.get(key(name)); ok {
			found[name] = file
		} else {
			ask = append(ask, name)
		}
	}
	if len(ask) == 0 {
		return found, nil
	}
	older, newer := map[string]string{}, map[string]string{}
	if side == SideOld { // names are of the new side; what is looked for is on the old one
		var err error
		if older, err = renames(ctx, g, from.Parent, from.Commit, true); err != nil {
			return nil, err
		}
		if newer, err = renames(ctx, g, to.Parent, to.Commit, false); err != nil {
			return nil, err
		}
	}
	there := map[string]string{} // the name in a, and the one that people know
	var inA []string
	for _, name := range ask {
		old := orSame(older, name)
		there[old] = name
		inA = append(inA, old)
	}
	files, err := s.compare(ctx, g, a, b, inA)
	if err != nil {
		return nil, err
	}
	for old, name := range there {
		file := files[old]
		file.path = orSame(newer, file.path)
		found[name] = file
		s.porters.put(key(name), file)
	}
	return found, nil
}

func orSame(renamed map[string]string, name string) string {
	if other, ok := renamed[name]; ok {
		return other
	}
	return name
}

// renames are the files that have another name in b: from old to new, or back.
func renames(ctx context.Context, g *git.Repo, a, b git.OID, back bool) (map[string]string, error) {
	changes, err := g.ChangedFiles(ctx, a, b)
	if err != nil {
		return nil, fmt.Errorf("review: renames: %w", err)
	}
	all := map[string]string{}
	for _, c := range changes {
		if c.Status == 'R' && back {
			all[c.Path] = c.OldPath
		} else if c.Status == 'R' {
			all[c.OldPath] = c.Path
		}
	}
	return all, nil
}

// compare finds what became of the named files of a in b.
func (s *Service) compare(ctx context.Context, g *git.Repo, a, b git.OID, names []string) (map[string]carried, error) {
	all := map[string]carried{}
	for _, name := range names {
		all[name] = carried{path: name}
	}
	if a == b {
		return all, nil
	}
	if b.IsZero() { // the old side of a commit without a parent
		for _, name := range names {
			all[name] = carried{path: name, gone: true}
		}
		return all, nil
	}
	files, err := patchOf(ctx, g, a, b, names)
	if err != nil {
		return nil, err
	}
	var lost []string
	for _, f := range files {
		if _, asked := all[f.OldPath]; !asked || f.Status == 'A' || f.Status == 'C' {
			continue
		}
		if all[f.OldPath] = becomes(f); f.Status == 'D' {
			lost = append(lost, f.OldPath)
		}
	}
	if len(lost) == 0 {
		return all, nil
	}
	// Only now all files are compared: what is not there any more may have another name.
	renamed, err := renames(ctx, g, a, b, false)
	if err != nil {
		return nil, err
	}
	for _, old := range lost {
		now, ok := renamed[old]
		if !ok {
			continue
		}
		// One by one: beside others that are alike, git could pair them another way.
		files, err := patchOf(ctx, g, a, b, []string{old, now})
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if f.Status == 'R' && f.OldPath == old {
				all[old] = becomes(f)
			}
		}
	}
	return all, nil
}

func becomes(f diff.File) carried {
	switch {
	case f.Status == 'D':
		return carried{path: f.OldPath, gone: true}
	case f.Binary, f.Status == 'T':
		return carried{path: f.NewPath, whole: true}
	}
	return carried{path: f.NewPath, porter: diff.NewPorter(f.Hunks)}
}

func patchOf(ctx context.Context, g *git.Repo, a, b git.OID, names []string) ([]diff.File, error) {
	patch, err := g.DiffPatch(ctx, a, b, git.DiffOptions{Paths: names, Context: portContext, MaxBytes: maxPortPatch})
	if err != nil {
		return nil, err
	}
	files, err := diff.Parse(patch)
	if err != nil {
		return nil, fmt.Errorf("review: compare %s and %s: %w", a.Short(), b.Short(), err)
	}
	return files, nil
}

type porterKey struct {
	repo     string
	from, to git.OID
	side     string
	path     string
}

// porters remembers what became of files; what two commits say never changes.
type porters struct {
	mu    sync.Mutex
	all   map[porterKey]carried
	bytes int
}

func (p *porters) get(key porterKey) (carried, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	file, ok := p.all[key]
	return file, ok
}

func (p *porters) put(key porterKey, file carried) {
	p.mu.Lock()
	defer p.mu.Unlock()
	cost := porterCost
	if file.porter != nil {
		cost += file.porter.Size()
	}
	if p.all == nil || p.bytes+cost > maxPorterBytes {
		p.all, p.bytes = map[porterKey]carried{}, 0
	}
	p.bytes += cost
	p.all[key] = file
}
