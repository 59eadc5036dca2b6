package review

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review/owners"
)

const (
	// maxSuggestions is how many people are suggested: more is no suggestion.
	maxSuggestions = 8
	// maxBlamed is how many files are asked who wrote them, those with most changed lines
	// first, and maxRanges how many places of each.
	maxBlamed = 6
	maxRanges = 30
	// whomTime bounds the whole search; what is found until then is the answer.
	whomTime = 8 * time.Second
	// maxWhomPatch bounds the difference of one file that is read for its places.
	maxWhomPatch = 1 << 20
)

// Suggestion is somebody who could review a change.
type Suggestion struct {
	Account account.Account
	Why     []string // "owns docs/a.md and 2 more (CODEOWNERS)", "wrote 12 of the lines that it changes"
	points  int
}

// OwnersAt reads who owns which path, as the tip of a branch has it; nil when nothing says so.
func (s *Service) OwnersAt(ctx context.Context, g *git.Repo, branch string) (*owners.File, error) {
	tip, err := g.RefOID(ctx, "refs/heads/"+branch)
	if err != nil || tip.IsZero() {
		return nil, err
	}
	return ReadOwners(ctx, g, tip)
}

// ReadOwners reads who owns which path, as a commit has it; nil when nothing says so.
func ReadOwners(ctx context.Context, g *git.Repo, commit git.OID) (*owners.File, error) {
	for _, name := range owners.Places() {
		text, err := g.FileAt(ctx, commit, name, owners.MaxFile)
		if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) { // none there, or no file
			continue
		}
		if err != nil {
			return nil, err
		}
		return owners.Parse(name, text), nil
	}
	return readFolders(ctx, g, commit)
}

// readFolders reads the files OWNERS of a commit's folders, and what they take in.
func readFolders(ctx context.Context, g *git.Repo, commit git.OID) (*owners.File, error) {
	const op = "review.ReadOwners"
	names, err := g.Named(ctx, commit, owners.FolderFile)
	if err != nil {
		return nil, err
	}
	texts := map[string][]byte{}
	for len(names) > 0 {
		if len(texts)+len(names) > owners.MaxFolders {
			return nil, fault.Newf(fault.TooLarge, op, "more than %d files say who owns what", owners.MaxFolders)
		}
		for _, name := range names {
			text, err := g.FileAt(ctx, commit, name, owners.MaxFile)
			if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) {
				texts[name] = nil // taken in, and not there: the file that does so has a problem
				continue
			}
			if err != nil {
				return nil, err
			}
			texts[name] = append([]byte{}, text...)
		}
		names = owners.Included(texts)
	}
	return owners.Folders(texts), nil
}

// SuggestReviewers finds who could review a change: the owners of the paths that it touches
// and those who wrote the lines that it changes, without those who have a part in it or are
// asked already. It reads history, for a few seconds at most.
func (s *Service) SuggestReviewers(ctx context.Context, actor account.Actor, id int64) ([]Suggestion, error) {
	const op = "review.SuggestReviewers"
	c, r, err := s.actOn(ctx, op, actor, id)
	if err != nil {
		return nil, err
	}
	g, err := s.Repos.Open(r)
	if err != nil {
		return nil, err
	}
	sets, err := s.PatchSets(ctx, s.DB.Read(), c.ID)
	if err != nil {
		return nil, err
	}
	ps := sets[len(sets)-1]
	from := ps.Parent
	if from.IsZero() {
		from = git.EmptyTree
	}
	files, err := g.ChangedFiles(ctx, from, ps.Commit)
	if err != nil {
		return nil, err
	}
	w := &whom{Service: s, found: map[int64]*Suggestion{}}
	if err := w.owners(ctx, g, c, files); err != nil {
		return nil, err
	}
	if !ps.Parent.IsZero() {
		if err := w.writers(ctx, g, ps, files); err != nil {
			return nil, err
		}
	}
	return w.fit(ctx, c, r, sets)
}

// whom gathers people.
type whom struct {
	*Service
	found map[int64]*Suggestion
}

func (w *whom) add(a account.Account, why string, points int) {
	if a.Disabled {
		return
	}
	s := w.found[a.ID]
	if s == nil {
		s = &Suggestion{Account: a}
		w.found[a.ID] = s
	}
	s.Why, s.points = append(s.Why, why), s.points+points
}

// owners adds the owners of the paths, the groups' members among them.
func (w *whom) owners(ctx context.Context, g *git.Repo, c Change, files []git.FileChange) error {
	file, err := w.OwnersAt(ctx, g, c.Branch)
	if err != nil || file == nil {
		return err
	}
	paths := map[string][]string{} // by owner
	for _, f := range files[:min(len(files), maxTouched)] {
		for _, need := range file.Needs(f.Path) {
			for _, owner := range need.Owners {
				paths[owner] = append(paths[owner], f.Path)
			}
		}
	}
	groups, err := w.Accounts.Groups(ctx, w.DB.Read())
	if err != nil {
		return err
	}
	const group, person = 100, 200 // points: a team's member is one of many
	for owner, owned := range paths {
		name, team, email := owners.Names(owner)
		why := "owns " + owned[0]
		if len(owned) > 1 {
			why += fmt.Sprintf(" and %d more", len(owned)-1)
		}
		why += " (" + file.Name + ")"
		if a, ok, err := w.known(ctx, name, email); err != nil {
			return err
		} else if ok {
			w.add(a, why, person+len(owned))
			continue
		}
		for _, candidate := range groups {
			if candidate.Name != team {
				continue
			}
			members, err := w.Accounts.Names(ctx, w.DB.Read(), candidate.Members)
			if err != nil {
				return err
			}
			for _, a := range members {
				w.add(a, "in "+team+", which "+why, group+len(owned))
			}
		}
	}
	return nil
}

