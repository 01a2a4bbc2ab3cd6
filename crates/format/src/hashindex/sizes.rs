//! The bucket counts Borg uses: primes, growing ever more slowly.

const SIZES: [u32; 58] = [
    1031, 2053, 4099, 8209, 16411, 32771, 65537, 131101, 262147, 445649, 757607, 1287917, 2189459,
    3065243, 4291319, 6007867, 8410991, 11775359, 16485527, 23079703, 27695653, 33234787, 39881729,
    47858071, 57429683, 68915617, 82698751, 99238507, 119086189, 144378011, 157223263, 173476439,
    190253911, 209915011, 230493629, 253169431, 278728861, 306647623, 337318939, 370742809,
    408229973, 449387209, 493428073, 543105119, 596976533, 657794869, 722676499, 795815791,
    874066969, 962279771, 1057701643, 1164002657, 1280003147, 1407800297, 1548442699, 1703765389,
    1873768367, 2062383853,
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
