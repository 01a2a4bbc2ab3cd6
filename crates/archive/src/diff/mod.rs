//! What differs between two archives.
//!
//! Both item streams are read at once and compared pair by pair ([`walk`]), so that unchanged trees of any
//! size take no memory; [`changes`] says what has become of one item.
//!
//! Source: Borg 1.4, `do_diff`, `Archive.compare_archives_iter`, `ItemDiff`.

mod changes;
mod masters;
mod postponed;
mod walk;

pub use changes::{Change, Difference, Moment, Special};

use ironborg_cache::directory_name;
use ironborg_source::pattern::PatternMatcher;

use self::masters::LinkMasters;
use self::walk::Walk;
use crate::info::with_chunker_name;
use crate::items::{PartFiles, with_content, with_items};
use crate::{Archive, ArchiveError, Session};

/// What is compared and how.
#[derive(Debug, Clone, Copy)]
pub struct DiffOptions<'a> {
    /// Selects items by their path in the archives.
    pub matcher: &'a PatternMatcher,
    /// Whether part files count.
    pub parts: PartFiles,
    /// Equal content has equal chunks: both archives were cut with the same parameters. Otherwise files are
    /// read and compared.
    pub same_chunker_params: bool,
    /// Owners, modes and times do not count.
    pub content_only: bool,
}

/// One thing that `diff` has to tell.
#[derive(Debug)]
pub enum Finding<'a> {
    /// An item that is not the same in both archives.
    Difference(Difference<'a>),
    /// A hard link that cannot be compared, as the item it belongs to was not met in its archive.
    NoLinkSource {
        /// The item's path.
        path: &'a [u8],
        /// The path it refers to.
        source: &'a [u8],
    },
}

/// Whether two archives were cut with the same chunker parameters; `None` if one of them does not say.
pub fn same_chunker_params(old: &Archive, new: &Archive) -> Option<bool> {
    let named = |archive: &Archive| {
        let params = archive.metadata.chunker_params.as_deref();
        params.map(with_chunker_name)
    };
    Some(named(old)? == named(new)?)
}

/// Compares two archives and tells `take` what differs, in stock Borg's order: pairs of items as both are
/// known, then what was added, what was removed, and hard links that had to wait for what they refer to.
///
/// Memory: items that have no partner yet. Of archives of tarballs or made by Borg 1.0 also 30 bytes for each regular
/// file, as those do not say which of them have hard links.
///
/// # Errors
/// Those of `take`; a damaged item stream; a chunk that is missing or damaged, where content is read;
/// [`ArchiveError::Interrupted`] when the user wants it to end.
pub fn diff<E: From<ArchiveError>>(
    session: &Session,
    old: &Archive,
    new: &Archive,
    options: DiffOptions<'_>,
    take: impl FnMut(Finding<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let interrupt = session.client.interrupt;
    let cache = directory_name(&session.repository.id());
    let cache = session.client.directories.cache.join(cache);
    let masters = LinkMasters::new(&session.key, cache)?;
    with_items(session, old, options.parts, |old_items| {
        with_items(session, new, options.parts, |new_items| {
            if options.same_chunker_params {
                let walk = Walk::new(options, None, masters, (interrupt, take));
                return walk.run(old_items, new_items);
            }
            with_content(session, |content| {
                let walk = Walk::new(options, Some(content), masters, (interrupt, take));
                walk.run(old_items, new_items)
            })
        })
    })
}
