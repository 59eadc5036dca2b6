// Package review turns pushed commits into changes and keeps what people say about them.
//
// A change is one proposed commit for one branch, through all its patch sets. Which change a
// commit belongs to is its key ([FindKey]): the Change-Id footer, a Link trailer, or the
// change-id header of jj; where a repository allows it, the topic. [Service.Prepare] reads
// and checks a push and writes nothing; [Service.Hold] makes it durable.
//
// The order of holding: change numbers are taken in a transaction, then the holding refs are
// made in one durable ref transaction, then the rows in one transaction. Whatever is cut in
// between leaves a holding ref that no row knows, which [Service.Janitor] removes; never a
// row without its commit.
//
// Invariants:
//   - A key names one change per repository and branch, and a holding ref never moves: of two
//     pushes that race for a patch set, one gets the next number or is refused as a conflict.
//   - A vote is bound to commit, diff digest, branch and change (I4). A new patch set keeps
//     only the votes whose label says so for what changed; [Counting] looks at the binding
//     again and ignores votes that do not fit.
//   - Whoever uploaded, wrote, committed or co-wrote any patch set has a part in the change
//     and cannot approve it where the plan says so (I5), by account and by e-mail address.
//   - Drafts are their writer's alone, and are published with their review or not at all.
//   - No comment is lost: [Service.Place] tells where its lines are on a later patch set, or
//     that they are gone and which line was closest. A suggestion is applied only where the very
//     lines that it was written on still are.
//   - A new patch set takes back the request to land, unless its push asks again.
//   - Trailers never give rights: they name a change and people to exclude, nothing else.
//
// Every act asks account.Store.May, writes one transaction with its message and its event,
// asks for a look at the branch, and wakes whoever watches.
package review
