// Package assembly is where artifacts run: it brings an artifact into an environment, watches it
// there, takes it away again, and gives it an address and perhaps a name.
//
// A [Driver] knows one kind of place:
//
//   - process: the artifact's command, kept running in the sandbox on this machine ([Process]);
//   - command: scripts of the repository, which know their own place ([Command]);
//   - container: podman or docker on this machine ([Container]);
//   - kubernetes: a manifest of the repository, applied to a cluster ([Kubernetes]).
//
// There is no database in here. The caller keeps rows: it hands in a [Spec], keeps the [Instance]
// that it gets, and hands that in again, after a restart of the server too.
//
// # Whose fault it is
//
// A deploy that fails has failed for one of two reasons, and [Failed] tells which: the code never
// served (the kinds Refused, Invalid and TooLarge of a fault: FAILED), or the machinery could not
// find out (any other: ERRORED, which may be tried again).
//
// # One in the place of another
//
// With plan.Replace, Deploy ends [Spec.Previous] before it starts the new one. With
// plan.BlueGreen it leaves the old one alone: the caller lets the [Router] switch, waits for
// [Router.Drain], and destroys the old one then. No request is lost on the way.
//
// # Names
//
// The [Router] serves host names by itself, as a reverse proxy in front of the server's own pages. A
// [Provider] makes a name known outside: [Proxy] has nothing to do, [RFC2136] tells a name
// server, [CommandDNS] runs a script.
//
// Invariants: an [Instance] always has an address, with or without a name. Deploy returns an
// instance only when it answered its probe; when it returns an error, nothing of the attempt runs
// any more, as far as the driver can reach it. Destroy of what is gone already is no error. The
// router proxies to addresses that it was set to and to no other, whatever a request says; the
// cookies and the credentials of the server itself never reach an assembly. Values of secrets are
// masked in all logs and words that leave this package.
package assembly
