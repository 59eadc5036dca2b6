package gitserver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// The sizes of git's pkt-line format (Documentation/gitprotocol-common.txt): four hex digits
// of length, which count themselves, then the payload.
const (
	pktHeader = 4
	// maxPkt is the longest pkt-line that git allows, header and all.
	maxPkt = 65520
	// maxPayload is what fits into one.
	maxPayload = maxPkt - pktHeader
)

// pktKind tells the three kinds of line that a push may contain.
type pktKind int

const (
	pktData  pktKind = iota // a payload
	pktFlush                // "0000"
	pktEnd                  // the other side closed in front of a line
)

// protocolError is a client that does not speak the protocol. Its text is for the client.
type protocolError struct{ text string }

func (e *protocolError) Error() string { return "protocol error: " + e.text }

func malformed(format string, args ...any) error {
	return &protocolError{text: fmt.Sprintf(format, args...)}
}

// pktReader reads pkt-lines. It never reads past the end of a line, so what follows a flush
// (the pack) is still in the reader that it was given.
type pktReader struct {
	in  *bufio.Reader
	buf []byte
}

func newPktReader(in *bufio.Reader) *pktReader { return &pktReader{in: in} }

// next reads one line of at most limit payload bytes. The payload is valid until the next
// call. A line that is cut off, has a bad length or is longer than limit is a protocolError.
func (p *pktReader) next(limit int) (pktKind, []byte, error) {
	var head [pktHeader]byte
	if _, err := io.ReadFull(p.in, head[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return pktEnd, nil, nil
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, nil, malformed("the connection ended inside a pkt-line length")
		}
		return 0, nil, fmt.Errorf("gitserver: read pkt-line: %w", err)
	}
	size, ok := hexLength(head)
	switch {
	case !ok:
		return 0, nil, malformed("bad pkt-line length %q", cleanLine(string(head[:])))
	case size == 0:
		return pktFlush, nil, nil
	case size < pktHeader: // 0001 and 0002 belong to protocol v2, which has no push; 0003 to nothing
		return 0, nil, malformed("pkt-line length %04x has no meaning here", size)
	case size > maxPkt:
		return 0, nil, malformed("pkt-line length %04x is over git's maximum", size)
	case size-pktHeader > limit:
		return 0, nil, malformed("a line of %d bytes is longer than the %d bytes that are allowed here", size-pktHeader, limit)
	}
	n := size - pktHeader
	if cap(p.buf) < n {
		p.buf = make([]byte, n)
	}
	p.buf = p.buf[:n]
	if _, err := io.ReadFull(p.in, p.buf); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, nil, malformed("the connection ended inside a pkt-line")
		}
		return 0, nil, fmt.Errorf("gitserver: read pkt-line: %w", err)
	}
	return pktData, p.buf, nil
}

// hexLength reads the four digits as git does: either case, nothing else.
func hexLength(head [pktHeader]byte) (int, bool) {
	n := 0
	for _, c := range head {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | int(c-'0')
		case c >= 'a' && c <= 'f':
			n = n<<4 | int(c-'a'+10)
		case c >= 'A' && c <= 'F':
			n = n<<4 | int(c-'A'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

// appendPkt appends line as one pkt-line. A line that does not fit is cut: what we write
// ourselves is bounded, and a cut sentence is better than a broken stream.
func appendPkt(to []byte, line string) []byte {
	if len(line) > maxPayload {
		line = line[:maxPayload]
	}
	return append(fmt.Appendf(to, "%04x", len(line)+pktHeader), line...)
}

// appendFlush appends the flush-pkt.
func appendFlush(to []byte) []byte { return append(to, "0000"...) }
