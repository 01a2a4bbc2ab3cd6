//! Is a chunk all zero? Asked of every chunk, answered "no" by the first few bytes of nearly all.

/// Bytes looked at between two decisions; a multiple of any vector register's width.
const STRIDE: usize = 256;

/// Whether every byte is zero. True for an empty slice.
pub fn is_zero(bytes: &[u8]) -> bool {
    let (strides, rest) = bytes.as_chunks::<STRIDE>();
    // Folding a whole stride without a branch lets the compiler use vector registers.
    let stride_is_zero = |stride: &[u8; STRIDE]| stride.iter().fold(0, |acc, byte| acc | byte) == 0;
    strides.iter().all(stride_is_zero) && rest.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_bit_anywhere_is_seen() {
        for len in [0, 1, 7, 255, 256, 257, 1000, 4096] {
            let mut bytes = vec![0; len];
            assert!(is_zero(&bytes));
            for at in 0..len {
                bytes[at] = 1 << (at % 8);
                assert!(!is_zero(&bytes), "{at} of {len}");
                bytes[at] = 0;
            }
        }
    }
}
