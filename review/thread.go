package review

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// CommitMessage is the path of the commit message in comments, as in Gerrit: its lines are
// those of the message.
const CommitMessage = "/COMMIT_MSG"

// Comment is a remark on a patch set, a file of it, or lines of that. Comments that answer
// one another are a thread; the last one says whether it is resolved.
type Comment struct {
	ID, Change int64
	PS         int
	Path       string // "" for the patch set as a whole, or [CommitMessage]
	Side       string // "new" or "old"
	Line       int    // the last line, from 1; 0 for the whole file
	StartLine  int    // the first of several lines, else 0
	// StartChar and EndChar narrow the first and the last line, in characters from 0; EndChar 0 is
	// whole lines.
	StartChar, EndChar int
	ReplyTo            int64 // the thread's first comment, 0 for that itself
	Author             int64
	Body               string
	Unresolved         bool
	CreatedAt          time.Time
}

// First is the first line that the comment is about, 0 for the whole file.
func (c Comment) First() int {
	if c.StartLine != 0 {
		return c.StartLine
	}
	return c.Line
}

// NewComment is a comment to write.
type NewComment struct {
	PS                 int    // 0 is the review's patch set
	Path               string // "" for the patch set as a whole
	Side               string // "" is SideNew
	Line               int
	StartLine          int // of several lines; 0, or Line, for one
	StartChar, EndChar int
	ReplyTo            int64 // a comment on the same change; the answer goes where that one is
	Body               string
	Unresolved         bool
}

// Thread is a conversation about one place.
type Thread struct {
	Comments []Comment // the first began it
}

// Root is the comment that began the thread; it tells where.
func (t Thread) Root() Comment { return t.Comments[0] }

// Unresolved reports whether the last word asks for something.
func (t Thread) Unresolved() bool { return t.Comments[len(t.Comments)-1].Unresolved }

// Threads groups the comments of a change, oldest first, into threads in the order in which
// they were begun.
func Threads(comments []Comment) []Thread {
	var all []Thread
	at := map[int64]int{}
	for _, c := range comments {
		root := c.ReplyTo
		if root == 0 {
			root = c.ID
		}
		i, known := at[root]
		if !known {
			i = len(all)
			at[root] = i
			all = append(all, Thread{})
		}
		all[i].Comments = append(all[i].Comments, c)
	}
	return all
}

// Unresolved counts the threads that ask for something.
func Unresolved(comments []Comment) int {
	n := 0
	for _, t := range Threads(comments) {
		if t.Unresolved() {
			n++
		}
	}
	return n
}

// check makes a comment whole and refuses one that makes no sense.
func (n *NewComment) check(op string) error {
	if n.Side == "" {
		n.Side = SideNew
	}
	if n.StartLine == n.Line && n.StartChar == 0 && n.EndChar == 0 {
		n.StartLine = 0 // one line
	}
	if strings.TrimSpace(n.Body) == "" {
		return fault.New(fault.Invalid, op, "a comment is empty", "write something, or leave it out")
	}
	if err := checkText(op, "comment", n.Body); err != nil {
		return err
	}
	if len(n.Path) > maxPath || !utf8.ValidString(n.Path) || strings.ContainsRune(n.Path, 0) {
		return fault.Newf(fault.Invalid, op, "a comment's path cannot be used")
	}
	if n.Line < 0 || (n.Line > 0 && n.Path == "") || (n.Side != SideNew && n.Side != SideOld) {
		return fault.New(fault.Invalid, op, "a comment's place makes no sense", `a line needs a path, and the side is "new" or "old"`)
	}
	first := n.StartLine
	if first == 0 {
		first = n.Line
	}
	if first < 0 || first > n.Line || n.StartChar < 0 || n.EndChar < 0 || (n.StartChar > 0 && n.EndChar == 0) || (n.EndChar > 0 && n.Line == 0) ||
		(first == n.Line && n.EndChar > 0 && n.StartChar >= n.EndChar) {
		return fault.New(fault.Invalid, op, "a comment's range makes no sense", "it begins before it ends: give the first line, the last line, and characters from 0 with both or with neither")
	}
	return nil
}

const commentColumns = `id, change_id, ps, path, side, line, start_line, start_char, end_char, reply_to, author_id, body, unresolved, created_at`

// Comments lists the comments on a change, oldest first.
func (s *Service) Comments(ctx context.Context, q db.Querier, change int64) ([]Comment, error) {
	return comments(ctx, q, `change_id = $1`, change)
}

func comments(ctx context.Context, q db.Querier, where string, args ...any) ([]Comment, error) {
	var all []Comment
	err := each(ctx, q, "list comments", `SELECT `+commentColumns+` FROM comments WHERE `+where+` ORDER BY id`, args, func(row scanner) error {
		var c Comment
		var unresolved, created int64
		err := row.Scan(&c.ID, &c.Change, &c.PS, &c.Path, &c.Side, &c.Line, &c.StartLine, &c.StartChar, &c.EndChar, &c.ReplyTo, &c.Author, &c.Body, &unresolved, &created)
		c.Unresolved, c.CreatedAt = unresolved != 0, db.Time(created)
		all = append(all, c)
		return err
	})
	return all, err
}

// insertComment writes a comment under a new id.
func insertComment(ctx context.Context, tx *db.Tx, c Comment) error {
	id, err := tx.NextID(ctx, db.RowIDs)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO comments (`+commentColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		id, c.Change, c.PS, c.Path, c.Side, c.Line, c.StartLine, c.StartChar, c.EndChar, c.ReplyTo, c.Author, c.Body, db.Bool(c.Unresolved), db.Micros(c.CreatedAt))
	if err != nil {
		return fmt.Errorf("review: comment on change %d: %w", c.Change, err)
	}
	return nil
}

// threadOf puts an answer where the thread began; answers to answers join the same thread.
func threadOf(ctx context.Context, q db.Querier, change int64, n *NewComment) error {
	found, err := comments(ctx, q, `id = $1 AND change_id = $2`, n.ReplyTo, change)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return fault.Newf(fault.NotFound, "review.Vote", "there is no comment %d on change %d to answer", n.ReplyTo, change)
	}
	root := found[0]
	if n.ReplyTo = root.ID; root.ReplyTo != 0 {
		n.ReplyTo = root.ReplyTo
	}
	n.PS, n.Path, n.Side, n.Line = root.PS, root.Path, root.Side, root.Line
	n.StartLine, n.StartChar, n.EndChar = root.StartLine, root.StartChar, root.EndChar
	return nil
}
