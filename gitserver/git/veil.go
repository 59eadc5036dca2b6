package git

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Veil is what of a repository somebody may not have, though they may read the rest.
type Veil struct {
	Refs    []string     // full names or prefixes, each ending where a name's part does
	Objects map[OID]bool // that no other ref reaches
}

// Under is the repository as somebody sees it who fetches under the veil.
func (r *Repo) Under(v Veil) *Repo { return &Repo{git: r.git, dir: r.dir, q: r.q, veil: v} }

// OnlyOf lists the objects that the tips reach and no ref does, the given prefixes of refs left
// out.
func (r *Repo) OnlyOf(ctx context.Context, tips []OID, without []string) (map[OID]bool, error) {
	if err := valid("git.OnlyOf", tips...); err != nil {
		return nil, err
	}
	only := map[OID]bool{}
	if len(tips) == 0 {
		return only, nil
	}
	var in strings.Builder
	for _, tip := range tips {
		in.WriteString(string(tip) + "\n")
	}
	args := []string{"rev-list", "--objects", "--no-object-names", "--stdin", "--not"}
	for _, prefix := range without {
		name := strings.TrimSuffix(prefix, "/")
		args = append(args, "--exclude="+name, "--exclude="+name+"/*")
	}
	out, err := r.runIn(ctx, in.String(), append(args, "--all")...)
	if err != nil {
		return nil, fmt.Errorf("git: objects of their own: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		only[OID(strings.TrimSpace(line))] = true
	}
	return only, nil
}

// wants reads what a client asks for, pkt-line by pkt-line (gitprotocol-common), and replaces
// the name of every object that is under the veil by one that does not exist: git's
// upload-pack checks under protocol version 2 no more than that an object is there.
type wants struct {
	in   *bufio.Reader
	veil map[OID]bool
	rest []byte
	raw  bool // what came is no pkt-line: git is to say so
}

func (w *wants) Read(p []byte) (int, error) {
	if len(w.rest) == 0 {
		if w.raw {
			return w.in.Read(p)
		}
		if err := w.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

// pktHeader is the length of a pkt-line's length.
const pktHeader = 4

// next takes one pkt-line.
func (w *wants) next() error {
	head := make([]byte, pktHeader)
	if n, err := io.ReadFull(w.in, head); err != nil {
		if w.rest = head[:n]; n > 0 {
			w.raw = true
			return nil
		}
		return err
	}
	size, err := strconv.ParseUint(string(head), 16, 16)
	if err != nil {
		w.rest, w.raw = head, true
		return nil
	}
	line := head
	if size > pktHeader {
		line = append(line, make([]byte, size-pktHeader)...)
		n, err := io.ReadFull(w.in, line[pktHeader:])
		if err != nil {
			w.rest, w.raw = line[:pktHeader+n], true
			return nil
		}
	}
	if oid, asks := wanted(line); asks && w.veil[oid] {
		copy(line[bytes.IndexByte(line, ' ')+1:], bytes.Repeat([]byte{'f'}, oidLen))
	}
	w.rest = line
	return nil
}

// wanted is the object that a pkt-line asks for: "want OID …".
func wanted(line []byte) (OID, bool) {
	rest, asks := bytes.CutPrefix(line[pktHeader:], []byte("want "))
	if !asks || len(rest) < oidLen {
		return "", false
	}
	return OID(strings.ToLower(string(rest[:oidLen]))), true
}
