package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"gatehouse/gitserver/fault"
)

// Settings is the table of everything that a server can be told. The tags are the table: a
// field tagged `setting` is a flag, the variable GATE_NAME, and a key of the file, in that
// order of precedence, and the default comes last. Secrets are never in it by value.
type Settings struct {
	Config   string        `setting:"" name:"config" placeholder:"FILE" help:"Settings file; without it DATA/gate.yaml is read when it exists."`
	Data     string        `setting:"" name:"data" default:"./gate-data" placeholder:"DIR" help:"Folder of everything the server keeps: repositories, database, keys, logs."`
	HTTP     string        `setting:"" name:"http" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where to listen for HTTP; port 0 takes a free one."`
	SSH      string        `setting:"" name:"ssh" default:"127.0.0.1:29418" placeholder:"HOST:PORT" help:"Where to listen for SSH; port 0 takes a free one."`
	URL      string        `setting:"" name:"public-url" placeholder:"URL" help:"How people reach this server; without it the HTTP address."`
	SSHURL   string        `setting:"" name:"ssh-url" placeholder:"URL" help:"How people reach it over SSH, as ssh://git.example.org; without it the SSH address."`
	Database string        `setting:"" name:"database" placeholder:"DSN" help:"postgres://USER@HOST/NAME or sqlite:FILE; without it DATA/gate.db."`
	Sandbox  string        `setting:"" name:"sandbox" default:"auto" enum:"auto,bubblewrap,embedded,none" help:"How stages are shut in: auto, bubblewrap, embedded, or none (they can then do whatever the server can)."`
	Workers  int           `setting:"" name:"workers" default:"0" help:"Stages that run at once; 0 is one for every two processors."`
	StageMem Size          `setting:"" name:"stage-memory" default:"4GiB" help:"Memory of a stage whose plan does not say."`
	StageDir []string      `setting:"" name:"stage-dirs" placeholder:"DIR,…" help:"Folders of this machine that stages may read, at the same place: a module cache, a toolchain."`
	StageEnv []string      `setting:"" name:"stage-env" placeholder:"NAME=VALUE,…" help:"Variables for every stage, as GOMODCACHE=/opt/mod,GOPROXY=off."`
	LogLevel string        `setting:"" name:"log-level" default:"info" enum:"debug,info,warn,error" help:"How much is logged: debug, info, warn or error."`
	LogForm  string        `setting:"" name:"log-format" default:"text" enum:"text,json" help:"text or json."`
	TLSCert  string        `setting:"" name:"tls-cert" placeholder:"FILE" help:"Certificate chain (PEM): with it HTTP is served over TLS."`
	TLSKey   string        `setting:"" name:"tls-key" placeholder:"FILE" help:"Private key of the certificate (PEM)."`
	Insecure bool          `setting:"" name:"insecure-http" help:"Allow HTTP without TLS on an address that other machines reach, as behind a TLS proxy."`
	Drain    time.Duration `setting:"" name:"drain" default:"30s" help:"How long a stopping server waits for pushes and fetches."`
	MaxPack  Size          `setting:"" name:"max-pack" default:"2GiB" help:"Largest push that is taken."`
	MaxBlob  Size          `setting:"" name:"max-file" default:"100MiB" help:"Largest single file that is taken."`

	MailServer   string        `setting:"" name:"mail-server" placeholder:"HOST:PORT" help:"Mail server that mail goes to; without it the server sends none."`
	MailTLS      string        `setting:"" name:"mail-tls" default:"starttls" enum:"starttls,tls,none" help:"How the way to it is encrypted: starttls, tls from the first byte, or none."`
	MailFrom     string        `setting:"" name:"mail-from" placeholder:"ADDRESS" help:"Address that mail comes from."`
	MailReplyTo  string        `setting:"" name:"mail-reply-to" placeholder:"ADDRESS" help:"Where answers to mail go; without it mails say that nobody reads them."`
	MailAnswers  string        `setting:"" name:"mail-answers" placeholder:"ADDRESS:PORT" help:"Where the server takes answers to its mails over SMTP, as 127.0.0.1:2525; without it nowhere."`
	AnswerDomain string        `setting:"" name:"mail-answers-domain" placeholder:"DOMAIN" help:"Domain whose mail arrives there; the domain of mail-from without it."`
	MailUser     string        `setting:"" name:"mail-user" placeholder:"NAME" help:"Who signs in at the mail server."`
	MailPassword string        `setting:"" name:"mail-password-file" placeholder:"FILE" help:"File with that user's password; read anew for each mail."`
	MailQuiet    time.Duration `setting:"" name:"mail-quiet" default:"90s" help:"How long a change is quiet before what happened to it is mailed, in one mail."`
	Assemblies   string        `setting:"" name:"assemblies" default:"on" enum:"on,off" help:"Whether this server runs assemblies: on or off."`
	DNSServer    string        `setting:"" name:"dns-server" placeholder:"HOST:PORT" help:"Name server that takes dynamic updates (RFC 2136), for environments whose names it has."`
	DNSZone      string        `setting:"" name:"dns-zone" placeholder:"ZONE" help:"The zone in which it takes them."`
	DNSKey       string        `setting:"" name:"dns-key" placeholder:"NAME" help:"Name of the key that signs updates (TSIG)."`
	DNSKeyFile   string        `setting:"" name:"dns-key-file" placeholder:"FILE" help:"File with that key, in base64, as tsig-keygen prints it; read anew for each update."`
	DNSTarget    string        `setting:"" name:"dns-target" placeholder:"ADDRESS" help:"Address or host name of this server, which the names of assemblies on it lead to."`
	Engine       string        `setting:"" name:"container-engine" placeholder:"PROGRAM" help:"podman or docker; without it the first of the two that is there."`
	Kubeconfig   string        `setting:"" name:"kubeconfig" placeholder:"FILE" help:"Cluster for environments with the driver kubernetes."`

	HookNetworks []string `setting:"" name:"webhook-networks" placeholder:"NETWORK,…" help:"Networks that are not public and that webhooks may go to, as 10.1.0.0/16."`
}

