//! The rolling hash: its table, its definition, and the search for the first hit in a buffer.

use crate::simd;

/// Borg's table of 256 random words before the seed is mixed in.
#[rustfmt::skip]
const BASE_TABLE: [u32; 256] = [
    0xe7f8_31ec, 0xf402_6465, 0xafb5_0cae, 0x6d55_3c7a, 0xd639_efe3, 0x19a7_b895, 0x9aba_5b21, 0x5417_d6d4,
    0x35fd_2b84, 0xd1f6_a159, 0x3f8e_323f, 0xb419_551c, 0xf444_cebf, 0x21dc_3b80, 0xde8d_1e36, 0x84a3_2436,
    0xbeb3_5a9d, 0xa36f_24aa, 0xa4e6_0186, 0x98d1_8ffe, 0x3f04_2f9e, 0xdb22_8bcd, 0x0964_74b7, 0x5c20_c2f7,
    0xf9ee_c872, 0xe862_5275, 0xb9d3_8f80, 0xd48e_b716, 0x22a9_50b4, 0x3cba_aeaa, 0xc37c_ddd3, 0x8fea_6f6a,
    0x1d55_d526, 0x7fd6_d3b3, 0xdaa0_72ee, 0x4345_ac40, 0xa077_c642, 0x8f2b_d45b, 0x2850_9110, 0x5555_7613,
    0xffc1_7311, 0xd961_ffef, 0xe532_c287, 0xaab9_5937, 0x46d3_8365, 0xb065_c703, 0xf2d9_1d0f, 0x92cd_4bb0,
    0x4007_c712, 0xf355_09dd, 0x505b_2f69, 0x557e_ad81, 0x310f_4563, 0xbddc_5be8, 0x9760_f38c, 0x701e_0205,
    0x0015_7244, 0x1491_2826, 0xdc4c_a32b, 0x67b1_96de, 0x5db2_92e8, 0x8c1b_406b, 0x01f3_4075, 0xfa25_20f7,
    0x73bc_37ab, 0x1e18_bc30, 0xfe2c_6cb3, 0x20c5_22d0, 0x5639_e3db, 0x942b_da35, 0x899a_f9d1, 0xced4_4035,
    0x98cc_025b, 0x255f_5771, 0x70fe_fa24, 0xe928_fa4d, 0x2c03_0405, 0xb932_5590, 0x20cb_63bd, 0xa166_305d,
    0x80e5_2c0a, 0xa8fa_fe2f, 0x1ad1_3f7d, 0xcfaf_3685, 0x6c83_a199, 0x7d26_718a, 0xde5d_fcd9, 0x79cf_7355,
    0x8979_d7fb, 0xebf8_c55e, 0xebe4_08e4, 0xcd2a_ffba, 0xe483_be6e, 0xe239_d6de, 0x5dc1_e9e0, 0x0473_931f,
    0x851b_097c, 0xac5d_b249, 0x09c0_f9f2, 0xd8d2_f134, 0xe6f3_8e41, 0xb1c7_1bf1, 0x52b6_e4db, 0x0722_4424,
    0x6cf7_3e85, 0x4f25_d89c, 0x782a_7d74, 0x10a6_8dcd, 0x3a86_8189, 0xd570_d2dc, 0x6963_0745, 0x9542_ed86,
    0x331c_d6b2, 0xa84b_5b28, 0x0787_9c9d, 0x3837_2f64, 0x7185_db11, 0x25ba_7c83, 0x0106_1523, 0xe679_2f9f,
    0xe5df_07d1, 0x4321_b47f, 0x7d24_69d8, 0x1a3a_4f90, 0x48be_29a3, 0x6690_71af, 0x8ec8_dd31, 0x0810_bfbf,
    0x813a_06b4, 0x6853_8345, 0x6586_5ddc, 0x43a7_1b8e, 0x7861_9a56, 0x5a34_451d, 0x5bda_a3ed, 0x71ed_c7e9,
    0x17ac_9a20, 0x78d1_0bfa, 0x6c1e_7f35, 0xd518_39d9, 0x240c_bc51, 0x3351_3cc1, 0xd2b4_f795, 0xccaa_8186,
    0x0bab_e682, 0xa33c_f164, 0x18c6_43ea, 0xc1ca_105f, 0x9959_147a, 0x6d3d_94de, 0x0b65_4fbe, 0xed90_2ca0,
    0x7d83_5cb5, 0x99ba_1509, 0x6445_c922, 0x495e_76c2, 0xf071_94bc, 0xa163_1d7e, 0x6770_76a5, 0x89ff_fe35,
    0x1a49_bcf3, 0x8e6c_948a, 0x0144_c917, 0x8d93_aea1, 0x16f8_7ddf, 0xc8f2_5d49, 0x1fb1_1297, 0x27e7_50cd,
    0x2f42_2da1, 0xdee8_9a77, 0x1534_c643, 0x457b_7b8b, 0xaf17_2f7a, 0x6b9b_09d6, 0x3357_3f7f, 0xf14e_15c4,
    0x5264_67d5, 0xaf48_8241, 0x87c3_ee0d, 0x33be_490c, 0x95aa_6e52, 0x43ec_242e, 0xd77d_e99b, 0xd018_334f,
    0x5b78_d407, 0x498e_b66b, 0xb127_9fa8, 0xb38b_0ea6, 0x9071_8376, 0xe325_dee2, 0x8e2f_2cba, 0xcaa5_bdec,
    0x9d65_2c56, 0xad68_f5cb, 0xa775_91af, 0x88e3_7ee8, 0xf8fa_a221, 0xfcbb_be47, 0x4f40_7786, 0xaf39_3889,
    0xf444_a1d9, 0x15ae_1a2f, 0x40aa_7097, 0x6f94_86ac, 0x29d2_32a3, 0xe476_09e9, 0xe8b6_31ff, 0xba85_65f4,
    0x1128_8749, 0x46c9_a838, 0xeb1b_7cd8, 0xf516_bbb1, 0xfb74_fda0, 0x0109_96e6, 0x4c99_4653, 0x1d88_9512,
    0x53dc_d9a3, 0xdd07_4697, 0x1e78_e17c, 0x637c_98bf, 0x930b_b219, 0xcf7f_75b0, 0xcb93_55fb, 0x9e62_3009,
    0xe466_d82c, 0x28f9_68d3, 0xfeb3_85d9, 0x238e_026c, 0xb8ed_0560, 0x0c6a_027a, 0x3d6f_ec4b, 0xbb4b_2ec2,
    0xe715_031c, 0xeded_011d, 0xcdc4_d3b9, 0xc456_fc96, 0xdd0e_ea20, 0xb3df_8ec9, 0x1235_1993, 0xd9cb_b01c,
    0x6031_47a2, 0xcf37_d17d, 0xf7fc_d9dc, 0xd855_6fa3, 0x104c_8131, 0x1315_2774, 0xb471_5811, 0x6a72_c2c9,
    0xc5ae_37bb, 0xa76c_e12a, 0x8150_d8f3, 0x2ec2_9218, 0xa35f_0984, 0x48c0_647e, 0x0b5f_f98c, 0x7189_3f7b,
];

