package assembly

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
)

const (
	// defaultWithin is how long an assembly may take to answer when its plan does not say.
	defaultWithin = time.Minute
	// tryTimeout bounds one try, however slowly somebody answers: as long as people wait.
	tryTimeout = 5 * time.Second
	// tryPause is the wait between two tries. Most services start within a second.
	tryPause = 100 * time.Millisecond
	// maxHeader bounds the header of an answer; Go's own servers take a megabyte, none needs it.
	maxHeader = 64 << 10
)

// Probe asks the assembly at address until it answers as p says, and no longer than p.Within.
// When it never does, the error is of the kind Refused and tells what the last try found; when ctx
// ends before, it is of the kind Unavailable, with the cause of that.
func Probe(ctx context.Context, address string, p plan.Probe, clock Clock) error {
	const op = "assembly.Probe"
	within := p.Within
	if within <= 0 {
		within = defaultWithin
	}
	over := clock.After(within)
	for {
		last := tryOnce(ctx, address, p)
		if last == nil {
			return nil
		}
		if ctx.Err() != nil {
			return &fault.Error{Kind: fault.Unavailable, Op: op, Public: "the wait for its answer was called off", Err: context.Cause(ctx)}
		}
		select {
		case <-over:
			return fault.Newf(fault.Refused, op, "it was not ready within %s: %s", within, last)
		case <-ctx.Done():
		case <-clock.After(tryPause):
		}
	}
}

// Ask is one try: nil when the assembly at address answers as p says, else an error of the kind
// Refused that tells everybody what it did instead. A redirect is an answer and is not followed, and
// the body of an answer is not read: an assembly leads nobody astray, and cannot fill our memory.
func Ask(ctx context.Context, address string, p plan.Probe) error {
	if err := tryOnce(ctx, address, p); err != nil {
		return &fault.Error{Kind: fault.Refused, Op: "assembly.Ask", Public: err.Error(), Err: context.Cause(ctx)}
	}
	return nil
}

// tryOnce is [Ask] with bare words.
func tryOnce(ctx context.Context, address string, p plan.Probe) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%q is no address", address)
	}
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	var dialer net.Dialer
	if p.HTTP == "" {
		conn, err := dialer.DialContext(ctx, "tcp", u.Host)
		if err != nil {
			return plainly(err)
		}
		return conn.Close()
	}
	target := strings.TrimSuffix(address, "/") + "/" + strings.TrimPrefix(p.HTTP, "/")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return fmt.Errorf("%q is no path", p.HTTP)
	}
	req.Header.Set("User-Agent", "gatehouse-probe")
	transport := &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHeader}
	answer, err := transport.RoundTrip(req)
	if err != nil {
		return plainly(err)
	}
	_ = answer.Body.Close() // what it says beyond its status is of no interest
	switch {
	case p.Status == 0 && (answer.StatusCode < 200 || answer.StatusCode > 399):
		return fmt.Errorf("%s answers %d", p.HTTP, answer.StatusCode)
	case p.Status != 0 && answer.StatusCode != p.Status:
		return fmt.Errorf("%s answers %d, not %d", p.HTTP, answer.StatusCode, p.Status)
	}
	return nil
}

// plainly says why a try failed, without addresses and layers.
func plainly(err error) error {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("nothing listens on its port")
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("no answer within %s", tryTimeout)
	case strings.Contains(err.Error(), "server response headers exceeded"): // net/http has no error value for it
		return fmt.Errorf("the header of its answer is longer than %d bytes", maxHeader)
	case errors.Is(err, syscall.ECONNRESET) || strings.HasSuffix(err.Error(), "EOF"):
		return errors.New("it closed the connection without an answer")
	case strings.Contains(err.Error(), "malformed HTTP"):
		return errors.New("what it answers is not HTTP")
	default:
		return err
	}
}
