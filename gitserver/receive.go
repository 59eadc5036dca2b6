package gitserver

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
)

// exchange is one push as its transport hands it over, after the advertisement.
type exchange struct {
	actor account.Actor
	repo  repo.Repository
	git   *git.Repo
	in    *input
	out   io.Writer
	flush func() error
	// abort ends pending reads and writes: the client is given up.
	abort func()
	// packEnd, when set, is called once the pack has been taken.
	packEnd func() error
}

// errGone is the cause of a context that ends because the client did.
var errGone = errors.New("gitserver: the client is gone")

// maxForOptions bounds what may follow % in refs/for/BRANCH%OPTIONS, like a push option.
const maxForOptions = maxPushOption

// receive takes one push from its commands to its report. A nil error means that the client
// was answered, with words where it was refused. A *protocolError is returned only when the
// client had not said yet how it wants to be answered: then the transport tells it.
func (s *Server) receive(ctx context.Context, x exchange) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := readRequest(newPktReader(x.in.in)) // alone with it until the pack
	if req == nil && err == nil {
		return nil
	}
	p := &pushRun{server: s, x: x, req: req, band: &sideband{
		out: x.out, flush: x.flush, muxed: req.caps.sideband,
		onFail: func(error) { cancel(errGone) },
	}}
	defer p.discard()
	var broken *protocolError
	switch {
	case errors.As(err, &broken) && req.capsKnown:
		s.logPush(ctx, p, "malformed: "+broken.text)
		p.band.fatal(broken.Error())
		p.linger()
		return nil
	case err != nil:
		return err
	}
	stop := s.keepAlive(ctx, p.band)
	defer stop()
	p.check()
	p.take(ctx)
	p.decide(ctx)
	stop()
	return p.answer(ctx)
}

// pushRun is a push on its way.
type pushRun struct {
	server   *Server
	x        exchange
	req      *request
	band     *sideband
	outcomes []outcome
	// unpack is why the pack was not taken.
	unpack string
	// unread says that the client may still be sending.
	unread     bool
	quarantine *git.Quarantine
	err        error
}

// check refuses on the wire what no Decider needs to see.
func (p *pushRun) check() {
	refusedOne := false
	for _, c := range p.req.commands {
		o := outcome{command: c, result: Result{Ref: c.Ref}}
		err := p.req.refused
		if err == nil {
			err = checkCommand(c)
		}
		if err != nil {
			o.result.Reason = fault.Sentence(err)
			refusedOne = true
		}
		p.outcomes = append(p.outcomes, o)
	}
	p.unread = p.wantsPack()
	if p.req.refused != nil {
		p.explain(p.req.refused)
	} else if refusedOne && p.req.caps.atomic {
		p.refuseRest("another ref of this atomic push was refused")
	}
}

func (p *pushRun) wantsPack() bool {
	for _, c := range p.req.commands {
		if !c.New.IsZero() {
			return true
		}
	}
	return false
}

// open lists the commands that nobody refused yet.
func (p *pushRun) open() []Command {
	var open []Command
	for _, o := range p.outcomes {
		if o.result.Reason == "" {
			open = append(open, o.command)
		}
	}
	return open
}

func (p *pushRun) refuseRest(reason string) {
	for i := range p.outcomes {
		if p.outcomes[i].result.Reason == "" {
			p.outcomes[i].result.Reason = reason
		}
	}
}

// explain shows err to the client in full; report lines are short.
func (p *pushRun) explain(err error) {
	public, next := fault.Public(err)
	p.band.tell("error: " + public)
	if next != "" {
		p.band.tell("hint: " + next)
	}
}

// take brings the pack into quarantine and checks it.
func (p *pushRun) take(ctx context.Context) {
	if !p.unread || len(p.open()) == 0 {
		return
	}
	leave, err := enter(ctx, p.server.line().pushes)
	if err != nil {
		p.fail(err, "")
		return
	}
	defer leave()
	if p.quarantine, err = p.x.git.Quarantine(ctx); err != nil {
		p.fail(err, "")
		return
	}
	p.quarantine.Policy.MaxBlob = p.server.Limits.complete().File
	var progress io.Writer = io.Discard
	if p.band.muxed && !p.req.caps.quiet {
		progress = &progressWriter{to: p.band}
	}
	if err := p.quarantine.TakePack(ctx, p.x.in, p.server.Limits.Pack, progress); err != nil {
		p.unpack, _ = fault.Public(err)
		p.fail(err, "unpacker error")
		return
	}
	if p.x.packEnd != nil {
		if err := p.x.packEnd(); err != nil {
			p.unpack, _ = fault.Public(err)
			p.fail(err, "unpacker error")
			return
		}
	}
	p.unread = false
	var tips []git.OID
	for _, c := range p.open() {
		if !c.New.IsZero() {
			tips = append(tips, c.New)
		}
	}
	if err := p.quarantine.Check(ctx, tips); err != nil {
		p.fail(err, "")
	}
}

// fail refuses what is left, with reason or err's own words, and keeps err for the log.
func (p *pushRun) fail(err error, reason string) {
	p.err = err
	p.explain(err)
	if reason == "" {
		reason = fault.Sentence(err)
	}
	p.refuseRest(reason)
}

