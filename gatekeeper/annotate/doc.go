// Package annotate reads what tools say about lines of a repository: findings, as SARIF,
// checkstyle, `::error` commands and `file:line: message` write them, and coverage, as Go's
// cover profiles, LCOV and Cobertura write it.
//
// [Parse] reads a report, [Scanner] the output of a stage while it comes, [ParseCoverage] a
// profile. A [Tree] leads the names in them to files of the repository.
//
// Invariants: everything here is a pure function of its arguments; a stage writes what is read
// here, so all of it is hostile. What is read and kept is bounded by named limits. A path in a
// result is relative, clean, and never leads out of the repository; an address is http or
// https; no text holds control characters but line feeds and tabs. A finding says nothing
// about whether a stage passed.
package annotate