// envPrefix begins the name of every variable that Gatehouse reads.
const envPrefix = "GATE_"

// fileName is the settings file that is looked for in the data folder: nobody but the owner
// can write there, so a repository that brings a file of this name changes nothing.
const fileName = "gate.yaml"

// Size is a number of bytes, written as 4096, 64KiB, 100MiB or 2GiB.
type Size int64

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {"", 1}}

// UnmarshalText reads a size; it must be positive.
func (s *Size) UnmarshalText(text []byte) error {
	for _, u := range sizeUnits {
		number, found := strings.CutSuffix(string(text), u.suffix)
		if !found {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n <= 0 || n > (1<<62)/u.bytes {
			break
		}
		*s = Size(n * u.bytes)
		return nil
	}
	return fmt.Errorf("%q is not a size: write it as 512KiB, 100MiB or 2GiB", text)
}

// String is the size in the largest unit that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if u.suffix != "" && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// origin says where the value of a setting came from.
type origin struct {
	layer string // "flag", "environment", "file", "default"
	where string // "--http", "GATE_HTTP", "gate.yaml:3", ""
}

func (o origin) String() string {
	if o.where == "" {
		return o.layer
	}
	return o.layer + " " + o.where
}

// layers resolves settings for kong: what the command line leaves open is looked up in the
// environment and then in the file. It remembers where each value came from.
type layers struct {
	env     func(string) (string, bool)
	origins map[string]origin
	file    map[string]fileValue
	path    string // the file that was read, or would have been
	loaded  bool
}

func newLayers(env func(string) (string, bool)) *layers {
	return &layers{env: env, origins: map[string]origin{}}
}

// envName is the variable of a setting.
func envName(setting string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(setting, "-", "_"))
}

