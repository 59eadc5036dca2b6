// Package diff reads what `git diff` wrote and prepares it for people: files, hunks, lines,
// the words that changed within a line, and rows for two columns.
//
// Everything here is pure. Invariants: [Parse] never invents a line — joining the lines of a
// file's hunks gives back the patch's own text — and refuses a patch that is cut or whose
// counts do not add up, because a reviewer who is shown less than what lands approves
// something else. The work of [Intraline] is bounded by counting steps, never by a clock, so
// the same patch always looks the same. [Porter] says that a line was kept only of one with the
// same text.
package diff

// File is one file of a patch.
type File struct {
	// OldPath and NewPath are the same unless the file was renamed or copied; of an added or
	// deleted file too, so that either names it.
	OldPath, NewPath string
	// Status is A (added), M (modified), D (deleted), R (renamed), C (copied) or T (its type
	// changed, for example from a file to a symbolic link), as in git.
	Status byte
	// OldMode and NewMode are octal, as "100644"; "" where git does not say.
	OldMode, NewMode string
	// Binary says that git shows no lines.
	Binary bool
	Hunks  []Hunk
	// Added and Deleted count lines.
	Added, Deleted int
}

// Path is the name under which people know the file.
func (f File) Path() string {
	if f.Status == 'D' {
		return f.OldPath
	}
	return f.NewPath
}

// Hunk is a run of lines, some of them changed.
type Hunk struct {
	OldStart, OldLines int
	NewStart, NewLines int
	// Section is what git found to stand above the hunk, as a function's first line.
	Section string
	Lines   []Line
}

// Line is one line of a hunk.
type Line struct {
	// Kind is ' ' (context), '-' (only in the old file) or '+' (only in the new one).
	Kind byte
	// Old and New are line numbers from 1; 0 where the line is not in that file.
	Old, New int
	// Text is the line without its end; bytes that are not UTF-8 are kept as they are.
	Text string
	// NoEOL says that the file ends without a line end after this line.
	NoEOL bool
	// Marks are the parts that changed against the paired line; none when the line has no
	// pair or has nothing in common with it. [Intraline] fills them.
	Marks []Span
	// Pair is, of a deleted line, the number of the added one that it was turned into; -1 when
	// there is none, 0 as long as nobody looked. [Intraline] fills it.
	Pair int
	// Moved is where the line came from (of an added one) or went to (of a deleted one); the
	// zero value when it was not moved. [Moves] fills it.
	Moved Place
	// Rebased says that the line differs only because of what the patch sets stand on.
	// [Rebased] fills it.
	Rebased bool
}

// Place is a line of a file.
type Place struct {
	Path string
	Line int
}

// Span is a part of a line's text in bytes, from Start up to but not including End. It never
// cuts a UTF-8 sequence.
type Span struct{ Start, End int }

// Row is one row of two columns; Left or Right is nil where that column is empty. Both
// point into the hunk.
type Row struct{ Left, Right *Line }
