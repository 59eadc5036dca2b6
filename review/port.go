package review

import (
	"context"
	"io/fs"
	"slices"

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
	// maxPortFiles of one patch set are carried, and maxPortPaths bytes of their names: git takes
	// them on its command line. People comment on a few.
	maxPortFiles = 300
	maxPortPaths = 256 << 10
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
	files, room := 0, maxPortPaths
	for _, spot := range spots {
		switch {
		case spot.Path == CommitMessage:
			message = diff.NewPorter(diff.Texts(from.Message, to.Message, portContext))
			placed[spot] = carry(spot, to.Number, carried{path: CommitMessage, porter: message})
		case !fs.ValidPath(spot.Path):
			placed[spot] = carry(spot, to.Number, carried{path: spot.Path})
		case !slices.Contains(paths[spot.Side], spot.Path) && files < maxPortFiles && len(spot.Path) <= room:
			files, room = files+1, room-len(spot.Path)
			paths[spot.Side] = append(paths[spot.Side], spot.Path)
		}
	}
	for side, names := range paths {
		became, err := s.carriers(ctx, g, from, to, side, names)
		if err != nil {
			return err
		}
		for _, spot := range spots {
			if file, ok := became[spot.Path]; ok && spot.Side == side && spot.Path != CommitMessage {
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
