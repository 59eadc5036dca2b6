// Package artifact keeps what stages made, by its content, in a folder.
//
// An artifact has a type and a digest, and where the two are the same the content is the same:
//
//   - file: the digest is the SHA-256 of its bytes. Whether it may be executed is not content: it
//     stands in [Artifact].
//   - bundle: a folder. The digest is the SHA-256 of a tar archive of it whose bytes follow from
//     the content alone: the names of each folder sorted, no owner, no time, of the mode only
//     whether a file may be executed; regular files, folders, and symbolic links that stay inside.
//   - oci-image: a folder in the OCI image layout. The digest is the one that a registry names the
//     image by: of the manifest that index.json names, or of the index, when there are several.
//     Only what is reachable from there is kept, and every part of it has been checked.
//
// Bundles and images are kept as plain tar archives, which can be read from any offset.
//
// # What a stage leaves is not trusted
//
// A stage wrote it, perhaps to get at something. Everything is read through an [os.Root], so that
// nothing outside the working copy is kept, and written through one, so that nothing lands outside
// of the folder that was meant. Sizes, numbers of files and depths are bounded.
//
// # Invariants
//
// What [Store.Put] has answered survives a power cut. A name in the store has its whole content or
// does not exist. [Store.Unpack] puts nothing down that does not have its digest. What is wrong with
// the content is a fault of kind Invalid or TooLarge, with words for whoever wrote the stage; every
// other error is about the server.
package artifact
