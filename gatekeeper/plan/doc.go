// Package plan reads a repository's plan, gatehouse.yaml, and judges by it.
//
// A plan has two kinds of node. A stage is work: a command that the runner executes in its
// sandbox on a candidate. A gate is a verdict: a pure function of evidence (votes, stage
// states, test counts) and of the policy. `after` makes them a graph without cycles, and
// land, the last node, waits for gates only.
//
// [Parse] finds every problem in a file at once, each with line, column and what to write
// instead. [Compose] puts the policy half of the target branch's plan over the actions of the
// candidate's. [Next] says which stages can start, [Evaluate] what a gate says, [RunVerdict]
// what a run says, and [ParseResults] reads what test tools report.
//
// For the queue, [Plan.Lanes] says which changes conflict, [Plan.Inputs] which files decide
// what a stage comes to, [Plan.Frozen] and [Plan.NextFreeze] when nothing lands.
//
// Invariants: everything here is a pure function, without clock, disk, network or database;
// only the names of time zones are looked up in the system's list, else in a built-in one. A
// plan that cannot be fully understood gives problems and no plan: an unknown key, or one
// that this version does not run, never means "no gate". Evidence that is missing, late or
// contradictory never opens a gate. A stage that the target branch's plan requires stays
// required when the candidate's plan lacks it.
package plan
