package api

import (
	"context"
	"strconv"
	"time"

	"gatehouse/gatekeeper/entrance"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
)

// Entrance is another server where changes of a repository are proposed.
type Entrance struct {
	ID        int64            `json:"id"`
	Forge     string           `json:"forge" enum:"github,gitlab,gitea,forgejo,gerrit,plain"`
	Primary   string           `json:"primary" doc:"The address of its git repository: the only one that is fetched from and pushed to."`
	Username  string           `json:"username,omitempty"`
	PublicKey string           `json:"public_key,omitempty" doc:"Over SSH: the key to let in there."`
	API       string           `json:"api,omitempty"`
	Project   string           `json:"project,omitempty"`
	Hook      string           `json:"hook" doc:"Where that server's webhooks go."`
	Events    []string         `json:"events" doc:"What is acted upon; none is all."`
	Lands     string           `json:"lands" enum:"push,merge,none"`
	Reviews   string           `json:"reviews,omitempty" doc:"count: an approval there is a vote here."`
	Report    string           `json:"report,omitempty" doc:"What the names of statuses begin with; none are sent when it is empty."`
	Outcome   string           `json:"outcome,omitempty" doc:"How far what comes in is meant to go."`
	Submit    bool             `json:"submit" doc:"What comes in asks to land by itself."`
	RevertRed bool             `json:"revert_red" doc:"What landed there without us and is red is proposed to be taken back."`
	Poll      string           `json:"poll,omitempty" doc:"How often it is looked at, as 1m0s."`
	LookedAt  *time.Time       `json:"looked_at,omitempty"`
	Reason    string           `json:"reason,omitempty" doc:"Why it does not do all that it should."`
	Branches  []EntranceBranch `json:"branches,omitempty"`
	People    []EntrancePerson `json:"people,omitempty"`
	Reverts   []EntranceRevert `json:"reverts,omitempty" doc:"What was decided about the last red commits that landed there without us, newest first."`
	Secret    string           `json:"secret,omitempty" doc:"One that was made: shown now and never again."`
}

// EntranceBranch is a branch whose primary is there.
type EntranceBranch struct {
	Branch string     `json:"branch"`
	Commit string     `json:"commit" doc:"Where it is there."`
	State  string     `json:"state" enum:"synced,rewritten,refused,away"`
	Reason string     `json:"reason,omitempty"`
	SeenAt *time.Time `json:"seen_at,omitempty"`
}

// EntranceRevert is what was decided about a red commit.
type EntranceRevert struct {
	Branch string    `json:"branch"`
	Commit string    `json:"commit"`
	Change int64     `json:"change,omitempty" doc:"That takes it back."`
	Reason string    `json:"reason,omitempty" doc:"Why there is none."`
	At     time.Time `json:"at"`
}

// EntranceChange sets what can be changed of an entrance; what is left out stays.
type EntranceChange struct {
	RevertRed *bool `json:"revert_red,omitempty" doc:"Propose to take back what landed there without us and is red."`
}

// EntrancePerson is who a login there is here.
type EntrancePerson struct {
	Login   string `json:"login" maxLength:"100"`
	Account string `json:"account,omitempty" maxLength:"100" doc:"Left out, the login is forgotten."`
}

