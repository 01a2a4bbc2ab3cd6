//! Looking at what was restored: is it what the archive says, and what the live file is?

use ironborg_format::item::Item;
use ironborg_source::attributes::AttributeSource;
use ironborg_source::users::is_root;
use ironborg_source::walk::{OpenMode, check_same};
use ironborg_source::{
    ExtendedAttributes, FileKind, FileStat, Place, SourceError, SourceFile, access_acl_value,
    default_acl_value,
};
use ironborg_types::{NullReporter, text};

use super::live::is_unchanged;
use super::pieces::content_len;
use super::{Drill, Round, Verdict, change_time};
use crate::extract::{DAMAGED_CHUNKS, size_mismatch};

/// Bytes of two files compared at once.
const COMPARED_LEN: usize = 256 << 10;
/// Bits that a change of owner, which only root can make, takes away.
const SET_ID_BITS: u32 = 0o6000;

/// What is known of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// It is restored with the file, and to be compared.
    OnDisk,
    /// It was read, and is that of the live file.
    Same,
    /// It was read; there was no live file to compare it with all the time.
    Read,
}

/// A file as it is on a disk.
struct Observed {
    stat: FileStat,
    target: Option<Vec<u8>>,
    attributes: ExtendedAttributes,
}

impl Drill<'_> {
    /// Looks at an item that was restored at `at`.
    pub(super) fn judge(
        &mut self,
        item: &Item,
        at: &[u8],
        content: Content,
        round: &Round,
    ) -> Verdict {
        if item.chunks_healthy.is_some() {
            return Verdict::Different(DAMAGED_CHUNKS.to_owned());
        }
        if let (Some(size), Some(_)) = (item.size, &item.chunks)
            && size != content_len(item)
        {
            return Verdict::Different(size_mismatch(size, content_len(item)));
        }
        let kind = FileKind::of_mode(item.mode);
        if !matches!(
            kind,
            FileKind::Regular | FileKind::Directory | FileKind::Symlink | FileKind::Fifo
        ) {
            return Verdict::Restored; // Only root could make it.
        }
        let restored = round.root.locate(at);
        let restored = restored.and_then(|(dir, name)| {
            let place = Place::entry(&dir, name, at);
            let observed = self.observe(place)?;
            let file = (kind == FileKind::Regular && content == Content::OnDisk)
                .then(|| place.open_file(OpenMode::Normal))
                .transpose()?;
            Ok((observed, file))
        });
        let (restored, file) = match restored {
            Ok(restored) => restored,
            Err(error) => return Verdict::Different(not_restored(item, &error, round)),
        };
        let unlike = self
            .unlike_item(item, &restored, content, round)
            .or_else(|| unlike_link(item, &restored.stat, round));
        if let Some(what) = unlike {
            return Verdict::Different(what);
        }
        if content == Content::Read {
            return Verdict::Restored;
        }
        self.compare_with_live(item, &restored, file.as_ref())
    }

    fn observe(&mut self, place: Place<'_>) -> Result<Observed, SourceError> {
        let stat = place.stat()?;
        let target = match stat.kind() {
            FileKind::Symlink => Some(place.read_link()?),
            _ => None,
        };
        let source = AttributeSource::Place(place);
        let attributes = self.attributes.read(source, &stat, &NullReporter)?;
        Ok(Observed {
            stat,
            target,
            attributes,
        })
    }

    /// What the restored file is otherwise than the item says. What could not be set because this file system or this
    /// user cannot have it was a warning, and does not count.
    fn unlike_item(
        &self,
        item: &Item,
        restored: &Observed,
        content: Content,
        round: &Round,
    ) -> Option<String> {
        let stat = &restored.stat;
        let kind = FileKind::of_mode(item.mode);
        if stat.kind() != kind {
            return Some("another type of file is restored".to_owned());
        }
        let has_content = item.chunks.is_some() && content == Content::OnDisk;
        if kind == FileKind::Regular && has_content && stat.size != content_len(item) {
            let size = content_len(item);
            return Some(format!("{} bytes are restored, not {size}", stat.size));
        }
        if restored.target.as_deref() != item.source.as_deref() && kind == FileKind::Symlink {
            let target = text::display(restored.target.as_deref().unwrap_or_default());
            return Some(format!("the restored link leads to {target}"));
        }
        if !is_restored_mode(item, stat) {
            return Some(format!(
                "mode {:o} is restored as {:o}",
                item.mode, stat.mode
            ));
        }
        if !is_restored_time(item.mtime.unwrap_or_default(), stat.mtime_ns) {
            return Some("another modification time is restored".to_owned());
        }
        if round.warnings.is_empty()
            && let Some(name) = missing_xattr(item, &restored.attributes)
        {
            return Some(format!("extended attribute {name} is not restored"));
        }
        // A file system without ACLs is no error, and has none to be compared.
        let has_acl = restored.attributes.acl_access.is_some();
        if has_acl && round.warnings.is_empty() && !self.has_acls(item, &restored.attributes) {
            return Some("another ACL is restored".to_owned());
        }
        None
    }

    /// Compares with the live file, if that has not changed.
    fn compare_with_live(
        &mut self,
        item: &Item,
        restored: &Observed,
        file: Option<&SourceFile>,
    ) -> Verdict {
        let Some((path, stat)) = self.live.unchanged(item) else {
            return Verdict::Restored;
        };
        let place = Place::path(&path);
        let live = self.observe(place).and_then(|live| {
            check_same(&stat, &live.stat)?;
            Ok(live)
        });
        let Ok(live) = live else {
            return Verdict::Restored; // It has just gone, or is no longer ours to read.
        };
        let content = file.map(|file| self.same_content(place, &live.stat, file));
        let what = match content {
            Some(Err(_)) => return Verdict::Restored,
            Some(Ok(Some(offset))) => Some(format!("its content differs from byte {offset} on")),
            Some(Ok(None)) | None => self.unlike_live(item, restored, &live),
        };
        // It is a difference only if nobody has changed the file while it was looked at.
        match (what, place.stat()) {
            (Some(what), Ok(after)) if is_unchanged(item, &after) && self.is_settled(item) => {
                Verdict::Different(what)
            }
            (None, _) => Verdict::Equal,
            _ => Verdict::Restored,
        }
    }

    /// What is otherwise about the live file, though it has not changed.
    fn unlike_live(&self, item: &Item, restored: &Observed, live: &Observed) -> Option<String> {
        if restored.target != live.target {
            return Some("the live link leads elsewhere".to_owned());
        }
        if item.mode != live.stat.mode {
            let (mode, live) = (item.mode, live.stat.mode);
            return Some(format!(
                "its mode is {mode:o}, that of the live file {live:o}"
            ));
        }
        let owner = |stat: &FileStat| (stat.uid, stat.gid);
        if is_root() && owner(&restored.stat) != owner(&live.stat) {
            let ((uid, gid), (live_uid, live_gid)) = (owner(&restored.stat), owner(&live.stat));
            return Some(format!(
                "it is restored as owned by {uid}:{gid}, the live file is by {live_uid}:{live_gid}"
            ));
        }
        // Without ctime nobody knows whether these were the same then.
        item.ctime?;
        if let Some(name) = missing_xattr(item, &live.attributes) {
            return Some(format!(
                "its extended attribute {name} is not that of the live file"
            ));
        }
        if !self.has_acls(item, &live.attributes) {
            return Some("its ACL is not that of the live file".to_owned());
        }
        let flags = item.bsdflags;
        flags
            .is_some_and(|flags| flags != u64::from(live.attributes.flags))
            .then(|| "its flags are not those of the live file".to_owned())
    }

    /// Whether the ACLs that the item has are these.
    fn has_acls(&self, item: &Item, found: &ExtendedAttributes) -> bool {
        let same = |wanted: Option<&[u8]>, found: Option<&[u8]>, value: AclValue| {
            wanted.is_none_or(|wanted| {
                let value = |text: &[u8]| value(text, &self.names, false);
                value(wanted) == found.and_then(value)
            })
        };
        same(
            item.acl_access.as_deref(),
            found.acl_access.as_deref(),
            access_acl_value,
        ) && same(
            item.acl_default.as_deref(),
            found.acl_default.as_deref(),
            default_acl_value,
        )
    }

    /// Whether the file was at rest when it was backed up; see [`Drill::set_newest`].
    pub(super) fn is_settled(&self, item: &Item) -> bool {
        change_time(item.mtime, item.ctime) < self.newest_ns
    }

    /// The first byte in which the file that was restored differs from the live one.
    fn same_content(
        &mut self,
        place: Place<'_>,
        stat: &FileStat,
        restored: &SourceFile,
    ) -> Result<Option<u64>, SourceError> {
        let live = place.open_file(OpenMode::Normal)?;
        check_same(stat, &live.stat()?)?;
        let [one, other] = &mut self.buffers;
        one.resize(COMPARED_LEN, 0);
        other.resize(COMPARED_LEN, 0);
        let mut offset = 0_u64;
        loop {
            let (len, other_len) = (restored.read_full(one)?, live.read_full(other)?);
            if let Some(at) = first_difference(&one[..len], &other[..other_len]) {
                return Ok(Some(offset + at));
            }
            if len == 0 {
                return Ok(None);
            }
            offset += len as u64;
        }
    }
}

