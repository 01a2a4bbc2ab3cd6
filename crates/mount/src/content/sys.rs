//! How the C library's allocator treats large buffers.

#![allow(unsafe_code)]

/// Buffers of at least so many bytes are mapped each by itself, and returned to the system when they are freed.
#[cfg(target_env = "gnu")]
const MAPPED_FROM: libc::c_int = 256 * 1024;

/// Has large buffers return to the system. By itself the allocator takes the first large buffer that is freed as a
/// reason to keep all of them, for each thread; a hundred megabytes for chunks that are in memory for a moment.
///
/// For the whole process; doing it again changes nothing.
pub(super) fn return_large_buffers() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: it only sets a parameter, under the allocator's own lock.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
        }
    }
}
