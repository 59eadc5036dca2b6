package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"gatehouse/gatekeeper/artifact"
	"gatehouse/gatekeeper/assembly"
	"gatehouse/gatekeeper/attest"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gatekeeper/secret"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/web"
)

// places is what assemblies run in and are called by.
type places struct {
	process *assembly.Process
	router  *assembly.Router
}

// openDelivery opens what artifacts and secrets need in the data folder.
func (a *app) openDelivery() (err error) {
	s := a.settings
	if a.artifacts, err = artifact.New(s.folder("artifacts")); err != nil {
		return err
	}
	if a.signing, err = attest.Open(s.folder("signing")); err != nil {
		return err
	}
	if a.secrets, err = secret.New(s.folder("secrets")); err != nil {
		return err
	}
	a.secrets.Named = func(id int64) string {
		r, _ := a.repos.ByID(context.Background(), a.db.Read(), id) // one that is not there has no name
		return r.Name
	}
	return nil
}

// owner names this server among those that use the same name server, engine or cluster. It
// follows from the data folder and the machine, so that it is the same after a restart.
func (s Settings) owner() string {
	host, _ := os.Hostname() // without one the folder tells servers apart
	sum := sha256.Sum256([]byte(host + "\n" + s.Data))
	const kept = 6
	return "gate-" + hex.EncodeToString(sum[:kept])
}

// ownNames are the host names of the server's own pages.
func (s Settings) ownNames() []string {
	names := []string{"localhost"}
	if u, err := url.Parse(s.URL); err == nil && u.Hostname() != "" {
		names = append(names, u.Hostname())
	}
	if host, _, err := net.SplitHostPort(s.HTTP); err == nil && host != "" {
		names = append(names, host)
	}
	return names
}

// routing is what the router to the assemblies keeps apart: the server's own names, cookies and
// tokens. What a visitor sends an assembly to sign in there is the assembly's.
func (s Settings) routing() assembly.RouterConfig {
	return assembly.RouterConfig{
		Reserved: s.ownNames(), Own: []string{s.HTTP, s.SSH}, Cookies: []string{(&web.Web{URL: s.URL}).CookieName()}, Ours: account.Ours,
		HTTPS: strings.HasPrefix(s.URL, "https:"),
	}
}

// delivery makes the service of environments, with the drivers that work here.
func (a *app) delivery(o appOptions) *deliver.Service {
	s := a.settings
	cfg := deliver.Config{
		DB: a.db, Accounts: a.accounts, Repos: a.repos, Artifacts: a.artifacts, Bus: a.bus, Now: time.Now, Log: a.log,
		Drivers: map[string]assembly.Driver{}, Providers: map[string]deliver.Provider{},
		Secret: func(_ context.Context, repoID int64, name string) ([]byte, error) {
			value, _, err := a.secrets.Get(repoID, name)
			return value, err
		},
	}
	if o.serves && s.Assemblies == "on" {
		a.places.router = assembly.NewRouter(s.routing())
		cfg.Names = a.places.router
		cfg.Script = func(script string, of assembly.Spec) deliver.Provider {
			return assembly.CommandDNS{Runner: a.runner, Script: script, Spec: of, Target: s.DNSTarget}
		}
	}
	service := deliver.New(cfg, fmt.Sprintf("%s-%d-%d", s.owner(), os.Getpid(), time.Now().UnixNano()))
	if cfg.Names != nil {
		a.addDrivers(o, service)
	}
	return service
}

// addDrivers adds the drivers that can work here. One that cannot is left out, and whoever needs it
// is told so by name.
func (a *app) addDrivers(o appOptions, service *deliver.Service) {
	s := a.settings
	if o.noStages == "" {
		process, err := assembly.NewProcess(assembly.ProcessConfig{Dir: s.folder("assemblies"), Runner: &runner.Runner{
			Work: s.folder("assembly-work"), Sandbox: o.sandbox, Hide: []string{s.Data}, Toolchain: runner.Toolchain{ReadOnly: s.StageDir, Env: s.stageEnv()},
			Limits: runner.Limits{Memory: int64(s.StageMem)}, Now: time.Now,
		}})
		if err != nil {
			a.log.Error("assemblies cannot run as processes here", "err", err)
		} else {
			a.places.process = process
			service.Drivers[plan.DriverProcess] = process
		}
		service.Drivers[plan.DriverCommand] = assembly.NewCommand(assembly.CommandConfig{Runner: a.runner, Recall: service.Recall})
	}
	container, err := assembly.NewContainer(assembly.ContainerConfig{Engine: s.Engine, Dir: s.folder("containers"), Scope: s.owner()})
	if err != nil {
		a.log.Debug("containers cannot be run here", "err", err)
	} else {
		service.Drivers[plan.DriverContainer] = container
	}
	if s.Kubeconfig != "" {
		a.addCluster(service)
	}
	if s.DNSServer != "" {
		service.Providers["rfc2136"] = dnsServer{s}
	}
}

func (a *app) addCluster(service *deliver.Service) {
	cluster, err := assembly.LoadCluster(a.settings.Kubeconfig)
	var driver *assembly.Kubernetes
	if err == nil {
		driver, err = assembly.NewKubernetes(assembly.KubernetesConfig{Cluster: cluster, Scope: a.settings.owner()})
	}
	if err != nil {
		a.log.Error("the cluster cannot be used", "kubeconfig", a.settings.Kubeconfig, "err", err)
		return
	}
	service.Drivers[plan.DriverKubernetes] = driver
}

// dnsServer is the name server of the settings. Its key is read anew each time, so that it can be
// changed without a restart.
type dnsServer struct{ s Settings }

func (d dnsServer) provider() (assembly.RFC2136, error) {
	key, err := os.ReadFile(d.s.DNSKeyFile)
	if err != nil {
		return assembly.RFC2136{}, fault.Newf(fault.Unavailable, "gate.dns", "the key of the name server cannot be read: %v", err)
	}
	return assembly.RFC2136{
		Server: d.s.DNSServer, Zone: d.s.DNSZone, KeyName: d.s.DNSKey, Secret: strings.TrimSpace(string(key)), Owner: d.s.owner(), Target: d.s.DNSTarget,
	}, nil
}

// Bind tells the name server of a name.
func (d dnsServer) Bind(ctx context.Context, name, address string, ttl time.Duration) error {
	p, err := d.provider()
	if err != nil {
		return err
	}
	return p.Bind(ctx, name, address, ttl)
}

// Release takes a name away.
func (d dnsServer) Release(ctx context.Context, name string) error {
	p, err := d.provider()
	if err != nil {
		return err
	}
	return p.Release(ctx, name)
}

// checkDNS refuses settings of a name server that could never work.
func (s Settings) checkDNS() error {
	if s.DNSServer == "" {
		return nil
	}
	for _, needed := range []struct{ name, value string }{{"dns-zone", s.DNSZone}, {"dns-key", s.DNSKey}, {"dns-key-file", s.DNSKeyFile}} {
		if needed.value == "" {
			return fault.New(fault.Invalid, "config.check", "a name server is set, and --"+needed.name+" is missing", "docs/deploy.md tells how BIND is set up for it")
		}
	}
	return nil
}

// closeDelivery ends the assemblies that are processes of this server; a start brings them back.
func (a *app) closeDelivery() error {
	if a.places.process != nil {
		a.places.process.Close()
	}
	var err error
	if a.artifacts != nil {
		err = a.artifacts.Close()
	}
	if a.secrets != nil {
		err = errors.Join(err, a.secrets.Close())
	}
	return err
}
