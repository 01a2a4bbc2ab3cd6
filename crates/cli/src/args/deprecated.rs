//! Option words that have been replaced: still accepted, with a warning.
//!
//! Source: Borg 1.4, `preprocess_args`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

const DEPRECATED: &[(&str, &str)] = &[
    (
        "--noatime",
        "Warning: \"--noatime\" has been deprecated because it is the default now.",
    ),
    (
        "--nobsdflags",
        "Warning: \"--nobsdflags\" has been deprecated. Use --noflags instead.",
    ),
    (
        "--numeric-owner",
        "Warning: \"--numeric-owner\" has been deprecated. Use --numeric-ids instead.",
    ),
    (
        "--remote-ratelimit",
        "Warning: \"--remote-ratelimit\" has been deprecated. Use --upload-ratelimit instead.",
    ),
    (
        "--remote-buffer",
        "Warning: \"--remote-buffer\" has been deprecated. Use --upload-buffer instead.",
    ),
    (
        "--prefix",
        "Warning: \"--prefix\" has been deprecated. Use \"--glob-archives 'yourprefix*'\" (-a) instead.",
    ),
    (
        "--sort",
        "Warning: \"--sort\" is deprecated. Use \"--sort-by=path\" instead.",
    ),
];

/// The warnings for the words of a command line, in their order.
pub(crate) fn warnings(args: &[OsString]) -> impl Iterator<Item = &'static str> {
    args.iter().flat_map(|word| {
        DEPRECATED.iter().filter_map(|(name, warning)| {
            let rest = word.as_bytes().strip_prefix(name.as_bytes())?;
            (rest.is_empty() || rest.starts_with(b"=")).then_some(*warning)
        })
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_whole_option_words_are_warned_about() {
        let words = ["--prefix=x", "--sort-by", "--noatime", "prefix"].map(Into::into);
        let found: Vec<_> = super::warnings(&words).collect();
        assert_eq!(found.len(), 2);
        assert!(found[0].contains("--glob-archives") && found[1].contains("--noatime"));
    }
}
