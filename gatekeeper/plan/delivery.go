package plan

import "time"

// Classes of environments.
const (
	Ephemeral = "ephemeral" // one for each change, gone after its time or with the change
	Shared    = "shared"    // one, taken by one stage after the other, empty between them
	Standing  = "standing"  // one, in which something always runs
)

// Kinds of artifacts.
const (
	FileArtifact   = "file"      // one file
	BundleArtifact = "bundle"    // a folder, as a tar archive whose bytes follow from its content
	OCIImage       = "oci-image" // a folder in the OCI image layout
)

// Drivers run assemblies.
const (
	DriverProcess    = "process"
	DriverCommand    = "command"
	DriverContainer  = "container"
	DriverKubernetes = "kubernetes"
)

// Ways in which something comes into an environment.
const (
	PromoteAuto = "auto" // when all gates before it are open
	PromoteHand = "hand" // when somebody asks for it then
)

// Which of several artifacts that may enter an environment does.
const (
	SelectNewest = "newest" // the last one that landed; the others are superseded
	SelectEach   = "each"   // one after the other, in the order in which they landed
)

// Reasons for which an environment goes back to what ran well last.
const (
	RollbackDeploy = "deploy-failed"
	RollbackVerify = "verify-failed"
)

// Strategies by which an assembly takes the place of another.
const (
	Replace   = "replace"    // the old one ends first
	BlueGreen = "blue-green" // the old one ends when the new one serves
)

// Subjects of gates.
const (
	SubjectChange   = "change"   // a patch set, before it lands
	SubjectArtifact = "artifact" // what was built from a commit, named by its digest
)

// Outcome is how far a run is meant to go, and what it leaves out.
type Outcome struct {
	Name   string
	Reach  []string // stages, gates or land: these and all that comes before them
	Bypass []string // stages and gates that are left out
	By     []string // roles that may ask for it; empty: everybody who may push
	Line   int      `json:"-"`
}

// DefaultOutcome is the name of the outcome of a change that names none; without one of that
// name everything is reached.
const DefaultOutcome = "deliver"

// Artifact is what a stage makes, once.
type Artifact struct {
	Name  string
	Type  string // FileArtifact, BundleArtifact or OCIImage
	Stage string // the one that makes it
	Keep  time.Duration
	Line  int `json:"-"`
}

// Environment is where artifacts run.
type Environment struct {
	Name   string
	Class  string
	Driver string
	TTL    time.Duration // of an ephemeral one
	// Config is a file of NAME=value lines in the repository, read from the target branch.
	Config  string
	Env     map[string]string
	Secrets []string // names; given to assemblies as environment variables
	DNS     *DNS     // nil for no name
	Promote string   // PromoteAuto or PromoteHand
	Select  string   // SelectNewest or SelectEach
	Freeze  []Freeze
	// Rollback are the reasons for which it goes back by itself.
	Rollback []string
	// RefuseBypassed keeps out what a gate or stage was left out for.
	RefuseBypassed bool
	// Scripts of the driver `command`: scripts in the tree of the commit.
	Scripts Scripts
	// Manifest and Namespace are for the driver `kubernetes`; Image is what the driver
	// `container` runs a file or a bundle in.
	Manifest, Namespace, Image string
	// Exclusive: one stage at a time uses it. A shared one always is.
	Exclusive bool
	Line      int `json:"-"`
}

// Scripts are what the driver `command` runs, each with /bin/sh -c.
type Scripts struct{ Deploy, Verify, Rollback, Destroy string }

// DNS is the name of an environment's assembly.
type DNS struct {
	Name     string // {{change}} and {{environment}} are replaced
	Provider string // "proxy", "rfc2136" or "command"
	Zone     string
	TTL      time.Duration
	Optional bool // a name that cannot be bound does not fail the promotion
	Command  string
}

// Deploy is what a stage brings into its environment before it runs its script.
type Deploy struct {
	Artifact string
	Run      string // the command that serves, for `process` and `container`
	Port     int    // where it serves, for `container` and `kubernetes`; a process is told by $PORT
	Ready    Probe
	Strategy string // Replace or BlueGreen
	Line     int    `json:"-"`
}