// NewEntrance is what an entrance is made of.
type NewEntrance struct {
	Forge    string   `json:"forge" enum:"github,gitlab,gitea,forgejo,gerrit,plain"`
	Primary  string   `json:"primary" maxLength:"2000" doc:"https://…, ssh://…, or for administrators a path on the server or http://…"`
	Username string   `json:"username,omitempty" maxLength:"200"`
	API      string   `json:"api,omitempty" maxLength:"500" doc:"Left out, it is where the forge usually has it."`
	Project  string   `json:"project,omitempty" maxLength:"200" doc:"Left out, it is what the address ends in."`
	Events   []string `json:"events,omitempty" maxItems:"20"`
	Lands    string   `json:"lands,omitempty" enum:",push,merge,none"`
	Reviews  string   `json:"reviews,omitempty" enum:",count"`
	Report   string   `json:"report,omitempty" maxLength:"40" doc:"none sends none; left out, it is gatehouse."`
	Outcome  string   `json:"outcome,omitempty" maxLength:"40" doc:"An outcome of the plan; left out, the usual."`
	Submit   bool     `json:"submit,omitempty"`
	Revert   bool     `json:"revert_red,omitempty" doc:"Propose to take back what landed there without us and is red."`
	Poll     int      `json:"poll_seconds,omitempty" minimum:"0" maximum:"86400" doc:"How often it is looked at; 0 waits for webhooks."`
	Secret   string   `json:"secret,omitempty" maxLength:"4000" doc:"What deliveries are signed with; one is made when it is left out."`
	Token    string   `json:"token,omitempty" maxLength:"4000" doc:"For its API, and over https for git."`
}

// EntranceSecrets replaces secrets.
type EntranceSecrets struct {
	Secret string `json:"secret,omitempty" maxLength:"4000"`
	Token  string `json:"token,omitempty" maxLength:"4000"`
}

// EntranceAccept names a branch whose primary was rewritten.
type EntranceAccept struct {
	Branch string `json:"branch" maxLength:"200"`
}

// EntranceDelivery is what an entrance was told, and what was decided.
type EntranceDelivery struct {
	ID       int64      `json:"id"`
	Delivery string     `json:"delivery" doc:"Its sender's name for it."`
	Event    string     `json:"event"`
	Kind     string     `json:"kind,omitempty" doc:"What it means here: change, closed, pushed, group, comment, label or review."`
	Number   int64      `json:"number,omitempty"`
	State    string     `json:"state" enum:"REJECTED,DUPLICATE,VERIFIED,ACCEPTED,IGNORED"`
	Reason   string     `json:"reason,omitempty"`
	Change   int64      `json:"change,omitempty"`
	At       time.Time  `json:"at"`
	DoneAt   *time.Time `json:"done_at,omitempty"`
}

// EntrancePath names an entrance in a path.
type EntrancePath struct {
	RepositoryPath
	ID int64 `path:"id"`
}

func (s *Server) entranceRoutes() {
	const all = "/repositories/{repository}/entrances"
	add(s, route{id: "list-entrances", at: "GET " + all, summary: "List the servers where changes are proposed too"}, s.listEntrances)
	add(s, route{id: "add-entrance", at: "POST " + all, summary: "Add an entrance", status: 201}, s.addEntrance)
	add(s, route{id: "get-entrance", at: "GET " + all + "/{id}", summary: "Show an entrance, its branches and people"}, s.getEntrance)
	add(s, route{id: "set-entrance", at: "PATCH " + all + "/{id}", summary: "Change how an entrance acts"}, s.setEntrance)
	add(s, route{id: "remove-entrance", at: "DELETE " + all + "/{id}", summary: "Remove an entrance; the other server stays as it is"}, s.removeEntrance)
	add(s, route{id: "rotate-entrance", at: "POST " + all + "/{id}/rotate", summary: "Replace the secret, or the token; the secret before counts for a day"}, s.rotateEntrance)
	add(s, route{id: "look-entrance", at: "POST " + all + "/{id}/look", summary: "Look now what is proposed there"}, s.lookEntrance)
	add(s, route{id: "accept-entrance", at: "POST " + all + "/{id}/accept", summary: "Follow a primary that was rewritten"}, s.acceptEntrance)
	add(s, route{id: "set-entrance-person", at: "PUT " + all + "/{id}/people", summary: "Say who a login there is here"}, s.setEntrancePerson)
	add(s, route{id: "list-entrance-deliveries", at: "GET " + all + "/{id}/deliveries", summary: "List what an entrance was told, newest first"}, s.listEntranceDeliveries)
}

