//! Chunks identified, compressed and encrypted, and back.

use std::sync::Arc;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use ironborg_crypto::{KeyMode, Nonces, Passphrase};
use ironborg_object::{Compression, Compressor, Decompressor};
use ironborg_types::ChunkId;

use crate::{CHUNK_LENS, Counter, content, key};

/// The two ways of identifying and authenticating.
const MODES: [KeyMode; 2] = [KeyMode::Repokey, KeyMode::RepokeyBlake2];

/// Chunks identified side by side.
const SIDE_BY_SIDE: usize = 4;

fn modes_and_lens() -> Vec<(KeyMode, usize)> {
    let of_mode = |mode| CHUNK_LENS.map(|len| (mode, len));
    MODES.into_iter().flat_map(of_mode).collect()
}

fn compressions_and_lens() -> Vec<(&'static str, usize)> {
    let of = |compression| CHUNK_LENS.map(|len| (compression, len));
    ["lz4", "zstd,3"].into_iter().flat_map(of).collect()
}

fn nonces() -> Nonces {
    Nonces::new(
        Arc::new(Counter::default()),
        Arc::new(Counter::default()),
        None,
    )
}

#[divan::bench(args = modes_and_lens())]
fn identify(bencher: Bencher<'_, '_>, (mode, len): (KeyMode, usize)) {
    let (key, chunk) = (key(mode), content(len));
    bencher
        .counter(BytesCount::new(len))
        .bench(|| key.id_hash(black_box(&chunk)));
}

#[divan::bench(args = modes_and_lens())]
fn identify_four(bencher: Bencher<'_, '_>, (mode, len): (KeyMode, usize)) {
    let (key, chunk) = (key(mode), content(len));
    let chunks = [chunk.as_slice(); SIDE_BY_SIDE];
    let mut ids = [ChunkId([0; 32]); SIDE_BY_SIDE];
    bencher
        .counter(BytesCount::new(SIDE_BY_SIDE * len))
        .bench_local(|| key.id_hash_many(black_box(&chunks), &mut ids));
}

#[divan::bench(args = compressions_and_lens())]
fn compress(bencher: Bencher<'_, '_>, (compression, len): (&str, usize)) {
    let compression: Compression = compression.parse().expect("known");
    let chunk = content(len);
    let (mut compressor, mut out) = (Compressor::new(), Vec::new());
    bencher.counter(BytesCount::new(len)).bench_local(|| {
        out.clear();
        compressor.compress(&compression, black_box(&chunk), &mut out);
    });
}

#[divan::bench(args = compressions_and_lens())]
fn decompress(bencher: Bencher<'_, '_>, (compression, len): (&str, usize)) {
    let compression: Compression = compression.parse().expect("known");
    let (mut stored, mut out) = (Vec::new(), Vec::new());
    Compressor::new().compress(&compression, &content(len), &mut stored);
    let mut decompressor = Decompressor::new();
    bencher.counter(BytesCount::new(len)).bench_local(|| {
        out.clear();
        decompressor
            .decompress_within(black_box(&stored), len, &mut out)
            .expect("it was compressed just now");
    });
}

/// Encrypting and authenticating.
#[divan::bench(args = modes_and_lens())]
fn encrypt(bencher: Bencher<'_, '_>, (mode, len): (KeyMode, usize)) {
    let (key, nonces) = (key(mode), nonces());
    let mut object = content(key.envelope_overhead() + len);
    bencher.counter(BytesCount::new(len)).bench_local(|| {
        key.seal_in_place(&nonces, black_box(&mut object))
            .expect("there are counters enough");
    });
}

/// The MACs of one object, and of four side by side.
#[divan::bench(args = modes_and_lens(), consts = [1, SIDE_BY_SIDE])]
fn authenticate<const COUNT: usize>(bencher: Bencher<'_, '_>, (mode, len): (KeyMode, usize)) {
    let (key, nonces) = (key(mode), nonces());
    let mut object = content(key.envelope_overhead() + len);
    key.seal_in_place(&nonces, &mut object)
        .expect("there are counters enough");
    let objects = [(ChunkId([0; 32]), object.as_slice()); COUNT];
    bencher.counter(BytesCount::new(COUNT * len)).bench(|| {
        let verified = key.authenticate_many(black_box(&objects));
        assert!(verified.iter().all(Result::is_ok));
    });
}

/// Authenticating and decrypting.
#[divan::bench(args = modes_and_lens())]
fn decrypt(bencher: Bencher<'_, '_>, (mode, len): (KeyMode, usize)) {
    let (key, nonces) = (key(mode), nonces());
    let mut object = content(key.envelope_overhead() + len);
    key.seal_in_place(&nonces, &mut object)
        .expect("there are counters enough");
    let mut out = Vec::new();
    bencher.counter(BytesCount::new(len)).bench_local(|| {
        let opened = key.open_envelope(None, black_box(&object), &mut out);
        opened.expect("it was sealed just now").len()
    });
}

/// The key made of a passphrase, which most commands begin with.
#[divan::bench(sample_count = 10)]
fn unlock_key(bencher: Bencher<'_, '_>) {
    let mode = KeyMode::Repokey;
    let mut key = key(mode);
    let passphrase = Passphrase::new("a passphrase");
    let text = key.lock(&passphrase).expect("it has secrets");
    bencher.bench_local(|| {
        let unlocked = ironborg_crypto::Key::unlock(mode, &text, &passphrase, true);
        unlocked.expect("a key's text").expect("the passphrase")
    });
}
