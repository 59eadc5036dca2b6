// Package job runs durable jobs: work that was asked for in a transaction and is done after it.
//
// A job is an alarm clock, not a message. It names a kind (who works) and a key (on what); what
// there is to do, the handler finds out from the rows. So a handler may be called twice, and
// calls for one (kind, key) never overlap inside a process.
//
// Invariants:
//   - A job is stored by the transaction that asks for it and vanishes with it.
//   - A stored job is worked until its handler returns no error and does not ask to be called
//     again: a failure, a panic, a kill -9 or a stop of the server only delays it.
//   - After a job was enqueued, its handler starts at least once more for its key. A job that
//     arrives while nobody works on its key starts a run; one that arrives during a run makes that
//     run be followed by another, so a wish that was too late for the run is not lost. Several
//     wishes that wait for the same run share it.
//   - The last run's answer counts: when a run says "again in a minute", older alarms for the same
//     key lapse.
//
// The engine underneath is River, on SQLite and on PostgreSQL; this package is its only importer.
// All jobs have one River kind, and each of our kinds has a River queue of its own, so that a busy
// kind does not starve another. River has no heartbeat, so [Engine.Start] needs to be alone:
// it returns every job that is marked as running to the waiting ones. On SQLite the caller holds
// the lock of the data folder; on PostgreSQL Start takes an advisory lock of the database for as
// long as its connection lives, and refuses when another server holds it. An engine that is never
// started only stores jobs, and may do so beside a running server.
package job
