package api

import (
	"context"
	"encoding/base64"
	"strings"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/review"
)

// Amendment is an edit of a patch set without a working copy.
type Amendment struct {
	PatchSet int        `json:"patch_set" minimum:"1" doc:"The patch set that was looked at. When it is not the current one any more nothing is made."`
	Message  string     `json:"message,omitempty" maxLength:"65536" doc:"The new commit message; empty keeps it. The Change-Id stays."`
	Files    []FileEdit `json:"files,omitempty" maxItems:"200"`
	Title    string     `json:"title,omitempty" maxLength:"2000" doc:"What the change's story says about it."`
}

// FileEdit is what becomes of one file. To move one, delete it and write it elsewhere.
type FileEdit struct {
	Path    string `json:"path" minLength:"1" maxLength:"1024"`
	Content string `json:"content,omitempty" doc:"What the file holds afterwards."`
	Base64  bool   `json:"base64,omitempty" doc:"The content is encoded in base64, for what is not text."`
	Delete  bool   `json:"delete,omitempty"`
	Mode    string `json:"mode,omitempty" enum:"100644,100755" doc:"Empty keeps it."`
}

// Rebasing says onto what a change is moved.
type Rebasing struct {
	Onto     int64 `json:"onto,omitempty" minimum:"0" doc:"Another change of the same branch; 0 is the branch's tip."`
	PatchSet int   `json:"patch_set,omitempty" minimum:"0" doc:"The patch set that was looked at; 0 is the current one."`
}

// Pick says where a change is proposed too.
type Pick struct {
	Branch   string `json:"branch" minLength:"1" maxLength:"200"`
	PatchSet int    `json:"patch_set,omitempty" minimum:"0" doc:"0 is the current one."`
	Message  string `json:"message,omitempty" maxLength:"65536" doc:"The commit message; empty is that of the patch set, with where it came from."`
}

// Target is the branch that a change is for.
type Target struct {
	Branch string `json:"branch" minLength:"1" maxLength:"200"`
}

// Privacy says whether only a few see a change.
type Privacy struct {
	Private bool `json:"private"`
}

// Hashtags are words tied to a change, with or without the #.
type Hashtags struct {
	Add    []string `json:"add,omitempty" maxItems:"50"`
	Remove []string `json:"remove,omitempty" maxItems:"50"`
}

func (s *Server) actRoutes() {
	add(s, route{id: "amend", at: "POST /changes/{number}/amend", summary: "Edit the message or files: makes a patch set"}, s.amend)
	add(s, route{id: "rebase", at: "POST /changes/{number}/rebase", summary: "Move a change onto its branch, or onto another change: makes a patch set"}, s.rebase)
	add(s, route{id: "cherry-pick", at: "POST /changes/{number}/cherry-pick", summary: "Propose a change for another branch too; the answer is about the change made there"}, s.cherryPick)
	add(s, route{id: "revert", at: "POST /changes/{number}/revert", summary: "Propose to take a landed change back; the answer is about the change made for it"}, s.revert)
	add(s, route{id: "retarget", at: "POST /changes/{number}/branch", summary: "Propose a change for another branch instead: its votes are void"}, s.retarget)
	add(s, route{id: "set-private", at: "POST /changes/{number}/private", summary: "Hide a change from all but its owner, its reviewers and administrators, or show it"}, s.setPrivate)
	add(s, route{id: "replay-plan", at: "POST /repositories/{repository}/replay", summary: "Say which past decisions on a branch a plan would have made otherwise; nothing is changed"}, s.replay)
	add(s, route{id: "set-hashtags", at: "POST /changes/{number}/hashtags", summary: "Tie words to a change, and take others off"}, s.setHashtags)
}

