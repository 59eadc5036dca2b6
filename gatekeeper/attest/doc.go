// Package attest signs what the server states, and checks such signatures, also where there is no
// server.
//
// A signed statement is a DSSE envelope (https://github.com/secure-systems-lab/dsse, version 1.0.2)
// with one ed25519 signature (RFC 8032), as the tools of in-toto and sigstore read it:
//
//	{"payload": BASE64, "payloadType": TYPE, "signatures": [{"keyid": ID, "sig": BASE64}]}
//
// What is signed is not the JSON but the pre-authentication encoding of type and payload, [PAE], so
// that no two readings of the envelope have one signature.
//
// # Keys
//
// A folder holds a pair of files for each key that the server ever signed with: NNNN.pub, a public
// key in PEM (RFC 8410, "BEGIN PUBLIC KEY"), which stays for ever, and NNNN.key, the private one in
// PKCS #8. The id of a key is the SHA-256 of its public key in DER, in hexadecimal. [Keys.Rotate]
// makes the next key and removes the private one before it: what that signed is still verified, and
// nothing new can be signed with it.
//
// # Invariants
//
// A key is on disk for good, with its folder, before it signs. A public key never goes. After a crash
// at any moment the newest private key signs, and older ones are removed at the next opening.
// Private keys are readable for the server's user alone. An id in an envelope is a hint and
// trusted for nothing: only a signature by one of the reader's own keys is.
package attest
