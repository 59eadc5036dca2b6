// Package deliver carries out what package promote decides: it keeps the promotions and the
// assemblies of each environment, brings artifacts there, watches them, and takes them away.
//
// What is promoted, and whether the gates before it are open, is for the gatekeeper to say: it
// asks for promotions with [Service.Request] and answers through [Runs]. A look at a branch's
// environments, [Service.Look], rebuilds each one's state from the rows and the plan, asks
// promote.Step, and does what it says, until it says nothing. Like every look it decides from
// the rows alone: one too many is harmless, and what a crash cut the next one does again.
//
// A deploy is executed by a stage run like any other work; [Service.Bring] is the part of it
// that is not a script. The lock of an environment is nothing of its own: who holds it is the
// promotion that is DEPLOYING or VERIFYING, and it is alive while its stage run is.
//
// Invariants: only artifacts whose gates are open, or that ran well there before, enter a
// standing environment, and that is asked in the transaction that takes the lock (I11); the
// digest that an assembly runs is the one that was built, read from the store by that digest;
// an environment other than an ephemeral one has at most one assembly that serves; what an
// assembly is made of is on disk before it starts; an assembly always has an address, and a
// name that cannot be bound fails a promotion only where the plan requires it.
package deliver
