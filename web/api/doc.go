// Package api is the REST interface under /api/v1: the command line and the pages' scripts
// use it, and so can anybody. Its OpenAPI 3.1 document, made from the Go types, is at
// /api/openapi.json.
//
// A handler translates: it finds who asks, calls one room below and puts the answer into the
// types of this package. Invariants: an operation is closed to strangers unless it says that
// it is open; whoever may do something is decided by account.Store.May, once, in the room
// that does it or, for accounts, repositories and mirrors, in the handler here; a cookie is
// taken as proof only from the server's own pages. Every error is a problem (RFC 9457) with
// the kind and the next step of its fault, and the status of its kind in one table.
//
// A repository's name may hold slashes. In a path they are written as ~, which no name
// holds: /api/v1/repositories/team~hello.
package api
