package forge

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"gatehouse/gatekeeper/entrance"
	"gatehouse/gitserver/fault"
)

const (
	// gerritPort is where Gerrit listens for SSH.
	gerritPort = "29418"
	// streamDial bounds the connection to a stream, streamKeepAlive how long its peer may be silent
	// before it is asked whether it is still there.
	streamDial      = 20 * time.Second
	streamKeepAlive = 60 * time.Second
	// maxEventLine bounds one event: a change of ten thousand files has a megabyte.
	maxEventLine = 4 << 20
	// streamPause is how long is waited before a stream that ended is begun again.
	streamPause = 5 * time.Second
)

// Stream listens to the event stream of a Gerrit entrance, over the SSH address that its
// commits are fetched from and with the same key, until ctx ends. While nobody listened
// nothing is kept for us there, so each time it begins the entrance is looked at.
func (s *Service) Stream(ctx context.Context, e entrance.Entrance) {
	for ctx.Err() == nil {
		err := s.listen(ctx, e)
		if ctx.Err() != nil {
			return
		}
		s.Log.Warn("forge: an event stream ended; it begins again", "entrance", e.ID, "err", err)
		if !rest(ctx, streamPause) {
			return
		}
		now, err := s.Entrances.ByID(ctx, s.Entrances.DB.Read(), e.ID)
		if fault.Is(err, fault.NotFound) {
			return
		}
		if err == nil {
			e = now
		}
	}
}

// keepStreams listens to every entrance that has a stream and is not listened to.
func (s *Service) keepStreams(ctx context.Context, running *sync.WaitGroup) {
	all, err := s.Entrances.Speaking(ctx, entrance.Gerrit)
	if err != nil {
		if ctx.Err() == nil {
			s.Log.Error("forge: the entrances could not be read", "err", err)
		}
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live == nil {
		s.live = map[int64]bool{}
	}
	for _, e := range all {
		if !streams(e) || s.live[e.ID] {
			continue
		}
		s.live[e.ID] = true
		running.Go(func() {
			s.Stream(ctx, e)
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.live, e.ID)
		})
	}
}

// listen is one connection.
func (s *Service) listen(ctx context.Context, e entrance.Entrance) error {
	user, address, err := sshPlace(e.Address)
	if err != nil {
		return err
	}
	config, err := s.sshConfig(e, user)
	if err != nil {
		return err
	}
	dialer := net.Dialer{Timeout: streamDial, KeepAlive: streamKeepAlive}
	raw, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("forge: stream: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	conn, channels, requests, err := ssh.NewClientConn(raw, address, config)
	if err != nil {
		return errors.Join(fmt.Errorf("forge: stream: %w", err), raw.Close())
	}
	client := ssh.NewClient(conn, channels, requests)
	defer func() { _ = client.Close() }()
	session, err := client.NewSession()
	if err != nil {
		return fmt.Errorf("forge: stream: %w", err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return fmt.Errorf("forge: stream: %w", err)
	}
	if err := session.Start("gerrit stream-events"); err != nil {
		return fmt.Errorf("forge: stream: %w", err)
	}
	if err := s.Entrances.Look(ctx, e); err != nil {
		s.Log.Warn("forge: what was missed could not be looked for", "entrance", e.ID, "err", err)
	}
	return s.hear(ctx, e, out)
}

// hear takes the events of a stream, one on a line.
func (s *Service) hear(ctx context.Context, e entrance.Entrance, out io.Reader) error {
	lines := bufio.NewScanner(out)
	lines.Buffer(make([]byte, 64<<10), maxEventLine)
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		if err := s.heard(ctx, e, line); err != nil {
			return err // what was not kept is found by the look when the stream begins again
		}
	}
	return errors.Join(lines.Err(), io.ErrUnexpectedEOF)
}

func (s *Service) heard(ctx context.Context, e entrance.Entrance, line []byte) error {
	n, why, err := readGerrit(e, line)
	if err == nil && n != nil {
		err = n.Check()
	}
	if err != nil {
		s.Entrances.Refuse(ctx, e, "", "stream", fault.Sentence(err))
		return nil
	}
	if n == nil && why != "" {
		return nil // a stream tells much that is nothing to us; only what we act upon is kept
	}
	_, err = s.Entrances.Take(ctx, e, entrance.Message{Event: "stream", Body: bytes.Clone(line), Notice: n})
	return err
}

// sshPlace reads user and address of an SSH address.
func sshPlace(address string) (user, host string, err error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "ssh" || u.Hostname() == "" || u.User.Username() == "" {
		return "", "", fault.New(fault.Invalid, "forge.stream", "an event stream needs an address over SSH", "use ssh://USER@HOST:29418/PROJECT")
	}
	port := u.Port()
	if port == "" {
		port = gerritPort
	}
	return u.User.Username(), net.JoinHostPort(u.Hostname(), port), nil
}

// sshConfig knows us by the entrance's key, and the host by the key that git saw first.
func (s *Service) sshConfig(e entrance.Entrance, user string) (*ssh.ClientConfig, error) {
	keyFile, hostsFile := s.Entrances.KeyFiles(e)
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("forge: stream: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("forge: stream: %w", err)
	}
	hosts, err := knownhosts.New(hostsFile)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "forge.stream", "the host's key is not known before git has been there once")
	}
	return &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: hosts, Timeout: streamDial}, nil
}

// streams reports whether an entrance is listened to.
func streams(e entrance.Entrance) bool {
	return e.Forge == entrance.Gerrit && strings.HasPrefix(e.Address, "ssh://")
}
