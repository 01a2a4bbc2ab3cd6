//! Speed of cutting alone: bytes a second on one thread, over random data and zeros.

use divan::Bencher;
use divan::counter::BytesCount;
use ironborg_chunker::{Buzhash, Chunker, ChunkerParams, is_zero};

/// Larger than any cache level that matters, small enough for a laptop.
const INPUT_LEN: usize = 64 << 20;

fn main() {
    divan::main();
}

fn random_bytes() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = (0..INPUT_LEN / 8).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.collect()
}

fn cut_all(params: ChunkerParams, input: &[u8]) -> usize {
    let mut chunker = Chunker::new(params, 0x1234_5678).expect("usable parameters");
    let (mut rest, mut count) = (input, 0);
    while let Some(len) = chunker.next_cut(rest, true) {
        rest = &rest[len..];
        count += 1;
    }
    count
}

#[divan::bench(args = ["default", "15,19,17,4095", "10,23,16,4095", "19,23,21,2047"])]
fn cut_random_data(bencher: Bencher<'_, '_>, params: &str) {
    let input = random_bytes();
    let params = params.parse().expect("usable parameters");
    bencher
        .counter(BytesCount::new(input.len()))
        .bench(|| cut_all(params, &input));
}

/// Searches without a hit in data that stays in a near cache: what a search costs beside its bytes.
#[divan::bench(args = [8192, 65536, 524_288])]
fn search(bencher: Bencher<'_, '_>, len: usize) {
    let input = &random_bytes()[..len];
    let hash = Buzhash::new(5, 4095);
    bencher
        .counter(BytesCount::new(input.len()))
        .bench(|| hash.find(divan::black_box(input), u32::MAX));
}

#[divan::bench]
fn cut_zeros(bencher: Bencher<'_, '_>) {
    let input = vec![0; INPUT_LEN];
    bencher
        .counter(BytesCount::new(input.len()))
        .bench(|| cut_all(ChunkerParams::DEFAULT, &input));
}

#[divan::bench]
fn look_for_zeros(bencher: Bencher<'_, '_>) {
    let input = vec![0; INPUT_LEN];
    bencher
        .counter(BytesCount::new(input.len()))
        .bench(|| is_zero(divan::black_box(&input)));
}
