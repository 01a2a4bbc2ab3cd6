//! Small random changes to valid inputs, for when no fuzzer is at hand.

/// Numbers that formats tend to trip over.
const EDGES: [u8; 12] = [
    0x00, 0x01, 0x1f, 0x20, 0x7f, 0x80, 0xc0, 0xc1, 0xda, 0xdb, 0xdd, 0xff,
];

/// A generator of pseudo-random numbers that gives the same ones for the same seed.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Starts at `seed`.
    pub const fn new(seed: u64) -> Self {
        // Zero would stay zero.
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// A number below `bound`, which is not 0. Source: Marsaglia, "Xorshift RNGs".
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("below a usize")
    }

    fn byte(&mut self) -> u8 {
        if self.below(2) == 0 {
            EDGES[self.below(EDGES.len())]
        } else {
            self.0.to_le_bytes()[3]
        }
    }
}

/// Changes one of `seeds` in one to four places.
///
/// # Panics
/// If there are no seeds.
pub fn mutate(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        mutate_once(&mut input, seeds, random);
    }
    input
}

fn mutate_once(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len() + 1);
    if at == input.len() {
        let byte = random.byte();
        input.push(byte);
        return;
    }
    let end = at + 1 + random.below((input.len() - at).min(40));
    match random.below(7) {
        0 => input[at] ^= 1 << random.below(8),
        1 => input[at] = random.byte(),
        2 => input.truncate(at),
        3 => drop(input.drain(at..end)),
        4 => {
            let piece = input[at..end].to_vec();
            input.splice(at..at, piece);
        }
        5 => {
            let byte = random.byte();
            input[at..end].fill(byte);
        }
        _ => {
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len() + 1);
            let len = random.below(other.len() - from + 1).min(200);
            input.splice(at..end, other[from..from + len].iter().copied());
        }
    }
}
