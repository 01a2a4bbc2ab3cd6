//! Setting a restored file's attributes.

/// Attributes of an item, to be set on a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeValues<'a> {
    /// Type and permission bits.
    pub mode: u32,
    /// Owner's number; a negative one becomes 0.
    pub uid: i64,
    /// Group's number; a negative one becomes 0.
    pub gid: i64,
    /// Owner's name, which comes before the number unless ids are numeric.
    pub user: Option<&'a [u8]>,
    /// Group's name, likewise.
    pub group: Option<&'a [u8]>,
    /// Modification time, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Access time; None: as the modification time.
    pub atime_ns: Option<i64>,
    /// BSD flags.
    pub flags: Option<u64>,
    /// Extended attributes; None is an empty value.
    pub xattrs: &'a [(Vec<u8>, Option<Vec<u8>>)],
    /// Access ACL as Borg's text.
    pub acl_access: Option<&'a [u8]>,
    /// Default ACL as Borg's text.
    pub acl_default: Option<&'a [u8]>,
}

/// What is restored, and how owners are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreOptions {
    /// `--numeric-ids`: numbers, not names.
    pub numeric_ids: bool,
    /// Without `--noacls`.
    pub acls: bool,
    /// Without `--noxattrs`.
    pub xattrs: bool,
    /// Without `--noflags`.
    pub flags: bool,
}
