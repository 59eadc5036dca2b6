package git

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"gatehouse/gitserver/fault"
)

// Bounds of a materialised tree.
const (
	maxCheckoutEntries = 1_000_000
	maxCheckoutListing = 256 << 20
	maxCheckoutBytes   = 16 << 30
	maxLinkBytes       = 4096 // the longest symbolic link of Linux
)

// Checkout writes the tree of a commit into dir, which must be empty or not exist: the bytes
// of the blobs as they are, without filters, line-end conversion or hooks, and nothing of git.
// Links are made as they are, but no write goes through one; a gitlink is an empty directory.
func (r *Repo) Checkout(ctx context.Context, commit OID, dir string) error {
	const op = "git.Checkout"
	e, err := r.entryAt(ctx, commit, "")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("git: checkout: %w", err)
	}
	if have, err := os.ReadDir(dir); err != nil {
		return fmt.Errorf("git: checkout: %w", err)
	} else if len(have) > 0 {
		return fault.New(fault.Conflict, op, "the folder to check out into is not empty", "")
	}
	entries, err := r.files(ctx, op, e.OID)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("git: checkout: %w", err)
	}
	err = r.materialise(ctx, root, entries)
	if closeErr := root.Close(); err == nil {
		err = closeErr
	}
	return err
}

// files lists everything in a tree but its folders, with whole paths, sorted as git sorts them.
func (r *Repo) files(ctx context.Context, op string, tree OID) ([]Entry, error) {
	listing, err := r.git.run(ctx, child{args: []string{"ls-tree", "-r", "-z", "--full-tree", "--end-of-options", string(tree)},
		env: r.env(), max: maxCheckoutListing})
	if err != nil {
		return nil, fmt.Errorf("git: list files: %w", err)
	}
	var entries []Entry
	for len(listing) > 0 {
		record, rest, _ := bytes.Cut(listing, []byte{0})
		listing = rest
		e, err := parseListing(string(record))
		if err != nil {
			return nil, err
		}
		if entries = append(entries, e); len(entries) > maxCheckoutEntries {
			return nil, fault.Newf(fault.TooLarge, op, "the tree has more than %d files", maxCheckoutEntries)
		}
	}
	return entries, nil
}

// materialise streams the blobs of entries into root in one pass. Links come last: while
// files are written there is none on the way.
func (r *Repo) materialise(ctx context.Context, root *os.Root, entries []Entry) error {
	var wanted bytes.Buffer
	var files []Entry
	for _, pass := range []bool{false, true} {
		for _, e := range entries {
			if e.Type == "blob" && (e.Mode == modeSymlink) == pass {
				files = append(files, e)
				wanted.WriteString(string(e.OID) + "\n")
			}
		}
	}
	made := map[string]bool{".": true}
	for _, e := range entries {
		name := path.Dir(e.Name)
		if e.Type == "commit" {
			name = e.Name
		}
		if made[name] {
			continue
		}
		made[name] = true
		if err := root.MkdirAll(name, 0o755); err != nil {
			return fmt.Errorf("git: checkout: %w", err)
		}
	}
	in, out := io.Pipe()
	wrote := make(chan error, 1)
	go func() {
		err := writeFiles(root, files, bufio.NewReaderSize(in, 256<<10))
		wrote <- err
		_ = in.CloseWithError(err) // a nil error is io.ErrClosedPipe for further writes: there are none
	}()
	_, err := r.git.run(ctx, child{args: []string{"cat-file", "--batch", "--buffer"}, env: r.env(), stdin: &wanted, stdout: out, max: maxCheckoutBytes})
	_ = out.CloseWithError(err)
	if writeErr := <-wrote; writeErr != nil && err == nil {
		err = writeErr
	}
	if err != nil {
		return fmt.Errorf("git: checkout: %w", err)
	}
	return nil
}

// writeFiles reads one answer of cat-file --batch for each file, and writes it.
func writeFiles(root *os.Root, files []Entry, in *bufio.Reader) error {
	b := &reader{out: in}
	for _, e := range files {
		kind, size, err := b.header(e.OID)
		if err != nil {
			return err
		}
		if kind != "blob" {
			return fmt.Errorf("%s is a %s", e.OID, kind)
		}
		if err := writeFile(root, e, io.LimitReader(in, size), size); err != nil {
			return err
		}
		if _, err := in.Discard(1); err != nil { // the line end behind each answer
			return err
		}
	}
	return nil
}

// writeFile makes one file or link.
func writeFile(root *os.Root, e Entry, in io.Reader, size int64) error {
	if e.Mode == modeSymlink {
		if size > maxLinkBytes {
			return fault.Newf(fault.TooLarge, "git.Checkout", "the link %s is longer than %d bytes", quoteName(e.Name), maxLinkBytes)
		}
		target, err := io.ReadAll(in)
		if err != nil {
			return err
		}
		return root.Symlink(string(target), e.Name)
	}
	mode := fs.FileMode(0o644)
	if e.Mode == modeExec {
		mode = 0o755
	}
	f, err := root.OpenFile(e.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, in)
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
