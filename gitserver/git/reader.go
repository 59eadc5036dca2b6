package git

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"gatehouse/gitserver/fault"
)

// Bounds of reading objects.
const (
	maxIdleReaders = 12               // of all repositories; one costs about 2 MB and a process
	readWall       = 60 * time.Second // one object: a delta chain in a cold pack takes seconds at worst
	maxTreeBytes   = 32 << 20         // one tree object: about 800,000 entries
	maxCommitBytes = 4 << 20          // a commit with a message of a size that somebody wrote by hand, many times over
)

// reader is a running "git cat-file --batch-command". One user at a time.
type reader struct {
	repo *Repo
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
}

// readerPool keeps idle readers of all repositories, the one used last at the end.
type readerPool struct {
	mu   sync.Mutex
	idle []*reader
}

// take gives an idle reader of r, or nil.
func (p *readerPool) take(r *Repo) *reader {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.idle) - 1; i >= 0; i-- {
		if b := p.idle[i]; b.repo == r {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			return b
		}
	}
	return nil
}

// put gives b back, and ends the one that was idle longest when there are too many.
func (p *readerPool) put(b *reader) {
	p.mu.Lock()
	p.idle = append(p.idle, b)
	var old *reader
	if len(p.idle) > maxIdleReaders {
		old = p.idle[0]
		p.idle = p.idle[1:]
	}
	p.mu.Unlock()
	if old != nil {
		old.close()
	}
}

// closeAll ends the idle readers of r, of all repositories when r is nil.
func (p *readerPool) closeAll(r *Repo) {
	p.mu.Lock()
	var keep, end []*reader
	for _, b := range p.idle {
		if r == nil || b.repo == r {
			end = append(end, b)
		} else {
			keep = append(keep, b)
		}
	}
	p.idle = keep
	p.mu.Unlock()
	for _, b := range end {
		b.close()
	}
}

// newReader starts a reader. It outlives the context of the request that needed it first.
func (r *Repo) newReader() (*reader, error) {
	cmd := exec.Command(r.git.path, "cat-file", "--batch-command")
	cmd.Env = r.env()
	cmd.Dir = "/"
	setReaderGroup(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("git: read objects: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("git: read objects: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("git: read objects: %w", err)
	}
	if err := bound(cmd); err != nil {
		return nil, fmt.Errorf("git: read objects: %w", err)
	}
	return &reader{repo: r, cmd: cmd, in: in, out: bufio.NewReaderSize(out, 64<<10)}, nil
}

// close ends the child. Its last words do not matter: it only read.
func (b *reader) close() {
	_ = b.in.Close()
	_ = killGroup(b.cmd.Process)
	_ = b.cmd.Wait()
}

// withReader lends a reader to f. f must read every answer to its end; when it fails, or the
// context ends, the reader is thrown away.
func (r *Repo) withReader(ctx context.Context, f func(b *reader) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("git: read objects: %w", err)
	}
	b := r.git.readers.take(r)
	if b == nil {
		var err error
		if b, err = r.newReader(); err != nil {
			return err
		}
	}
	bounded, cancel := context.WithTimeout(ctx, readWall)
	defer cancel()
	stop := context.AfterFunc(bounded, func() { _ = killGroup(b.cmd.Process) })
	err := f(b)
	if !stop() || err != nil && !answered(err) {
		b.close()
	} else {
		r.git.readers.put(b)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("git: read objects: %w", ctx.Err())
	case err != nil && bounded.Err() != nil:
		return fault.Newf(fault.Unavailable, "git.read", "reading an object took longer than %s", readWall)
	}
	return err
}

// answered reports whether err is a complete answer (missing, too large), after which the
// reader is still in step.
func answered(err error) bool {
	var f *fault.Error
	return errors.As(err, &f)
}

// info asks for type and size.
func (b *reader) info(oid OID) (kind string, size int64, err error) {
	if _, err := fmt.Fprintf(b.in, "info %s\n", oid); err != nil {
		return "", 0, fmt.Errorf("git: read %s: %w", oid, err)
	}
	return b.header(oid)
}

// named asks for the object that a ref holds. The name must be one that git cannot take for
// more than a ref.
func (b *reader) named(ref string) (OID, error) {
	if _, err := fmt.Fprintf(b.in, "info %s\n", ref); err != nil {
		return "", fmt.Errorf("git: read %s: %w", ref, err)
	}
	line, err := b.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("git: read %s: %w", ref, err)
	}
	fields := strings.Fields(line)
	if len(fields) == 3 && isHex(fields[0], oidLen) {
		return OID(fields[0]), nil
	}
	return "", fault.Newf(fault.NotFound, "git.read", "there is no ref %s", quoteName(ref))
}

// header reads "OID TYPE SIZE" or "OID missing".
func (b *reader) header(oid OID) (kind string, size int64, err error) {
	line, err := b.out.ReadString('\n')
	if err != nil {
		return "", 0, fmt.Errorf("git: read %s: %w", oid, err)
	}
	fields := strings.Fields(line)
	if len(fields) == 2 && fields[1] == "missing" {
		return "", 0, fault.Newf(fault.NotFound, "git.read", "there is no object %s", oid.Short())
	}
	if len(fields) != 3 || fields[0] != string(oid) {
		return "", 0, fmt.Errorf("git: read %s: unreadable answer %q", oid, clip(line))
	}
	size, err = strconv.ParseInt(fields[2], 10, 64)
	if err != nil || size < 0 {
		return "", 0, fmt.Errorf("git: read %s: unreadable answer %q", oid, clip(line))
	}
	return fields[1], size, nil
}

// contents copies the object's bytes, at most max of them, to w.
func (b *reader) contents(oid OID, max int64, w io.Writer) (kind string, err error) {
	kind, size, err := b.info(oid)
	if err != nil {
		return "", err
	}
	if size > max {
		return kind, fault.Newf(fault.TooLarge, "git.read", "object %s has %d bytes; the limit is %d", oid.Short(), size, max)
	}
	if _, err := fmt.Fprintf(b.in, "contents %s\n", oid); err != nil {
		return "", fmt.Errorf("git: read %s: %w", oid, err)
	}
	again, sizeAgain, err := b.header(oid)
	if err != nil || again != kind || sizeAgain != size {
		return "", fmt.Errorf("git: read %s: the object changed: %w", oid, errors.Join(err, io.ErrUnexpectedEOF))
	}
	if _, err := io.CopyN(w, b.out, size); err != nil {
		return "", fmt.Errorf("git: read %s: %w", oid, err)
	}
	if end, err := b.out.ReadByte(); err != nil || end != '\n' {
		return "", fmt.Errorf("git: read %s: answer not ended: %w", oid, errors.Join(err, io.ErrUnexpectedEOF))
	}
	return kind, nil
}
