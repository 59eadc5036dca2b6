package main

import (
	"time"

	"gatehouse/gatekeeper/entrance"
	"gatehouse/gitserver/git"
	"gatehouse/web/forge"
)

// The workers of the second entrance: a forge that is slow holds up few others.
const (
	noticeWorkers = 4
	pollWorkers   = 2
	reportWorkers = 4
)

// entrances are the rooms of the second entrance, with their jobs.
func (a *app) entrances() (*entrance.Service, *forge.Service) {
	s := a.settings
	e := &entrance.Service{
		DB: a.db, Accounts: a.accounts, Repos: a.repos, Review: a.review, Gate: a.gate, Bus: a.bus, Now: time.Now, Log: a.log,
		Dir: s.folder("entrances"), Limits: git.PackLimits{Bytes: int64(s.MaxPack)}, MaxBlob: int64(s.MaxBlob),
	}
	f := &forge.Service{Entrances: e, Gate: a.gate, Bus: a.bus, Now: time.Now, Log: a.log, URL: s.URL, Client: a.notify.OutsideClient}
	e.API = f
	a.gate.Primary = e
	workers := map[string]int{entrance.JobNotice: noticeWorkers, entrance.JobPoll: pollWorkers, entrance.JobLanded: pollWorkers, entrance.JobRed: pollWorkers}
	for kind, handle := range e.Handlers() {
		a.jobs.Handle(kind, workers[kind], handle)
	}
	for kind, handle := range f.Handlers() {
		a.jobs.Handle(kind, reportWorkers, handle)
	}
	return e, f
}
