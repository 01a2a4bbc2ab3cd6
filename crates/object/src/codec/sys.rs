//! The calls into C, and the writing into memory that is reserved but not filled yet.
#![allow(unsafe_code)]

use std::ffi::c_int;

/// Compresses `data` with LZ4 behind what `out` holds, into at most `len_max` bytes. `false`: it
/// did not fit, and `out` is as before.
///
/// # Panics
/// If `data` is longer than 2 GiB.
pub(crate) fn lz4_compress(data: &[u8], len_max: usize, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    out.reserve_exact(len_max);
    let room = &mut out.spare_capacity_mut()[..len_max];
    // SAFETY: both pointers are good for the lengths given with them; LZ4 writes into `room` only.
    let written = unsafe {
        lz4_sys::LZ4_compress_default(
            data.as_ptr().cast(),
            room.as_mut_ptr().cast(),
            c_len(data.len()),
            c_len(room.len()),
        )
    };
    let written = usize::try_from(written).expect("LZ4 gives a length or 0");
    assert!(written <= len_max, "LZ4 stays within the room it was given");
    // SAFETY: LZ4 has filled the first `written` bytes behind `start`, all of them within the
    // capacity.
    unsafe { out.set_len(start + written) };
    written > 0
}

/// Decompresses a block of LZ4 behind what `out` holds, into at most `len_max` bytes. `false`: it
/// did not fit, or is no such block, and `out` is as before.
///
/// # Panics
/// If `block` is longer than 2 GiB.
pub(crate) fn lz4_decompress(block: &[u8], len_max: usize, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    out.reserve_exact(len_max);
    let room = &mut out.spare_capacity_mut()[..len_max];
    // SAFETY: both pointers are good for the lengths given with them; this is the function that is
    // made for untrusted blocks: it reads and writes within those lengths only.
    let written = unsafe {
        lz4_sys::LZ4_decompress_safe(
            block.as_ptr().cast(),
            room.as_mut_ptr().cast(),
            c_len(block.len()),
            c_len(room.len()),
        )
    };
    let Ok(written) = usize::try_from(written) else {
        return false;
    };
    assert!(written <= len_max, "LZ4 stays within the room it was given");
    // SAFETY: LZ4 has filled the first `written` bytes behind `start`, all of them within the
    // capacity.
    unsafe { out.set_len(start + written) };
    true
}

/// LZ4 counts with C's `int`.
fn c_len(len: usize) -> c_int {
    c_int::try_from(len).expect("chunks are bounded far below 2 GiB")
}

/// The room behind what a vector holds, for zstd to write into.
pub(crate) struct Tail<'a> {
    vec: &'a mut Vec<u8>,
    start: usize,
    room: usize,
}

impl<'a> Tail<'a> {
    /// Reserves `room` bytes behind what `vec` holds.
    pub(crate) fn new(vec: &'a mut Vec<u8>, room: usize) -> Self {
        vec.reserve_exact(room);
        let start = vec.len();
        Self { vec, start, room }
    }
}

// SAFETY: pointer and capacity describe the part of the vector's allocation behind `start`, which
// was reserved and stays where it is while the vector is borrowed; the filled part is the
// vector's own length.
unsafe impl zstd_safe::WriteBuf for Tail<'_> {
    fn as_slice(&self) -> &[u8] {
        &self.vec[self.start..]
    }

    fn capacity(&self) -> usize {
        self.room
    }

    fn as_mut_ptr(&mut self) -> *mut u8 {
        // SAFETY: `start` is at most the length the vector had, so this stays within its
        // allocation.
        unsafe { self.vec.as_mut_ptr().add(self.start) }
    }

    unsafe fn filled_until(&mut self, n: usize) {
        assert!(n <= self.room, "zstd stays within the room it was given");
        // SAFETY: the caller has filled the first `n` bytes behind `start`, within what was
        // reserved.
        unsafe { self.vec.set_len(self.start + n) };
    }
}
