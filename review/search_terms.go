package review

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// The fields of search terms.
const (
	fieldPath = "path" // a path that the current patch set touches
	fieldPart = "part" // a folder above one, with a slash at its end; its last name; *.EXT
	fieldWord = "word" // of the commit message, in small letters
	// fieldAuthor are the addresses of who wrote the commit, and the words of the author's name.
	fieldAuthor = "author"
)

const (
	// maxTouched is how many paths of a patch set are kept: who changes more moves folders,
	// and is found by those of the first.
	maxTouched = 5000
	// maxTerms of one kind for one change.
	maxTerms = 20_000
	// maxTerm is the longest word that is kept whole, in bytes.
	maxTerm = 64
	// maxWords of one message: beyond it are logs that somebody pasted.
	maxWords = 1000
)

// touchedPaths are the paths that a commit touches against its first parent, both names of
// what was renamed.
func touchedPaths(ctx context.Context, g *git.Repo, c git.Commit) ([]string, error) {
	from := first(c)
	if from == "" {
		from = git.EmptyTree
	}
	files, err := g.ChangedFiles(ctx, from, c.OID)
	if err != nil {
		return nil, err
	}
	set := make([]string, 0, len(files))
	for _, f := range files {
		set = append(set, f.Path)
		if f.OldPath != "" && f.OldPath != f.Path {
			set = append(set, f.OldPath)
		}
	}
	slices.Sort(set)
	return slices.Compact(set), nil
}

// indexTerms writes what a change is found by, in place of what it was found by before, and
// how many paths its patch set touches.
func indexTerms(ctx context.Context, tx *db.Tx, ps PatchSet, paths []string) error {
	_, err := tx.ExecContext(ctx, `UPDATE patch_sets SET touched = $1 WHERE change_id = $2 AND number = $3`, len(paths), ps.Change, ps.Number)
	if err != nil {
		return fmt.Errorf("review: paths of change %d: %w", ps.Change, err)
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM search_terms WHERE change_id = $1`, ps.Change); err != nil {
		return fmt.Errorf("review: terms of change %d: %w", ps.Change, err)
	}
	paths = paths[:min(len(paths), maxTouched)]
	for field, terms := range map[string][]string{fieldPath: cleaned(paths), fieldPart: partsOf(paths), fieldWord: wordsOf(ps.Message), fieldAuthor: authorsOf(ps)} {
		for part := range slices.Chunk(terms, maxIn) {
			args := []any{field, ps.Change}
			var rows []string
			for _, term := range part {
				args = append(args, term)
				rows = append(rows, fmt.Sprintf("($1, $%d, $2)", len(args)))
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO search_terms (field, term, change_id) VALUES `+strings.Join(rows, ", ")+` ON CONFLICT DO NOTHING`, args...)
			if err != nil {
				return fmt.Errorf("review: terms of change %d: %w", ps.Change, err)
			}
		}
	}
	return nil
}

func cleaned(paths []string) []string {
	all := make([]string, 0, len(paths))
	for _, p := range paths {
		all = append(all, clean(p))
	}
	return all
}

// partsOf are the folders, names and kinds of files by which paths are found.
func partsOf(paths []string) []string {
	set := map[string]bool{}
	for _, p := range paths {
		p = clean(p)
		set[path.Base(p)] = true
		if ext := path.Ext(p); ext != "" && ext != "." {
			set["*"+strings.ToLower(ext)] = true
		}
		for dir := path.Dir(p); dir != "." && dir != "/"; dir = path.Dir(dir) {
			if set[dir+"/"] {
				break
			}
			set[dir+"/"], set[path.Base(dir)] = true, true
		}
		if len(set) >= maxTerms {
			break
		}
	}
	return sorted(set)
}

// wordsOf are the words of a text, in small letters: runs of letters, digits and _.
func wordsOf(text string) []string {
	set := map[string]bool{}
	for word := range strings.FieldsFuncSeq(strings.ToLower(text), notOfWord) {
		if len(word) > maxTerm {
			word = word[:maxTerm]
			for !utf8.ValidString(word) {
				word = word[:len(word)-1]
			}
		}
		if set[word] = true; len(set) >= maxWords {
			break
		}
	}
	return sorted(set)
}

// authorsOf are the addresses and names by which who wrote a patch set is found.
func authorsOf(ps PatchSet) []string {
	set := map[string]bool{}
	for _, email := range append([]string{ps.AuthorEmail}, ps.CoAuthors...) {
		if email != "" && len(email) <= maxPath {
			set[strings.ToLower(email)] = true
		}
	}
	for _, word := range wordsOf(ps.AuthorName) {
		set[word] = true
	}
	return sorted(set)
}

func notOfWord(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }

func sorted(set map[string]bool) []string {
	all := make([]string, 0, len(set))
	for term := range set {
		all = append(all, term)
	}
	slices.Sort(all)
	return all
}

// Touched lists the paths that a change's current patch set touches; ok is false while that
// is not known, or when they are more than are kept.
func (s *Service) Touched(ctx context.Context, q db.Querier, c Change) (paths []string, ok bool, err error) {
	var count int
	err = q.QueryRowContext(ctx, `SELECT touched FROM patch_sets WHERE change_id = $1 AND number = $2`, c.ID, c.Current).Scan(&count)
	if err != nil {
		return nil, false, fmt.Errorf("review: paths of change %d: %w", c.ID, err)
	}
	if count < 0 || count > maxTouched {
		return nil, false, nil
	}
	err = each(ctx, q, "touched paths", `SELECT term FROM search_terms WHERE change_id = $1 AND field = $2 ORDER BY term`,
		[]any{c.ID, fieldPath}, func(row scanner) error {
			var p string
			err := row.Scan(&p)
			paths = append(paths, p)
			return err
		})
	return paths, true, err
}

// indexBatch is how many changes are read at a time by [Service.IndexMissing].
const indexBatch = 100

// IndexMissing fills in what the changes of a repository are found by that were held before
// such terms were kept. It may be called again at any time.
func (s *Service) IndexMissing(ctx context.Context, r repo.Repository) error {
	g, err := s.Repos.Open(r)
	if err != nil {
		return err
	}
	for after := int64(0); ; {
		sets, err := patchSets(ctx, s.DB.Read(), `p.touched < 0 AND p.change_id > $1
			AND p.number = (SELECT c.current_ps FROM changes c WHERE c.id = p.change_id AND c.repo_id = $2)
			AND p.change_id IN (SELECT id FROM changes WHERE repo_id = $2 AND id > $1)`, after, r.ID)
		if err != nil || len(sets) == 0 {
			return err
		}
		for _, ps := range sets[:min(len(sets), indexBatch)] {
			after = ps.Change
			if err := s.indexOne(ctx, g, ps); err != nil {
				return err
			}
		}
	}
}

func (s *Service) indexOne(ctx context.Context, g *git.Repo, ps PatchSet) error {
	commit, err := g.Commit(ctx, ps.Commit)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	paths, err := touchedPaths(ctx, g, commit)
	if err != nil {
		return err
	}
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		c, err := s.Load(ctx, tx, ps.Change)
		if err != nil || c.Current != ps.Number {
			return err
		}
		return indexTerms(ctx, tx, ps, paths)
	})
}