/// How the text of an ACL becomes comparable.
type AclValue = fn(&[u8], &ironborg_source::Names, bool) -> Option<Vec<u8>>;

/// Where two pieces differ first; the end of one of them is a difference.
pub(super) fn first_difference(one: &[u8], other: &[u8]) -> Option<u64> {
    if one == other {
        return None;
    }
    let pairs = one.iter().zip(other);
    let at = pairs.take_while(|(one, other)| one == other).count();
    Some(at as u64)
}

/// Why something is not there.
fn not_restored(item: &Item, error: &SourceError, round: &Round) -> String {
    let start = format!("{}: ", text::display(&item.path));
    let said = round
        .warnings
        .iter()
        .find_map(|warning| warning.strip_prefix(&start));
    match said {
        Some(said) => format!("it cannot be restored: {said}"),
        None => format!("it is not restored: {error}"),
    }
}

/// What a hard link that is none any more has become.
fn unlike_link(item: &Item, stat: &FileStat, round: &Round) -> Option<String> {
    let source = item.source.as_deref()?;
    if item.chunks.is_some() || FileKind::of_mode(item.mode) == FileKind::Symlink {
        return None;
    }
    let inode = round.root.locate(source).and_then(|(dir, name)| {
        let found = Place::entry(&dir, name, source).stat()?;
        Ok(found.ino)
    });
    (inode.ok() != Some(stat.ino))
        .then(|| format!("it is not restored as a link to {}", text::display(source)))
}

