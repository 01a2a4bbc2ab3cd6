//! The functions every copy of more than a few bytes goes through, with a count of the bytes: these definitions take the place of
//! the C library's in this executable.
#![allow(unsafe_code)]

use std::arch::asm;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Shorter copies are of headers, names and fields, not of content.
const SHORTEST: usize = 4096;

static COUNTS: AtomicBool = AtomicBool::new(false);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// Bytes that all threads copied while something was done, in copies of 4 KiB and more.
pub(crate) fn copied(act: impl FnOnce()) -> u64 {
    BYTES.store(0, Ordering::SeqCst);
    COUNTS.store(true, Ordering::SeqCst);
    act();
    COUNTS.store(false, Ordering::SeqCst);
    BYTES.load(Ordering::SeqCst)
}

fn count(len: usize) {
    if len >= SHORTEST && COUNTS.load(Ordering::Relaxed) {
        BYTES.fetch_add(len as u64, Ordering::Relaxed);
    }
}

/// C's `memcpy`.
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    count(len);
    // SAFETY: the caller promises that both have this length.
    unsafe { copy_forward(to, from, len) };
    to
}

/// C's `memmove`.
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    count(len);
    // Bytes that would be overwritten before they are read are copied from the end.
    if to.addr().wrapping_sub(from.addr()) < len {
        // SAFETY: the caller promises that both have this length, and it is not 0.
        unsafe { copy_backward(to.add(len - 1), from.add(len - 1), len) };
    } else {
        // SAFETY: as above.
        unsafe { copy_forward(to, from, len) };
    }
    to
}

/// Without a loop, which the compiler would turn into a call of the functions above.
unsafe fn copy_forward(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: the direction flag is clear between instructions of compiled code; the rest is the callers' promise.
    unsafe {
        asm!("rep movsb", inout("rcx") len => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags));
    }
}

/// With pointers to the last bytes.
unsafe fn copy_backward(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: the flag is put back; the rest is the callers' promise.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rcx") len => _, inout("rdi") to => _,
            inout("rsi") from => _, options(nostack));
    }
}
