//! Items to members of a tarball.

use ironborg_format::item::{ChunkEntry, ItemView};
use ironborg_format::tar::{MemberHeader, TarError, encode_gnu, encode_pax, kind};
use ironborg_source::path::strip_components;
use ironborg_source::walk::FileKind;

use super::export::TarFormat;
use super::records;
use crate::ArchiveError;
use crate::extract::filter::{ItemFilter, Master};

/// What was made of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MemberKind {
    /// A header is all there is.
    Plain,
    /// So many bytes of content follow, from [`Members::chunks`].
    Content { size: u64 },
    /// Tar knows no such thing.
    Unsupported { file_type: u32 },
}

/// Makes members of the items that are selected.
pub(super) struct Members {
    filter: ItemFilter,
    strip: usize,
    format: TarFormat,
    chunks: Vec<ChunkEntry>,
}

/// What becomes of a regular file.
enum File {
    /// It is written with the chunks collected.
    Content { size: u64 },
    /// It is a hard link to this path.
    Link(Vec<u8>),
    /// There is nothing to be had for it.
    Empty,
}

impl Members {
    pub(super) fn new(filter: ItemFilter, strip: usize, format: TarFormat) -> Self {
        Self {
            filter,
            strip,
            format,
            chunks: Vec::new(),
        }
    }

    pub(super) fn into_filter(self) -> ItemFilter {
        self.filter
    }

    /// The chunks of the content that follows the header made last.
    pub(super) fn chunks(&self) -> &[ChunkEntry] {
        &self.chunks
    }

    /// Appends the header of an item to `out`; `None` if it is not selected.
    pub(super) fn add(
        &mut self,
        item: &ItemView<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<MemberKind>, ArchiveError> {
        let Some(path) = self.filter.admit(item.path, item) else {
            return Ok(None);
        };
        self.chunks.clear();
        let mut header = MemberHeader {
            name: path,
            mode: item.mode & 0o7777,
            uid: item.uid.unwrap_or(0),
            gid: item.gid.unwrap_or(0),
            user: item.user.as_bytes().unwrap_or_default(),
            group: item.group.as_bytes().unwrap_or_default(),
            mtime: seconds_of(item.mtime.unwrap_or(0)),
            ..MemberHeader::default()
        };
        let mut outcome = MemberKind::Plain;
        let link;
        match FileKind::of_mode(item.mode) {
            FileKind::Regular => {
                header.kind = kind::REGULAR;
                match self.file(item, path)? {
                    File::Empty => {}
                    File::Content { size } => {
                        header.size = size;
                        outcome = MemberKind::Content { size };
                    }
                    File::Link(target) => {
                        link = target;
                        header.kind = kind::HARD_LINK;
                        header.link = &link;
                    }
                }
            }
            FileKind::Directory => header.kind = kind::DIRECTORY,
            FileKind::Symlink => {
                header.kind = kind::SYMLINK;
                header.link = item.source.unwrap_or_default();
            }
            FileKind::BlockDevice => {
                header.kind = kind::BLOCK_DEVICE;
                header.device = device_numbers(item.rdev.unwrap_or(0));
            }
            FileKind::CharDevice => {
                header.kind = kind::CHAR_DEVICE;
                header.device = device_numbers(item.rdev.unwrap_or(0));
            }
            FileKind::Fifo => header.kind = kind::FIFO,
            FileKind::Socket | FileKind::Unknown => {
                let file_type = item.mode & 0o170_000;
                return Ok(Some(MemberKind::Unsupported { file_type }));
            }
        }
        let encoded = match self.format {
            TarFormat::Gnu => encode_gnu(&header, out),
            TarFormat::Pax => {
                header.mtime = item.mtime.unwrap_or(0).div_euclid(1_000_000_000);
                encode_pax(&header, records::of_item(item), out)
            }
        };
        encoded.map_err(|error| unfit(item, &error))?;
        Ok(Some(outcome))
    }

    fn file(&mut self, item: &ItemView<'_>, path: &[u8]) -> Result<File, ArchiveError> {
        let Some(source) = item.source else {
            let Some(chunks) = item.chunks else {
                let detail = "a regular file without chunks".to_owned();
                return Err(damaged(item, detail));
            };
            self.chunks.extend(&chunks);
            return self.content(item);
        };
        match self.filter.master(source) {
            None => {
                let target = strip_components(source, self.strip);
                Ok(if target.is_empty() {
                    File::Empty
                } else {
                    File::Link(target.to_vec())
                })
            }
            Some(Master::Restored(at)) => Ok(File::Link(at.to_vec())),
            Some(Master::Passed(None)) => Ok(File::Empty),
            Some(Master::Passed(Some(chunks))) => {
                // The first name is not in the tarball: this one takes its place.
                self.chunks.extend(chunks);
                self.filter.restored_at(source, path);
                self.content(item)
            }
        }
    }

    /// The content collected is as long as the item says, or longer: then its end is left out.
    fn content(&self, item: &ItemView<'_>) -> Result<File, ArchiveError> {
        let chunks = self.chunks.iter();
        let len: u64 = chunks.map(|chunk| u64::from(chunk.size)).sum();
        let size = item.size.unwrap_or(len);
        if size > len {
            let detail = format!("{size} bytes in chunks of {len} bytes");
            return Err(damaged(item, detail));
        }
        Ok(File::Content { size })
    }
}

fn damaged(item: &ItemView<'_>, detail: String) -> ArchiveError {
    ArchiveError::Damaged {
        what: "item",
        name: item.path.into(),
        detail,
    }
}

fn unfit(item: &ItemView<'_>, error: &TarError) -> ArchiveError {
    damaged(item, error.to_string())
}

/// Whole seconds as stock Borg has them: through a double, towards zero.
fn seconds_of(mtime_ns: i64) -> i64 {
    #[allow(clippy::cast_possible_truncation)] // No quotient by 10^9 is out of range.
    let seconds = (mtime_ns as f64 / 1e9) as i64;
    seconds
}

/// Major and minor number as Linux packs them.
fn device_numbers(device: u64) -> (u32, u32) {
    let part = |bits: u64| u32::try_from(bits).expect("masked");
    let major = ((device >> 8) & 0xfff) | ((device >> 32) & 0xffff_f000);
    let minor = (device & 0xff) | ((device >> 12) & 0xffff_ff00);
    (part(major), part(minor))
}
