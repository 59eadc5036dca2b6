package git

import (
	"bytes"

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
