//! Id hashes, MACs, ciphers, key blobs, nonces and manifest authentication.
