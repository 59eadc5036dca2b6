package forge_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"gatehouse/gatekeeper/entrance"
	"gatehouse/web/forge/forgetest"
)

// streamer is Gerrit's SSH side, as far as the event stream goes: it lets one key in and tells
// what it is given.
func streamer(t *testing.T, allowed string, events <-chan string) (address string, host ssh.PublicKey) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	signer, err := ssh.NewSignerFromKey(private)
	must(t, err)
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(allowed))
	must(t, err)
	config := &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		if c.User() != "gate" || string(k.Marshal()) != string(key.Marshal()) {
			return nil, fmt.Errorf("%s may not come in", c.User())
		}
		return nil, nil
	}}
	config.AddHostKey(signer)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			go serveStream(raw, config, events)
		}
	}()
	return l.Addr().String(), signer.PublicKey()
}

func serveStream(raw net.Conn, config *ssh.ServerConfig, events <-chan string) {
	defer func() { _ = raw.Close() }()
	_, channels, requests, err := ssh.NewServerConn(raw, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for channel := range channels {
		c, asked, err := channel.Accept()
		if err != nil {
			return
		}
		for r := range asked {
			stream := r.Type == "exec" && strings.HasSuffix(string(r.Payload), "gerrit stream-events")
			_ = r.Reply(stream, nil)
			if !stream {
				continue
			}
			for e := range events {
				if e == "" {
					return // the server goes away
				}
				_, _ = fmt.Fprintln(c, e)
			}
		}
	}
}

// Events of a stream are taken as deliveries are, also after the connection broke; the host is
// the one whose key git saw.
func TestGerritsStream(t *testing.T) {
	w := newWorld(t, forgetest.Gerrit, nil)
	w.commit(1, "a.txt", "a\n")
	_, body := w.vendor.Opened(w.proposes(7))
	must(t, w.Remove(w.ctx, w.e))
	events := make(chan string)
	// The address is known once the key is, so it is made before and named in the row after.
	e, _, err := w.Add(w.ctx, w.repo, w.people["carol"], entrance.NewEntrance{Forge: entrance.Gerrit, Address: "ssh://gate@127.0.0.1:1/acme/hello", Lands: entrance.LandsNone})
	must(t, err)
	address, host := streamer(t, e.PublicKey, events)
	e.Address = "ssh://gate@" + address + "/acme/hello"
	_, err = w.DB.SQL().ExecContext(w.ctx, `UPDATE entrances SET address = $1 WHERE id = $2`, e.Address, e.ID)
	must(t, err)
	w.e = e
	_, hosts := w.KeyFiles(e)
	must(t, os.WriteFile(hosts, []byte(knownhosts.Line([]string{knownhosts.Normalize(address)}, host)+"\n"), 0o600))
	ctx, stop := context.WithCancel(w.ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.hooks.Stream(ctx, e)
	}()
	events <- string(body)
	events <- `{"type":"ref-replicated"}`
	events <- ""
	events <- `{"type":"ref-updated","refUpdate":{"refName":"main","newRev":"` + strings.Repeat("1", 40) + `","project":"acme/hello"}}`
	w.until("both are taken", func() bool { return len(w.deliveries()) == 2 })
	all := w.deliveries()
	if all[1].Notice.Number != 7 || all[1].Notice.Kind != entrance.Proposed || all[0].Notice.Kind != entrance.Pushed {
		t.Errorf("%+v", all)
	}
	stop()
	<-ended
}
