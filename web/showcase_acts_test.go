package web

import (
	"gatehouse/gatekeeper"
)

// showActs gives the second change what its owner can do to it without a working copy.
func (w *world) showActs() {
	w.t.Helper()
	ctx := w.t.Context()
	w.must(w.web.Review.SetHashtags(ctx, w.actor("alice"), 2, []string{"greeting", "easy"}, nil))
	w.gate.likely = &gatekeeper.WhatIf{If: []string{"bob or carol approves", "unit passes"}, Queues: true, State: gatekeeper.Ready,
		Outcome: "it would queue behind change 3 (about 4\u20139 min)"}
}

// actPages are the pages of acts.
func (w *world) actPages() []pageOf {
	return []pageOf{{"acts", "alice", "/c/2/acts"}, {"edit", "alice", "/c/2/edit"}, {"edit-file", "alice", "/c/2/edit/server.go"}, {"edit-new", "alice", "/c/2/edit/docs/limits.md"},
		{"what-if", "alice", "/c/2?if="}}
}
