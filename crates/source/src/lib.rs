//! Walking, reading and restoring file trees: patterns, stat, xattrs, ACLs, flags.
