// Package git is the only place that runs git or opens a repository.
//
// It offers typed reads (refs, commits, trees, blobs, history, diffs), merges that touch no
// work tree, ref transactions, one quarantine for each incoming push, and transport to and
// from other servers. Nothing in here knows accounts, changes or gates.
//
// Invariants:
//
//   - A write that returned nil is on disk: files, and the directories that name them, are
//     fsynced before [Repo.UpdateRefs], [Quarantine.Migrate], [Repo.WriteCommit],
//     [Repo.MergeTree], [Repo.PickTree] and [Repo.FetchFrom] return. Stock git leaves the
//     directories out, and then loses acknowledged pushes in a power cut.
//   - Every child runs with an environment made from nothing, an absolute path, an argument
//     array, bounded output and bounded time, in its own process group that is killed when
//     the context ends. No hook, filter, replacement ref or attribute of a repository's
//     content changes what a child does or shows.
//   - A ref moves only by [Repo.UpdateRefs] (compare-and-swap, all or nothing) or by the
//     explicit refspecs of [Repo.FetchFrom]. A symbolic ref other than HEAD is never followed.
//   - Objects of a push are seen only through its own [Quarantine] until it migrates.
//   - Content rules ([Policy]) are applied to what a push adds, never to what is there already.
//
// Decisions rest on what the git program says. The go-git library has a part where a mistake
// of its own can only make an operation fail: it hashes and writes the throw-away commits of
// [Repo.PickTree], checks the name of a commit that git has written, and reads signatures.
package git