// Validate is part of kong.Resolver.
func (l *layers) Validate(*kong.Application) error { return nil }

// Resolve is part of kong.Resolver: the value of a flag that the command line does not name.
func (l *layers) Resolve(kctx *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	if flag.Tag == nil || !flag.Tag.Has("setting") {
		return nil, nil
	}
	if value, ok := l.env(envName(flag.Name)); ok && value != "" {
		l.origins[flag.Name] = origin{"environment", envName(flag.Name)}
		return value, nil
	}
	if err := l.load(kctx, parent); err != nil {
		return nil, err
	}
	if value, ok := l.file[flag.Name]; ok {
		l.origins[flag.Name] = origin{"file", fmt.Sprintf("%s:%d", l.path, value.line)}
		return value.text, nil
	}
	return nil, nil
}

// load reads the settings file once: the one that --config or GATE_CONFIG names, which must
// exist, or the one in the data folder, which need not.
func (l *layers) load(kctx *kong.Context, parent *kong.Path) error {
	if l.loaded {
		return nil
	}
	l.loaded = true
	named, data := l.early(kctx, parent, "config"), l.early(kctx, parent, "data")
	l.path = named
	if named == "" {
		l.path = filepath.Join(data, fileName)
	}
	text, err := os.ReadFile(l.path)
	if os.IsNotExist(err) && named == "" {
		return nil
	}
	if err != nil {
		return fault.Newf(fault.Invalid, "config.read", "the settings file cannot be read: %v", err)
	}
	l.file, err = parseSettingsFile(l.path, text, settingNames())
	return err
}

// early is the value of a string setting that the search for the file itself depends on.
func (l *layers) early(kctx *kong.Context, parent *kong.Path, name string) string {
	for _, flag := range parent.Flags {
		if flag.Name != name {
			continue
		}
		for _, p := range kctx.Path {
			if p.Flag == flag {
				if text, ok := kctx.FlagValue(flag).(string); ok {
					return text
				}
			}
		}
		if value, ok := l.env(envName(name)); ok && value != "" {
			return value
		}
		return flag.Default
	}
	return ""
}

// note records which settings the command line gave.
func (l *layers) note(kctx *kong.Context) {
	for _, p := range kctx.Path {
		if p.Flag != nil && !p.Resolved && p.Flag.Tag.Has("setting") {
			l.origins[p.Flag.Name] = origin{"flag", "--" + p.Flag.Name}
		}
	}
}

// originOf is where the value of a setting came from.
func (l *layers) originOf(name string) origin {
	if o, ok := l.origins[name]; ok {
		return o
	}
	return origin{layer: "default"}
}

// strangers lists GATE_ variables that nothing reads: most often a typo.
func strangers(environ []string) []string {
	known := []string{"GATE_URL", "GATE_TOKEN", "GATE_TOKEN_FILE"} // which server a verb is for
	for _, name := range settingNames() {
		known = append(known, envName(name))
	}
	// A gate that runs inside a stage sees what stages are told.
	known = append(known, "GATE_CHANGE", "GATE_PATCH_SET", "GATE_COMMIT", "GATE_BASE", "GATE_BRANCH", "GATE_REPOSITORY", "GATE_STAGE")
	var odd []string
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, envPrefix) && !strings.HasPrefix(name, "GATE_TEST_") && !strings.HasPrefix(name, "GATE_CRASH_") && !slices.Contains(known, name) {
			odd = append(odd, name)
		}
	}
	return odd
}

// loadSettings gives the settings of a server that runs (or would run) with args, for verbs
// that work on its folder.
func loadSettings(env func(string) (string, bool), args ...string) (Settings, error) {
	var s Settings
	l := newLayers(env)
	parser, err := kong.New(&s, kong.Resolvers(l), kong.Name("gate"), kong.Exit(func(int) {}))
	if err != nil {
		return s, fmt.Errorf("settings: %w", err)
	}
	if _, err := parser.Parse(args); err != nil {
		return s, usageError(err)
	}
	return s, s.check()
}

