//! Attributes that `stat` does not tell: flags, extended attributes, ACLs.

mod acl;
mod reader;
mod xattr;

pub use acl::{access_acl_value, default_acl_value};
pub use reader::{AttributeOptions, AttributeReader, AttributeSource, ExtendedAttributes};

pub(crate) use acl::AccessList;
pub(crate) use xattr::{Handle, XattrCalls};

use rustix::fs::IFlags;
use rustix::thread::{CapabilitySet, capabilities};

/// BSD's value of the flag "not to be dumped".
pub const UF_NODUMP: u32 = 1;
/// BSD's value of the flag "not to be changed".
pub const UF_IMMUTABLE: u32 = 2;
/// BSD's value of the flag "only to be appended to".
pub const UF_APPEND: u32 = 4;

/// The flags Borg keeps, as BSD and as Linux number them.
const FLAGS: [(u32, IFlags); 3] = [
    (UF_NODUMP, IFlags::NODUMP),
    (UF_IMMUTABLE, IFlags::IMMUTABLE),
    (UF_APPEND, IFlags::APPEND),
];

/// Whether this process gets to see all attributes, those of the namespace `trusted` among them.
pub fn sees_all_attributes() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN))
}

/// BSD flags out of Linux inode flags.
fn bsd_flags(linux: IFlags) -> u32 {
    FLAGS
        .into_iter()
        .filter(|&(_, linux_flag)| linux.contains(linux_flag))
        .fold(0, |flags, (bsd_flag, _)| flags | bsd_flag)
}

/// Inode flags with Borg's three replaced by what `bsd` says, all others kept: some of them the kernel
/// owns and refuses to change. Source: Borg 1.4, `set_flags`.
pub(crate) fn replace_flags(linux: IFlags, bsd: u64) -> IFlags {
    FLAGS
        .into_iter()
        .fold(linux, |mut flags, (bsd_flag, linux_flag)| {
            flags.set(linux_flag, bsd & u64::from(bsd_flag) != 0);
            flags
        })
}
