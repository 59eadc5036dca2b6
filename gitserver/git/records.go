package git

import (
	"bytes"
	"fmt"
	"strings"

	"gatehouse/gitserver/fault"
)

// maxRecord bounds one record of a child's output: a path of the longest kind that git stores,
// many times over.
const maxRecord = 4 << 20

// recordWriter cuts a child's output into records and stops the child at the first error.
type recordWriter struct {
	end  byte
	take func(record []byte) error
	part []byte
}

// Write takes more output.
func (w *recordWriter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		record, rest, ended := bytes.Cut(p, []byte{w.end})
		if !ended {
			if len(w.part)+len(record) > maxRecord {
				return 0, fault.New(fault.TooLarge, "git.records", "a path is longer than git can use", "")
			}
			w.part = append(w.part, record...)
			return n, nil
		}
		if len(w.part) > 0 {
			record = append(w.part, record...)
			w.part = w.part[:0]
		}
		if err := w.take(record); err != nil {
			return 0, err
		}
		p = rest
	}
}

// pathChange is one path in the raw diff of a commit against its parents.
type pathChange struct {
	oldModes []string // one for each parent
	oldOIDs  []OID
	mode     string // "000000": deleted
	oid      OID
	path     string
}

// changeReader reads what diff-tree --stdin -c --raw -z prints: the commit's name, then for
// each path a record with as many colons as there are parents, and the path.
type changeReader struct {
	commit   func(OID)
	change   func(pathChange) error
	next     pathChange
	inRecord bool
}

// take takes one NUL-terminated field.
func (r *changeReader) take(field []byte) error {
	if r.inRecord {
		r.inRecord = false
		r.next.path = string(field)
		return r.change(r.next)
	}
	text := string(field)
	if isHex(text, oidLen) {
		r.commit(OID(text))
		return nil
	}
	parents := len(text) - len(strings.TrimLeft(text, ":"))
	f := strings.Fields(text[parents:])
	if parents == 0 || len(f) != 2*(parents+1)+1 {
		return fmt.Errorf("git: check: unreadable change %q", clip(text))
	}
	c := pathChange{oldModes: f[:parents], mode: f[parents]}
	for _, oid := range f[parents+1 : 2*parents+2] {
		if !isHex(oid, oidLen) {
			return fmt.Errorf("git: check: unreadable change %q", clip(text))
		}
		c.oldOIDs = append(c.oldOIDs, OID(oid))
	}
	c.oid, c.oldOIDs = c.oldOIDs[parents], c.oldOIDs[:parents]
	r.next, r.inRecord = c, true
	return nil
}
