package gitserver

import (
	"context"
	"crypto/rsa"
	"net"
	"sync"
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
)

const (
	// maxAuthTries is how many keys a client may offer, as in OpenSSH: an agent holds several.
	maxAuthTries = 6
	// minRSA is the shortest RSA key, in bits, that signs anybody in.
	minRSA = 3072
	// shutdownGrace is how long handlers that were cut off get to clean up.
	shutdownGrace = 5 * time.Second
)

// The algorithms that are offered. The library's own defaults still hold SHA-1 and DSA.
// ChaCha20-Poly1305 is left out: with a client that lacks strict key exchange it is open to
// prefix truncation (CVE-2023-48795), and whoever has it has one of these too.
var (
	keyExchanges = []string{gossh.KeyExchangeMLKEM768X25519, gossh.KeyExchangeCurve25519, gossh.KeyExchangeECDHP256}
	ciphers      = []string{gossh.CipherAES256GCM, gossh.CipherAES128GCM, gossh.CipherAES256CTR, gossh.CipherAES128CTR}
	macs         = []string{gossh.HMACSHA256ETM, gossh.HMACSHA512ETM}
	keyAuths     = []string{
		gossh.KeyAlgoED25519, gossh.KeyAlgoSKED25519, gossh.KeyAlgoSKECDSA256,
		gossh.KeyAlgoECDSA256, gossh.KeyAlgoECDSA384, gossh.KeyAlgoECDSA521,
		gossh.KeyAlgoRSASHA256, gossh.KeyAlgoRSASHA512,
	}
)

// identityKey is where a connection's permissions keep who proved to be there.
type identityKey struct{}

// identity is the account of the key that the client proved to hold. The key is kept, so
// that each command looks again: an account may be disabled while its connection lives.
type identity struct {
	actor account.Actor
	wire  []byte
}

// SSH is the server's SSH side.
type SSH struct {
	server *Server
	limits Limits
	inner  *ssh.Server
	door   *doorman
	base   context.Context // ends when handlers must
	cut    context.CancelFunc

	mu        sync.Mutex
	closing   bool
	listeners []net.Listener
	conns     map[*sshConn]struct{}
	active    sync.WaitGroup // sessions; added to only while not closing
}

// SSH makes the SSH side, with the host key in hostKeyFile, which is created (ed25519, 0600)
// when it is missing.
func (s *Server) SSH(hostKeyFile string) (*SSH, error) {
	signer, err := hostKey(hostKeyFile)
	if err != nil {
		return nil, err
	}
	limits := s.Limits.complete()
	h := &SSH{server: s, limits: limits, door: newDoorman(limits, s.Now), conns: map[*sshConn]struct{}{}}
	h.base, h.cut = context.WithCancel(context.Background())
	h.inner = &ssh.Server{
		Version:              "Gatehouse",
		HostSigners:          []ssh.Signer{signer},
		ConnCallback:         h.admit,
		ServerConfigCallback: h.config,
		// Without a handler of its own the library lets everybody in unauthenticated.
		PublicKeyHandler: func(ctx ssh.Context, key ssh.PublicKey) bool {
			_, err := h.known(ctx, key)
			if err != nil {
				h.logSignIn(ctx, key, "", err)
			}
			return err == nil
		},
		// Sessions are handled here, not by the library: that accepts any environment, ptys
		// and agents. Everything else is refused, and counted.
		ChannelHandlers: map[string]ssh.ChannelHandler{"session": h.session, "default": h.refuseChannel},
		RequestHandlers: map[string]ssh.RequestHandler{"default": h.refuseRequest},
		ConnectionFailedCallback: func(conn net.Conn, err error) {
			s.log().Debug("ssh connection failed", "remote", conn.RemoteAddr().String(), "err", err)
		},
	}
	return h, nil
}

// Serve takes connections from l until [SSH.Shutdown], and then returns nil.
func (h *SSH) Serve(l net.Listener) error {
	h.mu.Lock()
	if h.closing {
		h.mu.Unlock()
		return l.Close()
	}
	h.listeners = append(h.listeners, l)
	h.mu.Unlock()
	err := h.inner.Serve(l)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closing {
		return nil
	}
	return fault.Wrap(err, fault.Internal, "gitserver.Serve", "ssh stopped")
}

