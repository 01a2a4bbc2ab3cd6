//! The bucket counts Borg uses: primes, growing ever more slowly.

const SIZES: [u32; 58] = [
    1031,
    2053,
    4099,
    8209,
    16_411,
    32_771,
    65_537,
    131_101,
    262_147,
    445_649,
    757_607,
    1_287_917,
    2_189_459,
    3_065_243,
    4_291_319,
    6_007_867,
    8_410_991,
    11_775_359,
    16_485_527,
    23_079_703,
    27_695_653,
    33_234_787,
    39_881_729,
    47_858_071,
    57_429_683,
    68_915_617,
    82_698_751,
    99_238_507,
    119_086_189,
    144_378_011,
    157_223_263,
    173_476_439,
    190_253_911,
    209_915_011,
    230_493_629,
    253_169_431,
    278_728_861,
    306_647_623,
    337_318_939,
    370_742_809,
    408_229_973,
    449_387_209,
    493_428_073,
    543_105_119,
    596_976_533,
    657_794_869,
    722_676_499,
    795_815_791,
    874_066_969,
    962_279_771,
    1_057_701_643,
    1_164_002_657,
    1_280_003_147,
    1_407_800_297,
    1_548_442_699,
    1_703_765_389,
    1_873_768_367,
    2_062_383_853,
];

/// The smallest count not below `buckets`; the largest there is, if all are.
pub(super) fn size_for(buckets: usize) -> usize {
    let found = SIZES.iter().find(|&&size| size as usize >= buckets);
    *found.unwrap_or(&SIZES[SIZES.len() - 1]) as usize
}

/// The next larger count.
///
/// # Panics
/// When the largest one is full: a table of more than 1.5 billion entries.
pub(super) fn next_size(buckets: usize) -> usize {
    let found = SIZES.iter().find(|&&size| size as usize > buckets);
    *found.expect("an index has fewer than 1.5 billion entries") as usize
}

/// The next smaller count; `None` at the smallest.
pub(super) fn previous_size(buckets: usize) -> Option<usize> {
    let found = SIZES.iter().rev().find(|&&size| (size as usize) < buckets);
    found.map(|&size| size as usize)
}
