package entrance

import (
	"context"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
)

// Forge is the kind of server at the other end: how it signs, what it says, where it keeps proposals.
type Forge string

// The forges.
const (
	GitHub  Forge = "github"
	GitLab  Forge = "gitlab"
	Gitea   Forge = "gitea"
	Forgejo Forge = "forgejo"
	Gerrit  Forge = "gerrit"
	Plain   Forge = "plain" // a git repository with refs/pull/N/head and nothing else; it is polled
)

// Forges lists them in order.
func Forges() []Forge { return []Forge{GitHub, GitLab, Gitea, Forgejo, Gerrit, Plain} }

// How what has been tested returns to the other server.
const (
	LandsPush  = "push"  // the tested commit itself is pushed
	LandsMerge = "merge" // its API is asked to merge; what comes of it must be the tested tree
	LandsNone  = "none"  // not at all: the branch here is the primary
)

// ReviewsCount says that an approval there is a vote here, by those who have an account here.
const ReviewsCount = "count"

const (
	// maxEntrances bounds the entrances of a repository: each is asked for and reported to.
	maxEntrances = 10
	// maxSecret is more than any secret or token of a forge.
	maxSecret = 4000
	// MinPoll is the shortest pause between two looks at a server that did not ask for them.
	MinPoll = 5 * time.Second
	// maxPoll keeps a forgotten entrance alive.
	maxPoll = 24 * time.Hour
	// maxPrefix keeps the name of a status short enough for every forge.
	maxPrefix = 40
	// usualReport is how our statuses are called when nobody chose.
	usualReport = "gatehouse"
)

// Entrance is another server where changes of a repository are proposed.
type Entrance struct {
	ID        int64
	Repo      int64
	Forge     Forge
	Address   string // of its git repository, the only one that is fetched from or pushed to
	Username  string // sent with the token
	PublicKey string // over SSH: the key to let in there, as an authorized_keys line
	API       string // the root of its REST API, "" when it has none that we use
	Project   string // how its API names the repository: "acme/hello"
	Local     bool   // the address may be a folder of this machine, or plain http
	Account   int64  // stands for everybody there
	Events    []Kind // what is acted upon, none for all
	Lands     string // LandsPush, LandsMerge or LandsNone
	Reviews   string // ReviewsCount, or ""
	Report    string // what the names of our statuses begin with, "" to send none
	Outcome   string // how far what comes in is meant to go, "" for as far as usual
	Submit    bool   // what comes in asks to land by itself
	RevertRed bool   // what landed there without us and is red is proposed to be taken back
	Poll      time.Duration
	LookedAt  time.Time // when it was last asked
	Reason    string    // why that failed, "" when it did not
	CreatedBy int64
	CreatedAt time.Time

	secretUntil time.Time // until when the secret before counts too
}

// NewEntrance is what [Service.Add] needs.
type NewEntrance struct {
	Forge    Forge
	Address  string
	Username string
	API      string
	Project  string // "" is what the address ends in
	Events   []Kind
	Lands    string // "" is push
	Reviews  string
	Report   string // "" is gatehouse, "none" sends none
	Outcome  string
	Submit   bool
	// RevertRed needs a primary there.
	RevertRed bool
	Poll      time.Duration
	Secret    string // of deliveries; one is made when it is ""
	Token     string // for its API and, over https, for git
	// AllowLocal permits a folder of this machine and plain http; only administrators may ask for it.
	AllowLocal bool
}

var (
	projectGrammar = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*){0,9}$`)
	prefixGrammar  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._ -]*$`)
	loginGrammar   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._@+\[\]-]{0,99}$`)
	userGrammar    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._@+-]{0,99}$`)
)

