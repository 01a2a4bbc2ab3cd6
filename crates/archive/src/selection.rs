//! Which archives of a repository a command is about.
//!
//! Source: Borg 1.4, `Archives.list` and `list_considering`.

mod ages;

use std::cmp::Ordering;
use std::str::FromStr;

use ironborg_format::manifest::{ArchiveEntry, Manifest};
use ironborg_source::pattern::NameGlob;
use ironborg_types::{ArchiveId, BytePath, Timestamp, text};

pub use ages::{ArchiveAges, InvalidTimeSpan, TimeSpan};

use crate::ArchiveError;

/// One archive as the manifest lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedArchive {
    /// Its name.
    pub name: BytePath,
    /// Its id.
    pub id: ArchiveId,
    /// When it was made.
    pub time: Timestamp,
}

impl ListedArchive {
    /// The archive `name` as the manifest's `entry` has it.
    ///
    /// # Errors
    /// [`ArchiveError::Damaged`] if its time is none.
    pub fn new(name: &[u8], entry: &ArchiveEntry) -> Result<Self, ArchiveError> {
        let time = entry.timestamp().map_err(|error| ArchiveError::Damaged {
            what: "manifest entry",
            name: name.into(),
            detail: error.to_string(),
        })?;
        Ok(Self {
            name: name.into(),
            id: entry.id,
            time,
        })
    }
}

/// What archives are sorted by (`--sort-by`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// `timestamp`
    Timestamp,
    /// `archive`, `name`
    Name,
    /// `id`
    Id,
}

/// The words `--sort-by` takes, as stock Borg lists them.
pub const SORT_KEYS: [&str; 4] = ["timestamp", "archive", "name", "id"];

impl FromStr for SortKey {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "timestamp" => Ok(Self::Timestamp),
            "archive" | "name" => Ok(Self::Name),
            "id" => Ok(Self::Id),
            _ => Err(()),
        }
    }
}

/// How archives are chosen; the default is all of them in the manifest's order.
#[derive(Debug, Clone, Default)]
pub struct ArchiveSelection {
    /// Only names that match (`--glob-archives`; a `--prefix` is a glob with `*` behind it).
    pub glob: Option<NameGlob>,
    /// Whether checkpoints, known by `.checkpoint` in their name, are left out.
    pub without_checkpoints: bool,
    /// Only those of these ages.
    pub ages: ArchiveAges,
    /// Sorted by the first key, ties by the second and so on; then the manifest's order.
    pub sort_by: Vec<SortKey>,
    /// Only so many from the front; 0 is no limit.
    pub first: usize,
    /// Only so many from the end; 0 is no limit. Without effect if `first` limits.
    pub last: usize,
}

/// The archives of `manifest` that `selection` asks for, in its order.
///
/// # Errors
/// [`ArchiveError::Damaged`] if the manifest has a time that is none.
pub fn select(
    manifest: &Manifest,
    selection: &ArchiveSelection,
) -> Result<Vec<ListedArchive>, ArchiveError> {
    let is_wanted = |name: &[u8]| {
        let glob = selection.glob.as_ref();
        glob.is_none_or(|glob| glob.matches(&text::display(name)))
            && !(selection.without_checkpoints && is_checkpoint(name))
    };
    let mut archives = listed(manifest, is_wanted)?;
    if selection.ages.is_bounded() {
        selection.ages.retain(&mut archives, Timestamp::now());
    }
    archives.sort_by(|a, b| {
        let by = |key: &SortKey| match key {
            SortKey::Timestamp => a.time.cmp(&b.time),
            SortKey::Name => compare_names(&a.name, &b.name),
            SortKey::Id => a.id.cmp(&b.id),
        };
        selection
            .sort_by
            .iter()
            .map(by)
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    if selection.first > 0 {
        archives.truncate(selection.first);
    } else if selection.last > 0 {
        archives.drain(..archives.len().saturating_sub(selection.last));
    }
    Ok(archives)
}

/// The archives whose names are wanted, in the manifest's order.
pub(crate) fn listed(
    manifest: &Manifest,
    is_wanted: impl Fn(&[u8]) -> bool,
) -> Result<Vec<ListedArchive>, ArchiveError> {
    let wanted = manifest.archives.iter().filter(|(name, _)| is_wanted(name));
    wanted
        .map(|(name, entry)| ListedArchive::new(name, entry))
        .collect()
}

/// The name of the archive that the archive of this name is a checkpoint of, judged by its end:
/// `.checkpoint`, or that and a number. Source: Borg 1.4, `do_prune`.
pub(crate) fn checkpoint_of(name: &[u8]) -> Option<&[u8]> {
    const END: &[u8] = b".checkpoint";
    let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit());
    let unnumbered = match digits.count() {
        0 => name,
        count => name[..name.len() - count].strip_suffix(b".")?,
    };
    unnumbered.strip_suffix(END)
}

/// Whether an archive of this name is a checkpoint.
pub fn is_checkpoint(name: &[u8]) -> bool {
    const MARK: &[u8] = b".checkpoint";
    name.windows(MARK.len()).any(|part| part == MARK)
}

/// Orders names as Python orders its strings: by code point, an undecodable byte being U+DC00 plus
/// its value.
pub fn compare_names(a: &[u8], b: &[u8]) -> Ordering {
    code_points(a).cmp(code_points(b))
}

fn code_points(name: &[u8]) -> impl Iterator<Item = u32> + '_ {
    name.utf8_chunks().flat_map(|part| {
        let escaped = part.invalid().iter().map(|byte| 0xDC00 + u32::from(*byte));
        part.valid().chars().map(u32::from).chain(escaped)
    })
}
