package gatekeeper

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
	"time"

	"gatehouse/gatekeeper/blob"
	"gatehouse/gitserver/account"
)

// When a log was written stands beside it, in a blob of its own: the log stays byte for byte
// what the stage wrote. The blob begins with the milliseconds since 1970 as eight bytes, the
// most significant first; each write to the log adds two numbers, as in encoding/binary's
// AppendUvarint: how many bytes it wrote, and how many milliseconds after the write before.

// maxLogTimes bounds the times of one log, some three bytes for each write: later ones are not
// kept.
const maxLogTimes = 8 << 20

// timesKey names the times of the log of a stage run.
func timesKey(logKey string) string { return logKey + "-times" }

// stamper writes a log and when.
type stamper struct {
	log, times io.Writer
	now        func() time.Time
	last       int64 // milliseconds; 0 before the first write
	size       int
	err        error // of the times: the log goes on without them
}

func (s *stamper) Write(p []byte) (int, error) {
	n, err := s.log.Write(p)
	if n > 0 && s.err == nil && s.size < maxLogTimes {
		s.stamp(n)
	}
	return n, err
}

func (s *stamper) stamp(n int) {
	var record []byte
	at := s.now().UnixMilli()
	if s.last == 0 {
		record, s.last = binary.BigEndian.AppendUint64(nil, uint64(at)), at //nolint:gosec // after 1970
	}
	at = max(at, s.last) // a clock that was set back
	record = binary.AppendUvarint(record, uint64(n))
	record = binary.AppendUvarint(record, uint64(at-s.last)) //nolint:gosec // not before
	s.last = at
	s.size += len(record)
	_, s.err = s.times.Write(record)
}

// LogTimes says when the bytes of a log were written. The zero value knows nothing.
type LogTimes struct {
	Start time.Time // of the first write
	ends  []int64   // where each write ended
	at    []int64   // milliseconds after Start
}

// At is when the byte at an offset was written; ok is false when nobody knows.
func (t LogTimes) At(offset int64) (at time.Time, ok bool) {
	i := sort.Search(len(t.ends), func(i int) bool { return t.ends[i] > offset })
	if i == len(t.ends) {
		return time.Time{}, false
	}
	return t.Start.Add(time.Duration(t.at[i]) * time.Millisecond), true
}

// ReadLogTimes reads what stands beside a log. What a kill of the server cut off is left out.
func ReadLogTimes(text []byte) LogTimes {
	var t LogTimes
	const head = 8
	if len(text) < head {
		return t
	}
	t.Start = time.UnixMilli(int64(binary.BigEndian.Uint64(text))).UTC() //nolint:gosec // as written
	var end, at uint64
	for text = text[head:]; ; {
		bytes, n := binary.Uvarint(text)
		if n <= 0 {
			return t
		}
		wait, m := binary.Uvarint(text[n:])
		if m <= 0 {
			return t
		}
		text = text[n+m:]
		end, at = end+bytes, at+wait
		t.ends, t.at = append(t.ends, int64(end)), append(t.at, int64(at)) //nolint:gosec // of a file
	}
}

// StageTimes reads when the log of a stage run was written; nothing of logs older than such times.
func (c *Controller) StageTimes(ctx context.Context, actor account.Actor, id int64) (LogTimes, error) {
	s, err := c.Stage(ctx, actor, id)
	if err != nil {
		return LogTimes{}, err
	}
	f, err := c.Blobs.Open(timesKey(s.logKey), 0)
	if blob.Missing(err) {
		return LogTimes{}, nil
	}
	if err != nil {
		return LogTimes{}, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxLogTimes+1<<10))
	if err = errors.Join(err, f.Close()); err != nil {
		return LogTimes{}, fmt.Errorf("gatekeeper: times of stage run %d: %w", id, err)
	}
	return ReadLogTimes(text), nil
}