/// Whether the mode came back. Who cannot give a file to its group loses its set-id bits, as ever.
fn is_restored_mode(item: &Item, stat: &FileStat) -> bool {
    if stat.kind() == FileKind::Symlink {
        return true;
    }
    let is_given = item.uid == Some(i64::from(stat.uid)) && item.gid == Some(i64::from(stat.gid));
    let different = (item.mode ^ stat.mode) & 0o7777;
    different == 0 || (!is_given && !is_root() && different & !SET_ID_BITS == 0)
}

/// Whether a time came back, as far as the file system keeps it: some know seconds only, or every other one.
fn is_restored_time(wanted_ns: i64, found_ns: i64) -> bool {
    const SECOND: i64 = 1_000_000_000;
    let is_whole = found_ns % SECOND == 0;
    wanted_ns == found_ns || (is_whole && wanted_ns.abs_diff(found_ns) < 2 * SECOND.unsigned_abs())
}

/// The first extended attribute of the item that is not among these with the same value.
fn missing_xattr(item: &Item, found: &ExtendedAttributes) -> Option<String> {
    let wanted = item.xattrs.as_deref().unwrap_or_default();
    let missing = wanted.iter().find(|(name, value)| {
        let value = value.as_deref().unwrap_or_default();
        !found.xattrs.iter().any(|(found_name, found)| {
            found_name == name && found.as_deref().unwrap_or_default() == value
        })
    });
    missing.map(|(name, _)| text::display(name).into_owned())
}
