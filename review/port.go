package review

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/review/diff"
)

const (
	// portContext is the unchanged lines that carrying sees around a change.
	portContext = 3
	// maxPortPatch bounds the difference by which the comments of one patch set are carried.
	maxPortPatch = 8 << 20
	// maxPortFrom is from how many patch sets comments are carried at once, the latest first; the
	// others are shown where they were written.
	maxPortFrom = 40
	// maxPorterBytes is how much of files' differences is remembered.
	maxPorterBytes = 32 << 20
	// porterCost is what remembering one costs beside its text.
	porterCost = 500
)

// Spot is a place that somebody commented on.
type Spot struct {
	PS                 int
	Path, Side         string
	StartLine, Line    int // StartLine 0 is one line, Line 0 the whole file
	StartChar, EndChar int
}

// Spot is where the comment was written.
func (c Comment) Spot() Spot {
	return Spot{PS: c.PS, Path: c.Path, Side: c.Side, StartLine: c.StartLine, Line: c.Line, StartChar: c.StartChar, EndChar: c.EndChar}
}

// Spot is where the draft was written, or its thread.
func (d Draft) Spot() Spot {
	return Spot{PS: d.PS, Path: d.Path, Side: d.Side, StartLine: d.StartLine, Line: d.Line, StartChar: d.StartChar, EndChar: d.EndChar}
}

func (s Spot) first() int {
	if s.StartLine != 0 {
		return s.StartLine
	}
	return s.Line
}

// Placed is where a spot is on another patch set.
type Placed struct {
	Spot // on that patch set; of what is gone, the line that was closest to it, or the file
	// Fate is [diff.Kept] when the very lines are there, [diff.Edited] when they were changed, and
	// [diff.Gone] when they, or their file, are not there any more.
	Fate     diff.Fate
	FileGone bool
	Was      []string // the lines that are gone, or the line that was edited
}

// Same reports whether the place means what it meant where it was written.
func (p Placed) Same() bool { return p.Fate == diff.Kept }

// Place carries spots to the patch set to of their change; sets are all patch sets of it. Git
// compares only the files that are spoken of. A spot that cannot be carried (its patch set is
// later, the difference is too large) is not in the answer.
func (s *Service) Place(ctx context.Context, g *git.Repo, sets []PatchSet, to PatchSet, spots []Spot) (map[Spot]Placed, error) {
	placed := map[Spot]Placed{}
	byPS := map[int][]Spot{}
	for _, spot := range spots {
		if spot.PS == to.Number || (spot.Path == "" && spot.PS < to.Number) {
			there := spot
			there.PS = to.Number
			placed[spot] = Placed{Spot: there}
		} else if spot.PS < to.Number {
			byPS[spot.PS] = append(byPS[spot.PS], spot)
		}
	}
	asked := 0
	for _, from := range slices.Backward(sets) {
		if len(byPS[from.Number]) == 0 {
			continue
		}
		if asked++; asked > maxPortFrom {
			break
		}
		err := s.placeFrom(ctx, g, from, to, byPS[from.Number], placed)
		if err != nil && !fault.Is(err, fault.TooLarge) {
			return nil, err
		}
	}
	return placed, nil
}

// placeFrom carries spots of one patch set.
func (s *Service) placeFrom(ctx context.Context, g *git.Repo, from, to PatchSet, spots []Spot, placed map[Spot]Placed) error {
	var message *diff.Porter
	paths := map[string][]string{} // by side
	for _, spot := range spots {
		switch {
		case spot.Path == CommitMessage:
			message = diff.NewPorter(diff.Texts(from.Message, to.Message, portContext))
			placed[spot] = carry(spot, to.Number, carried{path: CommitMessage, porter: message})
		case !fs.ValidPath(spot.Path):
			placed[spot] = carry(spot, to.Number, carried{path: spot.Path})
		case !slices.Contains(paths[spot.Side], spot.Path):
			paths[spot.Side] = append(paths[spot.Side], spot.Path)
		}
	}
	for side, names := range paths {
		files, err := s.carriers(ctx, g, from, to, side, names)
		if err != nil {
			return err
		}
		for _, spot := range spots {
			if file, ok := files[spot.Path]; ok && spot.Side == side && spot.Path != CommitMessage {
				placed[spot] = carry(spot, to.Number, file)
			}
		}
	}
	return nil
}

// carried is what became of a file. The zero porter is that of a file that did not change.
type carried struct {
	path   string
	gone   bool
	whole  bool // changed as a whole, as pictures are: its lines mean nothing
	porter *diff.Porter
}

func carry(spot Spot, ps int, file carried) Placed {
	there := spot
	there.PS, there.Path = ps, file.path
	p := Placed{Spot: there}
	switch {
	case file.gone:
		p.Fate, p.FileGone = diff.Gone, true
		return p
	case file.whole:
		p.Fate = diff.Edited
		return p
	case spot.Line == 0 || file.porter == nil:
		return p
	}
	c := file.porter.Range(spot.first(), spot.Line)
	p.Fate = c.Fate
	if c.Fate != diff.Kept {
		p.Was = file.porter.Old(spot.first(), spot.Line)
		p.StartChar, p.EndChar = 0, 0
	}
	p.StartLine, p.Line = c.Start, c.End
	if c.Fate == diff.Gone {
		p.StartLine, p.Line = 0, c.Near
	}
	if p.StartLine == p.Line && p.EndChar == 0 {
		p.StartLine = 0
	}
	return p
}

// sidesOf are the commits that hold one side of two patch sets.
func sidesOf(from, to PatchSet, side string) (a, b git.OID) {
	if side == SideOld {
		return from.Parent, to.Parent
	}
	return from.Commit, to.Commit
}

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
	var pairs []string
	for _, old := range lost {
		if now, ok := renamed[old]; ok {
			pairs = append(pairs, old, now)
		}
	}
	if len(pairs) == 0 {
		return all, nil
	}
	if files, err = patchOf(ctx, g, a, b, pairs); err != nil {
		return nil, err
	}
	for _, f := range files {
		if f.Status == 'R' && slices.Contains(lost, f.OldPath) {
			all[f.OldPath] = becomes(f)
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
