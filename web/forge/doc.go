// Package forge speaks with the servers at the other end of an entrance: GitHub, GitLab,
// Gitea, Forgejo and Gerrit.
//
// [Service.Hook] takes their webhooks: it finds out who sent one by its signature alone, reads
// what it says into an [entrance.Notice], and answers once that is on disk. [Service.Stream]
// listens to Gerrit's event stream where there is no webhook. [Service.Run] tells them, by the
// story of events, how each gate of a change stands.
//
// Invariants:
//   - Nothing of a body is believed, parsed or kept before its signature holds: over the whole
//     body, with the entrance's own secret, compared in constant time. Which scheme counts is the
//     entrance's, never the sender's choice; a header that is there twice counts as forged.
//   - A body is read up to a bound and within a time; what is refused is refused before work is
//     done for it.
//   - A request goes to the API that an owner named, at an address that the operator of the server
//     allows, follows no redirect, and reads a bounded answer.
//   - A status is computed from how the gates stand when it is sent, so that a late one says what
//     is so; each is sent once, and those of one commit one after the other.
//   - Tokens are in headers and in files, in no address, no answer and no log.
package forge
