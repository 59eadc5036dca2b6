// Package entrance is the second way in: changes that are proposed on another server.
//
// The first way is a push to this server. Here another server, a forge, says that something
// happened there; what it says only wakes us. What is so we ask git: the commit is fetched
// from the one address that an owner of the repository named, into a quarantine, and handed to
// the same function that decides a push. From there on there is one way.
//
// [Service.Take] keeps what was said, before the sender hears that it was; [Service.Work] acts
// upon it. [Service.Poll] asks without having been told, for where nobody can tell us.
// Where the primary branch is elsewhere, [Service.Sync] keeps ours a copy of it and
// [Service.Land] brings there what has been tested.
//
// Invariants:
//   - Nothing that a forge says names where to fetch from, and nothing that it says becomes the
//     name of a ref without being held against its grammar. Numbers are numbers.
//   - A delivery counts once, by the name that it was given and by its body (I12). One that comes
//     late changes nothing that a later one said: where a branch or a proposal is, git tells.
//   - What is refused is kept within bounds, and takes no name from what is honest.
//   - Who wrote a commit is in the commit, and everybody can write anything there: it takes
//     rights away (I5) and never gives any. Rights have the account that stands for the forge and
//     accounts that an owner named for somebody's login there.
//   - A branch whose primary is elsewhere is a copy. It lands there first, as a compare-and-swap,
//     and here after. When it was rewritten there nothing lands until a person accepts it.
//   - Secrets are files that only the server reads; they are in no row, no answer and no log.
package entrance
