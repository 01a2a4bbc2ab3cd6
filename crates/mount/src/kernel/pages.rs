//! Content the kernel has not asked for.

use fuser::{INodeNo, Notifier};

use crate::tree::Pages;
use crate::tree::inode::Inode;

/// The kernel's memory of what it has read (`FUSE_NOTIFY_STORE`).
pub(super) struct KernelPages(Notifier);

impl KernelPages {
    pub(super) fn new(notifier: Notifier) -> Self {
        Self(notifier)
    }
}

impl Pages for KernelPages {
    /// A file the kernel does not know, as nobody has listed its directory, or has forgotten is no error.
    fn store(&self, inode: Inode, content: &[u8]) -> bool {
        self.0.store(INodeNo(inode.0), 0, content).is_ok()
    }
}
