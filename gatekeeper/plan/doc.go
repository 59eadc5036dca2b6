// Package plan reads a repository's plan, gatehouse.yaml, and judges by it.
//
// A plan has two kinds of node. A stage is work: a command that the runner executes in its
// sandbox on a candidate, or an artifact that is brought into an environment. A gate is a
// verdict: a pure function of evidence (votes, stage states, test counts, numbers, approvals,
// how long something has served), of the clock and of the policy. `after` makes them a graph
// without cycles. land is a node of it: gates come before it, and what comes after it runs when
// the change has landed.
//
// [Parse] finds every problem in a file at once, each with line, column and what to write
// instead. [Compose] puts the policy half of the target branch's plan over the actions of the
// candidate's. [Plan.Gating] and [Plan.Delivering] cut out what a run of an outcome does before
// and after the landing. [Next] says which stages can start and which gates hold the others,
// [Judge] and [Evaluate] what gates say, [RunVerdict] what a run says, and [ParseResults] and
// [ReadMetrics] read what tools report.
//
// [Describe] tells a plan in words, [Graph], [Dot] and [Picture] draw it, [Schema] is for
// editors, and [Import] reads files of OpenStack Solum.
//
// For the queue, [Plan.Lanes] says which changes conflict, [Plan.Inputs] which files decide
// what a stage comes to, [Plan.Frozen] and [Plan.NextFreeze] when nothing lands.
//
// Invariants: everything here is a pure function, without clock, disk, network or database;
// only the names of time zones are looked up in the system's list, else in a built-in one. A
// plan that cannot be fully understood gives problems and no plan: an unknown key, or one
// that this version does not run, never means "no gate". Evidence that is missing, late or
// contradictory never opens a gate. A stage that the target branch's plan requires stays
// required when the candidate's plan lacks it. Nothing starts while a gate before it, back to the
// landing, is not open or left out. A bypass counts only while the plan allows it, with a name
// and a reason. No stage is given secrets before a review or the landing. A gate that waits says
// for whom, or until when.
package plan
