package deliver

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"gatehouse/gatekeeper/assembly"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

const (
	// bindLimit bounds how long a name server may take.
	bindLimit = time.Minute
	// maxLabel is how long one part of a host name may be (RFC 1035, section 2.3.4).
	maxLabel = 63
)

// hostOf is the name that an assembly of the environment has, "" for none. {{change}},
// {{environment}} and {{app}} stand for what they say.
func hostOf(e plan.Environment, app, instance string) string {
	if e.DNS == nil {
		return ""
	}
	change := strings.TrimPrefix(instance, "c")
	return strings.ToLower(strings.NewReplacer("{{change}}", change, "{{environment}}", e.Name, "{{app}}", label(app)).Replace(e.DNS.Name))
}

// label makes a part of a host name of any text.
func label(text string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(text) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			b.WriteRune(c)
		} else if b.Len() > 0 && !strings.HasSuffix(b.String(), "-") {
			b.WriteByte('-')
		}
	}
	return strings.Trim(b.String()[:min(b.Len(), maxLabel)], "-")
}

// bind gives an assembly its name. That it cannot have it fails only where the plan requires it.
func (s *Service) bind(ctx context.Context, d Deployment, a *Assembly, spec assembly.Spec) error {
	host := hostOf(d.Env, d.App, d.Instance)
	if host == "" {
		return nil
	}
	err := s.route(ctx, d.Env.DNS, host, a, spec)
	if err != nil && !d.Env.DNS.Optional {
		s.named(ctx, a, host, DNSFailed, fault.Sentence(err))
		return err
	}
	if err != nil {
		say(d.Log, "it has no name: %s could not be bound: %s", host, fault.Sentence(err))
		s.named(ctx, a, host, DNSFailed, fault.Sentence(err))
		return nil
	}
	say(d.Log, "it is called %s", host)
	s.named(ctx, a, host, DNSBound, "")
	return nil
}

// route makes the name lead to the assembly: by the server's own proxy, and for the world by the
// provider.
func (s *Service) route(ctx context.Context, name *plan.DNS, host string, a *Assembly, spec assembly.Spec) error {
	if s.Names != nil {
		if err := s.Names.Set(host, a.instance()); err != nil {
			return err
		}
	}
	if name.Provider == "" || name.Provider == providerProxy {
		return errFor(s.Names == nil, fault.New(fault.Unavailable, "deliver.bind", "this server routes no host names", "start it without --no-proxy"))
	}
	provider, err := s.provider(name, spec)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, bindLimit)
	defer cancel()
	return provider.Bind(ctx, host, a.Address, name.TTL)
}

// provider finds who makes a name known to the world.
func (s *Service) provider(name *plan.DNS, spec assembly.Spec) (Provider, error) {
	if name.Provider == providerCommand && s.Script != nil {
		return s.Script(name.Command, spec), nil
	}
	provider, ok := s.Providers[name.Provider]
	if !ok {
		return nil, fault.New(fault.Unavailable, "deliver.bind", fmt.Sprintf("this server has no provider of names %s", name.Provider), "see docs/deploy.md for how it is set up")
	}
	return provider, nil
}

// providerCommand is a script of the repository.
const providerCommand = "command"

// providerProxy is the name routing of the server itself.
const providerProxy = "proxy"

func errFor(bad bool, err error) error {
	if bad {
		return err
	}
	return nil
}

// named writes down what became of a name.
func (s *Service) named(ctx context.Context, a *Assembly, host, state, reason string) {
	a.Host, a.DNS, a.DNSReason = host, state, reason
	err := s.DB.Transact(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE assemblies SET host = $1, dns_state = $2, dns_reason = $3 WHERE id = $4`, host, state, reason, a.ID)
		return err
	})
	if err != nil {
		s.Log.Error("write down the name of an assembly", "assembly", a.ID, "host", host, "err", err)
	}
}

// rebind leads the name of an assembly to it again: after another could not take its place, or
// after a restart.
func (s *Service) rebind(ctx context.Context, a Assembly) {
	if a.Host == "" || a.DNS != DNSBound || s.Names == nil {
		return
	}
	if err := s.Names.Set(a.Host, a.instance()); err != nil {
		s.Log.Error("bind the name of an assembly again", "assembly", a.ID, "host", a.Host, "err", err)
	}
}

// unbind takes the name from an assembly, unless another one has it by now.
func (s *Service) unbind(ctx context.Context, a Assembly) {
	if a.Host == "" || a.DNS != DNSBound {
		return
	}
	others, err := queryAssemblies(ctx, s.DB.Read(), `m.host = $1 AND m.id <> $2 AND m.dns_state = $3 AND m.ended_at = 0 AND m.state NOT IN ($4, $5)`,
		a.Host, a.ID, DNSBound, string(AssemblySuperseded), string(AssemblyDeleting))
	if err != nil {
		s.Log.Error("look who has a name", "host", a.Host, "err", err)
		return
	}
	if len(others) == 0 {
		if s.Names != nil {
			s.Names.Unset(a.Host)
		}
		s.release(ctx, a)
	}
	s.named(ctx, &a, a.Host, DNSReleased, "")
}

// release tells the provider that a name leads nowhere any more.
func (s *Service) release(ctx context.Context, a Assembly) {
	d, err := s.runs.Deployment(ctx, a.Run, a.StageRun)
	if err != nil || d.Env.DNS == nil {
		return // its plan is gone: there is nobody to ask
	}
	if name := d.Env.DNS.Provider; name == "" || name == providerProxy {
		return
	}
	d.Log = io.Discard
	spec, err := s.spec(ctx, d)
	if err != nil {
		s.Log.Warn("release the name of an assembly", "host", a.Host, "err", err)
		return
	}
	provider, err := s.provider(d.Env.DNS, spec)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, bindLimit)
		defer cancel()
		err = provider.Release(ctx, a.Host)
	}
	if err != nil {
		s.Log.Warn("release the name of an assembly", "host", a.Host, "err", err)
	}
}