/// The hash of a repository: table words depend on the seed of its key.
#[derive(Debug, Clone)]
pub struct Buzhash {
    window: usize,
    /// Word for a byte that enters the window.
    enter: [u32; 256],
    /// Word for a byte that leaves it: rotated by the window's length.
    leave: [u32; 256],
    /// The entering words again, as the vector search wants them.
    planes: simd::Planes,
}

/// The hash of `window`, all of it, with the table of `seed`.
///
/// The word of byte i (of w) is rotated left by w - 1 - i; the words are XORed. Source: Borg 1.4,
/// `_chunker.c`; docs/format.md, "Chunkers".
pub fn buzhash(window: &[u8], seed: u32) -> u32 {
    window.iter().fold(0, |hash: u32, &byte| {
        hash.rotate_left(1) ^ BASE_TABLE[usize::from(byte)] ^ seed
    })
}

impl Buzhash {
    /// Prepares the tables for `seed` (the key's chunk seed, its bits taken as unsigned) and a window of
    /// that many bytes.
    pub fn new(seed: u32, window: usize) -> Self {
        let enter = BASE_TABLE.map(|word| word ^ seed);
        // Only the window's length modulo 32 matters to a rotation of 32 bits.
        let turn = u32::try_from(window % 32).expect("less than 32");
        Self {
            window,
            enter,
            leave: enter.map(|word| word.rotate_left(turn)),
            planes: simd::planes(&enter),
        }
    }

    /// Length of the window, in bytes.
    pub fn window(&self) -> usize {
        self.window
    }

    pub(crate) fn planes(&self) -> &simd::Planes {
        &self.planes
    }

    /// The hash of one whole window.
    pub fn hash(&self, window: &[u8]) -> u32 {
        window.iter().fold(0, |hash: u32, &byte| {
            hash.rotate_left(1) ^ self.enter[usize::from(byte)]
        })
    }

    /// The hash after the window moved on by one byte: `leaving` is its old first, `entering` its new last.
    pub fn update(&self, hash: u32, leaving: u8, entering: u8) -> u32 {
        hash.rotate_left(1) ^ self.leave[usize::from(leaving)] ^ self.enter[usize::from(entering)]
    }

    /// The first position of `bytes` at which the hash of the window has no bit of `mask` set.
    ///
    /// Positions up to the last one followed by more than a window of bytes are tested: position p needs
    /// bytes p to p + window (that last byte is not hashed; Borg wants it to be there).
    pub fn find(&self, bytes: &[u8], mask: u32) -> Option<usize> {
        if simd::can_search(self.window) {
            simd::find(self, bytes, mask)
        } else {
            self.find_scalar(bytes, mask)
        }
    }