func (s *Server) amend(ctx context.Context, who account.Actor, in *struct {
	ChangePath
	body[Amendment]
}) (*answer[gatekeeper.Explanation], error) {
	a := review.Amendment{Message: in.Body.Message, Title: in.Body.Title}
	for _, f := range in.Body.Files {
		content := []byte(f.Content)
		if f.Base64 {
			var err error
			if content, err = base64.StdEncoding.DecodeString(f.Content); err != nil {
				return nil, fault.New(fault.Invalid, "api.amend", "the content of "+f.Path+" is not base64", "send it as text, or encode it")
			}
		}
		a.Files = append(a.Files, review.FileEdit{Path: f.Path, Content: content, Delete: f.Delete, Mode: f.Mode})
	}
	return s.act(ctx, who, in.Number, func() error {
		_, err := s.Review.Amend(ctx, who, in.Number, in.Body.PatchSet, a)
		return err
	})
}

func (s *Server) rebase(ctx context.Context, who account.Actor, in *struct {
	ChangePath
	body[Rebasing]
}) (*answer[gatekeeper.Explanation], error) {
	return s.act(ctx, who, in.Number, func() error {
		_, err := s.Review.Rebase(ctx, who, in.Number, in.Body.PatchSet, in.Body.Onto)
		return err
	})
}

func (s *Server) cherryPick(ctx context.Context, who account.Actor, in *struct {
	ChangePath
	body[Pick]
}) (*answer[gatekeeper.Explanation], error) {
	if err := person(who); err != nil {
		return nil, err
	}
	h, err := s.Review.CherryPick(ctx, who, in.Number, in.Body.PatchSet, in.Body.Branch, in.Body.Message)
	if err != nil {
		return nil, err
	}
	return s.explained(ctx, who, h.Change.ID)
}

func (s *Server) revert(ctx context.Context, who account.Actor, in *reasonIn) (*answer[gatekeeper.Explanation], error) {
	if err := person(who); err != nil {
		return nil, err
	}
	h, err := s.Review.Revert(ctx, who, in.Number, in.Body.Message)
	if err != nil {
		return nil, err
	}
	return s.explained(ctx, who, h.Change.ID)
}

func (s *Server) retarget(ctx context.Context, who account.Actor, in *struct {
	ChangePath
	body[Target]
}) (*answer[gatekeeper.Explanation], error) {
	return s.act(ctx, who, in.Number, func() error { return s.Review.Retarget(ctx, who, in.Number, in.Body.Branch) })
}

func (s *Server) setPrivate(ctx context.Context, who account.Actor, in *struct {
	ChangePath
	body[Privacy]
}) (*answer[gatekeeper.Explanation], error) {
	return s.act(ctx, who, in.Number, func() error { return s.Review.SetPrivate(ctx, who, in.Number, in.Body.Private) })
}

func (s *Server) setHashtags(ctx context.Context, who account.Actor, in *struct {
	ChangePath
	body[Hashtags]
}) (*answer[gatekeeper.Explanation], error) {
	return s.act(ctx, who, in.Number, func() error { return s.Review.SetHashtags(ctx, who, in.Number, in.Body.Add, in.Body.Remove) })
}

// maxReplayed is how far back a replay goes.
const maxReplayed = 366 * 24 * time.Hour

// PlanReplay is a plan that is tried on past decisions.
type PlanReplay struct {
	Branch string    `json:"branch,omitempty" maxLength:"200" doc:"Empty is the default branch."`
	Since  time.Time `json:"since" doc:"Decisions before this are left out; at most a year."`
	Plan   string    `json:"plan,omitempty" maxLength:"1000000" doc:"The text of the plan; empty is the branch's own."`
}

func (s *Server) replay(ctx context.Context, who account.Actor, in *struct {
	Repository string `path:"repository" maxLength:"100"`
	body[PlanReplay]
}) (*answer[gatekeeper.Replay], error) {
	if age := s.Now().Sub(in.Body.Since); age < 0 || age > maxReplayed {
		return nil, fault.New(fault.Invalid, "api.replay", "a replay looks back at most a year, and not ahead", "give a later moment")
	}
	var text []byte
	if in.Body.Plan != "" {
		text = []byte(in.Body.Plan)
	}
	out, err := s.Gate.Replay(ctx, who, strings.ReplaceAll(in.Repository, "~", "/"), in.Body.Branch, in.Body.Since, text)
	if err != nil {
		return nil, err
	}
	return &answer[gatekeeper.Replay]{out}, nil
}
