// Package gatekeeper is the controller: it turns what happened into what lands.
//
// Nothing acts directly on an outside event. A push, a vote or a finished stage writes its
// row and asks for a look at its branch; [Controller.Tick] looks: under the locks of the
// branches that share a queue it repairs what a crash cut, takes the results in, rebuilds the
// state of the pure queue from the rows, and carries out what that asks for, until it asks
// for nothing. A tick decides from the rows alone, so a tick too many is harmless and a
// restart is only another tick.
//
// A candidate holds one or several patch sets on the branch's tip with others folded onto it.
// Each step of that is merged once and kept (candidate_make.go), so that the same patch sets
// on the same base are the same commit. A landing moves any number of branches over any number
// of candidates (land.go): an intent for each change, one ref transaction for each repository,
// an outcome for each change; repair brings a landing that was cut to one end for all of it.
//
// Invariants kept here: the commit that a branch moves to passed every stage, on exactly that
// commit or, where only other lanes landed below it since, on one for which each stage read
// the same, and the move is a compare-and-swap on the tip that it was made for (I2); a gated
// branch moves only through [round.land] (I3); the gates of each change are judged again in
// the transaction that writes the landing intents (I4, I5); a change lands at most once, held
// by a unique index, and what must land together lands in one landing (I6); a stage result is
// taken once, and only from the attempt that holds the lease of a run that counts (I7); a plan
// that cannot be read closes the branch (I13).
package gatekeeper
