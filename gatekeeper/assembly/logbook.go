package assembly

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unicode"
)

const (
	// maxLog is the size at which a log is put aside, and the one before it dropped: what an
	// assembly said lately is kept, however long it runs.
	maxLog = 8 << 20
	// maxTail and tailLines bound what of a log comes into words: a screen.
	maxTail   = 4 << 10
	tailLines = 12
)

// logbook is the log of an assembly: a file and the one before it in its folder, its last words in
// memory, and, while it is being deployed, the caller's log. Writing never fails: an assembly does
// not end because a disk is full.
type logbook struct {
	mu   sync.Mutex
	dir  string // "" keeps no files
	file *os.File
	size int64
	also io.Writer
	tail []byte
}

// Write takes all of p.
func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.also != nil {
		if _, err := l.also.Write(p); err != nil {
			l.also = nil // whoever reads it has its own way to notice
		}
	}
	l.tail = append(l.tail, p...)
	if extra := len(l.tail) - maxTail; extra > 0 {
		l.tail = append(l.tail[:0], l.tail[extra:]...)
	}
	l.keep(p)
	return len(p), nil
}

func (l *logbook) keep(p []byte) {
	if l.dir == "" {
		return
	}
	if l.file != nil && l.size+int64(len(p)) > maxLog {
		_ = l.file.Close() // a log is no promise
		l.file, l.size = nil, 0
		_ = os.Rename(filepath.Join(l.dir, "log"), filepath.Join(l.dir, "log.1"))
	}
	if l.file == nil {
		f, err := os.OpenFile(filepath.Join(l.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return // the next write tries again
		}
		l.file = f
		if info, err := f.Stat(); err == nil {
			l.size = info.Size()
		}
	}
	n, _ := l.file.Write(p)
	l.size += int64(n)
}

// detach lets go of the caller's log.
func (l *logbook) detach() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.also = nil
}

func (l *logbook) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_ = l.file.Close() // see keep
		l.file = nil
	}
	l.dir, l.also = "", nil
}

// last are its last lines, fit for a sentence: no control characters, no ends of lines.
func (l *logbook) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return lastLines(l.tail)
}

func lastLines(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(bytes.ToValidUTF8(text, []byte("?")))), "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	clean := strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return ' '
	}, strings.Join(lines, " / "))
	return strings.TrimSpace(clean)
}

// afterWords joins what happened with what it said last.
func afterWords(what, last string) string {
	if last == "" {
		return what + "; it said nothing"
	}
	return what + "; its last words: " + last
}
