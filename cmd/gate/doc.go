// Command gate is Gatehouse: the server, and the command line for everything that it does.
//
// `gate serve` wires the rooms into one process (app.go) and serves them. Every other verb is
// a client of the API: of a running server over HTTP, named by GATE_URL and GATE_TOKEN, or,
// with --data DIR, of an app without listeners and workers that it builds in its own process
// on the server's folder. Both ways run the same handlers, so they answer the same.
//
// Conventions: stdout answers, stderr talks; every read has --json; secrets come from files,
// variables or stdin, never as a flag's value; a refusal ends with the next step. Exit codes
// are in one table (exit.go): 0 ok, 1 failed, 2 usage, 3 refused, 4 not found, 75 try again.
package main
