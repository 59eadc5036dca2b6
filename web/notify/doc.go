// Package notify tells people and other servers what happened: notifications on the pages,
// mail, and webhooks.
//
// The story is the table of events. [Service.Run] reads it behind a cursor of its own and
// writes, in the transaction that moves the cursor, one row for each account that is told of
// an event and one for each webhook, with the jobs that carry them out. So nobody who makes an
// event knows of this package, and a crash loses nothing: what was not told is told, what was
// told is in a row.
//
// Invariants:
//   - An event is handled once: the row that says so and the rows that come of it commit
//     together. An account is told of an event once.
//   - Nobody is told of what they did themselves, nor of a change that they may not read: that
//     is asked when they are told, again when the page is shown, and again when a mail is made.
//   - What happens to a change within a quiet time is one mail; beyond a number of mails an
//     hour the rest waits for one summary. Nothing waits for ever: each wait has a bound.
//   - A mail has one Message-ID for all its attempts, a delivery one name. After a kill -9 either
//     may be sent twice, and says so by that name.
//   - Giving up is loud: a row says why, the log says so, and somebody is told on the pages.
//   - Text of other people reaches a header, a page, a mail or a chat only cleaned for it.
//   - A webhook goes where the address that is dialled is public, or one that the operator of
//     the server allowed; it follows no redirect and reads a bounded answer within a bounded time.
//   - Secrets are files that only the server reads; they are in no row, no answer and no log.
package notify