// Shutdown takes no more connections, and waits for running commands until ctx ends; then
// it cuts them off. The library's own does not wait for handlers, and waits for idle clients.
func (h *SSH) Shutdown(ctx context.Context) error {
	h.mu.Lock()
	h.closing = true
	for _, l := range h.listeners {
		_ = l.Close()
	}
	h.mu.Unlock()
	h.closeConns(func(c *sshConn) bool { return c.idle() })
	done := make(chan struct{})
	go func() {
		h.active.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	h.cut()
	h.closeConns(func(*sshConn) bool { return true })
	if err == nil {
		return nil
	}
	grace := time.NewTimer(shutdownGrace)
	defer grace.Stop()
	select {
	case <-done:
	case <-grace.C:
	}
	return err
}

func (h *SSH) closeConns(which func(*sshConn) bool) {
	h.mu.Lock()
	var all []*sshConn
	for c := range h.conns {
		all = append(all, c)
	}
	h.mu.Unlock()
	for _, c := range all {
		if which(c) {
			_ = c.Close()
		}
	}
}

// begin enters a session into the books of Shutdown; false when it is too late.
func (h *SSH) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closing {
		return false
	}
	h.active.Add(1)
	return true
}

// config is the handshake's configuration of one connection.
func (h *SSH) config(ctx ssh.Context) *gossh.ServerConfig {
	c := &gossh.ServerConfig{
		MaxAuthTries:            maxAuthTries,
		PublicKeyAuthAlgorithms: keyAuths,
		// Only here is the key proven; what was asked about other keys leaves no trace.
		VerifiedPublicKeyCallback: func(_ gossh.ConnMetadata, key gossh.PublicKey, _ *gossh.Permissions, _ string) (*gossh.Permissions, error) {
			return h.verified(ctx, key)
		},
	}
	c.KeyExchanges, c.Ciphers, c.MACs = keyExchanges, ciphers, macs
	return c
}

// known finds the account of a key, whoever holds it.
func (h *SSH) known(ctx context.Context, key gossh.PublicKey) (account.Actor, error) {
	const op = "gitserver.known"
	switch k := key.(type) {
	case *gossh.Certificate:
		return account.Actor{}, fault.New(fault.Unauthenticated, op, "certificates are not taken", "use a plain key")
	case gossh.CryptoPublicKey:
		if r, ok := k.CryptoPublicKey().(*rsa.PublicKey); ok && r.N.BitLen() < minRSA {
			return account.Actor{}, fault.New(fault.Unauthenticated, op, "this RSA key is too short", "use an ed25519 key")
		}
	}
	return h.server.Accounts.ActorByKey(ctx, h.server.Accounts.DB.Read(), key.Marshal())
}

func (h *SSH) verified(ctx ssh.Context, key gossh.PublicKey) (*gossh.Permissions, error) {
	actor, err := h.known(ctx, key)
	if err == nil && !connOf(ctx).claim(actor.ID) {
		err = fault.New(fault.Unavailable, "gitserver.verified", "this account has too many connections", "close some")
	}
	h.logSignIn(ctx, key, actor.Name, err)
	if err != nil {
		return nil, err
	}
	return &gossh.Permissions{ExtraData: map[any]any{identityKey{}: identity{actor: actor, wire: key.Marshal()}}}, nil
}

func (h *SSH) logSignIn(ctx ssh.Context, key gossh.PublicKey, name string, err error) {
	log := h.server.log().With("remote", ctx.RemoteAddr().String(), "key", gossh.FingerprintSHA256(key))
	switch {
	case err == nil:
		log.Info("ssh sign-in", "actor", name, "result", "ok")
	case fault.Is(err, fault.Internal):
		log.Error("ssh sign-in", "actor", name, "result", "failed", "err", err)
	default:
		log.Info("ssh sign-in", "actor", name, "result", "refused", "err", err)
	}
}

// current asks who id is now.
func (h *SSH) current(ctx context.Context, id identity) (account.Actor, error) {
	return h.server.Accounts.ActorByKey(ctx, h.server.Accounts.DB.Read(), id.wire)
}

func (h *SSH) refuseChannel(_ *ssh.Server, _ *gossh.ServerConn, n gossh.NewChannel, ctx ssh.Context) {
	_ = n.Reject(gossh.Prohibited, "only sessions are served here")
	connOf(ctx).offend()
}

func (h *SSH) refuseRequest(ctx ssh.Context, _ *ssh.Server, r *gossh.Request) (bool, []byte) {
	connOf(ctx).request()
	return false, nil // which is also the answer that a keep-alive expects
}
