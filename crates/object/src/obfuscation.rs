//! How much padding hides the size of an object.

use ironborg_types::limits::OBJECT_SIZE_MAX;

/// Room left below the largest object for everything around the padded data. Source: Borg 1.4,
/// `ObfuscateSize`.
const RESERVE: usize = 1024;

/// A kind of padding, by the number `--compression obfuscate,S,...` gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obfuscation {
    /// 1 to 6: up to thousands of times the size, small factors being the likelier; the level says
    /// how much.
    Relative(u8),
    /// 110 to 123: up to 2^(S-100) bytes, evenly.
    Additive(u8),
    /// 250: up to the next size that PADMÉ allows (Nikitin and others, "Reducing Metadata
    /// Leakage").
    Padme,
}

impl Obfuscation {
    /// The kind with that number.
    pub fn from_level(level: i64) -> Option<Self> {
        match (level, u8::try_from(level).ok()?) {
            (1..=6, level) => Some(Self::Relative(level)),
            (110..=123, level) => Some(Self::Additive(level)),
            (250, _) => Some(Self::Padme),
            _ => None,
        }
    }

    /// The number.
    pub const fn level(self) -> u8 {
        match self {
            Self::Relative(level) | Self::Additive(level) => level,
            Self::Padme => 250,
        }
    }

    /// How many bytes of padding `len` bytes get; `random` is evenly distributed in 0..1.
    pub(crate) fn padding(self, len: usize, random: f64) -> usize {
        let padding = match self {
            Self::Relative(level) => {
                let factor = 0.001 * 10_f64.powi(i32::from(level));
                truncate(len as f64 * factor / random.max(0.0001))
            }
            Self::Additive(level) => truncate(2_f64.powi(i32::from(level) - 100) * random),
            Self::Padme => padme(len),
        };
        padding.min((OBJECT_SIZE_MAX - RESERVE).saturating_sub(len))
    }
}

/// Rounds a length or size down; both are far below 2^52.
#[allow(
    clippy::cast_possible_truncation,
    reason = "rounding down is what is wanted, `as` saturates"
)]
fn truncate(value: f64) -> usize {
    value as usize
}

/// Rounds up so that only as many leading bits of the length are kept as its exponent has bits.
fn padme(len: usize) -> usize {
    if len < 2 {
        return 0;
    }
    let exponent = len.ilog2();
    let kept = exponent.ilog2() + 1;
    let mask = (1_usize << (exponent - kept)) - 1;
    ((len + mask) & !mask) - len
}

/// Random numbers that are quick to have and good enough to hide a size: xoshiro256++ (Blackman,
/// Vigna), seeded by the operating system.
#[derive(Debug)]
pub(crate) struct PaddingRandom([u64; 4]);

impl PaddingRandom {
    pub(crate) fn seeded() -> Self {
        let mut seed = [0_u8; 32];
        // Padding is no secret: without random numbers it is predictable, which beats no backup.
        if getrandom::fill(&mut seed).is_err() {
            seed = [0x5a; 32];
        }
        let (words, _) = seed.as_chunks::<8>();
        Self(std::array::from_fn(|i| u64::from_le_bytes(words[i])))
    }

    /// The next number in 0..1, of 53 random bits.
    pub(crate) fn next(&mut self) -> f64 {
        let [a, b, c, d] = &mut self.0;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        (result >> 11) as f64 / (1_u64 << 53) as f64
    }
}