// decide asks the Decider about the commands that are left.
func (p *pushRun) decide(ctx context.Context) {
	defer p.discard() // in front of the report: who has it, finds nothing left behind
	commands := p.open()
	if len(commands) == 0 {
		return
	}
	if ctx.Err() != nil {
		p.fail(fault.Wrap(context.Cause(ctx), fault.Unavailable, "gitserver.Receive", "the connection ended"), "")
		return
	}
	push := &Push{
		Repo: p.x.repo, Git: p.x.git, Quarantine: p.quarantine, Actor: p.x.actor,
		Commands: commands, Options: p.req.options, Atomic: p.req.caps.atomic, Tell: p.band.tell,
	}
	if p.quarantine != nil {
		push.Git = p.quarantine.Repo()
	}
	results := map[string]Result{}
	for _, r := range p.server.Decide.Receive(ctx, push) {
		results[r.Ref] = r
	}
	for i, o := range p.outcomes {
		if o.result.Reason != "" {
			continue
		}
		r, ok := results[o.command.Ref]
		if !ok {
			r = Result{Ref: o.command.Ref, Reason: "the server gave no answer for this ref; its log says why"}
		}
		p.outcomes[i].result = r
	}
}

// discard drops what is left of the quarantine, which is nothing when it was migrated.
func (p *pushRun) discard() {
	if p.quarantine == nil {
		return
	}
	if err := p.quarantine.Discard(); err != nil {
		p.server.log().Error("quarantine not discarded", "repo", p.x.repo.Name, "err", err)
	}
	p.quarantine = nil
}

// answer sends the report and, when the client may still be sending, reads on for a while.
func (p *pushRun) answer(ctx context.Context) error {
	var text []byte
	if p.req.caps.report || p.req.caps.reportV2 {
		text = report(p.req.caps.reportV2, p.unpack, p.outcomes)
	}
	err := p.band.finish(text)
	result := "answered"
	if err != nil {
		result = "client gone"
	}
	p.server.logPush(ctx, p, result)
	if err != nil {
		// It hung up, as whoever waits with -o wait may at any time: nothing of the server failed.
		return fault.Wrap(err, fault.Unavailable, "gitserver.report", "the client is gone")
	}
	if p.unread {
		p.linger()
	}
	return nil
}

func (p *pushRun) linger() {
	timer := time.AfterFunc(lingerTime, p.x.abort)
	defer timer.Stop()
	_, _ = io.Copy(io.Discard, p.x.in) // until the client ends it or the time is up
}

// keepAlive sends an empty progress packet at each tick until stop is called.
func (s *Server) keepAlive(ctx context.Context, band *sideband) (stop func()) {
	ticks, stopTicks := s.ticker(s.Limits.complete().KeepAlive)
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticks:
				band.keepAlive()
			}
		}
	}()
	return sync.OnceFunc(func() {
		cancel()
		stopTicks()
		<-ended
	})
}

// checkCommand holds one command against the list of refs that a push may name at all.
func checkCommand(c Command) error {
	const op = "gitserver.checkCommand"
	target, isFor := strings.CutPrefix(c.Ref, "refs/for/")
	switch {
	case c.Old.IsZero() && c.New.IsZero():
		return refusal(op, "neither an old nor a new commit is named", "")
	case isFor:
		branch, options, _ := strings.Cut(target, "%")
		if c.New.IsZero() {
			return refusal(op, "refs/for/"+branch+" is no branch that could be deleted", "abandon the change instead")
		}
		if len(options) > maxForOptions || !utf8.ValidString(options) || strings.ContainsFunc(options, unsafeRune) {
			return refusal(op, "the options behind % are too long or contain control characters", "send long options with -o")
		}
		return git.CheckRefName("refs/heads/" + strings.TrimPrefix(branch, "refs/heads/"))
	case shown(c.Ref):
		return git.CheckRefName(c.Ref)
	case strings.HasPrefix(c.Ref, "refs/changes/"):
		return refusal(op, "refs/changes is kept by the server", "push to refs/for/BRANCH to add a patch set")
	default:
		return refusal(op, "this server takes pushes to refs/heads, refs/tags and refs/for alone", "push to refs/for/BRANCH for review")
	}
}

// logPush writes the one line that a push leaves in the log.
func (s *Server) logPush(ctx context.Context, p *pushRun, result string) {
	var done, refused []string
	for _, o := range p.outcomes {
		if o.result.Reason == "" {
			done = append(done, o.command.Ref)
		} else {
			refused = append(refused, o.command.Ref+": "+cleanReason(o.result.Reason))
		}
	}
	args := []any{"verb", string(receivePack), "repo", p.x.repo.Name, "actor", p.x.actor.Name,
		"method", p.x.actor.Method, "result", result, "done", done, "refused", refused}
	if p.err != nil {
		args = append(args, "err", p.err.Error())
	}
	if p.req.caps.agent != "" {
		args = append(args, "agent", p.req.caps.agent)
	}
	s.log().InfoContext(ctx, "push", args...)
}
