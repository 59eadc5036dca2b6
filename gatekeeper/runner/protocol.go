package runner

import "time"

// initArg is the first argument that makes this binary a stage's init; the second is the stage's
// work folder, so that a janitor can tell whose init it sees.
const initArg = "__stage-init"

// The open files that init is started with.
const (
	ordersFD = 3 // orders come in; its end is the order to die
	reportFD = 4 // reports go out
	outputFD = 5 // the stage's output
	exeFD    = 6 // this binary, which has no name inside the walls
)

// orders are what the server tells init, as one JSON value.
type orders struct {
	Mode      Mode
	Run       string
	Dir       string
	Env       []string
	User      int // -1: stay
	Memory    int64
	Processes int
	FileSize  int64
	OpenFiles int
	// Secrets are the files that init writes into the folder SecretsDir.
	Secrets    map[string][]byte
	SecretsDir string
	// Masked are the values that init keeps out of what services say.
	Masked   [][]byte
	Services []service
	// Root, View and Network are for an init that makes the walls itself.
	Root    string
	View    view
	Network bool
}

// report is what init tells the server, one JSON value each.
type report struct {
	Error   string // the walls or the shell could not be set up
	Started bool   // the shell runs, or a service
	Ended   bool   // it has ended:
	Code    int    // with this code, or -1
	Signal  int    // by this signal, or 0
	Unready string // or did not begin, because a service is not ready: why
	Over    string // or because init ended it: the limit that the stage passed
}

// Limits that init watches over.
const (
	overMemory    = "memory"
	overProcesses = "processes"
)

const (
	// killRounds and killPause bound the wait for killed processes to be gone: five seconds.
	killRounds = 250
	killPause  = 20 * time.Millisecond
	// fewProcesses are not likely to multiply while we pause.
	fewProcesses = 20
)

// pause is the wait between two looks at dying processes, of which the kernel does not tell.
func pause() { time.Sleep(killPause) }

// order is what init is told of j.
func (j *job) order() orders {
	o := orders{
		Mode: j.runner.Sandbox, Run: j.req.Stage.Run, Dir: workAt, Env: j.env(), User: j.user,
		Memory: j.limits.Memory, Processes: j.limits.Processes, FileSize: j.limits.FileSize, OpenFiles: j.limits.OpenFiles,
		Secrets: j.secretFiles(), SecretsDir: j.secretsDir(), Services: j.services(),
	}
	if len(o.Services) > 0 {
		for _, s := range j.req.Secrets {
			o.Masked = append(o.Masked, s.Value)
		}
	}
	switch o.Mode {
	case None:
		o.Dir = j.tree
	case Embedded:
		o.Root, o.View, o.Network = j.dir+"/root", j.view, j.req.Stage.Network
	case Bubblewrap:
	}
	return o
}