// check completes what is new and refuses what cannot work.
func (n *NewEntrance) check() error {
	const op = "entrance.Add"
	bad := func(why, next string) error { return fault.New(fault.Invalid, op, why, next) }
	if !slices.Contains(Forges(), n.Forge) {
		return bad(fmt.Sprintf("there is no forge called %q", clip(string(n.Forge))), "use github, gitlab, gitea, forgejo, gerrit or plain")
	}
	if n.Lands == "" {
		n.Lands = LandsPush
	}
	if !slices.Contains([]string{LandsPush, LandsMerge, LandsNone}, n.Lands) {
		return bad(fmt.Sprintf("nothing lands by %q", clip(n.Lands)), "use push, merge or none")
	}
	if n.RevertRed && n.Lands == LandsNone {
		return errNotThere(op)
	}
	if n.Reviews != "" && n.Reviews != ReviewsCount {
		return bad(fmt.Sprintf("reviews cannot be %q", clip(n.Reviews)), "use count, or leave it out")
	}
	if n.Poll != 0 && (n.Poll < MinPoll || n.Poll > maxPoll) {
		return bad(fmt.Sprintf("every %s is no time to look", n.Poll), fmt.Sprintf("use %s to %s, or 0 to wait for webhooks", MinPoll, maxPoll))
	}
	if n.Outcome != "" && !outcomeName(n.Outcome) {
		return bad(fmt.Sprintf("%q cannot be an outcome of a plan", clip(n.Outcome)), "name one of the plan's outcomes")
	}
	if n.Report == "" {
		n.Report = usualReport
	}
	if n.Report == "none" {
		n.Report = ""
	} else if len(n.Report) > maxPrefix || !prefixGrammar.MatchString(n.Report) {
		return bad("statuses cannot be called so", "use up to 40 letters, digits, spaces and . _ -, or none to send none")
	}
	for _, k := range n.Events {
		if !slices.Contains(Kinds(), k) {
			return bad(fmt.Sprintf("nothing is called %q", clip(string(k))), "choose from "+joinKinds(Kinds()))
		}
	}
	for _, s := range []string{n.Secret, n.Token} {
		if len(s) > maxSecret || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
			return bad("this secret or token cannot be used", "give it alone, without spaces or line ends")
		}
	}
	if n.Username != "" && !userGrammar.MatchString(n.Username) {
		return bad("this user name cannot be sent", "use letters, digits and . _ @ + -")
	}
	return n.checkAPI(bad)
}

// errNotThere refuses to take back what lands here and nowhere else.
func errNotThere(op string) error {
	return fault.New(fault.Invalid, op, "nothing lands there that could be taken back: the branch here is the primary", "leave --revert-red out, or use another --lands")
}

func (n *NewEntrance) checkAPI(bad func(why, next string) error) error {
	if n.API != "" {
		u, err := url.Parse(n.API)
		secure := err == nil && (u.Scheme == "https" || u.Scheme == "http" && n.AllowLocal)
		if !secure || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || len(n.API) > 500 ||
			strings.ContainsFunc(n.API, func(c rune) bool { return c <= ' ' || c >= 0x7f || !unicode.IsPrint(c) }) {
			return bad("this is no address of an API", "write it as https://HOST/PATH, without a user name")
		}
		n.API = strings.TrimSuffix(n.API, "/")
	}
	if n.Lands == LandsMerge && n.Token == "" {
		return bad("to have the forge merge, its API is needed, and a token for it", "give --token-file, or land by push")
	}
	if n.Lands == LandsMerge && n.Forge == Plain {
		return bad("a plain repository has no API that could merge", "land by push")
	}
	return nil
}

// place reads the address and the project in it.
func (n *NewEntrance) place() (repo.Address, error) {
	to, err := parseAddress(n.Address, n.AllowLocal)
	if err != nil {
		return to, err
	}
	if n.Project == "" {
		n.Project = projectOf(to)
	}
	if n.Project != "" && (len(n.Project) > 200 || !projectGrammar.MatchString(n.Project) || strings.Contains(n.Project, "..")) {
		return to, fault.New(fault.Invalid, "entrance.Add", "this is no name of a project", "write it as acme/hello")
	}
	return to, nil
}

const plainHTTP = "http://"

// parseAddress is [repo.ParseAddress], which also takes plain http where a folder is allowed:
// both are the operator's own network.
func parseAddress(address string, local bool) (repo.Address, error) {
	rest, isPlain := strings.CutPrefix(address, plainHTTP)
	if !isPlain || !local {
		return repo.ParseAddress(address, local)
	}
	to, err := repo.ParseAddress("https://"+rest, local)
	to.URL = address
	return to, err
}

// projectOf is what an address ends in, as forges name repositories.
func projectOf(to repo.Address) string {
	name := to.URL
	if to.Over == repo.OverPath {
		return ""
	}
	if _, rest, ok := strings.Cut(name, "://"); ok {
		_, name, _ = strings.Cut(rest, "/")
	} else {
		_, name, _ = strings.Cut(name, ":")
	}
	name = strings.TrimSuffix(strings.Trim(path.Clean(name), "/"), ".git")
	if !projectGrammar.MatchString(name) {
		return ""
	}
	return name
}

