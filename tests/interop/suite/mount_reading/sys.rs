//! Reading a file by mapping it.

#![allow(unsafe_code)]

use std::fs::File;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Looks at bytes of a mapped file: those at each of the offsets, in that order.
///
/// # Panics
/// If it cannot be mapped, or an offset lies behind its end.
pub(super) fn mapped_bytes(file: &File, offsets: &[usize]) -> Vec<u8> {
    let len = file.metadata().expect("an open file").len();
    let len = usize::try_from(len).expect("a small file");
    assert!(offsets.iter().all(|offset| *offset < len));
    // SAFETY: a new mapping, which overlaps no other.
    let start = unsafe {
        mmap(
            std::ptr::null_mut(),
            len,
            ProtFlags::READ,
            MapFlags::SHARED,
            file,
            0,
        )
    };
    let start = start.expect("the kernel maps files of mounts").cast::<u8>();
    let look = |offset: &usize| {
        // SAFETY: the mapping is `len` bytes long, and nothing changes an archive.
        unsafe { start.add(*offset).read_volatile() }
    };
    let bytes = offsets.iter().map(look).collect();
    // SAFETY: nobody refers to it any more.
    unsafe { munmap(start.cast(), len) }.expect("it was mapped");
    bytes
}