// settingsOf gives the settings of the server on a folder; config and dsn are "" when the
// command line does not say.
func settingsOf(p *process, data, config, dsn string) (Settings, error) {
	args := []string{"--data=" + data}
	if config != "" {
		args = append(args, "--config="+config)
	}
	if dsn != "" {
		args = append(args, "--database="+dsn)
	}
	return loadSettings(p.env, args...)
}

// setting is one row of the table, with its value.
type setting struct {
	name  string
	value string
}

// rows lists the settings with their values, in the table's order. A password inside a
// database's address is not shown.
func (s Settings) rows() []setting {
	v := reflect.ValueOf(s)
	all := make([]setting, 0, v.NumField())
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("name")
		value := fmt.Sprint(v.Field(i).Interface())
		if list, ok := v.Field(i).Interface().([]string); ok {
			value = strings.Join(list, ",")
		}
		if name == "database" {
			value = hidePassword(value)
		}
		all = append(all, setting{name, value})
	}
	return all
}

func settingNames() []string {
	var names []string
	for _, row := range (Settings{}).rows() {
		names = append(names, row.name)
	}
	return names
}

func hidePassword(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil || u.User == nil {
		return dsn
	}
	return u.Redacted()
}

// check says what is wrong with settings that are each well formed.
func (s Settings) check() error {
	for name, address := range map[string]string{"http": s.HTTP, "ssh": s.SSH} {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return fault.New(fault.Invalid, "config.check", fmt.Sprintf("%s is %q, which is not HOST:PORT", name, address), "write it as 127.0.0.1:8080")
		}
	}
	if (s.TLSCert == "") != (s.TLSKey == "") {
		return fault.New(fault.Invalid, "config.check", "a certificate needs its key and a key its certificate", "give both --tls-cert and --tls-key")
	}
	if s.Workers < 0 {
		return fault.Newf(fault.Invalid, "config.check", "workers is %d, which is less than nothing", s.Workers)
	}
	if err := s.checkDNS(); err != nil {
		return err
	}
	for _, dir := range s.StageDir {
		if !filepath.IsAbs(dir) {
			return fault.New(fault.Invalid, "config.check", fmt.Sprintf("stage-dirs has %q, which is not an absolute path", dir), "write it from / on")
		}
	}
	for _, pair := range s.StageEnv {
		if name, _, ok := strings.Cut(pair, "="); !ok || name == "" {
			return fault.New(fault.Invalid, "config.check", fmt.Sprintf("stage-env has %q, which is not NAME=VALUE", pair), "write it as GOPROXY=off")
		}
	}
	if err := s.checkNotify(); err != nil {
		return err
	}
	for name, text := range map[string]string{"public-url": s.URL, "ssh-url": s.SSHURL} {
		if text == "" {
			continue
		}
		if u, err := url.Parse(text); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "ssh") {
			return fault.New(fault.Invalid, "config.check", fmt.Sprintf("%s is %q, which is not a URL", name, text), "write it as https://git.example.org")
		}
	}
	return nil
}

// ownDatabase is the SQLite file in the data folder that is used when nothing else is said.
const ownDatabase = "gate.db"

// databaseDSN is the database that the settings mean.
func (s Settings) databaseDSN() string {
	if s.Database != "" {
		return s.Database
	}
	return "sqlite:" + s.folder(ownDatabase)
}

// stageEnv is the variables for every stage.
func (s Settings) stageEnv() map[string]string {
	env := map[string]string{}
	for _, pair := range s.StageEnv {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	return env
}

// workers is how many stages run at once.
func (s Settings) workers() int {
	if s.Workers > 0 {
		return s.Workers
	}
	return max(1, runtime.NumCPU()/2)
}
