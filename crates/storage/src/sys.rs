//! System calls that `rustix` does not offer, or not as safe ones.
#![allow(unsafe_code)]

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

/// Asks the kernel to start writing a range of dirty pages out. Only a hint: failures are ignored.
pub(crate) fn start_writing_out(file: &File, offset: u64, len: u64) {
    let (Ok(offset), Ok(len)) = (i64::try_from(offset), i64::try_from(len)) else {
        return;
    };
    #[cfg(target_os = "linux")]
    // SAFETY: the descriptor is open for as long as `file` is borrowed; no memory is passed.
    unsafe {
        libc::sync_file_range(file.as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file.as_raw_fd(), offset, len);
}

/// Asks the kernel for large pages when memory that was never touched is first written to. Only a hint: failures are ignored.
pub(crate) fn advise_large_pages(memory: &mut [MaybeUninit<u8>]) {
    #[cfg(target_os = "linux")]
    {
        let skipped = memory.as_ptr().align_offset(rustix::param::page_size());
        let Some(pages) = memory.get_mut(skipped..) else {
            return;
        };
        // SAFETY: the range is of memory that is borrowed here, and the advice changes neither its content nor what may be
        // done with it. What is rounded up to a page at the end is advised, too.
        unsafe {
            libc::madvise(pages.as_mut_ptr().cast(), pages.len(), libc::MADV_HUGEPAGE);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = memory;
}