// usualAPI is where a forge has its API beside an address, "" when that has no host.
func usualAPI(f Forge, to repo.Address) string {
	if to.Host == "" {
		return ""
	}
	root := "https://" + to.Host
	if u, err := url.Parse(to.URL); err == nil && (u.Scheme == "https" || u.Scheme == "http") {
		root = u.Scheme + "://" + u.Host
	}
	switch f {
	case GitHub:
		if to.Host == "github.com" {
			return "https://api.github.com"
		}
		return root + "/api/v3" // GitHub Enterprise Server
	case GitLab:
		return root + "/api/v4"
	case Gitea, Forgejo:
		return root + "/api/v1"
	case Gerrit:
		return root
	default:
		return ""
	}
}

// proposals is the pattern of the refs in which a forge keeps what is proposed.
func (f Forge) proposals() string {
	switch f {
	case GitHub, Gitea, Forgejo, Plain:
		return "refs/pull/*"
	case GitLab:
		return "refs/merge-requests/*"
	case Gerrit:
		return "refs/changes/*"
	default:
		panic("entrance: unknown forge " + string(f))
	}
}

// heads is the pattern of the refs that may be the newest of one proposal.
func (f Forge) heads(number int64) string {
	n := strconv.FormatInt(number, 10)
	switch f {
	case GitHub, Gitea, Forgejo, Plain:
		return "refs/pull/" + n + "/head"
	case GitLab:
		return "refs/merge-requests/" + n + "/head"
	case Gerrit:
		return fmt.Sprintf("refs/changes/%02d/%d/*", number%100, number)
	default:
		panic("entrance: unknown forge " + string(f))
	}
}

// Head is where a proposal is.
type Head struct {
	Number int64
	Ref    string
	OID    git.OID
}

// pickHeads finds the newest commit of each proposal among refs.
func (f Forge) pickHeads(refs []git.Ref) map[int64]Head {
	found, version := map[int64]Head{}, map[int64]int64{}
	for _, ref := range refs {
		number, v, ok := f.readRef(ref.Name)
		if have, seen := version[number]; ok && (!seen || v > have) {
			version[number], found[number] = v, Head{Number: number, Ref: ref.Name, OID: ref.OID}
		}
	}
	return found
}

// readRef reads which proposal, and which version of it, a ref holds.
func (f Forge) readRef(name string) (number, version int64, ok bool) {
	parts := strings.Split(name, "/")
	if f == Gerrit { // refs/changes/45/12345/3
		if len(parts) != 5 {
			return 0, 0, false
		}
		number, err1 := parseNumber(parts[3])
		version, err2 := parseNumber(parts[4]) // "meta" is none
		return number, version, err1 == nil && err2 == nil && strings.HasPrefix(name, "refs/changes/") && fmt.Sprintf("%02d", number%100) == parts[2]
	}
	if len(parts) != 4 || parts[3] != "head" {
		return 0, 0, false
	}
	number, err := parseNumber(parts[2])
	return number, 0, err == nil && f.heads(number) == name
}

// parseNumber reads a number as forges count: from 1, in digits alone.
func parseNumber(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil && (n < 1 || strconv.FormatInt(n, 10) != text) {
		err = fault.Newf(fault.Invalid, "entrance.parseNumber", "%q is no number", clip(text))
	}
	return n, err
}

func (e Entrance) origin(number int64) string {
	return strconv.FormatInt(e.ID, 10) + "/" + strconv.FormatInt(number, 10)
}

// wants reports whether the entrance acts upon a kind of notice.
func (e Entrance) wants(k Kind) bool { return len(e.Events) == 0 || slices.Contains(e.Events, k) }

// clip shortens what somebody sent before it is quoted back.
func clip(text string) string {
	const most = 60
	text = strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return '?'
	}, text)
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// remote is how git goes to the entrance's address.
func (s *Service) remote(_ context.Context, e Entrance) (string, git.Auth, error) {
	to, err := parseAddress(e.Address, e.Local)
	if err != nil {
		return "", git.Auth{}, err
	}
	return to.URL, s.auth(e, to), nil
}
