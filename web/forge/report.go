package forge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/entrance"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
)

// Tell asks for a report of each change and run about which there is news.
func (s *Service) Tell(ctx context.Context) error {
	news, err := s.Entrances.News(ctx)
	if err != nil {
		return err
	}
	var keys []string
	s.mu.Lock()
	if s.seen == nil || len(s.seen) > maxSeen {
		s.seen = map[string]string{}
	}
	asked := map[string]string{}
	for _, n := range news {
		key := "c" + strconv.FormatInt(n.Change, 10)
		if n.Run != 0 {
			key = "r" + strconv.FormatInt(n.Run, 10)
		}
		if s.seen[key] != n.Stamp {
			asked[key] = n.Stamp
			keys = append(keys, key)
		}
	}
	s.mu.Unlock()
	if len(keys) == 0 {
		return nil
	}
	err = s.Entrances.DB.Transact(ctx, func(tx *db.Tx) error {
		for _, key := range keys {
			if err := tx.Enqueue(ctx, db.Job{Kind: JobReport, Key: key}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(s.seen, asked)
	return nil
}

// report is the job of one change or run: it tells its forge what it was not told yet.
func (s *Service) report(ctx context.Context, key string) (time.Duration, error) {
	id, err := strconv.ParseInt(key[min(len(key), 1):], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("forge: job %q: %w", key, err)
	}
	var e entrance.Entrance
	var all []Status
	if strings.HasPrefix(key, "r") {
		e, all, err = s.ofRun(ctx, id)
	} else {
		e, all, err = s.ofChange(ctx, id)
	}
	if fault.Is(err, fault.NotFound) || err == nil && len(all) == 0 {
		return 0, nil // nobody is to be told any more
	}
	if err != nil {
		return 0, err
	}
	return s.tellAll(ctx, e, all)
}

// tellAll sends what differs from what was sent, in order. A forge that wants to be left alone
// is; one that refuses a status has it refused until it is another.
func (s *Service) tellAll(ctx context.Context, e entrance.Entrance, all []Status) (time.Duration, error) {
	token, err := s.Entrances.Token(e)
	if err != nil {
		return 0, err
	}
	sent, err := s.Entrances.Sent(ctx, e, all[0].Commit)
	if err != nil {
		return 0, err
	}
	for _, st := range all {
		text := string(st.State) + " " + st.Words
		if sent[st.Name] == text {
			continue
		}
		err := s.send(ctx, e, token, st)
		var pause *pauseError
		switch {
		case errors.As(err, &pause):
			s.Log.Info("forge: a report waits", "entrance", e.ID, "for", pause.after)
			return pause.after, nil
		case err != nil && (ctx.Err() != nil || fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Internal)):
			return 0, err // the engine tries again
		case err != nil:
			s.Log.Warn("forge: a status was refused", "entrance", e.ID, "commit", st.Commit, "name", st.Name, "err", err)
			if err := s.Entrances.NoteReason(ctx, e, "a status was refused: "+fault.Sentence(err)); err != nil {
				return 0, err
			}
		}
		if err := s.Entrances.NoteSent(ctx, e, st.Commit, st.Name, text); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// reports reports whether an entrance is told anything.
func reports(e entrance.Entrance) bool {
	return e.Report != "" && e.API != "" && e.Forge != entrance.Plain && e.Project != ""
}

// reader is in whose name we look: nothing is told to a forge that the account which stands
// for it may not read.
func (s *Service) reader(ctx context.Context, e entrance.Entrance) (account.Actor, error) {
	return s.Entrances.Accounts.Actor(ctx, s.Entrances.DB.Read(), e.Account, "forge")
}

// ofChange is what the forge of a change is to be told about its newest patch set.
func (s *Service) ofChange(ctx context.Context, id int64) (entrance.Entrance, []Status, error) {
	q := s.Entrances.DB.Read()
	o, came, err := s.Entrances.OriginOf(ctx, q, id)
	if err != nil || !came {
		return entrance.Entrance{}, nil, err
	}
	e, err := s.Entrances.ByID(ctx, q, o.Entrance)
	if err != nil || !reports(e) {
		return e, nil, err
	}
	c, err := s.Entrances.Review.Load(ctx, q, id)
	if err != nil {
		return e, nil, err
	}
	set, err := s.Entrances.Review.PatchSet(ctx, q, id, c.Current)
	if err != nil {
		return e, nil, err
	}
	if set.Uploader != e.Account {
		return e, nil, nil // made here: the forge does not know this commit
	}
	reader, err := s.reader(ctx, e)
	if err != nil {
		return e, nil, err
	}
	x, err := s.Gate.Explain(ctx, reader, id)
	if err != nil {
		return e, nil, err
	}
	sent, err := s.Entrances.Sent(ctx, e, set.Commit)
	if err != nil {
		return e, nil, err
	}
	return e, statuses(e, o, set.Commit, x, slices.Sorted(maps.Keys(sent))), nil
}

// statuses are one for each gate, and one for the way to the branch. Of a change that has
// landed every gate that was told is told open, because it was.
func statuses(e entrance.Entrance, o entrance.Origin, commit git.OID, x gatekeeper.Explanation, told []string) []Status {
	all := []Status{}
	land := Status{Commit: commit, Number: o.Number, Name: e.Report + "/land", State: Pending, Words: x.Summary, URL: x.URL}
	switch x.State {
	case gatekeeper.Queued, gatekeeper.Landing:
		land.Words = "in the queue of " + x.Branch // and not how long yet: that would be told each minute
	case gatekeeper.Landed:
		land.State = Success
		for _, name := range told {
			if name != land.Name && e.Forge != entrance.Gerrit {
				all = append(all, Status{Commit: commit, Number: o.Number, Name: name, State: Success, Words: "open when it landed", URL: x.URL})
			}
		}
	case gatekeeper.Refused, gatekeeper.Conflict:
		land.State = Failure
	case gatekeeper.Abandoned:
		land.State = Errored
	}
	if e.Forge == entrance.Gerrit {
		return gerritStatus(o, commit, x)
	}
	for _, r := range x.Requirements {
		if r.Kind == "gate" {
			all = append(all, Status{Commit: commit, Number: o.Number, Name: e.Report + "/" + r.Name, State: stateOf(r.State), Words: r.Reason, URL: x.URL})
		}
	}
	return append(all, land)
}

// stateOf is a gate's state as forges show it.
func stateOf(state string) State {
	switch plan.GateState(state) {
	case plan.Open:
		return Success
	case plan.Refused:
		return Failure
	case plan.GateErrored:
		return Errored
	default:
		return Pending
	}
}

// gerritStatus is one vote: what the stages say, because people vote there themselves.
func gerritStatus(o entrance.Origin, commit git.OID, x gatekeeper.Explanation) []Status {
	st := Status{Commit: commit, Number: o.Number, Name: verifiedLabel, State: Success, Words: x.Summary, URL: x.URL}
	if x.State == gatekeeper.Landed { // every stage before the branch had passed
		return []Status{st}
	}
	stages := 0
	for _, r := range x.Requirements {
		if r.Kind != "stage" {
			continue
		}
		stages++
		switch plan.StageState(r.State) {
		case plan.Passed, plan.Skipped:
		case plan.Failed, plan.TimedOut:
			st.State, st.Words = Failure, r.Name+" "+r.Reason
			return []Status{st}
		default:
			st.State = Pending
		}
	}
	if stages == 0 || st.State == Pending {
		return nil // nothing to say yet: a vote that is taken back and given again is two mails
	}
	st.Words = "the stages have passed"
	return []Status{st}
}

// ofRun is what a forge is told about a commit that landed there, or that its merge queue asks about.
func (s *Service) ofRun(ctx context.Context, id int64) (entrance.Entrance, []Status, error) {
	at, commit, err := s.Entrances.RunOf(ctx, id)
	if err != nil || at == 0 {
		return entrance.Entrance{}, nil, err
	}
	e, err := s.Entrances.ByID(ctx, s.Entrances.DB.Read(), at)
	if err != nil || !reports(e) || e.Forge == entrance.Gerrit {
		return e, nil, err
	}
	reader, err := s.reader(ctx, e)
	if err != nil {
		return e, nil, err
	}
	run, err := s.Gate.RunOf(ctx, reader, id)
	if err != nil {
		return e, nil, err
	}
	st := Status{Commit: commit, Name: e.Report + "/stages", State: Pending, Words: "the stages run", URL: s.URL}
	switch run.State {
	case gatekeeper.RunPassed:
		st.State, st.Words = Success, "the stages have passed"
	case gatekeeper.RunRefused:
		st.State, st.Words = Failure, run.Reason
		if st.URL, err = s.redPage(ctx, id); err != nil {
			return e, nil, err
		}
		v, made, err := s.Entrances.RevertOfRun(ctx, id)
		if err != nil {
			return e, nil, err
		}
		if made && v.Change != 0 {
			st.Words += fmt.Sprintf("; change %d takes it back", v.Change)
		}
	case gatekeeper.RunErrored, gatekeeper.RunSuperseded, gatekeeper.RunCanceled:
		st.State, st.Words = Errored, run.Reason
	case gatekeeper.RunRunning:
	}
	return e, []Status{st}, nil
}

// redPage is the page that shows why a run was refused.
func (s *Service) redPage(ctx context.Context, run int64) (string, error) {
	_, page, err := s.Gate.Red(ctx, run)
	if page == "" {
		page = s.URL
	}
	return page, err
}