func (s *Server) entranceOf(e entrance.Entrance) Entrance {
	out := Entrance{
		ID: e.ID, Forge: string(e.Forge), Primary: e.Address, Username: e.Username, PublicKey: e.PublicKey, API: e.API, Project: e.Project,
		Hook: s.URL + "/hooks/" + strconv.FormatInt(e.ID, 10), Events: []string{}, Lands: e.Lands, Reviews: e.Reviews, Report: e.Report, Outcome: e.Outcome, Submit: e.Submit, RevertRed: e.RevertRed,
		LookedAt: moment(e.LookedAt), Reason: e.Reason,
	}
	for _, k := range e.Events {
		out.Events = append(out.Events, string(k))
	}
	if e.Poll != 0 {
		out.Poll = e.Poll.String()
	}
	return out
}

func (s *Server) listEntrances(ctx context.Context, who account.Actor, in *RepositoryPath) (*answer[list[Entrance]], error) {
	r, err := s.repository(ctx, who, in.Repository, account.Own)
	if err != nil {
		return nil, err
	}
	found, err := s.Entrances.List(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	var all []Entrance
	for _, e := range found {
		all = append(all, s.entranceOf(e))
	}
	return listed(all), nil
}

func (s *Server) addEntrance(ctx context.Context, who account.Actor, in *struct {
	RepositoryPath
	body[NewEntrance]
}) (*answer[Entrance], error) {
	r, err := s.repository(ctx, who, in.Repository, account.Own)
	if err != nil {
		return nil, err
	}
	b := in.Body
	n := entrance.NewEntrance{
		Forge: entrance.Forge(b.Forge), Address: b.Primary, Username: b.Username, API: b.API, Project: b.Project, Lands: b.Lands, Reviews: b.Reviews,
		Report: b.Report, Outcome: b.Outcome, Submit: b.Submit, RevertRed: b.Revert, Poll: time.Duration(b.Poll) * time.Second, Secret: b.Secret, Token: b.Token,
		// A folder of the server's machine, or its own network, reaches what the server can.
		AllowLocal: s.may(ctx, who, account.Administer, account.Resource{}) == nil,
	}
	for _, k := range b.Events {
		n.Events = append(n.Events, entrance.Kind(k))
	}
	made, secret, err := s.Entrances.Add(ctx, r, who, n)
	if err != nil {
		return nil, err
	}
	out := s.entranceOf(made)
	out.Secret = secret
	return &answer[Entrance]{out}, nil
}

// theEntrance finds an entrance of a repository that who owns.
func (s *Server) theEntrance(ctx context.Context, who account.Actor, in EntrancePath) (repo.Repository, entrance.Entrance, error) {
	r, err := s.repository(ctx, who, in.Repository, account.Own)
	if err != nil {
		return r, entrance.Entrance{}, err
	}
	e, err := s.Entrances.Of(ctx, r.ID, in.ID)
	return r, e, err
}

func (s *Server) getEntrance(ctx context.Context, who account.Actor, in *EntrancePath) (*answer[Entrance], error) {
	_, e, err := s.theEntrance(ctx, who, *in)
	if err != nil {
		return nil, err
	}
	out := s.entranceOf(e)
	branches, err := s.Entrances.Branches(ctx, e)
	if err != nil {
		return nil, err
	}
	for _, b := range branches {
		out.Branches = append(out.Branches, EntranceBranch{Branch: b.Name, Commit: string(b.Outside), State: b.State, Reason: b.Reason, SeenAt: moment(b.SeenAt)})
	}
	reverts, err := s.Entrances.Reverts(ctx, e)
	if err != nil {
		return nil, err
	}
	for _, v := range reverts {
		out.Reverts = append(out.Reverts, EntranceRevert{Branch: v.Branch, Commit: string(v.Commit), Change: v.Change, Reason: v.Reason, At: v.At})
	}
	people, err := s.Entrances.People(ctx, e)
	if err != nil {
		return nil, err
	}
	var ids []int64
	for _, p := range people {
		ids = append(ids, p.Account)
	}
	name, err := s.named(ctx, ids...)
	if err != nil {
		return nil, err
	}
	for _, p := range people {
		out.People = append(out.People, EntrancePerson{Login: p.Login, Account: name(p.Account)})
	}
	return &answer[Entrance]{out}, nil
}

func (s *Server) setEntrance(ctx context.Context, who account.Actor, in *struct {
	EntrancePath
	body[EntranceChange]
}) (*answer[Entrance], error) {
	_, e, err := s.theEntrance(ctx, who, in.EntrancePath)
	if err != nil {
		return nil, err
	}
	if on := in.Body.RevertRed; on != nil {
		if e, err = s.Entrances.SetRevertRed(ctx, e, *on); err != nil {
			return nil, err
		}
	}
	return &answer[Entrance]{s.entranceOf(e)}, nil
}

func (s *Server) removeEntrance(ctx context.Context, who account.Actor, in *EntrancePath) (*nothing, error) {
	_, e, err := s.theEntrance(ctx, who, *in)
	if err != nil {
		return nil, err
	}
	return nil, s.Entrances.Remove(ctx, e)
}

func (s *Server) rotateEntrance(ctx context.Context, who account.Actor, in *struct {
	EntrancePath
	body[EntranceSecrets]
}) (*answer[Entrance], error) {
	_, e, err := s.theEntrance(ctx, who, in.EntrancePath)
	if err != nil {
		return nil, err
	}
	made, err := s.Entrances.Rotate(ctx, e, in.Body.Secret, in.Body.Token)
	if err != nil {
		return nil, err
	}
	out := s.entranceOf(e)
	out.Secret = made
	return &answer[Entrance]{out}, nil
}

func (s *Server) lookEntrance(ctx context.Context, who account.Actor, in *EntrancePath) (*nothing, error) {
	_, e, err := s.theEntrance(ctx, who, *in)
	if err != nil {
		return nil, err
	}
	return nil, s.Entrances.Look(ctx, e)
}

func (s *Server) acceptEntrance(ctx context.Context, who account.Actor, in *struct {
	EntrancePath
	body[EntranceAccept]
}) (*nothing, error) {
	r, e, err := s.theEntrance(ctx, who, in.EntrancePath)
	if err != nil {
		return nil, err
	}
	return nil, s.Entrances.Accept(ctx, who, r, e, in.Body.Branch)
}

func (s *Server) setEntrancePerson(ctx context.Context, who account.Actor, in *struct {
	EntrancePath
	body[EntrancePerson]
}) (*nothing, error) {
	_, e, err := s.theEntrance(ctx, who, in.EntrancePath)
	if err != nil {
		return nil, err
	}
	id := int64(0)
	if in.Body.Account != "" {
		a, err := s.Accounts.ByName(ctx, s.DB.Read(), in.Body.Account)
		if fault.Is(err, fault.NotFound) {
			return nil, fault.Newf(fault.Invalid, "api.entrance", "there is no account called %q", in.Body.Account)
		}
		if err != nil {
			return nil, err
		}
		id = a.ID
	}
	return nil, s.Entrances.SetPerson(ctx, e, in.Body.Login, id)
}

func (s *Server) listEntranceDeliveries(ctx context.Context, who account.Actor, in *EntrancePath) (*answer[list[EntranceDelivery]], error) {
	_, e, err := s.theEntrance(ctx, who, *in)
	if err != nil {
		return nil, err
	}
	found, err := s.Entrances.Deliveries(ctx, e)
	if err != nil {
		return nil, err
	}
	var all []EntranceDelivery
	for _, d := range found {
		all = append(all, EntranceDelivery{ID: d.ID, Delivery: d.Name, Event: d.Event, Kind: string(d.Notice.Kind), Number: d.Notice.Number, State: string(d.State),
			Reason: d.Reason, Change: d.Change, At: d.At, DoneAt: moment(d.DoneAt)})
	}
	return listed(all), nil
}