// Probe asks whether an assembly serves.
type Probe struct {
	HTTP   string // a path; "" asks only for a connection
	Status int    // 0 is any from 200 to 399
	Within time.Duration
}

// Verify watches an assembly after it serves: it fails when the probe does, or a limit breaks.
type Verify struct {
	For   time.Duration
	Every time.Duration
	Probe Probe
	Run   string // a script, run each time; "" for none
	Line  int    `json:"-"`
}

// Bypassable says that a stage or a gate may be left out.
type Bypassable struct {
	By      []string      // roles; never empty
	Expires time.Duration // after which it does not count any more; 0 is never
	Line    int           `json:"-"`
}

// For is how long something stays left out, as the plan has it: "24h". It is "" without an end.
func (b Bypassable) For() string {
	if b.Expires == 0 {
		return ""
	}
	return shortDuration(b.Expires)
}

// Service is a server beside a stage, on the stage's own loopback.
type Service struct {
	Name  string
	Run   string
	Port  int
	Ready Probe
	Line  int `json:"-"`
}

// Secret is a value of the server that a stage is told.
type Secret struct {
	Name string // as the server knows it
	Env  string // the variable that holds it, or
	File string // the file below $GATE_SECRETS
}

// Approve asks people to accept the gate's subject: each approval is for one digest, or for one
// patch set where the gate is about the change.
type Approve struct {
	Min     int
	By, Not []string
	Expires time.Duration // 0 is never
	Line    int           `json:"-"`

	Members []string // of By
}

// Metric asks that a number which a stage measured keeps a limit.
type Metric struct {
	Name     string
	Min, Max *float64
	// Against and Worse ask that the number is at most Worse (0.1 is a tenth) worse than that of
	// the artifact which runs in the environment Against. Higher is worse with a Max or with
	// Lower set, lower is worse otherwise.
	Against string
	Worse   float64
	Lower   bool
	Line    int `json:"-"`
}

// Soak asks that the artifact has served in an environment without a break.
type Soak struct {
	Environment string
	Min         time.Duration
	Line        int `json:"-"`
}

// GateEvidence asks that other gates are open for the artifact: `evidence` in the file.
type GateEvidence struct {
	Gates []string
	Fresh time.Duration // 0 is any age
	// RefuseBypassed asks that they are OPEN and were not left out.
	RefuseBypassed bool
	Line           int `json:"-"`
}

// Window asks for a time at which it is not denied.
type Window struct {
	Deny []Freeze
	Line int `json:"-"`
}

// External asks for a status that somebody outside posts.
type External struct {
	Context string
	By      []string // roles whose accounts may post it; empty: everybody who may
	Line    int      `json:"-"`

	Members []string
}

func (Approve) criterion()      {}
func (Metric) criterion()       {}
func (Soak) criterion()         {}
func (GateEvidence) criterion() {}
func (Window) criterion()       {}
func (External) criterion()     {}

// Approval is one person's acceptance of one digest, or of one patch set, at one gate.
type Approval struct {
	Gate   string
	By     string
	Groups []string
	Is     []string // what the person is to the change: Author, Uploader, Committer
	At     time.Time
	// OfChange says that it is of the patch set: it counts at gates about the change alone, and no
	// other does there.
	OfChange bool
}

// Measured is a number that a stage reported.
type Measured struct {
	Value float64
	Stage string
	At    time.Time
}

// Soaked is how long an artifact has served in an environment.
type Soaked struct {
	Ready bool      // it serves now
	Since time.Time // of the stretch that still lasts, or of the one that was longest
	For   time.Duration
}

// Status is what somebody outside says about a commit or a digest.
type Status struct {
	Context string
	State   StageState // Passed, Failed, Errored or Running
	By      string
	Groups  []string
	URL     string
	At      time.Time
	// OfChange says that it is about the commit of the patch set, of which nothing is built: gates
	// about artifacts do not hear it.
	OfChange bool
}

// Bypass is the record of a stage or a gate that was left out.
type Bypass struct {
	Node   string
	By     string
	Reason string
	// Outcome is the one that leaves the node out, "" when a person did for one candidate.
	Outcome string
	At      time.Time
	Until   time.Time // zero is for ever
}
