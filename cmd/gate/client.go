package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"gatehouse/gitserver/fault"
	"gatehouse/web/api"
)

const (
	// maxAnswer bounds what the client reads of an answer that it keeps in memory.
	maxAnswer = 64 << 20
	// maxSecret bounds a secret read from a file or stdin.
	maxSecret = 64 << 10
	// dialTimeout is how long a server may take to accept a connection.
	dialTimeout = 10 * time.Second
)

// target says which server a verb is for.
type target struct {
	URL       string `name:"url" group:"server" placeholder:"URL" help:"Ask this server ($GATE_URL)."`
	TokenFile string `name:"token-file" group:"server" placeholder:"FILE" type:"path" help:"File with the API token for it ($GATE_TOKEN_FILE; $GATE_TOKEN holds the token itself)."`
	Data      string `name:"data" group:"server" placeholder:"DIR" help:"Instead work on this server's folder, as its administrator, whether it runs or not ($GATE_DATA)."`
	Config    string `name:"config" group:"server" placeholder:"FILE" help:"With --data: the server's settings file, when it is not DIR/gate.yaml ($GATE_CONFIG)."`
	Database  string `name:"database" group:"server" placeholder:"DSN" help:"With --data: the server's database, when its settings file does not say ($GATE_DATABASE)."`
	As        string `name:"as" group:"server" placeholder:"NAME" help:"With --data: act as this account."`

	// begins says that the verb may be the first on a folder that does not exist yet.
	begins bool
}

// reading is a verb that answers, for people or for programs.
type reading struct {
	JSON bool `name:"json" help:"Answer in JSON."`
}

// client speaks to the API.
type client struct {
	ctx   context.Context
	http  *http.Client
	base  string
	token string
	close func() error
	// local is the app behind a client without a server, nil otherwise.
	local *app
}

// open finds the server that the flags and the environment name. A flag beats a variable, and
// of two variables the running server's does.
func (t target) open(p *process) (*client, error) {
	address, data := t.URL, t.Data
	if address != "" && data != "" {
		return nil, fault.New(fault.Invalid, "gate.target", "--url and --data name two servers", "give one of them")
	}
	if address == "" && data == "" {
		address, _ = p.env("GATE_URL")
	}
	if address == "" && data == "" {
		data, _ = p.env("GATE_DATA")
	}
	switch {
	case address != "":
		if t.As != "" {
			return nil, fault.New(fault.Invalid, "gate.target", "--as works only with --data", "use a token of that account")
		}
		return t.remote(p, address)
	case data != "":
		return t.onFolder(p, data)
	default:
		return nil, fault.New(fault.Invalid, "gate.target", "no server is named",
			"set GATE_URL and GATE_TOKEN, or work on the server's folder with --data ./gate-data")
	}
}

func (t target) remote(p *process, address string) (*client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fault.New(fault.Invalid, "gate.target", fmt.Sprintf("%q is not the URL of a server", address), "write it as https://git.example.org")
	}
	token, _ := p.env("GATE_TOKEN")
	file := t.TokenFile
	if file == "" && token == "" {
		file, _ = p.env("GATE_TOKEN_FILE")
	}
	if file != "" {
		if token, err = readSecret(p, file); err != nil {
			return nil, err
		}
	}
	transport := &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
	}
	return &client{
		ctx: p.ctx, base: strings.TrimSuffix(address, "/"), token: token,
		http: &http.Client{Transport: transport, CheckRedirect: sameHost}, close: func() error { transport.CloseIdleConnections(); return nil },
	}, nil
}

// sameHost follows redirects only where the token was meant to go.
func sameHost(r *http.Request, via []*http.Request) error {
	const maxRedirects = 5
	first := via[0].URL
	if len(via) >= maxRedirects || r.URL.Host != first.Host || (first.Scheme == "https" && r.URL.Scheme != "https") {
		return http.ErrUseLastResponse
	}
	return nil
}

// readSecret reads a secret from a file; "-" is stdin.
func readSecret(p *process, file string) (string, error) {
	in := p.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", fault.Newf(fault.Invalid, "gate.secret", "the secret cannot be read: %v", err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxSecret))
	if err != nil {
		return "", fault.Newf(fault.Invalid, "gate.secret", "the secret cannot be read: %v", err)
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" {
		return "", fault.Newf(fault.Invalid, "gate.secret", "%s holds no secret", file)
	}
	return secret, nil
}

// do sends in (nil for none) and reads the answer into out (nil for none).
func (c *client) do(method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("gate: encode request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	resp, err := c.send(method, path, body)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(out); err != nil {
		return fault.Wrap(err, fault.Internal, "gate.client", "the server's answer could not be read")
	}
	return nil
}

// send sends a request; an answer that is an error comes back as its fault.
func (c *client) send(method, path string, body io.Reader) (*http.Response, error) {
	r, err := http.NewRequestWithContext(c.ctx, method, c.base+"/api/v1"+path, body)
	if err != nil {
		return nil, fmt.Errorf("gate: request: %w", err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if resp.StatusCode < http.StatusMultipleChoices {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	return nil, c.problem(resp)
}

func (c *client) unreachable(err error) error {
	if c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return fault.New(fault.Unavailable, "gate.client", fmt.Sprintf("%s does not answer: %v", c.base, err), "is it running? `gate serve` starts one; GATE_URL names it")
}

func (c *client) problem(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxSecret))
	if err != nil {
		return c.unreachable(err)
	}
	var p api.Problem
	if json.Unmarshal(text, &p) == nil && p.Kind != "" {
		f := p.Fault("gate.client")
		if f.Kind == fault.Unauthenticated && c.token == "" {
			f.Next = "set GATE_TOKEN; `gate token create NAME --data DIR` on the server makes one"
		}
		return f
	}
	if resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusBadGateway || resp.StatusCode == http.StatusGatewayTimeout {
		return fault.New(fault.Unavailable, "gate.client", c.base+" is starting or stopping", "try again in a moment")
	}
	return fault.New(fault.Invalid, "gate.client", fmt.Sprintf("%s answered %s, which is not Gatehouse's API", c.base, resp.Status), "check GATE_URL")
}

// items is the answer of an operation that lists things.
type items[T any] struct {
	Items []T `json:"items"`
}

// fetch reads one thing from the API and prints it: as JSON, or as show has it for people.
func fetch[T any](p *process, t target, r reading, path string, show func(io.Writer, T) error) error {
	return t.with(p, func(c *client) error {
		var got T
		if err := c.do(http.MethodGet, path, nil, &got); err != nil {
			return err
		}
		if r.JSON {
			return printJSON(p.stdout, got)
		}
		return show(p.stdout, got)
	})
}

// fetchAll is fetch for lists: the JSON is the list itself.
func fetchAll[T any](p *process, t target, r reading, path string, show func(io.Writer, []T) error) error {
	return t.with(p, func(c *client) error {
		var got items[T]
		if err := c.do(http.MethodGet, path, nil, &got); err != nil {
			return err
		}
		if r.JSON {
			return printJSON(p.stdout, got.Items)
		}
		return show(p.stdout, got.Items)
	})
}

// with opens the server for the time of f.
func (t target) with(p *process, f func(*client) error) error {
	c, err := t.open(p)
	if err != nil {
		return err
	}
	return errors.Join(f(c), c.close())
}

// inPath writes a repository's name as it stands in paths.
func inPath(repository string) string {
	return url.PathEscape(strings.ReplaceAll(repository, "/", "~"))
}
