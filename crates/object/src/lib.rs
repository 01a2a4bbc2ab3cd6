//! Chunk to stored object and back: compress, encrypt, identify.
