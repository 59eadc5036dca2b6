// Package gatekeeper is the controller: it turns what happened into what lands.
//
// Nothing acts directly on an outside event. A push, a vote or a finished stage writes its
// row and asks for a look at its branch; [Controller.Tick] looks: it repairs what a crash
// cut, takes the results in, asks the pure queue what to do, and does one thing at a time
// under the branch's lock. A tick decides from the rows alone, so a tick too many is
// harmless and a restart is only another tick.
//
// Invariants kept here: the commit that the stages ran on is the commit that the branch
// moves to, by compare-and-swap on the tip that it was made for (I2); a gated branch moves
// only through [Controller.land] (I3); votes are read again in the transaction that writes
// the landing intent (I4, I5); a change lands at most once, held by a unique index (I6); a
// stage result is taken once and only from the attempt that holds the lease (I7); a plan
// that cannot be read closes the branch (I13).
package gatekeeper