    /// [`Self::find`] without vector registers.
    ///
    /// Instead of rotating the hash at every step, the hash is kept unrotated and the words and the
    /// mask are rotated the other way: constants in an unrolled loop, and the chain from one hash to
    /// the next is a single XOR.
    pub(crate) fn find_scalar(&self, bytes: &[u8], mask: u32) -> Option<usize> {
        let position_count = bytes.len().checked_sub(self.window).filter(|&n| n > 0)?;
        let (first_window, entering) = bytes.split_at(self.window);
        let leaving = &bytes[..position_count];
        debug_assert_eq!(entering.len(), position_count);
        let mut hash = self.hash(first_window);

        let (leaving_turns, leaving_rest) = leaving.as_chunks::<TURN>();
        let (entering_turns, entering_rest) = entering.as_chunks::<TURN>();
        for (turn, (out, into)) in leaving_turns.iter().zip(entering_turns).enumerate() {
            match self.roll_one_turn(hash, out, into, mask) {
                Ok(next) => hash = next,
                Err(at) => return Some(turn * TURN + at),
            }
        }
        let done = leaving_turns.len() * TURN;
        for (at, (&out, &into)) in leaving_rest.iter().zip(entering_rest).enumerate() {
            if hash & mask == 0 {
                return Some(done + at);
            }
            hash = self.update(hash, out, into);
        }
        None
    }

    /// Tests 32 positions: the hash after them, or the place of the first hit as the error.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the hash stays in a register across turns"
    )]
    fn roll_one_turn(
        &self,
        hash: u32,
        out: &[u8; TURN],
        into: &[u8; TURN],
        mask: u32,
    ) -> Result<u32, usize> {
        let mut unrotated = hash;
        macro_rules! steps {
            ($($step:literal)*) => { $(
                if unrotated & mask.rotate_right($step) == 0 {
                    return Err($step);
                }
                let word = self.leave[usize::from(out[$step])] ^ self.enter[usize::from(into[$step])];
                unrotated ^= word.rotate_right($step + 1);
            )* };
        }
        steps!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
        // 32 steps are one full turn: the unrotated hash is the hash again.
        Ok(unrotated)
    }
}

/// Positions after which all rotations are back where they began: the bits of a hash.
const TURN: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition: every window hashed anew.
    fn find_plain(seed: u32, window: usize, bytes: &[u8], mask: u32) -> Option<usize> {
        let position_count = bytes.len().saturating_sub(window);
        (0..position_count).find(|&p| buzhash(&bytes[p..p + window], seed) & mask == 0)
    }

    #[track_caller]
    fn check(seed: u32, window: usize, bytes: &[u8], mask: u32) {
        let hash = Buzhash::new(seed, window);
        let expected = find_plain(seed, window, bytes, mask);
        assert_eq!(hash.find_scalar(bytes, mask), expected);
        assert_eq!(hash.find(bytes, mask), expected);
    }

    #[test]
    fn a_hit_is_found_at_every_place_of_a_group_and_missed_one_byte_short() {
        // A mask of all bits, so that a hit at one chosen place is the only one: windows of zeros in
        // noise hash to a known value when the mask is cleared of that value's bits.
        for window in [1, 31, 63, 127, 4095] {
            let zeros = vec![0; window];
            let mask = !buzhash(&zeros, 77);
            for at in (0..200).chain([4095, 4096, 5000]) {
                let mut bytes: Vec<u8> = (0..at)
                    .map(|n: usize| u8::try_from(n * n % 251).unwrap() | 1)
                    .collect();
                bytes.extend_from_slice(&zeros);
                check(77, window, &bytes, mask);
                bytes.push(1);
                check(77, window, &bytes, mask);
                bytes.extend_from_slice(&[1; 70]);
                check(77, window, &bytes, mask);
            }
        }
    }

    proptest! {
        #[test]
        fn fast_searches_find_what_the_definition_says(
            seed in any::<u32>(),
            window_half in 0_usize..200,
            groups in 1_usize..5,
            bits in 0_u32..12,
            bytes in prop::collection::vec(any::<u8>(), 0..2000),
        ) {
            let mask = (1 << bits) - 1;
            for window in [2 * window_half + 1, 64 * groups - 1] {
                let hash = Buzhash::new(seed, window);
                let expected = find_plain(seed, window, &bytes, mask);
                prop_assert_eq!(hash.find_scalar(&bytes, mask), expected);
                prop_assert_eq!(hash.find(&bytes, mask), expected);
            }
        }

        #[test]
        fn repetitive_bytes_make_no_difference(
            seed in any::<u32>(),
            runs in prop::collection::vec((0_u8..3, 1_usize..300), 1..40),
            bits in 0_u32..16,
        ) {
            let bytes: Vec<u8> = runs.iter().flat_map(|&(byte, len)| std::iter::repeat_n(byte, len)).collect();
            for window in [63, 255, 4095] {
                let hash = Buzhash::new(seed, window);
                let mask = (1 << bits) - 1;
                prop_assert_eq!(hash.find(&bytes, mask), hash.find_scalar(&bytes, mask));
            }
        }
    }
}