// known finds an account by its name or address.
func (w *whom) known(ctx context.Context, name, email string) (a account.Account, ok bool, err error) {
	switch {
	case email != "":
		a, err = w.Accounts.ByEmail(ctx, w.DB.Read(), email)
	case name != "":
		a, err = w.Accounts.ByName(ctx, w.DB.Read(), name)
	default:
		return a, false, nil
	}
	if fault.Is(err, fault.NotFound) {
		return a, false, nil
	}
	return a, err == nil, err
}

// writers adds those who wrote the lines that the change replaces.
func (w *whom) writers(ctx context.Context, g *git.Repo, ps PatchSet, files []git.FileChange) error {
	ctx, cancel := context.WithTimeout(ctx, whomTime)
	defer cancel()
	files = slices.DeleteFunc(slices.Clone(files), func(f git.FileChange) bool { return f.Binary || f.Status == 'A' || f.OldPath == "" })
	slices.SortStableFunc(files, func(a, b git.FileChange) int { return b.Added + b.Deleted - a.Added - a.Deleted })
	count := map[string]int{}
	for _, f := range files[:min(len(files), maxBlamed)] {
		ranges, err := places(ctx, g, ps, f)
		if err != nil || len(ranges) == 0 {
			continue // too large, or out of time: the others may tell
		}
		lines, err := g.Blame(ctx, ps.Parent, f.OldPath, ranges)
		if err != nil {
			continue
		}
		for mail, n := range lines {
			count[mail] += n
		}
	}
	for mail, n := range count {
		a, ok, err := w.known(context.WithoutCancel(ctx), "", mail)
		if err != nil {
			return err
		}
		if ok {
			w.add(a, "wrote "+counted(n, "line")+" beside or below what it changes", min(n, 99))
		}
	}
	return nil
}

var hunk = regexp.MustCompile(`(?m)^@@ -([0-9]+)(?:,([0-9]+))? `)

// places are the lines of a file's old side that a patch set changes, or stands between.
func places(ctx context.Context, g *git.Repo, ps PatchSet, f git.FileChange) ([][2]int, error) {
	paths := []string{f.Path}
	if f.OldPath != f.Path {
		paths = append(paths, f.OldPath)
	}
	patch, err := g.DiffPatch(ctx, ps.Parent, ps.Commit, git.DiffOptions{Paths: paths, MaxBytes: maxWhomPatch})
	if err != nil {
		return nil, err
	}
	var ranges [][2]int
	for line := range bytes.Lines(patch) {
		m := hunk.FindSubmatch(line)
		if m == nil {
			continue
		}
		first, _ := strconv.Atoi(string(m[1])) // the pattern holds digits
		n := 1
		if len(m[2]) > 0 {
			n, _ = strconv.Atoi(string(m[2]))
		}
		if first > 0 && n > 0 {
			ranges = append(ranges, [2]int{first, first + n - 1})
		}
		if len(ranges) == maxRanges {
			break
		}
	}
	return ranges, nil
}

// fit leaves those who may vote and have no part in the change, the best first.
func (w *whom) fit(ctx context.Context, c Change, r repo.Repository, sets []PatchSet) ([]Suggestion, error) {
	asked, err := w.Reviewers(ctx, w.DB.Read(), c.ID)
	if err != nil {
		return nil, err
	}
	var all []Suggestion
	for _, s := range w.found {
		if slices.ContainsFunc(asked, func(r Reviewer) bool { return r.Account == s.Account.ID && !r.CC }) ||
			s.Account.ID == c.Owner || len(Parts(sets, s.Account)) > 0 {
			continue
		}
		slices.Sort(s.Why)
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b Suggestion) int {
		return cmp.Or(b.points-a.points, cmp.Compare(a.Account.Name, b.Account.Name))
	})
	var fit []Suggestion
	for _, s := range all {
		ok, err := w.mayVote(ctx, w.DB.Read(), r, c, s.Account.ID)
		if err != nil {
			return nil, err
		}
		if ok {
			fit = append(fit, s)
		}
		if len(fit) == maxSuggestions {
			break
		}
	}
	return fit, nil
}

func (w *whom) mayVote(ctx context.Context, q db.Querier, r repo.Repository, c Change, id int64) (bool, error) {
	actor, err := w.Accounts.Actor(ctx, q, id, methodAsked)
	if err == nil {
		err = w.Accounts.May(ctx, q, actor, account.Vote, r.Resource(c.Branch))
	}
	switch fault.KindOf(err) {
	case fault.Denied, fault.NotFound, fault.Unauthenticated:
		return false, nil
	}
	return err == nil, err
}
